//! What counts as read in a serializable transaction: everything it could tell from an answer.
//!
//! Each observation is made by one transaction, which then writes an object apart. Between them another changes what was
//! observed. The first must be refused; where the other changes something beside it, it must not be.

use skein_store::{
    Access, Direction, Isolation, KeyRange, ObjectKey, Outcome, StatementError, Store, Transaction,
};

use super::fixture::{Account, BRANCH, OTHER_BRANCH, Person, begin, committed, in_memory};

fn account(id: u64, branch: u32) -> Account {
    Account { id, branch, balance: 0 }
}

/// Observes in one transaction, changes in another that commits first, and says whether the first may commit.
#[track_caller]
fn holds(observe: impl FnOnce(&mut Transaction), change: impl FnOnce(&mut Transaction)) -> bool {
    let store = in_memory();
    let mut setup = begin(&store, Isolation::Serializable);
    setup.insert(&Person { id: 1, mail: "ann@example.org".to_owned() }).unwrap();
    assert!(committed(setup));
    let mut observer = begin(&store, Isolation::Serializable);
    observe(&mut observer);
    let mut changer = begin(&store, Isolation::Serializable);
    change(&mut changer);
    assert!(committed(changer));
    observer.insert(&account(90, 90)).unwrap();
    match observer.commit().unwrap() {
        Outcome::Committed { .. } => true,
        Outcome::Conflict { .. } => false,
        other => panic!("{other:?}"),
    }
}

fn add(id: u64, branch: u32) -> impl FnOnce(&mut Transaction) {
    move |transaction| transaction.insert(&account(id, branch)).unwrap()
}

fn remove(id: u64) -> impl FnOnce(&mut Transaction) {
    move |transaction| assert!(transaction.delete::<Account>(&id).unwrap())
}

fn scan(
    transaction: &mut Transaction,
    access: Access,
    range: KeyRange,
    direction: Direction,
    rows: usize,
) -> usize {
    transaction.scan::<Account>(access, range, direction).unwrap().map(Result::unwrap).take(rows).count()
}

#[test]
fn a_lookup() {
    assert!(!holds(|t| assert!(t.get::<Account>(&1).unwrap().is_some()), remove(1)));
    assert!(!holds(|t| assert!(t.get::<Account>(&3).unwrap().is_none()), add(3, BRANCH)));
    assert!(holds(|t| assert!(t.get::<Account>(&3).unwrap().is_none()), add(4, BRANCH)));
}

#[test]
fn an_update_or_delete_that_found_nothing() {
    assert!(!holds(|t| assert!(!t.update(&account(3, BRANCH)).unwrap()), add(3, BRANCH)));
    assert!(!holds(|t| assert!(!t.delete::<Account>(&3).unwrap()), add(3, BRANCH)));
}

#[test]
fn an_update_or_delete_that_was_rolled_back() {
    let update = |t: &mut Transaction| {
        let savepoint = t.savepoint();
        assert!(t.update(&account(1, BRANCH)).unwrap());
        t.rollback_to(&savepoint).unwrap();
    };
    assert!(!holds(update, remove(1)));
    let delete = |t: &mut Transaction| {
        let savepoint = t.savepoint();
        assert!(t.delete::<Account>(&1).unwrap());
        t.rollback_to(&savepoint).unwrap();
    };
    assert!(!holds(delete, remove(1)));
}

#[test]
fn an_insert_that_was_refused() {
    let insert = |t: &mut Transaction| {
        // With a snapshot at hand the statement itself tells.
        assert!(t.get::<Account>(&2).unwrap().is_some());
        let refused = t.insert(&account(1, BRANCH)).unwrap_err();
        assert!(matches!(refused, StatementError::DuplicateKey { .. }), "{refused:?}");
    };
    assert!(!holds(insert, remove(1)));
    assert!(holds(insert, add(4, BRANCH)));
}

#[test]
fn an_insert_that_was_carried_out_and_rolled_back() {
    let insert = |t: &mut Transaction| {
        assert!(t.get::<Account>(&2).unwrap().is_some());
        let savepoint = t.savepoint();
        t.insert(&account(3, BRANCH)).unwrap();
        t.rollback_to(&savepoint).unwrap();
    };
    assert!(!holds(insert, add(3, BRANCH)));
}

