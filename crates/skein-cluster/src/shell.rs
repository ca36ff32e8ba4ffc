//! The cluster with sockets and threads around it: what a node starts, asks and stops.
//!
//! Two threads. One has the core and all links, one has gossip. The plane's threads talk to them through [`Peer`]s and
//! [`Cluster::flush`] only, which never wait. Everything that can be wrong in interesting ways is elsewhere, without IO.
//!
//! [`Peer`]: crate::Peer

mod connection;
mod figures;
mod gossiping;
mod inflow;
mod links;
mod mailbox;
mod ports;

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::Arc,
    thread::{Builder, JoinHandle},
    time::Duration,
};

use parking_lot::Mutex;
use skein_types::Moment;
use tokio::{runtime, task::LocalSet};

use self::{
    figures::Counters,
    gossiping::{GossipCommand, Gossiping},
    links::{Command, Links},
    mailbox::Mailbox,
};
pub use self::{
    figures::{Figures, LinkFigures},
    ports::ClusterStartError,
};
use crate::{
    Cluster, Host, Notification, Settings,
    core::{Core, CoreFigures, Event, JoinRefused},
    gossip::{Membership, Seal},
    link::LinkConfig,
};

/// Who is told of changes of nodes' states, on the links' thread. It must not wait.
pub type Observer = Arc<dyn Fn(&Notification) + Send + Sync>;

type OnEnd = Box<dyn FnOnce(Ended) + Send>;

/// Why a node's part in its cluster ended although nobody stopped it. A node that goes on without it would serve clients that
/// reach nobody, so it is to be stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The other nodes do not take it.
    #[error(transparent)]
    Refused(#[from] JoinRefused),
    /// One of its two threads has ended, and the other one with it.
    #[error(
        "cluster: the thread {thread} has failed, so this node and the others do not reach each other any more; the log says \
         above why. Start the node again."
    )]
    Failed {
        /// The thread's name.
        thread: &'static str,
    },
}

/// What both threads share.
struct Common {
    host: Arc<dyn Host>,
    clock: Box<dyn Fn() -> Moment + Send + Sync>,
    observer: Observer,
    link_config: LinkConfig,
    /// Whether there is a secret.
    sealed: bool,
    to_links: Mailbox<Command>,
    to_gossip: Mailbox<GossipCommand>,
    counters: Counters,
    /// What the core has counted, for whoever asks from another thread.
    core_figures: Mutex<CoreFigures>,
    end: Mutex<End>,
}

enum End {
    Not(Option<OnEnd>),
    Reached(Ended),
}

impl Common {
    fn now(&self) -> Moment {
        (self.clock)()
    }

    fn end(&self, ended: Ended) {
        tracing::error!("{ended}");
        let before = std::mem::replace(&mut *self.end.lock(), End::Reached(ended.clone()));
        if let End::Not(Some(tell)) = before {
            tell(ended);
        }
    }
}

