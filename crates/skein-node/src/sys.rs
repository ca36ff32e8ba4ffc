//! The `$SYS/broker/…` topics: the node's figures as retained messages, for tools that know them from other servers.

use std::{fs, sync::atomic::Ordering::Relaxed};

use bytes::Bytes;
use skein_door::Clock;
use skein_plane::{Batch, Plane, Published, Publisher, Session};
use skein_types::{Message, QoS, SessionKey, Topic};

/// Publishes the figures, each under its topic; called every `mqtt.sys_interval`.
#[derive(Debug)]
pub(crate) struct SysTopics {
    publisher: Publisher,
    clock: Clock,
    version: &'static str,
}

impl SysTopics {
    pub(crate) fn new(clock: Clock, version: &'static str) -> Self {
        Self { publisher: Publisher::new(SessionKey::default(), None), clock, version }
    }

    /// Publishes every figure once.
    pub(crate) fn publish(&mut self, plane: &Plane, batch: &mut Batch) {
        let now = self.clock.now();
        for (name, value) in self.figures(plane) {
            let Ok(topic) = Topic::try_from(format!("$SYS/broker/{name}").as_str()) else { continue };
            let mut message = Message::new(topic, Bytes::from(value), QoS::AtMostOnce);
            message.retain = true;
            match plane.publish(&mut self.publisher, batch, message, now) {
                Published::Matched | Published::Unmatched => {}
                Published::Denied | Published::Refused => {
                    debug_assert!(false, "the node itself may publish its figures");
                }
            }
        }
        plane.finish_unattended(batch, now);
    }

    fn figures(&self, plane: &Plane) -> Vec<(&'static str, String)> {
        let sessions = plane.sessions();
        let traffic = plane.traffic();
        let ledger = plane.ledger().figures();
        let connected = sessions.connected();
        let total = sessions.len();
        let in_flight: usize = sessions.all().iter().map(|session| Session::in_flight(session)).sum();
        let uptime = self.clock.now().as_millis() / 1000;
        vec![
            ("version", format!("skein {}", self.version)),
            ("time", unix_time().to_string()),
            ("started", unix_time().saturating_sub(uptime).to_string()),
            ("uptime", uptime.to_string()),
            ("load/bytes/received", traffic.received_bytes.load(Relaxed).to_string()),
            ("load/bytes/sent", traffic.sent_bytes.load(Relaxed).to_string()),
            ("clients/connected", connected.to_string()),
            ("clients/disconnected", total.saturating_sub(connected).to_string()),
            ("clients/maximum", sessions.connected_max().to_string()),
            ("clients/total", total.to_string()),
            ("packets/received", traffic.received_packets.load(Relaxed).to_string()),
            ("packets/sent", traffic.sent_packets.load(Relaxed).to_string()),
            ("messages/received", ledger.accepted.to_string()),
            ("messages/sent", ledger.delivered.to_string()),
            ("messages/dropped", ledger.dropped_total().to_string()),
            ("messages/inflight", in_flight.to_string()),
            ("retained", plane.retained().len().to_string()),
            ("subscriptions", plane.matcher().subscriptions().to_string()),
            ("system/memory", memory_bytes().to_string()),
            ("system/threads", thread_count().to_string()),
        ]
    }
}

fn unix_time() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}

/// Memory of this process in bytes; 0 where the system does not tell.
fn memory_bytes() -> u64 {
    status_number("VmRSS:").saturating_mul(1024)
}

fn thread_count() -> u64 {
    status_number("Threads:")
}

fn status_number(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
