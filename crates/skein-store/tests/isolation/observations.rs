//! What counts as read in a serializable transaction: everything it could tell from an answer.
//!
//! Each observation is made by one transaction, which then writes an object apart. Between them another changes what was
//! observed. The first must be refused; where the other changes something beside it, it must not be.

use skein_store::{Access, Direction, Isolation, KeyRange, ObjectKey, Outcome, Store, Transaction};

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
