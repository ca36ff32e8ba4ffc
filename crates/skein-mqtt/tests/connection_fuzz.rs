//! The connection's state machine against everything a client can send after a valid CONNECT: it never panics, what
//! it sends is always well-formed, and when all is over the ledger adds up.
//!
//! As in `codec_fuzz.rs`, the fuzz target runs as an ordinary test over its corpus and for a while over random input.
//! The property tests beside it send valid packets, whole, cut and changed.

#[path = "codec_properties/generate.rs"]
#[expect(dead_code, reason = "only packets of clients are needed here")]
mod generate;
#[path = "connection_fuzz/pair.rs"]
mod pair;

use std::time::Duration;

use bolero::check;
use proptest::{collection::vec, prelude::*};
use skein_mqtt::codec::{Packet, Side, Version};

use skein_plane::Durability;

use self::pair::{Pair, connect_of};

/// How long the target runs on random input in an ordinary test run.
const TEST_TIME: Duration = Duration::from_millis(1000);

fn run(script: &[u8]) {
    let [first, second, script @ ..] = script else { return };
    for durability in [Durability::Memory, Durability::Disk] {
        let mut pair = Pair::new([*first, *second], durability);
        pair.follow(script);
        pair.finish();
    }
}

#[test]
fn connections() {
    check!().with_test_time(TEST_TIME).for_each(run);
}

/// Part of a script: packets of one client in its version, in chunks of any size.
#[derive(Clone, Debug)]
struct Burst {
    number: usize,
    packets: Vec<(Packet, Packet, Packet)>,
    /// Where a byte is changed, and to what.
    damage: Option<(prop::sample::Index, u8)>,
    chunk_bytes: u8,
    /// A step that sends nothing.
    then: Option<(u8, u8)>,
}

fn any_burst() -> impl Strategy<Value = Burst> {
    let packet = |version| {
        let packet = generate::packet(version, Side::Client);
        // A client says good-bye once; mostly it does something else.
        (packet, 0_u8..10).prop_map(|(packet, chance)| match packet {
            Packet::Disconnect(_) | Packet::Connect(_) | Packet::Auth(_) if chance > 0 => Packet::PingReq,
            other => other,
        })
    };
    (
        0_usize..2,
        vec((packet(Version::V31), packet(Version::V311), packet(Version::V5)), 1..5),
        prop::option::weighted(0.15, (any::<prop::sample::Index>(), any::<u8>())),
        1_u8..,
        prop::option::of((6_u8..16, any::<u8>())),
    )
        .prop_map(|(number, packets, damage, chunk_bytes, then)| Burst {
            number,
            packets,
            damage,
            chunk_bytes,
            then,
        })
}

proptest! {
    #[test]
    fn valid_packets_whole_cut_and_changed(
        choices in any::<[u8; 2]>(),
        kept in any::<bool>(),
        bursts in vec(any_burst(), 1..12),
    ) {
        let durability = if kept { Durability::Disk } else { Durability::Memory };
        let versions = [0, 1].map(|number| connect_of(choices[number], number).version);
        let mut pair = Pair::new(choices, durability);
        for Burst { number, packets, damage, chunk_bytes, then } in bursts {
            let mut bytes = Vec::new();
            for (old, middle, new) in packets {
                match versions[number] {
                    Version::V31 => old.encode(Version::V31, &mut bytes),
                    Version::V311 => middle.encode(Version::V311, &mut bytes),
                    Version::V5 => new.encode(Version::V5, &mut bytes),
                }
            }
            if let Some((index, byte)) = damage {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            for chunk in bytes.chunks(usize::from(chunk_bytes)) {
                pair.feed(number, chunk);
            }
            if let Some((step, argument)) = then {
                pair.follow(&[step, argument]);
            }
        }
        pair.finish();
    }
}
