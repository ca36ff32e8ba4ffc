//! What messages cost from one node to another over real sockets, with a plane that does nothing.
//!
//! `cargo bench -p skein-cluster --bench running` prints runs per second one way, sent in batches as the plane's threads do,
//! and the time from sending one run to knowing that it is handled, with and without a secret.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Wake, Waker},
    thread::{self, Thread},
    time::Instant,
};

use bytes::Bytes;
use divan::{
    Bencher,
    counter::{BytesCount, ItemsCount},
};
use skein_cluster::{
    Change, Cluster, EncodedRun, ForwardedRun, Gone, GossipSettings, Handled, Host, Inbound, Lane,
    LinkSettings, NodeInfo, Peer, RunEncoder, Secret, Sent, Settings, shell::Running,
};
use skein_testkit::{DEADLINE, free_address, wait_until};
use skein_types::{ByteString, Incarnation, Message, Moment, NodeId, QoS, Topic};

/// Runs in one iteration, and runs between two flushes.
const RUNS: u64 = 20_000;
const BATCH: u64 = 50;
const PAYLOADS: [usize; 3] = [16, 100, 1000];

fn main() {
    divan::main();
}

#[derive(Clone, Debug, Default)]
struct Nothing(Arc<AtomicU64>);

impl Host for Nothing {
    fn node_up(&self, _: &Arc<Peer>, _: Moment) {}
    fn node_gone(&self, _: &Arc<Peer>, _: Gone, _: Moment) {}
    fn apply(&self, _: &Arc<Peer>, _: &[Change], _: Moment) {}
    fn received(&self, _: &Arc<Peer>, _: Lane, _: u8, _: Bytes, _: Moment) {}
    fn inbound(&self, _: &Arc<Peer>) -> Box<dyn Inbound> {
        Box::new(self.clone())
    }
}

impl Inbound for Nothing {
    fn run(&mut self, run: ForwardedRun, _: Moment) {
        self.0.fetch_add(run.messages.len() as u64, Relaxed);
    }

    fn finish(&mut self, _: Moment) -> Handled {
        Handled::default()
    }
}

struct Node {
    running: Running,
    cluster: Arc<Cluster>,
    host: Nothing,
}

fn start(id: u16, listen: SocketAddr, secret: bool) -> Node {
    let cluster = Cluster::new(NodeInfo {
        id: NodeId(id),
        incarnation: Incarnation(1),
        name: "n".into(),
        advertise: listen,
        qrank: 1,
        server_reference: None,
    });
    let settings = Settings {
        listen,
        secret: secret.then(|| Secret("geese".to_owned())),
        gossip: GossipSettings::default(),
        link: LinkSettings::default(),
    };
    let (host, began) = (Nothing::default(), Instant::now());
    let clock = move || Moment::ZERO.after(began.elapsed());
    let running = Running::start(&settings, cluster.clone(), Arc::new(host.clone()), clock, Arc::new(|_| {}));
    Node { running: running.expect("the port is free"), cluster, host }
}

fn pair(secret: bool) -> (Node, Node, Arc<Peer>) {
    let (first, second) = (start(1, free_address(), secret), start(2, free_address(), secret));
    second.running.candidates(vec![first.running.address()]);
    wait_until("the nodes are linked", DEADLINE, || {
        first.cluster.peer(NodeId(2)).is_some_and(|peer| peer.figures().linked)
    });
    let peer = first.cluster.peer(NodeId(2)).expect("it is linked");
    (first, second, peer)
}

fn run(payload: usize, qos: QoS) -> EncodedRun {
    let topic = Topic::new(ByteString::from_static("sensors/hall/temperature")).expect("it is a topic");
    let message = Message::new(topic, Bytes::from(vec![7; payload]), qos);
    let mut encoder = RunEncoder::new(&message, None, None, Moment::ZERO);
    encoder.push(&message);
    encoder.finish()
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn wait_for(peer: &Peer, number: u64) {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    while !peer.has_handled(number) {
        peer.wake_on_progress(&waker);
        if peer.has_handled(number) {
            return;
        }
        thread::park();
    }
}

fn send_many(bencher: Bencher<'_, '_>, payload: usize, secret: bool) {
    let (_first, second, peer) = pair(secret);
    let run = run(payload, QoS::AtLeastOnce);
    let bytes = BytesCount::new(RUNS * payload as u64);
    bencher.counter(ItemsCount::new(RUNS)).counter(bytes).bench_local(|| {
        let mut last = 0;
        for at in 1..=RUNS {
            if let Sent::Kept(number) = peer.send(&run) {
                last = number;
            }
            if at % BATCH == 0 {
                peer.flush();
            }
        }
        wait_for(&peer, last);
    });
    assert!(second.host.0.load(Relaxed) >= RUNS);
}

#[divan::bench(args = PAYLOADS, sample_count = 20)]
fn plain(bencher: Bencher<'_, '_>, payload: usize) {
    send_many(bencher, payload, false);
}

#[divan::bench(args = PAYLOADS, sample_count = 20)]
fn sealed(bencher: Bencher<'_, '_>, payload: usize) {
    send_many(bencher, payload, true);
}

/// One run there, and back that it is handled.
#[divan::bench(args = [false, true], sample_count = 500)]
fn round_trip(bencher: Bencher<'_, '_>, secret: bool) {
    let (_first, _second, peer) = pair(secret);
    let run = run(100, QoS::AtLeastOnce);
    bencher.bench_local(|| {
        let Sent::Kept(number) = peer.send(&run) else { return };
        peer.flush();
        wait_for(&peer, number);
    });
}
