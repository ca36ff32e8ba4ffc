//! YAML as the same tree as TOML.
//!
//! Only `true` and `false` are truth values, so that `off` stays a text and means in YAML what it means in TOML. A key
//! may be written with dots, as in `mqtt.listen: …`. Aliases are bounded by the parser's budget.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{DuplicateKeyPolicy, Location, MergeKeyPolicy, Spanned};

use super::{
    document::{Entry, Located, Value},
    fault::{Fault, Origin},
};

pub(super) fn read(file: &Arc<str>, text: &str) -> Result<Vec<Entry>, Vec<Fault>> {
    // A file with nothing but comments is an empty configuration, as it is in TOML.
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Vec::new());
    }
    let options = serde_saphyr::options! {
        strict_booleans: true,
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Merge,
    };
    let source = Source { file };
    let parsed: Result<Spanned<Raw>, _> = serde_saphyr::from_str_with_options(text, options);
    let root = parsed.map_err(|error| {
        let origin = source.origin(error.location());
        let reason = error.without_snippet().to_string();
        let reason = reason.lines().next().unwrap_or_default().to_owned();
        vec![Fault { origin, text: format!("this is not YAML: {reason}") }]
    })?;
    let node = source.node(root);
    match node.value {
        Value::Table(entries) => Ok(nest_dotted(entries)),
        Value::Nothing => Ok(Vec::new()),
        value => Err(vec![Fault { origin: node.origin, text: format!("{value} is not a table of keys") }]),
    }
}

/// Makes `mqtt.listen: x` a table `mqtt` with the key `listen`, as TOML does.
fn nest_dotted(entries: Vec<Entry>) -> Vec<Entry> {
    let nest = |entry: Entry| {
        let Some((table, key)) = entry.key.split_once('.') else { return entry };
        let inner = Entry { key: key.to_owned(), key_origin: entry.key_origin.clone(), node: entry.node };
        Entry {
            key: table.to_owned(),
            node: Located { origin: entry.key_origin.clone(), value: Value::Table(vec![inner]) },
            key_origin: entry.key_origin,
        }
    };
    entries.into_iter().map(nest).collect()
}

struct Source<'f> {
    file: &'f Arc<str>,
}

impl Source<'_> {
    fn origin(&self, location: Option<Location>) -> Origin {
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).max(1);
        let (line, column) = location.map_or((1, 1), |at| (number(at.line()), number(at.column())));
        Origin::File { file: Arc::clone(self.file), line, column }
    }

    fn node(&self, raw: Spanned<Raw>) -> Located {
        let origin = self.origin(Some(raw.referenced));
        let value = match raw.value {
            Raw::Scalar(value) => value,
            Raw::List(items) => Value::List(items.into_iter().map(|item| self.node(item)).collect()),
            Raw::Table(entries) => Value::Table(entries.into_iter().map(|entry| self.entry(entry)).collect()),
        };
        Located { origin, value }
    }

    fn entry(&self, (key, raw): (Spanned<String>, Spanned<Raw>)) -> Entry {
        let key_origin = self.origin(Some(key.referenced));
        Entry { key: key.value, key_origin, node: self.node(raw) }
    }
}

/// A YAML value before its places are turned into ours.
enum Raw {
    Scalar(Value),
    List(Vec<Spanned<Raw>>),
    Table(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Bool(flag)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Integer(number.into())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Integer(number.into())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Float(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Text(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Nothing))
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Nothing))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut table = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            table.push(entry);
        }
        Ok(Raw::Table(table))
    }
}
