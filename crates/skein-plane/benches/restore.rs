//! How long a node needs to be ready again with a million retained messages and a hundred thousand sessions.
//!
//! `cargo bench -p skein-plane --bench restore` fills a store in the system's temporary directory, closes it and prints
//! the times of opening it and of restoring the plane, once from the log and once from a snapshot file, with the memory
//! they take. Two numbers behind `--` make it smaller: retained messages, sessions.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement prints its figures or fails")]

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use skein_access::{Access, AccessList, Anonymous, Door, Identity};
use skein_plane::{
    Batch, Connection, ConnectionHandle, ConnectionInfo, Durability, Durable, Ending, Open, Plane,
    PlaneLimits, Publisher, QueueLimits, RetainHandling, SessionLimits, SubscribeOptions, TaskHandle,
    WallClock, WindowLimits, Work, wire::MessageWire,
};
use skein_store::{Options, Store, Time};
use skein_types::{ClientId, Message, Moment, QoS, SubscriptionFilter, Topic};

const RETAINED: usize = 1_000_000;
const SESSIONS: usize = 100_000;
const QUEUED_PER_SESSION: usize = 3;
const PAYLOAD_BYTES: usize = 64;
/// Changes in one batch while the store is filled.
const BATCH: usize = 1000;
const NOW: Moment = Moment::from_millis(1000);

/// The name of the benchmark's own second call: it measures in a process that has held nothing before.
const MEASURE: &str = "measure";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let counts: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let (retained, sessions) = match counts[..] {
        [retained, sessions] => (retained, sessions),
        _ => (RETAINED, SESSIONS),
    };
    if let [_, call, dir, how, ..] = &arguments[..]
        && call == MEASURE
    {
        return measure(how, Path::new(dir), retained, sessions);
    }
    let dir = std::env::temp_dir().join(format!("skein-restore-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    println!(
        "{retained} retained messages of {PAYLOAD_BYTES} bytes, {sessions} sessions with one subscription and \
         {QUEUED_PER_SESSION} queued messages each"
    );
    fill(&dir, retained, sessions);
    measure_apart("from the log", &dir, retained, sessions);
    open_store(&dir).checkpoint().unwrap();
    measure_apart("from a snapshot", &dir, retained, sessions);
    fs::remove_dir_all(&dir).unwrap();
}

fn measure_apart(how: &str, dir: &Path, retained: usize, sessions: usize) {
    let counts = [retained.to_string(), sessions.to_string()];
    let mut again = Command::new(std::env::current_exe().unwrap());
    let status = again.arg(MEASURE).arg(dir).arg(how).args(counts).status().unwrap();
    assert!(status.success(), "{status}");
}

fn open_store(dir: &Path) -> Store {
    let mut options = Options::durable(dir);
    // Only when told to, so that both ways of opening are seen.
    options.snapshot_after_log_bytes = u64::MAX;
    Store::open(skein_plane::schema(), options).unwrap()
}

fn plane(store: Store) -> Plane {
    let access = Arc::new(Access::new(AccessList::open(), Anonymous::Always));
    let clock = WallClock::new(Time::from_system_time(SystemTime::now()));
    Plane::new(access, PlaneLimits { retained_messages_max: usize::MAX, ..PlaneLimits::default() })
        .with_durable(Durable::new(store, clock))
}

fn limits() -> Arc<SessionLimits> {
    Arc::new(SessionLimits {
        outbox_bytes_max: 1 << 20,
        queue: QueueLimits { messages_max: 1000, bytes_max: 1 << 20 },
        slow_consumer_timeout: Duration::from_secs(10),
        subscriptions_max: 100,
        subscriptions_bytes_max: usize::MAX,
    })
}

