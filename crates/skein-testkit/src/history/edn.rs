//! A history as EDN text, in the form that Jepsen's and Elle's tools read for list-append.
//!
//! Only written, never read back: it lets another checker judge what this one judged.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{History, Operation, Outcome, Transaction};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Invoked,
    Completed,
}

impl History {
    /// One operation map to a line, invocations and completions in the order of their moments.
    pub fn to_edn(&self) -> String {
        let processes = self.single_use_processes();
        let mut events: Vec<(u64, Moment, usize)> = Vec::new();
        for (number, transaction) in self.transactions.iter().enumerate() {
            events.push((transaction.invoked, Moment::Invoked, number));
            // What got no answer may take effect at any later moment: it stays open to the end.
            let completed = match transaction.outcome {
                Outcome::Committed | Outcome::Aborted => transaction.completed,
                Outcome::Unknown => u64::MAX,
            };
            events.push((completed, Moment::Completed, number));
        }
        events.sort_unstable();
        let mut out = String::new();
        for (index, (time, moment, number)) in events.into_iter().enumerate() {
            let transaction = &self.transactions[number];
            let time = if time == u64::MAX { transaction.completed } else { time };
            let (kind, value) = (kind(moment, transaction.outcome), value(moment, transaction));
            let process = processes[number];
            let _ = writeln!(
                out,
                "{{:index {index}, :time {time}, :type {kind}, :process {process}, :f :txn, :value {value}}}"
            );
        }
        out
    }

    /// In EDN a process ends with the first operation that got no answer; what its client does next
    /// is done by a new one.
    fn single_use_processes(&self) -> Vec<u64> {
        let mut next = self.transactions.iter().map(|t| t.process).max().map_or(0, |last| last + 1);
        let mut order: Vec<usize> = (0..self.transactions.len()).collect();
        order.sort_unstable_by_key(|number| self.transactions[*number].invoked);
        let mut names: BTreeMap<u64, u64> = BTreeMap::new();
        let mut processes = vec![0; self.transactions.len()];
        for number in order {
            let transaction = &self.transactions[number];
            let name = names.entry(transaction.process).or_insert(transaction.process);
            processes[number] = *name;
            if transaction.outcome == Outcome::Unknown {
                *name = next;
                next += 1;
            }
        }
        processes
    }
}

fn kind(moment: Moment, outcome: Outcome) -> &'static str {
    match (moment, outcome) {
        (Moment::Invoked, _) => ":invoke",
        (Moment::Completed, Outcome::Committed) => ":ok",
        (Moment::Completed, Outcome::Aborted) => ":fail",
        (Moment::Completed, Outcome::Unknown) => ":info",
    }
}

fn value(moment: Moment, transaction: &Transaction) -> String {
    let is_answer = moment == Moment::Completed && transaction.outcome == Outcome::Committed;
    let operations: Vec<String> = transaction
        .operations
        .iter()
        .map(|operation| match operation {
            Operation::Append { key, value } => format!("[:append {key} {value}]"),
            Operation::Read { key, list } if is_answer => {
                let list: Vec<String> = list.iter().map(u64::to_string).collect();
                format!("[:r {key} [{}]]", list.join(" "))
            }
            Operation::Read { key, .. } => format!("[:r {key} nil]"),
        })
        .collect();
    format!("[{}]", operations.join(" "))
}
