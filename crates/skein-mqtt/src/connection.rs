//! One MQTT connection as a state machine: bytes in, bytes out, no IO, no clock, no waiting.
//!
//! A transport reads what its socket holds and hands it to [`MqttConnection::receive`]; everything a client can ask
//! for happens in there, by calls into the plane. The one thing that takes long, checking a password, is handed back
//! to the transport as a [`Step`]. What the state machine answers stands in [`Context::out`] until the session is
//! open, and in the session's outbox from then on.

mod acks;
mod auth;
mod connect;
mod publish;
mod rate;
mod subscribe;

use std::{collections::HashMap, net::SocketAddr, num::NonZeroU16, sync::Arc, time::Duration};

use bytes::Bytes;
use skein_access::{Authenticated, BoundAccess};
use skein_plane::{Batch, Commit, ConnectionHandle, Ending, Outbox, Plane, Socket, TaskHandle, Work};
use skein_types::{ByteString, ClientId, Code, Moment, Topic, UserName};

use self::{auth::Proving, rate::RateLimit};
use crate::{
    codec::{
        ConnAck, Connect, DecodeContext, Disconnect, Packet, ReasonCode, Side, Version, decode, frame_length,
    },
    reason::{code_of, reason_of},
    settings::Settings,
    wire::{Words, farewell},
};

/// Packets before the CONNECT was accepted may not be larger: credentials and a will fit, a flood does not.
const FIRST_PACKET_BYTES_MAX: u32 = 256 * 1024;

/// What the state machine works with during one batch.
#[derive(Debug)]
pub struct Context<'a> {
    /// The plane.
    pub plane: &'a Plane,
    /// The batch of the read that is being handled.
    pub batch: &'a mut Batch,
    /// The moment at hand.
    pub now: Moment,
    /// Packets for the client, not yet in the session's outbox.
    pub out: &'a mut Vec<u8>,
    /// Fills a slice with unpredictable bytes.
    pub random: fn(&mut [u8]),
}

impl Context<'_> {
    /// The plane's part of it, and where answers are written.
    fn split(&mut self) -> (Work<'_>, &mut Vec<u8>) {
        (Work { plane: self.plane, batch: self.batch, now: self.now }, self.out)
    }
}

/// What the transport does next.
#[derive(Debug)]
pub enum Step {
    /// Read more.
    Read,
    /// The client publishes faster than allowed: call [`MqttConnection::receive`] again then, with the same bytes.
    PauseUntil(Moment),
    /// Check these credentials away from the event loop and call [`MqttConnection::password_checked`].
    CheckPassword(PasswordCheck),
    /// Write what is left and close.
    Close(Closed),
}

/// Credentials to be checked by way of a [`skein_access::PasswordGate`].
pub struct PasswordCheck {
    /// The user's name.
    pub user: ByteString,
    /// What it says its password is.
    pub password: Bytes,
}

/// Why a connection ended, for the log, and what is still to be written.
#[derive(Debug)]
pub struct Closed {
    /// Why.
    pub code: Code,
    /// What exactly was wrong.
    pub detail: &'static str,
    /// What waited in the session's outbox; write it before [`Context::out`].
    pub outbox: Option<Outbox>,
    /// What has to be on disk before anything is written.
    pub commit: Option<Commit>,
}

/// A packet that cannot be accepted, and why the connection ends with it.
#[derive(Debug)]
pub(crate) struct Refusal {
    reason: ReasonCode,
    code: Code,
    detail: &'static str,
}

/// One connection's state.
#[derive(Debug)]
pub struct MqttConnection {
    settings: Arc<Settings>,
    origin: Origin,
    phase: Phase,
}

/// Where a connection comes from and how it is written to.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The client's address.
    pub peer: SocketAddr,
    /// The user named by the client's certificate, if certificates name users here.
    pub certificate_user: Option<UserName>,
    /// The socket, when others may write to it directly.
    pub socket: Option<Arc<dyn Socket>>,
    /// How the connection's task is woken.
    pub handle: Arc<TaskHandle>,
}

