//! What every route answers.

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed};

use serde_json::{Value, json};
use skein_http::Readiness;
use skein_plane::{Batch, RetainHandling, SubscribeOptions, Work};
use skein_types::{Code, Message, Moment, QoS, SubscriptionFilter, Topic};

use crate::{
    client::{Client, get, request},
    fixture::{Fixture, GREETING_BYTES},
};

#[test]
fn health_and_readiness() {
    let node = Fixture::open();
    let answer = get(node.address, "/healthz");
    assert_eq!((answer.status, answer.json()), (200, json!({"status": "ok"})));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let ready = || {
        let answer = get(node.address, "/readyz");
        (answer.status, answer.json()["status"].as_str().unwrap().to_owned())
    };
    assert_eq!(ready(), (503, "starting".to_owned()));
    node.readiness.set(Readiness::Joining);
    assert_eq!(ready(), (503, "joining".to_owned()));
    node.readiness.set(Readiness::Ready);
    assert_eq!(ready(), (200, "ready".to_owned()));
    node.readiness.set(Readiness::Draining);
    assert_eq!(ready(), (503, "draining".to_owned()));
}

/// Samples of a text in Prometheus's format, and the names it declares.
fn samples(text: &str) -> (BTreeMap<String, f64>, Vec<String>) {
    let mut samples = BTreeMap::new();
    let mut names = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            names.push(rest.split(' ').next().unwrap().to_owned());
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            assert_eq!(names.last().map(String::as_str), Some(name), "{line} stands under another metric");
            assert!(samples.insert(series.to_owned(), value.parse().unwrap()).is_none(), "{line} twice");
        }
    }
    (samples, names)
}

