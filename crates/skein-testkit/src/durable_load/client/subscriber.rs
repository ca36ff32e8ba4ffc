//! The subscribing half of a client: one filter, wanted or not, and the receiver's side of QoS 1 and 2.

use std::collections::HashMap;

use crate::durable_load::Violation;
use crate::durable_load::ledger::{Ledger, ReaderId};
use crate::durable_load::packet::{self, Publish, Step, Version};
use crate::durable_load::payload::Mark;

/// Ids of SUBSCRIBE and UNSUBSCRIBE; a client's messages use smaller ones.
const REQUEST_ID_FIRST: u16 = 50_000;
/// "No subscription existed".
const NONE_EXISTED: u8 = 0x11;

#[derive(Debug)]
pub(in crate::durable_load) struct Subscriber {
    reader: ReaderId,
    name: String,
    filter: String,
    qos: u8,
    pub(in crate::durable_load) is_wanted: bool,
    stage: Stage,
    /// The request was sent on an earlier connection too.
    is_repeated: bool,
    request_id: u16,
    /// QoS 2 messages by id, from PUBLISH to PUBREL.
    held: HashMap<u16, Mark>,
    answers: Vec<(Step, u16)>,
    /// Answers held back, so that a kill finds messages under way.
    lag: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Off,
    Asked,
    On,
    Leaving,
}

impl Subscriber {
    pub(in crate::durable_load) fn new(
        reader: ReaderId,
        name: &str,
        filter: &str,
        qos: u8,
        lag: usize,
    ) -> Self {
        Self {
            reader,
            name: name.to_owned(),
            filter: filter.to_owned(),
            qos,
            is_wanted: true,
            stage: Stage::Off,
            is_repeated: false,
            request_id: REQUEST_ID_FIRST,
            held: HashMap::new(),
            answers: Vec::new(),
            lag,
        }
    }

    /// What was not answered is not answered on this connection: the server sends it again.
    pub(super) fn disconnected(&mut self) {
        self.answers.clear();
    }

    /// The session is being discarded: what is in it need not come any more.
    pub(super) fn renewing(&mut self, ledger: &mut Ledger) {
        ledger.waived(self.reader, &self.filter);
    }

    /// There is a new session, so there is no subscription and nothing is under way.
    pub(super) fn renewed(&mut self, ledger: &mut Ledger) {
        ledger.discarded(self.reader, &self.filter);
        self.stage = Stage::Off;
        self.held.clear();
    }

    /// Repeats a request that was not answered.
    pub(super) fn resume(&mut self, version: Version, ledger: &mut Ledger, output: &mut Vec<u8>) {
        match self.stage {
            Stage::Asked | Stage::Leaving => {
                self.is_repeated = true;
                self.request(version, ledger, output);
            }
            Stage::Off | Stage::On => {}
        }
    }

    /// Asks for the subscription or its end when that is wanted and nothing is under way.
    pub(super) fn ask(&mut self, version: Version, ledger: &mut Ledger, output: &mut Vec<u8>) {
        self.stage = match (self.stage, self.is_wanted) {
            (Stage::Off, true) => Stage::Asked,
            (Stage::On, false) => Stage::Leaving,
            _ => return,
        };
        self.is_repeated = false;
        self.request(version, ledger, output);
    }

    fn request(&mut self, version: Version, ledger: &mut Ledger, output: &mut Vec<u8>) {
        self.request_id = self.request_id.checked_add(1).unwrap_or(REQUEST_ID_FIRST);
        let Self { reader, filter, request_id: id, qos, .. } = self;
        if self.stage == Stage::Asked {
            ledger.subscribing(*reader, filter, *qos);
            output.extend(packet::subscribe(version, *id, filter, *qos));
        } else {
            ledger.unsubscribing(*reader, filter);
            output.extend(packet::unsubscribe(version, *id, filter));
        }
    }

    pub(super) fn subscribed(&mut self, id: u16, codes: &[u8], ledger: &mut Ledger) -> Result<(), Violation> {
        if self.stage != Stage::Asked || id != self.request_id || codes != [self.qos] {
            return Err(self.violation(&format!("SUBACK {id} {codes:02x?} answers no request")));
        }
        self.stage = Stage::On;
        ledger.subscribed(self.reader, &self.filter);
        Ok(())
    }

    pub(super) fn unsubscribed(
        &mut self,
        id: u16,
        codes: &[u8],
        ledger: &mut Ledger,
    ) -> Result<(), Violation> {
        if self.stage != Stage::Leaving || id != self.request_id {
            return Err(self.violation(&format!("UNSUBACK {id} {codes:02x?} answers no request")));
        }
        if codes == [NONE_EXISTED] && !self.is_repeated {
            return Err(self.violation("the server does not know the subscription it acknowledged"));
        }
        self.stage = Stage::Off;
        ledger.unsubscribed(self.reader, &self.filter);
        Ok(())
    }

