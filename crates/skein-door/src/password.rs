//! A password check from the side of whoever waits for it: its turn, the time an address has to pay, the work.
//!
//! The gate (`skein_access::PasswordGate`) decides; here is only what waits. To leave the queue, drop the future.

use std::{future::poll_fn, task::Poll, time::Duration};

use skein_access::{Authenticated, PasswordTicket, Progress};
use skein_types::{Code, Moment};

/// Waits for the ticket's turn and has the password checked, on a thread that may be busy for long.
///
/// # Errors
/// [`Code::BadCredentials`] when it is wrong; other codes when it could not be checked in time.
pub async fn check_password(
    mut ticket: PasswordTicket,
    now: impl Fn() -> Moment,
) -> Result<Authenticated, Code> {
    loop {
        let progress = poll_fn(|cx| match ticket.poll_turn(cx.waker(), now()) {
            Progress::Queued => Poll::Pending,
            other => Poll::Ready(other),
        });
        match progress.await {
            Progress::Now => break,
            Progress::Refused(code) => return Err(code),
            Progress::At(moment) => sleep(moment.since(now())).await,
            Progress::Queued => {}
        }
    }
    // The check goes on when its client is gone; its place goes with the ticket.
    let checked = tokio::task::spawn_blocking(move || ticket.check()).await;
    checked.unwrap_or_else(|error| {
        tracing::error!(%error, "a password check failed");
        Err(Code::Internal)
    })
}

/// A clock that stands still, as in tests, must not make this a busy loop.
async fn sleep(time: Duration) {
    tokio::time::sleep(time.max(Duration::from_millis(1))).await;
}
