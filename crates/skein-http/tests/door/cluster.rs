//! The routes of the cluster: their exact shapes, and who may drain.

use serde_json::json;
use skein_access::{Access, AccessList, Anonymous};
use skein_http::HttpSettings;

use crate::{
    client::{Client, OPERATOR, anonymously, get},
    fixture::Fixture,
};

fn post(node: &Fixture, body: &str) -> (u16, serde_json::Value) {
    post_as(node, &format!("authorization: {OPERATOR}\r\n"), body)
}

fn post_as(node: &Fixture, authorization: &str, body: &str) -> (u16, serde_json::Value) {
    let head = format!(
        "POST /api/v1/cluster/drain HTTP/1.1\r\nhost: localhost\r\n{authorization}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut client = Client::connect(node.address);
    client.send(&head);
    let answer = client.read().unwrap();
    (answer.status, answer.json())
}

#[test]
fn nodes_are_listed_with_their_states() {
    let node = Fixture::open();
    let answer = get(node.address, "/api/v1/cluster/nodes");
    let expect = json!([
        {"node_id": 7, "name": "node-7", "address": "192.0.2.7:5777", "qrank": 1, "incarnation": u64::MAX, "state": "up",
         "server_reference": null, "is_self": true, "clients": 5, "messages_per_sec": 0},
        {"node_id": 8, "name": "node-8", "address": "192.0.2.8:5777", "qrank": 1, "incarnation": u64::MAX, "state": "down",
         "server_reference": "b.example.org:1883", "is_self": false, "clients": null, "messages_per_sec": null},
    ]);
    assert_eq!((answer.status, answer.json()), (200, expect));
    let status = get(node.address, "/api/v1/status").json();
    assert_eq!(status["cluster"]["nodes"], json!({"up": 1, "leaving": 0, "down": 1}));
    assert_eq!(status["cluster"]["links"][0]["lanes"][0]["received_frames"], 3);
    assert_eq!(status["cluster"]["events"], json!({"links_cut": 9}));
}

#[test]
fn a_drain_has_a_rate() {
    let node = Fixture::open();
    let _client = node.connect("ann", None, 0);
    let begun = (200, json!({"draining": true, "connected": 1}));
    assert_eq!(post(&node, ""), begun);
    assert_eq!(post(&node, "{\"rate_per_sec\": 7}"), begun);
    assert_eq!(post(&node, "{}"), begun);
    for wrong in ["{\"rate_per_sec\": 0}", "{\"rate\": 1}", "[]", "{\"rate_per_sec\": 1000001}", "x"] {
        let (status, body) = post(&node, wrong);
        assert_eq!((status, &body["code"]), (400, &json!("bad_body")), "{wrong}");
    }
    assert_eq!(*node.cluster.drained.lock(), [500, 7, 500]);
}

#[test]
fn only_who_may_change_the_node_drains_it() {
    let node = Fixture::start(Access::new(AccessList::open(), Anonymous::Never), HttpSettings::default());
    assert_eq!(post_as(&node, "", "").0, 401);
    assert_eq!(anonymously(node.address, "GET", "/api/v1/cluster/nodes", &[]).status, 401);
    assert_eq!(*node.cluster.drained.lock(), [0_u32; 0]);
}