#[derive(Debug)]
enum Phase {
    /// Nothing but a CONNECT may come.
    Fresh,
    /// The password is being checked.
    Checking(Box<Connect>),
    /// Extended authentication is under way (MQTT 5.0 section 4.12).
    Authenticating(Box<Connect>, Option<Box<Proving>>),
    /// The session is open.
    Open(Box<Open>),
    /// Nothing is read any more; whose connection it was.
    Closed(Option<ClientId>),
}

/// An accepted connection.
#[derive(Debug)]
pub(crate) struct Open {
    handle: ConnectionHandle,
    version: Version,
    /// A bridge of 3.1 or 3.1.1: what it sent does not come back to it, and retain flags come as published.
    bridge: bool,
    access: Arc<BoundAccess>,
    /// Topics by the client's aliases (MQTT-3.3.2-7).
    aliases: Option<Box<ClientAliases>>,
    rate: Option<Box<RateLimit>>,
    keep_alive_secs: u16,
    packet_bytes_max: u32,
    problem_information: bool,
    /// Whether a DISCONNECT may set a session expiry (MQTT-3.14.2-2).
    expires_later: bool,
    /// Method of extended authentication, and an exchange under way.
    auth: Option<Box<AuthState>>,
}

/// Topics the client introduced by number, on this connection only (MQTT-3.3.2-7).
#[derive(Debug, Default)]
struct ClientAliases {
    topics: HashMap<NonZeroU16, Topic>,
}

#[derive(Debug)]
struct AuthState {
    method: ByteString,
    user: Option<UserName>,
    exchange: Option<Proving>,
    /// A re-authentication waits for the client's next message.
    running: bool,
}

impl MqttConnection {
    /// A connection on which nothing was received yet.
    #[must_use]
    pub fn new(settings: Arc<Settings>, origin: Origin) -> Self {
        Self { settings, origin, phase: Phase::Fresh }
    }

    /// Handles every complete packet in `bytes` and leaves an incomplete rest there. End the batch with
    /// [`MqttConnection::flush`].
    pub fn receive(&mut self, bytes: &mut Bytes, cx: &mut Context<'_>) -> Step {
        loop {
            match &mut self.phase {
                Phase::Closed(_) | Phase::Checking(_) => return Step::Read,
                Phase::Open(open) => {
                    if let Some(until) = open.rate.as_mut().and_then(|rate| rate.paused_until(cx.now)) {
                        return Step::PauseUntil(until);
                    }
                }
                Phase::Authenticating(_, Some(proving)) if !bytes.is_empty() => {
                    match proving.turn(self.origin.peer.ip(), self.settings.listener.connect_timeout, cx) {
                        Ok(None) => {}
                        Ok(Some(until)) => return Step::PauseUntil(until),
                        Err(refusal) => return self.refuse(&refusal, cx),
                    }
                }
                Phase::Fresh | Phase::Authenticating(..) => {}
            }
            let result = match decode(bytes, &self.decode_context()) {
                Ok(None) => return Step::Read,
                Ok(Some(packet)) => {
                    cx.batch.effects.tally.traffic.received_packets += 1;
                    self.handle_packet(packet, cx)
                }
                Err(error) => Err(self.decode_refusal(error)),
            };
            match result {
                Ok(Step::Read) => {}
                Ok(step) => return step,
                Err(refusal) => return self.refuse(&refusal, cx),
            }
        }
    }

    /// Goes on after a password check.
    pub fn password_checked(&mut self, result: Result<Authenticated, Code>, cx: &mut Context<'_>) -> Step {
        let Phase::Checking(connect) = self.leave_phase() else {
            return Step::Read;
        };
        let opened = match result {
            Ok(proof) => self.open(*connect, Some(proof), None, cx),
            Err(code) => {
                self.phase = Phase::Checking(connect);
                Err(Refusal::of(code, why_refused(code)))
            }
        };
        match opened {
            Ok(()) => Step::Read,
            Err(refusal) => self.refuse(&refusal, cx),
        }
    }

