//! The task of one connection: waits for something to happen and hands it to the state machine.
//!
//! Between two waits everything is synchronous. The buffers it works with belong to the thread, so that an idle
//! connection holds none.

mod closing;
mod password;
mod timer;

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use skein_door::{ConnectionPermit, Incoming, Io, Shared, StreamFault};
use skein_plane::{Batch, Commit, Congestion, ConnectionHandle, Flushed, Outbox, TaskHandle, Work};
use skein_types::{Code, Moment};
use tokio::time::Sleep;

use self::closing::End;
use crate::{
    codec::frame_length,
    connection::{Context, MqttConnection, Origin, Step},
    settings::Settings,
};

/// What one read takes at most.
const READ_BYTES: usize = 64 * 1024;
/// How long a publisher waits for a subscriber that does not keep up before it may send a little more.
const CONGESTION_WAIT: Duration = Duration::from_millis(100);

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
    static READ: RefCell<BytesMut> = RefCell::default();
}

/// One thread's scratch space, lent to whichever connection is being handled.
#[derive(Debug, Default)]
struct Scratch {
    batch: Batch,
    out: Vec<u8>,
}

/// A connection and the stream under it.
pub(super) struct Connection {
    shared: Arc<Shared>,
    io: Io,
    handle: Arc<TaskHandle>,
    mqtt: MqttConnection,
    /// An incomplete packet.
    rest: BytesMut,
    /// The session's outbox waits for the socket.
    blocked: bool,
    /// Others of this thread get their turn before anything more is done.
    yields: bool,
    congestion: Congestion,
    /// The batch before promised what is not on disk yet: nothing is read until it is.
    commit: Option<Box<Commit>>,
    /// It is to end as soon as nothing is in hand, and to tell the client so.
    leaving: Option<Code>,
    /// Size of the buffer that was read into last, which every part of it keeps.
    buffer_bytes: u32,
    timer: Option<Pin<Box<Sleep>>>,
    connected_at: Moment,
    last_heard: Moment,
    place: ConnectionPermit,
}

enum Event {
    /// What was read and not handled yet.
    Read(Bytes),
    Eof,
    Writable,
    Woken,
    Timer,
    Failed(io::Error),
}

/// Serves one connection until it ends. What it seldom does is boxed: this future is most of what an idle connection
/// costs.
#[expect(clippy::manual_async_fn, reason = "an async function keeps its arguments a second time")]
pub(super) fn serve(mut connection: Connection) -> impl Future<Output = ()> + Send {
    async move {
        let end = connection.run().await;
        Box::pin(connection.finish(end)).await;
    }
}

impl Connection {
    /// A connection on a stream that is ready for MQTT.
    pub(super) fn new(settings: Arc<Settings>, incoming: Incoming) -> Self {
        let Incoming { shared, place, peer, carrier, user } = incoming;
        let io = carrier.into_io();
        let handle = Arc::new(TaskHandle::default());
        let origin = Origin { peer, certificate_user: user, socket: io.socket(), handle: handle.clone() };
        shared.fresh.enter(&handle);
        let now = shared.clock.now();
        let mut connection = Self {
            connected_at: now,
            last_heard: now,
            mqtt: MqttConnection::new(settings, origin),
            shared,
            place,
            io,
            handle,
            rest: BytesMut::new(),
            blocked: false,
            yields: false,
            congestion: Congestion::default(),
            commit: None,
            leaving: None,
            buffer_bytes: 0,
            timer: None,
        };
        connection.set_timer();
        connection
    }

    async fn run(&mut self) -> End {
        loop {
            if std::mem::take(&mut self.yields) {
                tokio::task::yield_now().await;
            }
            let event = poll_fn(|cx| match self.poll_event(cx) {
                Poll::Pending => self.poll_read(cx),
                ready @ Poll::Ready(_) => ready,
            });
            let outcome = match event.await {
                Event::Read(mut received) => {
                    let full = received.len() >= READ_BYTES;
                    match self.received(&mut received) {
                        Step::Read if !full && self.is_unhindered() => {
                            self.keep_rest(&received);
                            continue;
                        }
                        step => Box::pin(self.wait_and_receive(step, received)).await,
                    }
                }
                other => self.handle_event(other),
            };
            if let Err(end) = outcome {
                return end;
            }
            // Only here nothing that was received waits for its answer.
            if let Some(code) = self.leaving {
                return self.close(code, "sent away by the server");
            }
        }
    }

