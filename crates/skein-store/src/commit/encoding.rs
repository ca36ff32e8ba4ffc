//! Entries of the log: commits and schemas as bytes.
//!
//! Layout: a format version, a kind, then
//!
//! ```text
//! commit   snapshot + 1, or 0; reads: count, then class, expect, key; ranges: count, then class, index + 1 or 0, low key,
//!          0 or 1 and the high key, count; writes: count, then class, 0 (delete) or 1 (put), expect, key or row
//! schema   the catalogue
//! expect   0 any, 1 absent, 2 and the version
//! ```
//!
//! Numbers are LEB128, keys and rows their length and themselves, classes their codes. A put carries no key: the row has
//! it. Foreign bytes are refused and never panic; the log's checksums have let them through, so a refusal is damage that
//! was written, or a schema that does not fit.
#![warn(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::arithmetic_side_effects
)]

use super::{Commit, Expect, RangeRead, Read, Write};
use crate::key::Key;
use crate::range::KeyRange;
use crate::row::{Row, RowFault, RowReader, RowWriter};
use crate::schema::{CatalogueFault, ClassId, Schema};

/// The version of the layout that is written, and the newest that is read.
pub(crate) const ENTRY_FORMAT: u8 = 1;

const KIND_COMMIT: u8 = 1;
const KIND_SCHEMA: u8 = 2;

/// An entry of the log.
#[derive(Debug)]
pub(crate) enum Entry {
    Commit(Commit),
    /// From here on the store has this schema.
    Schema(Schema),
}

