//! One seeded schedule: nodes start, clients come and go, things break, everything heals, and everything is checked.

use bytes::Bytes;
use skein_cluster::{Event, Key, Lane, RunEncoder, Sent, Value, Waits};
use skein_types::{ClientId, Message, Moment, QoS, SubscriptionFilter, Topic};

use super::{
    node::Promise,
    random::{Dice, Trace},
    world::World,
};

const CLIENTS: u64 = 6;
const TOPICS: u64 = 8;
/// Every delay of the cores has passed by then: damping and renewals wait for half a minute at most.
const HEAL_MS_MAX: u64 = 180_000;

/// What a schedule came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) trace: Trace,
    pub(crate) faults: Vec<String>,
    pub(crate) figures: Figures,
}

/// What happened, over all nodes that were there in the end; of several schedules the sums, and the longest healing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) healed_after_ms: u64,
    pub(crate) promises: u64,
    pub(crate) kept_messages: u64,
    pub(crate) unkept_messages: u64,
    pub(crate) links_cut: u64,
    pub(crate) links_replaced: u64,
    pub(crate) renewals: u64,
    pub(crate) declared_down: u64,
    pub(crate) copies: u64,
    pub(crate) refused: u64,
}

impl Figures {
    pub(crate) fn add(&mut self, other: &Self) {
        self.healed_after_ms = self.healed_after_ms.max(other.healed_after_ms);
        self.promises += other.promises;
        self.kept_messages += other.kept_messages;
        self.unkept_messages += other.unkept_messages;
        self.links_cut += other.links_cut;
        self.links_replaced += other.links_replaced;
        self.renewals += other.renewals;
        self.declared_down += other.declared_down;
        self.copies += other.copies;
        self.refused += other.refused;
    }
}

/// Runs the schedule of this seed.
pub(crate) fn run(seed: u64) -> Outcome {
    let mut world = World::new(0, seed);
    let places = 2 + world.dice.below(4);
    let spare = world.dice.below(2);
    world = World::new(places + spare, seed);
    world.gossip_loss_percent = world.dice.range(0, 30);
    start_all(&mut world, places);
    let calm = world.dice.range(1, 5);
    let steps = world.dice.range(40, 160);
    for _ in 0..steps {
        let pause = if world.dice.chance(30) { world.dice.range(200, 1500) } else { world.dice.range(0, 60) };
        world.run_until(world.now + pause);
        if world.dice.chance(10 * calm) {
            disturb(&mut world);
        } else {
            use_it(&mut world);
        }
        world.check_paused();
    }
    heal(&mut world)
}

fn start_all(world: &mut World, places: usize) {
    let seeds: Vec<_> = (0..places).collect();
    for place in 0..places {
        // Some know all, some one of the others, and one knows nobody.
        let known = match world.dice.below(3) {
            0 => seeds.clone(),
            _ => vec![world.dice.below(place.max(1))],
        };
        world.start(place, &known);
        let pause = world.dice.range(0, 400);
        world.run_until(world.now + pause);
    }
}

/// What clients do.
fn use_it(world: &mut World) {
    let open = world.open();
    let Some(place) = world.dice.pick(&open) else { return };
    match world.dice.below(12) {
        0..=2 => subscribe(world, place),
        3 => unsubscribe(world, place),
        4 | 5 => {
            let client = client(&mut world.dice);
            connect(world, place, &client);
        }
        6 => {
            // A storm: several nodes at once.
            let client = client(&mut world.dice);
            for place in open {
                if world.dice.chance(70) {
                    connect(world, place, &client);
                }
            }
        }
        7 => {
            let client = client(&mut world.dice);
            if let Some(node) = &world.nodes[place] {
                node.host.disconnect(&client);
            }
            world.settle(place);
        }
        8 => tell(world, place),
        _ => {
            for _ in 0..world.dice.range(1, 8) {
                publish(world, place);
            }
            // Links break most easily under load.
            if world.dice.chance(15) {
                let pause = world.dice.range(0, 40);
                world.run_until(world.now + pause);
                cut_some(world);
            }
        }
    }
}