    /// Waits for `future` without reading, but serves everything else meanwhile.
    async fn wait_for<T>(&mut self, future: impl Future<Output = T>) -> Result<T, End> {
        let mut future = std::pin::pin!(future);
        loop {
            if std::mem::take(&mut self.yields) {
                tokio::task::yield_now().await;
            }
            let next = poll_fn(|cx| match future.as_mut().poll(cx) {
                Poll::Ready(value) => Poll::Ready(Ok(value)),
                Poll::Pending => self.poll_event(cx).map(Err),
            });
            match next.await {
                Ok(value) => {
                    // What the client sent meanwhile is still to be read.
                    self.last_heard = self.shared.clock.now();
                    return Ok(value);
                }
                Err(Event::Timer) => self.put_off_timer()?,
                Err(event) => self.handle_event(event)?,
            }
        }
    }

    fn handle_event(&mut self, event: Event) -> Result<(), End> {
        match event {
            Event::Read(_) => Ok(()),
            Event::Eof => Err(self.close(Code::ConnectionLost, "the client closed the connection")),
            Event::Failed(error) => {
                let StreamFault { code, detail } = StreamFault::of(&error);
                Err(self.close(code, detail))
            }
            Event::Writable => self.unblocked(),
            Event::Woken => self.woken(),
            Event::Timer => self.timed_out(),
        }
    }

