//! Ratios of the store against what it must be compared with, measured in turns in one run.
//!
//! `cargo bench -p skein-store --bench ratios` prints: writes beside a bare map behind a lock, alone and with a reader
//! beside; commits to a synced log by one client beside a bare write and sync of the same bytes to a file laid out
//! beforehand, and by 64 clients; the start with a
//! million objects (only this with the argument `start`). Files lie in the directory SKEIN_BENCH_DIR, or in the system's for temporary ones.
#![allow(clippy::print_stdout, reason = "it is a program that prints")]

use parking_lot::RwLock;
use skein_store::{Isolation, Mode, Object, Options, Outcome, Schema, Store};
use skein_wal::disk::{Disk, RealDisk};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const OBJECTS: u64 = 100_000;
const TURN: Duration = Duration::from_millis(100);
const TURNS: usize = 15;

#[derive(Clone, Debug, PartialEq, Object)]
#[class(name = "account", code = 1)]
struct Account {
    #[primary]
    id: u64,
    owner: String,
    balance: i64,
    active: bool,
}

fn account(id: u64) -> Account {
    Account { id, owner: "somebody with a name".to_owned(), balance: 1_000_000, active: true }
}

fn scattered(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % OBJECTS
}

fn schema() -> Schema {
    Schema::builder("bench").object::<Account>().build().expect("the schema is sound")
}

fn upsert(store: &Store, id: u64) {
    let mut transaction = store.begin(Mode::ReadWrite, Isolation::RepeatableRead);
    transaction.upsert(&account(id)).expect("it may be written");
    let outcome = transaction.commit().expect("the store takes commits");
    assert!(matches!(outcome, Outcome::Committed { .. }));
}

/// Runs `write` for one turn, with `read` on another thread when there is one; gives operations per second of each.
fn turn(mut write: impl FnMut(u64), read: Option<&(dyn Fn(u64) + Sync)>) -> (f64, f64) {
    let (stop, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        if let Some(read) = read {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    read(reads.fetch_add(1, Ordering::Relaxed));
                }
            });
        }
        let (began, mut writes) = (Instant::now(), 0);
        while began.elapsed() < TURN {
            (0..100).for_each(|number| write(writes + number));
            writes += 100;
        }
        stop.store(true, Ordering::Relaxed);
        let seconds = began.elapsed().as_secs_f64();
        (writes as f64 / seconds, reads.load(Ordering::Relaxed) as f64 / seconds)
    })
}

/// The best of the turns: what else runs on the machine only makes turns worse.
fn best(figures: impl IntoIterator<Item = f64>) -> f64 {
    figures.into_iter().fold(0.0, f64::max)
}

fn beside_a_bare_map() {
    let store = Store::open(schema(), Options::memory()).expect("memory needs no files");
    (0..OBJECTS).for_each(|id| upsert(&store, id));
    let row = |id| account(id).to_row().as_slice().to_vec();
    let map: BTreeMap<_, _> = (0..OBJECTS).map(|id: u64| (id.to_be_bytes().to_vec(), row(id))).collect();
    let map = RwLock::new(map);
    let write_store = |number| upsert(&store, scattered(number));
    let write_map = |number| {
        let id = scattered(number);
        map.write().insert(id.to_be_bytes().to_vec(), row(id));
    };
    let class = Account::class().id;
    // A reader looks at many objects of one state, which a lock can only give by being held.
    let key = |number: u64, step: u64, looks: u64| scattered(number * looks + step);
    for looks in [0, 1, 100, 10_000] {
        let read_store = |number: u64| {
            if looks == 1 {
                std::hint::black_box(store.get(class, &skein_store::ObjectKey::to_key(&scattered(number))));
                return;
            }
            let snapshot = store.snapshot();
            for step in 0..looks {
                let key = skein_store::ObjectKey::to_key(&key(number, step, looks));
                std::hint::black_box(snapshot.get(class, &key));
            }
        };
        let read_map = |number: u64| {
            let map = map.read();
            for step in 0..looks {
                std::hint::black_box(map.get(&key(number, step, looks).to_be_bytes()[..]).cloned());
            }
        };
        let (mut stores, mut maps) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            stores.push(turn(write_store, (looks > 0).then_some(&read_store as &(dyn Fn(u64) + Sync))));
            maps.push(turn(write_map, (looks > 0).then_some(&read_map as &(dyn Fn(u64) + Sync))));
        }
        // The turn with the most operations in all: a turn in which one side starved the other is not the best of both.
        let of = |turns: &[(f64, f64)]| {
            let total = |turn: &(f64, f64)| turn.0 + turn.1 * looks as f64;
            turns.iter().copied().max_by(|a, b| total(a).total_cmp(&total(b))).unwrap_or_default()
        };
        let ((writes, reads), (bare, bare_reads)) = (of(&stores), of(&maps));
        println!(
            "memory, {}: store {writes:.0} upserts/s, bare map {bare:.0}/s, the store {:.2} times",
            if looks > 0 { format!("a reader of {looks} at a time beside") } else { "alone".to_owned() },
            writes / bare
        );
        if looks > 0 {
            let (reads, bare) = (reads * looks as f64, bare_reads * looks as f64);
            println!(
                "    the reader: store {reads:.0}/s, bare map {bare:.0}/s, the store {:.2} times",
                reads / bare
            );
        }
    }
}

