//! The store without a log beside a sorted map of bytes behind a lock.
//!
//! The map does the least that could be called a store: keys and rows are the same bytes, but it has no transactions,
//! no snapshots and no way back. A reader of it looks at a row while it holds the lock and copies nothing.

mod beside;
mod contenders;
mod transfers;

use crate::arguments::Arguments;
use crate::measure::{Neighbours, Series, on_one_core, rate_on_core};
use crate::report::{Column, Limit, Section, Table, Target};
use contenders::{Locked, Stored};
use std::time::Duration;

const SIZES: [u64; 2] = [100_000, 1_000_000];

/// Turns in memory need no disk to settle.
fn turn_of(arguments: &Arguments) -> Duration {
    arguments.turn / 5
}

/// Measures in a quiet moment, if there is patience for one.
fn watched<T>(arguments: &Arguments, mut measure: impl FnMut() -> T) -> T {
    arguments.patience.quietly(|| {
        let neighbours = Neighbours::watch();
        let measured = measure();
        (measured, neighbours.cores())
    })
}

pub(crate) fn measure(arguments: &Arguments) -> Section {
    let mut section = alone(arguments);
    for part in [beside::measure(arguments), transfers::measure(arguments)] {
        section.tables.extend(part.tables);
        section.targets.extend(part.targets);
    }
    section
}

const CHANGE: &str = "read, change, write back, commit";
const UPSERT: &str = "write without reading, commit";
const READ: &str = "read one object";
const STORE: &str = "store";
const MAP: &str = "locked map";

/// What is measured: on whom, by what name, how.
type Measure<'a> = (&'static str, &'static str, Box<dyn Fn(u64) + 'a>);

fn measures<'a>(store: &'a Stored, map: &'a Locked) -> Vec<Measure<'a>> {
    vec![
        (CHANGE, STORE, Box::new(|number| store.change(number))),
        (CHANGE, MAP, Box::new(|number| map.change(number))),
        (UPSERT, STORE, Box::new(|number| store.upsert(number))),
        (UPSERT, MAP, Box::new(|number| map.upsert(number))),
        ("a blind batch of one", STORE, Box::new(|number| store.batch(number, 1))),
        // A hundred writes are one call, and are counted as such.
        ("a blind batch of a hundred, per batch", STORE, Box::new(|number| store.batch(number, 100))),
        (READ, STORE, Box::new(|number| store.read(number))),
        (READ, MAP, Box::new(|number| map.read(number))),
        ("the same, in a snapshot of its own", STORE, Box::new(|number| store.read_snapshot(number))),
        ("the same, decoded", STORE, Box::new(|number| store.find(number))),
        ("read 100 objects of one state, per 100", STORE, Box::new(|number| store.read_many(number, 100))),
        ("read 100 objects of one state, per 100", MAP, Box::new(|number| map.read_many(number, 100))),
    ]
}

/// One thread on one core.
fn alone(arguments: &Arguments) -> Section {
    let sizes = SIZES.map(|objects| {
        // Pinned on a thread of its own: what follows has two.
        let measured = std::thread::scope(|scope| {
            scope.spawn(|| alone_with(arguments, objects)).join().expect("measuring does not panic")
        });
        (objects, measured)
    });
    let column = |name| Column { name, decimals: 0 };
    let names: Vec<_> = sizes[0].1.iter().map(|(what, whose, _)| (*what, *whose)).collect();
    let row = |(place, (what, whose)): (usize, &(&str, &str))| {
        let values = sizes.iter().map(|(_, measured)| Some(measured[place].2.clone()));
        (format!("{whose}: {what}"), values.collect())
    };
    let table = Table {
        title: "In memory, one thread, operations per second of a core",
        note: "What other programs take of the core meanwhile is not counted. Accounts of about 40 bytes, keys in \
               scattered order. The row that a read of the store gives outlives the call; a read of the map looks at \
               the row under the lock."
            .to_owned(),
        columns: vec![column("100 000 objects"), column("1 000 000 objects")],
        rows: names.iter().enumerate().map(row).collect(),
    };
    let targets = sizes.iter().flat_map(|(objects, measured)| targets(*objects, measured)).collect();
    Section { tables: vec![table], targets }
}

type Measured = Vec<(&'static str, &'static str, Series)>;

fn alone_with(arguments: &Arguments, objects: u64) -> Measured {
    on_one_core();
    let (store, map) = (Stored::filled(objects), Locked::filled(objects));
    let measures = measures(&store, &map);
    let mut measured: Measured =
        measures.iter().map(|(what, whose, _)| (*what, *whose, Series::default())).collect();
    for round in 0..=arguments.rounds {
        for ((what, whose, work), (_, _, series)) in measures.iter().zip(&mut measured) {
            let rate = watched(arguments, || rate_on_core(turn_of(arguments), work));
            // The first round warms up.
            if round > 0 {
                eprintln!("memory, {objects} objects, round {round}: {whose}: {what}: {rate:.0}/s");
                series.push(rate);
            }
        }
    }
    store.check(objects);
    map.check(objects);
    measured
}

fn targets(objects: u64, measured: &Measured) -> Vec<Target> {
    let of = |what, whose| {
        let found = measured.iter().find(|(named, by, _)| *named == what && *by == whose);
        &found.expect("it is one of the measures above").2
    };
    let target = |what: &str, limit, measured| {
        let what = format!("memory, {} k objects: {what}", objects / 1000);
        Target { what, limit, measured }
    };
    vec![
        target("read-write transactions/s", Limit::AtLeast(300e3), of(CHANGE, STORE).clone()),
        target("write transactions/s", Limit::AtLeast(300e3), of(UPSERT, STORE).clone()),
        target("point reads/s", Limit::AtLeast(3e6), of(READ, STORE).clone()),
        target("locked map over store, writes", Limit::AtMost(3.0), of(UPSERT, MAP).over(of(UPSERT, STORE))),
    ]
}
