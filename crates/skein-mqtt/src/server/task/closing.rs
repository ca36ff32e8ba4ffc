//! The end of a connection: its last bytes, and time for the client to read them.

use std::{future::poll_fn, task::Poll, time::Duration};

use bytes::BytesMut;
use skein_door::log_end;
use skein_plane::{Commit, Outbox, Written};
use skein_types::Code;

use super::Connection;
use crate::connection::Closed;

/// How long a connection that ends may take to read its last bytes and close too.
const PARTING_TIMEOUT: Duration = Duration::from_secs(5);
/// The same when the server stops and everybody waits for it.
const STOPPING_TIMEOUT: Duration = Duration::from_secs(1);

/// How a connection ends: why, and what is still to be written.
pub(super) struct End {
    pub(super) code: Code,
    pub(super) detail: &'static str,
    pub(super) outbox: Outbox,
    /// What has to be on disk before anything is written.
    pub(super) commit: Option<Box<Commit>>,
}

impl From<Closed> for End {
    fn from(closed: Closed) -> Self {
        let Closed { code, detail, outbox, commit } = closed;
        Self { code, detail, outbox: outbox.unwrap_or_default(), commit: commit.map(Box::new) }
    }
}

impl Connection {
    /// Writes the last bytes, gives the client time to read them, and says in the log why.
    pub(super) async fn finish(mut self, end: End) {
        let End { code, detail, mut outbox, commit } = end;
        log_end("mqtt", self.mqtt.peer(), self.mqtt.client_id().map(|id| id.as_str()), code, detail);
        // A peer that is gone or reads nothing has had its chance when the time is over.
        let patience = if self.shared.is_stopping() { STOPPING_TIMEOUT } else { PARTING_TIMEOUT };
        for commit in commit.into_iter().chain(self.commit.take()) {
            let done =
                poll_fn(|cx| if commit.poll_done(cx.waker()) { Poll::Ready(()) } else { Poll::Pending });
            if tokio::time::timeout(patience, done).await.is_err() {
                // What is not kept must not be acknowledged. Others still get what waits for it.
                outbox = Outbox::default();
            }
            self.shared.plane.leave(*commit);
        }
        let _late = tokio::time::timeout(patience, self.write_last(outbox)).await;
    }

    async fn write_last(&mut self, mut outbox: Outbox) {
        if let Some(pending) = self.io.pending_mut() {
            outbox.drain_into(pending);
        }
        let socket = self.io.socket();
        let written = poll_fn(|cx| match &socket {
            None => self.io.poll_pending(cx),
            Some(socket) => loop {
                match outbox.write_to(&**socket) {
                    Written::All => return Poll::Ready(Ok(())),
                    Written::Failed(error) => return Poll::Ready(Err(error)),
                    Written::Blocked if self.io.poll_writable(cx).is_ready() => {}
                    Written::Blocked => return Poll::Pending,
                }
            },
        });
        if written.await.is_err() || poll_fn(|cx| self.io.poll_shutdown(cx)).await.is_err() {
            return;
        }
        // A socket closed with unread bytes resets the connection and may take our last packet from the client's
        // buffer: read until it has closed too.
        let mut ignored = BytesMut::with_capacity(1024);
        while let Ok(1..) = poll_fn(|cx| self.io.poll_read(cx, &mut ignored)).await {
            ignored.clear();
        }
    }
}
