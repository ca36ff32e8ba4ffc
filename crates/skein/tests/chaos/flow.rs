//! Counted messages of QoS 1 from a client of one node to a client of another: each must arrive once and in order.

use std::time::{Duration, Instant};

use skein_testkit::{Cluster, RawClient};

pub(crate) struct Flow {
    publisher: RawClient,
    subscriber: RawClient,
    topic: String,
    next: u32,
}

impl Flow {
    /// Two new clients; the topic is theirs alone.
    pub(crate) fn between(cluster: &Cluster, from: u16, to: u16) -> Self {
        let topic = format!("flow/{from}/{to}");
        let open = |id: u16, role: &str| {
            let node = cluster.node(id);
            node.inside(|| RawClient::open_v4(node.mqtt, &format!("{role}-{from}-{to}")))
        };
        let mut subscriber = open(to, "sub");
        subscriber.send(&format!(r#"82 [ 0001 "{topic}" 01 ]"#));
        subscriber.expect("90 [ 0001 01 ]");
        Self { publisher: open(from, "pub"), subscriber, topic, next: 0 }
    }

    /// Publishes `count` messages one by one, each of which must be acknowledged and arrive before the next one is sent;
    /// returns the longest time one took.
    pub(crate) fn pass(&mut self, count: u32) -> Duration {
        let mut longest = Duration::ZERO;
        for _ in 0..count {
            let (number, begun) = (self.next, Instant::now());
            self.next += 1;
            self.publisher.send(&format!(r#"32 [ "{}" 0001 '{number}' ]"#, self.topic));
            self.publisher.expect("40 02 0001");
            let payload = take(&mut self.subscriber).payload;
            assert_eq!(payload, number.to_string(), "the next message on {}", self.topic);
            longest = longest.max(begun.elapsed());
        }
        longest
    }
}

/// A message of QoS 1 as it came.
pub(crate) struct Taken {
    pub(crate) topic: String,
    pub(crate) payload: String,
}

/// Takes the next packet, which must be a message of QoS 1 of an MQTT 3.1.1 client, and acknowledges it.
pub(crate) fn take(client: &mut RawClient) -> Taken {
    let (first, body) = client.read_packet();
    let taken = read(first, &body, 0);
    let id = &body[2 + taken.topic.len()..][..2];
    client.send_bytes(&[0x40, 2, id[0], id[1]]);
    taken
}

/// Reads a message of QoS 1; `properties` bytes stand before its payload.
pub(crate) fn read(first: u8, body: &[u8], properties: usize) -> Taken {
    assert_eq!(first & 0xf6, 0x32, "a message of QoS 1, not {first:02x} {body:02x?}");
    let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
    let (topic, rest) = body[2..].split_at(length);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Taken { topic: text(topic), payload: text(&rest[2 + properties..]) }
}