    /// Everything that can happen beside something to read.
    fn poll_event(&mut self, cx: &mut TaskContext<'_>) -> Poll<Event> {
        if self.handle.register(cx.waker()) {
            return Poll::Ready(Event::Woken);
        }
        if self.io.has_pending() {
            match self.io.poll_pending(cx) {
                Poll::Ready(result) => {
                    return Poll::Ready(result.map_or_else(Event::Failed, |()| Event::Writable));
                }
                Poll::Pending if self.blocked => {}
                Poll::Pending => {
                    self.blocked = true;
                    self.set_timer();
                }
            }
        }
        if self.blocked && self.io.poll_writable(cx).is_ready() {
            return Poll::Ready(Event::Writable);
        }
        if let Some(timer) = &mut self.timer
            && timer.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Event::Timer);
        }
        Poll::Pending
    }

    /// Reads into the thread's buffer, or behind the rest of an incomplete packet.
    fn poll_read(&mut self, cx: &mut TaskContext<'_>) -> Poll<Event> {
        let (io, rest, buffer_bytes) = (&mut self.io, &mut self.rest, &mut self.buffer_bytes);
        loop {
            let (result, bytes) = if rest.is_empty() {
                *buffer_bytes = READ_BYTES as u32;
                READ.with_borrow_mut(|buffer| {
                    buffer.reserve(READ_BYTES);
                    let result = io.poll_read(cx, buffer);
                    (result, buffer.split().freeze())
                })
            } else {
                // Room grows with what has arrived, not with what was announced.
                rest.reserve(READ_BYTES.min(rest.len()).max(1024));
                let result = io.poll_read(cx, rest);
                *buffer_bytes = u32::try_from(rest.capacity()).unwrap_or(u32::MAX);
                // All of it is given away: an idle connection keeps no part of the buffer.
                let bytes = if is_complete(rest) { std::mem::take(rest).freeze() } else { Bytes::new() };
                (result, bytes)
            };
            return match result {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Err(error)) => Poll::Ready(Event::Failed(error)),
                Poll::Ready(Ok(0)) => Poll::Ready(Event::Eof),
                Poll::Ready(Ok(_)) if bytes.is_empty() => continue,
                Poll::Ready(Ok(_)) => Poll::Ready(Event::Read(bytes)),
            };
        }
    }

    fn received(&mut self, received: &mut Bytes) -> Step {
        self.handle_batch(|mqtt, cx| {
            cx.batch.effects.tally.traffic.received_bytes += received.len() as u64;
            mqtt.receive(received, cx)
        })
    }

    /// What a batch left that takes time: a password to check, a rate to keep, subscribers to wait for.
    async fn wait_and_receive(&mut self, mut step: Step, mut received: Bytes) -> Result<(), End> {
        loop {
            if !matches!(step, Step::Close(_)) {
                self.wait_for_commit().await?;
            }
            match step {
                Step::Read => break,
                Step::Close(closed) => return Err(closed.into()),
                Step::PauseUntil(moment) => {
                    self.wait_for(tokio::time::sleep(self.shared.clock.until(moment))).await?;
                    step = self.handle_batch(|mqtt, cx| mqtt.receive(&mut received, cx));
                }
                Step::CheckPassword(check) => {
                    let bytes = std::mem::take(&mut received);
                    let (result, more) = Box::pin(self.check_password(check, bytes)).await?;
                    received = more;
                    step = self.handle_batch(|mqtt, cx| match mqtt.password_checked(result, cx) {
                        Step::Read => mqtt.receive(&mut received, cx),
                        other => other,
                    });
                }
            }
        }
        self.keep_rest(&received);
        drop(received);
        if self.is_overfull()
            && let Some(readable) = self.mqtt.handle().map(ConnectionHandle::readable)
        {
            self.wait_for(poll_fn(move |cx| match readable(cx.waker()) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }))
            .await?;
        }
        if self.congestion.is_empty() {
            // Others of this thread get their turn before the next read.
            tokio::task::yield_now().await;
            return Ok(());
        }
        self.wait_for_subscribers().await
    }

    /// Whether the next batch may be read at once.
    fn is_unhindered(&self) -> bool {
        self.commit.is_none() && self.congestion.is_empty() && !self.is_overfull()
    }

    /// Waits until what the last batch promised is on disk, and says so.
    async fn wait_for_commit(&mut self) -> Result<(), End> {
        while let Some(commit) = self.commit.take() {
            let done =
                poll_fn(|cx| if commit.poll_done(cx.waker()) { Poll::Ready(()) } else { Poll::Pending });
            if let Err(end) = self.wait_for(done).await {
                self.commit = Some(commit);
                return Err(end);
            }
            let now = self.shared.clock.now();
            self.commit = SCRATCH.with_borrow_mut(|Scratch { batch, out }| {
                let mut cx = Context { plane: &self.shared.plane, batch, now, out, random: fill_random };
                self.mqtt.committed(*commit, &mut cx).map(Box::new)
            });
        }
        Ok(())
    }

    fn is_overfull(&self) -> bool {
        self.mqtt.handle().is_some_and(ConnectionHandle::is_overfull)
    }

    /// Keeps an incomplete packet for the next read.
    fn keep_rest(&mut self, bytes: &Bytes) {
        if !bytes.is_empty() {
            self.rest = BytesMut::from(&bytes[..]);
        }
    }

    /// Runs the state machine over one batch and hands on what it wrote.
    fn handle_batch(&mut self, handle: impl FnOnce(&mut MqttConnection, &mut Context<'_>) -> Step) -> Step {
        let now = self.shared.clock.now();
        self.last_heard = now;
        let opening = self.mqtt.handle().is_none();
        let step = SCRATCH.with_borrow_mut(|Scratch { batch, out }| {
            batch.read_from(self.buffer_bytes as usize);
            let mut cx = Context { plane: &self.shared.plane, batch, now, out, random: fill_random };
            let mut step = handle(&mut self.mqtt, &mut cx);
            if opening && self.mqtt.handle().is_some() {
                // From here on the session tells when the server stops; before the client is told that it has one.
                self.shared.fresh.leave(&self.handle);
                self.place.logged_in();
            }
            self.commit = self.mqtt.flush(&mut cx).map(Box::new);
            self.congestion = batch.take_congestion();
            // What is left was written outside of a session: a refusal or a step of authentication.
            if let Step::Close(closed) = &mut step {
                closed.outbox.get_or_insert_default().push(out, 0);
                out.clear();
            } else if !out.is_empty() {
                self.io.write_soon(out);
            }
            step
        });
        if opening {
            // The connect timeout gives way to the keep alive.
            self.set_timer();
        }
        step
    }

    fn close(&mut self, code: Code, detail: &'static str) -> End {
        let now = self.shared.clock.now();
        SCRATCH.with_borrow_mut(|Scratch { batch, out }| {
            let mut cx = Context { plane: &self.shared.plane, batch, now, out, random: fill_random };
            let mut closed = self.mqtt.close(code, detail, &mut cx);
            closed.outbox.get_or_insert_default().push(out, 0);
            out.clear();
            closed.into()
        })
    }

    /// The socket takes more.
    fn unblocked(&mut self) -> Result<(), End> {
        let Some(handle) = self.mqtt.handle() else { return Ok(()) };
        let now = self.shared.clock.now();
        let flushed = SCRATCH.with_borrow_mut(|Scratch { batch, .. }| {
            let mut work = Work { plane: &self.shared.plane, batch, now };
            let flushed = match self.io.pending_mut() {
                None => handle.unblocked(&mut work),
                // The second time takes what the first found room for.
                Some(pending) => match handle.take_output(pending, &mut work) {
                    Flushed::Clear => handle.take_output(pending, &mut work),
                    other => other,
                },
            };
            work.finish_unattended();
            flushed
        });
        self.note_flushed(flushed)
    }

    /// Somebody called: the session went to another connection, or there is something to write.
    fn woken(&mut self) -> Result<(), End> {
        if let Some(closing) = self.handle.take_closing() {
            let detail = "ended by the server";
            return Err(End { code: closing.code, detail, outbox: closing.outbox, commit: None });
        }
        self.leaving = self.leaving.or_else(|| self.handle.asked());
        let Some(handle) = self.mqtt.handle() else { return Ok(()) };
        if self.io.pending_mut().is_some() {
            // One batch of output at a time; more is taken when it is written.
            return if self.io.has_pending() { Ok(()) } else { self.unblocked() };
        }
        let flushed = match handle.flushed() {
            Flushed::Unfinished => self.look_for_more(),
            flushed => flushed,
        };
        self.note_flushed(flushed)
    }

    /// Goes on where a batch had no steps left to look for what the client is to be sent.
    fn look_for_more(&mut self) -> Flushed {
        let Some(handle) = self.mqtt.handle() else { return Flushed::Clear };
        let now = self.shared.clock.now();
        SCRATCH.with_borrow_mut(|Scratch { batch, .. }| {
            let mut work = Work { plane: &self.shared.plane, batch, now };
            handle.look_for_more(&mut work);
            work.finish_unattended();
        });
        handle.flushed()
    }

    fn note_flushed(&mut self, flushed: Flushed) -> Result<(), End> {
        match flushed {
            Flushed::Clear => self.blocked = false,
            Flushed::Unfinished => {
                self.blocked = false;
                // The session's handle is awake, so that it comes here again.
                self.yields = true;
            }
            Flushed::Blocked if self.blocked => {}
            Flushed::Blocked => {
                self.blocked = true;
                self.set_timer();
            }
            Flushed::Lost => {
                let closing = self.handle.take_closing();
                let (code, outbox) = closing.map_or((Code::SessionTakenOver, Outbox::default()), |closing| {
                    (closing.code, closing.outbox)
                });
                return Err(End { code, detail: "ended by the server", outbox, commit: None });
            }
        }
        Ok(())
    }

    async fn wait_for_subscribers(&mut self) -> Result<(), End> {
        let mut congestion = std::mem::take(&mut self.congestion);
        let clock = self.shared.clock;
        let drained = poll_fn(move |cx| {
            let now = clock.now();
            if congestion.poll_drained(cx.waker(), now) { Poll::Ready(()) } else { Poll::Pending }
        });
        // Drained or not, one more batch follows: a consumer that takes nothing is dealt with by its own bounds.
        self.wait_for(tokio::time::timeout(CONGESTION_WAIT, drained)).await.map(|_drained_or_not| ())
    }
}

impl Drop for Connection {
    /// However the task ended, by a panic too, its session is left in order and nobody else is touched.
    fn drop(&mut self) {
        self.shared.fresh.leave(&self.handle);
        if std::thread::panicking() {
            // Half of somebody's answer must not reach the next connection of this thread.
            let _borrowed =
                SCRATCH.try_with(|work| work.try_borrow_mut().map(|mut work| *work = Scratch::default()));
        }
        if self.mqtt.handle().is_some() {
            let End { commit, .. } = self.close(Code::Internal, "the connection's task ended early");
            commit.into_iter().for_each(|commit| self.shared.plane.leave(*commit));
        }
        if let Some(commit) = self.commit.take() {
            self.shared.plane.leave(*commit);
        }
    }
}

/// Whether `bytes` start with a whole packet, or with something no packet starts with.
fn is_complete(bytes: &[u8]) -> bool {
    match frame_length(bytes) {
        Ok(Some(length)) => bytes.len() >= length,
        Ok(None) => false,
        Err(_) => true,
    }
}

/// Randomness of the operating system. Without it nothing safe can be said, so the process ends.
fn fill_random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}
