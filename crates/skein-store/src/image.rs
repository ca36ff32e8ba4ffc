//! The state as blocks of a snapshot file, and back.
//!
//! Layout of the first block: a format version, the catalogue, the number of classes, then for each its code, the next
//! automatic number and the number of its rows. Of every other block: a class's code, then rows in the order of their
//! primary keys, each its version, its length and itself. Numbers are LEB128. Indexes are not written: they are made from
//! the rows.
#![warn(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::arithmetic_side_effects
)]

use crate::engine::{ClassState, Root, Stored};
use crate::key::Key;
use crate::row::{Row, RowFault, RowReader, RowWriter};
use crate::schema::{CatalogueFault, ClassId, Schema};
use std::sync::Arc;

/// The version of the layout that is written, and the newest that is read.
const IMAGE_FORMAT: u8 = 1;

const BLOCK_BYTES: usize = 256 * 1024;

/// Why the blocks of a snapshot are not a state.
#[derive(Debug, thiserror::Error)]
pub enum ImageFault {
    /// A newer program wrote it.
    #[error(
        "the snapshot has format version {found}, this program reads up to {IMAGE_FORMAT}: use the newer program"
    )]
    UnknownFormat {
        /// The version found.
        found: u8,
    },
    /// Its bytes make no sense.
    #[error("the snapshot's bytes make no sense")]
    Damaged(#[from] RowFault),
    /// Its schema cannot be read.
    #[error("the snapshot's schema cannot be read")]
    Catalogue(#[from] CatalogueFault),
    /// It names a class its own schema does not have.
    #[error("the snapshot names class {code}, which its schema does not have")]
    UnknownClass {
        /// The class's code.
        code: u16,
    },
    /// Its rows do not fit their schema.
    #[error("the snapshot's rows do not fit its schema: {0}")]
    NotUnique(String),
    /// It does not hold as many rows as it says.
    #[error("class {class} has {found} rows in the snapshot and should have {expected}")]
    RowCount {
        /// The class.
        class: String,
        /// Rows found.
        found: u64,
        /// Rows it should have.
        expected: u64,
    },
}

/// Gives the state to `write`, block by block.
pub(crate) fn write_blocks<E>(root: &Root, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    block.push(IMAGE_FORMAT);
    let mut out = RowWriter::bare(&mut block);
    out.bytes(&root.schema.to_bytes());
    out.count(root.classes.len());
    for class in &root.classes {
        out.unsigned(u64::from(class.class.id.0));
        out.unsigned(class.auto_next);
        out.count(class.rows.len());
    }
    write(&block)?;
    for class in &root.classes {
        write_class(class, &mut block, &mut write)?;
    }
    Ok(())
}

fn write_class<E>(
    class: &ClassState,
    block: &mut Vec<u8>,
    write: &mut impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    block.clear();
    for stored in class.rows.values() {
        if block.is_empty() {
            RowWriter::bare(block).unsigned(u64::from(class.class.id.0));
        }
        let mut out = RowWriter::bare(block);
        out.unsigned(stored.version);
        out.bytes(stored.row.as_slice());
        if block.len() >= BLOCK_BYTES {
            write(block)?;
            block.clear();
        }
    }
    if !block.is_empty() {
        write(block)?;
    }
    Ok(())
}

/// Makes a state of blocks.
#[derive(Debug)]
pub(crate) struct ImageReader {
    schema: Schema,
    classes: Vec<Loading>,
}

#[derive(Debug)]
struct Loading {
    auto_next: u64,
    expected: u64,
    rows: Vec<(Key, Stored)>,
}

impl ImageReader {
    /// Begins with the first block.
    pub(crate) fn begin(block: &[u8]) -> Result<ImageReader, ImageFault> {
        let mut reader = RowReader::bare(block);
        match reader.u8()? {
            IMAGE_FORMAT => {}
            found => return Err(ImageFault::UnknownFormat { found }),
        }
        let schema = Schema::from_bytes(reader.byte_slice()?)?;
        let mut classes = Vec::new();
        for _ in 0..reader.count()? {
            let code: u16 = reader.unsigned()?;
            if schema.position(ClassId(code)) != Some(classes.len()) {
                return Err(ImageFault::UnknownClass { code });
            }
            let auto_next = reader.unsigned()?;
            classes.push(Loading { auto_next, expected: reader.unsigned()?, rows: Vec::new() });
        }
        reader.finish()?;
        Ok(ImageReader { schema, classes })
    }

    /// Takes another block.
    pub(crate) fn block(&mut self, block: &[u8]) -> Result<(), ImageFault> {
        let mut reader = RowReader::bare(block);
        let code: u16 = reader.unsigned()?;
        let unknown = || ImageFault::UnknownClass { code };
        let position = self.schema.position(ClassId(code)).ok_or_else(unknown)?;
        let class = self.schema.classes().get(position).ok_or_else(unknown)?;
        let loading = self.classes.get_mut(position).ok_or_else(unknown)?;
        while !reader.is_at_end() {
            let version = reader.unsigned()?;
            let row = reader.byte_slice()?;
            let key = class.key_of_row(row)?;
            loading.rows.push((key, Stored { version, row: Row::from_slice(row) }));
        }
        Ok(())
    }

    /// The state, which is at `index`.
    pub(crate) fn finish(self, index: u64) -> Result<Root, ImageFault> {
        let mut root = Root::new(self.schema);
        for (class, loading) in root.classes.iter_mut().zip(self.classes) {
            let found = loading.rows.len() as u64;
            if found != loading.expected {
                let (class, expected) = (class.class.name.clone(), loading.expected);
                return Err(ImageFault::RowCount { class, found, expected });
            }
            let class = Arc::make_mut(class);
            class.auto_next = loading.auto_next;
            class.load(loading.rows).map_err(|clash| ImageFault::NotUnique(clash.to_string()))?;
        }
        root.bytes = root.classes.iter().map(|class| class.bytes).sum();
        root.index = index;
        Ok(root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::{Commit, Expect, Write};
    use crate::engine::apply;
    use crate::schema::{Class, ClassKind};
    use crate::value::{Type, Value};
    use proptest::prelude::*;

    fn schema() -> Schema {
        let rows = Class::builder("rows", 7, ClassKind::Replicated)
            .field("id", Type::U64)
            .field("text", Type::String)
            .auto("id")
            .ordered("by_text", &["text"]);
        let empty = Class::builder("empty", 9, ClassKind::Local).field("id", Type::U8).primary(&["id"]);
        Schema::builder("image").class(rows.build().unwrap()).class(empty.build().unwrap()).build().unwrap()
    }

    fn filled(rows: u64) -> Root {
        let mut root = Root::new(schema());
        let class = Arc::clone(&root.classes[0].class);
        for id in 1..=rows {
            let row = class.encode_row(&[Value::U64(id), Value::from("x".repeat(100).as_str())]).unwrap();
            let key = class.key_of_row(row.as_slice()).unwrap();
            let write = Write { class: 0, key, row: Some(row), expect: Expect::Any, fresh: false };
            let _ = apply(&mut root, id, Commit { writes: vec![write], ..Commit::default() });
        }
        root
    }

    fn blocks(root: &Root) -> Vec<Vec<u8>> {
        let mut blocks = Vec::new();
        let kept: Result<(), ()> = write_blocks(root, |block| {
            blocks.push(block.to_vec());
            Ok(())
        });
        kept.unwrap();
        blocks
    }

    fn read(blocks: &[Vec<u8>], index: u64) -> Result<Root, ImageFault> {
        let (first, rest) = blocks.split_first().expect("there is always a first block");
        let mut image = ImageReader::begin(first)?;
        rest.iter().try_for_each(|block| image.block(block))?;
        image.finish(index)
    }

    #[test]
    fn a_state_is_read_as_it_was_written_with_its_indexes_numbers_and_account() {
        let root = filled(5000);
        let blocks = blocks(&root);
        assert!(blocks.len() > 2, "rows of several blocks");
        let back = read(&blocks, 5000).unwrap();
        let rows = |root: &Root| {
            let rows = root.rows(ClassId(7));
            rows.map(|(key, row, version)| (key.clone(), row.clone(), version)).collect::<Vec<_>>()
        };
        assert_eq!(rows(&back), rows(&root));
        assert_eq!(back.bytes(), root.bytes());
        assert_eq!(back.classes[0].auto_next, 5001);
        assert_eq!(back.classes[0].indexes[0].len(), 5000);
    }

    #[test]
    fn a_block_that_is_missing_is_noticed() {
        let mut blocks = blocks(&filled(5000));
        blocks.pop();
        assert!(matches!(read(&blocks, 5000), Err(ImageFault::RowCount { expected: 5000, .. })));
    }

    proptest! {
        #[test]
        fn foreign_bytes_are_refused_without_a_panic(
            noise in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut blocks = blocks(&filled(20));
            for (block, place, byte) in noise {
                let block = block.index(blocks.len());
                let place = place.index(blocks[block].len());
                blocks[block][place] = byte;
            }
            drop(read(&blocks, 20));
        }
    }
}
