//! Two connections on one plane, driven by a script that is any bytes, and what must hold whatever they are.

use std::{io, io::IoSlice, net::SocketAddr, num::NonZeroU16, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use skein_access::{Access, AccessList, Anonymous, Authenticated};
use skein_mqtt::{
    Closed, Context, MqttConnection, Origin, Settings, Step,
    codec::{Ack, Connect, DecodeContext, Packet, Version, Will, decode},
};
use skein_plane::{
    Batch, Commit, Durability, Durable, Plane, PlaneLimits, QueueLimits, SessionLimits, Socket, TaskHandle,
    WallClock, Work,
};
use skein_store::{ClassId, Options, Store, Time};
use skein_types::{Code, Moment, QoS, Topic, UserName};

/// What a client with a bound takes at most; a CONNACK is smaller.
const PACKET_BYTES_MAX: u32 = 100;

/// Small enough that scripts reach every bound.
fn settings(durability: Durability) -> Arc<Settings> {
    Arc::new(Settings {
        durability,
        packet_bytes_max: 4096,
        publish_rate_messages_per_sec: 50,
        receive_maximum: NonZeroU16::new(3).expect("3 is not 0"),
        inflight_max: NonZeroU16::new(4).expect("4 is not 0"),
        topic_levels_max: 6,
        topic_alias_max: 4,
        topic_alias_out_max: 2,
        keep_alive_max_secs: 100,
        session_expiry_max_secs: 1000,
        session: Arc::new(SessionLimits {
            outbox_bytes_max: 4096,
            queue: QueueLimits { messages_max: 8, bytes_max: 8192 },
            slow_consumer_timeout: Duration::from_secs(10),
            subscriptions_max: 6,
            subscriptions_bytes_max: usize::MAX,
        }),
        ..Settings::default()
    })
}

/// Takes `room` bytes more, then would block.
#[derive(Debug, Default)]
struct Valve {
    flow: Mutex<(usize, Vec<u8>)>,
}

impl Socket for Valve {
    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let (room, got) = &mut *self.flow.lock();
        if *room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let before = got.len();
        got.extend(buffers.iter().flat_map(|buffer| buffer.iter()).take(*room));
        *room -= got.len() - before;
        Ok(got.len() - before)
    }

    fn shutdown(&self) {}
}

/// One connection with the client's view of it.
#[derive(Debug)]
struct Door {
    mqtt: MqttConnection,
    socket: Arc<Valve>,
    handle: Arc<TaskHandle>,
    ctx: DecodeContext,
    /// Received and not handled.
    rest: Bytes,
    /// Sent by the server.
    sent: Vec<u8>,
    /// How much of it the client has answered.
    answered_bytes: usize,
    closed: bool,
    /// What its answers wait for; nothing is read meanwhile.
    commit: Option<Commit>,
}

/// Both connections and their plane.
#[derive(Debug)]
pub(crate) struct Pair {
    plane: Plane,
    batch: Batch,
    out: Vec<u8>,
    now: Moment,
    doors: [Door; 2],
    durability: Durability,
}

/// Bits of one byte that choose how a connection starts.
pub(crate) fn connect_of(choice: u8, number: usize) -> Connect {
    let version = match choice & 3 {
        0 => Version::V31,
        1 => Version::V311,
        _ => Version::V5,
    };
    let mut connect = Connect::new(version, ["a", "b"][number].into());
    connect.clean_start = choice & 4 != 0;
    connect.will = (choice & 8 != 0).then(|| {
        Box::new(Will {
            topic: Topic::try_from("t/w").expect("a topic"),
            payload: Bytes::from_static(b"gone"),
            qos: QoS::AtLeastOnce,
            retain: choice & 16 != 0,
            delay_secs: u32::from(choice & 32 != 0),
            expiry_secs: None,
            properties: None,
        })
    });
    if version.is_v5() {
        connect.properties.session_expiry_secs = (choice & 32 != 0).then_some(5);
        connect.properties.receive_maximum = (choice & 64 != 0).then_some(2);
        connect.properties.topic_alias_maximum = u16::from(choice & 128 != 0) * 2;
        connect.properties.packet_bytes_max = (choice & 128 != 0).then_some(PACKET_BYTES_MAX);
    }
    connect
}

