//! Cores against each other without a network: who is let in, which link stays, and what becomes of soft state.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use skein_types::SubscriptionFilter;

use super::*;
use crate::{Change, Inbound, Key, Lane, Value};

#[derive(Debug, Default)]
struct Recorder {
    calls: Mutex<Vec<String>>,
}

impl Host for Recorder {
    fn node_up(&self, peer: &Arc<Peer>, _now: Moment) {
        self.calls.lock().push(format!("up {}", peer.id()));
    }
    fn node_gone(&self, peer: &Arc<Peer>, gone: Gone, _now: Moment) {
        self.calls.lock().push(format!("gone {} {gone:?}", peer.id()));
    }
    fn apply(&self, from: &Arc<Peer>, changes: &[Change], _now: Moment) {
        self.calls.lock().push(format!("apply {} {}", from.id(), changes.len()));
    }
    fn received(&self, from: &Arc<Peer>, _lane: Lane, kind: u8, _body: Bytes, _now: Moment) {
        self.calls.lock().push(format!("told {} {kind}", from.id()));
    }
    fn inbound(&self, _from: &Arc<Peer>) -> Box<dyn Inbound> {
        unreachable!("no messages cross here")
    }
}

struct TestNode {
    core: Core,
    host: Arc<Recorder>,
    /// Actions other than frames.
    actions: Vec<Action>,
}

/// Nodes, and frames that cross at once.
struct Table {
    nodes: Vec<TestNode>,
    now: Moment,
    last_link: u64,
    /// Which node and link is at the other end.
    ends: BTreeMap<(usize, LinkId), (usize, LinkId)>,
}

fn info(id: u16, incarnation: u64, host: u8) -> NodeInfo {
    NodeInfo {
        id: NodeId(id),
        incarnation: Incarnation(incarnation),
        name: Arc::from(format!("n{id}")),
        advertise: ([10, 0, 0, host], 5777).into(),
        qrank: 1,
        server_reference: None,
    }
}

impl Table {
    fn new(infos: &[NodeInfo]) -> Self {
        let nodes = infos.iter().map(|info| {
            let host = Arc::new(Recorder::default());
            let core = Core::new(Cluster::new(info.clone()), host.clone(), LinkSettings::default(), 1);
            TestNode { core, host, actions: Vec::new() }
        });
        Self { nodes: nodes.collect(), now: Moment::from_millis(1000), last_link: 0, ends: BTreeMap::new() }
    }

    fn event(&mut self, node: usize, event: Event) {
        let mut out = Vec::new();
        self.nodes[node].core.handle(event, self.now, &mut out);
        for action in out {
            match action {
                Action::Control { link, frame } => {
                    if let Some((other, link)) = self.ends.get(&(node, link)).copied() {
                        self.event(other, Event::Control { link, frame });
                    }
                }
                action => {
                    if let Action::Close { link, .. } = action
                        && let Some((other, link)) = self.ends.remove(&(node, link))
                    {
                        self.ends.remove(&(other, link));
                        self.event(other, Event::LinkClosed { link });
                    }
                    self.nodes[node].actions.push(action);
                }
            }
        }
    }

    /// One node dials another.
    fn dial(&mut self, from: usize, to: usize) -> (LinkId, LinkId) {
        let address = |node: &TestNode| node.core.cluster.me().advertise;
        let (here, there) = (address(&self.nodes[from]), address(&self.nodes[to]));
        self.last_link += 2;
        let (ours, theirs) = (LinkId(self.last_link), LinkId(self.last_link + 1));
        self.ends.insert((from, ours), (to, theirs));
        self.ends.insert((to, theirs), (from, ours));
        self.event(to, Event::LinkOpened { link: theirs, dialled: None, remote: here });
        self.event(from, Event::LinkOpened { link: ours, dialled: Some(there), remote: there });
        (ours, theirs)
    }

    fn gossip(&mut self) {
        let infos: Vec<_> = self.nodes.iter().map(|node| (*node.core.cluster.me()).clone()).collect();
        for node in 0..self.nodes.len() {
            for info in infos.clone() {
                self.event(node, Event::Alive(info));
            }
        }
    }

    fn wait(&mut self, millis: u64) {
        self.now = self.now.after(Duration::from_millis(millis));
        for node in 0..self.nodes.len() {
            self.event(node, Event::Tick);
        }
    }

