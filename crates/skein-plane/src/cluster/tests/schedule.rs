//! Random steps of clients on several planes, with links that move a little at a time, lose what is not kept, and are made
//! anew; nodes that part and meet again, or end. Compared with plain lists of who subscribed to what.
//!
//! What must hold: a client gets what was published while its acknowledged subscription stood, once at QoS 1 and 2 and in
//! order for each publisher; every message of a group goes to one member; in the end all nodes keep the same retained
//! messages and know the same routes, and the ledgers add up.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use skein_cluster::{Gone, Key};
use skein_types::{Filter, QoS, SessionKey};

use super::net::{Ask, Net, message, removal, retained, topic};

const NODES: usize = 3;
/// Publishers, one on each node, then subscribers, two on each node.
const PUBLISHERS: usize = NODES;
const SUBSCRIBERS: usize = 2 * NODES;
const TOPICS: [&str; 4] = ["d/1", "d/2", "s/1", "r/1"];
const FILTERS: [&str; 4] = ["d/1", "d/+", "d/#", "d/2"];
const GROUPS: [&str; 2] = ["$share/g/s/+", "$share/h/s/1"];

#[derive(Clone, Debug)]
enum Step {
    Publish {
        publisher: usize,
        topic: &'static str,
        qos: QoS,
        times: u32,
        remove: bool,
    },
    Subscribe {
        subscriber: usize,
        filter: &'static str,
    },
    Unsubscribe {
        subscriber: usize,
        filter: &'static str,
    },
    Group {
        subscriber: usize,
        group: &'static str,
        join: bool,
    },
    Move {
        link: usize,
        what: u8,
        count: usize,
    },
    Cut {
        link: usize,
    },
    Mend {
        link: usize,
    },
    /// Everybody comes to rest.
    Rest,
    Acknowledge {
        subscriber: usize,
    },
    Pass {
        millis: u64,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    let subscriber = || 0..SUBSCRIBERS;
    let qos = prop::sample::select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce]);
    let link = || 0..NODES * (NODES - 1);
    let filter = || prop::sample::select(FILTERS.to_vec());
    prop_oneof![
        10 => (0..PUBLISHERS, prop::sample::select(TOPICS.to_vec()), qos, 1_u32..5, prop::bool::weighted(0.2))
            .prop_map(|(publisher, topic, qos, times, remove)| Step::Publish { publisher, topic, qos, times, remove }),
        4 => (subscriber(), filter()).prop_map(|(subscriber, filter)| Step::Subscribe { subscriber, filter }),
        1 => (subscriber(), filter()).prop_map(|(subscriber, filter)| Step::Unsubscribe { subscriber, filter }),
        3 => (subscriber(), prop::sample::select(GROUPS.to_vec()), prop::bool::weighted(0.7))
            .prop_map(|(subscriber, group, join)| Step::Group { subscriber, group, join }),
        20 => (link(), 0_u8..4, 1_usize..6).prop_map(|(link, what, count)| Step::Move { link, what, count }),
        2 => link().prop_map(|link| Step::Cut { link }),
        4 => link().prop_map(|link| Step::Mend { link }),
        2 => Just(Step::Rest),
        4 => subscriber().prop_map(|subscriber| Step::Acknowledge { subscriber }),
        1 => (100_u64..3000).prop_map(|millis| Step::Pass { millis }),
    ]
}

/// A subscription as the model knows it: which serials it surely gets, and which it may get.
#[derive(Debug, Default)]
struct Expected {
    surely: Vec<(QoS, u32)>,
    may: BTreeSet<u32>,
}

