//! Rust types as objects of classes.
//!
//! `#[derive(Object)]` implements [`Object`]; the types of fields are in `row/field_type.rs`. Nothing on this path looks at a
//! class: types that agree with it are what makes it fast. Called by the store's typed operations.

use crate::key::Key;
use crate::row::{ObjectKey, Row, RowFault, RowReader, RowWriter};
use crate::schema::{Class, Schema, SchemaBuilder};

/// A Rust type whose values are the objects of a class.
///
/// Derive it for a struct with named fields whose types implement `FieldType`:
///
/// ```
/// use skein_store::{Object, ObjectKey, Time};
///
/// #[derive(Object, Debug, PartialEq)]
/// #[class(code = 7, kind = "replicated", index(name = "by_owner", fields(owner, id)))]
/// struct Account {
///     #[auto]
///     id: u64,
///     owner: String,
///     #[index(unique, hash)]
///     mail: Option<String>,
///     #[default_value(100)]
///     limit: u32,
///     #[default_value(Time(0))]
///     seen: Time,
/// }
///
/// let account = Account { id: 1, owner: "ann".into(), mail: None, limit: 5, seen: Time(0) };
/// assert_eq!(Account::from_row(&account.to_row()).unwrap(), account);
/// assert_eq!(account.primary_key(), 1u64.to_key());
/// assert_eq!(Account::class().indexes[Account::INDEX_BY_MAIL].name, "by_mail");
/// ```
///
/// On the struct, `#[class(..)]` takes `code = 1` (required; it stays for ever), `name = ".."` (else the struct's name),
/// `kind = "replicated" | "distributed" | "local"` (else replicated), `primary(a, b)` for a primary key in another order
/// than the fields', and any number of `index(name = "..", fields(a, b), unique, hash)`.
///
/// On a field, `#[primary]` makes it (with all others so marked, in order) the primary key, `#[auto]` a primary key of
/// type `u64` that the store numbers, `#[index]` or `#[index(unique, hash, name = "..")]` an index of this field, called
/// `by_` and the field unless named. `#[default_value(expression)]` gives the value for rows written before the field was added;
/// optional fields and vectors need none.
///
/// Each index also becomes a constant, `INDEX_` and its name in capitals: its number in [`Class::indexes`].
///
/// What the macro cannot know is refused by the compiler: keys of vectors,
///
/// ```compile_fail,E0277
/// #[derive(skein_store::Object)]
/// #[class(code = 1)]
/// struct Tagged {
///     #[primary]
///     id: u64,
///     #[index]
///     tags: Vec<u8>,
/// }
/// ```
///
/// numbered fields that are no `u64`,
///
/// ```compile_fail,E0308
/// #[derive(skein_store::Object)]
/// #[class(code = 1)]
/// struct Numbered {
///     #[auto]
///     id: u32,
/// }
/// ```
///
/// optionals in optionals,
///
/// ```compile_fail,E0080
/// #[derive(skein_store::Object)]
/// #[class(code = 1)]
/// struct Doubtful {
///     #[primary]
///     id: u64,
///     name: Option<Option<String>>,
/// }
/// ```
///
/// and types that lie too deep inside each other.
///
/// ```compile_fail,E0080
/// #[derive(skein_store::Object)]
/// #[class(code = 1)]
/// struct Deep {
///     #[primary]
///     id: u64,
///     cube: Vec<Vec<Vec<Vec<u8>>>>,
/// }
/// ```
pub trait Object: Sized {
    /// The fields of the primary key, borrowed: the field's key type, or a tuple of them.
    type Key<'a>: ObjectKey;

    /// The class, the same at every call.
    fn class() -> &'static Class;

    /// The encoded primary key.
    fn primary_key(&self) -> Key;

    /// Writes the fields in the order of the class.
    fn write(&self, out: &mut RowWriter<'_>);

    /// Reads what [`Object::write`] wrote, now or before fields were added.
    ///
    /// # Errors
    /// The bytes are not a row of the class.
    fn read(row: &mut RowReader<'_>) -> Result<Self, RowFault>;

    /// Takes the number the store gave; does nothing in classes without an auto id.
    fn set_auto_id(&mut self, _id: u64) {}

    /// Encodes the object.
    fn to_row(&self) -> Row {
        Row::encode(|out| self.write(out))
    }

    /// Decodes an object; its bytes fields share the row's memory.
    ///
    /// # Errors
    /// The bytes are not a row of the class.
    fn from_row(row: &Row) -> Result<Self, RowFault> {
        let mut reader = RowReader::new(row)?;
        let object = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(object)
    }
}

impl Schema {
    /// Where the class of a Rust type stands. `None` when there is no such class, or one with other fields, keys or
    /// indexes than the type's, which would misread the type's rows.
    pub fn position_of<T: Object>(&self) -> Option<usize> {
        let class = T::class();
        let position = self.position(class.id)?;
        self.classes().get(position).filter(|found| found.has_layout_of(class)).map(|_| position)
    }
}

impl SchemaBuilder {
    /// Adds the class of a Rust type.
    #[must_use]
    pub fn object<T: Object>(self) -> SchemaBuilder {
        self.class(T::class().clone())
    }
}
