//! Schemas as bytes: what the log and snapshots say their rows were written with.
//!
//! Layout: a format version, the database's name, then the classes by code: code, name, kind, fields (name, type,
//! default), primary key (name, auto id, field numbers) and indexes (name, shape, unique, field numbers). Numbers, text
//! and values are laid out as in rows. What is read goes through the builders, so bytes that decode are a sound schema.
#![warn(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::arithmetic_side_effects
)]

use super::class::{Class, ClassBuilder, ClassKind, Field, IndexShape};
use super::{Schema, SchemaFault};
use crate::row::{RowFault, RowReader, RowWriter};
use crate::value::{TYPE_DEPTH_MAX, Type};

/// The version of the catalogue's layout that is written, and the newest that is read.
pub const CATALOGUE_FORMAT: u8 = 1;

/// Bytes that are not the catalogue of a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueFault {
    /// There are no bytes.
    #[error("the stored schema is empty: the file that holds it is damaged; restore it from a backup")]
    Empty,
    /// A format this program does not know.
    #[error(
        "the stored schema has format version {found}, this program reads up to {CATALOGUE_FORMAT}: use the newer program that wrote it"
    )]
    UnknownFormat {
        /// The version found.
        found: u8,
    },
    /// The bytes end too early, or a number in them has no meaning.
    #[error("the stored schema is damaged at byte {offset}: restore the file that holds it from a backup")]
    Damaged {
        /// How many bytes made sense.
        offset: usize,
    },
    /// The bytes describe a schema that no builder would have built.
    #[error("the stored schema is not sound, the file that holds it is damaged")]
    Unsound(#[from] SchemaFault),
}

impl Schema {
    /// Encodes the schema.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![CATALOGUE_FORMAT];
        let mut out = RowWriter::bare(&mut bytes);
        out.str(self.name());
        out.count(self.classes().len());
        for class in self.classes() {
            write_class(class, &mut out);
        }
        bytes
    }

    /// Decodes a schema.
    ///
    /// # Errors
    /// The bytes are damaged or of a newer format.
    pub fn from_bytes(bytes: &[u8]) -> Result<Schema, CatalogueFault> {
        let rest = match bytes.split_first() {
            Some((&CATALOGUE_FORMAT, rest)) => rest,
            Some((&found, _)) => return Err(CatalogueFault::UnknownFormat { found }),
            None => return Err(CatalogueFault::Empty),
        };
        let mut reader = RowReader::bare(rest);
        let damaged = |fault: RowFault| CatalogueFault::Damaged { offset: fault.offset().saturating_add(1) };
        let name = reader.str().map_err(damaged)?;
        let mut builder = Schema::builder(name);
        for _ in 0..reader.count().map_err(damaged)? {
            let class = read_class(&mut reader).map_err(damaged)?;
            builder = builder.class(class.build()?);
        }
        reader.finish().map_err(damaged)?;
        Ok(builder.build()?)
    }
}

fn write_class(class: &Class, out: &mut RowWriter<'_>) {
    out.unsigned(u64::from(class.id.0));
    out.str(&class.name);
    out.u8(match class.kind {
        ClassKind::Replicated => 0,
        ClassKind::Distributed => 1,
        ClassKind::Local => 2,
    });
    out.count(class.fields.len());
    for field in &class.fields {
        write_field(field, out);
    }
    out.str(&class.primary.name);
    out.bool(class.primary.auto);
    write_numbers(&class.primary.fields, out);
    out.count(class.indexes.len());
    for index in &class.indexes {
        out.str(&index.name);
        out.u8(match index.shape {
            IndexShape::Ordered => 0,
            IndexShape::Hash => 1,
        });
        out.bool(index.unique);
        write_numbers(&index.fields, out);
    }
}

fn write_field(field: &Field, out: &mut RowWriter<'_>) {
    out.str(&field.name);
    write_type(&field.field_type, out);
    match &field.default {
        None => out.absent(),
        Some(value) => {
            out.present();
            out.value(&field.field_type, value);
        }
    }
}

