//! Workers: one thread each, with a single-threaded runtime and the connections that were given to it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use skein_types::Code;
use tokio::{net::TcpStream, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    door::{Door, Incoming},
    end_log::log_end,
    handshake,
    shared::Shared,
    state::ConnectionPermit,
    stream::Carrier,
    transport::Transport,
};

/// Accepted connections that wait for their worker; the listener waits when there are more.
const BACKLOG: usize = 256;

/// A connection on its way to its worker.
pub(crate) struct Accepted {
    pub(crate) stream: std::net::TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) place: ConnectionPermit,
    pub(crate) transport: Transport,
    pub(crate) door: Arc<dyn Door>,
}

/// The threads that serve connections.
#[derive(Debug)]
pub struct Workers {
    queues: Vec<mpsc::Sender<Accepted>>,
    next: AtomicUsize,
    threads: Vec<JoinHandle<()>>,
    stop: CancellationToken,
    /// When connections that are still open are dropped; set before `stop`.
    deadline: Arc<OnceLock<Instant>>,
}

impl Workers {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// When a thread or its runtime cannot be made.
    pub fn start(count: usize, shared: &Arc<Shared>) -> std::io::Result<Arc<Self>> {
        let (stop, deadline) = (CancellationToken::new(), Arc::<OnceLock<Instant>>::default());
        let mut queues = Vec::new();
        let mut threads = Vec::new();
        for index in 0..count.max(1) {
            let (sender, receiver) = mpsc::channel(BACKLOG);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (shared, stop, deadline) = (shared.clone(), stop.clone(), deadline.clone());
            let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
                runtime.block_on(work(receiver, shared, stop, deadline));
                // What is left is dropped here. A password check under way is not waited for.
                runtime.shutdown_background();
            })?;
            queues.push(sender);
            threads.push(thread);
        }
        Ok(Arc::new(Self { queues, next: AtomicUsize::new(0), threads, stop, deadline }))
    }

    /// Gives a connection to the next worker in turn, waiting while that one is behind.
    pub(crate) async fn take(&self, accepted: Accepted) {
        let index = self.next.fetch_add(1, Relaxed) % self.queues.len().max(1);
        if let Some(queue) = self.queues.get(index) {
            // A worker that is gone drops the connection: the server is stopping.
            let _stopping = queue.send(accepted).await;
        }
    }

    /// Ends the threads once every connection is closed; connections still open then are dropped after `patience`.
    pub fn stop(&self, patience: Duration) {
        // Whoever stops first says how long it takes.
        let _first = self.deadline.set(Instant::now() + patience);
        self.stop.cancel();
    }

    /// Whether every thread has ended.
    #[must_use]
    pub fn are_done(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }
}

async fn work(
    mut queue: mpsc::Receiver<Accepted>,
    shared: Arc<Shared>,
    stop: CancellationToken,
    deadline: Arc<OnceLock<Instant>>,
) {
    let tasks = TaskTracker::new();
    loop {
        // Both arms are cancel-safe: a message stays in the queue until it is received.
        let accepted = tokio::select! {
            accepted = queue.recv() => accepted,
            () = stop.cancelled() => None,
        };
        let Some(accepted) = accepted else { break };
        welcome(accepted, &shared, &tasks);
    }
    tasks.close();
    // The queues end with the workers' handle too; then there is nobody who waits.
    let deadline = deadline.get().copied().unwrap_or_else(Instant::now);
    if tokio::time::timeout_at(deadline.into(), tasks.wait()).await.is_err() {
        let left = tasks.len();
        tracing::info!(left, "node: connections that did not end in time are dropped");
    }
}

/// Gives a connection to its door. Plain TCP needs no handshake and starts at once; for the rest a task of its own
/// shakes hands and is gone afterwards, so that an open connection does not carry what the handshake needed.
fn welcome(accepted: Accepted, shared: &Arc<Shared>, tasks: &TaskTracker) {
    let Accepted { stream, peer, place, transport, door } = accepted;
    let Ok(stream) = TcpStream::from_std(stream) else {
        return log_end(door.name(), peer, None, Code::Internal, "the socket could not be registered");
    };
    let shared = shared.clone();
    if matches!(transport, Transport::Tcp) && !place.listener().settings.load().proxy_protocol {
        door.serve(Incoming { shared, place, peer, carrier: Carrier::Plain(stream), user: None }, tasks);
        return;
    }
    let connections = tasks.clone();
    tasks.spawn(async move {
        if let Some(incoming) = handshake::open(stream, peer, place, transport, &*door, shared).await {
            door.serve(incoming, &connections);
        }
    });
}
