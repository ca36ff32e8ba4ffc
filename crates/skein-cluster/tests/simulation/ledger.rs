//! What became of every message between two lives of two nodes.

use std::{collections::BTreeMap, sync::Arc};

use bytes::{BufMut, Bytes, BytesMut};
use skein_cluster::{Peer, Sent};

/// Where a message belongs: an account and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) account: usize,
    pub(crate) number: u64,
    pub(crate) kept: bool,
}

/// What one peer, as its sender has it, was sent.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) peer: Arc<Peer>,
    /// The process that sends, as long as it is there.
    pub(crate) process: Option<u64>,
    pub(crate) kept_sent: u64,
    /// Numbers of kept messages, as they came.
    pub(crate) kept_handled: Vec<u64>,
    pub(crate) unkept_sent: u64,
    pub(crate) unkept_refused: u64,
    pub(crate) unkept_handled: u64,
    /// Lost with a cut link.
    pub(crate) unkept_lost: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) accounts: Vec<Account>,
    by_peer: BTreeMap<usize, usize>,
}

impl Ledger {
    /// The account of a peer object, and the number of the next message in it.
    pub(crate) fn next(&mut self, process: u64, peer: &Arc<Peer>, kept: bool) -> Entry {
        let account = *self.by_peer.entry(Arc::as_ptr(peer).addr()).or_insert_with(|| {
            self.accounts.push(Account {
                peer: peer.clone(),
                process: Some(process),
                kept_sent: 0,
                kept_handled: Vec::new(),
                unkept_sent: 0,
                unkept_refused: 0,
                unkept_handled: 0,
                unkept_lost: 0,
            });
            self.accounts.len() - 1
        });
        let sent = &self.accounts[account];
        let number = if kept { sent.kept_sent } else { sent.unkept_sent };
        Entry { account, number, kept }
    }

    pub(crate) fn sent(&mut self, entry: Entry, sent: Sent) {
        let account = &mut self.accounts[entry.account];
        match (entry.kept, sent) {
            (_, Sent::Down) => {}
            (true, _) => account.kept_sent += 1,
            (false, Sent::Dropped) => {
                account.unkept_sent += 1;
                account.unkept_refused += 1;
            }
            (false, _) => account.unkept_sent += 1,
        }
    }

    pub(crate) fn handled(&mut self, payload: &Bytes) {
        let entry = Entry::read(payload);
        let account = &mut self.accounts[entry.account];
        if entry.kept {
            account.kept_handled.push(entry.number);
        } else {
            account.unkept_handled += 1;
        }
    }

    pub(crate) fn lost(&mut self, payload: &Bytes) {
        let entry = Entry::read(payload);
        if !entry.kept {
            self.accounts[entry.account].unkept_lost += 1;
        }
    }

    /// The process is gone, and what it had sent with it.
    pub(crate) fn end(&mut self, process: u64) {
        for account in self.accounts.iter_mut().filter(|account| account.process == Some(process)) {
            account.process = None;
        }
    }

    /// Every message is in exactly one place.
    pub(crate) fn check(&self, faults: &mut Vec<String>) {
        for (id, account) in self.accounts.iter().enumerate() {
            let Account { peer, kept_sent, kept_handled, .. } = account;
            let name = format!("account {id} to node {}@{}", peer.id(), peer.info().incarnation);
            if kept_handled.iter().copied().ne(0..kept_handled.len() as u64) {
                faults.push(format!("{name}: kept messages came as {kept_handled:?}"));
            }
            let figures = peer.figures();
            let accounted = account.unkept_handled + account.unkept_lost + figures.dropped_messages;
            if peer.is_down() || account.process.is_none() {
                if kept_handled.len() as u64 > *kept_sent || accounted > account.unkept_sent {
                    faults.push(format!("{name}: more came than was sent: {account:?}"));
                }
                continue;
            }
            if kept_handled.len() as u64 != *kept_sent || figures.unhandled_runs != 0 {
                faults.push(format!(
                    "{name}: of {kept_sent} kept messages {} came: {figures:?}",
                    kept_handled.len()
                ));
            }
            if accounted != account.unkept_sent || figures.dropped_messages < account.unkept_refused {
                faults.push(format!("{name}: {accounted} accounted for: {account:?} {figures:?}"));
            }
        }
    }
}

impl Entry {
    pub(crate) fn payload(self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u64_le(self.account as u64);
        out.put_u64_le(self.number);
        out.put_u8(u8::from(self.kept));
        out.freeze()
    }

    fn read(payload: &Bytes) -> Self {
        let word = |from: usize| u64::from_le_bytes(payload[from..from + 8].try_into().expect("eight bytes"));
        let account = usize::try_from(word(0)).expect("it was a usize");
        Self { account, number: word(8), kept: payload[16] != 0 }
    }
}
