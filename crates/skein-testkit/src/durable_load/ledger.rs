//! What publishers sent, what the server acknowledged, what subscribers were told and got, and what follows from it.
//!
//! Messages belong to streams: one publisher, one topic, one QoS, numbered by their places. Subscribers are readers of
//! streams; the members of a shared group are one reader together. The checks:
//!
//! - what was sent while a subscription was acknowledged comes, in the order in which it was sent (first receptions;
//!   so a gap is seen with the next message, and the tail by [`Ledger::missing`] once the load is drained);
//! - a message of QoS 2 comes once; one of QoS 1 comes again only when the server says so by DUP or its publisher
//!   sent it again;
//! - what was sent after an UNSUBACK, or settled before a SUBSCRIBE, does not come;
//! - nothing comes that was not sent, or not as it was sent;
//! - a topic's retained message is the last acknowledged one or a newer one.
//!
//! Clients report in the order in which the one thread that drives them sees things, which makes "before" mean
//! something. The ledger never talks to a server.

mod reading;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use super::Violation;
use super::packet::Publish;
use super::payload::{self, Mark};
use reading::Reading;

/// Every so many retained messages of a topic one deletes it.
const DELETION_EVERY: u64 = 5;
/// Every so many messages one is larger than a socket buffer's first read.
const LARGE_EVERY: u64 = 61;
const LARGE_BYTES: usize = 9_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StreamId(u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ReaderId(usize);

/// What is special about a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Retained,
    /// Wills of one client, most of which are never published.
    Will,
    /// Wills with a delay that never passes.
    WillNever,
}

/// Whether a reader gets a stream in the order in which it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Kept,
    /// Several clients share the stream.
    Shared,
}

/// What happened in a run, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Messages sent, resends not counted.
    pub published: u64,
    /// Messages sent again because the server died before it acknowledged them.
    pub published_again: u64,
    /// Messages acknowledged: a PUBACK or a PUBREC was seen.
    pub acknowledged: u64,
    /// Messages received, every subscriber counted, repetitions not.
    pub received: u64,
    /// Messages of QoS 1 received again.
    pub repeated: u64,
    /// Wills received.
    pub wills: u64,
    /// SUBACKs and UNSUBACKs seen.
    pub subscription_changes: u64,
    /// CONNACKs that said "session present" to a client that had been promised it.
    pub resumed: u64,
    /// Sessions that were replaced by new ones.
    pub renewed: u64,
    /// Retained topics compared with what had been acknowledged.
    pub retained_checked: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    streams: Vec<Stream>,
    readers: Vec<Reader>,
    pub(crate) figures: Figures,
}

#[derive(Debug)]
struct Stream {
    topic: String,
    qos: u8,
    kind: Kind,
    messages: Vec<Sent>,
    /// The first place that is not acknowledged.
    acknowledged_to: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    acknowledged: bool,
    /// Its publisher sent it more than once.
    again: bool,
}

#[derive(Debug)]
struct Reader {
    name: String,
    order: Order,
    readings: BTreeMap<StreamId, Reading>,
}

impl Ledger {
    pub(crate) fn add_stream(&mut self, topic: String, qos: u8, kind: Kind) -> StreamId {
        let id = StreamId(u32::try_from(self.streams.len()).expect("a load has a few hundred streams"));
        self.streams.push(Stream { topic, qos, kind, messages: Vec::new(), acknowledged_to: 0 });
        id
    }

    pub(crate) fn add_reader(&mut self, name: &str, order: Order) -> ReaderId {
        self.readers.push(Reader { name: name.to_owned(), order, readings: BTreeMap::new() });
        ReaderId(self.readers.len() - 1)
    }

    /// A new message of the stream is about to be sent; its place.
    pub(crate) fn send(&mut self, stream: StreamId) -> u64 {
        let stream = &mut self.streams[stream.0 as usize];
        stream.messages.push(Sent::default());
        if matches!(stream.kind, Kind::Plain | Kind::Retained) {
            self.figures.published += 1;
        }
        stream.len() - 1
    }

    pub(crate) fn send_again(&mut self, stream: StreamId, place: u64) {
        self.figures.published_again += 1;
        self.streams[stream.0 as usize].sent(place).again = true;
    }

    pub(crate) fn acknowledged(&mut self, stream: StreamId, place: u64) {
        let stream = &mut self.streams[stream.0 as usize];
        stream.sent(place).acknowledged = true;
        while stream.get(stream.acknowledged_to).is_some_and(|sent| sent.acknowledged) {
            stream.acknowledged_to += 1;
        }
        if stream.kind == Kind::Plain || stream.kind == Kind::Retained {
            self.figures.acknowledged += 1;
        }
    }