    fn calls(&self, node: usize) -> Vec<String> {
        self.nodes[node].host.calls.lock().clone()
    }

    fn refused(&self, node: usize) -> Option<String> {
        self.nodes[node].actions.iter().find_map(|action| match action {
            Action::Refused(refused) => Some(refused.to_string()),
            _ => None,
        })
    }

    fn cluster(&self, node: usize) -> &Cluster {
        &self.nodes[node].core.cluster
    }

    fn link(&self, node: usize, id: u16) -> Option<LinkId> {
        self.nodes[node].core.members.get(&NodeId(id))?.link
    }
}

fn subscribe(cluster: &Cluster, filter: &str) -> u64 {
    cluster.own().set(Key::Route(SubscriptionFilter::new(filter).unwrap()), Some(Value::Members(1)))
}

#[test]
fn two_nodes_meet_and_say_what_changes() {
    let mut table = Table::new(&[info(1, 10, 1), info(2, 20, 2)]);
    subscribe(table.cluster(0), "before/#");
    table.dial(0, 1);
    assert_eq!(table.calls(1), ["apply 1 1"], "gossip has not heard it");
    table.gossip();
    assert_eq!(table.calls(1), ["apply 1 1", "up 1"]);
    let number = subscribe(table.cluster(0), "after/#");
    let peer = table.cluster(0).peer(NodeId(2)).unwrap();
    assert!(!peer.has_confirmed(number));
    table.event(0, Event::Flush);
    assert!(peer.has_confirmed(number));
    assert!(table.cluster(0).is_joined() && table.cluster(1).is_joined());
    let ups =
        |actions: &[Action]| actions.iter().filter(|action| matches!(action, Action::Notify(_))).count();
    assert_eq!(ups(&table.nodes[0].actions), 1);
}

#[test]
fn a_link_that_is_made_again_goes_on_where_it_ended() {
    let mut table = Table::new(&[info(1, 10, 1), info(2, 20, 2)]);
    subscribe(table.cluster(0), "a");
    let (ours, theirs) = table.dial(0, 1);
    table.gossip();
    table.ends.clear();
    table.event(0, Event::LinkClosed { link: ours });
    table.event(1, Event::LinkClosed { link: theirs });
    subscribe(table.cluster(0), "b");
    table.dial(1, 0);
    assert_eq!(table.calls(1), ["apply 1 1", "up 1", "apply 1 1"]);
    assert_eq!(table.nodes[1].core.figures().copies_received, 1, "the second link needed none");
}

#[test]
fn a_link_that_is_not_made_again_in_time_ends_its_peer_and_every_wait_for_it() {
    let mut table = Table::new(&[info(1, 10, 1), info(2, 20, 2)]);
    let (ours, _) = table.dial(0, 1);
    table.gossip();
    table.ends.clear();
    let number = subscribe(table.cluster(0), "a");
    let peer = table.cluster(0).peer(NodeId(2)).unwrap();
    table.event(0, Event::LinkClosed { link: ours });
    table.wait(1999);
    assert!(!peer.has_confirmed(number));
    table.wait(1);
    assert!(peer.has_confirmed(number), "nobody waits for a peer that is down");
    assert_eq!(table.calls(0), ["up 2", "gone 2 Failed"]);
    assert!(table.nodes[0].actions.iter().any(|action| matches!(action, Action::DeclareDown(_))));
    // It comes back with the same life, is told so, and begins another one.
    table.dial(1, 0);
    assert_eq!(table.cluster(1).me().incarnation, Incarnation(21));
    table.dial(1, 0);
    table.gossip();
    assert_eq!(table.calls(0).last().unwrap(), "up 2");
    assert_eq!(table.nodes[1].core.figures().renewals, 1);
}

#[test]
fn an_id_that_is_taken_stops_the_newcomer_and_nobody_else() {
    let mut table = Table::new(&[info(1, 10, 1), info(2, 20, 2), info(2, 30, 3)]);
    table.dial(0, 1);
    table.gossip();
    table.dial(2, 0);
    let text = table.refused(2).expect("the newcomer is refused");
    assert!(text.contains("node id 2") && text.contains("n2 at 10.0.0.2:5777"), "{text}");
    assert_eq!((table.refused(0), table.refused(1)), (None, None));
    assert_eq!(table.calls(0), ["up 2"]);
    assert_eq!(table.nodes[0].core.figures().refused["id_taken"], 1);
}

