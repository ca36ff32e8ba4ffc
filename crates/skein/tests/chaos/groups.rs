//! Shared groups with members on all nodes.

use std::collections::BTreeSet;

use skein_testkit::RawClient;

use crate::{
    flow::{read, take},
    start,
};

const FAIR: u32 = 300;
const UNACKNOWLEDGED: u32 = 60;

#[test]
fn members_take_turns_and_what_a_lost_one_has_not_acknowledged_goes_to_others() {
    let mut cluster = start(3);
    let mut members: Vec<_> = [1, 2, 3]
        .map(|id| {
            let mut client = RawClient::open_v4(cluster.node(id).mqtt, &format!("member-{id}"));
            client.send(r#"82 [ 0001 "$share/g/jobs" 01 ]"#);
            client.expect("90 [ 0001 01 ]");
            client
        })
        .into();
    let mut publisher = RawClient::open_v4(cluster.node(1).mqtt, "publisher");
    let mut publish = |number: u32| {
        publisher.send(&format!(r#"32 [ "jobs" 0001 '{number}' ]"#));
        publisher.expect("40 02 0001");
    };
    (0..FAIR).for_each(&mut publish);
    let mut seen = BTreeSet::new();
    for member in &mut members {
        for _ in 0..FAIR / 3 {
            assert!(seen.insert(take(member).payload), "a message came twice");
        }
        member.expect_nothing();
    }
    assert_eq!(seen.len(), FAIR as usize, "every message, a third of them for each member");

    // The member on node 3 takes its share and acknowledges nothing of it.
    (FAIR..FAIR + UNACKNOWLEDGED).for_each(&mut publish);
    let mut lost: BTreeSet<String> = BTreeSet::new();
    for _ in 0..UNACKNOWLEDGED / 3 {
        let (first, body) = members[2].read_packet();
        lost.insert(read(first, &body, 0).payload);
    }
    let mut after = BTreeSet::new();
    for member in &mut members[..2] {
        for _ in 0..UNACKNOWLEDGED / 3 {
            after.insert(take(member).payload);
        }
        member.expect_nothing();
    }
    cluster.kill(3);
    cluster.wait_for_members(&[1, 2], &[1, 2]);
    let mut again = BTreeSet::new();
    for member in &mut members[..2] {
        for _ in 0..UNACKNOWLEDGED / 6 {
            assert!(again.insert(take(member).payload), "given to two others");
        }
        member.expect_nothing();
    }
    assert_eq!(again, lost, "what the lost member had is what the others get");
    assert_eq!(after.union(&again).count(), UNACKNOWLEDGED as usize);
}
