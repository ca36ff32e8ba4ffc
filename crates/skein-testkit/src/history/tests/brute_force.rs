//! The checker against brute force: on small random histories both must come to the same verdict.
//!
//! Brute force knows nothing of graphs. It runs the transactions of a history in every order that a
//! level allows, on lists of its own, until one run answers every read as it was recorded.

use crate::Numbers;
use crate::history::{History, Level, Operation, Order, Outcome, Transaction};

const KEYS: u64 = 2;

#[test]
fn verdicts_agree_when_every_append_was_read() {
    let (mut legal, mut illegal) = (0, 0);
    for seed in 0..3_000 {
        let mut history = random_history(seed);
        read_everything(&mut history, seed);
        for level in Level::ALL.into_iter().filter(|level| *level != Level::ReadCommitted) {
            let report = history.check(level);
            let expected = is_possible(&history, level);
            assert_eq!(report.is_legal(), expected, "seed {seed} at {level:?}: {history:#?}\n{report}");
            if expected {
                legal += 1;
            } else {
                illegal += 1;
            }
        }
    }
    assert!(legal > 3_000 && illegal > 3_000, "{legal} legal, {illegal} illegal: the test tells nothing");
}

#[test]
fn appends_that_nobody_read_lead_to_no_wrong_accusation() {
    for seed in 0..3_000 {
        let history = random_history(seed);
        for level in Level::ALL.into_iter().filter(|level| *level != Level::ReadCommitted) {
            let report = history.check(level);
            let expected = is_possible(&history, level);
            let exact =
                matches!(level, Level::Serializable | Level::SessionSerializable | Level::StrictSerializable);
            if exact || !report.is_legal() {
                assert_eq!(report.is_legal(), expected, "seed {seed} at {level:?}: {history:#?}\n{report}");
            }
        }
    }
}

/// Up to four transactions whose appends were made in one random order, and whose reads saw some
/// beginning of it: rarely all, so that every level has histories to refuse.
fn random_history(seed: u64) -> History {
    let mut numbers = Numbers::new(seed);
    let mut transactions = Vec::new();
    let mut moments: Vec<u64> = (1..=8).collect();
    let mut value = 0;
    for _ in 0..2 + numbers.below(3) {
        let mut take = || moments.swap_remove(usize::try_from(numbers.below(moments.len() as u64)).unwrap());
        let (one, other) = (take(), take());
        let operations = (0..1 + numbers.below(3)).map(|_| {
            let key = numbers.below(KEYS);
            if numbers.below(2) == 0 {
                return Operation::Read { key, list: Vec::new() };
            }
            value += 1;
            Operation::Append { key, value }
        });
        let operations = operations.collect();
        let outcome = match numbers.below(8) {
            0 => Outcome::Aborted,
            1 => Outcome::Unknown,
            _ => Outcome::Committed,
        };
        let process = numbers.below(2);
        transactions.push(Transaction {
            process,
            outcome,
            operations,
            invoked: one.min(other),
            completed: one.max(other),
        });
    }
    let lists = lists(&transactions, &mut numbers);
    for transaction in &mut transactions {
        fill_reads(transaction, &lists, &mut numbers);
    }
    History { transactions }
}

/// For each key the values appended to it, those of one transaction in their order.
fn lists(transactions: &[Transaction], numbers: &mut Numbers) -> Vec<Vec<u64>> {
    let mut lists = vec![Vec::new(); usize::try_from(KEYS).unwrap()];
    let mut order: Vec<usize> = (0..transactions.len()).collect();
    for at in (1..order.len()).rev() {
        order.swap(at, usize::try_from(numbers.below(at as u64 + 1)).unwrap());
    }
    for transaction in order.into_iter().map(|number| &transactions[number]) {
        let happened = match transaction.outcome {
            Outcome::Committed => true,
            Outcome::Aborted => numbers.below(8) == 0,
            Outcome::Unknown => numbers.below(2) == 0,
        };
        for operation in transaction.operations.iter().filter(|_| happened) {
            if let Operation::Append { key, value } = operation {
                lists[usize::try_from(*key).unwrap()].push(*value);
            }
        }
    }
    lists
}

fn fill_reads(transaction: &mut Transaction, lists: &[Vec<u64>], numbers: &mut Numbers) {
    let appends: Vec<(u64, u64)> = transaction
        .operations
        .iter()
        .filter_map(|operation| match operation {
            Operation::Append { key, value } => Some((*key, *value)),
            Operation::Read { .. } => None,
        })
        .collect();
    let mut own: Vec<(u64, u64)> = Vec::new();
    for operation in &mut transaction.operations {
        match operation {
            Operation::Append { key, value } => own.push((*key, *value)),
            Operation::Read { key, list } => {
                let all = &lists[usize::try_from(*key).unwrap()];
                let is_own = |value: &u64| appends.contains(&(*key, *value));
                let others = all.iter().position(is_own).unwrap_or(all.len());
                let has_own = own.iter().any(|(own_key, _)| own_key == key);
                let seen = if has_own || numbers.below(3) > 0 {
                    others as u64
                } else {
                    numbers.below(others as u64 + 1)
                };
                list.extend(&all[..usize::try_from(seen).unwrap()]);
                list.extend(own.iter().filter(|(own_key, _)| own_key == key).map(|(_, value)| *value));
            }
        }
    }
}

