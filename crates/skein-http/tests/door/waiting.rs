//! What is retained and what waits for clients: listed, shown in part, removed.

use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};
use skein_plane::{Batch, Publisher, QueueLimits, RetainHandling, SubscribeOptions, Work};
use skein_types::{Code, Message, Moment, QoS, SubscriptionFilter, Topic};

use crate::{
    client::{get, request},
    fixture::{Connected, Fixture},
};

impl Fixture {
    fn now(&self) -> Moment {
        Moment::from_millis(self.clock_millis.load(Relaxed))
    }

    fn publish(&self, message: Message) {
        let mut batch = Batch::default();
        _ = self.plane.publish(&mut Publisher::default(), &mut batch, message, self.now());
        assert!(self.plane.finish(&mut batch, self.now()).is_none());
    }

    fn retain(&self, topic: &str, payload: &[u8]) {
        self.publish(Message { retain: true, ..message(topic, payload, QoS::AtLeastOnce) });
    }

    fn subscribe(&self, client: &Connected, filter: &str, qos: QoS) {
        let options = SubscribeOptions {
            qos,
            no_local: false,
            retain_as_published: false,
            id: None,
            partly_allowed: false,
        };
        let filter = SubscriptionFilter::new(filter).unwrap();
        let mut work = Work { plane: &self.plane, batch: &mut Batch::default(), now: self.now() };
        client.connection.subscribe(filter, options, RetainHandling::Never, &mut work).unwrap();
        work.finish_unattended();
    }
}

fn message(topic: &str, payload: &[u8], qos: QoS) -> Message {
    Message::new(Topic::new(topic.into()).unwrap(), payload.to_vec().into(), qos)
}

fn topics(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["topic"].as_str().unwrap()).collect()
}

