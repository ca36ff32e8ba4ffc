//! The types a key can have: how each is read from a file, a variable or a flag, and written back.
//!
//! A file gives typed values and a text where a number belongs is a fault; variables and flags give texts only. What is
//! written back is TOML and reads as the same value.

use std::{fmt, net::SocketAddr, path::PathBuf};

use skein_access::Anonymous;

use super::{document::Value, listen::Listen};

/// What a source gives for a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Given<'v> {
    /// A value of a file.
    Value(&'v Value),
    /// The text of a variable or flag.
    Text(&'v str),
}

/// A type of key.
pub(super) trait Setting: Sized {
    /// What the reference calls the type.
    const KIND: &'static str;

    /// Whether a variable or flag may give several, separated by commas.
    const IS_LIST: bool = false;

    /// Whether values are never shown.
    const IS_SECRET: bool = false;

    /// Reads a value. An error ends the sentence "`key = value` …": what it is not, and what to write.
    fn read(given: Given<'_>) -> Result<Self, String>;

    /// The value as TOML.
    fn to_toml(&self) -> String;
}

/// A text in TOML's quotes.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

impl Given<'_> {
    /// The text of a text; none for numbers, lists and the like.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Given::Text(text) => Some(text),
            Given::Value(Value::Text(text)) => Some(text),
            Given::Value(_) => None,
        }
    }
}

impl fmt::Display for Given<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => value.fmt(f),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl Setting for $type {
            const KIND: &'static str = "number";

            fn read(given: Given<'_>) -> Result<Self, String> {
                let number = match given {
                    Given::Value(Value::Integer(number)) => <$type>::try_from(*number).ok(),
                    Given::Value(_) => None,
                    Given::Text(text) => text.trim().parse().ok(),
                };
                number.ok_or_else(|| format!("is not a whole number from 0 to {}", <$type>::MAX))
            }

            fn to_toml(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

number!(u8, u16, u32);

impl Setting for bool {
    const KIND: &'static str = "true or false";

    fn read(given: Given<'_>) -> Result<Self, String> {
        match given {
            Given::Value(Value::Bool(flag)) => Ok(*flag),
            Given::Text("true") => Ok(true),
            Given::Text("false") => Ok(false),
            Given::Value(_) | Given::Text(_) => Err("is not true or false".to_owned()),
        }
    }

    fn to_toml(&self) -> String {
        self.to_string()
    }
}

impl Setting for String {
    const KIND: &'static str = "text";

    fn read(given: Given<'_>) -> Result<Self, String> {
        given.text().map(str::to_owned).ok_or_else(|| "is not a text: put it in quotes".to_owned())
    }

    fn to_toml(&self) -> String {
        quoted(self)
    }
}

impl Setting for PathBuf {
    const KIND: &'static str = "path";

    fn read(given: Given<'_>) -> Result<Self, String> {
        match given.text() {
            Some("") => Err("is not a path: it is empty".to_owned()),
            Some(text) => Ok(Self::from(text)),
            None => Err("is not a path: put it in quotes".to_owned()),
        }
    }

    fn to_toml(&self) -> String {
        quoted(&self.display().to_string())
    }
}

/// A path, or none for the empty text.
impl Setting for Option<PathBuf> {
    const KIND: &'static str = "path, or \"\" for none";

    fn read(given: Given<'_>) -> Result<Self, String> {
        match given.text() {
            Some("") => Ok(None),
            _ => PathBuf::read(given).map(Some),
        }
    }

    fn to_toml(&self) -> String {
        self.as_ref().map_or_else(|| quoted(""), Setting::to_toml)
    }
}

/// An address, or none.
impl Setting for Option<SocketAddr> {
    const KIND: &'static str = "address, or \"off\"";

    fn read(given: Given<'_>) -> Result<Self, String> {
        match Listen::read(given)?.0.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(*one)),
            _ => Err("is more than one address: write one".to_owned()),
        }
    }

    fn to_toml(&self) -> String {
        Listen(self.iter().copied().collect()).to_toml()
    }
}

impl Setting for Anonymous {
    const KIND: &'static str = "\"loopback\", true or false";

    fn read(given: Given<'_>) -> Result<Self, String> {
        match given {
            Given::Value(Value::Bool(true)) | Given::Text("true") => Ok(Self::Always),
            Given::Value(Value::Bool(false)) | Given::Text("false") => Ok(Self::Never),
            _ if given.text() == Some("loopback") => Ok(Self::Loopback),
            Given::Value(_) | Given::Text(_) => Err("is not \"loopback\", true or false".to_owned()),
        }
    }

    fn to_toml(&self) -> String {
        match self {
            Self::Never => "false".to_owned(),
            Self::Loopback => quoted("loopback"),
            Self::Always => "true".to_owned(),
        }
    }
}

/// An enum whose values have names.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            const NAMES: &[&'static str] = &[$($text),+];

            /// The name of the value in the configuration.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl $crate::config::setting::Setting for $name {
            const KIND: &'static str = $crate::config::setting::alternatives!($($text),+);

            fn read(given: $crate::config::setting::Given<'_>) -> Result<Self, String> {
                match given.text() {
                    $(Some($text) => Ok(Self::$variant),)+
                    other => {
                        let name = other.unwrap_or_default();
                        let near = skein_access::nearest_name(name, Self::NAMES.iter().copied());
                        let advice = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
                        Err(format!("is none of {}{advice}", Self::NAMES.join(", ")))
                    }
                }
            }

            fn to_toml(&self) -> String {
                $crate::config::setting::quoted(self.name())
            }
        }
    };
}

macro_rules! alternatives {
    ($first:literal $(, $more:literal)*) => { concat!("\"", $first, "\"" $(, ", \"", $more, "\"")*) };
}

pub(super) use {alternatives, choice};
