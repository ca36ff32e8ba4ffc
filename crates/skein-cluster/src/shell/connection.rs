//! One connection: bytes between its socket and its link, frames between the link and whoever they are for.
//!
//! A task without queues of its own. Each time it is woken it reads what the socket holds, hands everything over, and then
//! writes what there is in one piece. It never waits for one of these while another could go on.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::Future,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes, BytesMut};
use skein_types::Moment;
use tokio::{
    io::{AsyncReadExt, AsyncWrite},
    net::TcpStream,
    time::{Sleep, sleep},
};

use super::{
    figures::LinkCounters,
    inflow::Inflow,
    links::{Handle, Links, Order},
};
use crate::{
    Completion,
    core::{CloseReason, Event, LinkId},
    link::{Arrived, LaneCount, Link, LinkFault},
};

/// Reads, and writes, before other connections get their turn.
const READS_MAX: usize = 8;
const WRITES_MAX: usize = 8;
/// How long a peer's credit may be held back because clients do not keep up.
const CONGESTION_TIME_MAX: Duration = Duration::from_millis(100);
/// How long what is written last may take.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(1);

pub(super) struct Connection {
    links: Rc<Links>,
    id: LinkId,
    handle: Rc<Handle>,
    link: Link,
    stream: TcpStream,
    dialled: Option<SocketAddr>,
    remote: SocketAddr,
    /// Whether the core was told of it.
    open: bool,
    arrived: Vec<Arrived>,
    /// Runs that came before it was said whose they are. Their bytes are within the credit of the link.
    early: VecDeque<(Option<u64>, Bytes)>,
    inflow: Option<Rc<RefCell<Inflow>>>,
    congestion: Option<(Box<dyn Completion>, Moment)>,
    out: BytesMut,
    sleep: Pin<Box<Sleep>>,
    wakes_at: Moment,
    closing: Option<(CloseReason, Moment)>,
    pinged: Option<Instant>,
    counters: Option<Arc<LinkCounters>>,
    counted: [[LaneCount; 4]; 2],
}

/// Why a connection ended.
enum End {
    Fault(LinkFault),
    Closed(CloseReason),
}

impl From<LinkFault> for End {
    fn from(fault: LinkFault) -> Self {
        Self::Fault(fault)
    }
}

impl Connection {
    pub(super) fn new(
        links: Rc<Links>,
        id: LinkId,
        handle: Rc<Handle>,
        link: Link,
        stream: TcpStream,
        (dialled, remote): (Option<SocketAddr>, SocketAddr),
    ) -> Self {
        Self {
            links,
            id,
            handle,
            link,
            stream,
            dialled,
            remote,
            open: false,
            arrived: Vec::new(),
            early: VecDeque::new(),
            inflow: None,
            congestion: None,
            out: BytesMut::new(),
            sleep: Box::pin(sleep(Duration::ZERO)),
            wakes_at: Moment::ZERO,
            closing: None,
            pinged: None,
            counters: None,
            counted: Default::default(),
        }
    }