fn client(dice: &mut Dice) -> ClientId {
    ClientId::new(&format!("c{}", dice.range(0, CLIENTS)))
}

fn route(dice: &mut Dice) -> Key {
    let text = match dice.below(3) {
        0 => format!("$share/g/t/{}", dice.range(0, TOPICS)),
        1 => "t/+".to_owned(),
        _ => format!("t/{}", dice.range(0, TOPICS)),
    };
    Key::Route(SubscriptionFilter::new(&text).expect("it is a filter"))
}

fn subscribe(world: &mut World, place: usize) {
    let key = route(&mut world.dice);
    let members = u32::try_from(world.dice.range(1, 4)).expect("it is small");
    let Some(node) = &mut world.nodes[place] else { return };
    let number = node.cluster.own().set(key.clone(), Some(Value::Members(members)));
    node.routed.insert(key.clone(), number);
    let mut waits = Waits::default();
    node.cluster.wait_for_all(&mut waits);
    node.cluster.flush();
    world.wait(place, Promise::Subscribed(key, number), waits);
}

fn unsubscribe(world: &mut World, place: usize) {
    let key = route(&mut world.dice);
    if let Some(node) = &mut world.nodes[place] {
        let number = node.cluster.own().set(key.clone(), None);
        node.routed.insert(key, number);
        node.cluster.flush();
    }
    world.settle(place);
}

fn connect(world: &mut World, place: usize, client: &ClientId) {
    let Some(node) = &world.nodes[place] else { return };
    let claim = node.host.connect(client);
    let mut waits = Waits::default();
    node.cluster.wait_for_all(&mut waits);
    world.wait(place, Promise::Connected(client.clone(), claim), waits);
}

fn tell(world: &mut World, place: usize) {
    let Some(node) = &mut world.nodes[place] else { return };
    for peer in node.cluster.peers().iter() {
        node.told += 1;
        peer.announce(Lane::Bulk, 1, Bytes::copy_from_slice(&node.told.to_le_bytes()));
    }
    world.settle(place);
}

/// Publishes one message to every peer with a route for it.
fn publish(world: &mut World, place: usize) {
    let topic = Topic::try_from(&*format!("t/{}", world.dice.range(0, TOPICS))).expect("it is a topic");
    let qos = if world.dice.chance(60) { QoS::AtLeastOnce } else { QoS::AtMostOnce };
    let Some(node) = &world.nodes[place] else { return };
    let mut waits = Waits::default();
    for peer in node.cluster.peers().iter() {
        let matches = |key: &Key| matches!(key, Key::Route(route) if route.filter.matches(&topic));
        let state = node.host.state.lock();
        if !state.said.get(&peer.id()).is_some_and(|said| said.keys().any(matches)) {
            continue;
        }
        let entry = world.ledger.next(node.process, peer, qos != QoS::AtMostOnce);
        let message = Message::new(topic.clone(), entry.payload(), qos);
        let mut encoder = RunEncoder::new(&message, None, None, Moment::ZERO);
        encoder.push(&message);
        let sent = peer.send(&encoder.finish());
        world.ledger.sent(entry, sent);
        if let Sent::Kept(number) = sent {
            waits.handled(peer, number);
        }
    }
    world.wait(place, Promise::Published, waits);
}

/// Something breaks, or is mended.
fn disturb(world: &mut World) {
    let running = world.running();
    let Some(place) = world.dice.pick(&running) else { return restart(world) };
    let other = world.dice.below(world.nodes.len());
    match world.dice.below(16) {
        0..=2 => cut_some(world),
        3 => block(world, place, other, false),
        4 => block(world, place, other, true),
        5 => partition(world),
        6 | 7 => world.network.blocked.clear(),
        8 => {
            if !world.network.slow.remove(&(place, other)) {
                world.network.slow.insert((place, other));
            }
        }
        9 => {
            let resets = world.dice.chance(50);
            world.end_process(place, resets);
        }
        10 | 11 => restart(world),
        12 => {
            world.say(|| format!("n{} is paused", place + 1));
            if let Some(node) = &mut world.nodes[place] {
                node.is_paused = true;
            }
        }
        13 => world.resume(place),
        14 => world.core_unless_paused(place, Event::Drain),
        _ => {
            if world.nodes[place].as_ref().is_some_and(|node| !node.is_paused) {
                world.say(|| format!("n{} leaves", place + 1));
                world.leave(place);
            }
        }
    }
}