    /// Ends the batch and hands its answers to the session's outbox; or, when they promise what is not on disk yet,
    /// keeps them and returns the commit to wait for. Nothing may be received before
    /// [`MqttConnection::committed`] then.
    pub fn flush(&mut self, cx: &mut Context<'_>) -> Option<Commit> {
        let (mut work, out) = cx.split();
        match &mut self.phase {
            Phase::Open(open) => {
                work.batch.effects.tally.traffic.sent_packets += count_packets(out);
                open.handle.finish(out, &mut work)
            }
            _ => work.finish(),
        }
    }

    /// The commit of the last batch is done: says what waited for it. What is sent next may have to be on disk first,
    /// too: then there is another commit to wait for.
    #[must_use]
    pub fn committed(&mut self, commit: Commit, cx: &mut Context<'_>) -> Option<Commit> {
        let (mut work, _) = cx.split();
        match &mut self.phase {
            Phase::Open(open) => open.handle.committed(commit, &mut work),
            _ => work.committed(commit),
        }
    }

    /// Ends the connection for a reason of the server's or the transport's.
    pub fn close(&mut self, code: Code, detail: &'static str, cx: &mut Context<'_>) -> Closed {
        let closed = match self.refuse(&Refusal::of(code, detail), cx) {
            Step::Close(closed) => closed,
            Step::Read | Step::PauseUntil(_) | Step::CheckPassword(_) => {
                Closed { code, detail, outbox: None, commit: None }
            }
        };
        Closed { commit: cx.split().0.finish(), ..closed }
    }

    /// The connection's hold on its session, once open.
    #[must_use]
    pub fn handle(&self) -> Option<&ConnectionHandle> {
        match &self.phase {
            Phase::Open(open) => Some(&open.handle),
            _ => None,
        }
    }

    /// The client's id, if it ever got in.
    #[must_use]
    pub fn client_id(&self) -> Option<&ClientId> {
        match &self.phase {
            Phase::Open(open) => Some(open.handle.client_id()),
            Phase::Closed(client_id) => client_id.as_ref(),
            _ => None,
        }
    }

