//! The gossip's thread: a datagram socket, the membership and its timers. Apart from the links', so that however much these
//! carry, a probe is answered in time.

use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};

use tokio::{io::ReadBuf, net::UdpSocket, time::sleep};

use super::{Common, links::Command};
use crate::{
    NodeInfo,
    core::Event,
    gossip::{DATAGRAM_BYTES_MAX, GossipAction, Membership, Seal},
    link::nonce,
};

/// Datagrams in a row before timers and commands get their turn.
const DATAGRAMS_MAX: usize = 64;

/// What the gossip's thread is asked to do.
#[derive(Debug)]
pub(super) enum GossipCommand {
    Meet(NodeInfo),
    DeclareDown(NodeInfo),
    Renew(NodeInfo),
    /// Say good-bye, and end.
    Leave,
    /// End now.
    Stop,
}

pub(super) struct Gossiping {
    common: Arc<Common>,
    membership: Membership,
    /// None without a secret.
    seal: Option<Seal>,
    socket: UdpSocket,
    actions: Vec<GossipAction>,
}

impl Gossiping {
    pub(super) fn new(
        common: Arc<Common>,
        membership: Membership,
        seal: Option<Seal>,
        socket: UdpSocket,
    ) -> Self {
        Self { common, membership, seal, socket, actions: Vec::new() }
    }

    /// Until the node stops or has left.
    pub(super) async fn run(mut self) {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX + 1];
        loop {
            let next = self.next(&mut buffer).await;
            let now = self.common.now();
            match next {
                Next::Command(GossipCommand::Meet(info)) => {
                    self.membership.meet(&info, now, &mut self.actions);
                }
                Next::Command(GossipCommand::DeclareDown(info)) => {
                    self.membership.declare_down(&info, now, &mut self.actions);
                }
                Next::Command(GossipCommand::Renew(info)) => self.renew(info),
                Next::Command(GossipCommand::Leave) => {
                    self.membership.leave(now, &mut self.actions);
                    self.act();
                    return;
                }
                Next::Command(GossipCommand::Stop) => return,
                Next::Datagram(length, from) => self.datagrams(length, from, &mut buffer),
                Next::Due => self.membership.tick(now, &mut self.actions),
            }
            self.act();
        }
    }

    async fn next(&self, buffer: &mut [u8]) -> Next {
        let delay = self.membership.next_due().map(|due| due.since(self.common.now()));
        let timer = async {
            match delay {
                Some(delay) => sleep(delay).await,
                None => std::future::pending().await,
            }
        };
        let mut timer = pin!(timer);
        std::future::poll_fn(|cx: &mut Context<'_>| {
            if let Poll::Ready(Some(command)) = self.common.to_gossip.poll_next(cx) {
                return Poll::Ready(Next::Command(command));
            }
            if timer.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Next::Due);
            }
            let mut into = ReadBuf::new(buffer);
            match self.socket.poll_recv_from(cx, &mut into) {
                Poll::Ready(Ok(from)) => Poll::Ready(Next::Datagram(into.filled().len(), from)),
                // What an earlier datagram met at its other end; nothing follows from it.
                Poll::Ready(Err(_unreachable)) => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// One that came, and those behind it.
    fn datagrams(&mut self, length: usize, from: SocketAddr, buffer: &mut [u8]) {
        let mut next = Some((length, from));
        for _ in 0..DATAGRAMS_MAX {
            let Some((length, from)) = next else { return };
            let refused = match buffer.get(..length) {
                Some(datagram) => !self.datagram(datagram, from),
                None => true,
            };
            self.common.counters.datagrams_received.fetch_add(1, Relaxed);
            self.common.counters.datagrams_refused.fetch_add(u64::from(refused), Relaxed);
            next = self.socket.try_recv_from(buffer).ok();
        }
        // The last one that was taken from the socket must not be lost.
        if let Some((length, from)) = next
            && let Some(datagram) = buffer.get(..length)
        {
            self.datagram(datagram, from);
        }
    }

    /// Returns whether it was taken.
    fn datagram(&mut self, datagram: &[u8], from: SocketAddr) -> bool {
        let now = self.common.now();
        let opened = match &mut self.seal {
            Some(seal) => seal.open(datagram),
            None if from.ip().is_loopback() => Ok(datagram.to_vec()),
            None => return false,
        };
        match opened {
            Ok(plain) => self.membership.datagram(&plain, now, &mut self.actions).is_ok(),
            Err(_not_ours) => false,
        }
    }

    fn renew(&mut self, info: NodeInfo) {
        match (&mut self.seal, salt()) {
            (Some(seal), Ok(salt)) => seal.renew(&info, salt),
            (None, _) => {}
            (Some(_), Err(error)) => {
                tracing::error!(%error, "this node cannot begin another life in gossip; restart it");
                return;
            }
        }
        self.membership.renew(info, self.common.now(), &mut self.actions);
    }

    fn act(&mut self) {
        for action in std::mem::take(&mut self.actions) {
            let event = match action {
                GossipAction::Send { to, bytes } => {
                    self.send(to, &bytes);
                    continue;
                }
                GossipAction::Alive(info) => Event::Alive(info),
                GossipAction::Down(info, gone) => Event::Dead(info, gone),
                // Not the cluster's, which may be the next one by now: that would be given up for nothing.
                GossipAction::GivenUp => Event::GivenUp { incarnation: self.membership.incarnation() },
            };
            self.common.to_links.put(Command::Event(event));
        }
    }

    /// What the socket does not take at once is lost, as anything on a network may be.
    fn send(&mut self, to: SocketAddr, bytes: &[u8]) {
        if self.seal.is_none() && !to.ip().is_loopback() {
            return;
        }
        let sent = match &mut self.seal {
            Some(seal) => self.socket.try_send_to(&seal.seal(bytes), to),
            None => self.socket.try_send_to(bytes, to),
        };
        match sent {
            Ok(_) => _ = self.common.counters.datagrams_sent.fetch_add(1, Relaxed),
            Err(error) => tracing::debug!(%to, %error, "a datagram could not be sent"),
        }
    }
}

/// What tells apart two lives that have the same number.
pub(super) fn salt() -> io::Result<[u8; 8]> {
    let [a, b, c, d, e, f, g, h, ..] = nonce()?;
    Ok([a, b, c, d, e, f, g, h])
}

enum Next {
    Command(GossipCommand),
    Datagram(usize, SocketAddr),
    Due,
}
