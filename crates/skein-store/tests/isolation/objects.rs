//! Scenarios about single objects.

use skein_store::{Isolation, Mode, Store};

use super::fixture::{
    Account, BRANCH, Person, Scenario, Seen, balance, begin, both, committed, set, set_apart, shown,
};

use Seen::{Hidden, Possible, Refused};

pub(crate) const SCENARIOS: [Scenario; 11] = [
    Scenario {
        name: "dirty write (G0)",
        text: "two transactions write the same two objects, and one of each stays",
        expected: [Refused, Refused, Refused],
        run: dirty_write,
    },
    Scenario {
        name: "aborted read (G1a)",
        text: "reading what is rolled back later",
        expected: [Hidden, Hidden, Hidden],
        run: aborted_read,
    },
    Scenario {
        name: "intermediate read (G1b)",
        text: "reading what its writer overwrites before it commits",
        expected: [Hidden, Hidden, Hidden],
        run: intermediate_read,
    },
    Scenario {
        name: "circular information flow (G1c)",
        text: "two transactions read what the other wrote",
        expected: [Hidden, Hidden, Hidden],
        run: circular_flow,
    },
    Scenario {
        name: "non-repeatable read (P2)",
        text: "reading an object twice gives two answers",
        expected: [Possible, Hidden, Hidden],
        run: non_repeatable_read,
    },
    Scenario {
        name: "read skew (G-single)",
        text: "one object from before another's commit, a second from after it",
        expected: [Possible, Hidden, Hidden],
        run: read_skew,
    },
    Scenario {
        name: "long fork (G-nonadjacent)",
        text: "two readers see two commits in opposite orders",
        expected: [Possible, Hidden, Hidden],
        run: long_fork,
    },
    Scenario {
        name: "lost update (P4)",
        text: "two transactions read an object and write it back changed; one change is gone",
        expected: [Possible, Refused, Refused],
        run: lost_update,
    },
    Scenario {
        name: "write skew (G2-item)",
        text: "two transactions read the same two objects, and each writes a different one",
        expected: [Possible, Possible, Refused],
        run: write_skew,
    },
    Scenario {
        name: "read-only anomaly",
        text: "a reader sees a state that no order of the two writers leads to",
        expected: [Possible, Possible, Refused],
        run: read_only_anomaly,
    },
    Scenario {
        name: "unique key taken twice",
        text: "two transactions add objects with the same unique key",
        expected: [Refused, Refused, Refused],
        run: unique_key_twice,
    },
];

fn dirty_write(store: &Store, isolation: Isolation) -> Seen {
    let (mut one, mut other) = (begin(store, isolation), begin(store, isolation));
    set(&mut one, 1, 11);
    set(&mut other, 1, 22);
    set(&mut other, 2, 22);
    assert!(committed(other));
    set(&mut one, 2, 11);
    if !committed(one) {
        return Refused;
    }
    let mut reader = begin(store, isolation);
    shown(balance(&mut reader, 1) != balance(&mut reader, 2))
}

fn aborted_read(store: &Store, isolation: Isolation) -> Seen {
    let (mut writer, mut reader) = (begin(store, isolation), begin(store, isolation));
    set(&mut writer, 1, 11);
    let seen = balance(&mut reader, 1);
    writer.rollback();
    assert!(committed(reader));
    shown(seen == 11)
}

fn intermediate_read(store: &Store, isolation: Isolation) -> Seen {
    let (mut writer, mut reader) = (begin(store, isolation), begin(store, isolation));
    set(&mut writer, 1, 11);
    let seen = balance(&mut reader, 1);
    set(&mut writer, 1, 12);
    assert!(committed(writer));
    assert!(committed(reader));
    shown(seen == 11)
}

fn circular_flow(store: &Store, isolation: Isolation) -> Seen {
    let (mut one, mut other) = (begin(store, isolation), begin(store, isolation));
    set(&mut one, 1, 11);
    set(&mut other, 2, 22);
    let seen = (balance(&mut one, 2), balance(&mut other, 1));
    assert!(committed(one));
    // It need not be committed for its reads to count.
    let _ = committed(other);
    shown(seen == (22, 11))
}

fn non_repeatable_read(store: &Store, isolation: Isolation) -> Seen {
    let mut reader = begin(store, isolation);
    let before = balance(&mut reader, 1);
    set_apart(store, isolation, &[(1, 11)]);
    let after = balance(&mut reader, 1);
    assert!(committed(reader), "it wrote nothing");
    shown(before != after)
}