    /// How long a client may be silent before it is closed: 1.5 times its keep alive (MQTT-3.1.2-22).
    #[must_use]
    pub fn keep_alive(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Open(open) if open.keep_alive_secs > 0 => {
                Some(Duration::from_millis(u64::from(open.keep_alive_secs).saturating_mul(1500)))
            }
            _ => None,
        }
    }

    /// Where the client connects from.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.origin.peer
    }

    /// The settings it came with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether the user was removed from the access list since.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        matches!(&self.phase, Phase::Open(open) if open.access.is_revoked())
    }

    fn leave_phase(&mut self) -> Phase {
        let closed = Phase::Closed(self.client_id().cloned());
        std::mem::replace(&mut self.phase, closed)
    }

    fn decode_context(&self) -> DecodeContext {
        let (version, packet_bytes_max) = match &self.phase {
            Phase::Fresh => (None, self.settings.packet_bytes_max.min(FIRST_PACKET_BYTES_MAX)),
            Phase::Open(open) => (Some(open.version), self.settings.packet_bytes_max),
            Phase::Checking(connect) | Phase::Authenticating(connect, _) => {
                (Some(connect.version), FIRST_PACKET_BYTES_MAX)
            }
            Phase::Closed(_) => (None, 0),
        };
        DecodeContext { side: Side::Server, version, packet_bytes_max }
    }

    fn handle_packet(&mut self, packet: Packet, cx: &mut Context<'_>) -> Result<Step, Refusal> {
        match (&mut self.phase, packet) {
            (Phase::Open(open), Packet::Publish(publish)) => open.publish(publish, &self.settings, cx)?,
            (Phase::Open(open), Packet::PubAck(ack)) => open.puback(&ack, cx)?,
            (Phase::Open(open), Packet::PubRec(ack)) => open.pubrec(&ack, cx)?,
            (Phase::Open(open), Packet::PubRel(ack)) => open.pubrel(&ack, cx),
            (Phase::Open(open), Packet::PubComp(ack)) => open.pubcomp(&ack, cx)?,
            (Phase::Open(open), Packet::Subscribe(subscribe)) => {
                open.subscribe(*subscribe, &self.settings, cx)?
            }
            (Phase::Open(open), Packet::Unsubscribe(unsubscribe)) => open.unsubscribe(&unsubscribe, cx)?,
            (Phase::Open(open), Packet::PingReq) => Packet::PingResp.encode(open.version, cx.out),
            (Phase::Open(open), Packet::Auth(auth)) => {
                open.reauthenticate(&auth, self.origin.peer.ip(), cx)?;
            }
            (Phase::Open(_) | Phase::Authenticating(..), Packet::Disconnect(disconnect)) => {
                return self.disconnected(&disconnect, cx);
            }
            (Phase::Fresh, Packet::Connect(connect)) => return self.connect(connect, cx),
            (Phase::Authenticating(..), Packet::Auth(auth)) => self.authenticate(&auth, cx)?,
            // MQTT-3.1.0-2, MQTT-3.1.2-30, and packets only a server sends.
            _ => return Err(Refusal::protocol("this packet is not allowed at this point of a connection")),
        }
        Ok(Step::Read)
    }

    fn disconnected(&mut self, disconnect: &Disconnect, cx: &mut Context<'_>) -> Result<Step, Refusal> {
        let mut code = Code::Disconnected;
        let mut outbox = None;
        if let Phase::Open(open) = &self.phase {
            if disconnect.session_expiry_secs.is_some_and(|secs| secs > 0) && !open.expires_later {
                return Err(Refusal::protocol("a session without expiry cannot get one when it ends"));
            }
            let expiry_max = self.settings.session_expiry_max_secs;
            let expiry_secs = disconnect.session_expiry_secs.map(|secs| secs.min(expiry_max));
            // MQTT-3.1.2-8: anything but a normal disconnection publishes the will.
            let ending = match disconnect.reason {
                ReasonCode::Success => Ending::Graceful,
                _ => Ending::WithWill(Code::Disconnected),
            };
            // What was asked before in the same batch is still answered, the CONNECT too (MQTT-3.1.4-5).
            outbox = open.handle.close(ending, expiry_secs, &mut cx.split().0);
        } else {
            code = Code::NotAuthorized;
        }
        self.leave_phase();
        if outbox.is_none() {
            cx.out.clear();
        }
        Ok(Step::Close(Closed { code, detail: "the client disconnected", outbox, commit: None }))
    }

    /// Tells the client why, ends the session's connection and closes.
    fn refuse(&mut self, refusal: &Refusal, cx: &mut Context<'_>) -> Step {
        let Refusal { reason, code, detail } = *refusal;
        let mut outbox = None;
        match self.leave_phase() {
            Phase::Open(open) => {
                outbox = open.handle.close(Ending::WithWill(code), None, &mut cx.split().0);
                // Nothing when the session belongs to another connection: it was told by whoever took it.
                if outbox.is_some() {
                    let Open { version, problem_information, packet_bytes_max, .. } = *open;
                    let reference = self.reference(code, open.version);
                    let words = Words { text: Some(detail), problem_information, reference };
                    farewell(version, reason, words, packet_bytes_max, cx.out);
                }
            }
            Phase::Checking(connect) | Phase::Authenticating(connect, _) => {
                refuse_connect(&connect, reason, detail, self.reference(code, connect.version), cx.out);
            }
            Phase::Fresh | Phase::Closed(_) => {}
        }
        Step::Close(Closed { code, detail, outbox, commit: None })
    }

    /// The server to use instead, where that is why the client has to go and its version has a place for it.
    fn reference(&self, code: Code, version: Version) -> Option<ByteString> {
        let is_told = code == Code::UseAnotherServer && version.is_v5();
        if is_told { self.settings.redirect.reference() } else { None }
    }

    fn decode_refusal(&mut self, error: crate::codec::DecodeError) -> Refusal {
        // Before version 5 a CONNECT that does not conform is closed without a CONNACK (MQTT-3.1.4-1 of 3.1.1), but for
        // its level (MQTT-3.1.2-2).
        let has_words =
            |version: &Version| version.is_v5() || error.reason == ReasonCode::UnsupportedProtocolVersion;
        if let (Phase::Fresh, Some(version)) = (&self.phase, error.answer.filter(has_words)) {
            // So that the refusal is answered with a CONNACK of that version.
            self.phase = Phase::Checking(Box::new(Connect::new(version, ByteString::new())));
        }
        Refusal { reason: error.reason, code: code_of(error.reason), detail: error.what }
    }
}