#[test]
fn metrics_show_the_figures_of_the_node() {
    let node = Fixture::open();
    let _ann = node.connect("ann", None, 0);
    let bob = node.connect("bob", None, 60);
    node.leave(&bob);
    let answer = get(node.address, "/metrics");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let (samples, _) = samples(&answer.body);
    for (series, value) in [
        (r#"skein_node_info{name="nod\"e",id="7",version="1.2.3"}"#, 1.0),
        ("skein_node_uptime_seconds", 1.5),
        ("skein_node_ready", 0.0),
        (r#"skein_cluster_nodes{state="up"}"#, 1.0),
        (r#"skein_cluster_nodes{state="down"}"#, 1.0),
        (r#"skein_cluster_events_total{event="links_cut"}"#, 9.0),
        (r#"skein_link_up{peer="8"}"#, 1.0),
        (r#"skein_link_dropped_messages_total{peer="8"}"#, 6.0),
        (r#"skein_link_lane_received_bytes_total{peer="8",lane="control"}"#, 4.0),
        ("skein_clients_connected", 1.0),
        ("skein_clients_connected_max", 2.0),
        ("skein_clients_connects_total", 2.0),
        ("skein_sessions", 2.0),
        ("skein_outbox_bytes", GREETING_BYTES as f64),
        ("skein_outbox_bytes_max", GREETING_BYTES as f64),
        ("skein_deliveries_pending", 0.0),
        (r#"skein_deliveries_dropped_total{reason="outbox_full"}"#, 0.0),
        (r#"skein_listener_connections{listener="mqtt",transport="tcp",address="127.0.0.1:1883"}"#, 3.0),
        (r#"skein_listener_refused_total{listener="mqtt",transport="tcp",address="127.0.0.1:1883"}"#, 2.0),
    ] {
        assert_eq!(samples.get(series), Some(&value), "{series} in {}", answer.body);
    }
    let own = format!(
        r#"skein_listener_connections{{listener="http",transport="http",address="{}"}}"#,
        node.address
    );
    assert!(samples[&own] >= 1.0, "the connection that asks is open");
    assert!(samples["skein_process_resident_bytes"] > 0.0);
}

#[test]
fn every_metric_is_named_and_documented() {
    let node = Fixture::open();
    let (_, names) = samples(&get(node.address, "/metrics").body);
    let reference = skein_http::reference();
    let documented: Vec<&str> =
        reference.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(names, documented);
}

#[test]
fn status_of_the_node() {
    let node = Fixture::open();
    node.readiness.set(Readiness::Ready);
    let _ann = node.connect("ann", None, 0);
    let answer = get(node.address, "/api/v1/status");
    assert_eq!(answer.status, 200);
    let status = answer.json();
    assert_eq!(
        status["node"],
        json!({"name": "nod\"e", "id": 7, "version": "1.2.3", "readiness": "ready",
            "started_at": "2025-01-01T00:00:00.000Z", "uptime_seconds": 1.5})
    );
    assert_eq!(status["clients"], json!({"connected": 1, "connected_max": 1, "connects": 1, "sessions": 1}));
    assert_eq!(status["messages"]["dropped"]["queue_full"], 0);
    assert_eq!(
        status["listeners"][0],
        json!({"name": "mqtt", "transport": "tcp", "address": "127.0.0.1:1883", "open": 3, "accepted": 5, "refused": 2})
    );
    assert_eq!(status["listeners"][1]["address"], json!(node.address.to_string()));
}

#[test]
fn answers_have_the_fields_of_the_description() {
    let node = Fixture::open();
    let _ann = node.connect("ann", Some("a"), 0);
    let description = get(node.address, "/api/v1/openapi.json");
    assert_eq!(description.status, 200);
    let description = description.json();
    let schema = |name: &str| description["components"]["schemas"][name].clone();
    fits(&get(node.address, "/api/v1/status").json(), &schema("Status"), "status");
    fits(&get(node.address, "/api/v1/mqtt/clients/ann").json(), &schema("Client"), "client");
    fits(&get(node.address, "/api/v1/mqtt/clients").json()["items"][0], &schema("Client"), "item");
    let topic = Topic::new("a".into()).unwrap();
    let message = Message { retain: true, ..Message::new(topic, b"x".as_slice().into(), QoS::AtMostOnce) };
    node.plane.retained().set(&message, Moment::ZERO);
    let retained = get(node.address, "/api/v1/retained?payload_bytes_max=1").json();
    fits(&retained["items"][0], &schema("RetainedMessage"), "retained");
    fits(&get(node.address, "/nowhere").json(), &schema("Problem"), "problem");
}

/// Every field is described and every field that has to be there is; down to the leaves.
fn fits(value: &Value, schema: &Value, at: &str) {
    let is_absent =
        value.is_null() && schema["type"].as_array().is_some_and(|of| of.contains(&json!("null")));
    if let Some(properties) = schema["properties"].as_object()
        && !is_absent
    {
        for (key, field) in value.as_object().unwrap_or_else(|| panic!("{at} is no object: {value}")) {
            let property = properties.get(key).unwrap_or_else(|| panic!("{at}.{key} is not described"));
            fits(field, property, &format!("{at}.{key}"));
        }
        for key in schema["required"].as_array().unwrap() {
            assert!(value.get(key.as_str().unwrap()).is_some(), "{at} has no {key}");
        }
    } else if let Some(list) = value.as_array() {
        list.iter().for_each(|item| fits(item, &schema["items"], at));
    } else {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) | Value::Object(_) => "object",
        };
        let kinds = &schema["type"];
        let fits = kinds == kind || kinds.as_array().is_some_and(|kinds| kinds.contains(&json!(kind)));
        assert!(fits, "{at} is {value} but {kinds}");
    }
}

#[test]
fn clients_a_page_at_a_time() {
    let node = Fixture::open();
    let clients: Vec<_> =
        (0..45).rev().map(|number| node.connect(&format!("c{number:02}"), None, 0)).collect();
    let page = |query: &str| {
        let answer = get(node.address, &format!("/api/v1/mqtt/clients{query}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        let page = answer.json();
        let ids: Vec<String> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(page["total"], json!(clients.len()));
        (page["page"].as_u64().unwrap(), page["page_size"].as_u64().unwrap(), ids)
    };
    let ids = |range: std::ops::Range<usize>| range.map(|number| format!("c{number:02}")).collect::<Vec<_>>();
    assert_eq!(page(""), (1, 20, ids(0..20)));
    assert_eq!(page("?page=2"), (2, 20, ids(20..40)));
    assert_eq!(page("?page=3"), (3, 20, ids(40..45)));
    assert_eq!(page("?page=4"), (4, 20, ids(0..0)));
    assert_eq!(page("?page_size=100"), (1, 100, ids(0..45)));
    assert_eq!(page("?page=45&page_size=1"), (45, 1, ids(44..45)));
    assert_eq!(page(&format!("?page={}&page_size=100", usize::MAX)).2, ids(0..0));
}

#[test]
fn clients_by_id_or_user() {
    let node = Fixture::open();
    let _clients = [
        node.connect("pump 1", Some("plant"), 0),
        node.connect("valve", Some("pumps"), 0),
        node.connect("other", None, 0),
    ];
    let found = |search: &str| {
        let page = get(node.address, &format!("/api/v1/mqtt/clients?search={search}")).json();
        let items = page["items"].as_array().unwrap();
        assert_eq!(page["total"], json!(items.len()));
        items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("pump"), ["pump 1", "valve"]);
    assert_eq!(found("pump+1"), ["pump 1"]);
    assert_eq!(found("pump%201"), ["pump 1"]);
    assert_eq!(found("nobody"), [""; 0]);
    assert_eq!(found("").len(), 3);
}

#[test]
fn bad_queries_name_the_parameter_and_its_range() {
    let node = Fixture::open();
    for (query, words) in [
        ("page=0", "parameter page is \"0\""),
        ("page=-1", "parameter page is \"-1\""),
        ("page=x", "parameter page is \"x\""),
        ("page=99999999999999999999999", "parameter page is"),
        ("page=", "parameter page is \"\""),
        ("page_size=0", "parameter page_size is \"0\""),
        ("page_size=101", "parameter page_size is \"101\""),
        ("page=1&page=2", "parameter page is there more than once"),
        ("pagesize=5", "there is no parameter \"pagesize\""),
    ] {
        let answer = get(node.address, &format!("/api/v1/mqtt/clients?{query}"));
        assert_eq!((answer.status, &*answer.problem()), (400, "bad_parameter"), "{query}");
        assert!(answer.body.contains(&words.replace('"', "\\\"")), "{query}: {}", answer.body);
    }
    let hint = get(node.address, "/api/v1/mqtt/clients?page_size=101").json()["hint"].to_string();
    assert!(hint.contains("from 1 to 100"), "{hint}");
}

#[test]
fn one_client_in_full() {
    let node = Fixture::open();
    node.clock_millis.store(61_250, Relaxed);
    let ann = node.connect("ann", Some("anna"), 30);
    let options = SubscribeOptions {
        qos: QoS::AtMostOnce,
        no_local: false,
        retain_as_published: false,
        id: None,
        partly_allowed: false,
    };
    for filter in ["b/#", "$share/g/a/+"] {
        let filter = SubscriptionFilter::new(filter).unwrap();
        let mut work = Work { plane: &node.plane, batch: &mut Batch::default(), now: Moment::ZERO };
        ann.connection.subscribe(filter, options, RetainHandling::Never, &mut work).unwrap();
    }
    let mut expect = json!({
        "id": "ann", "online": true, "username": "anna", "ip": "192.0.2.1", "port": 40000, "listener": "mqtt",
        "protocol_version": "3.1.1", "keepalive": 60, "connected_at": "2025-01-01T00:01:01.250Z",
        "session_clean": false, "session_expiry_seconds": 30, "session_expires_at": null, "durable": false,
        "subscriptions_count": 2, "inflight_count": 0,
        "queued_count": 0, "queued_bytes": 0, "outbox_bytes": GREETING_BYTES,
        "topic_filters": ["$share/g/a/+", "b/#"]
    });
    assert_eq!(get(node.address, "/api/v1/mqtt/clients/ann").json(), expect);
    node.leave(&ann);
    for gone in ["ip", "port", "listener", "protocol_version", "keepalive", "connected_at"] {
        expect[gone] = Value::Null;
    }
    expect["online"] = json!(false);
    expect["session_expires_at"] = json!("2025-01-01T00:01:31.250Z");
    expect["outbox_bytes"] = json!(0);
    assert_eq!(get(node.address, "/api/v1/mqtt/clients/ann").json(), expect);
}

#[test]
fn client_ids_that_need_percent_encoding() {
    let node = Fixture::open();
    for (id, path) in [
        ("a/b", "a%2Fb"),
        ("a%b", "a%25b"),
        ("ü €", "%C3%BC%20%E2%82%AC"),
        ("..", ".."),
        ("q?x#y", "q%3Fx%23y"),
        ("a+b", "a+b"),
        ("x/disconnect", "x%2Fdisconnect"),
    ] {
        let client = node.connect(id, None, 0);
        let answer = get(node.address, &format!("/api/v1/mqtt/clients/{path}"));
        assert_eq!((answer.status, &answer.json()["id"]), (200, &json!(id)));
        let answer = request(node.address, "POST", &format!("/api/v1/mqtt/clients/{path}/disconnect"), &[]);
        assert_eq!((answer.status, answer.json()), (200, json!({"id": id, "disconnected": true})));
        assert!(client.handle.take_closing().is_some(), "{id}");
    }
    for path in ["%FF", "%C3%28"] {
        let answer = get(node.address, &format!("/api/v1/mqtt/clients/{path}"));
        assert_eq!((answer.status, &*answer.problem()), (400, "bad_parameter"), "{path}");
    }
}

#[test]
fn disconnecting_a_client() {
    let node = Fixture::open();
    let ann = node.connect("ann", None, 60);
    let disconnect = |id: &str| {
        request(
            node.address,
            "POST",
            &format!("/api/v1/mqtt/clients/{id}/disconnect"),
            &[("content-length", "0")],
        )
    };
    assert_eq!(node.plane.ledger().figures().accepted, 0);
    assert_eq!(disconnect("ann").json(), json!({"id": "ann", "disconnected": true}));
    assert_eq!(node.plane.ledger().figures().accepted, 1, "the will is published");
    assert_eq!(ann.handle.take_closing().unwrap().code, Code::AdministrativeAction);
    assert_eq!(node.plane.sessions().connected(), 0);
    assert_eq!(node.plane.sessions().len(), 1, "a durable session stays");
    assert_eq!(disconnect("ann").json(), json!({"id": "ann", "disconnected": false}));
    let answer = disconnect("nobody");
    assert_eq!((answer.status, &*answer.problem()), (404, "client_not_found"));
    let answer = get(node.address, "/api/v1/mqtt/clients/nobody");
    assert_eq!((answer.status, &*answer.problem()), (404, "client_not_found"));
}

#[test]
fn ending_a_session() {
    let node = Fixture::open();
    let end = |id: &str| request(node.address, "DELETE", &format!("/api/v1/sessions/{id}"), &[]);
    let ann = node.connect("a/b", Some("ann"), 60);
    assert_eq!(end("a%2Fb").json(), json!({"id": "a/b", "username": "ann", "ended": true}));
    assert_eq!(ann.handle.take_closing().unwrap().code, Code::AdministrativeAction);
    assert!(node.plane.sessions().is_empty());
    // One whose client is away, and which is nobody's.
    let away = node.connect("away", None, 60);
    node.leave(&away);
    assert_eq!(node.plane.sessions().len(), 1);
    assert_eq!(end("away").json(), json!({"id": "away", "username": null, "ended": true}));
    assert!(node.plane.sessions().is_empty());
    let answer = end("away");
    assert_eq!((answer.status, &*answer.problem()), (404, "client_not_found"));
    // Whoever comes next has the id.
    node.connect("away", Some("bob"), 60);
    assert_eq!(get(node.address, "/api/v1/mqtt/clients/away").json()["username"], "bob");
}

#[test]
fn unknown_paths_and_methods() {
    let node = Fixture::open();
    for path in
        ["/", "/nowhere", "/healthz/", "/api/v1/mqtt/clients/", "/api/v1/mqtt/clients/a/b", "/metrics%00"]
    {
        let answer = get(node.address, path);
        assert_eq!((answer.status, &*answer.problem()), (404, "not_found"), "{path}");
    }
    for (method, path, allowed) in [
        ("POST", "/healthz", "GET,HEAD"),
        ("DELETE", "/metrics", "GET,HEAD"),
        ("PUT", "/api/v1/mqtt/clients", "GET,HEAD"),
        ("OPTIONS", "/api/v1/status", "GET,HEAD"),
        ("GET", "/api/v1/mqtt/clients/a/disconnect", "POST"),
    ] {
        let answer = request(node.address, method, path, &[]);
        assert_eq!((answer.status, &*answer.problem()), (405, "method_not_allowed"), "{method} {path}");
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
    }
}

#[test]
fn several_requests_on_one_connection() {
    let node = Fixture::open();
    let mut client = Client::connect(node.address);
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    client.send(&format!("{}{}{}", one("/healthz"), one("/nowhere"), one("/metrics")));
    let statuses = [(); 3].map(|()| client.read().unwrap().status);
    assert_eq!(statuses, [200, 404, 200]);
}