fn read_skew(store: &Store, isolation: Isolation) -> Seen {
    let mut reader = begin(store, isolation);
    let one = balance(&mut reader, 1);
    set_apart(store, isolation, &[(1, 50), (2, 150)]);
    let other = balance(&mut reader, 2);
    assert!(committed(reader), "it wrote nothing");
    shown(one + other != 200)
}

fn long_fork(store: &Store, isolation: Isolation) -> Seen {
    let (mut one, mut other) = (begin(store, isolation), begin(store, isolation));
    let (before_one, before_two) = (balance(&mut one, 2), balance(&mut other, 1));
    set_apart(store, isolation, &[(1, 11)]);
    set_apart(store, isolation, &[(2, 22)]);
    let (after_one, after_two) = (balance(&mut one, 1), balance(&mut other, 2));
    assert!(committed(one) && committed(other), "they wrote nothing");
    shown((after_one, before_one) == (11, 100) && (before_two, after_two) == (100, 22))
}

fn lost_update(store: &Store, isolation: Isolation) -> Seen {
    let (mut one, mut other) = (begin(store, isolation), begin(store, isolation));
    let (seen_by_one, seen_by_other) = (balance(&mut one, 1), balance(&mut other, 1));
    set(&mut one, 1, seen_by_one + 10);
    assert!(committed(one));
    set(&mut other, 1, seen_by_other + 20);
    if !committed(other) {
        return Refused;
    }
    shown(balance(&mut begin(store, isolation), 1) != 130)
}

fn write_skew(store: &Store, isolation: Isolation) -> Seen {
    let (mut one, mut other) = (begin(store, isolation), begin(store, isolation));
    assert_eq!(balance(&mut one, 1) + balance(&mut one, 2), 200);
    assert_eq!(balance(&mut other, 1) + balance(&mut other, 2), 200);
    set(&mut one, 1, -100);
    set(&mut other, 2, -100);
    both(one, other)
}

/// Fekete, O'Neil and O'Neil: a withdrawal that did not see a deposit, and a report between them that did.
fn read_only_anomaly(store: &Store, isolation: Isolation) -> Seen {
    let mut withdrawal = begin(store, isolation);
    let seen = (balance(&mut withdrawal, 1), balance(&mut withdrawal, 2));
    set_apart(store, isolation, &[(2, 120)]);
    let mut report = store.begin(Mode::ReadOnly, isolation);
    assert_eq!((balance(&mut report, 1), balance(&mut report, 2)), (100, 120));
    assert!(committed(report));
    set(&mut withdrawal, 1, seen.0 + seen.1 - 300);
    if committed(withdrawal) { Possible } else { Refused }
}

fn unique_key_twice(store: &Store, isolation: Isolation) -> Seen {
    let (mut one, mut other) = (begin(store, isolation), begin(store, isolation));
    // Each looks first, so that neither relies on the statement to find what the other has not committed.
    assert!(one.get::<Person>(&1).unwrap().is_none() && other.get::<Person>(&2).unwrap().is_none());
    one.insert(&Person { id: 1, mail: "ann@example.org".to_owned() }).unwrap();
    other.insert(&Person { id: 2, mail: "ann@example.org".to_owned() }).unwrap();
    both(one, other)
}

#[test]
fn of_two_that_add_the_same_object_one_is_refused() {
    for isolation in super::fixture::LEVELS {
        let store = super::fixture::in_memory();
        let (mut one, mut other) = (begin(&store, isolation), begin(&store, isolation));
        one.insert(&Account { id: 3, branch: BRANCH, balance: 11 }).unwrap();
        other.insert(&Account { id: 3, branch: BRANCH, balance: 22 }).unwrap();
        assert_eq!(both(one, other), Refused, "{isolation:?}");
        assert_eq!(balance(&mut begin(&store, isolation), 3), 11);
    }
}

#[test]
fn blind_writes_of_two_never_mix() {
    for isolation in super::fixture::LEVELS {
        let store = super::fixture::in_memory();
        let (mut one, mut other) = (begin(&store, isolation), begin(&store, isolation));
        let put = |transaction: &mut skein_store::Transaction, id, balance| {
            transaction.upsert(&Account { id, branch: BRANCH, balance }).unwrap();
        };
        put(&mut one, 1, 11);
        put(&mut other, 1, 22);
        put(&mut other, 2, 22);
        assert!(committed(other));
        put(&mut one, 2, 11);
        let expected = if committed(one) { 11 } else { 22 };
        let mut reader = begin(&store, isolation);
        assert_eq!((balance(&mut reader, 1), balance(&mut reader, 2)), (expected, expected), "{isolation:?}");
    }
}
