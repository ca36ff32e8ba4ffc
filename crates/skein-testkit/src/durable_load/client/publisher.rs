//! The publishing half of a client: a window of messages under way, and their way to the last answer.

use std::collections::VecDeque;

use crate::durable_load::ledger::{Ledger, StreamId};
use crate::durable_load::packet::{self, Publish, Step, Version};
use crate::durable_load::random::Random;

/// "No matching subscribers": taken all the same.
const NOBODY: u8 = 0x10;
/// "Packet identifier not found": the answer to a release that was heard before.
const NOT_FOUND: u8 = 0x92;

#[derive(Debug)]
pub(in crate::durable_load) struct Publisher {
    streams: Vec<StreamId>,
    /// Oldest first.
    window: VecDeque<Outgoing>,
    window_max: usize,
    /// Ids go round soon, so that an id is used again while traces of its last use may be left.
    id_max: u16,
    last_id: u16,
}

#[derive(Debug)]
struct Outgoing {
    id: u16,
    qos: u8,
    stream: StreamId,
    place: u64,
    /// PUBREC was seen.
    is_received: bool,
    releases_sent: u32,
}

impl Publisher {
    pub(in crate::durable_load) fn new(streams: Vec<StreamId>, window_max: usize, id_max: u16) -> Self {
        assert!(usize::from(id_max) > window_max, "there must be a free id");
        Self { streams, window: VecDeque::new(), window_max, id_max, last_id: 0 }
    }

    /// Sends new messages until the window is full.
    pub(super) fn fill(
        &mut self,
        version: Version,
        random: &mut Random,
        ledger: &mut Ledger,
        output: &mut Vec<u8>,
    ) {
        while self.window.len() < self.window_max {
            let stream = *random.choose(&self.streams);
            let place = ledger.send(stream);
            let id = self.free_id();
            let message = Publish { id, ..ledger.message(stream, place) };
            output.extend(packet::publish(version, &message));
            let (qos, is_received, releases_sent) = (message.qos, false, 0);
            self.window.push_back(Outgoing { id, qos, stream, place, is_received, releases_sent });
        }
    }

    fn free_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id % self.id_max + 1;
            if self.window.iter().all(|outgoing| outgoing.id != self.last_id) {
                return self.last_id;
            }
        }
    }

    /// Sends again, in order, what was not answered (MQTT-4.4.0-1, 4.6.0-1).
    pub(super) fn resume(&mut self, version: Version, ledger: &mut Ledger, output: &mut Vec<u8>) {
        for outgoing in &mut self.window {
            let Outgoing { id, stream, place, is_received, releases_sent, .. } = outgoing;
            if *is_received {
                *releases_sent += 1;
                output.extend(packet::step(Step::Rel, *id));
            } else {
                ledger.send_again(*stream, *place);
                let message = Publish { id: *id, again: true, ..ledger.message(*stream, *place) };
                output.extend(packet::publish(version, &message));
            }
        }
    }

    pub(super) fn answered(
        &mut self,
        step: Step,
        id: u16,
        code: u8,
        ledger: &mut Ledger,
        output: &mut Vec<u8>,
    ) -> Result<(), String> {
        let unexpected = || format!("{step:?} for {id} with code {code:#04x} is no answer to what was sent");
        let at = self.window.iter().position(|outgoing| outgoing.id == id).ok_or_else(unexpected)?;
        let is_oldest = !self.window.range(..at).any(|earlier| is_due(earlier, self.window[at].qos, step));
        let outgoing = &mut self.window[at];
        let is_accepted =
            code == 0 || step != Step::Comp && code == NOBODY || step == Step::Comp && code == NOT_FOUND;
        if !is_due(outgoing, outgoing.qos, step) || !is_accepted {
            return Err(unexpected());
        }
        // Only the first answer to a PUBLISH has a place in the order (MQTT-4.6.0-2, 4.6.0-3).
        if !is_oldest && step != Step::Comp {
            return Err(format!("{step:?} for {id} came before that of an earlier message (MQTT-4.6.0-2)"));
        }
        match step {
            Step::Rec => {
                outgoing.is_received = true;
                outgoing.releases_sent += 1;
                ledger.acknowledged(outgoing.stream, outgoing.place);
                output.extend(packet::step(Step::Rel, id));
                return Ok(());
            }
            Step::Comp if code == NOT_FOUND && outgoing.releases_sent == 1 => {
                return Err(format!("the server forgot the QoS 2 message {id} between PUBREC and PUBREL"));
            }
            Step::Comp => {}
            Step::Ack | Step::Rel => ledger.acknowledged(outgoing.stream, outgoing.place),
        }
        self.window.remove(at);
        Ok(())
    }

    pub(in crate::durable_load) fn is_settled(&self) -> bool {
        self.window.is_empty()
    }
}

