//! Schemas as DDL text: what `ddl.rs` parses to the same schema, and the lines that differences are shown with.

use std::fmt;

use super::Schema;
use super::class::{Class, Field, Index, IndexShape};

impl Schema {
    /// The schema as DDL text, which parses to an equal one.
    pub fn to_ddl(&self) -> String {
        let mut text = format!("declare database {};\n", self.name());
        for class in self.classes() {
            text.push('\n');
            text.push_str(&class.to_ddl());
        }
        text
    }
}

impl Class {
    /// The class as DDL text.
    pub fn to_ddl(&self) -> String {
        let mut text = format!("{} {{\n", self.head_line());
        for number in 0..self.fields.len() {
            text.push_str("    ");
            text.push_str(&self.field_line(number));
            text.push('\n');
        }
        if !self.primary.auto {
            text.push_str("\n    ");
            text.push_str(&self.primary_line());
            text.push('\n');
        } else if !self.indexes.is_empty() {
            text.push('\n');
        }
        for index in &self.indexes {
            text.push_str("    ");
            text.push_str(&self.index_line(index));
            text.push('\n');
        }
        text.push_str("}\n");
        text
    }

    /// The class's kind, name and code.
    pub(crate) fn head_line(&self) -> String {
        format!("{} class {} = {}", self.kind.word(), self.name, self.id.0)
    }

    /// The declaration of a field; of an auto id too.
    pub(crate) fn field_line(&self, number: usize) -> String {
        let Some(field) = self.fields.get(number) else { return String::new() };
        if self.auto_field() == Some(number) {
            return format!("autoid {};", field.name);
        }
        format!("{} {}{};", field.field_type, field.name, DefaultOf(field))
    }

    /// The declaration of the primary key.
    pub(crate) fn primary_line(&self) -> String {
        if let Some(number) = self.auto_field() {
            return self.field_line(number);
        }
        format!("unique tree<{}> {};", self.field_names(&self.primary.fields), self.primary.name)
    }

    /// The declaration of an index.
    pub(crate) fn index_line(&self, index: &Index) -> String {
        let unique = if index.unique { "unique " } else { "" };
        let shape = match index.shape {
            IndexShape::Ordered => "tree",
            IndexShape::Hash => "hash",
        };
        format!("{unique}{shape}<{}> {};", self.field_names(&index.fields), index.name)
    }

    fn field_names(&self, numbers: &[usize]) -> String {
        let names = numbers.iter().filter_map(|number| self.fields.get(*number));
        names.map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// The declared default of a field, with its equals sign.
struct DefaultOf<'a>(&'a Field);

impl fmt::Display for DefaultOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.default {
            None => Ok(()),
            Some(value) => write!(f, " = {value}"),
        }
    }
}
