//! Classes and what they are declared with.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use super::fault::SchemaFault;
use crate::value::{TYPE_DEPTH_MAX, Type, Value};

/// The name a primary key has when none is given; no other key may have it.
pub const PRIMARY_NAME: &str = "primary";

/// The longest name of a database, class, field or index.
pub(crate) const NAME_BYTES_MAX: usize = 64;

/// The most fields a class has.
pub(crate) const FIELDS_MAX: usize = 1024;

/// The most indexes a class has beside its primary key.
pub(crate) const INDEXES_MAX: usize = 64;

/// The code of a class: what rows, logs and snapshots name it by. It never changes while the class lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassId(pub u16);

/// Where the objects of a class live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ClassKind {
    /// On all nodes, through consensus.
    #[default]
    Replicated,
    /// On the node that wrote them, until they are scattered or gathered.
    Distributed,
    /// On the node that wrote them, for ever.
    Local,
}

impl ClassKind {
    /// The word for it in DDL text.
    pub fn word(self) -> &'static str {
        match self {
            ClassKind::Replicated => "replicated",
            ClassKind::Distributed => "distributed",
            ClassKind::Local => "local",
        }
    }
}

/// A field of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, unique in the class.
    pub name: String,
    /// Its type.
    pub field_type: Type,
    /// The value it has in rows written before it was added, when one was declared.
    pub default: Option<Value>,
}

impl Field {
    /// The value of this field in rows that end before it; `None` when such rows are damaged.
    pub fn default_value(&self) -> Option<Value> {
        self.default.clone().or_else(|| self.field_type.implicit_default())
    }
}

/// The primary key of a class.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Primary {
    /// Its name, [`PRIMARY_NAME`] unless it was given another.
    pub name: String,
    /// The numbers of its fields, in the order they are compared.
    pub fields: Vec<usize>,
    /// Whether it is one field that the store numbers.
    pub auto: bool,
}

/// How an index can be searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IndexShape {
    /// By whole keys, ranges and prefixes.
    Ordered,
    /// By whole keys only.
    Hash,
}

/// An index beside the primary key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Index {
    /// Its name, unique in the class.
    pub name: String,
    /// The numbers of its fields, in the order they are compared.
    pub fields: Vec<usize>,
    /// How it can be searched.
    pub shape: IndexShape,
    /// Whether two objects may have the same key in it.
    pub unique: bool,
}

/// A class: what kind of object it is, its fields and its keys.
///
/// Only [`ClassBuilder::build`] makes one, so what it checks holds for every class; the fields are public for reading.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Class {
    /// Its code.
    pub id: ClassId,
    /// Its name.
    pub name: String,
    /// Where its objects live.
    pub kind: ClassKind,
    /// Its fields, in the order they lie in rows.
    pub fields: Vec<Field>,
    /// Its primary key.
    pub primary: Primary,
    /// Its other keys.
    pub indexes: Vec<Index>,
    /// A hash of what typed objects rely on; it is compared at each typed operation, and never kept.
    layout: u64,
}

impl Class {
    /// Begins a class.
    pub fn builder(name: &str, code: u16, kind: ClassKind) -> ClassBuilder {
        ClassBuilder {
            id: ClassId(code),
            name: name.to_owned(),
            kind,
            fields: Vec::new(),
            primaries: Vec::new(),
            indexes: Vec::new(),
        }
    }

    /// The number of the field of this name.
    pub fn field_number(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// The number of the index of this name, in [`Class::indexes`].
    pub fn index_number(&self, name: &str) -> Option<usize> {
        self.indexes.iter().position(|index| index.name == name)
    }

    /// Whether rows, keys and index numbers of this class are those of `other`.
    #[inline]
    pub fn has_layout_of(&self, other: &Class) -> bool {
        self.layout == other.layout
    }

    /// The number of the field that the store numbers, if there is one.
    pub fn auto_field(&self) -> Option<usize> {
        if self.primary.auto { self.primary.fields.first().copied() } else { None }
    }
}

/// Collects what a [`Class`] is declared with.
#[derive(Debug)]
pub struct ClassBuilder {
    id: ClassId,
    name: String,
    kind: ClassKind,
    fields: Vec<Field>,
    primaries: Vec<DeclaredKey>,
    indexes: Vec<(DeclaredKey, IndexShape, bool)>,
}

#[derive(Debug)]
struct DeclaredKey {
    name: String,
    fields: Vec<String>,
    auto: bool,
}

impl ClassBuilder {
    /// Adds a field after those already there.
    #[must_use]
    pub fn field(mut self, name: &str, field_type: Type) -> ClassBuilder {
        self.fields.push(Field { name: name.to_owned(), field_type, default: None });
        self
    }

