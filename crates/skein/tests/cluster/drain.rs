//! Draining: clients are sent to the nodes that stay, with what they sent acknowledged, and the node leaves and ends.

use std::process::Command;

use skein_testkit::{Cluster, DEADLINE, RawClient, wait_until};

use crate::start;

fn drain(cluster: &Cluster, id: u16, rate: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skein"));
    let url = format!("http://{}", cluster.node(id).http);
    command.args(["drain", "--node", &url, "--rate", rate, "--data-dir"]).arg(&cluster.node(id).data);
    command
}

#[test]
fn clients_are_sent_to_the_nodes_that_stay() {
    let mut cluster = start(3, &[]);
    let address = cluster.node(2).mqtt;
    let mut v5: Vec<_> = (0..20).map(|number| RawClient::open_v5(address, &format!("v5-{number}"))).collect();
    let mut v4 = RawClient::open_v4(address, "v4");
    v5[0].send(r#"32 [ "t" 0001 00 'x' ]"#);
    let output = drain(&cluster, 2, "100").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "drained: the node has left\n");
    // MQTT 5.0 section 4.13: Use Another Server, and which.
    v5[0].expect("40 [ 0001 10 ]");
    let references = [1, 3].map(|id| cluster.node(id).mqtt.to_string());
    let mut sent_to = [0, 0];
    for client in &mut v5 {
        let farewell = client.expect("e0 [ 9c * ]");
        let text = String::from_utf8_lossy(&farewell).into_owned();
        let to = references.iter().position(|reference| text.contains(reference.as_str()));
        sent_to[to.unwrap_or_else(|| panic!("a node that stays: {text:?}"))] += 1;
        client.expect_closed();
    }
    assert_eq!(sent_to, [10, 10], "in turn");
    v4.expect_closed();
    wait_until("the node has ended", DEADLINE, || !cluster.node_mut(2).is_running());
    assert!(cluster.node(2).server().lines().iter().any(|line| line.contains("skein: stopped")));
    cluster.wait_for_members(&[1, 3], &[1, 3]);
    for id in [1, 3] {
        let lines = cluster.node(id).server().lines();
        let told = |part: &str| lines.iter().filter(|line| line.contains(part)).count();
        assert_eq!((told("node 2 is leaving"), told("node 2 is down")), (1, 1), "{lines:#?}");
        assert!(lines.iter().any(|line| line.contains("node 2 is down") && line.contains("reason=\"left\"")));
    }
}

#[test]
fn the_rate_holds_and_nobody_new_comes_in_meanwhile() {
    let cluster = start(2, &[]);
    let address = cluster.node(1).mqtt;
    let mut clients: Vec<_> =
        (0..10).map(|number| RawClient::open_v5(address, &format!("c-{number}"))).collect();
    let begun = std::time::Instant::now();
    assert!(drain(&cluster, 1, "5").arg("--no-wait").status().unwrap().success());
    // Ten clients at five in a second: the last is asked 1.8 seconds after the first, less one step of the pace.
    let mut late = RawClient::connect(address);
    late.send(r#"10 [ "MQTT" 05 02 0000 00 "late" ]"#);
    late.expect("20 [ 00 9c * ]");
    let mut old = RawClient::connect(address);
    old.send(r#"10 [ "MQTT" 04 02 0000 "old" ]"#);
    old.expect("20 02 00 03");
    for client in &mut clients {
        client.expect("e0 [ 9c * ]");
        client.expect_closed();
    }
    assert!(begun.elapsed().as_millis() >= 1700, "{:?}", begun.elapsed());
}
