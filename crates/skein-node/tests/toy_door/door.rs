//! The toy door: the whole of a protocol, from its bytes to the plane.
//!
//! ```text
//! > {"hello": "name"}             < {"hello": false}                 whether there was a session
//! > {"sub": "filter"}             < {"ok": {"sub": "filter"}}        every answer repeats the request
//! > {"pub": "topic", "data": "…"} < {"ok": …}
//! > {"ack": 7}                    < {"ok": …}                        all messages up to number 7
//!                                 < {"msg": "topic", "data": "…", "n": 7}
//!                                 < {"bye": "why"}
//! ```

use std::{future::poll_fn, net::SocketAddr, sync::Arc, task::Poll, time::Duration};

use bytes::BytesMut;
use serde_json::{Value, json};
use skein_access::{Door as Kind, Identity};
use skein_door::{ConnectionPermit, Door, Incoming, Io, Shared, WebSocketProtocol};
use skein_plane::{
    Batch, Commit, Connection, ConnectionHandle, ConnectionInfo, Durability, Ending, Flushed, Open,
    QueueLimits, RetainHandling, SessionLimits, SubscribeOptions, TaskHandle, WindowLimits, Work,
    wire::{DeliveryOptions, Encoded, Form, Frame, Recipient, Wire},
};
use skein_types::{ClientId, Code, Message, QoS, SubscriptionFilter, Topic};
use tokio_util::task::TaskTracker;

/// This door's number in forms.
const FORMS: u32 = 0x70 << 24;

#[derive(Debug)]
pub(crate) struct ToyDoor;

impl Door for ToyDoor {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn alpn(&self) -> &'static [u8] {
        b"toy"
    }

    fn websocket(&self, _listener: &str) -> Option<WebSocketProtocol> {
        None
    }

    fn serve(&self, incoming: Incoming, tasks: &TaskTracker) {
        let task = Arc::<TaskHandle>::default();
        let Incoming { shared, place, peer, carrier, .. } = incoming;
        let toy = Toy {
            shared,
            place,
            peer,
            io: carrier.into_io(),
            task,
            rest: BytesMut::new(),
            open: None,
            commit: None,
            blocked: false,
        };
        tasks.spawn(toy.run());
    }
}

/// Makes lines. The number is last, so that all of a line but it is made once for everybody.
#[derive(Debug)]
struct ToyWire;

impl Wire for ToyWire {
    fn form(&self, options: &DeliveryOptions, _size_bytes: usize) -> Option<Form> {
        Some(Form(FORMS | options.qos as u32))
    }

    fn publish(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Encoded {
        let start = out.len();
        let data = String::from_utf8_lossy(&frame.message.payload);
        let line = json!({"msg": frame.message.topic.as_str(), "data": data}).to_string();
        out.extend_from_slice(line.trim_end_matches('}').as_bytes());
        let own_at = Some(out.len() - start);
        if let Recipient::One { seq, .. } = frame.recipient {
            self.own(seq, out);
        }
        out.extend_from_slice(b"}\n");
        Encoded::Whole { own_at }
    }

    fn own(&mut self, seq: Option<u64>, out: &mut Vec<u8>) {
        let number = seq.map(|seq| format!(",\"n\":{seq}"));
        out.extend_from_slice(number.unwrap_or_default().as_bytes());
    }

    fn release(&mut self, _seq: u64, _out: &mut Vec<u8>) {}

    fn greet(&mut self, present: bool, out: &mut Vec<u8>) {
        line(&json!({"hello": present}), out);
    }

    fn farewell(&mut self, code: Code, out: &mut Vec<u8>) {
        line(&json!({"bye": code.name()}), out);
    }
}

fn line(value: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(value.to_string().as_bytes());
    out.push(b'\n');
}

/// One connection.
struct Toy {
    shared: Arc<Shared>,
    place: ConnectionPermit,
    peer: SocketAddr,
    io: Io,
    task: Arc<TaskHandle>,
    rest: BytesMut,
    open: Option<ConnectionHandle>,
    /// What the last answers wait for; nothing is read meanwhile.
    commit: Option<Commit>,
    blocked: bool,
}

enum Event {
    Read,
    Committed,
    Woken,
    Closed,
}

impl Toy {
    async fn run(mut self) {
        let mut batch = Batch::default();
        loop {
            let event = self.next().await;
            let (shared, now) = (self.shared.clone(), self.shared.clock.now());
            let mut work = Work { plane: &shared.plane, batch: &mut batch, now };
            let goes_on = match event {
                Event::Read => self.read(&mut work).is_some(),
                Event::Committed => {
                    if let (Some(open), Some(commit)) = (&mut self.open, self.commit.take()) {
                        self.commit = open.committed(commit, &mut work);
                    }
                    true
                }
                Event::Woken => self.woken(&mut work),
                Event::Closed => false,
            };
            drop(work.batch.take_congestion());
            if !goes_on {
                if let Some(open) = self.open.take() {
                    open.close(Ending::WithWill(Code::ConnectionLost), None, &mut work);
                }
                work.finish_unattended();
                return;
            }
        }
    }

