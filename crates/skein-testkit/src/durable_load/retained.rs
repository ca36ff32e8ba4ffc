//! What a new subscriber gets of the retained messages, asked by a client that exists only for the question.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use std::io::Write;

use super::Violation;
use super::packet::{self, Connect, Packet, Publish, Step, Version};

const DEADLINE: Duration = Duration::from_secs(10);

/// The retained messages of `filter` by topic. It waits for those of the topics in `wanted`, and for all that the
/// server says before it answers a PINGREQ which follows the SUBSCRIBE.
pub(super) fn ask(
    address: SocketAddr,
    filter: &str,
    mut wanted: HashSet<String>,
) -> Result<HashMap<String, Publish>, Violation> {
    let failed = |what: &str| Violation::new(format!("retained {filter}: {what}"));
    let version = Version::V5;
    let mut stream =
        TcpStream::connect_timeout(&address, DEADLINE).map_err(|error| failed(&error.to_string()))?;
    let connect = Connect {
        version,
        client_id: "newcomer",
        clean: true,
        expiry_secs: 0,
        receive_maximum: None,
        will: None,
    };
    let mut output = packet::connect(&connect);
    output.extend(packet::subscribe(version, 1, filter, 1));
    output.extend(packet::ping());
    let (mut got, mut is_answered) = (HashMap::new(), false);
    let (mut unread, mut chunk, start) = (Vec::new(), vec![0; 64 * 1024], Instant::now());
    while !is_answered || !wanted.is_empty() {
        stream.write_all(&output).map_err(|error| failed(&error.to_string()))?;
        output.clear();
        let left = DEADLINE.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(failed(&format!("nothing came in {DEADLINE:?} for {wanted:?}")));
        }
        stream.set_read_timeout(Some(left)).expect("the time is not zero");
        let count = match stream.read(&mut chunk) {
            Ok(0) => return Err(failed("the server closed the connection")),
            Ok(count) => count,
            // The loop's own check reports a passed deadline.
            Err(_) => continue,
        };
        unread.extend(chunk.iter().take(count));
        while let Some(packet) = packet::take(&mut unread, version).map_err(|fault| failed(&fault))? {
            match packet {
                Packet::PingResp => is_answered = true,
                Packet::Publish(publish) => {
                    output.extend(packet::step(Step::Ack, publish.id));
                    wanted.remove(&publish.topic);
                    // What is published meanwhile comes too, without the flag.
                    if publish.retain {
                        got.insert(publish.topic.clone(), publish);
                    }
                }
                Packet::ConnAck { code: 0, .. } | Packet::SubAck { .. } => {}
                other => return Err(failed(&format!("unexpected {other:?}"))),
            }
        }
    }
    Ok(got)
}