    pub(super) fn published(&mut self, publish: Publish, ledger: &mut Ledger) -> Result<(), Violation> {
        let (id, qos) = (publish.id, publish.qos);
        match self.held.get(&id) {
            Some(held) if qos == 2 => self.is_the_same(*held, &publish)?,
            Some(_) => return Err(self.violation(&format!("id {id} is used again before its release"))),
            None => {
                let mark = ledger.receive(self.reader, &publish)?;
                if qos == 2 {
                    self.held.insert(id, mark);
                }
            }
        }
        self.answers.push((if qos == 2 { Step::Rec } else { Step::Ack }, id));
        Ok(())
    }

    /// A message under an id that is held is that message again: the application does not get it (MQTT-4.3.3-10).
    fn is_the_same(&self, held: Mark, publish: &Publish) -> Result<(), Violation> {
        let Publish { id, topic, payload, again, .. } = publish;
        if crate::durable_load::payload::read(payload, topic) != Some(held) {
            return Err(self.violation(&format!("id {id} of {held:?} stands for another message ({topic})")));
        }
        if !again {
            return Err(
                self.violation(&format!("id {id} of {held:?} comes again without DUP (MQTT-3.3.1-1)"))
            );
        }
        Ok(())
    }

    /// PUBREL. An id that is not known was released before, and the answer got lost.
    pub(super) fn released(&mut self, id: u16) {
        self.held.remove(&id);
        self.answers.push((Step::Comp, id));
    }

    /// Writes the answers once there are more than are held back, in the order of what they answer (MQTT-4.6.0-2).
    pub(super) fn answer(&mut self, all: bool, output: &mut Vec<u8>) {
        if all || self.answers.len() > self.lag {
            for (step, id) in self.answers.drain(..) {
                output.extend(packet::step(step, id));
            }
        }
    }

    pub(in crate::durable_load) fn is_settled(&self) -> bool {
        let is_stable = self.stage == if self.is_wanted { Stage::On } else { Stage::Off };
        is_stable && self.answers.is_empty() && self.held.is_empty()
    }

    fn violation(&self, text: &str) -> Violation {
        Violation::new(format!("{} ({}): {text}", self.name, self.filter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable_load::ledger::{Kind, Order, StreamId};

    struct Scene {
        ledger: Ledger,
        stream: StreamId,
        subscriber: Subscriber,
    }

    impl Scene {
        fn new() -> Self {
            let mut ledger = Ledger::default();
            let stream = ledger.add_stream("t".to_owned(), 2, Kind::Plain);
            let reader = ledger.add_reader("s", Order::Kept);
            let mut subscriber = Subscriber::new(reader, "s", "t", 2, 0);
            subscriber.ask(Version::V5, &mut ledger, &mut Vec::new());
            subscriber.subscribed(REQUEST_ID_FIRST + 1, &[2], &mut ledger).unwrap();
            ledger.send(stream);
            ledger.send(stream);
            Self { ledger, stream, subscriber }
        }

        fn published(&mut self, place: u64, id: u16, again: bool) -> Result<(), Violation> {
            let publish = Publish { id, again, ..self.ledger.message(self.stream, place) };
            self.subscriber.published(publish, &mut self.ledger)
        }

        fn answers(&mut self) -> Vec<u8> {
            let mut output = Vec::new();
            self.subscriber.answer(true, &mut output);
            output
        }
    }

    #[test]
    fn a_held_message_is_answered_and_not_taken_again() {
        let mut scene = Scene::new();
        scene.published(0, 1, false).unwrap();
        scene.subscriber.disconnected();
        scene.published(0, 1, true).unwrap();
        assert_eq!(scene.answers(), packet::step(Step::Rec, 1));
        assert_eq!(scene.ledger.figures.received, 1);
        scene.subscriber.released(1);
        assert_eq!(scene.answers(), packet::step(Step::Comp, 1));
        assert!(scene.subscriber.is_settled());
    }

    #[test]
    fn objects_to_a_message_under_another_id() {
        let mut scene = Scene::new();
        scene.published(0, 1, false).unwrap();
        assert!(scene.published(0, 2, true).is_err());
    }

    #[test]
    fn objects_to_another_message_under_a_held_id() {
        let mut scene = Scene::new();
        scene.published(0, 1, false).unwrap();
        assert!(scene.published(1, 1, true).is_err());
    }

    #[test]
    fn objects_to_a_release_that_is_forgotten() {
        let mut scene = Scene::new();
        scene.published(0, 1, false).unwrap();
        scene.subscriber.released(1);
        assert!(scene.published(0, 1, true).is_err());
    }

    #[test]
    fn objects_to_a_subscription_that_is_forgotten() {
        let mut scene = Scene::new();
        scene.subscriber.is_wanted = false;
        scene.subscriber.ask(Version::V5, &mut scene.ledger, &mut Vec::new());
        let mut unsubscribed =
            |codes: &[u8]| scene.subscriber.unsubscribed(REQUEST_ID_FIRST + 2, codes, &mut scene.ledger);
        assert!(unsubscribed(&[NONE_EXISTED]).is_err());
        unsubscribed(&[0]).unwrap();
    }
}
