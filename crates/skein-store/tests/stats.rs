//! What the store tells of its log, its syncs and its snapshots.
#![expect(clippy::unwrap_used, reason = "a failed expectation ends the test that stated it")]

use skein_store::{Class, ClassId, ClassKind, Options, Schema, Store, Type, Value};
use skein_wal::disk::FaultyDisk;
use std::sync::Arc;
use std::time::Duration;

const NOTE: ClassId = ClassId(1);

fn store() -> Store {
    let class = Class::builder("note", NOTE.0, ClassKind::Replicated);
    let class = class.field("id", Type::U64).field("text", Type::String).primary(&["id"]).build().unwrap();
    let mut options = Options::durable("/store");
    options.disk = Arc::new(FaultyDisk::new());
    options.segment_bytes = 8 * 1024;
    Store::open(Schema::builder("notes").class(class).build().unwrap(), options).unwrap()
}

fn put(store: &Store, id: u64) {
    let mut batch = store.batch();
    let class = store.schema().class(NOTE).unwrap();
    let row = class.encode_row(&[Value::U64(id), Value::from("x".repeat(1000).as_str())]).unwrap();
    batch.put(NOTE, row).unwrap();
    store.commit(batch).unwrap();
}

#[test]
fn syncs_are_counted_and_timed() {
    let store = store();
    let before = store.stats();
    (0..3).for_each(|id| put(&store, id));
    let after = store.stats();
    assert_eq!(after.syncs - before.syncs, 3);
    assert!(after.sync_time > before.sync_time, "{after:?}");
    assert!(Duration::ZERO < after.sync_time_max && after.sync_time_max <= after.sync_time, "{after:?}");
}

#[test]
fn the_log_is_measured_and_shrinks_behind_snapshots() {
    let store = store();
    let fresh = store.stats();
    assert_eq!((fresh.log_segments, fresh.snapshot_age, fresh.snapshots), (1, None, 0));
    (0..30).for_each(|id| put(&store, id));
    let grown = store.stats();
    assert!(grown.log_segments > 2 && grown.log_bytes > fresh.log_bytes, "{grown:?}");
    // The newest two snapshots are kept, so the log goes back to the older one.
    store.checkpoint().unwrap();
    put(&store, 30);
    store.checkpoint().unwrap();
    // The log thread purges behind the next group.
    put(&store, 31);
    put(&store, 32);
    let purged = store.stats();
    assert!(purged.log_segments < grown.log_segments, "{purged:?}");
    assert_eq!(purged.snapshots, 2);
    assert!(purged.snapshot_age.is_some(), "{purged:?}");
}
