//! The links' thread: the core, and a task for each connection, all on one thread, so that nothing here needs a lock.
//!
//! Whatever happens becomes an event of the core, and the actions it asks for are done at once and in order. An event is never
//! handled within another one: the host must not call back into the core, only wake it.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use skein_types::{Incarnation, LogLimit, Moment, NodeId};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Notify,
    task::spawn_local,
    time::{sleep, timeout},
};

use super::{Common, connection::Connection, gossiping::GossipCommand, inflow::Inflow};
use crate::{
    Peer,
    core::{Action, CloseReason, Core, Event, LinkId},
    link::{Link, LinkFault, Side, nonce},
};

/// Connections whose other side has not shown that it knows the secret. Beyond that the oldest goes: a member needs a few
/// milliseconds, and must not wait behind strangers that say nothing.
const HANDSHAKES_MAX: usize = 64;
/// What is given to the system before it has sent what it has.
#[cfg(target_os = "linux")]
const UNSENT_BYTES_MAX: u32 = 128 * 1024;
/// How long a connection may take to be made.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);
/// When the system has no more sockets, some may be free again soon.
/// Lines in ten seconds about connections that others made and that were refused.
const STRANGERS_MAX: u32 = 20;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the links' thread is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Gossip or the operator has something for the core.
    Event(Event),
    /// Say good-bye, and end once it is written, or then.
    Leave { within: Duration },
    /// End now.
    Stop,
}

/// What a connection's task is asked to do.
#[derive(Debug)]
pub(super) enum Order {
    Control(Bytes),
    Attach(Rc<RefCell<Inflow>>),
    Detach,
    Close(CloseReason),
    /// Too many strangers.
    Evict,
}

/// A connection as others on the thread see it.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) orders: RefCell<VecDeque<Order>>,
    pub(super) waker: RefCell<Waker>,
    /// The peer whose messages flow over it.
    attached: RefCell<Option<Arc<Peer>>>,
}

impl Handle {
    fn order(&self, order: Order) {
        self.orders.borrow_mut().push_back(order);
        self.waker.borrow().wake_by_ref();
    }
}

/// By peer: what comes from it.
type Inflows = BTreeMap<(NodeId, Incarnation), Rc<RefCell<Inflow>>>;

pub(super) struct Links {
    pub(super) common: Arc<Common>,
    core: RefCell<Core>,
    handles: RefCell<BTreeMap<LinkId, Rc<Handle>>>,
    handshakes: RefCell<VecDeque<LinkId>>,
    /// Lines in the log about connections that others made.
    strangers: RefCell<LogLimit>,
    inflows: RefCell<Inflows>,
    last_link: Cell<u64>,
    /// When the core must be called, and a bell for when that became earlier.
    due: Cell<Option<Moment>>,
    due_earlier: Notify,
    /// Rung when the last connection is gone.
    idle: Notify,
}

impl Links {
    pub(super) fn new(common: Arc<Common>, core: Core) -> Rc<Self> {
        Rc::new(Self {
            common,
            core: RefCell::new(core),
            handles: RefCell::default(),
            handshakes: RefCell::default(),
            strangers: RefCell::new(LogLimit::new(STRANGERS_MAX)),
            inflows: RefCell::default(),
            last_link: Cell::new(0),
            due: Cell::new(None),
            due_earlier: Notify::new(),
            idle: Notify::new(),
        })
    }

    /// Until the node stops or has left.
    pub(super) async fn run(self: Rc<Self>, listener: TcpListener) {
        let accepting = spawn_local(self.clone().accept(listener));
        loop {
            match self.next().await {
                Next::Command(Command::Event(event)) => self.handle(event),
                Next::Flush => {
                    if self.common.to_links.was_rung() {
                        self.handle(Event::Flush);
                    }
                }
                Next::Due => {
                    self.log_left_out();
                    self.handle(Event::Tick);
                }
                Next::Command(Command::Leave { within }) => {
                    accepting.abort();
                    self.handle(Event::Leave);
                    self.common.to_gossip.put(GossipCommand::Leave);
                    let _late = timeout(within, self.wait_for_idle()).await;
                    return;
                }
                Next::Command(Command::Stop) => return,
            }
        }
    }

