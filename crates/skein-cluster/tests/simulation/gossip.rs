//! A simple model of gossip: each node has a table of nodes and spreads it; who is not reached for a while, directly or
//! through another one, is down. It stands for real membership, with the same kinds of news.

use std::collections::BTreeMap;

use skein_cluster::{Gone, NodeInfo};
use skein_types::{Incarnation, NodeId};

use super::random::Dice;

/// A member that is not reached for so long is down.
const SUSPECT_MS: u64 = 1200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rumour {
    Alive,
    Down(Gone),
}

#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) info: NodeInfo,
    pub(crate) rumour: Rumour,
    missed_since: Option<u64>,
}

pub(crate) type Table = BTreeMap<NodeId, Known>;

/// What a node's gossip has to say to its core.
#[derive(Clone, Debug)]
pub(crate) enum News {
    Alive(NodeInfo),
    Dead(NodeInfo, Gone),
    GivenUp(Incarnation),
}

#[derive(Debug)]
pub(crate) struct Gossip {
    pub(crate) me: NodeInfo,
    pub(crate) table: Table,
}

impl Gossip {
    pub(crate) fn new(me: NodeInfo) -> Self {
        Self { me, table: Table::new() }
    }

    /// What is sent to others: its table, and that it lives.
    pub(crate) fn say(&self, rumour: Rumour) -> Table {
        let mut table = self.table.clone();
        table.insert(self.me.id, Known { info: self.me.clone(), rumour, missed_since: None });
        table
    }

    /// Another one's table.
    pub(crate) fn hear(&mut self, table: &Table, news: &mut Vec<News>) {
        for Known { info, rumour, .. } in table.values() {
            self.learn(info, *rumour, news);
        }
    }

    pub(crate) fn learn(&mut self, info: &NodeInfo, rumour: Rumour, news: &mut Vec<News>) {
        if info.id == self.me.id {
            if matches!(rumour, Rumour::Down(_)) && info.incarnation >= self.me.incarnation {
                news.push(News::GivenUp(info.incarnation));
            }
            return;
        }
        let known = self.table.get(&info.id);
        let is_news = known.is_none_or(|known| {
            info.incarnation > known.info.incarnation
                || info.incarnation == known.info.incarnation
                    && known.rumour == Rumour::Alive
                    && rumour != Rumour::Alive
        });
        if is_news {
            self.table.insert(info.id, Known { info: info.clone(), rumour, missed_since: None });
            news.push(match rumour {
                Rumour::Alive => News::Alive(info.clone()),
                Rumour::Down(gone) => News::Dead(info.clone(), gone),
            });
        }
    }

    /// Whom to send to now: some who are alive, sometimes one who is not.
    pub(crate) fn whom(&self, dice: &mut Dice) -> Vec<NodeId> {
        let ids = |down: bool| -> Vec<NodeId> {
            let wanted = self.table.iter().filter(|(_, known)| (known.rumour != Rumour::Alive) == down);
            wanted.map(|(id, _)| *id).collect()
        };
        let mut whom: Vec<_> = (0..2).filter_map(|_| dice.pick(&ids(false))).collect();
        if dice.chance(20) {
            whom.extend(dice.pick(&ids(true)));
        }
        whom
    }

    /// One round of probes; `reaches` says whether a node answers.
    pub(crate) fn probe(&mut self, now: u64, mut reaches: impl FnMut(NodeId) -> bool, news: &mut Vec<News>) {
        for (id, known) in &mut self.table {
            if known.rumour != Rumour::Alive {
                continue;
            }
            if reaches(*id) {
                known.missed_since = None;
            } else if now - *known.missed_since.get_or_insert(now) >= SUSPECT_MS {
                known.rumour = Rumour::Down(Gone::Failed);
                news.push(News::Dead(known.info.clone(), Gone::Failed));
            }
        }
    }
}
