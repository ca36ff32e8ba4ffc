//! Whether operations of concurrent clients on one register could have happened one at a time.
//!
//! The method of Wing and Gong with Lowe's memory of what was tried: events are taken in order, and
//! all states that the register may be in are kept, each with the operations under way that have
//! taken effect in it. An operation takes effect between its begin and its answer; one without an
//! answer at any later moment, or never.

use std::collections::HashSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisterAction {
    Write(u64),
    /// The answer: `None` when nothing was ever written.
    Read(Option<u64>),
    /// A compare-and-set that succeeded, or one without an answer.
    Swap {
        from: Option<u64>,
        to: u64,
    },
    /// A compare-and-set that was refused, for the register did not hold this.
    SwapRefused {
        from: Option<u64>,
    },
}

impl RegisterAction {
    /// The register after the action; `None` when it cannot have happened on `state`.
    fn apply(self, state: Option<u64>) -> Option<Option<u64>> {
        match self {
            Self::Write(value) => Some(Some(value)),
            Self::Read(seen) => (seen == state).then_some(state),
            Self::Swap { from, to } => (from == state).then_some(Some(to)),
            Self::SwapRefused { from } => (from != state).then_some(state),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisterOperation {
    pub process: u64,
    pub action: RegisterAction,
    pub invoked: u64,
    /// `None` without an answer; a read without one is left out by the caller.
    pub completed: Option<u64>,
}

/// Operations that are under way at once, those without an answer included.
const CONCURRENT_MAX: usize = 64;

/// The register's value, and the slots of the operations under way that have taken effect.
type State = (Option<u64>, u64);

/// Judges operations on one register that begins empty.
///
/// # Errors
///
/// The operation that has no place in any order, and the values that the register may have held then.
///
/// Panics when more than 64 operations are under way at once.
#[track_caller]
pub fn linearizable(operations: &[RegisterOperation]) -> Result<(), String> {
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (number, operation) in operations.iter().enumerate() {
        events.push((operation.invoked, false, number));
        events.extend(operation.completed.map(|completed| (completed, true, number)));
    }
    events.sort_unstable();
    let mut slots: Vec<Option<usize>> = Vec::new();
    let mut states: HashSet<State> = HashSet::from([(None, 0)]);
    for (moment, is_answer, number) in events {
        if !is_answer {
            take_slot(&mut slots, number);
            continue;
        }
        let slot =
            slots.iter().position(|held| *held == Some(number)).expect("an operation begins before it ends");
        let after = with_effect(operations, &slots, slot, &states);
        if after.is_empty() {
            let values: HashSet<Option<u64>> = states.iter().map(|(value, _)| *value).collect();
            let operation = &operations[number];
            return Err(format!(
                "{operation:?} was answered at {moment}, which no order of the operations allows; \
                 the register may have held {values:?} before"
            ));
        }
        states = after;
        slots[slot] = None;
    }
    Ok(())
}

#[track_caller]
fn take_slot(slots: &mut Vec<Option<usize>>, number: usize) {
    if let Some(free) = slots.iter_mut().find(|slot| slot.is_none()) {
        *free = Some(number);
        return;
    }
    assert!(slots.len() < CONCURRENT_MAX, "more than {CONCURRENT_MAX} operations are under way at once");
    slots.push(Some(number));
}

/// The states in which the operation in `slot` has taken effect, with that slot freed.
fn with_effect(
    operations: &[RegisterOperation],
    slots: &[Option<usize>],
    slot: usize,
    states: &HashSet<State>,
) -> HashSet<State> {
    let mut after = HashSet::new();
    let mut seen = states.clone();
    let mut open: Vec<State> = states.iter().copied().collect();
    while let Some((value, effective)) = open.pop() {
        if effective & (1 << slot) != 0 {
            after.insert((value, effective & !(1 << slot)));
            continue;
        }
        for (other, number) in slots.iter().enumerate() {
            let Some(number) = *number else { continue };
            if effective & (1 << other) != 0 {
                continue;
            }
            let Some(next) = operations[number].action.apply(value) else { continue };
            let state = (next, effective | 1 << other);
            if seen.insert(state) {
                open.push(state);
            }
        }
    }
    after
}
