//! The order of the values of each key, inferred from the reads, and what is wrong with single reads.
//!
//! A read that another read begins with is an older version of the same list, so the longest read
//! of a key is the order of its values. A transaction of unknown outcome counts as committed from
//! the moment a committed transaction saw one of its values; before that nothing of it counts.
//! Aborted transactions count as writers only, to find who read them.

use std::collections::{HashMap, HashSet};

use super::{Anomaly, History, Operation, Order, Outcome, Phenomenon, UNREAD_MAX};

/// How many examples of one phenomenon are reported.
const EXAMPLES_MAX: usize = 8;

/// Who appended a value.
#[derive(Debug, Clone, Copy)]
struct Append {
    transaction: usize,
    /// Whether its transaction appended nothing more to this key.
    is_final: bool,
}

/// A read, without what the transaction itself had appended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read<'h> {
    pub(super) transaction: usize,
    pub(super) key: u64,
    /// What others had appended.
    pub(super) list: &'h [u64],
    /// The list as it was read.
    whole: &'h [u64],
    /// Whether the transaction appended to the key after this read, and had not before.
    precedes_append: bool,
}

/// What is known about one key.
#[derive(Debug, Default)]
pub(super) struct KeyVersions<'h> {
    /// The longest list that was read.
    pub(super) order: &'h [u64],
    /// For each value in `order` its transaction, when that committed.
    pub(super) writers: Vec<Option<usize>>,
    /// Committed appends that are not in `order`, one for each transaction: they come after it.
    pub(super) unread: Vec<(usize, u64)>,
}

#[derive(Debug)]
pub(super) struct Versions<'h> {
    history: &'h History,
    appends: HashMap<(u64, u64), Append>,
    /// Committed, or of unknown outcome and seen.
    committed: Vec<bool>,
    /// Every read of a committed transaction that fits into the order of its key.
    pub(super) reads: Vec<Read<'h>>,
    pub(super) keys: HashMap<u64, KeyVersions<'h>>,
    faults: Vec<Anomaly>,
}

impl<'h> Versions<'h> {
    #[track_caller]
    pub(super) fn infer(history: &'h History) -> Self {
        let mut versions = Self {
            history,
            appends: appends(history),
            committed: history.transactions.iter().map(|t| t.outcome == Outcome::Committed).collect(),
            reads: Vec::new(),
            keys: HashMap::new(),
            faults: Vec::new(),
        };
        versions.find_committed();
        versions.find_writers();
        versions.find_unread();
        versions.keep_fitting_reads();
        versions
    }

    pub(super) fn is_committed(&self, transaction: usize) -> bool {
        self.committed.get(transaction).copied().unwrap_or(false)
    }

    /// Everything that shows without looking at cycles.
    pub(super) fn anomalies(&self) -> Vec<Anomaly> {
        let mut found = self.faults.clone();
        found.extend(self.intermediate_reads().take(EXAMPLES_MAX));
        found.extend(self.lost_updates().into_iter().take(EXAMPLES_MAX));
        found
    }

    /// Reads, and the longest of each key, until no further unknown transaction turns out to have committed.
    fn find_committed(&mut self) {
        loop {
            (self.reads, self.faults) = self.external_reads();
            self.keys = HashMap::new();
            for read in &self.reads {
                let key = self.keys.entry(read.key).or_default();
                if read.whole.len() > key.order.len() {
                    key.order = read.whole;
                }
            }
            let seen = self.unknown_seen();
            if seen.is_empty() {
                return;
            }
            for transaction in seen {
                self.committed[transaction] = true;
            }
        }
    }

    fn external_reads(&self) -> (Vec<Read<'h>>, Vec<Anomaly>) {
        let mut reads = Vec::new();
        let mut faults = Vec::new();
        for (number, transaction) in self.history.transactions.iter().enumerate() {
            if !self.is_committed(number) {
                continue;
            }
            for (position, operation) in transaction.operations.iter().enumerate() {
                let Operation::Read { key, list } = operation else { continue };
                let (before, after) = transaction.operations.split_at(position);
                let (own, later) = (own_appends(before, *key), own_appends(after, *key));
                if list.ends_with(&own) && later.iter().all(|value| !list.contains(value)) {
                    let external = &list[..list.len() - own.len()];
                    let precedes_append = own.is_empty() && !later.is_empty();
                    reads.push(Read {
                        transaction: number,
                        key: *key,
                        list: external,
                        whole: list,
                        precedes_append,
                    });
                } else if faults.len() < EXAMPLES_MAX {
                    let text =
                        format!("T{number} had itself appended {own:?} to key {key} when it did {operation}");
                    faults.push(self.anomaly(Phenomenon::Internal, &[number], &text));
                }
            }
        }
        (reads, faults)
    }