#[test]
fn a_unique_key_that_was_taken() {
    let insert = |t: &mut Transaction| {
        assert!(t.get::<Account>(&2).unwrap().is_some());
        let refused = t.insert(&Person { id: 2, mail: "ann@example.org".to_owned() }).unwrap_err();
        assert!(matches!(refused, StatementError::DuplicateKey { .. }), "{refused:?}");
    };
    assert!(!holds(insert, |t| assert!(t.delete::<Person>(&1).unwrap())));
}

#[test]
fn a_range_by_the_primary_key_and_by_an_index() {
    for direction in [Direction::Forward, Direction::Backward] {
        let all =
            |t: &mut Transaction| assert_eq!(scan(t, Access::Primary, KeyRange::all(), direction, 9), 2);
        assert!(!holds(all, add(3, BRANCH)));
        assert!(!holds(all, remove(2)));
        let of_branch = |t: &mut Transaction| {
            let range = KeyRange::prefix(&BRANCH.to_key());
            assert_eq!(scan(t, Access::Index(0), range, direction, 9), 2);
        };
        assert!(!holds(of_branch, add(3, BRANCH)));
        assert!(holds(of_branch, add(3, OTHER_BRANCH)));
    }
    let counted = |t: &mut Transaction| {
        assert_eq!(t.count::<Account>(Access::Primary, &KeyRange::all()).unwrap(), 2);
    };
    assert!(!holds(counted, add(3, BRANCH)));
}

#[test]
fn one_object_in_a_range_for_another() {
    // The number stays the same; the versions do not.
    let all =
        |t: &mut Transaction| assert_eq!(scan(t, Access::Primary, KeyRange::all(), Direction::Forward, 9), 2);
    let exchange = |t: &mut Transaction| {
        assert!(t.delete::<Account>(&1).unwrap());
        t.insert(&account(3, BRANCH)).unwrap();
    };
    assert!(!holds(all, exchange));
}

#[test]
fn only_the_part_of_a_range_that_was_looked_at() {
    let fill = |store: &Store| {
        let mut transaction = begin(store, Isolation::Serializable);
        for id in 100..1000 {
            transaction.insert(&account(id, 3)).unwrap();
        }
        assert!(committed(transaction));
    };
    for (direction, near, far) in [(Direction::Forward, 100, 999), (Direction::Backward, 999, 100)] {
        for (changed, expected) in [(near, false), (far, true)] {
            let store = in_memory();
            fill(&store);
            let mut observer = begin(&store, Isolation::Serializable);
            let range = KeyRange::between(
                std::ops::Bound::Included(&100_u64.to_key()),
                std::ops::Bound::Included(&999_u64.to_key()),
            );
            assert_eq!(scan(&mut observer, Access::Primary, range, direction, 1), 1);
            let mut changer = begin(&store, Isolation::Serializable);
            assert!(changer.delete::<Account>(&changed).unwrap());
            assert!(committed(changer));
            observer.insert(&account(90, 90)).unwrap();
            assert_eq!(committed(observer), expected, "{direction:?}, {changed} was deleted");
        }
    }
}

#[test]
fn a_range_that_begins_with_objects_of_ones_own() {
    let observe = |t: &mut Transaction| {
        for id in [50, 51, 52] {
            t.insert(&account(id, OTHER_BRANCH)).unwrap();
        }
        let range = KeyRange::prefix(&OTHER_BRANCH.to_key());
        assert_eq!(scan(t, Access::Index(0), range, Direction::Forward, 9), 3);
    };
    assert!(!holds(observe, add(3, OTHER_BRANCH)));
    assert!(holds(observe, add(3, BRANCH)));
}

#[test]
fn a_unique_key_that_was_free_before_a_rollback() {
    let insert = |t: &mut Transaction| {
        assert!(t.get::<Account>(&2).unwrap().is_some());
        let savepoint = t.savepoint();
        t.insert(&Person { id: 2, mail: "bob@example.org".to_owned() }).unwrap();
        t.rollback_to(&savepoint).unwrap();
    };
    let take = |id, mail: &'static str| {
        move |t: &mut Transaction| t.insert(&Person { id, mail: mail.to_owned() }).unwrap()
    };
    assert!(!holds(insert, take(3, "bob@example.org")));
    assert!(!holds(insert, take(2, "cid@example.org")));
    assert!(holds(insert, take(3, "cid@example.org")));
}

#[test]
fn nothing_by_a_blind_write_that_was_rolled_back() {
    let insert = |t: &mut Transaction| {
        let savepoint = t.savepoint();
        t.insert(&account(3, BRANCH)).unwrap();
        t.rollback_to(&savepoint).unwrap();
    };
    assert!(holds(insert, add(3, BRANCH)));
}