    /// The message as it is sent, the same every time.
    pub(crate) fn message(&self, id: StreamId, place: u64) -> Publish {
        let Stream { topic, qos, kind, .. } = &self.streams[id.0 as usize];
        let filling = match place % LARGE_EVERY {
            LARGE_EVERY_LAST => LARGE_BYTES,
            small => small as usize * 3,
        };
        let payload = match kind {
            Kind::Retained if is_deletion(place) => Vec::new(),
            _ => payload::write(Mark { stream: id.0, place }, topic, filling),
        };
        let retain = *kind == Kind::Retained;
        Publish { topic: topic.clone(), qos: *qos, retain, again: false, id: 0, payload }
    }

    pub(crate) fn subscribing(&mut self, reader: ReaderId, filter: &str, qos: u8) {
        let readings = &mut self.readers[reader.0].readings;
        for (id, stream) in matching(&self.streams, filter) {
            readings.entry(id).or_insert_with(|| Reading::new(qos)).subscribing(stream.acknowledged_to);
        }
    }

    pub(crate) fn subscribed(&mut self, reader: ReaderId, filter: &str) {
        self.figures.subscription_changes += 1;
        self.each_reading(reader, filter, |reading, stream| reading.subscribed(stream.len()));
    }

    pub(crate) fn unsubscribing(&mut self, reader: ReaderId, filter: &str) {
        self.each_reading(reader, filter, |reading, stream| reading.unsubscribing(stream.acknowledged_to));
    }

    pub(crate) fn unsubscribed(&mut self, reader: ReaderId, filter: &str) {
        self.figures.subscription_changes += 1;
        self.each_reading(reader, filter, |reading, stream| reading.unsubscribed(stream.len()));
    }

    /// Nothing that did not come until now is due to the reader: it asked to discard its session.
    pub(crate) fn waived(&mut self, reader: ReaderId, filter: &str) {
        self.each_reading(reader, filter, |reading, _| reading.waived());
    }

    /// The session was discarded: nothing of it may come.
    pub(crate) fn discarded(&mut self, reader: ReaderId, filter: &str) {
        self.figures.renewed += 1;
        self.each_reading(reader, filter, |reading, _| reading.discarded());
    }

    fn each_reading(&mut self, reader: ReaderId, filter: &str, change: impl Fn(&mut Reading, &Stream)) {
        let readings = &mut self.readers[reader.0].readings;
        for (id, stream) in matching(&self.streams, filter) {
            if let Some(reading) = readings.get_mut(&id) {
                change(reading, stream);
            }
        }
    }

    /// A message reached the application behind `reader`.
    pub(crate) fn receive(&mut self, reader: ReaderId, publish: &Publish) -> Result<Mark, Violation> {
        let Reader { name, order, readings } = &mut self.readers[reader.0];
        let Publish { topic, qos, retain, again, payload, .. } = publish;
        let mark = payload::read(payload, topic)
            .ok_or_else(|| Violation::new(format!("{name} got under {topic} a message that nobody sent")))?;
        let place = mark.place;
        let wrong = |text: &str| Violation::new(format!("{name}: {topic} #{place} {text}"));
        let id = StreamId(mark.stream);
        let stream = self.streams.get(id.0 as usize).filter(|stream| stream.topic == *topic);
        let stream = stream.ok_or_else(|| wrong("is of no stream"))?;
        let sent = stream.get(place).ok_or_else(|| wrong("was not sent yet"))?;
        if stream.kind == Kind::WillNever {
            return Err(wrong("is a will whose delay has not passed"));
        }
        let reading = readings.get_mut(&id).ok_or_else(|| wrong("came without a subscription"))?;
        if *retain {
            return Err(wrong("came as a retained message"));
        }
        if *qos != stream.qos.min(reading.granted) {
            return Err(wrong(&format!(
                "came with QoS {qos}, sent {}, granted {}",
                stream.qos, reading.granted
            )));
        }
        if !reading.is_possible(place) {
            return Err(wrong("came though it was sent after UNSUBACK or settled before SUBSCRIBE"));
        }
        let is_first = reading.note(place);
        match (is_first, *order) {
            (true, Order::Shared) => {}
            (true, Order::Kept) => reading.arrived_in_order(place, stream).map_err(|text| wrong(&text))?,
            (false, _) if *qos == 2 => return Err(wrong("of QoS 2 came a second time")),
            (false, Order::Kept) if !*again && !sent.again => {
                return Err(wrong("came again without DUP, and its publisher sent it once"));
            }
            (false, _) => self.figures.repeated += 1,
        }
        if is_first {
            let is_will = stream.kind == Kind::Will;
            *if is_will { &mut self.figures.wills } else { &mut self.figures.received } += 1;
        }
        Ok(mark)
    }

