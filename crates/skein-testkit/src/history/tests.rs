//! The checker proven: on one hand-written history per phenomenon, against brute force on small
//! histories, and on a simulated store with and without planted faults.

mod brute_force;
mod known;
mod registers;
mod simulated;

use super::{History, Operation, Outcome, Transaction};

/// One transaction to a line, in the order in which they begin:
/// `process outcome: a1.10 r1=10,11 r2=`, where the outcome is `ok`, `fail` or `info`. A line ends
/// before the next begins unless it ends with `..`: then its transaction is under way until `end N`
/// names its number, or to the end of the history.
pub(super) fn history(text: &str) -> History {
    let mut transactions: Vec<Transaction> = Vec::new();
    let mut clock = 0;
    let mut tick = || {
        clock += 1;
        clock
    };
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(number) = line.strip_prefix("end ") {
            transactions[number.parse::<usize>().unwrap()].completed = tick();
            continue;
        }
        let (head, rest) = line.split_once(':').unwrap();
        let (process, outcome) = head.split_once(' ').unwrap();
        let outcome = match outcome {
            "ok" => Outcome::Committed,
            "fail" => Outcome::Aborted,
            "info" => Outcome::Unknown,
            _ => panic!("{line}"),
        };
        let is_open = rest.ends_with("..");
        let invoked = tick();
        let operations = rest.trim_end_matches("..").split_whitespace().map(operation).collect();
        let completed = if is_open { u64::MAX } else { tick() };
        transactions.push(Transaction {
            process: process.parse().unwrap(),
            outcome,
            operations,
            invoked,
            completed,
        });
    }
    History { transactions }
}

fn operation(text: &str) -> Operation {
    let number = |text: &str| text.parse::<u64>().unwrap();
    if let Some(append) = text.strip_prefix('a') {
        let (key, value) = append.split_once('.').unwrap();
        return Operation::Append { key: number(key), value: number(value) };
    }
    let (key, list) = text.strip_prefix('r').unwrap().split_once('=').unwrap();
    let list = list.split(',').filter(|value| !value.is_empty()).map(number).collect();
    Operation::Read { key: number(key), list }
}
