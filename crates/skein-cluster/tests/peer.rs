//! A peer's outbox against a plain model: what is kept is neither lost nor repeated nor reordered whatever happens to links,
//! and whatever is not kept is either taken or counted as dropped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Wake, Waker},
};

use bytes::Bytes;
use proptest::prelude::*;
use skein_cluster::{EncodedRun, Lane, NodeInfo, Peer, Room, Sent, Taken};
use skein_types::{Incarnation, NodeId};

fn peer() -> Arc<Peer> {
    Peer::new(NodeInfo {
        id: NodeId(2),
        incarnation: Incarnation(1),
        name: "n".into(),
        advertise: ([127, 0, 0, 1], 5777).into(),
        qrank: 1,
        server_reference: None,
    })
}

/// A run that is told apart by its length.
fn run(id: usize, kept: bool) -> EncodedRun {
    EncodedRun { bytes: Bytes::from(vec![0; id]), messages: 1, kept }
}

#[derive(Clone, Debug)]
enum Step {
    Send {
        kept: bool,
    },
    Take(usize),
    /// The peer handles so many more of what it has, and the word of it arrives or is lost.
    Handle {
        more: u64,
        heard: bool,
    },
    Cut,
    Link,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<bool>().prop_map(|kept| Step::Send { kept }),
        3 => (1_usize..200).prop_map(Step::Take),
        2 => (0_u64..4, any::<bool>()).prop_map(|(more, heard)| Step::Handle { more, heard }),
        1 => Just(Step::Cut),
        2 => Just(Step::Link),
    ]
}

#[derive(Default)]
struct Model {
    /// Ids of kept runs by number, and how many the receiver has, has handled, and is known to have handled.
    kept: Vec<usize>,
    received: u64,
    handled: u64,
    known: u64,
    /// Ids of all that was taken for the first time, in order.
    came: Vec<usize>,
    unkept_sent: u64,
    unkept_came: u64,
    linked: bool,
}

proptest! {
    #[test]
    fn kept_runs_survive_and_others_are_counted(steps in proptest::collection::vec(step(), 1..200)) {
        let peer = peer();
        let mut model = Model::default();
        for (at, step) in steps.into_iter().chain([Step::Cut, Step::Link, Step::Take(usize::MAX)]).enumerate() {
            apply(&peer, &mut model, at + 1, step);
        }
        prop_assert_eq!(model.received, model.kept.len() as u64, "all that is kept has come");
        prop_assert!(model.came.is_sorted(), "in order: {:?}", &model.came);
        prop_assert_eq!(peer.figures().dropped_messages, model.unkept_sent - model.unkept_came);
        peer.note_handled(model.received);
        let figures = peer.figures();
        prop_assert_eq!((figures.unhandled_runs, figures.unhandled_bytes, figures.queued_bytes), (0, 0, 0));
    }
}

fn apply(peer: &Peer, model: &mut Model, id: usize, step: Step) {
    match step {
        Step::Send { kept } => {
            let sent = peer.send(&run(id, kept));
            if kept {
                model.kept.push(id);
                assert_eq!(sent, Sent::Kept(model.kept.len() as u64));
            } else {
                model.unkept_sent += 1;
                assert_eq!(sent, if model.linked { Sent::Unkept } else { Sent::Dropped });
            }
        }
        Step::Take(bytes) if model.linked => {
            let mut taken = Taken::default();
            peer.take(Room { runs_bytes: bytes, ..Room::default() }, &mut taken);
            for (number, run) in taken.runs {
                let id = run.bytes.len();
                if let Some(number) = number {
                    assert_eq!(Some(&id), model.kept.get(number as usize - 1));
                    assert!(number <= model.received + 1, "{number} came after {}", model.received);
                    if number <= model.received {
                        continue;
                    }
                    model.received = number;
                } else {
                    model.unkept_came += 1;
                }
                model.came.push(id);
            }
        }
        Step::Handle { more, heard } => {
            model.handled = model.received.min(model.handled + more);
            if heard && model.linked {
                peer.note_handled(model.handled);
                model.known = model.handled;
            }
        }
        Step::Cut if model.linked => {
            peer.link_closed();
            model.linked = false;
        }
        Step::Link if !model.linked => {
            peer.link_opened(model.handled, Waker::noop().clone());
            model.known = model.handled;
            model.linked = true;
        }
        Step::Take(_) | Step::Cut | Step::Link => {}
    }
    assert!(peer.has_handled(model.known));
    assert!(!peer.has_handled(model.known + 1), "nothing is handled before the peer says so");
    assert_eq!(peer.figures().unhandled_runs as u64, model.kept.len() as u64 - model.known);
}