#[test]
fn retained_messages_by_filter_and_page() {
    let node = Fixture::open();
    for topic in ["b/1", "a/2", "a/1", "$SYS/x", "a"] {
        node.retain(topic, topic.as_bytes());
    }
    node.publish(Message {
        expires_at: Some(Moment::from_millis(61_500)),
        ..Message { retain: true, ..message("c", &[0xff; 5000], QoS::AtMostOnce) }
    });
    let list = |query: &str| {
        let answer = get(node.address, &format!("/api/v1/retained{query}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let all = list("");
    assert_eq!((topics(&all), &all["total"]), (vec!["a", "a/1", "a/2", "b/1", "c"], &json!(5)));
    assert_eq!(
        all["items"][4],
        json!({"topic": "c", "payload_bytes": 5000, "qos": 0, "expires_at": "2025-01-01T00:01:01.500Z",
            "content_type": null, "durable": false})
    );
    assert_eq!(topics(&list("?filter=a/%23")), ["a", "a/1", "a/2"]);
    assert_eq!(topics(&list("?filter=%2B/1&page_size=1&page=2")), ["b/1"]);
    assert_eq!(topics(&list("?filter=$SYS/%23")), ["$SYS/x"]);
    let shown = list("?payload_bytes_max=3");
    assert_eq!(
        (&shown["items"][0]["payload"], &shown["items"][4]["payload"]),
        (&json!("YQ=="), &json!("////"))
    );
    for bad in ["filter=a%23", "payload_bytes_max=4097", "topic=a"] {
        let answer = get(node.address, &format!("/api/v1/retained?{bad}"));
        assert_eq!((answer.status, &*answer.problem()), (400, "bad_parameter"), "{bad}");
    }
}

#[test]
fn a_retained_message_is_removed_once() {
    let node = Fixture::open();
    node.retain("a/b", b"x");
    node.retain("a", b"y");
    let remove = |topic: &str| request(node.address, "DELETE", &format!("/api/v1/retained/{topic}"), &[]);
    let answer = remove("a%2Fb");
    assert_eq!((answer.status, answer.json()), (200, json!({"topic": "a/b", "removed": true})));
    assert_eq!(topics(&get(node.address, "/api/v1/retained").json()), ["a"]);
    let answer = remove("a%2Fb");
    assert_eq!((answer.status, &*answer.problem()), (404, "retained_not_found"));
    for bad in ["a%2F%23", "%FF"] {
        let answer = remove(bad);
        assert_eq!((answer.status, &*answer.problem()), (400, "bad_parameter"), "{bad}");
    }
}

#[test]
fn a_queue_message_by_message() {
    let node = Fixture::open();
    let ann = node.connect("ann", None, 60);
    node.subscribe(&ann, "#", QoS::ExactlyOnce);
    node.leave(&ann);
    node.publish(message("a", b"one", QoS::AtLeastOnce));
    node.publish(message("b", b"three", QoS::ExactlyOnce));
    node.publish(message("c", b"lost", QoS::AtMostOnce));
    let queue = |query: &str| get(node.address, &format!("/api/v1/sessions/ann/queue{query}"));
    let page = queue("?payload_bytes_max=4").json();
    let mut items = page["items"].clone();
    for item in items.as_array_mut().unwrap() {
        let bytes = item.as_object_mut().unwrap().remove("bytes").unwrap();
        assert!(bytes.as_u64() > item["payload_bytes"].as_u64(), "{bytes}");
    }
    let item = |seq, topic, qos, payload_bytes, payload| {
        json!({"seq": seq, "topic": topic, "qos": qos, "payload_bytes": payload_bytes, "state": "waiting",
            "expires_at": null, "durable": false, "payload": payload})
    };
    let first = items[0]["seq"].as_u64().unwrap();
    assert_eq!(items, json!([item(first, "a", 1, 3, "b25l"), item(first + 1, "b", 2, 5, "dGhyZQ==")]));
    assert_eq!(page["total"], 2);
    assert_eq!(topics(&queue("?page=2&page_size=1").json()), ["b"]);
    assert_eq!(queue("?search=a").problem(), "bad_parameter");
    let answer = get(node.address, "/api/v1/sessions/bob/queue");
    assert_eq!((answer.status, &*answer.problem()), (404, "client_not_found"));
}

#[test]
fn the_queues_of_all_sessions_have_one_bound_and_what_passes_it_is_counted() {
    let node = Fixture::open();
    let away = |id: &str| {
        let client = node.connect(id, None, 60);
        node.subscribe(&client, "#", QoS::AtLeastOnce);
        node.leave(&client);
        client
    };
    let (ann, _bob) = (away("ann"), away("bob"));
    let queue = node.plane.queue();
    let dropped = || {
        let metrics = get(node.address, "/metrics").body;
        let series = "skein_deliveries_dropped_total{reason=\"node_queue_full\"} ";
        metrics.lines().find_map(|line| line.strip_prefix(series)).unwrap().parse::<u64>().unwrap()
    };
    let publish = || node.publish(message("a", b"x", QoS::AtLeastOnce));
    publish();
    assert_eq!(queue.depth().0, 2);
    queue.set_limits(QueueLimits { messages_max: 4, bytes_max: usize::MAX });
    publish();
    assert_eq!((queue.depth().0, dropped()), (4, 0));
    publish();
    assert_eq!((queue.depth().0, dropped()), (4, 2));

    // What a session held is free again when it ends.
    let (mut batch, now) = (Batch::default(), node.now());
    node.plane.disconnect(ann.connection.session(), Code::AdministrativeAction, true, &mut batch, now);
    _ = node.plane.finish(&mut batch, now);
    let (messages, bytes) = queue.depth();
    assert_eq!(messages, 2);
    publish();
    assert_eq!((queue.depth().0, dropped()), (3, 2));

    queue.set_limits(QueueLimits { messages_max: usize::MAX, bytes_max: bytes });
    publish();
    assert_eq!((queue.depth().0, dropped()), (3, 3));
    let figures = node.plane.ledger().figures();
    assert_eq!(figures.pending, 3);
    assert_eq!(figures.routed, figures.delivered + figures.expired + figures.dropped_total() + 3);
}