/// Why credentials were not taken, for the log.
fn why_refused(code: Code) -> &'static str {
    match code {
        Code::ServerBusy => "too many clients wait to have their passwords checked",
        Code::ConnectionRateExceeded => "the client's address failed to log in too often",
        _ => "the credentials were refused",
    }
}

impl Open {
    /// Puts the answers written so far before what is sent because of them, unless they promise something.
    fn answer(&self, cx: &mut Context<'_>) {
        let packets = count_packets(cx.out);
        let (mut work, out) = cx.split();
        self.handle.answer(out, &mut work);
        if out.is_empty() {
            work.batch.effects.tally.traffic.sent_packets += packets;
        }
    }

    /// Writes a packet, without what the client does not want or has no room for (MQTT-3.1.2-29, MQTT-3.1.2-24).
    fn send(&self, packet: &Packet, cx: &mut Context<'_>) {
        let _fits = packet.encode_within(self.version, self.packet_bytes_max, cx.out);
    }
}

impl Refusal {
    fn of(code: Code, detail: &'static str) -> Self {
        Self { reason: reason_of(code), code, detail }
    }

    /// The client has no room for what it has to be sent first. The codes for too large a packet speak of the client's.
    fn no_room(detail: &'static str) -> Self {
        Self { reason: ReasonCode::ImplementationSpecificError, code: Code::PacketTooLarge, detail }
    }

    fn protocol(detail: &'static str) -> Self {
        Self::of(Code::ProtocolError, detail)
    }
}

/// Packets in what the state machine wrote.
fn count_packets(mut packets: &[u8]) -> u64 {
    let mut count = 0;
    while let Ok(Some(length)) = frame_length(packets) {
        packets = packets.get(length..).unwrap_or_default();
        count += 1;
    }
    count
}

/// Answers a CONNECT that is refused (MQTT-3.2.2-6), without words where the client has no room for them
/// (MQTT-3.2.2-19).
fn refuse_connect(
    connect: &Connect,
    reason: ReasonCode,
    detail: &'static str,
    reference: Option<ByteString>,
    out: &mut Vec<u8>,
) {
    let mut connack = ConnAck::refuse(reason);
    connack.properties.server_reference = reference;
    connack.properties.reason_string = Some(detail.into());
    let packet = Packet::ConnAck(Box::new(connack));
    let packet_bytes_max = connect.properties.packet_bytes_max.unwrap_or(u32::MAX);
    let _fits = packet.encode_within(connect.version, packet_bytes_max, out);
}

impl std::fmt::Debug for PasswordCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordCheck").field("user", &self.user).finish_non_exhaustive()
    }
}