    /// Whether some reader has this message.
    pub(crate) fn is_received(&self, stream: StreamId, place: u64) -> bool {
        let readings = self.readers.iter().filter_map(|reader| reader.readings.get(&stream));
        readings.into_iter().any(|reading| reading.has(place))
    }

    /// Whether some reader was told that it gets what the stream sends from now on.
    pub(crate) fn is_watched(&self, stream: StreamId) -> bool {
        let next = self.streams[stream.0 as usize].len();
        let readings = self.readers.iter().filter_map(|reader| reader.readings.get(&stream));
        readings.into_iter().any(|reading| reading.requires(next))
    }

    /// The first few messages that were acknowledged and are due to a reader that does not have them.
    pub(crate) fn missing(&mut self) -> Vec<String> {
        const SHOWN_MAX: usize = 8;
        let mut missing = Vec::new();
        for Reader { name, readings, .. } in &mut self.readers {
            for (id, reading) in readings {
                let stream = &self.streams[id.0 as usize];
                missing.extend(
                    reading.missing(stream).map(|place| format!("{name}: {} #{place}", stream.topic)),
                );
                if missing.len() >= SHOWN_MAX {
                    missing.truncate(SHOWN_MAX);
                    return missing;
                }
            }
        }
        missing
    }

    /// The retained topics and whether the server must have a message for each, must not, or may.
    pub(crate) fn retained_topics(&self) -> HashMap<String, bool> {
        let retained = self.streams.iter().filter(|stream| stream.kind == Kind::Retained);
        retained.map(|stream| (stream.topic.clone(), !stream.may_be_absent())).collect()
    }

    /// Compares what a new subscriber got with what had been acknowledged.
    pub(crate) fn check_retained(&mut self, got: &HashMap<String, Publish>) -> Result<(), Violation> {
        for stream in self.streams.iter().filter(|stream| stream.kind == Kind::Retained) {
            self.figures.retained_checked += 1;
            let topic = &stream.topic;
            let wrong = |text: &str| {
                let (first, end) = (stream.last_acknowledged(), stream.len());
                Violation::new(format!(
                    "retained {topic}: {text}; it may be from #{first:?} to before #{end}"
                ))
            };
            let Some(publish) = got.get(topic) else {
                if stream.may_be_absent() {
                    continue;
                }
                return Err(wrong("there is none"));
            };
            let mark = payload::read(&publish.payload, topic);
            let place = mark.map(|mark| mark.place).ok_or_else(|| wrong("nobody sent this"))?;
            if place >= stream.len() {
                return Err(wrong(&format!("#{place} was not sent yet")));
            }
            if stream.last_acknowledged().is_some_and(|last| place < last) {
                return Err(wrong(&format!("it is #{place}, an older one")));
            }
        }
        Ok(())
    }
}

const LARGE_EVERY_LAST: u64 = LARGE_EVERY - 1;

impl Stream {
    fn len(&self) -> u64 {
        self.messages.len() as u64
    }

    fn get(&self, place: u64) -> Option<Sent> {
        self.messages.get(usize::try_from(place).ok()?).copied()
    }

    fn sent(&mut self, place: u64) -> &mut Sent {
        let place = usize::try_from(place).expect("it was an index when the message was sent");
        &mut self.messages[place]
    }

    /// Acknowledgements come in the order of the messages, so this is one before the first without.
    fn last_acknowledged(&self) -> Option<u64> {
        self.acknowledged_to.checked_sub(1)
    }

    /// Whether a topic may have no retained message: nothing was acknowledged, or one that counts may be a deletion.
    fn may_be_absent(&self) -> bool {
        self.last_acknowledged().is_none_or(|last| (last..self.len()).any(is_deletion))
    }
}

fn is_deletion(place: u64) -> bool {
    place % DELETION_EVERY == DELETION_EVERY - 1
}

fn matching<'a>(streams: &'a [Stream], filter: &str) -> impl Iterator<Item = (StreamId, &'a Stream)> {
    // A filter shared by a group matches what the filter after its name does.
    let filter =
        filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/')).map_or(filter, |(_, rest)| rest);
    let filter = filter.to_owned();
    (0..).map(StreamId).zip(streams).filter(move |(_, stream)| is_match(&filter, &stream.topic))
}

fn is_match(filter: &str, topic: &str) -> bool {
    let mut topic = topic.split('/');
    for level in filter.split('/') {
        match (level, topic.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(name)) if level == name => {}
            _ => return false,
        }
    }
    topic.next().is_none()
}
