//! A client without a protocol: a wire of its own, a socket that takes what it is told to, and what it received.

use std::{
    collections::{BTreeSet, VecDeque},
    io,
    io::IoSlice,
    net::SocketAddr,
    sync::Arc,
};

use parking_lot::Mutex;
use skein_types::{ClientId, Code, Moment, QoS};

use crate::{
    Acknowledgement, Connection, ConnectionInfo, Publisher, Session, Socket, TaskHandle,
    session::Epoch,
    wire::{DeliveryOptions, Encoded, Form, Frame, Recipient, Wire},
};

/// Frames above this are refused by the wire.
pub(crate) const FRAME_BYTES_MAX: usize = 6000;
/// Kind, quality of service, flags, number, length of the topic, length of the payload.
const HEAD_BYTES: usize = 1 + 1 + 1 + 8 + 1 + 4;
/// Stands for the number of a message that has none.
const UNNUMBERED: u64 = u64::MAX;
/// Closes a frame that was written whole.
const END: u8 = 0xEE;

const PUBLISH: u8 = 1;
const RELEASE: u8 = 2;
const GREETING: u8 = 3;
const FAREWELL: u8 = 4;

/// A wire with the simplest frames.
#[derive(Debug)]
struct TestWire {
    /// Its bytes are made together with those of others.
    shares: bool,
    /// It writes whole frames, with something behind the payload.
    whole: bool,
}

impl Wire for TestWire {
    fn form(&self, options: &DeliveryOptions, size_bytes: usize) -> Option<Form> {
        let fits = size_bytes + HEAD_BYTES < FRAME_BYTES_MAX;
        let form = options.qos as u32 | u32::from(options.retain) << 4 | u32::from(self.whole) << 5;
        (self.shares && fits).then_some(Form(form))
    }

    fn publish(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Encoded {
        let (topic, payload) = (frame.message.topic.as_bytes(), &frame.message.payload);
        if HEAD_BYTES + topic.len() + payload.len() >= FRAME_BYTES_MAX {
            return Encoded::TooLarge;
        }
        let again = matches!(frame.recipient, Recipient::One { again: true, .. });
        let flags = u8::from(frame.options.retain) | u8::from(again) << 1 | u8::from(self.whole) << 2;
        out.extend_from_slice(&[PUBLISH, frame.options.qos as u8, flags]);
        if let Recipient::One { seq, .. } = frame.recipient {
            self.own(seq, out);
        }
        out.push(u8::try_from(topic.len()).unwrap());
        out.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes());
        out.extend_from_slice(topic);
        let own_at = Some(3);
        if !self.whole {
            return Encoded::Head { own_at };
        }
        out.extend_from_slice(payload);
        out.push(END);
        Encoded::Whole { own_at }
    }

    fn own(&mut self, seq: Option<u64>, out: &mut Vec<u8>) {
        out.extend_from_slice(&seq.unwrap_or(UNNUMBERED).to_be_bytes());
    }

    fn release(&mut self, seq: u64, out: &mut Vec<u8>) {
        out.push(RELEASE);
        out.extend_from_slice(&seq.to_be_bytes());
    }

    fn greet(&mut self, present: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(&[GREETING, u8::from(present)]);
    }

    fn farewell(&mut self, _: Code, out: &mut Vec<u8>) {
        out.push(FAREWELL);
    }
}

/// Takes `room` bytes more, then would block.
#[derive(Debug, Default)]
pub(crate) struct TestSocket {
    flow: Mutex<Flow>,
}

#[derive(Debug, Default)]
struct Flow {
    room: usize,
    got: Vec<u8>,
}

impl TestSocket {
    pub(crate) fn give_room(&self, bytes: usize) {
        let mut flow = self.flow.lock();
        flow.room = flow.room.saturating_add(bytes);
    }
}

impl Socket for TestSocket {
    fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut flow = self.flow.lock();
        if flow.room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let room = flow.room;
        let bytes: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.iter().copied()).take(room).collect();
        flow.room -= bytes.len();
        flow.got.extend_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn shutdown(&self) {}
}

/// A message as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) topic: String,
    pub(crate) publisher: u8,
    pub(crate) serial: u32,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) again: bool,
}

/// A connection from the client's side.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) session: Arc<Session>,
    pub(crate) epoch: Epoch,
    pub(crate) publisher: Publisher,
    /// None for a client that only its own task writes to.
    pub(crate) socket: Option<Arc<TestSocket>>,
    /// Bytes read and not parsed.
    unread: Vec<u8>,
    pub(crate) greeted: bool,
    said_farewell: bool,
    /// What the client has to say about ids.
    pub(crate) to_acknowledge: VecDeque<(u64, Acknowledgement, u32)>,
    /// Everything received on this connection.
    pub(crate) received: Vec<Received>,
}

/// What outlives connections on the client's side.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// QoS 2 ids received and not released.
    pub(crate) unreleased: BTreeSet<u64>,
    /// Serials and topics received at QoS 2, after duplicates were put aside.
    pub(crate) exactly_once: Vec<(u32, String)>,
}

