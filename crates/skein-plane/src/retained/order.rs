//! Topics in the order of their levels, so that everything below one level stands together.

use std::cmp::Ordering;

/// A topic, or a place between topics, ordered level by level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InOrder(pub(super) Box<str>);

impl PartialOrd for InOrder {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for InOrder {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

/// Comparing whole texts with `/` below every other character is comparing level by level: where two topics first differ, a
/// `/` is the end of a level that the other one continues.
pub(super) fn compare(one: &str, other: &str) -> Ordering {
    let rank = |byte: u8| if byte == b'/' { 0 } else { byte };
    let (one, other) = (one.as_bytes(), other.as_bytes());
    match one.iter().zip(other).find(|(one, other)| one != other) {
        Some((one, other)) => rank(*one).cmp(&rank(*other)),
        None => one.len().cmp(&other.len()),
    }
}