    /// Adds a field that has this value in rows written before it was added.
    #[must_use]
    pub fn field_with_default(mut self, name: &str, field_type: Type, default: Value) -> ClassBuilder {
        self.fields.push(Field { name: name.to_owned(), field_type, default: Some(default) });
        self
    }

    /// Makes these fields the primary key.
    #[must_use]
    pub fn primary(self, fields: &[&str]) -> ClassBuilder {
        self.primary_named(PRIMARY_NAME, fields)
    }

    /// Makes these fields the primary key, under a name of its own.
    #[must_use]
    pub fn primary_named(mut self, name: &str, fields: &[&str]) -> ClassBuilder {
        self.primaries.push(DeclaredKey::new(name, fields));
        self
    }

    /// Makes this field of type `u64`, declared with [`ClassBuilder::field`], a primary key that the store numbers.
    #[must_use]
    pub fn auto(mut self, field: &str) -> ClassBuilder {
        self.primaries.push(DeclaredKey { auto: true, ..DeclaredKey::new(PRIMARY_NAME, &[field]) });
        self
    }

    /// Adds an ordered index in which several objects may have one key.
    #[must_use]
    pub fn ordered(self, name: &str, fields: &[&str]) -> ClassBuilder {
        self.index(name, fields, IndexShape::Ordered, false)
    }

    /// Adds an ordered index in which each object has its own key.
    #[must_use]
    pub fn unique(self, name: &str, fields: &[&str]) -> ClassBuilder {
        self.index(name, fields, IndexShape::Ordered, true)
    }

    /// Adds a hash index in which several objects may have one key.
    #[must_use]
    pub fn hash(self, name: &str, fields: &[&str]) -> ClassBuilder {
        self.index(name, fields, IndexShape::Hash, false)
    }

    /// Adds a hash index in which each object has its own key.
    #[must_use]
    pub fn unique_hash(self, name: &str, fields: &[&str]) -> ClassBuilder {
        self.index(name, fields, IndexShape::Hash, true)
    }

    /// Adds an index of any kind.
    pub(crate) fn index(
        mut self,
        name: &str,
        fields: &[&str],
        shape: IndexShape,
        unique: bool,
    ) -> ClassBuilder {
        self.indexes.push((DeclaredKey::new(name, fields), shape, unique));
        self
    }

    /// Checks the declaration.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn build(self) -> Result<Class, SchemaFault> {
        if !is_name(&self.name) {
            return Err(self.bad_name("the name", &self.name));
        }
        if self.id.0 == 0 {
            return Err(SchemaFault::CodeZero { class: self.name });
        }
        self.check_fields()?;
        let primary = self.check_primary()?;
        let indexes = self.check_indexes(&primary)?;
        let types: Vec<&Type> = self.fields.iter().map(|field| &field.field_type).collect();
        let layout = FixedState::default().hash_one((types, &primary, &indexes));
        Ok(Class {
            id: self.id,
            name: self.name,
            kind: self.kind,
            fields: self.fields,
            primary,
            indexes,
            layout,
        })
    }

    /// Builds a class whose declaration was checked when the program was compiled.
    ///
    /// # Panics
    /// The declaration is unsound all the same: a default that is a vector with elements or not a number.
    #[doc(hidden)]
    #[expect(clippy::panic, reason = "the program declares what cannot be, and cannot run with it")]
    pub fn build_derived(self) -> Class {
        self.build().unwrap_or_else(|fault| panic!("a derived class is unsound: {fault}"))
    }

    fn check_fields(&self) -> Result<(), SchemaFault> {
        if self.fields.is_empty() || self.fields.len() > FIELDS_MAX {
            return Err(SchemaFault::FieldCount { class: self.name.clone(), count: self.fields.len() });
        }
        for (number, field) in self.fields.iter().enumerate() {
            let names = || (self.name.clone(), field.name.clone());
            if !is_name(&field.name) {
                return Err(self.bad_name("a field", &field.name));
            }
            if self.fields.iter().take(number).any(|earlier| earlier.name == field.name) {
                let (class, field) = names();
                return Err(SchemaFault::FieldTaken { class, field });
            }
            if !is_sound(&field.field_type) {
                let (class, field) = names();
                return Err(SchemaFault::TypeShape { class, field });
            }
            if field.default.as_ref().is_some_and(|value| !is_default_of(&field.field_type, value)) {
                let (class, name) = names();
                let expected = field.field_type.to_string();
                return Err(SchemaFault::DefaultType { class, field: name, expected });
            }
        }
        Ok(())
    }

