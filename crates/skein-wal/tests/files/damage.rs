//! Bytes that changed on the disk: every flipped bit is without effect or reported, and no text lies.

use skein_wal::{
    Fault, OpenFault,
    disk::{Disk, FaultyDisk},
    verify,
};

use crate::{
    crash::options,
    fixture::{append, assert_entries, dir, directory, files, open},
};

/// A log of some frames over several segments, each frame synced, closed or not. Returns where the last frame begins.
fn log_of(disk: &FaultyDisk, counts: &[u64], synced_together: usize, closed: bool) -> u64 {
    let home = directory(disk);
    // Frames that are synced together must not be parted by a new segment.
    let segment_bytes = if synced_together == 1 { 1024 } else { 4096 };
    let (mut log, ..) = open(&home, options(segment_bytes), 1).expect("a new log");
    let mut last = 1;
    for (at, count) in counts.iter().enumerate() {
        last = log.next_index();
        append(&mut log, *count).expect("room");
        if (at + 1) % synced_together == 0 {
            log.sync().expect("a good disk");
        }
    }
    if closed {
        log.close().expect("a good disk");
    }
    last
}

/// Flips every bit of the log's files, one at a time. What opens has at least the entries below `certain`.
fn flip_everything(disk: &FaultyDisk, certain: u64, all: u64) -> (usize, usize) {
    let (mut opened, mut refused) = (0, 0);
    for path in disk.paths() {
        for byte in 0..disk.content(&path).len() {
            for bit in 0..8 {
                let disk = disk.fork();
                disk.flip(&path, byte, bit);
                let home = directory(&disk);
                match open(&home, options(1024), 1) {
                    Ok((log, _, entries)) => {
                        let next = log.next_index();
                        assert!(next == all || next >= certain, "{} {byte} {bit}: {next}", path.display());
                        assert_entries(&entries, 1, next);
                        opened += 1;
                    }
                    Err(OpenFault::Files(fault)) => {
                        assert!(
                            matches!(&fault, Fault::Damaged { path: named, .. } if *named == path),
                            "{fault}"
                        );
                        refused += 1;
                    }
                    Err(OpenFault::Entry { source, .. }) => match source {},
                }
            }
        }
    }
    (opened, refused)
}

#[test]
fn every_flipped_bit_of_a_closed_log_is_reported_or_without_effect() {
    let disk = FaultyDisk::new();
    log_of(&disk, &[1, 3, 2, 1, 2], 1, true);
    assert!(files(&disk, "log-").len() > 1);
    let (opened, refused) = flip_everything(&disk, 10, 10);
    assert!(opened > 0 && refused > 0);
}

#[test]
fn every_flipped_bit_of_an_open_log_costs_the_last_frame_at_most() {
    let disk = FaultyDisk::new();
    let last = log_of(&disk, &[1, 3, 2, 1, 2, 1, 1], 1, false);
    flip_everything(&disk, last, 12);
}

#[test]
fn every_flipped_bit_of_frames_synced_together_is_reported() {
    let disk = FaultyDisk::new();
    log_of(&disk, &[1, 1, 1, 1, 1, 1], 3, false);
    let (_, refused) = flip_everything(&disk, 7, 7);
    assert!(refused > 0);
}

#[test]
fn a_zeroed_sector_among_synced_frames_is_damage() {
    let disk = FaultyDisk::new();
    log_of(&disk, &[4; 12], 2, true);
    let path = disk.paths().remove(0);
    let content = disk.content(&path);
    let used = content.iter().rposition(|byte| *byte != 0).expect("frames");
    // The last sector has the last frames: nothing behind it vouches for them.
    for sector in 0..used / 512 {
        let disk = disk.fork();
        let mut content = content.clone();
        content[sector * 512..(sector + 1) * 512].fill(0);
        disk.put(&path, &content);
        let opened = open(&directory(&disk), options(4096), 1);
        assert!(
            matches!(opened, Err(OpenFault::Files(Fault::Damaged { .. }))),
            "sector {sector}: {opened:?}"
        );
    }
}

