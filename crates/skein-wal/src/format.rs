//! The first bytes of every file, and which versions of the files this program reads.
//!
//! On disk, little-endian: magic (8 bytes), version (u16), kind (u16), checksum (u32), then what the version says. Those
//! sixteen bytes are the same in all versions for ever, so that any program can tell what it has before it. Files are
//! written in the newest version only; an older one is read by the reader that [`Formats`] has for it and is never
//! appended to, so old segments go with the next snapshots. A newer version is refused with its number.

use std::{ops::Range, path::Path};

use crate::{
    bytes::{array_at, u16_at, u32_at, u64_at},
    fault::Fault,
    frame::{self, FrameFormat},
    store_id::StoreId,
};

/// What every file of ours begins with.
const MAGIC: [u8; 8] = *b"SKEINWAL";
const CHECKSUM: Range<usize> = 12..16;
/// Bytes that are read to tell what a file is; no version has a longer header.
pub(crate) const HEADER_BYTES: usize = 64;
/// Where the content begins: the header has a sector of its own, so that it is never written again.
pub(crate) const CONTENT_OFFSET: u64 = 512;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A segment of the log.
    Segment,
    /// A snapshot.
    Snapshot,
}

impl Kind {
    fn number(self) -> u16 {
        match self {
            Kind::Segment => 1,
            Kind::Snapshot => 2,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Segment => "a log segment",
            Kind::Snapshot => "a snapshot",
        }
    }
}

/// What the header of a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) store: StoreId,
    /// Counts segments; zero in a snapshot.
    pub(crate) sequence: u64,
    /// Of a segment: its first entry. Of a snapshot: the last entry it covers.
    pub(crate) index: u64,
}

/// How files of one version are read.
#[derive(Debug)]
pub(crate) struct Format {
    pub(crate) version: u16,
    pub(crate) content_offset: u64,
    header: fn(Kind, &[u8]) -> Option<Header>,
    pub(crate) frame: FrameFormat,
}

/// The versions that are read, the newest last: that one is written.
#[derive(Debug)]
pub(crate) struct Formats(pub(crate) &'static [&'static Format]);

/// Version 1, the first one.
static VERSION_1: Format =
    Format { version: 1, content_offset: CONTENT_OFFSET, header: header_1, frame: frame::VERSION_1 };

/// What this program reads.
pub(crate) static FORMATS: Formats = Formats(&[&VERSION_1]);

/// The version that is written.
pub(crate) fn newest() -> &'static Format {
    &VERSION_1
}

fn header_1(kind: Kind, bytes: &[u8]) -> Option<Header> {
    Some(Header {
        kind,
        store: StoreId(array_at(bytes, 16)?),
        sequence: u64_at(bytes, 32)?,
        index: u64_at(bytes, 40)?,
    })
}

/// The header in the newest version.
pub(crate) fn encode(header: &Header) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&newest().version.to_le_bytes());
    bytes.extend_from_slice(&header.kind.number().to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&header.store.0);
    bytes.extend_from_slice(&header.sequence.to_le_bytes());
    bytes.extend_from_slice(&header.index.to_le_bytes());
    bytes.resize(HEADER_BYTES, 0);
    put_checksum(&mut bytes);
    bytes
}

fn put_checksum(bytes: &mut [u8]) {
    let checksum = checksum(bytes).to_le_bytes();
    if let Some(place) = bytes.get_mut(CHECKSUM) {
        place.copy_from_slice(&checksum);
    }
}

/// The checksum of a header, its own place counted as zero.
fn checksum(bytes: &[u8]) -> u32 {
    let before = bytes.get(..CHECKSUM.start).unwrap_or_default();
    let after = bytes.get(CHECKSUM.end..).unwrap_or_default();
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(before), &[0; 4]), after)
}

impl Formats {
    /// Reads the header of a file that should hold `kind`.
    pub(crate) fn read(
        &self,
        path: &Path,
        kind: Kind,
        bytes: &[u8],
    ) -> Result<(&'static Format, Header), Fault> {
        let damaged = |expected: &str, found: String| Fault::Damaged {
            path: path.to_owned(),
            offset: 0,
            expected: expected.to_owned(),
            found,
        };
        let (Some(magic), Some(version), Some(number), Some(stored)) =
            (array_at::<8>(bytes, 0), u16_at(bytes, 8), u16_at(bytes, 10), u32_at(bytes, CHECKSUM.start))
        else {
            return Err(damaged("a header", format!("a file of {} bytes", bytes.len())));
        };
        if magic != MAGIC {
            return Err(damaged(
                "the mark of a Skein file",
                format!("{:?}", String::from_utf8_lossy(&magic)),
            ));
        }
        if stored != checksum(bytes) {
            return Err(damaged("a header with its checksum", "another checksum".to_owned()));
        }
        let Some(format) = self.0.iter().copied().find(|format| format.version == version) else {
            let [oldest, newest] =
                [self.0.first(), self.0.last()].map(|format| format.map_or(0, |it| it.version));
            return Err(Fault::Version { path: path.to_owned(), version, oldest, newest });
        };
        if number != kind.number() {
            return Err(Fault::Foreign {
                path: path.to_owned(),
                why: format!("its name says {}, its header says kind {number}", kind.name()),
            });
        }
        let header = (format.header)(kind, bytes);
        header.map(|header| (format, header)).ok_or_else(|| damaged("a header", "a part of one".to_owned()))
    }
}

#[cfg(test)]
mod tests;
