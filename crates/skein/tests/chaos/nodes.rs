//! A node that is killed, and one that is paused for longer than others wait.

use std::time::{Duration, Instant};

use skein_testkit::{Cluster, MemberState, RawClient, wait_until};

use crate::{flow::Flow, start, times};

fn state(cluster: &Cluster, seen_by: u16, of: u16) -> (MemberState, u64) {
    let members = cluster.node(seen_by).members().unwrap();
    let found = members.into_iter().find(|node| node.node_id == of).unwrap();
    (found.state, found.incarnation)
}

#[test]
fn a_killed_node_is_noticed_its_will_is_published_once_and_the_others_go_on() {
    let mut cluster = start(3);
    let mut flow = Flow::between(&cluster, 1, 2);
    let mut watcher = RawClient::open_v4(cluster.node(1).mqtt, "watcher");
    watcher.send(r#"82 [ 0001 "wills/#" 01 ]"#);
    watcher.expect("90 [ 0001 01 ]");
    let with_will = |id: u16| {
        let mut client = RawClient::connect(cluster.node(id).mqtt);
        client.send(&format!(r#"10 [ "MQTT" 04 0e 0000 "with-will-{id}" "wills/{id}" "gone" ]"#));
        client.expect("20 02 00 00");
        client
    };
    let (_dying, mut staying) = (with_will(3), with_will(2));
    flow.pass(100);

    let killed = Instant::now();
    cluster.kill(3);
    let mut longest = Duration::ZERO;
    wait_until("the others know that node 3 is down", Duration::from_secs(10), || {
        longest = longest.max(flow.pass(1));
        [1, 2].iter().all(|id| state(&cluster, *id, 3).0 == MemberState::Down)
    });
    println!(
        "killed: down after {:?}; messages between the others took {longest:?} at most",
        killed.elapsed()
    );
    watcher.expect(r#"32 [ "wills/3" .. .. 'gone' ]"#);
    watcher.send("40 02 0001");
    flow.pass(100);
    watcher.expect_nothing();
    staying.expect_nothing();

    // What it has to wait for is not the node that is gone.
    let mut late = RawClient::open_v4(cluster.node(1).mqtt, "late");
    late.send(r#"33 [ "kept" 0001 'while it was away' ]"#);
    late.expect("40 02 0001");
    cluster.restart(3);
    cluster.wait_until_whole();
    let mut back = RawClient::open_v4(cluster.node(3).mqtt, "back");
    back.send(r#"82 [ 0001 "kept" 00 ]"#);
    back.expect("90 [ 0001 00 ]");
    back.expect(r#"31 [ "kept" 'while it was away' ]"#);
    for (from, to) in [(1, 3), (3, 2)] {
        Flow::between(&cluster, from, to).pass(20);
    }
    flow.pass(20);
    watcher.expect_nothing();
}

#[test]
fn a_paused_node_comes_back_as_another_life_and_one_connection_is_left() {
    let mut cluster = start(3);
    let (_, before) = state(&cluster, 1, 3);
    let (mut out, mut back) = (Flow::between(&cluster, 3, 1), Flow::between(&cluster, 2, 3));
    let mut older = RawClient::open_v5(cluster.node(3).mqtt, "moving");
    out.pass(20);
    back.pass(20);

    let paused = Instant::now();
    cluster.stop_signal(3);
    cluster.wait_for_members(&[1, 2], &[1, 2]);
    println!("paused: down after {:?}", paused.elapsed());
    let mut newer = RawClient::open_v5(cluster.node(1).mqtt, "moving");
    let pause = Duration::from_secs(times("SKEIN_CHAOS_PAUSE_SECS", 5).into());
    let mut others = Flow::between(&cluster, 1, 2);
    wait_until("the pause is over", pause + Duration::from_secs(1), || {
        others.pass(1);
        paused.elapsed() >= pause
    });

    let resumed = Instant::now();
    cluster.continue_signal(3);
    cluster.wait_until_whole();
    println!("paused: whole again {:?} after it went on", resumed.elapsed());
    let (_, after) = state(&cluster, 1, 3);
    assert!(after > before, "incarnation {after} after {before}");
    older.expect("e0 [ 8e * ]");
    older.expect_closed();
    newer.expect_nothing();
    // Clients that stayed connected to it are reached again.
    out.pass(20);
    back.pass(20);
    others.pass(20);
}
