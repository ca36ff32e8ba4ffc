//! What the load generator counts over real nodes: subscriptions that are not visible, connections that are not closed, bytes
//! that nobody wants.

use std::process::Command;

use skein_testkit::{Cluster, RawClient};

use crate::{SKEIN, figure, start, times};

fn bench(cluster: &Cluster, workload: &str, arguments: &[&str]) {
    let mut command = Command::new(SKEIN);
    command.args(["bench", "mqtt", workload]);
    for id in cluster.ids() {
        command.args(["--host", &cluster.node(id).mqtt.to_string()]);
    }
    let output = command.args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{text}");
    assert!(output.status.success(), "{workload}: {text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn g1_a_subscription_is_visible_on_every_node_once_it_is_acknowledged() {
    let visible = times("SKEIN_CHAOS_VISIBLE", 5000).to_string();
    bench(&start(3), "visible", &["--times", &visible, "--qos", "1"]);
}

#[test]
fn g4_one_connection_is_left_of_each_client_id() {
    let cluster = start(3);
    bench(
        &cluster,
        "takeover",
        &["--times", &times("SKEIN_CHAOS_TAKEOVERS", 1000).to_string(), "--protocol", "5"],
    );
    let seconds = times("SKEIN_CHAOS_STORM_SECS", 3).to_string();
    bench(&cluster, "takeover", &["--storm", "--clients", "1000", "--seconds", &seconds, "--protocol", "5"]);
}

#[test]
fn a_message_that_nobody_wants_costs_no_bytes_on_any_link() {
    let cluster = start(2);
    let sent = || figure(&cluster, 1, r#"skein_link_lane_sent_bytes_total{peer="2",lane="messages"}"#);
    let mut publisher = RawClient::open_v4(cluster.node(1).mqtt, "publisher");
    let before = sent();
    for _ in 0..1000 {
        publisher.send(r#"32 [ "nobody/wants/this" 0001 'x' ]"#);
        publisher.expect("40 02 0001");
    }
    assert_eq!(sent(), before);
    let mut subscriber = RawClient::open_v4(cluster.node(2).mqtt, "subscriber");
    subscriber.send(r#"82 [ 0001 "nobody/#" 00 ]"#);
    subscriber.expect("90 [ 0001 00 ]");
    publisher.send(r#"32 [ "nobody/wants/this" 0001 'x' ]"#);
    publisher.expect("40 02 0001");
    assert!(sent() > before, "the figure counts messages");
}
