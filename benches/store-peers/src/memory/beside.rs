//! One writer and one reader beside each other, each with a core of its own when the machine has two.

use super::contenders::{Locked, Stored};
use super::{turn_of, watched};
use crate::arguments::Arguments;
use crate::measure::{Series, rate};
use crate::report::{Column, Limit, Section, Table, Target};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const OBJECTS: u64 = 100_000;

/// How much a reader looks at in one state.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    reads: u64,
}

const SHAPES: [Shape; 4] = [
    Shape { name: "no reader", reads: 0 },
    Shape { name: "a reader of one object at a time", reads: 1 },
    Shape { name: "a reader of 100 objects of one state", reads: 100 },
    Shape { name: "a reader of all objects of one state", reads: OBJECTS },
];

/// Writes and reads per second, of the store and of the map.
#[derive(Default)]
struct Figures {
    store_writes: Series,
    map_writes: Series,
    store_reads: Series,
    map_reads: Series,
}

pub(super) fn measure(arguments: &Arguments) -> Section {
    let (store, map) = (Stored::filled(OBJECTS), Locked::filled(OBJECTS));
    let mut figures: Vec<Figures> = SHAPES.iter().map(|_| Figures::default()).collect();
    let read_store = |reads, number| match reads {
        1 => store.read(number),
        OBJECTS => drop(store.read_all()),
        reads => store.read_many(number, reads),
    };
    let read_map = |reads, number| match reads {
        1 => map.read(number),
        OBJECTS => drop(map.read_all()),
        reads => map.read_many(number, reads),
    };
    let long = turn_of(arguments);
    for round in 0..=arguments.rounds {
        for (shape, figures) in SHAPES.iter().zip(&mut figures) {
            let (store_writes, store_reads) =
                watched(arguments, || pair(long, |number| store.upsert(number), shape.reads, &read_store));
            let (map_writes, map_reads) =
                watched(arguments, || pair(long, |number| map.upsert(number), shape.reads, &read_map));
            if round == 0 {
                continue;
            }
            eprintln!(
                "memory, {}, round {round}: store {store_writes:.0} writes/s, {store_reads:.0} reads/s; map \
                 {map_writes:.0}, {map_reads:.0}",
                shape.name
            );
            figures.store_writes.push(store_writes);
            figures.map_writes.push(map_writes);
            figures.store_reads.push(store_reads);
            figures.map_reads.push(map_reads);
        }
    }
    store.check(OBJECTS);
    map.check(OBJECTS);
    section(&figures)
}

/// Writes per second, and objects read per second by a second thread that reads so many at a time; none for zero.
fn pair(long: Duration, write: impl Fn(u64), reads: u64, read: &(dyn Fn(u64, u64) + Sync)) -> (f64, f64) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = (reads > 0).then(|| {
            scope.spawn(|| {
                let (began, mut number) = (Instant::now(), 0);
                while !stop.load(Ordering::Relaxed) {
                    read(reads, number);
                    number += 1;
                }
                (number * reads) as f64 / began.elapsed().as_secs_f64()
            })
        });
        let writes = rate(long, write);
        stop.store(true, Ordering::Relaxed);
        (writes, reader.map_or(0.0, |reader| reader.join().expect("reading does not panic")))
    })
}

fn section(figures: &[Figures]) -> Section {
    let column = |name| Column { name, decimals: 0 };
    let ratio = |name| Column { name, decimals: 2 };
    let columns = vec![
        column("store: writes/s"),
        column("map: writes/s"),
        ratio("store / map"),
        column("store: objects read/s"),
        column("map: objects read/s"),
        ratio("store / map"),
    ];
    let row = |(shape, figures): (&Shape, &Figures)| {
        let Figures { store_writes, map_writes, store_reads, map_reads } = figures;
        let reads = |series: Series| (shape.reads > 0).then_some(series);
        let values = vec![
            Some(store_writes.clone()),
            Some(map_writes.clone()),
            Some(store_writes.over(map_writes)),
            reads(store_reads.clone()),
            reads(map_reads.clone()),
            reads(store_reads.over(map_reads)),
        ];
        (shape.name.to_owned(), values)
    };
    let target = |(shape, figures): (&Shape, &Figures)| Target {
        what: format!("memory, {}: writes of the store over the map's", shape.name),
        limit: Limit::AtLeast(1.0),
        measured: figures.store_writes.over(&figures.map_writes),
    };
    let table = Table {
        title: "In memory, one writer and one reader on two cores",
        note: format!(
            "{OBJECTS} accounts; the writer replaces one without reading it, in a transaction of its own."
        ),
        columns,
        rows: SHAPES.iter().zip(figures).map(row).collect(),
    };
    let beside = SHAPES.iter().zip(figures).filter(|(shape, _)| shape.reads > 0);
    Section { tables: vec![table], targets: beside.map(target).collect() }
}
