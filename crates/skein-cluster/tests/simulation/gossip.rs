//! Real membership beside each core, as the shell has it: a thread of its own, so that what one says to the other comes a
//! little later; and datagrams, which the network loses, delays and blocks.

use bytes::Bytes;
use skein_cluster::{Event, GossipAction, GossipSettings, Membership, NodeInfo};
use skein_types::Moment;

use super::{
    node::address,
    world::{Happening, World},
};

pub(crate) struct Gossip {
    pub(crate) membership: Membership,
    me: NodeInfo,
    pub(crate) tick_at: u64,
}

/// What a core asks of gossip.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Meet(NodeInfo),
    DeclareDown(NodeInfo),
    Renew(NodeInfo),
    Leave,
    Datagram(Bytes),
    Tick,
}

impl Gossip {
    pub(crate) fn new(me: NodeInfo, seed: u64) -> Self {
        Self {
            membership: Membership::new(me.clone(), GossipSettings::default(), seed),
            me,
            tick_at: u64::MAX,
        }
    }
}

impl World {
    /// The core asks gossip for something, which does it in its own time.
    pub(crate) fn ask_gossip(&mut self, place: usize, command: Command) {
        let at = self.now + self.dice.range(0, 5);
        self.happen_at(at, place, Happening::Gossip(command));
    }

    pub(crate) fn gossip(&mut self, place: usize, command: Command) {
        let now = Moment::from_millis(self.now);
        let Some(node) = &mut self.nodes[place] else { return };
        let Gossip { membership, me, tick_at } = &mut node.gossip;
        let mut out = Vec::new();
        match command {
            Command::Meet(info) => membership.meet(&info, now, &mut out),
            Command::DeclareDown(info) => membership.declare_down(&info, now, &mut out),
            Command::Renew(info) => {
                *me = info.clone();
                membership.renew(info, now, &mut out);
            }
            Command::Leave => membership.leave(now, &mut out),
            // One for an earlier life, or from a stranger, is refused.
            Command::Datagram(bytes) => _ = membership.datagram(&bytes, now, &mut out),
            Command::Tick => {
                *tick_at = u64::MAX;
                membership.tick(now, &mut out);
            }
        }
        let incarnation = me.incarnation;
        let due = membership.next_due().map(|due| due.as_millis().max(self.now + 1));
        if let Some(due) = due.filter(|due| *due < *tick_at) {
            *tick_at = due;
            self.happen_at(due, place, Happening::Gossip(Command::Tick));
        }
        for action in out {
            let news = match action {
                GossipAction::Send { to, bytes } => {
                    self.send_datagram(place, to, bytes);
                    continue;
                }
                GossipAction::Alive(info) => Event::Alive(info),
                GossipAction::Down(info, gone) => Event::Dead(info, gone),
                GossipAction::GivenUp => Event::GivenUp { incarnation },
            };
            self.say(|| format!("n{} hears {news:?}", place + 1));
            let at = self.last_news_at(place) + self.dice.range(0, 3);
            self.note_news_at(place, at);
            self.happen_at(at, place, Happening::News(Box::new(news)));
        }
    }

    fn send_datagram(&mut self, place: usize, to: std::net::SocketAddr, bytes: Bytes) {
        self.trace.note_bytes(&bytes);
        let there = (0..self.nodes.len()).find(|there| address(*there) == to);
        let Some(there) = there.filter(|there| self.network.passes(place, *there)) else { return };
        if !self.dice.chance(self.gossip_loss_percent) {
            let at = self.now + self.network.delay(place, there, &mut self.dice);
            self.happen_at(at, there, Happening::Gossip(Command::Datagram(bytes)));
        }
    }

    /// News come in order.
    fn last_news_at(&self, place: usize) -> u64 {
        self.nodes[place].as_ref().map_or(0, |node| node.news_at).max(self.now)
    }

    fn note_news_at(&mut self, place: usize, at: u64) {
        if let Some(node) = &mut self.nodes[place] {
            node.news_at = at;
        }
    }
}