fn restart(world: &mut World) {
    let place = world.dice.below(world.nodes.len());
    if world.nodes[place].is_some() {
        let resets = world.dice.chance(50);
        world.end_process(place, resets);
    }
    let seeds = [world.dice.below(world.nodes.len()), world.dice.below(world.nodes.len())];
    world.start(place, &seeds);
}

fn cut_some(world: &mut World) {
    let connections: Vec<_> = world.network.connections.keys().copied().collect();
    if let Some(connection) = world.dice.pick(&connections) {
        world.say(|| format!("connection {connection} is cut"));
        world.cut(connection);
    }
}

fn block(world: &mut World, from: usize, to: usize, both: bool) {
    if from != to {
        world.say(|| format!("n{} to n{} is blocked, back too: {both}", from + 1, to + 1));
        world.network.blocked.insert((from, to));
        if both {
            world.network.blocked.insert((to, from));
        }
    }
}

fn partition(world: &mut World) {
    let side: Vec<_> = (0..world.nodes.len()).map(|_| world.dice.chance(50)).collect();
    world.say(|| format!("partition {side:?}"));
    for (from, a) in side.iter().enumerate() {
        for (to, b) in side.iter().enumerate() {
            if a != b {
                world.network.blocked.insert((from, to));
            }
        }
    }
}

/// Everything is mended; once all is as it should be, or never, the schedule ends.
fn heal(world: &mut World) -> Outcome {
    world.say(|| "heal".to_owned());
    world.network.blocked.clear();
    world.network.slow.clear();
    world.gossip_loss_percent = 0;
    for place in 0..world.nodes.len() {
        world.resume(place);
    }
    for place in 0..world.nodes.len() {
        if world.nodes[place].is_none() && world.dice.chance(60) {
            world.start(place, &[]);
        }
    }
    // Whoever is alone knows nobody who could find it: an operator would name one address.
    let running = world.running();
    for place in &running {
        let seeds = running.iter().map(|place| super::node::address(*place)).collect();
        world.core(*place, Event::Candidates(seeds));
    }
    let healed_at = world.now;
    loop {
        world.run_until(world.now + 500);
        let unhealed = world.check_healed();
        if unhealed.is_empty() || world.now - healed_at > HEAL_MS_MAX {
            world.faults.extend(unhealed);
            break;
        }
    }
    // It has to stay so, beyond several digests.
    if world.faults.is_empty() {
        world.run_until(world.now + 20_000);
        world.faults.extend(world.check_healed());
    }
    let mut figures = world.figures();
    figures.healed_after_ms = world.now - healed_at;
    Outcome { trace: world.trace, faults: std::mem::take(&mut world.faults), figures }
}

impl World {
    fn core_unless_paused(&mut self, place: usize, event: Event) {
        if self.nodes[place].as_ref().is_some_and(|node| !node.is_paused) {
            self.core(place, event);
        }
    }

    /// Nobody sleeps for ever: who is paused wakes up sooner or later.
    fn check_paused(&mut self) {
        for place in self.running() {
            let sleeps = self.nodes[place].as_ref().is_some_and(|node| node.is_paused);
            if sleeps && self.dice.chance(10) {
                self.resume(place);
            }
        }
    }

    fn figures(&self) -> Figures {
        let mut figures = Figures { promises: self.promises_kept, ..Figures::default() };
        for account in &self.ledger.accounts {
            figures.kept_messages += account.kept_sent;
            figures.unkept_messages += account.unkept_sent;
        }
        for node in self.nodes.iter().flatten() {
            let core = node.core.figures();
            figures.links_cut += core.links_cut;
            figures.links_replaced += core.links_replaced;
            figures.renewals += core.renewals;
            figures.declared_down += core.declared_down;
            figures.copies += core.copies_received;
            figures.refused += core.refused.values().sum::<u64>();
        }
        figures
    }
}
