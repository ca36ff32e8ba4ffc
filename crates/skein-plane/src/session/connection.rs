//! The connection a session has at the moment: its outbox, its door's wire, and how it is written to.

use std::{net::SocketAddr, sync::Arc, task::Waker};

use skein_types::{Code, Moment};

use crate::{
    ledger::DropReason,
    outbox::{Outbox, Socket, Written},
    session::{Effects, Epoch, Session, Sources, State},
    task_handle::TaskHandle,
    wire::Wire,
};

/// A consumer whose outbox moved within this time is draining, and publishers wait for it.
const STALLED_AFTER_MILLIS: u64 = 100;

/// What is known of a connection beside its bytes.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// Where it comes from.
    pub address: SocketAddr,
    /// Which door it came through, as in metrics and rules.
    pub door: &'static str,
    /// Protocol version as its specification writes it.
    pub version: &'static str,
    /// Listener's name.
    pub listener: Arc<str>,
    /// Keep alive in seconds, 0 when off.
    pub keep_alive_secs: u16,
    /// When it connected.
    pub connected_at: Moment,
}

/// One connection, as its session sees it.
#[derive(Debug)]
pub struct Connection {
    pub(crate) outbox: Outbox,
    pub(crate) wire: Box<dyn Wire>,
    /// None where only the connection's own task can write (TLS, WebSocket).
    pub(crate) socket: Option<Arc<dyn Socket>>,
    pub(crate) handle: Arc<TaskHandle>,
    pub(crate) info: ConnectionInfo,
    /// Somebody's batch will flush it.
    pub(crate) dirty: bool,
    /// Somebody writes its outbox without the lock.
    writing: bool,
    /// The socket would block; the connection's task waits for it.
    pub(crate) blocked: bool,
    /// Nothing is written before the session is on disk, the greeting neither.
    pub(crate) held: bool,
    last_progress: Moment,
    /// Publishers waiting for the outbox to drain.
    waiting: Vec<Waker>,
}

impl Connection {
    /// A connection that has nothing to write yet.
    #[must_use]
    pub fn new(
        wire: Box<dyn Wire>,
        socket: Option<Arc<dyn Socket>>,
        handle: Arc<TaskHandle>,
        info: ConnectionInfo,
    ) -> Self {
        let last_progress = info.connected_at;
        Self {
            outbox: Outbox::default(),
            wire,
            socket,
            handle,
            info,
            dirty: false,
            writing: false,
            blocked: false,
            held: false,
            last_progress,
            waiting: Vec::new(),
        }
    }

    /// Whether another thread is writing what it took out of the outbox.
    pub(crate) fn is_being_written(&self) -> bool {
        self.writing
    }

    /// Lets publishers go on that wait for this connection.
    pub(crate) fn release_publishers(&mut self) {
        for waker in self.waiting.drain(..) {
            waker.wake();
        }
    }

    /// Calls `waker` once the outbox has drained.
    fn wait(&mut self, waker: &Waker) {
        if !self.waiting.iter().any(|known| known.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
    }

    fn progressed(&mut self, now: Moment, low: usize) {
        self.last_progress = now;
        if self.outbox.len() <= low {
            self.release_publishers();
        }
    }

    fn is_stalled(&self, now: Moment) -> bool {
        now.as_millis().saturating_sub(self.last_progress.as_millis()) > STALLED_AFTER_MILLIS
    }
}

/// How the connection stands after a flush, for its own task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Nothing waits.
    Clear,
    /// The socket has to become writable first.
    Blocked,
    /// Nothing is in the way, but the batch had no steps left to look for more: see [`ConnectionHandle::look_for_more`](crate::ConnectionHandle::look_for_more).
    Unfinished,
    /// The session belongs to another connection now.
    Lost,
}

impl Session {
    /// Writes what waits in the outbox, from whichever task calls; leaves it to the connection's own task when the
    /// socket would block or only that task can write.
    pub(crate) fn flush(&self, sources: Sources<'_>, now: Moment, effects: &mut Effects) {
        let mut state = self.lock();
        if let Some(connection) = &mut state.connection {
            connection.dirty = false;
            if connection.blocked || connection.held {
                return;
            }
        }
        loop {
            let epoch = state.epoch;
            let Some(connection) = &mut state.connection else { return };
            if connection.writing || connection.outbox.is_empty() {
                return;
            }
            let Some(socket) = connection.socket.clone() else {
                let handle = connection.handle.clone();
                drop(state);
                handle.wake();
                return;
            };
            let mut taken = connection.outbox.take();
            connection.writing = true;
            drop(state);
            let written = taken.write_to(&*socket);
            state = self.lock();
            if state.epoch != epoch || state.connection.is_none() {
                // The outbox went with its connection; account for what was taken out of it.
                effects.tally.delivered += u64::from(taken.written_messages());
                effects.tally.drop_messages(DropReason::ConnectionLost, taken.messages());
                return;
            }
            let progress = taken.written_bytes() > 0;
            effects.tally.traffic.sent_bytes += taken.written_bytes() as u64;
            let low = state.limits.outbox_bytes_low();
            let Some(connection) = &mut state.connection else { return };
            connection.writing = false;
            effects.tally.delivered += u64::from(connection.outbox.put_back(taken));
            if progress {
                connection.progressed(now, low);
            }
            match written {
                Written::All => state.pump(sources, now, effects),
                Written::Blocked => {
                    connection.blocked = true;
                    // Not under the lock: it may be a system call.
                    let handle = connection.handle.clone();
                    drop(state);
                    handle.wake();
                    return;
                }
                Written::Failed(_) => {
                    let outbox = std::mem::take(&mut connection.outbox);
                    effects.tally.drop_messages(DropReason::ConnectionLost, outbox.messages());
                    connection.handle.close(Code::ConnectionLost, Outbox::default());
                    return;
                }
            }
        }
    }

