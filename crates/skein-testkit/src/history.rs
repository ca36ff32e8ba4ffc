//! Histories of concurrent transactions, and whether an isolation level allows them.
//!
//! A history is what clients saw: transactions that append unique values to lists and read whole
//! lists. A list that was read tells the order in which its values were appended, so the
//! dependencies between transactions follow from the reads alone (the list-append method of Elle,
//! over the phenomena of Adya). The checker never runs anything, never looks into a store, and
//! never blames a transaction whose outcome is unknown unless somebody saw its effects. Tests of
//! the store and of the cluster record histories with [`Recorder`] and check them here.
//!
//! What is found is sound: a reported anomaly has no explanation at that level. It is complete for
//! serializability, and for snapshot isolation when every append was read by somebody; of the
//! appends to one key that nobody read, the first [`UNREAD_MAX`] enter the graph.

mod anomaly;
mod cycles;
mod edn;
mod graph;
mod recorder;
mod register;
mod versions;
mod walk;

#[cfg(test)]
mod tests;

use std::fmt;

pub use anomaly::{Anomaly, Level, Order, Phenomenon, Report};
pub use recorder::{Recorder, Recording};
pub use register::{RegisterAction, RegisterOperation, linearizable};

use graph::Graph;
use versions::Versions;

/// How many appends that nobody read are taken into account per key: each may be ordered after each
/// reader of the last known list, which would be quadratic.
pub const UNREAD_MAX: usize = 64;

/// What a transaction did at one step, in the order in which it did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A value that nobody else appends to this key.
    Append { key: u64, value: u64 },
    /// The whole list as the transaction saw it, its own appends included.
    Read { key: u64, list: Vec<u64> },
}

/// What the client was told at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Committed,
    Aborted,
    /// No answer: it may have committed, at any later moment.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The client: it runs one transaction at a time.
    pub process: u64,
    pub outcome: Outcome,
    pub operations: Vec<Operation>,
    /// A moment of a clock that all processes share, before the first operation.
    pub invoked: u64,
    /// A moment of the same clock after the answer; means nothing when the outcome is unknown.
    pub completed: u64,
}

/// Transactions in any order; their numbers in reports are their positions here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    pub transactions: Vec<Transaction>,
}

impl History {
    /// Looks for everything that `level` forbids. Panics when the history could not have been
    /// recorded: a value appended twice to a key, or a transaction that ended before it began.
    #[track_caller]
    pub fn check(&self, level: Level) -> Report {
        self.assert_well_formed();
        let versions = Versions::infer(self);
        let mut anomalies = versions.anomalies();
        let graph = Graph::build(self, &versions, level.order());
        anomalies.extend(cycles::find(&graph, level));
        anomalies.retain(|anomaly| level.forbids(anomaly.phenomenon));
        Report::new(level, anomalies)
    }

    #[track_caller]
    fn assert_well_formed(&self) {
        for (number, transaction) in self.transactions.iter().enumerate() {
            assert!(
                transaction.outcome == Outcome::Unknown || transaction.invoked < transaction.completed,
                "T{number} ended at {} and began at {}",
                transaction.completed,
                transaction.invoked
            );
        }
    }
}

/// The longest tail of a list that is printed; what stands before it is counted.
const LIST_SHOWN_MAX: usize = 8;

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append { key, value } => write!(f, "append({key}, {value})"),
            Self::Read { key, list } => {
                let hidden = list.len().saturating_sub(LIST_SHOWN_MAX);
                let shown: Vec<String> = list.iter().skip(hidden).map(u64::to_string).collect();
                let more = if hidden > 0 { format!("{hidden} more, ") } else { String::new() };
                write!(f, "read({key}) = [{more}{}]", shown.join(", "))
            }
        }
    }
}

impl fmt::Display for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            Outcome::Committed => "committed",
            Outcome::Aborted => "aborted",
            Outcome::Unknown => "outcome unknown",
        };
        let operations: Vec<String> = self.operations.iter().map(Operation::to_string).collect();
        write!(f, "process {}, {outcome}: {}", self.process, operations.join(", "))
    }
}