#[derive(Default)]
struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn a_link_is_woken_once_for_all_that_waits() {
    let (peer, count) = (peer(), Arc::new(Count::default()));
    peer.link_opened(0, Waker::from(count.clone()));
    peer.flush();
    assert_eq!(count.0.load(Relaxed), 0, "nothing waits");
    for id in 1..=10 {
        peer.send(&run(id, true));
        peer.flush();
    }
    assert_eq!(count.0.load(Relaxed), 1);
    peer.take(Room { runs_bytes: 3, ..Room::default() }, &mut Taken::default());
    peer.flush();
    assert_eq!(count.0.load(Relaxed), 1, "whoever leaves something comes back for it");
    peer.take(Room { runs_bytes: 1000, ..Room::default() }, &mut Taken::default());
    peer.announce(Lane::Bulk, 1, Bytes::new());
    peer.flush();
    peer.flush();
    assert_eq!(count.0.load(Relaxed), 2);
}

#[test]
fn a_peer_cannot_say_that_it_has_handled_what_it_was_never_sent() {
    let peer = peer();
    peer.link_opened(7, Waker::noop().clone());
    peer.send(&run(1, true));
    peer.note_handled(u64::MAX);
    assert!(!peer.has_handled(1));
    assert_eq!(peer.take_run().map(|(number, _)| number), Some(Some(1)));
    peer.note_handled(u64::MAX);
    assert!(peer.has_handled(1) && !peer.has_handled(2));
}

#[test]
fn too_much_to_be_told_cuts_the_link_and_is_forgotten_with_it() {
    let peer = peer();
    peer.link_opened(0, Waker::noop().clone());
    let body = Bytes::from(vec![0; 1 << 20]);
    for _ in 0..63 {
        peer.announce(Lane::Bulk, 1, body.clone());
    }
    assert!(!peer.is_overrun());
    peer.announce(Lane::Bulk, 1, body.clone());
    peer.announce(Lane::Bulk, 1, body.clone());
    peer.announce(Lane::Bulk, 1, body);
    assert!(peer.is_overrun());
    peer.link_closed();
    assert!(!peer.is_overrun() && peer.take_announcement().is_none());
}

/// What is told without a body takes memory all the same.
#[test]
fn what_is_told_without_a_body_is_bounded_too() {
    let peer = peer();
    for _ in 0..2_000_000 {
        peer.announce(Lane::Bulk, 1, Bytes::new());
    }
    assert!(peer.is_overrun());
    while peer.take_announcement().is_some() {}
    peer.link_closed();
    peer.announce(Lane::Bulk, 1, Bytes::new());
    assert!(!peer.is_overrun(), "room was given back");
}

#[test]
fn told_goes_by_lane_and_in_order() {
    let peer = peer();
    for (lane, kind) in
        [(Lane::Bulk, 1), (Lane::Control, 2), (Lane::Bulk, 3), (Lane::Messages, 4), (Lane::Control, 5)]
    {
        peer.announce(lane, kind, Bytes::new());
    }
    let kinds: Vec<u8> = std::iter::from_fn(|| peer.take_announcement()).map(|told| told.kind).collect();
    assert_eq!(kinds, [2, 5, 4, 1, 3]);
}