    /// Everything there is to do now; returns once all of it waits for something.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        self.handle.waker.borrow_mut().clone_from(cx.waker());
        self.obey()?;
        self.read(cx)?;
        self.acknowledge(cx);
        self.link.tick(self.now())?;
        self.write(cx)?;
        self.count();
        self.set_timer(cx);
        Ok(())
    }

    fn now(&self) -> Moment {
        self.links.common.now()
    }

    fn obey(&mut self) -> Result<(), End> {
        loop {
            let order = self.handle.orders.borrow_mut().pop_front();
            match order {
                None => return Ok(()),
                Some(Order::Control(frame)) => {
                    let inflow = self.inflow.as_ref().map(|inflow| inflow.borrow());
                    self.link.control(inflow.as_ref().map(|inflow| &**inflow.peer()), frame);
                }
                Some(Order::Attach(inflow)) => self.attach(inflow),
                Some(Order::Detach) => self.detach(),
                Some(Order::Close(why)) => {
                    self.detach();
                    self.closing = Some((why, self.now().after(CLOSE_TIME_MAX)));
                }
                Some(Order::Evict) if !self.open => return Err(LinkFault::Crowded.into()),
                Some(Order::Evict) => {}
            }
        }
    }

    fn attach(&mut self, inflow: Rc<RefCell<Inflow>>) {
        {
            let inflow = inflow.borrow();
            let peer = inflow.peer();
            self.counters = Some(self.links.common.counters.of_new_link(peer.id()));
            // What was said over an earlier link may not have arrived.
            if peer.received() > 0 {
                self.link.handled(peer.received());
            }
        }
        self.inflow = Some(inflow);
        for (number, bytes) in std::mem::take(&mut self.early) {
            self.run(number, bytes);
        }
    }

    fn detach(&mut self) {
        if let Some(inflow) = self.inflow.take() {
            inflow.borrow().peer().note_lost(self.link.unwritten_messages());
        }
        self.congestion = None;
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        for _ in 0..READS_MAX {
            let came = {
                let reading = self.stream.read_buf(self.link.room());
                pin!(reading).poll(cx)
            };
            match came {
                Poll::Ready(Ok(0) | Err(_)) if self.open => return Err(LinkFault::Cut.into()),
                Poll::Ready(Ok(0) | Err(_)) => return Err(LinkFault::HandshakeCut.into()),
                Poll::Ready(Ok(_)) => self.hand_over()?,
                Poll::Pending => return Ok(()),
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), End> {
        let now = self.now();
        let mut arrived = std::mem::take(&mut self.arrived);
        let result = self.link.received(now, &mut arrived);
        if !self.open && self.link.open_version().is_some() {
            self.open = true;
            self.links.end_handshake(self.id);
            let (link, dialled, remote) = (self.id, self.dialled, self.remote);
            self.links.handle(Event::LinkOpened { link, dialled, remote });
        }
        for frame in arrived.drain(..) {
            self.obey()?;
            if self.closing.is_none() {
                self.take(frame);
            }
        }
        self.arrived = arrived;
        self.obey()?;
        Ok(result?)
    }

    fn take(&mut self, frame: Arrived) {
        let link = self.id;
        match frame {
            Arrived::Control(frame) => self.links.handle(Event::Control { link, frame }),
            Arrived::Announcement(announcement) => {
                self.links.handle(Event::Announcement { link, announcement });
            }
            Arrived::Run { number, bytes } if self.inflow.is_some() => self.run(number, bytes),
            Arrived::Run { number, bytes } => self.early.push_back((number, bytes)),
            Arrived::Handled(number) => {
                if let Some(inflow) = &self.inflow {
                    inflow.borrow().peer().note_handled(number);
                }
            }
            Arrived::Pong => {
                if let (Some(pinged), Some(counters)) = (self.pinged.take(), &self.counters) {
                    counters.note_round_trip(pinged.elapsed());
                }
            }
            // The link answers these itself.
            Arrived::Ping | Arrived::Credit(_) => {}
        }
    }

    fn run(&mut self, number: Option<u64>, bytes: Bytes) {
        let Some(inflow) = &self.inflow else { return };
        if let Err(error) = inflow.borrow_mut().run(number, bytes, self.now()) {
            self.links.common.counters.unreadable_runs.fetch_add(1, Relaxed);
            tracing::error!(%error, remote = %self.remote, "messages of a peer are lost; both must run versions that fit");
        }
    }

    /// Ends the batch, says what is kept, and gives credit unless clients do not keep up.
    fn acknowledge(&mut self, cx: &Context<'_>) {
        let Some(inflow) = self.inflow.clone() else { return };
        let (now, mut inflow) = (self.now(), inflow.borrow_mut());
        if let Some(congestion) = inflow.finish(now) {
            // The time of one that is there goes on, so that credit comes at last.
            let until = self.congestion.take().map_or(now.after(CONGESTION_TIME_MAX), |(_, until)| until);
            self.congestion = Some((congestion, until));
        }
        if let Some(number) = inflow.poll_kept(cx.waker(), now) {
            self.link.handled(number);
        }
        if let Some((congestion, until)) = &mut self.congestion
            && (now >= *until || congestion.poll_done(cx.waker(), now))
        {
            self.congestion = None;
        }
        if self.congestion.is_none() {
            self.link.give_credit();
        }
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        for _ in 0..WRITES_MAX {
            if self.out.is_empty() {
                let inflow = self.inflow.as_ref().map(|inflow| inflow.borrow());
                let peer = inflow.as_ref().map(|inflow| &**inflow.peer());
                if self.link.write(peer, &mut self.out)? {
                    self.pinged = Some(Instant::now());
                }
                if self.out.is_empty() {
                    return self.nothing_to_write();
                }
            }
            match Pin::new(&mut self.stream).poll_write(cx, &self.out) {
                Poll::Ready(Ok(written)) if written > 0 => self.out.advance(written),
                Poll::Ready(_) if self.open => return Err(LinkFault::Cut.into()),
                Poll::Ready(_) => return Err(LinkFault::HandshakeCut.into()),
                Poll::Pending => return Ok(()),
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn nothing_to_write(&self) -> Result<(), End> {
        match self.closing {
            Some((why, _)) => Err(End::Closed(why)),
            None => Ok(()),
        }
    }

    fn count(&mut self) {
        if let Some(counters) = &self.counters {
            counters.add(self.link.went(), self.link.came(), &mut self.counted);
        }
    }

    fn set_timer(&mut self, cx: &mut Context<'_>) {
        let congested = self.congestion.as_ref().map_or(Moment::NEVER, |(_, until)| *until);
        let closing = self.closing.map_or(Moment::NEVER, |(_, until)| until);
        let due = self.link.next_due().min(congested).min(closing);
        if due != self.wakes_at {
            self.wakes_at = due;
            let delay = due.since(self.now());
            self.sleep.as_mut().reset(tokio::time::Instant::now() + delay);
        }
        if self.sleep.as_mut().poll(cx).is_ready() {
            // The next turn sets it anew.
            self.wakes_at = Moment::ZERO;
            cx.waker().wake_by_ref();
        }
    }

    fn end(&mut self, end: &End) {
        self.count();
        match end {
            End::Fault(fault) => {
                self.links.common.counters.faults.count(*fault);
                self.log(*fault);
            }
            End::Closed(why) => tracing::debug!(remote = %self.remote, why = why.label(), "a link is closed"),
        }
        if self.closing.is_none() {
            match self.dialled {
                _ if self.open => self.links.handle(Event::LinkClosed { link: self.id }),
                Some(to) => self.links.handle(Event::DialFailed { to }),
                None => {}
            }
        }
        self.detach();
        self.links.forget(self.id);
    }

    fn log(&self, fault: LinkFault) {
        let remote = self.remote;
        match fault {
            LinkFault::Cut => tracing::debug!(%remote, "a link was cut"),
            // Whoever knocks can bring these about as often as they like; they are counted.
            LinkFault::NotSkein | LinkFault::HandshakeSlow | LinkFault::HandshakeCut | LinkFault::Crowded
                if self.dialled.is_none() =>
            {
                tracing::debug!(%remote, %fault, "a connection was refused");
            }
            // These too: a wrong secret can be tried as often as anything.
            _ if self.dialled.is_none() && !self.links.logs_stranger(remote) => {}
            _ => tracing::warn!(%remote, fault = fault.label(), "{fault}"),
        }
    }
}

impl Future for Connection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // A fault of ours ends the connection and not the thread.
        let turn = catch_unwind(AssertUnwindSafe(|| this.turn(cx)));
        let mut end = match turn {
            Ok(Ok(())) => None,
            Ok(Err(end)) => Some(end),
            Err(_panic) => Some(LinkFault::Garbled("this node failed over it").into()),
        };
        if let Some((why, until)) = this.closing
            && end.is_none()
            && this.now() >= until
        {
            end = Some(End::Closed(why));
        }
        let Some(end) = end else { return Poll::Pending };
        this.end(&end);
        Poll::Ready(())
    }
}
