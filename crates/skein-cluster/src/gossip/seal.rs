//! Sealed datagrams: only who knows the cluster's secret can make one, nobody else can read one, and each counts once.
//!
//! Layout, integers little-endian: version (u8, 1), sender (u16 id, u64 incarnation), salt (8 bytes), counter (u64), then
//! the gossip under ChaCha20-Poly1305 with its tag of 16 bytes. All before the gossip is authenticated with it. The key is
//! HKDF-SHA256 of the secret, with a label that links do not use, for this sender, incarnation and salt. The salt is new for each
//! life of a node, so that a key never meets the same counter twice, even should an incarnation come twice; the counter is
//! the nonce.
//!
//! Why a recorded datagram is of no use:
//!
//! - *To the node it was sent to*: for each sender there is one life and a window of the last 128 counters. A counter that was
//!   seen or is below the window is refused. 128 is less than the 256 probes after which foca's probe numbers come
//!   again, and a node sends more than one datagram for each probe: an answer that was held back for so long that it would
//!   answer another probe is refused.
//! - *To that node after it started again*, when it remembers no windows: each message names the life it is for, under the
//!   seal, and that life is over ([`super::Membership::datagram`] refuses it). Incarnations only rise.
//! - *To another node*: likewise, the message names whom it is for.
//! - *From a past life of the sender*: once a newer life was heard, older ones are refused. Who was not heard in its newer
//!   life yet does no harm either: the message must still be for this life of the receiver, and be unseen.
//!
//! No challenge over links is needed, and a stranger cannot make the receiver remember anything: a sender's entry is made
//! only by a datagram that opens. There is one for an id, never more, and none is ever dropped, which would
//! bring back what its window had refused.
//!
//! The secret is one for all: who knows it can speak as any node. There is no clock here and no randomness.

use std::collections::BTreeMap;

use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Prk, Salt},
};
use skein_types::{Incarnation, NodeId};

use crate::{NodeInfo, Secret};

const VERSION: u8 = 1;
/// Version, sender, incarnation, salt, counter.
const HEAD_BYTES: usize = 1 + 2 + 8 + SALT_BYTES + 8;
const SALT_BYTES: usize = 8;
/// What a seal adds to a message.
pub(super) const SEAL_BYTES: usize = HEAD_BYTES + 16;
/// Tells these keys from all others that are made of the secret.
const LABEL: &[u8] = b"skein gossip datagrams 1";

/// Why a datagram was not opened. Each is a reason to count it and drop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It is no sealed datagram.
    #[error("it is no sealed datagram")]
    NotSealed,
    /// Its maker does not know the secret, or it was changed on its way.
    #[error("it was not sealed with this cluster's secret, or was changed on its way")]
    Forged,
    /// It came before, or so many others came since that nobody can say.
    #[error("it came before, or far too late")]
    Replayed,
    /// Its sender has begun another life since.
    #[error("it is from a past life of its sender")]
    PastLife,
    /// It is from this node.
    #[error("its sender has the id of this node")]
    OwnId,
}

/// Seals what a node sends and opens what it receives.
pub struct Seal {
    secret: Prk,
    me: Sender,
    sent: u64,
    heard: BTreeMap<NodeId, Heard>,
}

/// One life of a sender, and its key.
struct Sender {
    id: NodeId,
    incarnation: Incarnation,
    salt: [u8; SALT_BYTES],
    key: LessSafeKey,
}

struct Heard {
    sender: Sender,
    window: Window,
}

impl Seal {
    /// The seal of this life of a node. `salt` is random and new.
    ///
    /// # Panics
    /// Never: a key for this cipher can always be derived.
    #[must_use]
    pub fn new(secret: &Secret, me: &NodeInfo, salt: [u8; 8]) -> Self {
        let secret = Salt::new(HKDF_SHA256, LABEL).extract(secret.0.as_bytes());
        let me = Sender::new(&secret, me.id, me.incarnation, salt);
        Self { secret, me, sent: 0, heard: BTreeMap::new() }
    }

    /// This node begins another life. What came is remembered: the senders are the same.
    pub fn renew(&mut self, me: &NodeInfo, salt: [u8; 8]) {
        self.me = Sender::new(&self.secret, me.id, me.incarnation, salt);
        self.sent = 0;
    }

