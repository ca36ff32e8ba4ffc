//! A configuration text as a tree in which every key and value knows its place; TOML and YAML become the same tree.
//!
//! Nothing here knows which keys exist. The loader walks the tree against the sections.

use std::{fmt, path::Path, sync::Arc};

use skein_access::position;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    fault::{Fault, Origin},
    yaml,
};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub(super) origin: Origin,
    pub(super) value: Value,
}

/// A value of a file.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i128),
    Float(f64),
    Bool(bool),
    List(Vec<Located>),
    Table(Vec<Entry>),
    /// A date, a time, or a number too large to be one.
    Other(String),
    /// A YAML key with nothing behind it.
    Nothing,
}

/// A key of a table with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_origin: Origin,
    pub(super) node: Located,
}

/// Reads `text` by the ending of the file's name: YAML for `.yaml` and `.yml`, TOML for everything else.
pub(super) fn read(path: &Path, text: &str) -> Result<Vec<Entry>, Vec<Fault>> {
    let file: Arc<str> = Arc::from(path.display().to_string());
    let is_yaml = path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    if is_yaml { yaml::read(&file, text) } else { read_toml(&file, text) }
}

fn read_toml(file: &Arc<str>, text: &str) -> Result<Vec<Entry>, Vec<Fault>> {
    let source = Source { file, text };
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(source.entries(document.get_ref()));
    }
    let fault = |error: &toml::de::Error| {
        let reason = error.message().trim_end().replace('\n', ": ");
        let origin = source.origin(error.span().unwrap_or_default().start);
        Fault { origin, text: format!("this is not TOML: {reason}") }
    };
    Err(errors.iter().map(fault).collect())
}

struct Source<'t> {
    file: &'t Arc<str>,
    text: &'t str,
}

impl Source<'_> {
    fn origin(&self, offset: usize) -> Origin {
        let (line, column) = position(self.text, offset);
        Origin::File { file: Arc::clone(self.file), line, column }
    }

    fn entries(&self, table: &DeTable<'_>) -> Vec<Entry> {
        let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let name: &std::borrow::Cow<'_, str> = key.get_ref();
            Entry { key: name.to_string(), key_origin: self.origin(key.span().start), node: self.node(value) }
        };
        table.iter().map(entry).collect()
    }

    fn node(&self, value: &Spanned<DeValue<'_>>) -> Located {
        let origin = self.origin(value.span().start);
        let value = match value.get_ref() {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => {
                let parsed = i128::from_str_radix(number.as_str(), number.radix());
                parsed.map_or_else(|_too_large| Value::Other(number.as_str().to_owned()), Value::Integer)
            }
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .map_or_else(|_| Value::Other(number.as_str().to_owned()), Value::Float),
            DeValue::Boolean(flag) => Value::Bool(*flag),
            DeValue::Datetime(moment) => Value::Other(moment.to_string()),
            DeValue::Array(items) => Value::List(items.iter().map(|item| self.node(item)).collect()),
            DeValue::Table(table) => Value::Table(self.entries(table)),
        };
        Located { origin, value }
    }
}

impl fmt::Display for Value {
    /// The value as a fault quotes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Bool(flag) => flag.fmt(f),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(|item| item.value.to_string()).collect();
                write!(f, "[{}]", items.join(", "))
            }
            Self::Table(_) => f.write_str("a table"),
            Self::Other(text) => f.write_str(text),
            Self::Nothing => f.write_str("nothing"),
        }
    }
}
