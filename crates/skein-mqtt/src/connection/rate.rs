//! How fast one client may publish: two token buckets, refilled by time, whose debt is waited off.
//!
//! A client that is too fast is not read for a while, so that TCP slows it down and nothing is lost.

use skein_types::Moment;

/// Buckets hold what a client may send in one second.
#[derive(Debug)]
pub(super) struct RateLimit {
    messages: Bucket,
    bytes: Bucket,
}

#[derive(Debug)]
struct Bucket {
    per_sec: u32,
    /// Thousandths of what is left; negative when more was taken.
    left_millis: i64,
    filled_at: Moment,
}

impl RateLimit {
    /// None when neither rate is limited.
    pub(super) fn new(messages_per_sec: u32, bytes_per_sec: u32, now: Moment) -> Option<Box<Self>> {
        let limited = messages_per_sec > 0 || bytes_per_sec > 0;
        let bucket = |per_sec| Bucket { per_sec, left_millis: i64::from(per_sec) * 1000, filled_at: now };
        limited.then(|| Box::new(Self { messages: bucket(messages_per_sec), bytes: bucket(bytes_per_sec) }))
    }

    /// Notes one publish.
    pub(super) fn take(&mut self, bytes: usize) {
        self.messages.take(1);
        self.bytes.take(bytes);
    }

    /// When the client may be read again, if not now.
    pub(super) fn paused_until(&mut self, now: Moment) -> Option<Moment> {
        let until = self.messages.free_at(now).max(self.bytes.free_at(now));
        (until > now).then_some(until)
    }
}

impl Bucket {
    fn take(&mut self, amount: usize) {
        let amount = i64::try_from(amount).unwrap_or(i64::MAX).saturating_mul(1000);
        self.left_millis = self.left_millis.saturating_sub(amount);
    }

    fn free_at(&mut self, now: Moment) -> Moment {
        if self.per_sec == 0 {
            return now;
        }
        let per_sec = i64::from(self.per_sec);
        let passed = i64::try_from(now.since(self.filled_at).as_millis()).unwrap_or(i64::MAX);
        self.left_millis =
            self.left_millis.saturating_add(passed.saturating_mul(per_sec)).min(per_sec * 1000);
        self.filled_at = now;
        let debt = self.left_millis.saturating_neg().max(0).unsigned_abs();
        Moment::from_millis(now.as_millis().saturating_add(debt.div_ceil(u64::from(self.per_sec))))
    }
}
