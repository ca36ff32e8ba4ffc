//! The ledger against histories that are known to be right or wrong.

use super::*;

struct Scene {
    ledger: Ledger,
    stream: StreamId,
    reader: ReaderId,
}

impl Scene {
    fn new(qos: u8) -> Self {
        Self::with(qos, Kind::Plain, Order::Kept)
    }

    fn with(qos: u8, kind: Kind, order: Order) -> Self {
        let mut ledger = Ledger::default();
        let stream = ledger.add_stream("one/p/t".to_owned(), qos, kind);
        let reader = ledger.add_reader("reader", order);
        Self { ledger, stream, reader }
    }

    fn subscribe(&mut self) {
        self.ledger.subscribing(self.reader, "one/+/t", 2);
        self.ledger.subscribed(self.reader, "one/+/t");
    }

    fn send(&mut self) -> u64 {
        self.ledger.send(self.stream)
    }

    fn acknowledged(&mut self, place: u64) {
        self.ledger.acknowledged(self.stream, place);
    }

    fn publish(&mut self) -> u64 {
        let place = self.send();
        self.acknowledged(place);
        place
    }

    fn receive(&mut self, place: u64) -> Result<(), String> {
        self.receive_as(place, false)
    }

    fn receive_again(&mut self, place: u64) -> Result<(), String> {
        self.receive_as(place, true)
    }

    fn receive_as(&mut self, place: u64, again: bool) -> Result<(), String> {
        let publish = Publish { again, ..self.ledger.message(self.stream, place) };
        self.ledger.receive(self.reader, &publish).map(drop).map_err(|violation| violation.to_string())
    }
}

fn is_wrong(result: &Result<(), String>, text: &str) {
    let said = result.as_ref().expect_err("the ledger must object");
    assert!(said.contains(text), "{said}");
}

#[test]
fn a_right_run_is_right() {
    for qos in [1, 2] {
        let mut scene = Scene::new(qos);
        scene.subscribe();
        for place in 0..200 {
            assert_eq!(scene.publish(), place);
            scene.receive(place).unwrap();
        }
        assert!(scene.ledger.missing().is_empty());
        assert_eq!(scene.ledger.figures.received, 200);
    }
}

#[test]
fn an_acknowledged_message_that_does_not_come_is_missing() {
    let mut scene = Scene::new(1);
    scene.subscribe();
    scene.publish();
    scene.send();
    assert_eq!(scene.ledger.missing(), ["reader: one/p/t #0"]);
    scene.receive(0).unwrap();
    assert!(scene.ledger.missing().is_empty());
}

#[test]
fn a_gap_is_seen_with_the_next_message() {
    let mut scene = Scene::new(1);
    scene.subscribe();
    scene.publish();
    scene.publish();
    is_wrong(&scene.receive(1), "#0, acknowledged before it, did not");
}

#[test]
fn a_message_that_comes_late_is_out_of_order() {
    let mut scene = Scene::new(1);
    scene.ledger.subscribing(scene.reader, "one/#", 1);
    scene.send();
    scene.send();
    scene.receive(1).unwrap();
    is_wrong(&scene.receive(0), "came after #1");
}

#[test]
fn a_message_sent_before_the_subscription_and_again_after_it_may_come_late() {
    let mut scene = Scene::new(1);
    scene.send();
    scene.subscribe();
    scene.publish();
    scene.receive(1).unwrap();
    is_wrong(&scene.receive(0), "came after #1");
    let mut scene = Scene::new(1);
    scene.send();
    scene.subscribe();
    scene.publish();
    scene.receive(1).unwrap();
    scene.ledger.send_again(scene.stream, 0);
    scene.receive(0).unwrap();
}

#[test]
fn a_message_of_qos_2_comes_once() {
    let mut scene = Scene::new(2);
    scene.subscribe();
    scene.publish();
    scene.receive(0).unwrap();
    is_wrong(&scene.receive_again(0), "a second time");
}

#[test]
fn a_message_of_qos_1_comes_again_with_a_reason() {
    let mut scene = Scene::new(1);
    scene.subscribe();
    scene.send();
    scene.receive(0).unwrap();
    scene.receive_again(0).unwrap();
    is_wrong(&scene.receive(0), "without DUP");
    scene.ledger.send_again(scene.stream, 0);
    scene.receive(0).unwrap();
    assert_eq!(scene.ledger.figures.repeated, 2);
}

#[test]
fn nothing_comes_that_was_not_sent() {
    let mut scene = Scene::new(1);
    scene.subscribe();
    is_wrong(&scene.receive(0), "was not sent yet");
    scene.publish();
    let mut publish = scene.ledger.message(scene.stream, 0);
    publish.payload[3] ^= 1;
    assert!(scene.ledger.receive(scene.reader, &publish).is_err());
    let lowered = Publish { qos: 0, ..scene.ledger.message(scene.stream, 0) };
    assert!(scene.ledger.receive(scene.reader, &lowered).is_err());
}