    /// Asks the client's connection to end once it has answered what it has received; false when there is none.
    pub fn ask_to_leave(&self, code: Code) -> bool {
        let handle = self.lock().connection.as_ref().map(|connection| connection.handle.clone());
        handle.map(|handle| handle.ask(code)).is_some()
    }

    /// For the connection's own task: the socket is writable again.
    pub(crate) fn unblock(
        &self,
        epoch: Epoch,
        sources: Sources<'_>,
        now: Moment,
        effects: &mut Effects,
    ) -> Flushed {
        {
            let Some(mut state) = self.lock_as(epoch) else { return Flushed::Lost };
            if let Some(connection) = &mut state.connection {
                connection.blocked = false;
            }
        }
        self.flush(sources, now, effects);
        self.flushed(epoch)
    }

    /// How the connection stands.
    #[must_use]
    pub(crate) fn flushed(&self, epoch: Epoch) -> Flushed {
        match self.lock_as(epoch).as_deref() {
            None => Flushed::Lost,
            Some(State { connection: Some(connection), .. }) if connection.blocked => Flushed::Blocked,
            Some(state) if state.is_unfinished() => Flushed::Unfinished,
            Some(_) => Flushed::Clear,
        }
    }

    /// For connections that only their own task can write to: lets `take` move what waits to where it belongs and say how
    /// many QoS 0 messages that was.
    pub(crate) fn take_output(
        &self,
        epoch: Epoch,
        sources: Sources<'_>,
        now: Moment,
        effects: &mut Effects,
        take: impl FnOnce(&mut Outbox) -> u64,
    ) -> Flushed {
        let Some(mut state) = self.lock_as(epoch) else { return Flushed::Lost };
        let low = state.limits.outbox_bytes_low();
        if let Some(connection) = &mut state.connection
            && !connection.held
        {
            let bytes = connection.outbox.len();
            // It is called again once these are written; what comes until then waits for that.
            if bytes > 0 {
                effects.tally.traffic.sent_bytes += bytes as u64;
                effects.tally.delivered += take(&mut connection.outbox);
                connection.progressed(now, low);
            }
            connection.outbox.set_waits(bytes > 0);
        }
        state.pump(sources, now, effects);
        if state.is_unfinished() { Flushed::Unfinished } else { Flushed::Clear }
    }

    /// Whether a publisher that filled this session's outbox may go on; if not, `waker` is called once it may.
    /// A consumer that takes nothing does not hold publishers up (its outbox fills and QoS 0 is dropped).
    pub(crate) fn poll_drained(&self, waker: &Waker, now: Moment) -> bool {
        let mut state = self.lock();
        let low = state.limits.outbox_bytes_low();
        let queue_full = state.queue_is_high();
        match &mut state.connection {
            Some(connection) if connection.outbox.len() > low || queue_full => {
                if connection.is_stalled(now) {
                    return true;
                }
                connection.wait(waker);
                false
            }
            _ => true,
        }
    }

    /// Whether the client has been sent more than fits into its outbox, so that it must not be read before it has
    /// taken some: what it is answered has no other bound.
    #[must_use]
    pub(crate) fn is_overfull(&self, epoch: Epoch) -> bool {
        self.lock_as(epoch).is_some_and(|state| {
            let bytes_max = state.limits.outbox_bytes_max;
            state.connection.as_ref().is_some_and(|connection| connection.outbox.len() > bytes_max)
        })
    }

    /// Whether an overfull connection may be read again; if not, `waker` is called once it may.
    pub(crate) fn poll_readable(&self, epoch: Epoch, waker: &Waker) -> bool {
        let Some(mut state) = self.lock_as(epoch) else { return true };
        let low = state.limits.outbox_bytes_low();
        match &mut state.connection {
            Some(connection) if connection.outbox.len() > low => {
                connection.wait(waker);
                false
            }
            _ => true,
        }
    }

    /// Whether the connection has taken nothing for longer than allowed while its outbox was full, or so full that what
    /// waits behind it, in the queue or among the retained messages, is not put into it.
    #[must_use]
    pub(crate) fn is_slow_consumer(&self, epoch: Epoch, now: Moment) -> bool {
        self.lock_as(epoch).is_some_and(|state| {
            let limits = &state.limits;
            let more_waits = state.retained.is_some() || state.delivery.queued().0 > 0;
            let full = if more_waits { limits.outbox_bytes_low() } else { limits.outbox_bytes_high() };
            state.connection.as_ref().is_some_and(|connection| {
                connection.outbox.len() >= full
                    && now.since(connection.last_progress) >= limits.slow_consumer_timeout
            })
        })
    }
}

impl State {
    /// Whether there are retained messages to look for, and nothing in the way but the end of a batch.
    fn is_unfinished(&self) -> bool {
        self.retained.as_ref().is_some_and(|pending| pending.out_of_steps)
    }

    /// Whether the queue of a connected client is so full that publishers should slow down.
    pub(crate) fn queue_is_high(&self) -> bool {
        let (messages, bytes) = self.delivery.queued();
        messages > self.limits.queue.messages_max / 4 * 3 || bytes > self.limits.queue.bytes_max / 4 * 3
    }

    /// Whether publishers should wait for this session's client.
    pub(crate) fn is_congested(&self) -> bool {
        let high = self.limits.outbox_bytes_high();
        self.connection
            .as_ref()
            .is_some_and(|connection| connection.outbox.len() > high || self.queue_is_high())
    }
}