#[test]
fn a_node_that_dials_a_newcomer_with_its_own_id_goes_on() {
    let mut table = Table::new(&[info(1, 10, 1), info(2, 20, 2), info(1, 30, 3)]);
    table.dial(0, 1);
    table.gossip();
    table.dial(0, 2);
    assert!(table.refused(2).is_some());
    assert_eq!(table.refused(0), None);
}

#[test]
fn of_two_newcomers_with_one_id_one_stops() {
    for dialler in [0, 1] {
        let mut table = Table::new(&[info(1, 10, 1), info(1, 30, 3)]);
        table.dial(dialler, 1 - dialler);
        assert_eq!((table.refused(0), table.refused(1).is_some()), (None, true), "dialled by {dialler}");
    }
}

#[test]
fn an_id_whose_owner_has_no_link_is_given_away_once_that_one_is_down() {
    let mut table = Table::new(&[info(1, 10, 1), info(2, 20, 2), info(2, 30, 3)]);
    let (ours, _) = table.dial(0, 1);
    table.gossip();
    table.ends.clear();
    table.event(0, Event::LinkClosed { link: ours });
    table.dial(2, 0);
    assert_eq!(table.refused(2), None);
    assert_eq!(table.nodes[0].core.figures().refused["try_later"], 1);
    table.wait(2000);
    table.dial(2, 0);
    assert_eq!(table.cluster(0).peer(NodeId(2)).unwrap().info().advertise.to_string(), "10.0.0.3:5777");
}

#[test]
fn a_restart_ends_the_earlier_life_first() {
    let mut table = Table::new(&[info(1, 10, 1), info(2, 20, 2), info(2, 30, 2)]);
    table.dial(0, 1);
    table.gossip();
    table.dial(2, 0);
    table.event(0, Event::Alive(info(2, 30, 2)));
    assert_eq!(table.calls(0), ["up 2", "gone 2 Restarted", "up 2"]);
    // The earlier one can not come back.
    table.event(0, Event::Alive(info(2, 20, 2)));
    assert_eq!(table.cluster(0).peer(NodeId(2)).unwrap().info().incarnation, Incarnation(30));
}

#[test]
fn a_node_that_dials_itself_notices() {
    let mut table = Table::new(&[info(1, 10, 1)]);
    let seed = ([192, 168, 0, 1], 5777).into();
    table.event(0, Event::Candidates(vec![seed]));
    table.ends.insert((0, LinkId(1)), (0, LinkId(2)));
    table.ends.insert((0, LinkId(2)), (0, LinkId(1)));
    table.event(0, Event::LinkOpened { link: LinkId(2), dialled: None, remote: seed });
    table.event(0, Event::LinkOpened { link: LinkId(1), dialled: Some(seed), remote: seed });
    assert_eq!((table.refused(0), table.calls(0).len()), (None, 0));
    assert!(table.cluster(0).is_joined(), "there is nobody else");
    table.nodes[0].actions.clear();
    table.wait(3_600_000);
    assert!(table.nodes[0].actions.is_empty(), "it is not dialled again");
}

#[test]
fn an_address_of_the_loopback_is_refused_where_peers_are_elsewhere() {
    let local = NodeInfo { advertise: ([127, 0, 0, 1], 5777).into(), ..info(2, 20, 2) };
    let mut table = Table::new(&[info(1, 10, 1), local]);
    table.last_link = 2;
    table.ends.insert((0, LinkId(3)), (1, LinkId(2)));
    table.ends.insert((1, LinkId(2)), (0, LinkId(3)));
    let (one, two) = ((["10.0.0.1", "5777"]).join(":"), "10.0.0.2:40000");
    let (one, two) = (one.parse().unwrap(), two.parse().unwrap());
    table.event(0, Event::LinkOpened { link: LinkId(3), dialled: None, remote: two });
    table.event(1, Event::LinkOpened { link: LinkId(2), dialled: Some(one), remote: one });
    let text = table.refused(1).expect("it is told");
    assert!(text.contains("advertises 127.0.0.1:5777") && text.contains("10.0.0.1:5777"), "{text}");
    assert_eq!(table.nodes[0].core.figures().refused["unreachable_address"], 1);
}