/// Why an entry of the log cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum EntryFault {
    /// A newer program wrote it.
    #[error("it has format version {found}, this program reads up to {ENTRY_FORMAT}: use the newer program")]
    UnknownFormat {
        /// The version found.
        found: u8,
    },
    /// It is of a kind this program does not know.
    #[error("it is of the unknown kind {found}: use the newer program that wrote it")]
    UnknownKind {
        /// The kind found.
        found: u8,
    },
    /// It writes to a class the schema does not have.
    #[error("it names class {code}, which the schema does not have")]
    UnknownClass {
        /// The class's code.
        code: u16,
    },
    /// Its bytes make no sense.
    #[error("its bytes make no sense: restore the data directory from a snapshot or a dump")]
    Damaged(#[from] RowFault),
    /// A unique index of the schema in it does not fit the rows.
    #[error("its schema does not fit the rows before it: {0}")]
    NotUnique(String),
    /// The schema in it cannot be read.
    #[error("the schema in it cannot be read")]
    Catalogue(#[from] CatalogueFault),
}

/// Appends a commit as an entry.
pub(crate) fn encode_commit(commit: &Commit, schema: &Schema, out: &mut Vec<u8>) {
    out.extend_from_slice(&[ENTRY_FORMAT, KIND_COMMIT]);
    let code = |position: u16| {
        let class = schema.classes().get(usize::from(position));
        class.map_or(0, |class| u64::from(class.id.0))
    };
    let mut out = RowWriter::bare(out);
    out.unsigned(commit.snapshot.map_or(0, |index| index.saturating_add(1)));
    out.count(commit.reads.len());
    for read in &commit.reads {
        out.unsigned(code(read.class));
        write_expect(&mut out, read.expect);
        out.bytes(read.key.as_slice());
    }
    out.count(commit.ranges.len());
    for range in &commit.ranges {
        out.unsigned(code(range.class));
        out.unsigned(range.index.map_or(0, |index| u64::from(index).saturating_add(1)));
        write_range(&mut out, &range.range);
        out.unsigned(range.count);
    }
    out.count(commit.writes.len());
    for write in &commit.writes {
        out.unsigned(code(write.class));
        out.bool(write.row.is_some());
        write_expect(&mut out, write.expect);
        out.bytes(write.row.as_ref().map_or(write.key.as_slice(), Row::as_slice));
    }
}

/// Appends a schema as an entry.
pub(crate) fn encode_schema(schema: &Schema, out: &mut Vec<u8>) {
    out.extend_from_slice(&[ENTRY_FORMAT, KIND_SCHEMA]);
    out.extend_from_slice(&schema.to_bytes());
}

/// Reads an entry that was written under this schema.
pub(crate) fn decode(entry: &[u8], schema: &Schema) -> Result<Entry, EntryFault> {
    let mut reader = RowReader::bare(entry);
    match reader.u8()? {
        ENTRY_FORMAT => {}
        found => return Err(EntryFault::UnknownFormat { found }),
    }
    match reader.u8()? {
        KIND_COMMIT => {
            let commit = read_commit(&mut reader, schema)?;
            reader.finish()?;
            Ok(Entry::Commit(commit))
        }
        KIND_SCHEMA => {
            let catalogue = entry.get(reader.offset()..).unwrap_or_default();
            Ok(Entry::Schema(Schema::from_bytes(catalogue)?))
        }
        found => Err(EntryFault::UnknownKind { found }),
    }
}

fn read_commit(reader: &mut RowReader<'_>, schema: &Schema) -> Result<Commit, EntryFault> {
    let snapshot = reader.unsigned::<u64>()?.checked_sub(1);
    let mut commit = Commit { snapshot, ..Commit::default() };
    for _ in 0..reader.count()? {
        let class = read_class(reader, schema)?;
        let expect = read_expect(reader)?;
        commit.reads.push(Read { class, key: Key::from_slice(reader.byte_slice()?), expect });
    }
    for _ in 0..reader.count()? {
        let class = read_class(reader, schema)?;
        let index = reader.unsigned::<u16>()?.checked_sub(1);
        let range = read_range(reader)?;
        commit.ranges.push(RangeRead { class, index, range, count: reader.unsigned()? });
    }
    for _ in 0..reader.count()? {
        commit.writes.push(read_write(reader, schema)?);
    }
    Ok(commit)
}

fn read_write(reader: &mut RowReader<'_>, schema: &Schema) -> Result<Write, EntryFault> {
    let class = read_class(reader, schema)?;
    let put = reader.bool()?;
    let expect = read_expect(reader)?;
    let bytes = reader.byte_slice()?;
    if !put {
        return Ok(Write { class, key: Key::from_slice(bytes), row: None, expect, fresh: false });
    }
    let declared = schema.classes().get(usize::from(class)).ok_or(EntryFault::UnknownClass { code: 0 })?;
    let key = declared.key_of_row(bytes)?;
    Ok(Write { class, key, row: Some(Row::from_slice(bytes)), expect, fresh: false })
}

fn read_class(reader: &mut RowReader<'_>, schema: &Schema) -> Result<u16, EntryFault> {
    let code: u16 = reader.unsigned()?;
    let position = schema.position(ClassId(code)).and_then(|position| u16::try_from(position).ok());
    position.ok_or(EntryFault::UnknownClass { code })
}

fn write_expect(out: &mut RowWriter<'_>, expect: Expect) {
    match expect {
        Expect::Any => out.u8(0),
        Expect::Absent => out.u8(1),
        Expect::Version(version) => {
            out.u8(2);
            out.unsigned(version);
        }
    }
}

fn read_expect(reader: &mut RowReader<'_>) -> Result<Expect, EntryFault> {
    Ok(match reader.u8()? {
        0 => Expect::Any,
        1 => Expect::Absent,
        2 => Expect::Version(reader.unsigned()?),
        found => return Err(EntryFault::UnknownKind { found }),
    })
}

fn write_range(out: &mut RowWriter<'_>, range: &KeyRange) {
    out.bytes(range.low.as_slice());
    out.bool(range.high.is_some());
    if let Some(high) = &range.high {
        out.bytes(high.as_slice());
    }
}

fn read_range(reader: &mut RowReader<'_>) -> Result<KeyRange, EntryFault> {
    let low = Key::from_slice(reader.byte_slice()?);
    let high = if reader.bool()? { Some(Key::from_slice(reader.byte_slice()?)) } else { None };
    Ok(KeyRange { low, high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Class, ClassKind};
    use crate::value::{Type, Value};
    use proptest::prelude::*;

    fn schema() -> Schema {
        let class = |name: &str, code| {
            let class = Class::builder(name, code, ClassKind::Replicated);
            class.field("id", Type::U64).field("text", Type::String).primary(&["id"]).build().unwrap()
        };
        Schema::builder("encoding").class(class("low", 3)).class(class("high", 40_000)).build().unwrap()
    }

    fn expects() -> impl Strategy<Value = Expect> {
        prop_oneof![Just(Expect::Any), Just(Expect::Absent), any::<u64>().prop_map(Expect::Version)]
    }

    fn keys() -> impl Strategy<Value = Key> {
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Key::from_slice(&bytes))
    }

    fn writes() -> impl Strategy<Value = Write> {
        (0..2_u16, any::<u64>(), prop::option::of(".{0,40}"), expects()).prop_map(
            |(class, id, text, expect)| {
                let declared = schema().classes()[usize::from(class)].clone();
                let key = declared.key_from_values(&[Value::U64(id)]).unwrap();
                let values = |text: String| [Value::U64(id), Value::from(text.as_str())];
                let row = text.map(|text| declared.encode_row(&values(text)).unwrap());
                Write { class, key, row, expect, fresh: false }
            },
        )
    }

    fn commits() -> impl Strategy<Value = Commit> {
        let read = (0..2_u16, keys(), expects()).prop_map(|(class, key, expect)| Read { class, key, expect });
        let range =
            (0..2_u16, prop::option::of(any::<u16>()), keys(), prop::option::of(keys()), any::<u64>())
                .prop_map(|(class, index, low, high, count)| {
                    let index = index.map(|index| index.min(u16::MAX - 1));
                    RangeRead { class, index, range: KeyRange { low, high }, count }
                });
        let many = 0..4_usize;
        (
            prop::option::of(0..u64::MAX),
            prop::collection::vec(read, many.clone()),
            prop::collection::vec(range, many.clone()),
            prop::collection::vec(writes(), many),
        )
            .prop_map(|(snapshot, reads, ranges, writes)| Commit { snapshot, reads, ranges, writes })
    }

    fn encoded(commit: &Commit) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_commit(commit, &schema(), &mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn a_commit_is_read_as_it_was_written(commit in commits()) {
            let Entry::Commit(read) = decode(&encoded(&commit), &schema()).unwrap() else {
                return Err(TestCaseError::fail("it is read as a schema"));
            };
            prop_assert_eq!(format!("{read:?}"), format!("{commit:?}"));
        }

        #[test]
        fn foreign_bytes_are_refused_without_a_panic(
            commit in commits(),
            noise in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = encoded(&commit);
            for (place, byte) in noise {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            bytes.truncate(cut.index(bytes.len().saturating_add(1)));
            // Whether it is refused depends on what was hit; a panic would fail the test.
            drop(decode(&bytes, &schema()));
        }
    }

    #[test]
    fn newer_formats_unknown_kinds_and_unknown_classes_are_named() {
        let refused = |bytes: &[u8]| decode(bytes, &schema()).unwrap_err().to_string();
        assert!(refused(&[ENTRY_FORMAT + 1, KIND_COMMIT]).contains("newer"));
        assert!(refused(&[ENTRY_FORMAT, 77]).contains("77"));
        assert!(refused(&[ENTRY_FORMAT, KIND_COMMIT, 0, 0, 0, 1, 9, 0, 0, 0]).contains("class 9"));
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let declared = schema().classes()[0].clone();
        let row = declared.encode_row(&[Value::U64(5), Value::from("hi")]).unwrap();
        let key = declared.key_from_values(&[Value::U64(6)]).unwrap();
        let put =
            Write { class: 0, key: key.clone(), row: Some(row), expect: Expect::Version(300), fresh: true };
        let delete = Write { class: 1, key, row: None, expect: Expect::Any, fresh: false };
        let commit = Commit { snapshot: Some(8), writes: vec![put, delete], ..Commit::default() };
        let expected = [
            &[1, 1, 9, 0, 0, 2][..],
            &[3, 1, 2, 0xac, 2, 5, 1, 5, 2, b'h', b'i'],
            &[0xc0, 0xb8, 2, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 6],
        ]
        .concat();
        assert_eq!(encoded(&commit), expected);
    }
}