impl Door {
    fn new(choice: u8, number: usize, durability: Durability) -> Self {
        let connect = connect_of(choice, number);
        let (socket, handle) = (Arc::<Valve>::default(), Arc::<TaskHandle>::default());
        let writes = (choice & 16 == 0 || choice & 8 != 0).then(|| socket.clone() as Arc<dyn Socket>);
        let origin = Origin {
            peer: SocketAddr::from(([127, 0, 0, 1], 1)),
            certificate_user: None,
            socket: writes,
            handle: handle.clone(),
        };
        let version = connect.version;
        let mut ctx = DecodeContext::client(version);
        ctx.packet_bytes_max = connect.properties.packet_bytes_max.unwrap_or(ctx.packet_bytes_max);
        let mut first = Vec::new();
        Packet::Connect(Box::new(connect)).encode(version, &mut first);
        let mqtt = MqttConnection::new(settings(durability), origin);
        Self {
            mqtt,
            socket,
            handle,
            ctx,
            rest: Bytes::from(first),
            sent: Vec::new(),
            answered_bytes: 0,
            closed: false,
            commit: None,
        }
    }

    /// Everything sent must be packets a client of this version understands: first the answer to the CONNECT, and
    /// after a DISCONNECT nothing.
    fn check_sent(&mut self) {
        self.sent.append(&mut self.socket.flow.lock().1);
        let mut bytes = Bytes::from(self.sent.clone());
        let (mut first, mut ended) = (true, false);
        loop {
            let decoded = decode(&mut bytes, &self.ctx);
            assert!(decoded.is_ok(), "{decoded:?} in {:02x?}", self.sent);
            let Ok(Some(packet)) = decoded else { return };
            assert!(!ended, "{packet:?} after the last packet");
            match &packet {
                Packet::ConnAck(connack) => {
                    assert!(first, "a second CONNACK");
                    ended = connack.reason.is_error();
                }
                Packet::Auth(_) => {}
                Packet::Disconnect(_) => ended = true,
                other => assert!(!first, "{other:?} before the CONNACK"),
            }
            first &= matches!(packet, Packet::Auth(_));
        }
    }
}

impl Pair {
    pub(crate) fn new(choices: [u8; 2], durability: Durability) -> Self {
        let access = Arc::new(Access::new(AccessList::open(), Anonymous::Always));
        let mut plane =
            Plane::new(access, PlaneLimits { retained_messages_max: 4, ..PlaneLimits::default() });
        if durability == Durability::Disk {
            // It carries everything out at once; who waits for a commit waits until the next step.
            let store =
                Store::open(skein_plane::schema(), Options::memory()).expect("nothing can fail in memory");
            plane = plane.with_durable(Durable::new(store, WallClock::new(Time(0))));
        }
        let doors = [0, 1].map(|number| Door::new(choices[number], number, durability));
        let now = Moment::from_millis(1000);
        let mut pair = Self { plane, batch: Batch::default(), out: Vec::new(), now, doors, durability };
        pair.feed(0, &[]);
        pair.feed(1, &[]);
        pair
    }

    /// Follows a script to its end: the first byte of each step says what and on which connection.
    pub(crate) fn follow(&mut self, mut script: &[u8]) {
        while let Some((step, rest)) = script.split_first() {
            let number = usize::from(step & 1);
            let (argument, rest) = rest.split_first().map_or((0, rest), |(first, rest)| (*first, rest));
            script = match step >> 1 & 7 {
                3 => {
                    self.answer(number, argument);
                    rest
                }
                0..=2 => {
                    let (bytes, rest) = rest.split_at(usize::from(argument).min(rest.len()));
                    self.feed(number, bytes);
                    rest
                }
                4 => {
                    self.give_room(number, usize::from(argument) * 16);
                    rest
                }
                5 => {
                    self.pass(u64::from(argument) * 50);
                    rest
                }
                6 => {
                    self.hang_up(number);
                    rest
                }
                _ => {
                    self.connect_again(number, argument);
                    rest
                }
            };
        }
    }