    /// Transactions of unknown outcome whose values a committed one read.
    fn unknown_seen(&self) -> HashSet<usize> {
        if self.history.transactions.iter().all(|t| t.outcome != Outcome::Unknown) {
            return HashSet::new();
        }
        // A read that the longest list begins with shows nothing that this list does not show.
        let lists = self.reads.iter().filter(|read| !self.fits(read)).map(|read| (read.key, read.whole));
        let longest = self.keys.iter().map(|(key, versions)| (*key, versions.order));
        lists
            .chain(longest)
            .flat_map(|(key, list)| list.iter().map(move |value| (key, *value)))
            .filter_map(|element| self.appends.get(&element))
            .map(|append| append.transaction)
            .filter(|writer| self.history.transactions[*writer].outcome == Outcome::Unknown)
            .filter(|writer| !self.committed[*writer])
            .collect()
    }

    fn fits(&self, read: &Read<'_>) -> bool {
        self.keys.get(&read.key).is_some_and(|key| key.order.starts_with(read.whole))
    }

    fn find_writers(&mut self) {
        for (name, key) in &mut self.keys {
            let writer = |value: &u64| {
                let append = self.appends.get(&(*name, *value))?;
                self.committed[append.transaction].then_some(append.transaction)
            };
            key.writers = key.order.iter().map(writer).collect();
        }
    }

    fn find_unread(&mut self) {
        let orders: HashMap<u64, HashSet<u64>> =
            self.keys.iter().map(|(name, key)| (*name, key.order.iter().copied().collect())).collect();
        for (number, transaction) in self.history.transactions.iter().enumerate() {
            if !self.committed[number] {
                continue;
            }
            for operation in &transaction.operations {
                let Operation::Append { key, value } = operation else { continue };
                if orders.get(key).is_some_and(|order| order.contains(value)) {
                    continue;
                }
                let unread = &mut self.keys.entry(*key).or_default().unread;
                if unread.len() < UNREAD_MAX && unread.last().is_none_or(|(last, _)| *last != number) {
                    unread.push((number, *value));
                }
            }
        }
    }

    /// Judges each list by itself, and keeps the reads from which dependencies can be drawn.
    fn keep_fitting_reads(&mut self) {
        let mut faults = Vec::new();
        for (name, key) in &self.keys {
            let reader = || {
                let whole = |read: &&Read<'_>| read.key == *name && read.whole.len() == key.order.len();
                self.reads.iter().find(whole).map_or(0, |read| read.transaction)
            };
            faults.extend(self.list_faults(*name, key.order, &reader));
        }
        for read in self.reads.iter().filter(|read| !self.fits(read)) {
            faults.extend(self.list_faults(read.key, read.whole, &|| read.transaction));
            faults.push(self.incompatible(read));
        }
        // Maps are walked in no fixed order: reports name the same examples each time.
        faults.sort_by(|a, b| {
            (a.phenomenon, &a.transactions, &a.explanation).cmp(&(
                b.phenomenon,
                &b.transactions,
                &b.explanation,
            ))
        });
        for fault in faults {
            let same = self.faults.iter().filter(|known| known.phenomenon == fault.phenomenon).count();
            if same < EXAMPLES_MAX {
                self.faults.push(fault);
            }
        }
        let keys = &self.keys;
        self.reads.retain(|read| keys.get(&read.key).is_some_and(|key| key.order.starts_with(read.whole)));
    }

