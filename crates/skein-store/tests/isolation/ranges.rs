//! Scenarios about what lies in a range, by the primary key and by an index.

use skein_store::{Access, Isolation, KeyRange, Store, Transaction};

use super::fixture::{Account, BRANCH, OTHER_BRANCH, Scenario, Seen, begin, both, committed, count, shown};

use Seen::{Hidden, Possible, Refused};

pub(crate) const SCENARIOS: [Scenario; 7] = [
    Scenario {
        name: "phantom (P3)",
        text: "scanning a range twice gives an object that was added between",
        expected: [Possible, Hidden, Hidden],
        run: phantom,
    },
    Scenario {
        name: "phantom by update",
        text: "the same with an object whose indexed field was changed",
        expected: [Possible, Hidden, Hidden],
        run: phantom_by_update,
    },
    Scenario {
        name: "range read skew",
        text: "an object that moves from one range to another is counted in both",
        expected: [Possible, Hidden, Hidden],
        run: range_read_skew,
    },
    Scenario {
        name: "write skew by phantom (G2)",
        text: "two transactions find a range empty, and each adds an object to it",
        expected: [Possible, Possible, Refused],
        run: phantom_write_skew,
    },
    Scenario {
        name: "write skew by deletion (G2)",
        text: "two transactions find two objects in a range, and each deletes a different one",
        expected: [Possible, Possible, Refused],
        run: deletion_write_skew,
    },
    Scenario {
        name: "write skew by update (G2)",
        text: "two transactions count a range, and each moves an object into it by its indexed field",
        expected: [Possible, Possible, Refused],
        run: update_write_skew,
    },
    Scenario {
        name: "write skew by absence (G2)",
        text: "two transactions look up a key that is not there, and each adds the one the other looked for",
        expected: [Possible, Possible, Refused],
        run: absence_write_skew,
    },
];

fn insert(transaction: &mut Transaction, id: u64, branch: u32) {
    transaction.insert(&Account { id, branch, balance: 0 }).unwrap();
}

fn by_key(transaction: &mut Transaction) -> usize {
    usize::try_from(transaction.count::<Account>(Access::Primary, &KeyRange::all()).unwrap()).unwrap()
}

fn phantom(store: &Store, isolation: Isolation) -> Seen {
    let mut reader = begin(store, isolation);
    let before = (count(&mut reader, BRANCH), by_key(&mut reader));
    let mut writer = begin(store, isolation);
    insert(&mut writer, 3, BRANCH);
    assert!(committed(writer));
    let after = (count(&mut reader, BRANCH), by_key(&mut reader));
    assert!(committed(reader), "it wrote nothing");
    assert_eq!(before.0 == after.0, before.1 == after.1, "the index and the primary key agree");
    shown(before != after)
}

fn phantom_by_update(store: &Store, isolation: Isolation) -> Seen {
    let mut reader = begin(store, isolation);
    let before = count(&mut reader, OTHER_BRANCH);
    let mut writer = begin(store, isolation);
    assert!(writer.update(&Account { id: 1, branch: OTHER_BRANCH, balance: 100 }).unwrap());
    assert!(committed(writer));
    let after = count(&mut reader, OTHER_BRANCH);
    assert!(committed(reader), "it wrote nothing");
    shown(before != after)
}

fn range_read_skew(store: &Store, isolation: Isolation) -> Seen {
    let mut reader = begin(store, isolation);
    let from = count(&mut reader, BRANCH);
    let mut writer = begin(store, isolation);
    assert!(writer.update(&Account { id: 1, branch: OTHER_BRANCH, balance: 100 }).unwrap());
    assert!(committed(writer));
    let to = count(&mut reader, OTHER_BRANCH);
    assert!(committed(reader), "it wrote nothing");
    shown(from + to != 2)
}

fn phantom_write_skew(store: &Store, isolation: Isolation) -> Seen {
    let (mut one, mut other) = (begin(store, isolation), begin(store, isolation));
    assert_eq!((count(&mut one, OTHER_BRANCH), count(&mut other, OTHER_BRANCH)), (0, 0));
    insert(&mut one, 3, OTHER_BRANCH);
    insert(&mut other, 4, OTHER_BRANCH);
    both(one, other)
}

fn deletion_write_skew(store: &Store, isolation: Isolation) -> Seen {
    let (mut one, mut other) = (begin(store, isolation), begin(store, isolation));
    assert_eq!((count(&mut one, BRANCH), count(&mut other, BRANCH)), (2, 2));
    assert!(one.delete::<Account>(&1).unwrap() && other.delete::<Account>(&2).unwrap());
    both(one, other)
}

fn update_write_skew(store: &Store, isolation: Isolation) -> Seen {
    let (mut one, mut other) = (begin(store, isolation), begin(store, isolation));
    assert_eq!((count(&mut one, OTHER_BRANCH), count(&mut other, OTHER_BRANCH)), (0, 0));
    assert!(one.update(&Account { id: 1, branch: OTHER_BRANCH, balance: 0 }).unwrap());
    assert!(other.update(&Account { id: 2, branch: OTHER_BRANCH, balance: 0 }).unwrap());
    both(one, other)
}

fn absence_write_skew(store: &Store, isolation: Isolation) -> Seen {
    let (mut one, mut other) = (begin(store, isolation), begin(store, isolation));
    assert!(one.get::<Account>(&3).unwrap().is_none() && other.get::<Account>(&4).unwrap().is_none());
    insert(&mut one, 4, BRANCH);
    insert(&mut other, 3, BRANCH);
    both(one, other)
}
