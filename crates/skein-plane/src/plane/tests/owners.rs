//! A session belongs to a user, and what it keeps is checked against the rules of now.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use skein_access::{Access, AccessList, Anonymous, Authenticated, Door, Identity};
use skein_types::{Code, Message, Moment, QoS, SubscriptionFilter, Topic, UserName};

use super::{
    client::{Live, Memory, TestSocket, client_id, connection},
    world::LIMITS,
};
use crate::{
    Batch, DropReason, EXPIRY_NEVER_SECS, Ending, Open, Plane, PlaneLimits, Publisher, RetainHandling,
    SubscribeOptions, TaskHandle, Will, WindowLimits, matcher::tests::PLAIN,
};

const NOW: Moment = Moment::from_millis(1);
const EVERYTHING: &str =
    "[[users]]\nname = \"ann\"\n[[users]]\nname = \"bob\"\n[[rules]]\nallow = true\nfilters = [\"#\"]\n";

fn plane() -> Plane {
    let access = Access::new(AccessList::parse(EVERYTHING).unwrap(), Anonymous::Always);
    Plane::new(Arc::new(access), PlaneLimits { retained_messages_max: 10, ..PlaneLimits::default() })
}

fn open(plane: &Plane, user: Option<&str>, clean_start: bool, expiry_secs: u32, will: Option<Will>) -> Open {
    let identity = Identity::anonymous(client_id(1), IpAddr::from([127, 0, 0, 1]), Door::Mqtt);
    let identity = match user {
        Some(user) => {
            identity.authenticated(Authenticated { user: UserName::new(user), roles: Arc::from([]) })
        }
        None => identity,
    };
    Open {
        client_id: client_id(1),
        clean_start,
        expiry_secs,
        window: WindowLimits::unacknowledged(100),
        will,
        access: Some(Arc::new(plane.access().bind(identity))),
        limits: Arc::new(LIMITS),
        durability: crate::Durability::Memory,
    }
}

fn connect(plane: &Plane, open: Open) -> Result<Live, Code> {
    let socket = Arc::<TestSocket>::default();
    socket.give_room(usize::MAX);
    let connection = connection(1, Some(socket.clone()), Arc::new(TaskHandle::default()), NOW);
    let mut batch = Batch::default();
    let opened = plane.open(open, connection, &mut batch, NOW);
    plane.finish_unattended(&mut batch, NOW);
    opened.map(|opened| Live::new(opened.session, opened.epoch, Some(socket)))
}

fn close(plane: &Plane, live: &Live, ending: Ending) {
    let mut batch = Batch::default();
    plane.close(&live.session, live.epoch, ending, None, &mut batch, NOW);
    plane.finish_unattended(&mut batch, NOW);
}

fn subscribe(plane: &Plane, live: &Live, filter: &str) -> Result<(), Code> {
    let mut batch = Batch::default();
    let options = SubscribeOptions { qos: QoS::AtLeastOnce, ..PLAIN };
    let filter = SubscriptionFilter::new(filter).unwrap();
    let made = plane.subscribe(&live.session, live.epoch, filter, options, RetainHandling::Never, &mut batch);
    plane.finish_unattended(&mut batch, NOW);
    made
}

fn publish(plane: &Plane, topic: &str) {
    let mut batch = Batch::default();
    let message = Message::new(Topic::try_from(topic).unwrap(), Bytes::from_static(b"1"), QoS::AtLeastOnce);
    plane.publish(&mut Publisher::default(), &mut batch, message, NOW);
    plane.finish_unattended(&mut batch, NOW);
}

fn will(topic: &str) -> Option<Will> {
    let message = Message::new(Topic::try_from(topic).unwrap(), Bytes::from_static(b"gone"), QoS::AtMostOnce);
    Some(Will { message, expiry_secs: None, delay_secs: 0 })
}

#[test]
fn another_user_gets_neither_the_session_nor_its_place() {
    for (owner, others) in [(Some("ann"), [Some("bob"), None]), (None, [Some("ann"), Some("bob")])] {
        for connected in [true, false] {
            let plane = plane();
            let first = connect(&plane, open(&plane, owner, false, EXPIRY_NEVER_SECS, None)).unwrap();
            subscribe(&plane, &first, "a/#").unwrap();
            if !connected {
                close(&plane, &first, Ending::Graceful);
            }
            for other in others {
                for clean in [false, true] {
                    let refused = connect(&plane, open(&plane, other, clean, 10, will("will/other")));
                    assert_eq!(refused.err(), Some(Code::NotAuthorized), "{owner:?} {other:?} clean {clean}");
                }
            }
            assert_eq!(first.session.is_connected(), connected);
            publish(&plane, "a/b");
            let mut again = connect(&plane, open(&plane, owner, false, EXPIRY_NEVER_SECS, None)).unwrap();
            again.read(&[], &mut Memory::default());
            assert_eq!(again.received.len(), 1, "what waited is still there");
            assert!(Arc::ptr_eq(&first.session, &again.session));
        }
    }
}