    /// The datagram for a message.
    ///
    /// # Panics
    /// After 2^64 datagrams, or for a message of more than 256 GiB.
    #[must_use]
    pub fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        self.sent = self.sent.checked_add(1).expect("a node does not live for 2^64 datagrams");
        let mut datagram = Vec::with_capacity(plain.len() + SEAL_BYTES);
        datagram.push(VERSION);
        datagram.extend_from_slice(&self.me.id.0.to_le_bytes());
        datagram.extend_from_slice(&self.me.incarnation.0.to_le_bytes());
        datagram.extend_from_slice(&self.me.salt);
        datagram.extend_from_slice(&self.sent.to_le_bytes());
        let head = Aad::from(datagram.clone());
        datagram.extend_from_slice(plain);
        let (_, body) = datagram.split_at_mut(HEAD_BYTES);
        let tag = self.me.key.seal_in_place_separate_tag(nonce(self.sent), head, body);
        datagram.extend_from_slice(tag.expect("gossip is shorter than what the cipher can take").as_ref());
        datagram
    }

    /// The message of a datagram.
    ///
    /// # Errors
    /// It must be dropped: see [`SealError`].
    pub fn open(&mut self, datagram: &[u8]) -> Result<Vec<u8>, SealError> {
        let (head, body) = datagram.split_first_chunk::<HEAD_BYTES>().ok_or(SealError::NotSealed)?;
        let (id, incarnation, salt, counter) = read_head(head).ok_or(SealError::NotSealed)?;
        if id == self.me.id {
            return Err(SealError::OwnId);
        }
        match self.heard.get_mut(&id) {
            Some(heard) if heard.sender.incarnation > incarnation => Err(SealError::PastLife),
            Some(heard) if heard.sender.incarnation == incarnation => {
                // Two lives never share an incarnation; should it happen, the first one heard is the one.
                if heard.sender.salt != salt {
                    return Err(SealError::PastLife);
                }
                if !heard.window.is_new(counter) {
                    return Err(SealError::Replayed);
                }
                let plain = heard.sender.open(counter, head, body)?;
                heard.window.note(counter);
                Ok(plain)
            }
            _ => {
                let sender = Sender::new(&self.secret, id, incarnation, salt);
                let plain = sender.open(counter, head, body)?;
                let mut window = Window::default();
                window.note(counter);
                self.heard.insert(id, Heard { sender, window });
                Ok(plain)
            }
        }
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seal").field("sent", &self.sent).finish_non_exhaustive()
    }
}

impl Sender {
    fn new(secret: &Prk, id: NodeId, incarnation: Incarnation, salt: [u8; SALT_BYTES]) -> Self {
        let (id_bytes, incarnation_bytes) = (id.0.to_le_bytes(), incarnation.0.to_le_bytes());
        let info = [LABEL, &id_bytes, &incarnation_bytes, &salt];
        let okm = secret.expand(&info, &CHACHA20_POLY1305).expect("32 bytes can be derived");
        Self { id, incarnation, salt, key: LessSafeKey::new(UnboundKey::from(okm)) }
    }

    fn open(&self, counter: u64, head: &[u8], body: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut body = body.to_vec();
        let opened = self.key.open_in_place(nonce(counter), Aad::from(head), &mut body);
        let length = opened.map_err(|_forged| SealError::Forged)?.len();
        body.truncate(length);
        Ok(body)
    }
}

fn read_head(head: &[u8; HEAD_BYTES]) -> Option<(NodeId, Incarnation, [u8; SALT_BYTES], u64)> {
    let (version, rest) = head.split_first()?;
    let (id, rest) = rest.split_first_chunk()?;
    let (incarnation, rest) = rest.split_first_chunk()?;
    let (salt, rest) = rest.split_first_chunk()?;
    let counter = rest.first_chunk()?;
    let id = NodeId(u16::from_le_bytes(*id));
    (*version == VERSION && id != NodeId::default())
        .then(|| (id, Incarnation(u64::from_le_bytes(*incarnation)), *salt, u64::from_le_bytes(*counter)))
}

fn nonce(counter: u64) -> Nonce {
    let [a, b, c, d, e, f, g, h] = counter.to_le_bytes();
    Nonce::assume_unique_for_key([0, 0, 0, 0, a, b, c, d, e, f, g, h])
}

/// Which of the last 128 counters came.
#[derive(Debug, Default)]
struct Window {
    highest: u64,
    /// Bit n: `highest - n` came.
    came: u128,
}

impl Window {
    fn is_new(&self, counter: u64) -> bool {
        match self.highest.checked_sub(counter) {
            None => true,
            Some(behind) => behind < 128 && self.came & (1 << behind) == 0,
        }
    }

    fn note(&mut self, counter: u64) {
        match counter.checked_sub(self.highest) {
            Some(ahead) => {
                let shift = u32::try_from(ahead).unwrap_or(u32::MAX);
                self.came = self.came.checked_shl(shift).unwrap_or(0) | 1;
                self.highest = counter;
            }
            None => self.came |= 1 << (self.highest - counter).min(127),
        }
    }
}

#[cfg(test)]
mod tests;
