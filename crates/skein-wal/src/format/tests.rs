//! A log of an older version is read by its own reader and goes on in the newest; a newer one is refused.
//!
//! Version 0 exists here only: its header has other offsets, its frames say nothing about what was synced.
#![allow(clippy::arithmetic_side_effects, reason = "lengths of files that the test makes itself")]

use std::{convert::Infallible, path::PathBuf, sync::Arc};

use super::{
    CHECKSUM, FORMATS, Format, Formats, HEADER_BYTES, Header, Kind, MAGIC, StoreId, VERSION_1, checksum,
    put_checksum,
};
use crate::{
    Directory, Entries, Fault, Log, LogOptions, OpenFault, Prepare,
    bytes::{array_at, u32_at, u64_at},
    disk::FaultyDisk,
    frame::{FrameFormat, FrameHead, Salt, Unfit},
};

const STORE: StoreId = StoreId([9; 16]);
const OPTIONS: LogOptions = LogOptions { segment_bytes: 1024, prepare: Prepare::Caller };
const FRAME_HEADER_BYTES_0: usize = 24;

static VERSION_0: Format = Format {
    version: 0,
    content_offset: 64,
    header: |kind, bytes| {
        let (index, sequence) = (u64_at(bytes, 16)?, u64_at(bytes, 24)?);
        Some(Header { kind, store: StoreId(array_at(bytes, 32)?), sequence, index })
    },
    frame: FrameFormat { header_bytes: FRAME_HEADER_BYTES_0, head: head_0 },
};
static BOTH: Formats = Formats(&[&VERSION_0, &VERSION_1]);

fn head_0(bytes: &[u8], _: Salt, _: u64) -> Result<FrameHead, Unfit> {
    let head = || {
        Some(FrameHead {
            payload_bytes: u32_at(bytes, 4)?,
            payload_checksum: u32_at(bytes, 8)?,
            first_index: u64_at(bytes, 12)?,
            durable_below: 0,
            count: u32_at(bytes, 20)?,
        })
    };
    match u32_at(bytes, 0) {
        Some(1) => head().ok_or(Unfit::End),
        _ => Err(Unfit::Zero),
    }
}

/// A segment of version 0 with the entries "a" to "c", one to a frame.
fn segment_0() -> Vec<u8> {
    let mut bytes = [&MAGIC[..], &0_u16.to_le_bytes(), &1_u16.to_le_bytes(), &[0; 4]].concat();
    bytes.extend([&1_u64.to_le_bytes()[..], &7_u64.to_le_bytes(), &STORE.0].concat());
    bytes.resize(HEADER_BYTES, 0);
    put_checksum(&mut bytes);
    for (index, entry) in (1_u64..).zip([b"a", b"b", b"c"]) {
        let payload = [&1_u32.to_le_bytes()[..], entry].concat();
        let checksum = Salt::new(STORE, 7).checksum(bytes.len() as u64, &payload);
        bytes.extend([1_u32, 5, checksum].map(u32::to_le_bytes).concat());
        bytes.extend([&index.to_le_bytes()[..], &1_u32.to_le_bytes(), &payload].concat());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    bytes.resize(512, 0);
    bytes
}

fn path() -> PathBuf {
    PathBuf::from("/store/log-00000000000000000007")
}

fn entries(
    disk: &FaultyDisk,
    formats: &'static Formats,
) -> Result<(Log, Vec<Vec<u8>>), OpenFault<Infallible>> {
    let home = Directory::take(Arc::new(disk.clone()), "/store".as_ref(), STORE, formats)?;
    let mut entries = Vec::new();
    let (log, _) = Log::open(&home, OPTIONS, 1, &mut |_, entry| {
        entries.push(entry.to_vec());
        Ok(())
    })?;
    Ok((log, entries))
}

#[test]
fn an_older_log_is_read_and_goes_on_in_the_newest_version() {
    let disk = FaultyDisk::new();
    disk.put(&path(), &segment_0());
    let (mut log, found) = entries(&disk, &BOTH).expect("both versions are read");
    assert_eq!(found, [b"a", b"b", b"c"]);
    assert_eq!(log.segments(), 2, "an old segment is not appended to");
    log.append(4, Entries::Slices(&[b"d"])).expect("room");
    log.sync().expect("a good disk");
    drop(log);
    disk.crash(|_| false);
    let (mut log, found) = entries(&disk, &BOTH).expect("both versions are read");
    assert_eq!(found, [b"a", b"b", b"c", b"d"]);
    log.purge(4);
    assert_eq!(log.segments(), 1);
    drop(log);
    assert_eq!(disk.paths().len(), 1, "the old version is gone with its entries");
}

#[test]
fn versions_that_are_not_known_are_refused_with_their_number() {
    for (version, text) in [(0_u16, "format version 0, this program reads 1 to 1"), (9, "format version 9")] {
        let disk = FaultyDisk::new();
        let mut segment = segment_0();
        segment.splice(8..10, version.to_le_bytes());
        put_checksum(&mut segment[..HEADER_BYTES]);
        disk.put(&path(), &segment);
        let fault = entries(&disk, &FORMATS).expect_err("the version is not known");
        assert!(matches!(fault, OpenFault::Files(Fault::Version { .. })), "{fault}");
        assert!(fault.to_string().contains(text), "{fault}");
    }
}

#[test]
fn a_header_comes_back_as_it_was_written() {
    let header = Header { kind: Kind::Snapshot, store: STORE, sequence: 0, index: u64::MAX };
    let bytes = super::encode(&header);
    let (format, read) = FORMATS.read(&path(), Kind::Snapshot, &bytes).expect("in order");
    assert_eq!((format.version, read), (1, header));
    assert_eq!(u32_at(&bytes, CHECKSUM.start), Some(checksum(&bytes)));
    let fault = FORMATS.read(&path(), Kind::Segment, &bytes).expect_err("another kind");
    assert!(matches!(fault, Fault::Foreign { .. }), "{fault}");
}

#[test]
fn any_bytes_are_refused_and_nothing_panics() {
    let good = super::encode(&Header { kind: Kind::Segment, store: STORE, sequence: 1, index: 1 });
    for length in 0..HEADER_BYTES {
        assert!(FORMATS.read(&path(), Kind::Segment, &good[..length]).is_err(), "{length} bytes");
    }
    for byte in 0..HEADER_BYTES {
        let mut bytes = good.clone();
        bytes[byte] ^= 0x40;
        assert!(FORMATS.read(&path(), Kind::Segment, &bytes).is_err(), "byte {byte}");
    }
}