    /// The client of connection `number` sends `bytes`.
    pub(crate) fn feed(&mut self, number: usize, bytes: &[u8]) {
        let door = &mut self.doors[number];
        if door.closed {
            return;
        }
        door.rest = Bytes::from([&door.rest[..], bytes].concat());
        self.committed(number);
        let mut step = self.handle(number, |mqtt, rest, cx| mqtt.receive(rest, cx));
        loop {
            step = match step {
                Step::Read => return,
                Step::PauseUntil(moment) => {
                    assert!(moment > self.now, "a pause that is over");
                    self.now = moment;
                    self.handle(number, |mqtt, rest, cx| mqtt.receive(rest, cx))
                }
                Step::CheckPassword(check) => {
                    let good = check.password.len() % 2 == 0;
                    let proof = Authenticated { user: UserName::new(&check.user), roles: Arc::from([]) };
                    let result = if good { Ok(proof) } else { Err(Code::BadCredentials) };
                    match self.handle(number, |mqtt, _, cx| mqtt.password_checked(result, cx)) {
                        Step::Read => self.handle(number, |mqtt, rest, cx| mqtt.receive(rest, cx)),
                        other => other,
                    }
                }
                Step::Close(closed) => return self.ended(number, closed),
            };
        }
    }

    fn handle(
        &mut self,
        number: usize,
        act: impl FnOnce(&mut MqttConnection, &mut Bytes, &mut Context<'_>) -> Step,
    ) -> Step {
        let Self { plane, batch, out, now, doors, .. } = self;
        let Door { mqtt, rest, sent, commit, .. } = &mut doors[number];
        let mut cx = Context { plane, batch, now: *now, out, random: |bytes| bytes.fill(7) };
        let step = act(mqtt, rest, &mut cx);
        *commit = mqtt.flush(&mut cx);
        assert!(commit.is_none() || self.durability == Durability::Disk, "nothing is kept on disk here");
        if !matches!(step, Step::Close(_)) {
            sent.append(out);
        }
        drop(batch.take_congestion());
        self.settle();
        step
    }

    /// What the last batch promised is on disk.
    fn committed(&mut self, number: usize) {
        let Self { plane, batch, out, now, doors, .. } = self;
        let Door { mqtt, sent, commit, .. } = &mut doors[number];
        while let Some(done) = commit.take() {
            assert!(done.is_done());
            let mut cx = Context { plane, batch, now: *now, out, random: |bytes| bytes.fill(7) };
            *commit = mqtt.committed(done, &mut cx);
            assert!(out.is_empty() || mqtt.handle().is_none(), "an answer beside the session's outbox");
            sent.append(out);
        }
        self.settle();
    }

    /// Nobody waits for the last batch any more.
    fn leave(&mut self, number: usize) {
        if let Some(commit) = self.doors[number].commit.take() {
            self.plane.leave(commit);
        }
    }

    /// What the server writes last: what waited in the outbox, then what the connection itself has to say.
    fn ended(&mut self, number: usize, mut closed: Closed) {
        self.leave(number);
        closed.commit.take().into_iter().for_each(|commit| self.plane.leave(commit));
        let door = &mut self.doors[number];
        if door.closed {
            assert!(
                closed.outbox.is_none() && self.out.is_empty(),
                "a connection that is over has more to say"
            );
        } else {
            door.sent.append(&mut door.socket.flow.lock().1);
            closed.outbox.unwrap_or_default().drain_into(&mut door.sent);
            door.sent.append(&mut self.out);
            door.closed = true;
        }
        self.settle();
    }

    /// Connections that lost their session end.
    fn settle(&mut self) {
        for door in &mut self.doors {
            door.sent.append(&mut door.socket.flow.lock().1);
            if let Some(mut closing) = door.handle.take_closing().filter(|_| !door.closed) {
                closing.outbox.drain_into(&mut door.sent);
                door.closed = true;
            }
        }
    }

    /// The client acknowledges what it has received, up to `count` packets.
    fn answer(&mut self, number: usize, count: u8) {
        let door = &mut self.doors[number];
        let mut answers = Vec::new();
        let mut bytes = Bytes::copy_from_slice(&door.sent[door.answered_bytes..]);
        for _ in 0..count {
            let Ok(Some(packet)) = decode(&mut bytes, &door.ctx) else { break };
            let answer = match packet {
                Packet::Publish(publish) => publish.packet_id.map(|id| match publish.qos {
                    QoS::ExactlyOnce => Packet::PubRec(Ack::success(id)),
                    _ => Packet::PubAck(Ack::success(id)),
                }),
                Packet::PubRec(ack) => Some(Packet::PubRel(Ack::success(ack.packet_id))),
                Packet::PubRel(ack) => Some(Packet::PubComp(Ack::success(ack.packet_id))),
                _ => None,
            };
            if let (Some(answer), Some(version)) = (answer, door.ctx.version) {
                answer.encode(version, &mut answers);
            }
        }
        door.answered_bytes = door.sent.len() - bytes.len();
        self.feed(number, &answers);
    }

    fn give_room(&mut self, number: usize, bytes: usize) {
        let Self { plane, batch, now, doors, .. } = self;
        let door = &mut doors[number];
        if door.closed {
            return;
        }
        door.socket.flow.lock().0 = bytes;
        if let Some(handle) = door.mqtt.handle() {
            let mut work = Work { plane, batch, now: *now };
            handle.unblocked(&mut work);
            _ = work.finish();
        }
        self.settle();
    }

    fn pass(&mut self, millis: u64) {
        self.now = self.now.after(Duration::from_millis(millis));
        self.plane.expire(&mut self.batch, self.now);
        self.settle();
    }

    fn hang_up(&mut self, number: usize) {
        let Self { plane, batch, out, now, doors, .. } = self;
        let mut cx = Context { plane, batch, now: *now, out, random: |bytes| bytes.fill(7) };
        let closed = doors[number].mqtt.close(Code::ConnectionLost, "the script hung up", &mut cx);
        self.ended(number, closed);
    }

    /// The client opens another connection; the one before may still be there.
    fn connect_again(&mut self, number: usize, choice: u8) {
        let mut before =
            std::mem::replace(&mut self.doors[number], Door::new(choice, number, self.durability));
        self.feed(number, &[]);
        before.sent.append(&mut before.socket.flow.lock().1);
        let closing = before.handle.take_closing().filter(|_| !before.closed);
        let over = before.closed || closing.is_some();
        if let Some(mut closing) = closing {
            closing.outbox.drain_into(&mut before.sent);
        }
        before.check_sent();
        // It learns only now that it lost its session, or that nobody wanted it.
        let Self { plane, batch, out, now, .. } = self;
        let mut cx = Context { plane, batch, now: *now, out, random: |bytes| bytes.fill(7) };
        let mut closed = before.mqtt.close(Code::ConnectionLost, "replaced", &mut cx);
        assert!(
            !over || (closed.outbox.is_none() && cx.out.is_empty()),
            "more to say after the session was lost: {closed:?} {:02x?}",
            cx.out
        );
        let left = [before.commit.take(), closed.commit.take()];
        left.into_iter().flatten().for_each(|commit| plane.leave(commit));
        out.clear();
    }

    /// Ends everything: what was sent is well-formed and the ledger adds up.
    pub(crate) fn finish(mut self) {
        for number in 0..2 {
            self.hang_up(number);
            self.doors[number].check_sent();
        }
        for session in self.plane.sessions().all() {
            assert!(!session.is_connected());
            self.plane.disconnect(&session, Code::ServerShuttingDown, true, &mut self.batch, self.now);
        }
        self.plane.finish_unattended(&mut self.batch, self.now);
        self.check_store();
        let figures = self.plane.ledger().figures();
        assert_eq!(figures.pending, 0, "{figures:?}");
        assert_eq!(figures.routed, figures.delivered + figures.expired + figures.dropped_total());
        assert_eq!((self.plane.sessions().len(), self.plane.sessions().connected()), (0, 0));
        assert_eq!(self.plane.matcher().subscriptions(), 0);
    }

    /// Of sessions that are over nothing is left on disk; of retained messages exactly those that are there.
    fn check_store(&self) {
        let Some(durable) = self.plane.durable() else { return };
        let snapshot = durable.store().snapshot();
        let rows: Vec<usize> = (1..=6).map(|class| snapshot.len(ClassId(class))).collect();
        assert_eq!(rows, [0, 0, 0, 0, 0, self.plane.retained().len()]);
    }
}
