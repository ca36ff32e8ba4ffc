//! The phenomena that a history may show, and which isolation level forbids which.
//!
//! The names are Adya's, so that they can be looked up. This file decides no findings: it names
//! them, and holds the one table of what a level allows.

use std::collections::BTreeSet;
use std::fmt;

/// A way in which a history differs from transactions that ran one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phenomenon {
    /// A value was read that nobody appended.
    Invented,
    /// A list holds a value twice.
    DuplicateElement,
    /// Two reads of a key, neither of which begins with the other.
    IncompatibleOrder,
    /// A transaction did not see its own appends, or saw them before it made them.
    Internal,
    /// Dirty write: transactions overwrote each other in opposite orders.
    G0,
    /// Aborted read.
    G1a,
    /// Intermediate read: a list as it was in the middle of another transaction.
    G1b,
    /// Circular information flow: each read or overwrote what the other wrote.
    G1c,
    /// Two transactions read the same version of an object and both wrote it (P4).
    LostUpdate,
    /// A cycle with one anti-dependency: read skew, a read that cannot be repeated.
    GSingle,
    /// A cycle with several anti-dependencies, no two of them adjacent: a long fork.
    GNonadjacent,
    /// A cycle with two adjacent anti-dependencies: write skew.
    G2Item,
}

impl Phenomenon {
    pub fn name(self) -> &'static str {
        match self {
            Self::Invented => "invented value",
            Self::DuplicateElement => "duplicate element",
            Self::IncompatibleOrder => "incompatible orders",
            Self::Internal => "internal inconsistency",
            Self::G0 => "G0 (dirty write)",
            Self::G1a => "G1a (aborted read)",
            Self::G1b => "G1b (intermediate read)",
            Self::G1c => "G1c (circular information flow)",
            Self::LostUpdate => "P4 (lost update)",
            Self::GSingle => "G-single (read skew)",
            Self::GNonadjacent => "G-nonadjacent (long fork)",
            Self::G2Item => "G2-item (write skew)",
        }
    }
}

/// Which order beyond the data a level promises, and a cycle made use of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    None,
    /// The transactions of one process keep their order.
    Session,
    /// A transaction that ended before another began comes before it.
    RealTime,
}

/// An isolation level; the session and real-time forms also promise an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    ReadCommitted,
    /// Reads come from one committed state, of any age, and the first committer wins.
    SnapshotIsolation,
    SessionSnapshotIsolation,
    /// The state is the newest when the transaction begins.
    StrongSnapshotIsolation,
    Serializable,
    SessionSerializable,
    StrictSerializable,
}

impl Level {
    pub const ALL: [Self; 7] = [
        Self::ReadCommitted,
        Self::SnapshotIsolation,
        Self::SessionSnapshotIsolation,
        Self::StrongSnapshotIsolation,
        Self::Serializable,
        Self::SessionSerializable,
        Self::StrictSerializable,
    ];

    /// The order that this level promises.
    pub fn order(self) -> Order {
        match self {
            Self::ReadCommitted | Self::SnapshotIsolation | Self::Serializable => Order::None,
            Self::SessionSnapshotIsolation | Self::SessionSerializable => Order::Session,
            Self::StrongSnapshotIsolation | Self::StrictSerializable => Order::RealTime,
        }
    }

    /// Whether a history at this level may not show `phenomenon`.
    pub fn forbids(self, phenomenon: Phenomenon) -> bool {
        match phenomenon {
            Phenomenon::Invented
            | Phenomenon::DuplicateElement
            | Phenomenon::IncompatibleOrder
            | Phenomenon::Internal
            | Phenomenon::G0
            | Phenomenon::G1a
            | Phenomenon::G1b
            | Phenomenon::G1c => true,
            Phenomenon::LostUpdate | Phenomenon::GSingle | Phenomenon::GNonadjacent => {
                self != Self::ReadCommitted
            }
            Phenomenon::G2Item => self.is_serializable(),
        }
    }

    pub(super) fn is_serializable(self) -> bool {
        matches!(self, Self::Serializable | Self::SessionSerializable | Self::StrictSerializable)
    }
}

/// One thing that a level forbids, with the transactions that show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anomaly {
    pub phenomenon: Phenomenon,
    /// The strongest order that the finding rests on: `None` when the data alone show it.
    pub order: Order,
    /// Positions in the history; a cycle in its order, its first transaction not repeated.
    pub transactions: Vec<usize>,
    /// For people: what each transaction did, and why each step of a cycle holds.
    pub explanation: String,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = match self.order {
            Order::None => "",
            Order::Session => ", by the order of a session",
            Order::RealTime => ", by real time",
        };
        write!(f, "{}{order}\n{}", self.phenomenon.name(), self.explanation)
    }
}

/// What a check found.
#[derive(Debug, Clone)]
pub struct Report {
    pub level: Level,
    /// Examples, a bounded number of each phenomenon; empty when the history is legal.
    pub anomalies: Vec<Anomaly>,
}

impl Report {
    pub(super) fn new(level: Level, anomalies: Vec<Anomaly>) -> Self {
        Self { level, anomalies }
    }

    pub fn is_legal(&self) -> bool {
        self.anomalies.is_empty()
    }

    pub fn phenomena(&self) -> BTreeSet<Phenomenon> {
        self.anomalies.iter().map(|anomaly| anomaly.phenomenon).collect()
    }

    /// Panics with all findings unless the history is legal.
    #[track_caller]
    pub fn assert_legal(&self) {
        assert!(self.is_legal(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_legal() {
            return write!(f, "legal at {:?}", self.level);
        }
        writeln!(f, "not legal at {:?}:", self.level)?;
        self.anomalies.iter().try_for_each(|anomaly| writeln!(f, "{anomaly}"))
    }
}