#[test]
fn what_is_over_belongs_to_nobody() {
    let plane = plane();
    let first = connect(&plane, open(&plane, Some("ann"), false, 0, None)).unwrap();
    close(&plane, &first, Ending::Graceful);
    let second = connect(&plane, open(&plane, Some("bob"), false, 10, None)).unwrap();
    close(&plane, &second, Ending::Graceful);
    plane.expire(&mut Batch::default(), NOW.after_secs(9));
    assert!(connect(&plane, open(&plane, Some("ann"), false, 0, None)).is_err());
    plane.expire(&mut Batch::default(), NOW.after_secs(10));
    assert!(connect(&plane, open(&plane, Some("ann"), false, 0, None)).is_ok());
}

#[test]
fn what_a_session_kept_is_checked_again_when_it_is_resumed() {
    let plane = plane();
    let first = connect(&plane, open(&plane, Some("ann"), false, EXPIRY_NEVER_SECS, None)).unwrap();
    subscribe(&plane, &first, "a/#").unwrap();
    subscribe(&plane, &first, "b/#").unwrap();
    publish(&plane, "a/sent");
    close(&plane, &first, Ending::Graceful);
    publish(&plane, "a/waiting");
    publish(&plane, "b/waiting");
    let rules = EVERYTHING.replace("[[rules]]", "[[rules]]\nallow = false\nfilters = [\"a/#\"]\n[[rules]]");
    plane.access().reload(&rules).unwrap();
    let mut again = connect(&plane, open(&plane, Some("ann"), false, EXPIRY_NEVER_SECS, None)).unwrap();
    again.read(&[], &mut Memory::default());
    let topics: Vec<&str> = again.received.iter().map(|received| &*received.topic).collect();
    assert_eq!(topics, ["b/waiting"]);
    assert_eq!(again.session.info().subscriptions_count, 1);
    let figures = plane.ledger().figures();
    assert_eq!(figures.dropped[DropReason::Forbidden as usize], 2, "{figures:?}");
    assert_eq!(figures.pending, 1, "{figures:?}");
}

#[test]
fn a_will_is_checked_when_it_is_published() {
    let watched = |text: Option<&str>| {
        let plane = plane();
        let socket = Arc::<TestSocket>::default();
        socket.give_room(usize::MAX);
        let watcher = Open { client_id: client_id(2), ..open(&plane, None, true, 0, None) };
        let mut batch = Batch::default();
        let watching = connection(1, Some(socket.clone()), Arc::new(TaskHandle::default()), NOW);
        let opened = plane.open(watcher, watching, &mut batch, NOW).unwrap();
        plane.finish_unattended(&mut batch, NOW);
        let mut watcher = Live::new(opened.session, opened.epoch, Some(socket));
        subscribe(&plane, &watcher, "will/#").unwrap();
        let gone = connect(&plane, open(&plane, Some("ann"), true, 0, will("will/ann"))).unwrap();
        if let Some(text) = text {
            plane.access().reload(text).unwrap();
        }
        close(&plane, &gone, Ending::WithWill(Code::ConnectionLost));
        watcher.read(&[], &mut Memory::default());
        (watcher.received.len(), plane.ledger().figures().wills_forbidden)
    };
    assert_eq!(watched(None), (1, 0));
    let forbidden = EVERYTHING.replace(
        "[[rules]]",
        "[[rules]]\nallow = false\nactions = [\"publish\"]\nfilters = [\"will/#\"]\n[[rules]]",
    );
    assert_eq!(watched(Some(&forbidden)), (0, 1), "the rules of now forbid it");
    let removed = EVERYTHING.replace("[[users]]\nname = \"ann\"\n", "");
    assert_eq!(watched(Some(&removed)), (0, 1), "the user is gone");
}

#[test]
fn a_rule_ties_client_ids_to_users() {
    let rules = EVERYTHING.replace(
        "[[rules]]",
        "[[rules]]\nallow = true\nactions = [\"connect\"]\nclient_ids = [\"client-1\"]\nusers = [\"ann\"]\n\
         [[rules]]\nallow = false\nactions = [\"connect\"]\n[[rules]]",
    );
    let plane = plane();
    let bob = connect(&plane, open(&plane, Some("bob"), true, 0, None)).unwrap();
    plane.access().reload(&rules).unwrap();
    plane.enforce_access(&mut Batch::default(), NOW);
    assert!(!bob.session.is_connected(), "the rules of now do not let him have this id");
    assert_eq!(connect(&plane, open(&plane, Some("bob"), true, 0, None)).err(), Some(Code::NotAuthorized));
    assert!(connect(&plane, open(&plane, Some("ann"), true, 0, None)).is_ok());
}