/// Content of a payload: who published it and its number.
pub(crate) fn payload(publisher: u8, serial: u32, padding: usize) -> Vec<u8> {
    let mut payload = vec![publisher];
    payload.extend_from_slice(&serial.to_be_bytes());
    payload.resize(5 + padding, 0);
    payload
}

pub(crate) fn connection(
    number: usize,
    socket: Option<Arc<TestSocket>>,
    handle: Arc<TaskHandle>,
    now: Moment,
) -> Connection {
    let info = ConnectionInfo {
        address: SocketAddr::from(([127, 0, 0, 1], 1)),
        door: "test",
        version: "0",
        listener: "test".into(),
        keep_alive_secs: 0,
        connected_at: now,
    };
    let socket = socket.map(|socket| socket as Arc<dyn Socket>);
    Connection::new(
        Box::new(TestWire { shares: !number.is_multiple_of(3), whole: number.is_multiple_of(2) }),
        socket,
        handle,
        info,
    )
}

pub(crate) fn client_id(number: usize) -> ClientId {
    ClientId::new(&format!("client-{number}"))
}

impl Live {
    pub(crate) fn new(session: Arc<Session>, epoch: Epoch, socket: Option<Arc<TestSocket>>) -> Self {
        let publisher = Publisher::new(session.key(), None);
        Self {
            session,
            epoch,
            publisher,
            socket,
            unread: Vec::new(),
            greeted: false,
            said_farewell: false,
            to_acknowledge: VecDeque::new(),
            received: Vec::new(),
        }
    }

    /// Takes what the socket got, and `more`.
    pub(crate) fn read(&mut self, more: &[u8], memory: &mut Memory) {
        if let Some(socket) = &self.socket {
            self.unread.append(&mut socket.flow.lock().got);
        }
        self.unread.extend_from_slice(more);
        let bytes = std::mem::take(&mut self.unread);
        let mut rest = &bytes[..];
        while let Some(after) = self.read_frame(rest, memory) {
            rest = after;
        }
        self.unread = rest.to_vec();
    }

    fn read_frame<'a>(&mut self, bytes: &'a [u8], memory: &mut Memory) -> Option<&'a [u8]> {
        let kind = *bytes.first()?;
        assert!(!self.said_farewell, "something follows the farewell");
        assert!(self.greeted || kind == GREETING, "something comes before the greeting");
        match kind {
            GREETING => {
                bytes.get(1)?;
                assert!(!std::mem::replace(&mut self.greeted, true), "a second greeting");
                bytes.get(2..)
            }
            FAREWELL => {
                self.said_farewell = true;
                bytes.get(1..)
            }
            RELEASE => {
                let id = u64::from_be_bytes(bytes.get(1..9)?.try_into().unwrap());
                memory.unreleased.remove(&id);
                self.to_acknowledge.push_back((id, Acknowledgement::Completed, 0));
                bytes.get(9..)
            }
            PUBLISH => self.read_publish(bytes, memory),
            other => panic!("a frame of kind {other}: the bytes are out of step"),
        }
    }

    fn read_publish<'a>(&mut self, bytes: &'a [u8], memory: &mut Memory) -> Option<&'a [u8]> {
        let head = bytes.get(..HEAD_BYTES)?;
        let (topic_len, payload_len) =
            (usize::from(head[11]), u32::from_be_bytes(head[12..16].try_into().unwrap()) as usize);
        let topic = bytes.get(HEAD_BYTES..HEAD_BYTES + topic_len)?;
        let payload = bytes.get(HEAD_BYTES + topic_len..HEAD_BYTES + topic_len + payload_len)?;
        let end = HEAD_BYTES + topic_len + payload_len;
        let after = if head[2] & 4 == 0 { bytes.get(end..)? } else { bytes.get(end + 1..)? };
        assert!(head[2] & 4 == 0 || bytes[end] == END, "a whole frame is not closed");
        let received = Received {
            topic: String::from_utf8(topic.to_vec()).unwrap(),
            publisher: payload.first().copied().unwrap_or(u8::MAX),
            serial: payload.get(1..5).map_or(0, |serial| u32::from_be_bytes(serial.try_into().unwrap())),
            qos: QoS::from_u8(head[1]).unwrap(),
            retain: head[2] & 1 != 0,
            again: head[2] & 2 != 0,
        };
        let id = Some(u64::from_be_bytes(head[3..11].try_into().unwrap())).filter(|id| *id != UNNUMBERED);
        assert_eq!(id.is_some(), received.qos != QoS::AtMostOnce);
        if let Some(id) = id {
            let rejected = false;
            let what = if received.qos == QoS::AtLeastOnce {
                Acknowledgement::Published { rejected }
            } else {
                if memory.unreleased.insert(id) {
                    memory.exactly_once.push((received.serial, received.topic.clone()));
                } else {
                    assert!(received.again, "a new QoS 2 message under an id that is not released");
                }
                Acknowledgement::Received { rejected }
            };
            self.to_acknowledge.push_back((id, what, received.serial));
        }
        self.received.push(received);
        Some(after)
    }
}

impl Memory {
    /// The session is new: the client forgets its ids.
    pub(crate) fn forget_ids(&mut self) {
        self.unreleased.clear();
    }
}
