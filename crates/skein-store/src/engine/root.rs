//! The root: the whole state as one value. Cloning it takes a count per class; a clone never changes, which is what
//! readers, certification, snapshots and joining nodes rely on.

use super::class::{ClassState, NotUnique, Stored};
use crate::key::Key;
use crate::row::Row;
use crate::schema::{ClassId, Schema};
use std::sync::Arc;

/// The state after some commit.
#[derive(Clone, Debug)]
pub struct Root {
    pub(crate) index: u64,
    pub(crate) schema: Schema,
    /// In the order of the schema's classes.
    pub(crate) classes: Vec<Arc<ClassState>>,
    /// What the classes weigh together.
    pub(crate) bytes: u64,
}

impl Root {
    /// The empty state of a schema.
    #[must_use]
    pub fn new(schema: Schema) -> Root {
        let classes =
            schema.classes().iter().map(|class| Arc::new(ClassState::new(Arc::clone(class)))).collect();
        Root { index: 0, schema, classes, bytes: 0 }
    }

    /// The index of the last commit applied.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The schema of the state.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// What all rows and index entries weigh.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The rows of a class with their versions, in the order of their primary keys.
    pub fn rows(&self, class: ClassId) -> impl Iterator<Item = (&Key, &Row, u64)> {
        let rows = self.class_of(class).into_iter().flat_map(|class| class.rows.iter());
        rows.map(|(key, stored)| (key, &stored.row, stored.version))
    }

    /// The same objects under a newer schema.
    pub(crate) fn evolved(&self, schema: Schema) -> Result<Root, NotUnique> {
        let mut root = Root::new(schema);
        root.index = self.index;
        for class in &mut root.classes {
            match self.class_of(class.class.id) {
                Some(old) if old.class == class.class => *class = Arc::new(old.clone()),
                Some(old) => *class = Arc::new(old.evolved(Arc::clone(&class.class))?),
                None => {}
            }
        }
        root.bytes = root.classes.iter().map(|class| class.bytes).sum();
        Ok(root)
    }

    pub(crate) fn class(&self, position: usize) -> Option<&ClassState> {
        self.classes.get(position).map(AsRef::as_ref)
    }

    pub(crate) fn class_of(&self, id: ClassId) -> Option<&ClassState> {
        self.class(self.schema.position(id)?)
    }

    pub(crate) fn stored(&self, position: usize, key: &Key) -> Option<&Stored> {
        self.class(position)?.rows.get(key)
    }

    /// The class to be changed: copied first when a reader holds it.
    pub(crate) fn class_mut(&mut self, position: usize) -> Option<&mut ClassState> {
        self.classes.get_mut(position).map(Arc::make_mut)
    }
}
