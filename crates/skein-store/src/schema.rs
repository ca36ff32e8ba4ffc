//! Schemas: the classes of a database, their fields, keys and indexes.
//!
//! A schema is checked once, when it is built, and never changes afterwards; everything else relies on what was
//! checked. Build one with [`Schema::builder`], from Rust types ([`SchemaBuilder::object`]) or from DDL text
//! ([`Schema::parse_ddl`]). Called by the store when it is opened, by its log and snapshots, and by tools.

mod catalogue;
mod class;
mod evolve;
mod fault;
mod key_values;
mod print;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

pub use catalogue::{CATALOGUE_FORMAT, CatalogueFault};
pub use class::{Class, ClassBuilder, ClassId, ClassKind, Field, Index, IndexShape, PRIMARY_NAME, Primary};
pub(crate) use class::{FIELDS_MAX, INDEXES_MAX, NAME_BYTES_MAX, is_name};
pub use evolve::{EvolveFault, SchemaChange, SchemaDifference};
pub use fault::{SchemaFault, ValueFault};

/// The most classes a schema has.
pub const CLASSES_MAX: usize = 4096;

/// The classes of a database. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Schema(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    classes: Vec<Arc<Class>>,
    /// Looked up at each statement; codes come from the program, so a fixed hash is enough.
    positions: HashMap<ClassId, usize, FixedState>,
    names: HashMap<String, usize>,
}

impl Schema {
    /// Begins a schema for a database of this name.
    pub fn builder(name: &str) -> SchemaBuilder {
        SchemaBuilder { name: name.to_owned(), classes: Vec::new() }
    }

    /// The name of the database.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// All classes, ordered by their codes.
    pub fn classes(&self) -> &[Arc<Class>] {
        &self.0.classes
    }

    /// Where in [`Schema::classes`] the class stands: the dense number that tables of classes are indexed with. It is
    /// only valid with this schema.
    pub fn position(&self, id: ClassId) -> Option<usize> {
        self.0.positions.get(&id).copied()
    }

    /// The class with this code.
    pub fn class(&self, id: ClassId) -> Option<&Arc<Class>> {
        self.0.classes.get(self.position(id)?)
    }

    /// The class of this name.
    pub fn class_named(&self, name: &str) -> Option<&Arc<Class>> {
        self.0.classes.get(*self.0.names.get(name)?)
    }
}

/// Two schemas are equal when their databases are named alike and have the same classes.
impl PartialEq for Schema {
    fn eq(&self, other: &Schema) -> bool {
        self.0.name == other.0.name && self.0.classes == other.0.classes
    }
}

impl Eq for Schema {}

/// Collects the classes of a [`Schema`].
#[derive(Debug)]
pub struct SchemaBuilder {
    name: String,
    classes: Vec<Arc<Class>>,
}

impl SchemaBuilder {
    /// Adds a class.
    #[must_use]
    pub fn class(mut self, class: impl Into<Arc<Class>>) -> SchemaBuilder {
        self.classes.push(class.into());
        self
    }

    /// Checks the classes against each other.
    ///
    /// # Errors
    /// Two classes share a code or a name, the database's name is not a name, or there are too many classes.
    pub fn build(mut self) -> Result<Schema, SchemaFault> {
        if !is_name(&self.name) {
            return Err(SchemaFault::DatabaseName { name: self.name });
        }
        if self.classes.len() > CLASSES_MAX {
            return Err(SchemaFault::TooManyClasses { count: self.classes.len() });
        }
        self.classes.sort_by_key(|class| class.id);
        let mut positions = HashMap::default();
        let mut names: HashMap<String, usize> = HashMap::new();
        for (position, class) in self.classes.iter().enumerate() {
            if let Some(first) = positions.insert(class.id, position) {
                let first = self.classes.get(first).map(|class| class.name.clone()).unwrap_or_default();
                return Err(SchemaFault::CodeTaken { first, second: class.name.clone(), code: class.id.0 });
            }
            if names.insert(class.name.clone(), position).is_some() {
                return Err(SchemaFault::ClassNameTaken { class: class.name.clone() });
            }
        }
        Ok(Schema(Arc::new(Inner { name: self.name, classes: self.classes, positions, names })))
    }
}

/// Runs the Rust examples of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/store/schema.md")]
struct Documentation;