    fn check_primary(&self) -> Result<Primary, SchemaFault> {
        let declared = match self.primaries.as_slice() {
            [one] => one,
            [] => return Err(SchemaFault::NoPrimary { class: self.name.clone() }),
            _ => return Err(SchemaFault::TwoPrimaries { class: self.name.clone() }),
        };
        let fields = self.resolve(declared)?;
        let is_number =
            |number: &usize| self.fields.get(*number).is_some_and(|field| field.field_type == Type::U64);
        if declared.auto && !fields.iter().all(is_number) {
            let field = declared.fields.first().cloned().unwrap_or_default();
            return Err(SchemaFault::AutoType { class: self.name.clone(), field });
        }
        Ok(Primary { name: declared.name.clone(), fields, auto: declared.auto })
    }

    fn check_indexes(&self, primary: &Primary) -> Result<Vec<Index>, SchemaFault> {
        if self.indexes.len() > INDEXES_MAX {
            return Err(SchemaFault::IndexCount { class: self.name.clone(), count: self.indexes.len() });
        }
        let mut indexes: Vec<Index> = Vec::with_capacity(self.indexes.len());
        for (declared, shape, unique) in &self.indexes {
            let name = declared.name.clone();
            let taken = name == primary.name
                || name == PRIMARY_NAME
                || indexes.iter().any(|earlier| earlier.name == name);
            if taken {
                return Err(SchemaFault::IndexTaken { class: self.name.clone(), index: name });
            }
            let fields = self.resolve(declared)?;
            indexes.push(Index { name, fields, shape: *shape, unique: *unique });
        }
        Ok(indexes)
    }

    /// The numbers of the key's fields.
    fn resolve(&self, key: &DeclaredKey) -> Result<Vec<usize>, SchemaFault> {
        let names = || (self.name.clone(), key.name.clone());
        if !is_name(&key.name) {
            return Err(self.bad_name("a key", &key.name));
        }
        let mut numbers = Vec::with_capacity(key.fields.len());
        for name in &key.fields {
            let Some(number) = self.fields.iter().position(|field| field.name == *name) else {
                let (class, index) = names();
                return Err(SchemaFault::UnknownField { class, index, field: name.clone() });
            };
            if self.fields.get(number).is_none_or(|field| !field.field_type.is_keyable()) {
                let (class, index) = names();
                return Err(SchemaFault::NotKeyable { class, index, field: name.clone() });
            }
            if numbers.contains(&number) {
                let (class, index) = names();
                return Err(SchemaFault::KeyFields { class, index });
            }
            numbers.push(number);
        }
        if numbers.is_empty() {
            let (class, index) = names();
            return Err(SchemaFault::KeyFields { class, index });
        }
        Ok(numbers)
    }

    fn bad_name(&self, what: &'static str, name: &str) -> SchemaFault {
        SchemaFault::Name { what, class: self.name.clone(), name: name.to_owned() }
    }
}

impl DeclaredKey {
    fn new(name: &str, fields: &[&str]) -> DeclaredKey {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        DeclaredKey { name: name.to_owned(), fields, auto: false }
    }
}

/// Whether `text` can name a database, a class, a field or a key.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

fn is_sound(field_type: &Type) -> bool {
    let nested = match field_type {
        Type::Optional(inner) if matches!(**inner, Type::Optional(_)) => return false,
        Type::Optional(inner) | Type::Vector(inner) => inner,
        _ => return true,
    };
    field_type.depth() <= TYPE_DEPTH_MAX && is_sound(nested)
}

/// Defaults can be written in DDL text: vectors with elements and the many values that are not a number cannot.
fn is_default_of(field_type: &Type, value: &Value) -> bool {
    let has_text = match value {
        Value::Vector(items) => items.is_empty(),
        Value::F64(number) => !number.is_nan(),
        _ => true,
    };
    has_text && field_type.accepts(value)
}