fn directory(name: &str) -> PathBuf {
    let base = std::env::var_os("SKEIN_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = base.join(format!("skein-ratios-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("the directory can be made");
    directory
}

/// Commits per second of so many clients.
fn clients(store: &Store, count: u64) -> f64 {
    let stop = AtomicBool::new(false);
    let commits = AtomicU64::new(0);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for client in 0..count {
            let (stop, commits) = (&stop, &commits);
            scope.spawn(move || {
                let mut number = client;
                while !stop.load(Ordering::Relaxed) {
                    upsert(store, scattered(number));
                    number += count;
                    commits.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while began.elapsed() < TURN {
            std::thread::park_timeout(TURN / 20);
        }
        stop.store(true, Ordering::Relaxed);
    });
    commits.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()
}

fn beside_a_bare_sync() {
    let home = directory("log");
    let store = Store::open(schema(), Options::durable(home.join("data"))).expect("the directory is free");
    let file = RealDisk::default().create(&home.join("bare")).expect("the name is free");
    // What one commit of this bench takes in the log, with the frame around it.
    let frame = vec![7_u8; 96];
    file.write_at(&vec![0; 8 << 20], 0).expect("there is room");
    file.sync_all().expect("the disk works");
    let bare = |number: u64| {
        file.write_at(&frame, (number % 80_000) * 96).expect("there is room");
        file.sync_data().expect("the disk works");
    };
    let (mut ones, mut bares, mut many) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let (began, mut writes) = (Instant::now(), 0);
        while began.elapsed() < TURN {
            bare(writes);
            writes += 1;
        }
        bares.push(writes as f64 / began.elapsed().as_secs_f64());
        ones.push(clients(&store, 1));
        many.push(clients(&store, 64));
    }
    let (one, bare, many) = (best(ones), best(bares), best(many));
    println!(
        "synced log: one client {one:.0} commits/s, bare write and sync {bare:.0}/s, {:.2} times",
        bare / one
    );
    println!("synced log: 64 clients {many:.0} commits/s, {:.1} times one client", many / one);
    drop(store);
    std::fs::remove_dir_all(home).expect("it was made above");
}

/// How long a start takes with a million objects, from a snapshot and from the log.
fn starting() {
    const MILLION: u64 = 1_000_000;
    let home = directory("start");
    let open = || {
        let began = Instant::now();
        let mut options = Options::durable(home.join("data"));
        options.snapshot_after_log_bytes = u64::MAX;
        let store = Store::open(schema(), options).expect("the directory is free");
        (store, began.elapsed())
    };
    let (store, _) = open();
    for from in (0..MILLION).step_by(5000) {
        let mut batch = store.batch();
        for number in from..from + 5000 {
            let id = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            batch.put_object(&account(id)).expect("the class is in the schema");
        }
        store.commit(batch).expect("the store takes batches");
    }
    drop(store);
    let (store, from_log) = open();
    let began = Instant::now();
    store.checkpoint().expect("there is room");
    let written = began.elapsed();
    drop(store);
    let (store, from_snapshot) = open();
    println!(
        "a million objects: start from the log {from_log:.2?}, from a snapshot {from_snapshot:.2?}; writing the \
         snapshot {written:.2?}"
    );
    drop(store);
    std::fs::remove_dir_all(home).expect("it was made above");
}

fn main() {
    if std::env::args().any(|argument| argument == "start") {
        return starting();
    }
    beside_a_bare_map();
    beside_a_bare_sync();
    starting();
}
