//! What a section of the configuration is: a struct whose fields are keys, each with its type, default, documentation
//! and the moment a change takes effect.

use super::{check::Check, setting::Given};

/// A key as the reference, the flags and the variables know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its full name, such as `mqtt.listen`.
    pub name: &'static str,
    /// What its values are.
    pub kind: &'static str,
    /// Its default, as TOML.
    pub default: String,
    /// What it does.
    pub doc: &'static str,
    /// When a change takes effect.
    pub effect: Effect,
    pub(super) is_list: bool,
    /// Whether values are never shown, not in faults either.
    pub(super) is_secret: bool,
}

/// When a changed key takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// When the node starts again.
    Restart,
    /// On reload, at once.
    Reload,
    /// On reload, for connections made from then on.
    NewConnections,
}

impl Key {
    /// The flag of the command line: `--mqtt.listen`.
    #[must_use]
    pub fn flag(&self) -> String {
        format!("--{}", self.name)
    }

    /// The variable of the environment: `SKEIN_MQTT_LISTEN`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{}{}", super::VARIABLE_PREFIX, self.name.replace('.', "_").to_ascii_uppercase())
    }
}

/// A struct of keys that share a prefix.
pub(super) trait Section: Default {
    const NAME: &'static str;

    /// The keys in the order of the struct.
    fn keys() -> Vec<Key>;

    /// Sets the field `name`; none when there is no such field.
    fn set(&mut self, name: &str, given: Given<'_>) -> Option<Result<(), String>>;

    /// The full names of the keys and their values as TOML.
    fn values(&self) -> Vec<(&'static str, String)>;

    /// Looks at values that are right alone but wrong for what they are used for. `path` is what the keys stand under.
    fn validate(&self, path: &str, check: &mut Check<'_>);
}

/// The name of a section at hand.
pub(super) fn name_of<S: Section>(_section: &S) -> &'static str {
    S::NAME
}

/// The keys of a section at hand.
pub(super) fn keys_of<S: Section>(_section: &S) -> Vec<Key> {
    S::keys()
}

macro_rules! section {
    ($(#[doc = $about:literal])+ $name:ident = $prefix:literal {
        $($(#[doc = $doc:literal])+ $field:ident: $type:ty = $default:expr, $effect:ident;)+
    }) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl $name {
            fn keys_of() -> Vec<$crate::config::section::Key> {
                vec![$($crate::config::section::Key {
                    name: concat!($prefix, ".", stringify!($field)),
                    kind: <$type as $crate::config::setting::Setting>::KIND,
                    default: $crate::config::setting::Setting::to_toml(&{ let default: $type = $default; default }),
                    doc: concat!($($doc),+),
                    effect: $crate::config::section::Effect::$effect,
                    is_list: <$type as $crate::config::setting::Setting>::IS_LIST,
                    is_secret: <$type as $crate::config::setting::Setting>::IS_SECRET,
                },)+]
            }

            fn set_field(
                &mut self,
                name: &str,
                given: $crate::config::setting::Given<'_>,
            ) -> Option<Result<(), String>> {
                match name {
                    $(stringify!($field) => Some(
                        <$type as $crate::config::setting::Setting>::read(given).map(|value| self.$field = value)
                    ),)+
                    _ => None,
                }
            }

            fn values_of(&self) -> Vec<(&'static str, String)> {
                vec![$((
                    concat!($prefix, ".", stringify!($field)),
                    $crate::config::setting::Setting::to_toml(&self.$field),
                ),)+]
            }
        }
    };
}

/// The part of [`Section`] that is the same for every struct made by `section!`.
macro_rules! section_parts {
    ($prefix:literal) => {
        const NAME: &'static str = $prefix;

        fn keys() -> Vec<$crate::config::section::Key> {
            Self::keys_of()
        }

        fn set(
            &mut self,
            name: &str,
            given: $crate::config::setting::Given<'_>,
        ) -> Option<Result<(), String>> {
            self.set_field(name, given)
        }

        fn values(&self) -> Vec<(&'static str, String)> {
            self.values_of()
        }
    };
}

pub(super) use {section, section_parts};