    async fn next(&mut self) -> Event {
        let Self { io, task, rest, commit, blocked, .. } = self;
        poll_fn(|cx| {
            if task.register(cx.waker()) || (*blocked && io.poll_writable(cx).is_ready()) {
                return Poll::Ready(Event::Woken);
            }
            if let Some(commit) = commit {
                return if commit.poll_done(cx.waker()) {
                    Poll::Ready(Event::Committed)
                } else {
                    Poll::Pending
                };
            }
            match io.poll_read(cx, rest) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(1..)) => Poll::Ready(Event::Read),
                Poll::Ready(_) => Poll::Ready(Event::Closed),
            }
        })
        .await
    }

    /// Whether the connection is still the session's.
    fn woken(&mut self, work: &mut Work<'_>) -> bool {
        let Some(open) = &self.open else { return true };
        if self.task.take_closing().is_some() {
            return false;
        }
        let flushed = if self.blocked { open.unblocked(work) } else { open.flushed() };
        work.finish_unattended();
        self.blocked = flushed == Flushed::Blocked;
        flushed != Flushed::Lost
    }

    /// Handles every whole line; none for one that cannot be understood, which ends the connection.
    fn read(&mut self, work: &mut Work<'_>) -> Option<()> {
        let mut answers = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let request: Value = serde_json::from_slice(&self.rest.split_to(end + 1)).ok()?;
            self.handle(&request, work)?;
            if request.get("hello").is_none() {
                line(&json!({"ok": request}), &mut answers);
            }
        }
        if let Some(open) = &mut self.open {
            self.commit = open.finish(&mut answers, work);
        }
        Some(())
    }

    fn handle(&mut self, request: &Value, work: &mut Work<'_>) -> Option<()> {
        let text = |key: &str| request.get(key).and_then(Value::as_str);
        let Some(open) = &mut self.open else {
            self.open = Some(self.hello(text("hello")?, work)?);
            self.place.logged_in();
            return Some(());
        };
        if let Some(filter) = text("sub") {
            let filter = SubscriptionFilter::new(filter).ok()?;
            let (qos, id) = (QoS::AtLeastOnce, None);
            let options = SubscribeOptions {
                qos,
                no_local: false,
                retain_as_published: false,
                id,
                partly_allowed: false,
            };
            open.subscribe(filter, options, RetainHandling::Always, work).ok()?;
        } else if let Some(topic) = text("pub") {
            let data = text("data")?.to_owned().into_bytes();
            open.publish(Message::new(Topic::try_from(topic).ok()?, data.into(), QoS::AtLeastOnce), work);
        } else {
            open.acknowledge_up_to(request.get("ack")?.as_u64()?, work);
        }
        Some(())
    }

    fn hello(&self, name: &str, work: &mut Work<'_>) -> Option<ConnectionHandle> {
        let Self { peer, io, place, .. } = self;
        let identity = Identity::anonymous(ClientId::new(name), peer.ip(), Kind::Comet);
        let open = Open {
            client_id: ClientId::new(name),
            clean_start: false,
            expiry_secs: 60,
            window: WindowLimits::unacknowledged(100),
            will: None,
            access: Some(Arc::new(work.plane.access().bind(identity))),
            limits: Arc::new(SessionLimits {
                outbox_bytes_max: 1 << 20,
                queue: QueueLimits { messages_max: 1000, bytes_max: 1 << 20 },
                slow_consumer_timeout: Duration::from_secs(10),
                subscriptions_max: 100,
                subscriptions_bytes_max: 1 << 20,
            }),
            durability: Durability::Disk,
        };
        let info = ConnectionInfo {
            address: *peer,
            door: "toy",
            version: "1",
            listener: place.listener().settings.load().name.clone(),
            keep_alive_secs: 0,
            connected_at: work.now,
        };
        let connection = Connection::new(Box::new(ToyWire), Io::socket(io), self.task.clone(), info);
        Some(ConnectionHandle::open(open, connection, work).ok()?.0)
    }
}
