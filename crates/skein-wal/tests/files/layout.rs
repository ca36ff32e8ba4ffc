//! The layout on disk, byte by byte as docs/store/files.md has it: a change of it needs a new version.

use skein_wal::{Entries, SnapshotWriter, disk::FaultyDisk};

use crate::{
    crash::options,
    fixture::{STORE, dir, directory, open},
};

fn checksum(parts: &[&[u8]]) -> u32 {
    crc32c::crc32c(&parts.concat())
}

fn header(kind: u16, number: u64, index: u64) -> Vec<u8> {
    let before = [&b"SKEINWAL"[..], &1_u16.to_le_bytes(), &kind.to_le_bytes()].concat();
    let after = [&STORE.0[..], &number.to_le_bytes(), &index.to_le_bytes(), &[0; 16]].concat();
    let checksum = checksum(&[&before, &[0; 4], &after]).to_le_bytes();
    let mut header = [&before[..], &checksum, &after].concat();
    assert_eq!(header.len(), 64);
    header.resize(512, 0);
    header
}

fn frame(offset: u64, first: u64, durable_below: u64, entries: &[&[u8]]) -> Vec<u8> {
    let salt = [&STORE.0[..], &1_u64.to_le_bytes(), &offset.to_le_bytes()].concat();
    let lengths: Vec<u8> = entries.iter().flat_map(|entry| (entry.len() as u32).to_le_bytes()).collect();
    let payload = [&lengths[..], &entries.concat()].concat();
    let head = [
        &(payload.len() as u32).to_le_bytes()[..],
        &checksum(&[&salt, &payload]).to_le_bytes(),
        &first.to_le_bytes(),
        &durable_below.to_le_bytes(),
        &(entries.len() as u32).to_le_bytes(),
        &[0; 4],
    ]
    .concat();
    let mut frame = [&b"SFRM"[..], &checksum(&[&salt, &head]).to_le_bytes(), &head, &payload].concat();
    frame.resize(frame.len().next_multiple_of(8), 0);
    frame
}

#[test]
fn a_segment_of_version_1() {
    let disk = FaultyDisk::new();
    let home = directory(&disk);
    let (mut log, ..) = open(&home, options(1024), 5).expect("a new log");
    log.append(5, Entries::Slices(&[b"one", b"", b"three"])).expect("room");
    log.sync().expect("a good disk");
    log.append(8, Entries::Buffer { bytes: b"four", ends: &[4] }).expect("room");
    log.close().expect("a good disk");

    let mut expected = header(1, 1, 5);
    expected.extend(frame(512, 5, 5, &[b"one", b"", b"three"]));
    assert_eq!(expected.len(), 576);
    expected.extend(frame(576, 8, 8, &[b"four"]));
    assert_eq!(expected.len(), 624);
    expected.extend(frame(624, 9, 9, &[]));
    expected.resize(1024, 0);
    assert_eq!(disk.content(&dir().join("log-00000000000000000001")), expected);
}

#[test]
fn a_snapshot_of_version_1() {
    let disk = FaultyDisk::new();
    let home = directory(&disk);
    let mut writer = SnapshotWriter::create(&home, 42).expect("a new snapshot");
    writer.write_block(b"first").expect("room");
    writer.write_block(b"").expect("room");
    writer.finish().expect("a good disk");

    let salt = [&STORE.0[..], &42_u64.to_le_bytes()].concat();
    let first = checksum(&[&salt, &0_u64.to_le_bytes(), b"first"]).to_le_bytes();
    let second = checksum(&[&salt, &1_u64.to_le_bytes()]).to_le_bytes();
    let counts =
        [&2_u64.to_le_bytes()[..], &5_u64.to_le_bytes(), &checksum(&[&first, &second]).to_le_bytes()]
            .concat();
    let expected = [
        &header(2, 0, 42)[..],
        &5_u32.to_le_bytes(),
        &first,
        b"first",
        &0_u32.to_le_bytes(),
        &second,
        &[0xff; 4],
        &checksum(&[&salt, &counts]).to_le_bytes(),
        &counts,
    ]
    .concat();
    assert_eq!(disk.content(&dir().join("snapshot-00000000000000000042")), expected);
}