#[test]
fn subscriptions_begin_and_end_with_their_answers() {
    let mut scene = Scene::new(1);
    let filter = "one/p/t";
    scene.publish();
    scene.ledger.subscribing(scene.reader, filter, 2);
    is_wrong(&scene.receive(0), "settled before SUBSCRIBE");
    // Sent between the request and its answer: may come or not.
    scene.publish();
    scene.ledger.subscribed(scene.reader, filter);
    assert!(scene.ledger.missing().is_empty());
    scene.publish();
    assert_eq!(scene.ledger.missing(), ["reader: one/p/t #2"]);
    scene.receive(2).unwrap();
    scene.send();
    scene.ledger.unsubscribing(scene.reader, filter);
    scene.acknowledged(3);
    assert!(scene.ledger.missing().is_empty());
    scene.receive(3).unwrap();
    scene.ledger.unsubscribed(scene.reader, filter);
    scene.publish();
    is_wrong(&scene.receive(4), "sent after UNSUBACK");
}

#[test]
fn a_discarded_session_owes_nothing_and_gives_nothing() {
    let mut scene = Scene::new(1);
    scene.subscribe();
    scene.publish();
    scene.ledger.waived(scene.reader, "one/+/t");
    assert!(scene.ledger.missing().is_empty());
    // The old session may still be there.
    scene.receive(0).unwrap();
    scene.publish();
    scene.ledger.discarded(scene.reader, "one/+/t");
    is_wrong(&scene.receive(1), "after UNSUBACK or");
    scene.subscribe();
    is_wrong(&scene.receive(1), "settled before SUBSCRIBE");
    scene.publish();
    assert_eq!(scene.ledger.missing(), ["reader: one/p/t #2"]);
}

#[test]
fn a_group_is_one_reader_without_order() {
    let mut scene = Scene::with(2, Kind::Plain, Order::Shared);
    scene.ledger.subscribing(scene.reader, "$share/crew/one/#", 2);
    scene.ledger.subscribed(scene.reader, "$share/crew/one/#");
    scene.publish();
    scene.publish();
    scene.publish();
    scene.receive(2).unwrap();
    scene.receive(0).unwrap();
    is_wrong(&scene.receive(0), "a second time");
    assert_eq!(scene.ledger.missing(), ["reader: one/p/t #1"]);
}

#[test]
fn a_will_is_due_only_when_its_client_left() {
    let mut scene = Scene::with(2, Kind::Will, Order::Kept);
    scene.subscribe();
    assert!(scene.ledger.is_watched(scene.stream));
    scene.send();
    scene.send();
    scene.send();
    scene.receive(1).unwrap();
    assert!(scene.ledger.missing().is_empty());
    scene.acknowledged(2);
    assert_eq!(scene.ledger.missing(), ["reader: one/p/t #2"]);
    is_wrong(&scene.receive(1), "a second time");
    let mut never = Scene::with(2, Kind::WillNever, Order::Kept);
    never.subscribe();
    never.send();
    is_wrong(&never.receive(0), "delay has not passed");
}

#[test]
fn a_retained_message_is_the_last_acknowledged_or_newer() {
    let mut scene = Scene::with(1, Kind::Retained, Order::Kept);
    let check = |scene: &mut Scene, place: Option<u64>| {
        let message = place.map(|place| scene.ledger.message(scene.stream, place));
        let got = message.map(|message| (message.topic.clone(), message)).into_iter().collect();
        scene.ledger.check_retained(&got)
    };
    check(&mut scene, None).unwrap();
    scene.publish();
    scene.publish();
    scene.send();
    assert!(check(&mut scene, None).is_err());
    assert!(check(&mut scene, Some(0)).is_err());
    check(&mut scene, Some(1)).unwrap();
    check(&mut scene, Some(2)).unwrap();
    assert!(check(&mut scene, Some(3)).is_err());
    scene.acknowledged(2);
    scene.publish();
    scene.publish();
    // The fifth is a deletion.
    check(&mut scene, None).unwrap();
    assert!(check(&mut scene, Some(3)).is_err());
}

#[test]
fn filters_match_by_level() {
    assert!(is_match("a/#", "a/b/c") && is_match("a/#", "a") && is_match("a/+/c", "a/b/c"));
    assert!(
        !is_match("a/+", "a/b/c")
            && !is_match("a/b", "a")
            && !is_match("a", "a/b")
            && !is_match("b/#", "a/b")
    );
}
