//! The node's monotonic time, as a plain number so that cores can be driven by tests.

use std::{fmt, num::NonZeroU64, time::Duration};

/// Milliseconds since the node started, monotonic.
///
/// Cores never read a clock: the shell around them passes the moment in. A `Moment` has no meaning on another
/// node or after a restart; what must survive is stored as wall-clock time.
///
/// One more is stored than there are, so that an `Option<Moment>` takes eight bytes: sessions and messages have many.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(NonZeroU64);

impl Moment {
    /// The start of the node.
    pub const ZERO: Self = Self(NonZeroU64::MIN);
    /// A moment that never comes.
    pub const NEVER: Self = Self(NonZeroU64::MAX);

    /// The moment `millis` milliseconds after the start of the node; saturates at [`Moment::NEVER`].
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(Self::ZERO.0.saturating_add(millis))
    }

    /// Milliseconds since the start of the node.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0.get() - 1
    }

    /// This moment plus `by`; saturates at [`Moment::NEVER`].
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }

    /// This moment plus `seconds`; saturates at [`Moment::NEVER`].
    #[must_use]
    pub const fn after_secs(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(seconds as u64 * 1000))
    }

    /// The time from `earlier` to this moment, or zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.get().saturating_sub(earlier.0.get()))
    }
}

impl Default for Moment {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Moment").field(&self.as_millis()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_small_in_order_and_end_at_never() {
        assert_eq!(size_of::<Option<Moment>>(), 8);
        let moments = [0, 1, 7, u64::MAX - 2].map(Moment::from_millis);
        assert!(moments.is_sorted());
        assert_eq!(moments.map(Moment::as_millis), [0, 1, 7, u64::MAX - 2]);
        assert_eq!(Moment::from_millis(u64::MAX), Moment::NEVER);
        assert_eq!(Moment::from_millis(Moment::NEVER.as_millis()), Moment::NEVER);
        assert_eq!(Moment::NEVER.after_secs(1), Moment::NEVER);
        assert_eq!(moments[2].since(moments[1]), Duration::from_millis(6));
        assert_eq!(moments[1].since(moments[2]), Duration::ZERO);
        assert_eq!((Moment::default(), format!("{:?}", moments[2])), (Moment::ZERO, "Moment(7)".to_owned()));
    }
}