/// Whether the next answer to a message of this QoS is `step`.
fn is_due(outgoing: &Outgoing, qos: u8, step: Step) -> bool {
    let due = match (outgoing.qos, outgoing.is_received) {
        (1, _) => Step::Ack,
        (_, false) => Step::Rec,
        (_, true) => Step::Comp,
    };
    outgoing.qos == qos && due == step
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable_load::ledger::Kind;

    struct Scene {
        ledger: Ledger,
        publisher: Publisher,
    }

    impl Scene {
        fn new(qos: u8) -> Self {
            let mut ledger = Ledger::default();
            let stream = ledger.add_stream("t".to_owned(), qos, Kind::Plain);
            let mut publisher = Publisher::new(vec![stream], 3, 4);
            publisher.fill(Version::V5, &mut Random::new(1), &mut ledger, &mut Vec::new());
            Self { ledger, publisher }
        }

        fn answered(&mut self, step: Step, id: u16, code: u8) -> Result<Vec<u8>, String> {
            let mut output = Vec::new();
            self.publisher.answered(step, id, code, &mut self.ledger, &mut output).map(|()| output)
        }

        fn resume(&mut self) -> Vec<(u8, u16)> {
            let mut output = Vec::new();
            self.publisher.resume(Version::V5, &mut self.ledger, &mut output);
            let mut sent = Vec::new();
            while let Some(packet) = packet::take(&mut output, Version::V5).unwrap() {
                sent.push(match packet {
                    packet::Packet::Publish(publish) => (u8::from(publish.again), publish.id),
                    packet::Packet::Step { step, id, .. } => (step as u8, id),
                    other => panic!("{other:?}"),
                });
            }
            sent
        }
    }

    #[test]
    fn sends_again_what_was_not_answered_and_in_order() {
        let mut scene = Scene::new(2);
        assert_eq!(scene.answered(Step::Rec, 1, 0).unwrap(), packet::step(Step::Rel, 1));
        assert_eq!(scene.resume(), [(6, 1), (1, 2), (1, 3)]);
        // The release was sent twice, so the server may have forgotten the id after the first.
        scene.answered(Step::Comp, 1, NOT_FOUND).unwrap();
        assert_eq!(scene.resume(), [(1, 2), (1, 3)]);
        let mut output = Vec::new();
        scene.publisher.fill(Version::V5, &mut Random::new(1), &mut scene.ledger, &mut output);
        assert_eq!(scene.publisher.window[2].id, 4);
    }

    #[test]
    fn objects_to_a_forgotten_message() {
        let mut scene = Scene::new(2);
        scene.answered(Step::Rec, 1, 0).unwrap();
        assert!(scene.answered(Step::Comp, 1, NOT_FOUND).unwrap_err().contains("forgot"));
    }

    #[test]
    fn objects_to_answers_nobody_asked_for() {
        let mut scene = Scene::new(1);
        assert!(scene.answered(Step::Rec, 1, 0).is_err());
        assert!(scene.answered(Step::Ack, 9, 0).is_err());
        assert!(scene.answered(Step::Ack, 1, 0x97).is_err());
        assert!(scene.answered(Step::Ack, 2, 0).unwrap_err().contains("4.6.0-2"));
        scene.answered(Step::Ack, 1, 0).unwrap();
        assert!(scene.answered(Step::Ack, 1, 0).is_err());
    }
}