struct Model {
    net: Net,
    ways: Vec<(usize, usize)>,
    serial: u32,
    /// By subscriber, its filters and whether each is acknowledged by all nodes.
    filters: Vec<BTreeMap<&'static str, bool>>,
    members: BTreeMap<&'static str, BTreeSet<usize>>,
    /// Groups whose members have changed while messages were under way: those may have found nobody.
    unsure: BTreeSet<&'static str>,
    expected: Vec<Expected>,
    /// Serials by the group that one member must get each of.
    shared: Vec<(&'static str, QoS, u32, bool)>,
    publishers: BTreeMap<u32, usize>,
    sent: Vec<(&'static str, u32)>,
    cut: bool,
}

fn client(subscriber: usize) -> usize {
    PUBLISHERS + subscriber
}

impl Model {
    fn new() -> Self {
        let mut net = Net::of(NODES);
        for publisher in 0..PUBLISHERS {
            net.connect(publisher, publisher, Ask::default());
        }
        for subscriber in 0..SUBSCRIBERS {
            net.connect(subscriber % NODES, client(subscriber), Ask::default());
        }
        net.settle();
        let ways = net.links.keys().copied().collect();
        Self {
            net,
            ways,
            serial: 0,
            filters: vec![BTreeMap::new(); SUBSCRIBERS],
            members: BTreeMap::new(),
            unsure: BTreeSet::new(),
            expected: (0..SUBSCRIBERS).map(|_| Expected::default()).collect(),
            shared: Vec::new(),
            publishers: BTreeMap::new(),
            sent: Vec::new(),
            cut: false,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Publish { publisher, topic, qos, times, remove } => {
                for _ in 0..times {
                    self.publish(publisher, topic, qos, remove);
                }
                self.net.finish(publisher);
            }
            Step::Subscribe { subscriber, filter } => {
                self.net.subscribe(client(subscriber), filter, QoS::ExactlyOnce);
                self.filters[subscriber].entry(filter).or_insert(false);
                // What is under way to the node already may match.
                let of_filter = Filter::new(filter).unwrap();
                let before = self.sent.iter().filter(|(to, _)| of_filter.matches(&topic(to)));
                self.expected[subscriber].may.extend(before.map(|(_, serial)| *serial));
            }
            Step::Unsubscribe { subscriber, filter } => {
                let known = self.filters[subscriber].remove(filter).is_some();
                assert_eq!(self.net.unsubscribe(client(subscriber), filter), known);
                // What is under way may come to late.
                let expected = &mut self.expected[subscriber];
                expected.may.extend(expected.surely.drain(..).map(|(_, serial)| serial));
            }
            Step::Group { subscriber, group, join } => {
                let members = self.members.entry(group).or_default();
                if join {
                    self.net.subscribe(client(subscriber), group, QoS::ExactlyOnce);
                    members.insert(subscriber);
                } else if members.remove(&subscriber) {
                    self.net.unsubscribe(client(subscriber), group);
                }
                self.unsure.insert(group);
                for (of, _, _, sure) in &mut self.shared {
                    *sure &= *of != group;
                }
            }
            Step::Move { link, what, count } => {
                let (from, to) = self.ways[link];
                _ = match what {
                    0 => self.net.move_soft(from, to, count),
                    1 => self.net.move_runs(from, to, count),
                    2 => self.net.move_handled(from, to),
                    _ => self.net.move_told(from, to),
                };
                self.note_acknowledged();
            }
            Step::Cut { link } => {
                let (one, other) = self.ways[link];
                self.net.cut(one, other);
                self.cut = true;
            }
            Step::Mend { link } => {
                let (one, other) = self.ways[link];
                self.net.mend(one, other);
            }
            Step::Rest => self.rest(),
            Step::Acknowledge { subscriber } => _ = self.net.acknowledge(client(subscriber)),
            Step::Pass { millis } => self.net.pass(millis),
        }
    }

    /// G1: what every node has confirmed must match from now on.
    fn note_acknowledged(&mut self) {
        for number in 0..NODES {
            let own = &self.net.nodes[number].cluster.own().number();
            let all = self.net.nodes[number].cluster.peers().iter().all(|peer| peer.has_confirmed(*own));
            for subscriber in (0..SUBSCRIBERS).filter(|subscriber| all && subscriber % NODES == number) {
                self.filters[subscriber].values_mut().for_each(|acknowledged| *acknowledged = true);
            }
        }
    }

    fn publish(&mut self, publisher: usize, to: &'static str, qos: QoS, remove: bool) {
        self.note_acknowledged();
        self.serial += 1;
        let serial = self.serial;
        self.publishers.insert(serial, publisher);
        self.sent.push((to, serial));
        let sent = match (to.starts_with('r'), remove) {
            (true, true) => removal(to),
            (true, false) => retained(to, serial, qos),
            (false, _) => message(to, serial, qos),
        };
        self.net.publish(publisher, sent);
        for (subscriber, filters) in self.filters.iter().enumerate() {
            let matches = |filter: &str| Filter::new(filter).unwrap().matches(&topic(to));
            let found: Vec<bool> =
                filters.iter().filter(|(filter, _)| matches(filter)).map(|(_, sure)| *sure).collect();
            let expected = &mut self.expected[subscriber];
            match found.contains(&true) || (!found.is_empty() && subscriber % NODES == publisher) {
                true => expected.surely.push((qos, serial)),
                false if !found.is_empty() => _ = expected.may.insert(serial),
                false => {}
            }
        }
        if to == "s/1" {
            for group in GROUPS {
                let members = self.members.get(group).is_some_and(|members| !members.is_empty());
                self.shared.push((group, qos, serial, members && !self.unsure.contains(group)));
            }
        }
    }

    fn rest(&mut self) {
        for (one, other) in self.ways.clone() {
            self.net.mend(one, other);
        }
        self.net.drain();
        // What was said and lost is asked for, and what differs is found, within two rounds.
        for _ in 0..2 {
            self.net.pass(11_000);
            self.net.drain();
        }
        self.unsure.clear();
        self.note_acknowledged();
    }

    fn check(&mut self) {
        self.rest();
        self.check_received();
        self.check_groups();
        self.check_equal();
        self.net.check_ledgers(false);
    }

    fn check_received(&mut self) {
        for subscriber in 0..SUBSCRIBERS {
            self.net.read(client(subscriber));
            let received = &self.net.clients[&client(subscriber)].live.received;
            let direct: Vec<(QoS, u32)> = received
                .iter()
                .filter(|received| received.topic.starts_with('d'))
                .map(|received| (received.qos, received.serial))
                .collect();
            let serials: BTreeSet<u32> = direct.iter().map(|(_, serial)| *serial).collect();
            assert_eq!(serials.len(), direct.len(), "something came twice: {direct:?}");
            let Expected { surely, may } = &self.expected[subscriber];
            for (qos, serial) in surely {
                let lost = !serials.contains(serial);
                assert!(
                    !lost || (*qos == QoS::AtMostOnce && self.cut),
                    "{serial} at {qos:?} did not come: {direct:?}"
                );
            }
            let known: BTreeSet<u32> =
                surely.iter().map(|(_, serial)| *serial).chain(may.iter().copied()).collect();
            assert!(serials.is_subset(&known), "something nobody expected: {direct:?}");
            // Of one publisher, topic and quality of service in order.
            let mut last: BTreeMap<(usize, String, QoS), u32> = BTreeMap::new();
            for received in received.iter().filter(|received| received.topic.starts_with('d')) {
                let order = (self.publishers[&received.serial], received.topic.clone(), received.qos);
                let before = last.insert(order, received.serial).unwrap_or(0);
                assert!(before < received.serial, "{before} came before {}", received.serial);
            }
        }
    }

    fn check_groups(&mut self) {
        let mut came: BTreeMap<u32, usize> = BTreeMap::new();
        for subscriber in 0..SUBSCRIBERS {
            let received = &self.net.clients[&client(subscriber)].live.received;
            for received in received.iter().filter(|received| received.topic == "s/1") {
                *came.entry(received.serial).or_default() += 1;
            }
        }
        let mut least: BTreeMap<u32, usize> = BTreeMap::new();
        for (_, qos, serial, sure) in &self.shared {
            let sure = *sure && (*qos != QoS::AtMostOnce || !self.cut);
            *least.entry(*serial).or_default() += usize::from(sure);
        }
        for (serial, least) in least {
            let came = came.get(&serial).copied().unwrap_or(0);
            assert!(
                came >= least && came <= GROUPS.len(),
                "{serial} came {came} times, at least {least} expected"
            );
        }
        for node in &self.net.nodes {
            assert_eq!(node.plane.clustered().unwrap().tickets.len(), 0, "messages are kept for nobody");
        }
    }

    fn check_equal(&self) {
        let nodes = &self.net.nodes;
        let last = |number: usize| nodes[number].plane.retained().last(&topic("r/1"));
        let first = last(0).map(|stored| (stored.message.payload.clone(), stored.version));
        for number in 1..NODES {
            let other = last(number).map(|stored| (stored.message.payload.clone(), stored.version));
            assert_eq!(first, other, "retained on node {number}");
        }
        for text in TOPICS {
            let wanted = |number: usize| {
                let own = nodes[number].cluster.own().entries_after(None, usize::MAX, usize::MAX).1;
                own.iter().any(|(key, _)| match key {
                    Key::Route(route) => route.group.is_none() && route.filter.matches(&topic(text)),
                    _ => false,
                })
            };
            for (number, node) in nodes.iter().enumerate() {
                let route = node.plane.matcher().route(&topic(text), SessionKey(0));
                let found: Vec<usize> = route.nodes.iter().map(|peer| usize::from(peer.id().0) - 1).collect();
                let expected: Vec<usize> =
                    (0..NODES).filter(|other| *other != number && wanted(*other)).collect();
                assert_eq!(found, expected, "who gets {text} from node {number}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn planes_do_together_what_lists_do(steps in prop::collection::vec(any_step(), 1..120)) {
        let mut model = Model::new();
        for step in steps {
            model.take(step);
        }
        model.check();
    }

    /// Nodes part and meet again in the middle of everything: in the end they agree.
    #[test]
    fn planes_that_part_agree_when_they_meet(
        steps in prop::collection::vec((any_step(), prop::option::weighted(0.1, (0..NODES, 1..NODES))), 1..80),
    ) {
        let mut model = Model::new();
        let mut parted = BTreeSet::new();
        for (step, part) in steps {
            if let Some((one, by)) = part {
                let pair = (one.min((one + by) % NODES), one.max((one + by) % NODES));
                if parted.remove(&pair) {
                    model.net.join(pair.0, pair.1);
                } else {
                    model.net.lose(pair.0, pair.1, Gone::Failed);
                    model.net.lose(pair.1, pair.0, Gone::Failed);
                    parted.insert(pair);
                }
                model.ways = model.net.links.keys().copied().collect();
            }
            let is_over_a_link = matches!(step, Step::Move { .. } | Step::Cut { .. } | Step::Mend { .. });
            let in_range = |link: usize| link < model.ways.len();
            match &step {
                Step::Move { link, .. } | Step::Cut { link } | Step::Mend { link } if !in_range(*link) => {}
                _ if is_over_a_link || !matches!(step, Step::Rest) => model.take(step),
                _ => {}
            }
        }
        for (one, other) in parted {
            model.net.join(one, other);
        }
        model.ways = model.net.links.keys().copied().collect();
        model.rest();
        model.check_equal();
    }
}
