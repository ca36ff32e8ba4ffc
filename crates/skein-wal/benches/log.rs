//! What a commit costs beside the bare system calls, and how fast a log is read back.
//!
//! `cargo bench -p skein-wal --bench log [directory]` runs on the disk of the directory, by default the temporary one.
//! The two ways are taken in turns, so that what the disk does meanwhile hits both; the figures are for the same bytes.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::{
    convert::Infallible,
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use skein_wal::{Directory, Entries, Log, LogOptions, Prepare, StoreId, disk::RealDisk};

/// Commits of each way.
const ROUNDS: usize = 3000;
const ENTRY_BYTES: usize = 256;
/// Bytes of a frame with one entry: header, length, entry, padding.
const FRAME_BYTES: usize = 304;
const ENTRIES_READ_BACK: u64 = 1_000_000;

fn main() {
    let place = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let place = place
        .map_or_else(std::env::temp_dir, PathBuf::from)
        .join(format!("skein-bench-{}", std::process::id()));
    fs::create_dir_all(&place).expect("the directory can be made");
    commits(&place, 1);
    commits(&place, 64);
    segments(&place);
    read_back(&place);
    fs::remove_dir_all(&place).expect("the directory can be removed");
}

fn open(place: &Path, name: &str, options: LogOptions) -> Log {
    let home = Directory::open(Arc::new(RealDisk::default()), &place.join(name), StoreId([1; 16]))
        .expect("a directory");
    Log::open::<Infallible>(&home, options, 1, &mut |_, _| Ok(())).expect("a log").0
}

/// One commit of so many entries against one bare write of the same bytes to a file full of zeroes, and a sync each.
fn commits(place: &Path, batch: usize) {
    let mut log = open(place, &format!("commits-{batch}"), LogOptions::default());
    let bytes = FRAME_BYTES + (batch - 1) * (ENTRY_BYTES + 4);
    let bare = fs::File::options().write(true).create_new(true).open(place.join(format!("bare-{batch}")));
    let bare = bare.expect("a file");
    bare.write_all_at(&vec![0; ROUNDS * bytes], 0).expect("room");
    bare.sync_all().expect("a good disk");
    let entry = [7; ENTRY_BYTES];
    let entries = vec![&entry[..]; batch];
    let frame = vec![7; bytes];
    let (mut ours, mut theirs, mut ours_written) = (Vec::new(), Vec::new(), Duration::ZERO);
    for round in 0..ROUNDS {
        let begin = Instant::now();
        log.append(log.next_index(), Entries::Slices(&entries)).expect("room");
        ours_written += begin.elapsed();
        log.sync().expect("a good disk");
        ours.push(begin.elapsed());
        let begin = Instant::now();
        bare.write_all_at(&frame, (round * bytes) as u64).expect("room");
        bare.sync_data().expect("a good disk");
        theirs.push(begin.elapsed());
    }
    println!("{batch} entries of {ENTRY_BYTES} bytes and a sync, {ROUNDS} times in turns:");
    let ours = show("  log ", &mut ours);
    let theirs = show("  bare", &mut theirs);
    println!("  log / bare: p50 {:.2}, mean {:.2}", ours.0 / theirs.0, ours.1 / theirs.1);
    println!("  of it without the sync: {:.1} us", ours_written.as_secs_f64() * 1e6 / ROUNDS as f64);
}

/// Prints the spread in microseconds and returns median and mean.
fn show(name: &str, times: &mut [Duration]) -> (f64, f64) {
    times.sort_unstable();
    let us = |at: usize| times[at.min(times.len() - 1)].as_secs_f64() * 1e6;
    let mean = times.iter().sum::<Duration>().as_secs_f64() * 1e6 / times.len() as f64;
    let (p50, p90, p99) = (us(times.len() / 2), us(times.len() * 9 / 10), us(times.len() * 99 / 100));
    println!(
        "{name}: p50 {p50:.0}, p90 {p90:.0}, p99 {p99:.0}, max {:.0}, mean {mean:.0} us",
        us(times.len())
    );
    (p50, mean)
}

/// What changing segments costs the commit that it falls on: with the thread that prepares, and without.
fn segments(place: &Path) {
    for (name, prepare) in [("a thread", Prepare::Thread), ("the commit", Prepare::Caller)] {
        let options = LogOptions { prepare, ..LogOptions::default() };
        let mut log = open(place, &format!("segments-{prepare:?}"), options);
        let entry = vec![7; 64 << 10];
        let (mut steady, mut changing) = (Vec::new(), Vec::new());
        while log.segments() < 16 {
            let segments = log.segments();
            let begin = Instant::now();
            log.append(log.next_index(), Entries::Slices(&[&entry])).expect("room");
            log.sync().expect("a good disk");
            let times = if log.segments() == segments { &mut steady } else { &mut changing };
            times.push(begin.elapsed());
        }
        println!("commits of 64 KiB, segments of 64 MiB prepared by {name}:");
        show("  within a segment", &mut steady);
        show("  into the next   ", &mut changing);
    }
}

fn read_back(place: &Path) {
    let mut log = open(place, "read", LogOptions::default());
    let entry = [7; ENTRY_BYTES];
    while log.next_index() <= ENTRIES_READ_BACK {
        log.append(log.next_index(), Entries::Slices(&[&entry[..]; 16])).expect("room");
    }
    log.sync().expect("a good disk");
    drop(log);
    let home = Directory::open(Arc::new(RealDisk::default()), &place.join("read"), StoreId([1; 16]))
        .expect("a directory");
    let begin = Instant::now();
    let mut bytes = 0;
    let opened = Log::open::<Infallible>(&home, LogOptions::default(), 1, &mut |_, entry| {
        bytes += entry.len();
        Ok(())
    });
    let (_, recovery) = opened.expect("a log");
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "read back {} entries, {} MiB, in {:.0} ms: {:.1} million entries/s",
        recovery.entries,
        bytes >> 20,
        seconds * 1e3,
        recovery.entries as f64 / seconds / 1e6
    );
}
