//! What can be wrong with a declaration, and with values that are to become a row or a key.

use super::class::{FIELDS_MAX, INDEXES_MAX, NAME_BYTES_MAX};
use crate::value::TYPE_DEPTH_MAX;

/// A declaration that makes no schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaFault {
    /// The name of the database is not a name.
    #[error(
        "{name:?} cannot name a database: use 1 to {NAME_BYTES_MAX} letters, digits and underscores, not beginning with a digit"
    )]
    DatabaseName {
        /// The name given.
        name: String,
    },
    /// The name of a class, a field or an index is not a name.
    #[error(
        "{what} of class {class:?}: {name:?} is not a name: use 1 to {NAME_BYTES_MAX} letters, digits and underscores, not beginning with a digit"
    )]
    Name {
        /// What is named.
        what: &'static str,
        /// The class.
        class: String,
        /// The name given.
        name: String,
    },
    /// Code 0 is kept free.
    #[error("class {class} has the code 0: class codes are 1 to 65535")]
    CodeZero {
        /// The class.
        class: String,
    },
    /// Two classes with one code.
    #[error("classes {first} and {second} have the same code {code}: give each its own")]
    CodeTaken {
        /// One class.
        first: String,
        /// The other.
        second: String,
        /// The code of both.
        code: u16,
    },
    /// Two classes with one name.
    #[error("there are two classes named {class}: rename one")]
    ClassNameTaken {
        /// The name of both.
        class: String,
    },
    /// Too many classes.
    #[error("{count} classes: a schema has at most {max}", max = super::CLASSES_MAX)]
    TooManyClasses {
        /// How many there are.
        count: usize,
    },
    /// No fields, or too many.
    #[error("class {class} has {count} fields: a class has 1 to {FIELDS_MAX}")]
    FieldCount {
        /// The class.
        class: String,
        /// How many there are.
        count: usize,
    },
    /// Too many indexes.
    #[error("class {class} has {count} indexes: a class has at most {INDEXES_MAX} beside its primary key")]
    IndexCount {
        /// The class.
        class: String,
        /// How many there are.
        count: usize,
    },
    /// Two fields with one name.
    #[error("class {class} has two fields named {field}: rename one")]
    FieldTaken {
        /// The class.
        class: String,
        /// The name of both.
        field: String,
    },
    /// Two indexes with one name, or one with the name of the primary key.
    #[error("class {class} has two keys named {index}: rename one ({primary:?} is kept for the primary key)", primary = super::PRIMARY_NAME)]
    IndexTaken {
        /// The class.
        class: String,
        /// The name of both.
        index: String,
    },
    /// A key names a field that the class has not.
    #[error("key {index} of class {class} names the field {field}, which the class does not have")]
    UnknownField {
        /// The class.
        class: String,
        /// The key.
        index: String,
        /// The field.
        field: String,
    },
    /// A key without fields, or with one twice.
    #[error("key {index} of class {class} needs at least one field, and each only once")]
    KeyFields {
        /// The class.
        class: String,
        /// The key.
        index: String,
    },
    /// A key over a field that has no order.
    #[error(
        "key {index} of class {class}: field {field} is a vector, which cannot be in a key; keep its elements as objects of a class of their own"
    )]
    NotKeyable {
        /// The class.
        class: String,
        /// The key.
        index: String,
        /// The field.
        field: String,
    },
    /// No primary key.
    #[error("class {class} has no primary key: declare a unique key or an auto id")]
    NoPrimary {
        /// The class.
        class: String,
    },
    /// More than one primary key.
    #[error("class {class} has more than one primary key: keep one and make the others unique indexes")]
    TwoPrimaries {
        /// The class.
        class: String,
    },
    /// An auto id that is not one 64-bit field without a default.
    #[error("class {class}: the auto id {field} must be of type uint8 (u64) and have no default")]
    AutoType {
        /// The class.
        class: String,
        /// The field.
        field: String,
    },
    /// A type that makes no sense or nests too deep.
    #[error(
        "field {field} of class {class}: an optional cannot hold an optional, and at most {TYPE_DEPTH_MAX} types lie inside each other"
    )]
    TypeShape {
        /// The class.
        class: String,
        /// The field.
        field: String,
    },
    /// A default that is not of the field's type.
    #[error(
        "field {field} of class {class}: the default is not a {expected}, or it is a vector with elements or not a number"
    )]
    DefaultType {
        /// The class.
        class: String,
        /// The field.
        field: String,
        /// The field's type.
        expected: String,
    },
}

/// Values that cannot become a row or a key of a class.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueFault {
    /// A row needs a value for each field.
    #[error(
        "class {class} has {expected} fields, but {given} values were given: give one for each field, in order"
    )]
    Count {
        /// The class.
        class: String,
        /// The number of its fields.
        expected: usize,
        /// The number of values.
        given: usize,
    },
    /// More values than the key has fields.
    #[error("key {index} of class {class} has {expected} fields, but {given} values were given")]
    KeyCount {
        /// The class.
        class: String,
        /// The key.
        index: String,
        /// The number of its fields.
        expected: usize,
        /// The number of values.
        given: usize,
    },
    /// A value of another type than its field.
    #[error("field {field} of class {class} is of type {expected}, but the value given is a {given}")]
    Type {
        /// The class.
        class: String,
        /// The field.
        field: String,
        /// Its type.
        expected: String,
        /// The type of the value.
        given: &'static str,
    },
    /// An index the class does not have.
    #[error("class {class} has no index number {index}")]
    NoIndex {
        /// The class.
        class: String,
        /// The number given.
        index: usize,
    },
}