    /// Whether one more line about a connection from `remote` is written.
    pub(super) fn logs_stranger(&self, remote: SocketAddr) -> bool {
        self.log_left_out();
        self.strangers.borrow_mut().admits(remote.ip(), self.common.now())
    }

    fn log_left_out(&self) {
        let left_out = self.strangers.borrow_mut().left_out(self.common.now());
        if let Some(left_out) = left_out {
            tracing::warn!("cluster: connections refused: {left_out}");
        }
    }

    async fn next(&self) -> Next {
        let due = self.due.get();
        let delay = due.map(|due| due.since(self.common.now()));
        let timer = async {
            match delay {
                Some(delay) => sleep(delay).await,
                None => std::future::pending().await,
            }
        };
        let (mut timer, mut earlier) = (std::pin::pin!(timer), std::pin::pin!(self.due_earlier.notified()));
        std::future::poll_fn(|cx: &mut Context<'_>| {
            if let Poll::Ready(next) = self.common.to_links.poll_next(cx) {
                return Poll::Ready(next.map_or(Next::Flush, Next::Command));
            }
            if timer.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Next::Due);
            }
            // The timer is set anew.
            earlier.as_mut().poll(cx).map(|()| Next::Flush)
        })
        .await
    }

    async fn wait_for_idle(&self) {
        while !self.handles.borrow().is_empty() {
            self.idle.notified().await;
        }
    }

    /// Tells the core what happened, and does what it asks for.
    pub(super) fn handle(self: &Rc<Self>, event: Event) {
        let mut actions = Vec::new();
        let due = {
            let mut core = self.core.borrow_mut();
            core.handle(event, self.common.now(), &mut actions);
            let mut shown = self.common.core_figures.lock();
            if *shown != *core.figures() {
                shown.clone_from(core.figures());
            }
            core.next_due()
        };
        let before = self.due.replace(due);
        if due.is_some_and(|due| before.is_none_or(|before| due < before)) {
            self.due_earlier.notify_one();
        }
        for action in actions {
            self.act(action);
        }
    }

    fn act(self: &Rc<Self>, action: Action) {
        match action {
            Action::Dial { to } => _ = spawn_local(self.clone().dial(to)),
            Action::Control { link, frame } => self.order(link, Order::Control(frame)),
            Action::Close { link, why } => self.order(link, Order::Close(why)),
            Action::Attach { link, peer, handled } => self.attach(link, &peer, handled),
            Action::Detach { link } => self.detach(link),
            Action::Meet(info) => self.common.to_gossip.put(GossipCommand::Meet(info)),
            Action::DeclareDown(info) => self.common.to_gossip.put(GossipCommand::DeclareDown(info)),
            Action::Renew(info) => self.common.to_gossip.put(GossipCommand::Renew(info)),
            Action::Notify(notification) => (self.common.observer)(&notification),
            Action::Joined => {}
            Action::Refused(refused) => self.common.end(refused.into()),
        }
    }

    fn order(&self, link: LinkId, order: Order) {
        if let Some(handle) = self.handles.borrow().get(&link) {
            handle.order(order);
        }
    }

    /// From here on the peer's messages go to this link. What concerns the peer is done at once and not by the link's task, so
    /// that an earlier link's end cannot come after it.
    fn attach(&self, link: LinkId, peer: &Arc<Peer>, handled: u64) {
        let handles = self.handles.borrow();
        let Some(handle) = handles.get(&link) else { return };
        let mut inflows = self.inflows.borrow_mut();
        inflows.retain(|_, inflow| !inflow.borrow().peer().is_down());
        let key = (peer.id(), peer.info().incarnation);
        let new = || Rc::new(RefCell::new(Inflow::new(&*self.common.host, peer)));
        let inflow = inflows.entry(key).or_insert_with(new).clone();
        peer.link_opened(handled, handle.waker.borrow().clone());
        *handle.attached.borrow_mut() = Some(peer.clone());
        handle.order(Order::Attach(inflow));
    }

    fn detach(&self, link: LinkId) {
        let handles = self.handles.borrow();
        let Some(handle) = handles.get(&link) else { return };
        if let Some(peer) = handle.attached.borrow_mut().take() {
            peer.link_closed();
        }
        handle.order(Order::Detach);
    }

    async fn dial(self: Rc<Self>, to: SocketAddr) {
        let fault = match self.connect(to).await {
            Ok(stream) => match self.begin(Side::Dialled, Some(to), to, stream) {
                Ok(connection) => return connection.await,
                Err(error) => error.to_string(),
            },
            Err(error) => error,
        };
        tracing::debug!(%to, fault, "no link to a node");
        self.handle(Event::DialFailed { to });
    }

    async fn connect(&self, to: SocketAddr) -> Result<TcpStream, String> {
        if !self.common.sealed && !to.ip().is_loopback() {
            self.common.counters.faults.count(LinkFault::NotLoopback);
            return Err(LinkFault::NotLoopback.to_string());
        }
        let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let socket = socket.map_err(|error| error.to_string())?;
        match timeout(CONNECT_TIME_MAX, socket.connect(to)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_elapsed) => Err("nobody answers".to_owned()),
        }
    }

    async fn accept(self: Rc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, remote)) => self.accepted(stream, remote),
                Err(error) => {
                    tracing::warn!(%error, "a node's connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn accepted(self: &Rc<Self>, stream: TcpStream, remote: SocketAddr) {
        if !self.common.sealed && !remote.ip().is_loopback() {
            self.common.counters.faults.count(LinkFault::NotLoopback);
            return;
        }
        match self.begin(Side::Accepted, None, remote, stream) {
            Ok(connection) => _ = spawn_local(connection),
            Err(error) => tracing::warn!(%error, %remote, "a node's connection could not be set up"),
        }
    }

    /// Makes a connection's task.
    fn begin(
        self: &Rc<Self>,
        side: Side,
        dialled: Option<SocketAddr>,
        remote: SocketAddr,
        stream: TcpStream,
    ) -> std::io::Result<Connection> {
        // Before the handshake: its small messages would wait for each other's acknowledgement.
        stream.set_nodelay(true)?;
        bound_unsent(&stream);
        let link = Link::new(side, &self.common.link_config, nonce()?, self.common.now());
        let id = LinkId(self.last_link.get() + 1);
        self.last_link.set(id.0);
        let handle = Rc::new(Handle {
            orders: RefCell::default(),
            waker: RefCell::new(Waker::noop().clone()),
            attached: RefCell::default(),
        });
        self.handles.borrow_mut().insert(id, handle.clone());
        if side == Side::Accepted {
            self.begin_handshake(id);
        }
        Ok(Connection::new(self.clone(), id, handle, link, stream, (dialled, remote)))
    }

    fn begin_handshake(&self, id: LinkId) {
        let mut handshakes = self.handshakes.borrow_mut();
        handshakes.push_back(id);
        if handshakes.len() > HANDSHAKES_MAX
            && let Some(oldest) = handshakes.pop_front()
        {
            self.order(oldest, Order::Evict);
        }
        self.common.counters.handshakes.store(handshakes.len() as u64, Relaxed);
    }

    /// The other side is known, or gone.
    pub(super) fn end_handshake(&self, id: LinkId) {
        let mut handshakes = self.handshakes.borrow_mut();
        handshakes.retain(|waiting| *waiting != id);
        self.common.counters.handshakes.store(handshakes.len() as u64, Relaxed);
    }

    /// A connection has ended. If the core knows of it, it was told.
    pub(super) fn forget(&self, id: LinkId) {
        self.end_handshake(id);
        let handle = self.handles.borrow_mut().remove(&id);
        if let Some(peer) = handle.and_then(|handle| handle.attached.borrow_mut().take()) {
            peer.link_closed();
        }
        if self.handles.borrow().is_empty() {
            self.idle.notify_one();
        }
    }
}

/// What the system holds and has not sent yet cannot be overtaken: so it takes little more than one buffer at once.
fn bound_unsent(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX) {
        tracing::debug!(%error, "urgent frames may wait longer than they should");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Links").field("handles", &self.handles).finish_non_exhaustive()
    }
}

enum Next {
    Command(Command),
    Flush,
    Due,
}