#[test]
fn of_two_links_the_one_dialled_by_the_lower_node_stays() {
    for first in [0, 1] {
        let mut table = Table::new(&[info(1, 10, 1), info(2, 20, 2)]);
        table.dial(first, 1 - first);
        table.dial(1 - first, first);
        let (one, two) = (table.link(0, 2).unwrap(), table.link(1, 1).unwrap());
        assert_eq!(table.ends.get(&(0, one)), Some(&(1, two)), "both have the same one");
        // A link dialled by the lower one replaces the other's; one dialled by the higher one is closed again.
        assert_eq!(one.0, if first == 0 { 2 } else { 4 });
        assert_eq!(table.cluster(0).peers().len(), 1);
    }
}

#[test]
fn a_half_open_link_gives_way_to_one_that_the_other_side_needs() {
    let mut table = Table::new(&[info(1, 10, 1), info(2, 20, 2)]);
    let (_, theirs) = table.dial(0, 1);
    table.gossip();
    // Only the higher one notices, and its own dial comes second to a link dialled by the lower one.
    table.ends.clear();
    table.event(1, Event::LinkClosed { link: theirs });
    let (ours, theirs) = table.dial(1, 0);
    assert_eq!((table.link(1, 1), table.link(0, 2)), (Some(ours), Some(theirs)));
    assert_eq!(table.calls(0), ["up 2"], "and nothing else happened");
}

#[test]
fn who_leaves_is_gone_at_once() {
    let mut table = Table::new(&[info(1, 10, 1), info(2, 20, 2)]);
    table.dial(0, 1);
    table.gossip();
    table.event(1, Event::Drain);
    table.event(1, Event::Leave);
    let notes = table.nodes[0].actions.iter().filter_map(|action| match action {
        Action::Notify(note) => Some(note.clone()),
        _ => None,
    });
    let two = info(2, 20, 2);
    let expected = [
        Notification::Up(two.clone()),
        Notification::Leaving(two.clone()),
        Notification::Down(two, Gone::Left),
    ];
    assert_eq!(notes.collect::<Vec<_>>(), expected);
    assert_eq!(table.calls(0), ["up 2", "gone 2 Left"]);
    assert_eq!(table.nodes[1].core.next_due(), None);
}

#[test]
fn renewals_do_not_spin() {
    let mut table = Table::new(&[info(1, 10, 1)]);
    for _ in 0..1000 {
        let incarnation = table.cluster(0).me().incarnation;
        table.event(0, Event::GivenUp { incarnation });
        table.wait(10);
    }
    assert_eq!(table.nodes[0].core.figures().renewals, 5, "at 0, 0.5, 1.5, 3.5 and 7.5 seconds");
}

#[test]
fn garbage_closes_its_link_and_nothing_else() {
    let mut table = Table::new(&[info(1, 10, 1), info(2, 20, 2)]);
    table.dial(0, 1);
    table.gossip();
    let link = LinkId(77);
    table.event(0, Event::LinkOpened { link, dialled: None, remote: ([10, 0, 0, 9], 1).into() });
    table.event(0, Event::Control { link, frame: Bytes::from_static(b"\xff\xff") });
    let closed =
        |action: &Action| matches!(action, Action::Close { link: LinkId(77), why: CloseReason::Faulty(_) });
    assert!(table.nodes[0].actions.iter().any(closed));
    assert_eq!(table.cluster(0).peers().len(), 1);
    // Nor does saying nothing keep one open.
    let link = LinkId(79);
    table.event(0, Event::LinkOpened { link, dialled: None, remote: ([10, 0, 0, 9], 1).into() });
    table.wait(4000);
    let silent =
        |action: &Action| matches!(action, Action::Close { link: LinkId(79), why: CloseReason::Silent });
    assert!(table.nodes[0].actions.iter().any(silent));
}

#[test]
fn dials_that_fail_come_ever_more_rarely() {
    let mut table = Table::new(&[info(1, 10, 1)]);
    let seed = ([10, 0, 0, 9], 5777).into();
    table.event(0, Event::Candidates(vec![seed]));
    let mut dials = 0;
    for _ in 0..6000 {
        for action in std::mem::take(&mut table.nodes[0].actions) {
            if let Action::Dial { to } = action {
                dials += 1;
                table.event(0, Event::DialFailed { to });
            }
        }
        table.wait(10);
    }
    assert!((15..30).contains(&dials), "{dials} dials in a minute");
}
