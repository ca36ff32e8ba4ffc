//! Fuzz targets for what arrives on the gossip port: datagrams before and after they are opened.
//!
//! They run as ordinary tests over random input for a moment, longer with `cargo xtask fuzz`; with `cargo bolero test` a
//! coverage-guided engine drives the same targets.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bolero::check;
use skein_cluster::{GossipAction, GossipSettings, Membership, NodeInfo, Seal, Secret};
use skein_types::{Incarnation, Moment, NodeId};

/// How long one target runs on random input in an ordinary test run.
const TEST_TIME: Duration = Duration::from_millis(500);

fn node(id: u16) -> NodeInfo {
    NodeInfo {
        id: NodeId(id),
        incarnation: Incarnation(1),
        name: Arc::from("n"),
        advertise: SocketAddr::from(([127, 0, 0, 1], id)),
        qrank: 1,
        server_reference: None,
    }
}

#[test]
fn datagrams() {
    let secret = Secret("secret".to_owned());
    check!().with_test_time(TEST_TIME).for_each(|input: &[u8]| {
        let mut seal = Seal::new(&secret, &node(1), [1; 8]);
        assert!(seal.open(input).is_err(), "nobody guesses the secret");
        // With a head that is right, so that the rest is looked at.
        let mut datagram = Seal::new(&secret, &node(2), [2; 8]).seal(b"");
        datagram.extend_from_slice(input);
        assert_eq!(seal.open(&datagram).is_ok(), input.is_empty());
    });
}

/// A peer that knows the secret may say anything: each message of the input, then time passes.
#[test]
fn messages() {
    check!().with_test_time(TEST_TIME).for_each(|input: &[u8]| {
        let mut membership = Membership::new(node(1), GossipSettings::default(), 1);
        let (mut out, mut now) = (Vec::new(), Moment::ZERO);
        membership.meet(&node(2), now, &mut out);
        let mut rest = input;
        while let Some((length, more)) = rest.split_first() {
            let (part, after) = more.split_at(more.len().min(usize::from(*length)));
            rest = after;
            // Addressed rightly and from a node, so that more than the address is looked at.
            let mut message = vec![1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0];
            message.extend_from_slice(part);
            let _refused = membership.datagram(&message, now, &mut out);
            let _refused = membership.datagram(part, now, &mut out);
            now = now.after(Duration::from_millis(150));
            membership.tick(now, &mut out);
        }
        for action in &out {
            if let GossipAction::Send { bytes, .. } = action {
                assert!(bytes.len() <= skein_cluster::DATAGRAM_BYTES_MAX);
            }
        }
        assert!(membership.members().all(|member| member.id != NodeId(1)));
    });
}