    /// Values that stand twice in a list, that nobody appended, or that were taken back.
    fn list_faults(&self, key: u64, list: &[u64], reader: &dyn Fn() -> usize) -> Vec<Anomaly> {
        let mut seen = HashSet::new();
        let mut faults = Vec::new();
        for value in list {
            if !seen.insert(value) {
                let text = format!("T{} read key {key} with {value} twice", reader());
                faults.push(self.anomaly(Phenomenon::DuplicateElement, &[reader()], &text));
            }
            let Some(append) = self.appends.get(&(key, *value)) else {
                let text = format!("T{} read key {key} with {value}, which nobody appended", reader());
                faults.push(self.anomaly(Phenomenon::Invented, &[reader()], &text));
                continue;
            };
            let writer = append.transaction;
            if !self.committed[writer] {
                let text = format!("T{} read key {key} with {value}, which T{writer} took back", reader());
                faults.push(self.anomaly(Phenomenon::G1a, &[reader(), writer], &text));
            }
        }
        faults
    }

    fn incompatible(&self, read: &Read<'_>) -> Anomaly {
        let longest = self.keys.get(&read.key).map_or(&[][..], |key| key.order);
        let other = self.reads.iter().find(|other| other.key == read.key && other.whole == longest);
        let other = other.map_or(read.transaction, |other| other.transaction);
        let text = format!(
            "T{} and T{other} read lists of key {} of which none begins with the other",
            read.transaction, read.key
        );
        self.anomaly(Phenomenon::IncompatibleOrder, &[read.transaction, other], &text)
    }

    fn intermediate_reads(&self) -> impl Iterator<Item = Anomaly> {
        self.reads.iter().filter_map(|read| {
            let value = read.list.last()?;
            let append = self.appends.get(&(read.key, *value))?;
            if append.is_final || append.transaction == read.transaction {
                return None;
            }
            let writer = append.transaction;
            let text = format!(
                "T{} read key {} up to {value}, after which T{writer} appended more to it",
                read.transaction, read.key
            );
            Some(self.anomaly(Phenomenon::G1b, &[read.transaction, writer], &text))
        })
    }

    /// Pairs of transactions that read the same version of a key before each appended to it.
    fn lost_updates(&self) -> Vec<Anomaly> {
        // The last read before the append decides: an earlier one may have been meant for something else.
        let mut before_append: HashMap<(usize, u64), usize> = HashMap::new();
        for read in self.reads.iter().filter(|read| read.precedes_append) {
            before_append.insert((read.transaction, read.key), read.list.len());
        }
        let mut updates: Vec<_> =
            before_append.into_iter().map(|((number, key), version)| (key, version, number)).collect();
        updates.sort_unstable();
        let same = |pair: &&[(u64, usize, usize)]| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1);
        let anomaly = |pair: &[(u64, usize, usize)]| {
            let (key, version, one) = pair[0];
            let other = pair[1].2;
            let text =
                format!("T{one} and T{other} both read key {key} with {version} values, then appended to it");
            self.anomaly(Phenomenon::LostUpdate, &[one, other], &text)
        };
        updates.windows(2).filter(same).take(EXAMPLES_MAX).map(anomaly).collect()
    }

    fn anomaly(&self, phenomenon: Phenomenon, transactions: &[usize], text: &str) -> Anomaly {
        let mut explanation = String::new();
        for number in transactions {
            explanation += &format!("  T{number} {}\n", self.history.transactions[*number]);
        }
        explanation += &format!("  {text}\n");
        Anomaly { phenomenon, order: Order::None, transactions: transactions.to_vec(), explanation }
    }
}

#[track_caller]
fn appends(history: &History) -> HashMap<(u64, u64), Append> {
    let mut appends = HashMap::new();
    for (number, transaction) in history.transactions.iter().enumerate() {
        for (position, operation) in transaction.operations.iter().enumerate() {
            let Operation::Append { key, value } = operation else { continue };
            let (_, after) = transaction.operations.split_at(position + 1);
            let is_final = own_appends(after, *key).is_empty();
            let known = appends.insert((*key, *value), Append { transaction: number, is_final });
            assert!(known.is_none(), "{value} was appended twice to key {key}: values must be unique");
        }
    }
    appends
}

fn own_appends(operations: &[Operation], key: u64) -> Vec<u64> {
    let of_key = |operation: &Operation| match operation {
        Operation::Append { key: own, value } if *own == key => Some(*value),
        Operation::Append { .. } | Operation::Read { .. } => None,
    };
    operations.iter().filter_map(of_key).collect()
}