/// A last transaction that saw all of the longest lists and what else was committed.
fn read_everything(history: &mut History, seed: u64) {
    let mut numbers = Numbers::new(seed);
    let lists = {
        // The lists are drawn from the same numbers as the history's own, so they are taken from it instead.
        let mut lists: Vec<Vec<u64>> = vec![Vec::new(); usize::try_from(KEYS).unwrap()];
        for operation in history.transactions.iter().flat_map(|transaction| &transaction.operations) {
            if let Operation::Read { key, list } = operation {
                let longest = &mut lists[usize::try_from(*key).unwrap()];
                if list.len() > longest.len() {
                    longest.clone_from(list);
                }
            }
        }
        lists
    };
    let mut operations = Vec::new();
    for (key, mut list) in (0..KEYS).zip(lists) {
        let mut missing: Vec<Vec<u64>> = history
            .transactions
            .iter()
            .filter(|transaction| transaction.outcome == Outcome::Committed)
            .map(|transaction| {
                let of_key = |operation: &Operation| match operation {
                    Operation::Append { key: own, value } if *own == key && !list.contains(value) => {
                        Some(*value)
                    }
                    Operation::Append { .. } | Operation::Read { .. } => None,
                };
                transaction.operations.iter().filter_map(of_key).collect()
            })
            .collect();
        while !missing.is_empty() {
            let at = usize::try_from(numbers.below(missing.len() as u64)).unwrap();
            list.extend(missing.swap_remove(at));
        }
        operations.push(Operation::Read { key, list });
    }
    history.transactions.push(Transaction {
        process: 9,
        outcome: Outcome::Committed,
        operations,
        invoked: 100,
        completed: 101,
    });
}

/// A transaction in a run of brute force.
#[derive(Clone, PartialEq)]
enum Stage {
    Before,
    /// With the lists as they were at its begin.
    Running(Vec<Vec<u64>>),
    After,
}

fn is_possible(history: &History, level: Level) -> bool {
    let stages = vec![Stage::Before; history.transactions.len()];
    run(history, level, &stages, &vec![Vec::new(); usize::try_from(KEYS).unwrap()])
}

fn run(history: &History, level: Level, stages: &[Stage], lists: &[Vec<u64>]) -> bool {
    let is_serial =
        matches!(level, Level::Serializable | Level::SessionSerializable | Level::StrictSerializable);
    let done = |(transaction, stage): (&Transaction, &Stage)| {
        transaction.outcome != Outcome::Committed || *stage == Stage::After
    };
    if history.transactions.iter().zip(stages).all(done) {
        return true;
    }
    for (number, transaction) in history.transactions.iter().enumerate() {
        let mut next = stages.to_vec();
        match &stages[number] {
            Stage::Before if transaction.outcome == Outcome::Aborted => {}
            Stage::Before if may_begin(history, level, stages, number) && reads_match(transaction, lists) => {
                if is_serial {
                    next[number] = Stage::After;
                    if run(history, level, &next, &with_appends(transaction, lists)) {
                        return true;
                    }
                } else {
                    next[number] = Stage::Running(lists.to_vec());
                    if run(history, level, &next, lists) {
                        return true;
                    }
                }
            }
            Stage::Running(begin) if first_to_write(transaction, begin, lists) => {
                next[number] = Stage::After;
                if run(history, level, &next, &with_appends(transaction, lists)) {
                    return true;
                }
            }
            Stage::Before | Stage::Running(_) | Stage::After => {}
        }
    }
    false
}

fn may_begin(history: &History, level: Level, stages: &[Stage], number: usize) -> bool {
    let own = &history.transactions[number];
    history.transactions.iter().zip(stages).all(|(other, stage)| {
        let comes_first = other.outcome == Outcome::Committed
            && match level.order() {
                Order::None => false,
                Order::Session => other.process == own.process && other.invoked < own.invoked,
                Order::RealTime => other.completed < own.invoked,
            };
        !comes_first || *stage == Stage::After
    })
}

fn reads_match(transaction: &Transaction, lists: &[Vec<u64>]) -> bool {
    let mut own = lists.to_vec();
    transaction.operations.iter().all(|operation| match operation {
        Operation::Append { key, value } => {
            own[usize::try_from(*key).unwrap()].push(*value);
            true
        }
        Operation::Read { key, list } => own[usize::try_from(*key).unwrap()] == *list,
    })
}

fn first_to_write(transaction: &Transaction, begin: &[Vec<u64>], now: &[Vec<u64>]) -> bool {
    transaction.operations.iter().all(|operation| match operation {
        Operation::Append { key, .. } => {
            let key = usize::try_from(*key).unwrap();
            begin[key] == now[key]
        }
        Operation::Read { .. } => true,
    })
}

fn with_appends(transaction: &Transaction, lists: &[Vec<u64>]) -> Vec<Vec<u64>> {
    let mut lists = lists.to_vec();
    for operation in &transaction.operations {
        if let Operation::Append { key, value } = operation {
            lists[usize::try_from(*key).unwrap()].push(*value);
        }
    }
    lists
}
