//! One durable client, without a socket: packets in, bytes out, and the ledger told of everything on the way.
//!
//! It keeps over connections what MQTT makes a client keep (4.1.0-1): what it sent and was not answered, and the ids
//! of QoS 2 messages that were not released. It must never be kinder to the server than a right client is.

mod publisher;
mod subscriber;

pub(super) use publisher::Publisher;
pub(super) use subscriber::Subscriber;

use super::Violation;
use super::ledger::{Ledger, StreamId};
use super::packet::{self, Connect, Packet, Step, Version, Will};
use super::random::Random;

/// An hour: longer than a session must live here, and not "never", which is kept in another way.
const EXPIRY_SECS: u32 = 3_600;

#[derive(Debug)]
pub(super) struct Client {
    pub(super) name: String,
    pub(super) version: Version,
    pub(super) receive_maximum: Option<u16>,
    pub(super) will: Option<Testament>,
    pub(super) publisher: Option<Publisher>,
    pub(super) subscriber: Option<Subscriber>,
    pub(super) line: Line,
    /// It wants a new session instead of the one it has, until it is told that it has it.
    pub(super) renews: bool,
    promised: Promised,
    /// What is to be sent.
    output: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    Off,
    /// CONNECT is sent.
    Greeting,
    On,
}

/// What the client knows of its session on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promised {
    Nothing,
    /// It asked, and the answer was lost: there may be a session.
    Asked,
    /// It was told CONNACK.
    Session,
}

/// Every connection leaves another will of one stream.
#[derive(Debug)]
pub(super) struct Testament {
    pub(super) stream: StreamId,
    pub(super) delay_secs: u32,
    /// The will of the present or last connection.
    pub(super) place: Option<u64>,
}

impl Client {
    pub(super) fn new(name: String, version: Version) -> Self {
        Self {
            name,
            version,
            receive_maximum: None,
            will: None,
            publisher: None,
            subscriber: None,
            line: Line::Off,
            renews: false,
            promised: Promised::Nothing,
            output: Vec::new(),
        }
    }

    /// A connection is open; writes CONNECT.
    pub(super) fn connected(&mut self, ledger: &mut Ledger) {
        self.line = Line::Greeting;
        if self.promised == Promised::Nothing {
            self.promised = Promised::Asked;
        }
        if let Some(subscriber) = self.subscriber.as_mut().filter(|_| self.renews) {
            subscriber.renewing(ledger);
        }
        let mut content = None;
        if let Some(will) = &mut self.will {
            let place = ledger.send(will.stream);
            will.place = Some(place);
            content = Some((ledger.message(will.stream, place), will.delay_secs));
        }
        let will = content.as_ref().map(|(message, delay_secs)| Will {
            topic: &message.topic,
            payload: message.payload.clone(),
            qos: message.qos,
            delay_secs: *delay_secs,
        });
        let (version, receive_maximum) = (self.version, self.receive_maximum);
        self.output = packet::connect(&Connect {
            version,
            client_id: &self.name,
            clean: self.renews,
            expiry_secs: EXPIRY_SECS,
            receive_maximum,
            will,
        });
    }

    /// The connection is gone, whoever ended it. What was not written is not sent.
    pub(super) fn disconnected(&mut self) {
        self.line = Line::Off;
        self.output.clear();
        if let Some(subscriber) = &mut self.subscriber {
            subscriber.disconnected();
        }
    }

    pub(super) fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    pub(super) fn handle(&mut self, packet: Packet, ledger: &mut Ledger) -> Result<(), Violation> {
        let said = format!("{packet:02x?}");
        let unexpected = |name: &str| Err(Violation::new(format!("{name} did not expect {said}")));
        match (self.line, packet) {
            (Line::Greeting, Packet::ConnAck { session_present, code: 0 }) => {
                self.greeted(session_present, ledger)
            }
            (Line::On, Packet::Publish(publish)) => match &mut self.subscriber {
                Some(subscriber) => subscriber.published(publish, ledger),
                None => unexpected(&self.name),
            },
            (Line::On, Packet::Step { step: Step::Rel, id, code: 0 }) => match &mut self.subscriber {
                Some(subscriber) => {
                    subscriber.released(id);
                    Ok(())
                }
                None => unexpected(&self.name),
            },
            (Line::On, Packet::Step { step, id, code }) => match &mut self.publisher {
                Some(publisher) => publisher
                    .answered(step, id, code, ledger, &mut self.output)
                    .map_err(|text| Violation::new(format!("{}: {text}", self.name))),
                None => unexpected(&self.name),
            },
            (Line::On, Packet::SubAck { id, codes }) => match &mut self.subscriber {
                Some(subscriber) => subscriber.subscribed(id, &codes, ledger),
                None => unexpected(&self.name),
            },
            (Line::On, Packet::UnsubAck { id, codes }) => match &mut self.subscriber {
                Some(subscriber) => subscriber.unsubscribed(id, &codes, ledger),
                None => unexpected(&self.name),
            },
            _ => unexpected(&self.name),
        }
    }

    /// CONNACK: a session that was promised must be there, one that was never asked for must not.
    fn greeted(&mut self, session_present: bool, ledger: &mut Ledger) -> Result<(), Violation> {
        if self.renews {
            if session_present {
                return Err(Violation::new(format!("{}: a session that was to be discarded", self.name)));
            }
            self.promised = Promised::Asked;
            self.renews = false;
            if let Some(subscriber) = &mut self.subscriber {
                subscriber.renewed(ledger);
            }
        }
        match (self.promised, session_present) {
            (Promised::Session, false) => {
                return Err(Violation::new(format!(
                    "{}: the session is lost (session present 0)",
                    self.name
                )));
            }
            (Promised::Nothing, true) => {
                return Err(Violation::new(format!("{}: a session that nobody opened", self.name)));
            }
            (Promised::Session, true) => ledger.figures.resumed += 1,
            (Promised::Nothing | Promised::Asked, _) => {}
        }
        self.promised = Promised::Session;
        self.line = Line::On;
        if let Some(subscriber) = &mut self.subscriber {
            subscriber.resume(self.version, ledger, &mut self.output);
        }
        if let Some(publisher) = &mut self.publisher {
            publisher.resume(self.version, ledger, &mut self.output);
        }
        Ok(())
    }

    /// Writes what the client has to say by itself: answers it held back, new messages, changed subscriptions. While
    /// the load is `winding_down` it begins nothing new and holds nothing back.
    pub(super) fn speak(&mut self, winding_down: bool, random: &mut Random, ledger: &mut Ledger) {
        if self.line != Line::On {
            return;
        }
        if let Some(subscriber) = &mut self.subscriber {
            subscriber.answer(winding_down, &mut self.output);
            subscriber.ask(self.version, ledger, &mut self.output);
        }
        if let Some(publisher) = self.publisher.as_mut().filter(|_| !winding_down) {
            publisher.fill(self.version, random, ledger, &mut self.output);
        }
    }

    /// Writes a DISCONNECT that keeps the session.
    pub(super) fn say_goodbye(&mut self) {
        self.output.extend(packet::disconnect());
    }

    /// Whether nothing is under way.
    pub(super) fn is_settled(&self) -> bool {
        self.line == Line::On
            && self.publisher.as_ref().is_none_or(Publisher::is_settled)
            && self.subscriber.as_ref().is_none_or(Subscriber::is_settled)
    }
}