fn write_numbers(numbers: &[usize], out: &mut RowWriter<'_>) {
    out.count(numbers.len());
    for number in numbers {
        out.count(*number);
    }
}

const PLAIN_TYPES: [(u8, Type); 13] = [
    (1, Type::Bool),
    (2, Type::U8),
    (3, Type::U16),
    (4, Type::U32),
    (5, Type::U64),
    (6, Type::I8),
    (7, Type::I16),
    (8, Type::I32),
    (9, Type::I64),
    (10, Type::F64),
    (11, Type::String),
    (12, Type::Bytes),
    (13, Type::Time),
];
const OPTIONAL_TAG: u8 = 32;
const VECTOR_TAG: u8 = 33;

fn write_type(field_type: &Type, out: &mut RowWriter<'_>) {
    match field_type {
        Type::Optional(inner) => {
            out.u8(OPTIONAL_TAG);
            write_type(inner, out);
        }
        Type::Vector(inner) => {
            out.u8(VECTOR_TAG);
            write_type(inner, out);
        }
        plain => out.u8(PLAIN_TYPES.iter().find(|(_, other)| other == plain).map_or(0, |(tag, _)| *tag)),
    }
}

fn read_class(reader: &mut RowReader<'_>) -> Result<ClassBuilder, RowFault> {
    let code = reader.unsigned()?;
    let name = reader.str()?;
    let kind = match reader.u8()? {
        0 => ClassKind::Replicated,
        1 => ClassKind::Distributed,
        2 => ClassKind::Local,
        _ => return Err(reader.meaningless()),
    };
    let mut builder = Class::builder(name, code, kind);
    let mut names = Vec::new();
    for _ in 0..reader.count()? {
        let name = reader.str()?;
        names.push(name);
        let field_type = read_type(reader, TYPE_DEPTH_MAX)?;
        builder = if reader.present()? {
            let default = reader.value(&field_type)?;
            builder.field_with_default(name, field_type, default)
        } else {
            builder.field(name, field_type)
        };
    }
    let name = reader.str()?;
    let auto = reader.bool()?;
    let fields = read_names(reader, &names)?;
    builder = match (auto, fields.as_slice()) {
        (true, [field]) => builder.auto(field),
        (true, _) => return Err(reader.meaningless()),
        (false, fields) => builder.primary_named(name, fields),
    };
    for _ in 0..reader.count()? {
        let name = reader.str()?;
        let shape = match reader.u8()? {
            0 => IndexShape::Ordered,
            1 => IndexShape::Hash,
            _ => return Err(reader.meaningless()),
        };
        let unique = reader.bool()?;
        let fields = read_names(reader, &names)?;
        builder = builder.index(name, &fields, shape, unique);
    }
    Ok(builder)
}

/// Reads the numbers of fields, as the names of those fields.
fn read_names<'a>(reader: &mut RowReader<'_>, names: &[&'a str]) -> Result<Vec<&'a str>, RowFault> {
    let mut fields = Vec::new();
    for _ in 0..reader.count()? {
        let number: usize = reader.unsigned()?;
        fields.push(*names.get(number).ok_or_else(|| reader.meaningless())?);
    }
    Ok(fields)
}

fn read_type(reader: &mut RowReader<'_>, depth: usize) -> Result<Type, RowFault> {
    let inner_depth = depth.checked_sub(1).ok_or_else(|| reader.meaningless())?;
    match reader.u8()? {
        OPTIONAL_TAG => Ok(Type::Optional(Box::new(read_type(reader, inner_depth)?))),
        VECTOR_TAG => Ok(Type::Vector(Box::new(read_type(reader, inner_depth)?))),
        tag => match PLAIN_TYPES.iter().find(|(known, _)| *known == tag) {
            Some((_, plain)) => Ok(plain.clone()),
            None => Err(reader.meaningless()),
        },
    }
}

impl RowReader<'_> {
    /// A number that was read has no meaning in a catalogue.
    fn meaningless(&self) -> RowFault {
        self.fault(crate::row::RowFaultKind::BadInteger)
    }
}