#[test]
fn every_file_cut_short_is_reported_or_without_effect() {
    let disk = FaultyDisk::new();
    log_of(&disk, &[1, 3, 2, 1, 2], 1, true);
    for path in disk.paths() {
        let content = disk.content(&path);
        for length in 0..content.len() {
            let disk = disk.fork();
            disk.put(&path, &content[..length]);
            match open(&directory(&disk), options(1024), 1) {
                // A cut that takes the very end of the log leaves no trace of it.
                Ok((log, _, entries)) => assert_entries(&entries, 1, log.next_index()),
                Err(OpenFault::Files(Fault::Damaged { path: named, .. })) => assert_eq!(named, path),
                Err(fault) => panic!("{fault}"),
            }
        }
    }
}

#[test]
fn a_missing_segment_is_named() {
    let disk = FaultyDisk::new();
    log_of(&disk, &[4, 4, 4, 4, 4, 4, 4, 4], 1, false);
    let names = files(&disk, "log-");
    assert!(names.len() >= 3);
    for gone in [0, 1] {
        let disk = disk.fork();
        disk.remove(&dir().join(&names[gone])).expect("the file is there");
        let opened = open(&directory(&disk), options(1024), 1);
        let Err(OpenFault::Files(fault @ Fault::Missing { .. })) = opened else { panic!("{opened:?}") };
        assert!(fault.to_string().contains(&format!("segment {} is not there", gone + 1)), "{fault}");
        let report = verify(std::sync::Arc::new(disk), dir()).expect("the directory can be read");
        assert!(report.faults.iter().any(|fault| matches!(fault, Fault::Missing { .. })), "{report}");
    }
}

#[test]
fn exchanged_segments_are_noticed() {
    let disk = FaultyDisk::new();
    log_of(&disk, &[4, 4, 4, 4, 4, 4], 1, false);
    let [one, two] = [1, 2].map(|number| dir().join(format!("log-{number:020}")));
    let (first, second) = (disk.content(&one), disk.content(&two));
    disk.put(&one, &second);
    disk.put(&two, &first);
    let opened = open(&directory(&disk), options(1024), 1);
    assert!(matches!(opened, Err(OpenFault::Files(Fault::Foreign { .. }))), "{opened:?}");
}

#[test]
fn frames_moved_to_another_place_are_not_valid_there() {
    let disk = FaultyDisk::new();
    log_of(&disk, &[1, 1, 1], 1, false);
    let path = disk.paths().remove(0);
    let mut content = disk.content(&path);
    // The third frame ends at 840: the first two again, where the next ones would be.
    content.copy_within(512..512 + 152, 840);
    disk.put(&path, &content);
    let (log, recovery, entries) = open(&directory(&disk), options(1024), 1).expect("a torn tail");
    assert_entries(&entries, 1, 4);
    assert!(recovery.cut.is_some());
    assert_eq!(log.next_index(), 4);
}

#[test]
fn a_damaged_log_says_where_and_what_to_do() {
    let disk = FaultyDisk::new();
    log_of(&disk, &[1, 1, 1], 1, false);
    let path = disk.paths().remove(0);
    disk.flip(&path, 560, 0);
    let opened = open(&directory(&disk), options(1024), 1);
    let Err(OpenFault::Files(fault)) = opened else { panic!("{opened:?}") };
    assert_eq!(
        fault.to_string(),
        "/store/log-00000000000000000001 is damaged at offset 512: the frame with entry 1, which was synced as the \
         frame at offset 664 says, expected, a frame with a wrong checksum found. Nothing was changed. Run `skein \
         store verify` to see all faults, then restore the data directory from a snapshot or a dump."
    );
}

#[test]
fn verify_goes_on_behind_a_fault_and_changes_nothing() {
    let disk = FaultyDisk::new();
    log_of(&disk, &[4, 4, 4, 4, 4, 4, 4, 4], 1, false);
    let sound = verify(std::sync::Arc::new(disk.clone()), dir()).expect("the directory can be read");
    assert!(sound.is_sound(), "{sound}");
    assert_eq!(sound.files.len(), files(&disk, "log-").len());
    assert!(sound.to_string().ends_with("all in order\n"), "{sound}");
    for number in [1, 3] {
        disk.flip(&dir().join(format!("log-{number:020}")), 530, 1);
    }
    disk.put(&dir().join("snapshot-00000000000000000002"), b"no snapshot");
    let before = disk.operations();
    let report = verify(std::sync::Arc::new(disk.clone()), dir()).expect("the directory can be read");
    assert_eq!(report.faults.len(), 3, "{report}");
    assert_eq!(disk.operations(), before);
    assert!(report.to_string().contains("log-00000000000000000003 is damaged at offset 512"), "{report}");
}