fn fill(dir: &Path, retained: usize, sessions: usize) {
    let start = Instant::now();
    let plane = plane(open_store(dir));
    let limits = limits();
    let mut batch = Batch::default();
    let mut publisher = Publisher::default();
    for number in 0..sessions {
        open_session(&plane, number, &limits, &mut batch);
        finish(&plane, &mut batch, number);
    }
    for number in 0..sessions * QUEUED_PER_SESSION {
        let topic = format!("devices/{}/commands", number % sessions);
        plane.publish(&mut publisher, &mut batch, message(&topic, QoS::AtLeastOnce), NOW);
        finish(&plane, &mut batch, number);
    }
    for number in 0..retained {
        let topic = format!("sites/{}/sensors/{number}/state", number % 1000);
        let message = Message { retain: true, ..message(&topic, QoS::AtMostOnce) };
        plane.publish(&mut publisher, &mut batch, message, NOW);
        finish(&plane, &mut batch, number);
    }
    finish(&plane, &mut batch, BATCH - 1);
    plane.durable().unwrap().store().close();
    println!("filled in {:.2} s", start.elapsed().as_secs_f64());
}

fn finish(plane: &Plane, batch: &mut Batch, number: usize) {
    if number % BATCH == BATCH - 1
        && let Some(commit) = plane.finish(batch, NOW)
    {
        plane.leave(commit);
        // What is on its way to the disk must not pile up.
        let store = plane.durable().unwrap().store();
        store.commit(store.batch()).unwrap();
        plane.expire(&mut Batch::default(), NOW);
    }
}

fn open_session(plane: &Plane, number: usize, limits: &Arc<SessionLimits>, batch: &mut Batch) {
    let client_id = ClientId::new(&format!("device-{number}"));
    let address = SocketAddr::from(([10, 0, 0, 1], 1));
    let identity = Identity::anonymous(client_id.clone(), IpAddr::from([10, 0, 0, 1]), Door::Mqtt);
    let open = Open {
        client_id,
        clean_start: true,
        expiry_secs: 1_000_000,
        window: WindowLimits::unacknowledged(u16::MAX.into()),
        will: None,
        access: Some(Arc::new(plane.access().bind(identity))),
        limits: limits.clone(),
        durability: Durability::Disk,
    };
    let info = ConnectionInfo {
        address,
        door: "bench",
        version: "0",
        listener: "bench".into(),
        keep_alive_secs: 0,
        connected_at: NOW,
    };
    let connection = Connection::new(Box::new(MessageWire), None, Arc::<TaskHandle>::default(), info);
    let mut work = Work { plane, batch, now: NOW };
    let (connection, _present) =
        ConnectionHandle::open(open, connection, &mut work).expect("nobody else has its id");
    let options = SubscribeOptions {
        qos: QoS::AtLeastOnce,
        no_local: false,
        retain_as_published: false,
        id: None,
        partly_allowed: false,
    };
    let filter = SubscriptionFilter::new(&format!("devices/{number}/commands")).unwrap();
    connection.subscribe(filter, options, RetainHandling::Never, &mut work).unwrap();
    connection.close(Ending::Graceful, None, &mut work);
}

fn message(topic: &str, qos: QoS) -> Message {
    Message::new(Topic::try_from(topic).unwrap(), vec![b'x'; PAYLOAD_BYTES].into(), qos)
}

fn measure(how: &str, dir: &Path, retained: usize, sessions: usize) {
    let before = resident_bytes();
    let start = Instant::now();
    let store = open_store(dir);
    let opened = start.elapsed();
    let after_open = resident_bytes();
    let plane = plane(store);
    let restored = plane.restore(&limits(), &mut Batch::default(), NOW).unwrap();
    let total = start.elapsed();
    assert_eq!((restored.retained, restored.sessions), (retained, sessions), "{restored:?}");
    assert_eq!(restored.queued_messages, sessions * QUEUED_PER_SESSION);
    let mib = |bytes: u64| bytes / (1 << 20);
    println!(
        "{how}: ready after {:.2} s, of which the store {:.2} s and the plane {:.2} s; memory {} MiB, of which the \
         store {} MiB",
        total.as_secs_f64(),
        opened.as_secs_f64(),
        (total - opened).as_secs_f64(),
        mib(resident_bytes().saturating_sub(before)),
        mib(after_open.saturating_sub(before)),
    );
    plane.durable().unwrap().store().close();
}

fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_ascii_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}
