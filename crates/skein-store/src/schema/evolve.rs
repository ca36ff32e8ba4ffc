//! From one schema to the next: which changes rows survive as they are, and why another one is refused.
//!
//! Rows are never rewritten. So a field may only be added at the end of its class, with a value for the rows that lack
//! it; indexes, which are made from rows, may come and go; classes may be added. Called by the store when the schema it
//! is opened with differs from the stored one.

use std::fmt;

use super::Schema;
use super::class::{Class, ClassId};

/// A step from one schema to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaChange {
    /// A class that was not there.
    AddClass {
        /// The class.
        class: ClassId,
    },
    /// A field at the end of a class; rows without it have its default.
    AddField {
        /// The class.
        class: ClassId,
        /// The name of the field.
        field: String,
    },
    /// An index to be built from the rows.
    AddIndex {
        /// The class.
        class: ClassId,
        /// The name of the index.
        index: String,
    },
    /// An index to be forgotten. One that is declared otherwise than before is dropped and added.
    DropIndex {
        /// The class.
        class: ClassId,
        /// The name of the index.
        index: String,
    },
}

/// A difference that rows would not survive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaDifference {
    /// The name of the class, or `None` when it is about the whole database.
    pub class: Option<String>,
    /// The line of the stored schema, empty when it has none.
    pub old: String,
    /// The line of the new schema, empty when it has none.
    pub new: String,
    /// Why this is refused and what can be done instead.
    pub why: &'static str,
}

/// A new schema that the stored one cannot become; every difference is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvolveFault {
    /// The differences.
    pub differences: Vec<SchemaDifference>,
}

impl std::error::Error for EvolveFault {}

impl fmt::Display for EvolveFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stored schema cannot become the new one:")?;
        for difference in &self.differences {
            match &difference.class {
                Some(class) => write!(f, "\nclass {class}: {}", difference.why)?,
                None => write!(f, "\ndatabase: {}", difference.why)?,
            }
            if !difference.old.is_empty() {
                write!(f, "\n  - {}", difference.old)?;
            }
            if !difference.new.is_empty() {
                write!(f, "\n  + {}", difference.new)?;
            }
        }
        Ok(())
    }
}

const RENAMED_DATABASE: &str = "the name differs: is this the right data directory?";
const DROPPED_CLASS: &str =
    "a class cannot be removed; keep its declaration, or move the data to a new database";
const CHANGED_HEAD: &str =
    "name and kind of a class code cannot change; give the new class a code of its own";
const CHANGED_FIELD: &str =
    "a field cannot be changed, moved or removed; keep it and add a new one at the end";
const NO_DEFAULT: &str =
    "a new field needs a default for the rows that exist: declare one, or make it optional";
const CHANGED_PRIMARY: &str = "the primary key cannot change; add an index, or a new class";

impl Schema {
    /// The changes that make this schema the `newer` one; none when they are equal.
    ///
    /// # Errors
    /// Rows written under this schema could not be read under the newer one.
    pub fn evolve(&self, newer: &Schema) -> Result<Vec<SchemaChange>, EvolveFault> {
        let mut evolution = Evolution::default();
        if self.name() != newer.name() {
            let line = |name: &str| format!("declare database {name};");
            evolution.refuse(None, line(self.name()), line(newer.name()), RENAMED_DATABASE);
        }
        for old in self.classes() {
            match newer.class(old.id) {
                Some(new) => evolution.class(old, new),
                None => evolution.refuse(Some(old), old.head_line(), String::new(), DROPPED_CLASS),
            }
        }
        let added = newer.classes().iter().filter(|class| self.class(class.id).is_none());
        evolution.changes.extend(added.map(|class| SchemaChange::AddClass { class: class.id }));
        if evolution.differences.is_empty() {
            Ok(evolution.changes)
        } else {
            Err(EvolveFault { differences: evolution.differences })
        }
    }
}

#[derive(Default)]
struct Evolution {
    changes: Vec<SchemaChange>,
    differences: Vec<SchemaDifference>,
}

impl Evolution {
    fn class(&mut self, old: &Class, new: &Class) {
        if old.name != new.name || old.kind != new.kind {
            self.refuse(Some(old), old.head_line(), new.head_line(), CHANGED_HEAD);
        }
        self.fields(old, new);
        if old.primary != new.primary {
            self.refuse(Some(old), old.primary_line(), new.primary_line(), CHANGED_PRIMARY);
        }
        self.indexes(old, new);
    }

    fn fields(&mut self, old: &Class, new: &Class) {
        for number in 0..old.fields.len() {
            if old.fields.get(number) != new.fields.get(number) {
                self.refuse(Some(old), old.field_line(number), new.field_line(number), CHANGED_FIELD);
            }
        }
        for (number, field) in new.fields.iter().enumerate().skip(old.fields.len()) {
            if field.default_value().is_none() {
                self.refuse(Some(old), String::new(), new.field_line(number), NO_DEFAULT);
            }
            self.changes.push(SchemaChange::AddField { class: new.id, field: field.name.clone() });
        }
    }

    fn indexes(&mut self, old: &Class, new: &Class) {
        let class = new.id;
        for index in &old.indexes {
            if !has_index(new, old, &index.name) {
                self.changes.push(SchemaChange::DropIndex { class, index: index.name.clone() });
            }
        }
        for index in &new.indexes {
            if !has_index(old, new, &index.name) {
                self.changes.push(SchemaChange::AddIndex { class, index: index.name.clone() });
            }
        }
    }

    fn refuse(&mut self, class: Option<&Class>, old: String, new: String, why: &'static str) {
        let class = class.map(|class| class.name.clone());
        self.differences.push(SchemaDifference { class, old, new, why });
    }
}

/// Whether `class` has the index that `model` has under this name.
fn has_index(class: &Class, model: &Class, name: &str) -> bool {
    let find = |class: &Class| class.indexes.iter().find(|index| index.name == name).cloned();
    find(class) == find(model)
}
