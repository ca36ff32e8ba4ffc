//! What rows and index entries take in memory, beside what the store's account says of them.
//!
//! Each subject is weighed in a process of its own, by the growth of its resident memory.

use crate::arguments::Arguments;
use crate::measure::Series;
use crate::report::{Column, Limit, Section, Table, Target};
use crate::rows::scattered;
use skein_store::{Class, ClassKind, Options, Schema, Store, Type, Value};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::Command;

/// The word that makes this program weigh one subject and print two numbers.
pub(crate) const COMMAND: &str = "weigh";

const OBJECTS: u64 = 1_000_000;
const BODY_BYTES: usize = 40;

/// Subject, and how it is called in the report.
const SUBJECTS: [(&str, &str); 9] = [
    ("scattered", "rows, keys in scattered order"),
    ("ascending", "rows, keys in ascending order"),
    ("number", "rows with an index of numbers"),
    ("hash", "rows with a unique hash index of numbers"),
    ("text", "rows with an index of 32 characters"),
    ("ascending number", "rows and an index of numbers, both in ascending order"),
    ("ascending hash", "rows with a unique hash index, both in ascending order"),
    ("batches", "rows, written while snapshots were taken"),
    ("map", "BTreeMap of the same keys and rows"),
];

pub(crate) fn measure(arguments: &Arguments) -> Section {
    let weighed = SUBJECTS.map(|(subject, name)| {
        let mut figures = (Series::default(), Series::default());
        for round in 0..arguments.rounds.min(3) {
            let (took, accounted) = weighed(subject);
            eprintln!("weight, round {round}: {name}: {took:.1} bytes, accounted {accounted:.1}");
            figures.0.push(took);
            figures.1.push(accounted);
        }
        (subject, name, figures)
    });
    let (scattered, ascending) = (weighed[0].2.clone(), weighed[1].2.clone());
    let row = |(subject, name, (took, accounted)): &(&str, &str, (Series, Series))| {
        let is_map = *subject == "map";
        let has_index = ["number", "hash", "text"].iter().any(|index| subject.ends_with(index));
        let base = if subject.starts_with("ascending") { &ascending } else { &scattered };
        let beyond = |mine: &Series, base: &Series| -> Series {
            mine.rounds().iter().zip(base.rounds()).map(|(mine, base)| mine - base).collect()
        };
        let values = vec![
            Some(took.clone()),
            (!is_map).then(|| accounted.clone()),
            (!is_map).then(|| took.over(accounted)),
            has_index.then(|| beyond(took, &base.0)),
            has_index.then(|| beyond(accounted, &base.1)),
        ];
        ((*name).to_owned(), values)
    };
    let column = |name, decimals| Column { name, decimals };
    let targets =
        weighed.iter().filter(|(subject, ..)| *subject != "map").map(|(_, name, (took, accounted))| {
            let limit = Limit::AtMost(1.25);
            Target {
                what: format!("weight of {name}: taken over accounted"),
                limit,
                measured: took.over(accounted),
            }
        });
    let table = Table {
        title: "Memory",
        note: format!(
            "{OBJECTS} rows, each with an 8-byte key, an 8-byte number, 32 characters and {BODY_BYTES} bytes; bytes per \
             row by the growth of resident memory, with the allocator of the server. An entry is what an index adds."
        ),
        columns: vec![
            column("bytes per row", 1),
            column("accounted", 1),
            column("taken / accounted", 2),
            column("bytes per entry", 1),
            column("accounted per entry", 1),
        ],
        rows: weighed.iter().map(row).collect(),
    };
    Section { tables: vec![table], targets: targets.collect() }
}

/// Bytes per row, as the process took them and as the store accounts for them.
fn weighed(subject: &str) -> (f64, f64) {
    let program = std::env::current_exe().expect("the program runs from a file");
    let output = Command::new(program).args([COMMAND, subject]).output().expect("the program starts again");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split_whitespace().map(|word| word.parse::<f64>().expect("it prints numbers"));
    let mut next = || numbers.next().expect("it prints two numbers") / OBJECTS as f64;
    (next(), next())
}

/// Fills memory with one subject and prints what it took and what the store says of it.
pub(crate) fn weigh(subject: &str) {
    if subject == "map" {
        let before = resident_bytes();
        let mut map = BTreeMap::new();
        for number in 0..OBJECTS {
            let id = scattered(number);
            let class = class("scattered");
            let row = class.encode_row(&values(id, scattered(id))).expect("the values are of the class");
            map.insert(id.to_be_bytes().to_vec(), row.as_slice().to_vec());
        }
        println!("{} 0", resident_bytes() - before);
        drop(black_box(map));
        return;
    }
    let schema = Schema::builder("weight").class(class(subject)).build().expect("the schema is sound");
    let store = Store::open(schema, Options::memory()).expect("memory needs no files");
    let before = resident_bytes();
    for number in 0..OBJECTS {
        let id = if subject.starts_with("ascending") { number } else { scattered(number) };
        put(&store, id, if subject.starts_with("ascending") { id } else { scattered(id) });
        if subject == "batches" && number % 100 == 0 {
            black_box(store.snapshot());
        }
    }
    println!("{} {}", resident_bytes() - before, store.stats().bytes);
    assert_eq!(store.stats().classes[0].rows, OBJECTS, "rows of the store");
}

fn put(store: &Store, id: u64, number: u64) {
    let class = &store.schema().classes()[0];
    let row = class.encode_row(&values(id, number)).expect("the values are of the class");
    let mut transaction = store.begin(skein_store::Mode::ReadWrite, skein_store::Isolation::ReadCommitted);
    transaction.upsert_row(class.id, row).expect("it may be written");
    let outcome = transaction.commit().expect("there is room");
    assert!(matches!(outcome, skein_store::Outcome::Committed { .. }), "{outcome:?}");
}

fn class(subject: &str) -> Class {
    let builder = Class::builder("weighed", 1, ClassKind::Local)
        .field("id", Type::U64)
        .field("number", Type::U64)
        .field("text", Type::String)
        .field("body", Type::Bytes)
        .primary(&["id"]);
    let builder = match subject {
        "number" | "ascending number" => builder.ordered("by_number", &["number"]),
        "hash" | "ascending hash" => builder.unique_hash("by_number", &["number"]),
        "text" => builder.ordered("by_text", &["text"]),
        _ => builder,
    };
    builder.build().expect("the class is sound")
}

fn values(id: u64, number: u64) -> [Value; 4] {
    [
        Value::U64(id),
        Value::U64(number),
        Value::String(format!("{number:032x}").into()),
        Value::Bytes(vec![7; BODY_BYTES].into()),
    ]
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the kernel tells what a process takes");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("it names the memory");
    let kilobytes = line.split_whitespace().next().expect("there is a number");
    kilobytes.parse::<u64>().expect("it is a number") * 1024
}