/// A node's part in its cluster, while it runs. Dropping it stops it.
pub struct Running {
    common: Arc<Common>,
    address: SocketAddr,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Running {
    /// Opens the port and starts. `clock` is the node's: moments are compared with those the plane passes to peers.
    ///
    /// # Errors
    /// The port is not to be had, or the system is at its limits.
    pub fn start(
        settings: &Settings,
        cluster: Arc<Cluster>,
        host: Arc<dyn Host>,
        clock: impl Fn() -> Moment + Send + Sync + 'static,
        observer: Observer,
    ) -> Result<Self, ClusterStartError> {
        if settings.secret.is_none() && !settings.listen.ip().is_loopback() {
            return Err(ClusterStartError::OpenWithoutSecret(settings.listen));
        }
        let (listener, datagrams) = ports::open(settings.listen)?;
        let address = listener.local_addr()?;
        let seed = u64::from_le_bytes(gossiping::salt()?);
        let common = Arc::new(Common {
            host: host.clone(),
            clock: Box::new(clock),
            observer,
            link_config: LinkConfig::new(settings.secret.as_ref(), &settings.link),
            sealed: settings.secret.is_some(),
            to_links: Mailbox::default(),
            to_gossip: Mailbox::default(),
            counters: Counters::default(),
            core_figures: Mutex::default(),
            end: Mutex::new(End::Not(None)),
        });
        let flushed = Arc::downgrade(&common);
        cluster.on_flush(move || {
            if let Some(common) = flushed.upgrade() {
                common.to_links.ring();
            }
        });
        let me = cluster.me();
        let membership = Membership::new((*me).clone(), settings.gossip, seed);
        let salt = gossiping::salt()?;
        let seal = settings.secret.as_ref().map(|secret| Seal::new(secret, &me, salt));
        let core = Core::new(cluster, host, settings.link, seed);
        let running = Self { common: common.clone(), address, threads: Mutex::default() };
        running.spawn("cluster-gossip", {
            let common = common.clone();
            move || async move {
                let socket = tokio::net::UdpSocket::from_std(datagrams)?;
                Gossiping::new(common, membership, seal, socket).run().await;
                Ok(())
            }
        })?;
        running.spawn("cluster-links", move || async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            Links::new(common, core).run(listener).await;
            Ok(())
        })?;
        Ok(running)
    }

    fn spawn<F>(&self, name: &'static str, work: impl FnOnce() -> F + Send + 'static) -> io::Result<()>
    where
        F: Future<Output = io::Result<()>>,
    {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let common = self.common.clone();
        let thread = Builder::new().name(name.to_owned()).spawn(move || {
            // When one thread ends the other has to: a node that gossips and has no links would be taken for a live one.
            let end = EndBoth { common, thread: name };
            let result = LocalSet::new().block_on(&runtime, async { work().await });
            if let Err(error) = result {
                tracing::error!(%error, "the cluster's port cannot be used any more");
                end.failed();
            }
        })?;
        self.threads.lock().push(thread);
        Ok(())
    }

    /// Where links and gossip arrive.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where other nodes may be; replaces what was said before.
    pub fn candidates(&self, addresses: Vec<SocketAddr>) {
        self.common.to_links.put(Command::Event(Event::Candidates(addresses)));
    }

    /// Tells the others that this node takes no new clients and will leave.
    pub fn drain(&self) {
        self.common.to_links.put(Command::Event(Event::Drain));
    }

    /// Says good-bye, waits for that to be written for `within` at most, and stops.
    pub fn leave(&self, within: Duration) {
        self.common.to_links.put(Command::Leave { within });
        self.join();
    }

    /// Stops at once; to the others the node has failed.
    pub fn stop(&self) {
        self.common.to_gossip.put(GossipCommand::Stop);
        self.common.to_links.put(Command::Stop);
        self.join();
    }

    fn join(&self) {
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("cluster: a thread has panicked");
            }
        }
    }

    /// Calls `tell` once if this node's part in the cluster ends although nobody stopped it, also when it has already.
    pub fn on_end(&self, tell: impl FnOnce(Ended) + Send + 'static) {
        let mut end = self.common.end.lock();
        match &mut *end {
            End::Not(waiting) => *waiting = Some(Box::new(tell)),
            End::Reached(why) => {
                let why = why.clone();
                drop(end);
                tell(why);
            }
        }
    }

    /// What links and gossip did.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures { core: self.common.core_figures.lock().clone(), ..self.common.counters.figures() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.threads.lock().is_empty() {
            self.stop();
        }
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Ends both threads when one of them ends, however it does.
struct EndBoth {
    common: Arc<Common>,
    thread: &'static str,
}

impl EndBoth {
    fn failed(&self) {
        self.common.end(Ended::Failed { thread: self.thread });
    }
}

impl Drop for EndBoth {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.failed();
        }
        self.common.to_gossip.put(GossipCommand::Stop);
        self.common.to_links.put(Command::Stop);
    }
}
