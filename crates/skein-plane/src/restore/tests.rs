//! Rows as a kill can leave them, which no order of the plane's own steps in one thread writes.

use std::{sync::Arc, time::Duration};

use skein_access::{Access, AccessList, Anonymous, Door, Identity, UserSource};
use skein_store::{Options, Store, Time};
use skein_types::{ClientId, Moment, QoS, SessionKey, Stamp};

use super::*;
use crate::{
    Durable, PlaneLimits, QueueLimits, WallClock,
    delivery::{Next, WindowLimits},
    rows::QueueEntry,
    schema,
    wire::{DeliveryOptions, SubscriptionIds},
};

const SESSION_KEY: SessionKey = SessionKey(7);
const LIMITS: SessionLimits = SessionLimits {
    outbox_bytes_max: 8000,
    queue: QueueLimits { messages_max: 12, bytes_max: 20_000 },
    slow_consumer_timeout: Duration::from_secs(10),
    subscriptions_max: 8,
    subscriptions_bytes_max: usize::MAX,
};

/// A store with a session whose queue refers to a message that is gone.
fn store_without_message(qos: QoS) -> Store {
    let store = Store::open(schema(), Options::memory()).unwrap();
    let clock = WallClock::new(Time(0));
    let session = SessionRow {
        key: SESSION_KEY,
        identity: Identity {
            user: None,
            source: UserSource::Outside,
            roles: Vec::new().into(),
            client_id: ClientId::new("client"),
            address: [127, 0, 0, 1].into(),
            door: Door::Mqtt,
        },
        expiry_secs: 100,
        expires_at: None,
        will: None,
        will_at: None,
        claimed: Stamp::default(),
        owned_since: Stamp::default(),
    };
    let options = DeliveryOptions { qos, retain: false, ids: SubscriptionIds::None };
    let entry = QueueEntry { session: SESSION_KEY, seq: 4, options: &options, sent: true, group: None };
    let mut batch = store.batch();
    batch.put(SESSION, rows::session_row(&session, clock)).unwrap();
    batch.put(QUEUE, rows::queue_row_with_reference(&entry, 1)).unwrap();
    store.commit(batch).unwrap();
    store
}

fn restored(store: Store) -> (Plane, Restored) {
    let access = Arc::new(Access::new(AccessList::open(), Anonymous::Always));
    let plane = Plane::new(access, PlaneLimits { retained_messages_max: 100, ..PlaneLimits::default() })
        .with_durable(Durable::new(store, WallClock::new(Time(0))));
    let restored = plane.restore(&Arc::new(LIMITS), &mut Batch::default(), Moment::from_millis(1)).unwrap();
    (plane, restored)
}

/// The last recipient's PUBREC removed the message before the first one's was on disk. The client that sent it keeps
/// the id until it is released, and would drop the next message under it.
#[test]
fn a_qos_2_message_whose_row_is_gone_is_released() {
    let (plane, restored) = restored(store_without_message(QoS::ExactlyOnce));
    assert_eq!((restored.sessions, restored.queued_messages, restored.orphans), (1, 1, 0));
    let id = ClientId::new("client");
    let session = plane.sessions().shard(&id).get(&id).unwrap().clone();
    let mut state = session.lock();
    state.delivery.connected(WindowLimits::unacknowledged(u16::MAX.into()));
    let next = state.delivery.next(Moment::from_millis(1), &mut 0);
    assert!(matches!(next, Some(Next::Release(id)) if id == 4), "{next:?}");
}

/// At QoS 1 the client is done with the message.
#[test]
fn a_qos_1_message_whose_row_is_gone_is_gone() {
    let (_plane, restored) = restored(store_without_message(QoS::AtLeastOnce));
    assert_eq!((restored.sessions, restored.queued_messages, restored.orphans), (1, 0, 1));
}
