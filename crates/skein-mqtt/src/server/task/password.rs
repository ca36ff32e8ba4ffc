//! A password check from the side of its connection: it listens whether the client goes meanwhile.

use std::{future::poll_fn, task::Poll};

use bytes::{Bytes, BytesMut};
use skein_access::{Authenticated, Entered};
use skein_door::check_password;
use skein_types::Code;

use super::{Connection, Event, closing::End};
use crate::connection::PasswordCheck;

/// What a client may send behind its CONNECT before it is let in. More stays in the socket, and then nobody notices that
/// the client is gone.
const EARLY_BYTES_MAX: usize = 4096;

impl Connection {
    /// Has a password checked; gives the outcome, and what the client sent behind its CONNECT: `bytes` and more. The
    /// connect timeout goes on, and a client that closes is not checked any more.
    pub(super) async fn check_password(
        &mut self,
        check: PasswordCheck,
        bytes: Bytes,
    ) -> Result<(Result<Authenticated, Code>, Bytes), End> {
        let deadline = self.connected_at.after(self.mqtt.settings().listener.connect_timeout);
        let peer = self.mqtt.peer().ip();
        let entered = self.shared.passwords.enter(&check.user, &check.password, peer, deadline);
        // The password lies in the read buffer, which is not to be kept for as long as this takes.
        drop(check);
        let ticket = match entered {
            Err(code) => return Ok((Err(code), bytes)),
            Ok(Entered::Known(proof)) => return Ok((Ok(proof), bytes)),
            Ok(Entered::Waiting(ticket)) => ticket,
        };
        let mut early = BytesMut::from(&bytes[..]);
        drop(bytes);
        let clock = self.shared.clock;
        let now = move || clock.now();
        let mut outcome = std::pin::pin!(check_password(ticket, now));
        loop {
            let next = poll_fn(|cx| {
                if let Poll::Ready(outcome) = outcome.as_mut().poll(cx) {
                    return Poll::Ready(Ok(outcome));
                }
                if let Poll::Ready(event) = self.poll_event(cx) {
                    return Poll::Ready(Err(event));
                }
                while early.len() < EARLY_BYTES_MAX {
                    early.reserve(256);
                    match self.io.poll_read(cx, &mut early) {
                        Poll::Ready(Ok(0)) => return Poll::Ready(Err(Event::Eof)),
                        Poll::Ready(Ok(_)) => {}
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(Event::Failed(error))),
                        Poll::Pending => return Poll::Pending,
                    }
                }
                Poll::Pending
            });
            match next.await {
                Ok(outcome) => {
                    self.last_heard = self.shared.clock.now();
                    return Ok((outcome, early.freeze()));
                }
                // The connect timeout too.
                Err(event) => self.handle_event(event)?,
            }
        }
    }
}
