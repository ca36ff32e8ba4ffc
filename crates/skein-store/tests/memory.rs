//! What rows and index entries weigh: the account that the memory limit is kept by, beside what the process really took.
//!
//! The process's own memory is read, since counting what an allocator hands out takes `unsafe` code. One test in a
//! program of its own, so that no other takes memory meanwhile.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test says so when something is not as it should be")]

use skein_store::{Class, ClassKind, Options, Schema, Store, Type, Value};

const OBJECTS: u64 = 200_000;

/// The values of the object of this number.
type Filling = Box<dyn Fn(u64) -> Vec<Value>>;

fn schema() -> Schema {
    let plain = Class::builder("plain", 1, ClassKind::Local)
        .field("id", Type::U64)
        .field("payload", Type::Bytes)
        .primary(&["id"]);
    let indexed = Class::builder("indexed", 2, ClassKind::Local)
        .field("id", Type::U64)
        .field("group", Type::U64)
        .primary(&["id"])
        .ordered("by_group", &["group"]);
    let ascending = Class::builder("ascending", 3, ClassKind::Local)
        .field("id", Type::U64)
        .field("payload", Type::Bytes)
        .primary(&["id"]);
    let followed = Class::builder("followed", 4, ClassKind::Local)
        .field("id", Type::U64)
        .field("place", Type::U64)
        .primary(&["id"])
        .ordered("by_place", &["place"]);
    let classes = [plain, indexed, ascending, followed];
    let builder = Schema::builder("memory");
    classes.into_iter().fold(builder, |builder, class| builder.class(class.build().unwrap())).build().unwrap()
}

fn scattered(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn fill(store: &Store, class: usize, values: impl Fn(u64) -> Vec<Value>) {
    let class = &store.schema().classes()[class];
    for from in (0..OBJECTS).step_by(1000) {
        let mut batch = store.batch();
        for number in from..from + 1000 {
            batch.put(class.id, class.encode_row(&values(number)).unwrap()).unwrap();
        }
        store.commit(batch).unwrap();
    }
}

#[test]
fn the_account_is_within_three_tenths_of_what_the_process_took() {
    let store = Store::open(schema(), Options::memory()).unwrap();
    let resident = || skein_testkit::memory(std::process::id());
    let fillings: [(&str, usize, Filling); 4] = [
        (
            "rows of about a hundred bytes",
            0,
            Box::new(|number| vec![Value::U64(scattered(number)), Value::Bytes(vec![7_u8; 100].into())]),
        ),
        (
            "small rows with an index entry",
            1,
            Box::new(|number| vec![Value::U64(scattered(number)), Value::U64(number % 1000)]),
        ),
        (
            "rows in ascending order",
            2,
            Box::new(|number| vec![Value::U64(number), Value::Bytes(vec![7_u8; 100].into())]),
        ),
        (
            "small rows with an index entry, both in ascending order",
            3,
            Box::new(|number| vec![Value::U64(number), Value::U64(number)]),
        ),
    ];
    for (what, class, values) in fillings {
        let (before, accounted) = (resident(), store.stats().bytes);
        fill(&store, class, values);
        let took = resident().anonymous_bytes.saturating_sub(before.anonymous_bytes);
        let accounted = store.stats().bytes - accounted;
        let ratio = took as f64 / accounted as f64;
        assert!((0.7..=1.3).contains(&ratio), "{what}: accounted {accounted}, took {took}: {ratio:.2}");
    }
}
