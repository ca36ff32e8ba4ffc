//! The handshake and the records of a sealed link: Noise `NNpsk0` with X25519, AES-256-GCM and SHA-256, all of them ring's.
//!
//! AES-GCM rather than ChaCha20: ring has instructions of the processor for it wherever we run, and it is twice as quick there.
//! The key comes from the secret, so that the secret itself is never used twice for different things. Each side of a handshake
//! makes one key pair and agrees once, which is just what ring offers; nothing else of X25519 is needed. Never in here: keys
//! that can be shown, or a second way to derive them.

use std::sync::Arc;

use bytes::{Buf, BufMut, BytesMut};
use parking_lot::Mutex;
use ring::{agreement, hkdf, rand::SystemRandom};
use snow::{
    Builder, HandshakeState, TransportState,
    params::{CipherChoice, DHChoice, HashChoice, NoiseParams},
    resolvers::{CryptoResolver, RingResolver},
    types::{Cipher, Dh, Hash, Random},
};

use super::fault::LinkFault;
use crate::Secret;

const PATTERN: &str = "Noise_NNpsk0_25519_AESGCM_SHA256";
/// What the key is for, so that no other key made from the secret is equal to it.
const LABEL: &[u8] = b"skein cluster link v1";
const TAG_BYTES: usize = 16;
const PUBLIC_BYTES: usize = 32;
/// Both messages of the handshake: a public key and the tag of an empty text.
const HANDSHAKE_BYTES: usize = PUBLIC_BYTES + TAG_BYTES;
/// The text of one record. Large enough that records cost little, small enough that the first frames in one are read soon.
const RECORD_BYTES_MAX: usize = 32 * 1024;

/// The key of a cluster's links.
#[derive(Clone)]
pub(super) struct LinkKey(Arc<[u8; 32]>);

impl LinkKey {
    pub(super) fn new(secret: &Secret) -> Self {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"skein");
        let mut key = [0; 32];
        let derived = salt
            .extract(secret.0.as_bytes())
            .expand(&[LABEL], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut key));
        derived.expect("32 bytes are what one round of HKDF-SHA256 gives");
        Self(Arc::new(key))
    }
}

impl std::fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkKey(..)")
    }
}

/// Which end of the connection a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It made the connection.
    Dialled,
    /// It was called.
    Accepted,
}

/// A handshake under way.
#[derive(Debug)]
pub(super) struct Handshake(Box<HandshakeState>);

impl Handshake {
    /// Begins one over two preambles, the dialling side's first.
    pub(super) fn new(key: &LinkKey, side: Side, dialled: &[u8], accepted: &[u8]) -> Result<Self, LinkFault> {
        let broken = |_error| LinkFault::Garbled("the handshake cannot begin");
        let params: NoiseParams = PATTERN.parse().map_err(broken)?;
        let prologue = [dialled, accepted].concat();
        let builder = Builder::with_resolver(params, Box::new(Resolver))
            .psk(0, &key.0)
            .and_then(|builder| builder.prologue(&prologue))
            .map_err(broken)?;
        let state = match side {
            Side::Dialled => builder.build_initiator(),
            Side::Accepted => builder.build_responder(),
        };
        Ok(Self(Box::new(state.map_err(broken)?)))
    }

    pub(super) fn write(&mut self, out: &mut BytesMut) -> Result<(), LinkFault> {
        let mut message = [0; HANDSHAKE_BYTES];
        let written = self.0.write_message(&[], &mut message);
        if written.ok() != Some(HANDSHAKE_BYTES) {
            return Err(LinkFault::Garbled("the handshake cannot go on"));
        }
        out.extend_from_slice(&message);
        Ok(())
    }

    /// Takes the other side's message once it is there.
    pub(super) fn read(&mut self, from: &mut BytesMut) -> Result<bool, LinkFault> {
        if from.len() < HANDSHAKE_BYTES {
            return Ok(false);
        }
        let message = from.split_to(HANDSHAKE_BYTES);
        let mut nothing = [0; HANDSHAKE_BYTES];
        self.0.read_message(&message, &mut nothing).map_err(|_forged| LinkFault::NotAuthentic)?;
        Ok(true)
    }

    pub(super) fn finish(self) -> Result<Seal, LinkFault> {
        let state = self.0.into_transport_mode();
        let state = state.map_err(|_unfinished| LinkFault::Garbled("the handshake did not end"))?;
        Ok(Seal(Box::new(state)))
    }
}

/// Seals and opens records: a length (u16) and the sealed text with its tag.
#[derive(Debug)]
pub(super) struct Seal(Box<TransportState>);

impl Seal {
    /// Seals `text` into as many records as it needs.
    pub(super) fn seal(&mut self, text: &[u8], out: &mut BytesMut) -> Result<(), LinkFault> {
        for text in text.chunks(RECORD_BYTES_MAX) {
            let length = text.len() + TAG_BYTES;
            out.put_u16_le(
                u16::try_from(length).map_err(|_large| LinkFault::Garbled("a record is too large"))?,
            );
            let from = out.len();
            out.resize(from + length, 0);
            let room = out.get_mut(from..).unwrap_or_default();
            self.0
                .write_message(text, room)
                .map_err(|_worn| LinkFault::Garbled("a record cannot be sealed"))?;
        }
        Ok(())
    }

    /// Opens the records that are whole.
    pub(super) fn open(&mut self, from: &mut BytesMut, text: &mut BytesMut) -> Result<(), LinkFault> {
        while let Some((length, _)) = from.split_first_chunk::<2>() {
            let length = usize::from(u16::from_le_bytes(*length));
            if !(TAG_BYTES..=RECORD_BYTES_MAX + TAG_BYTES).contains(&length) {
                return Err(LinkFault::Garbled("a record has a length that none can have"));
            }
            let Some(record) = from.get(2..2 + length) else { return Ok(()) };
            let before = text.len();
            text.resize(before + length, 0);
            let room = text.get_mut(before..).unwrap_or_default();
            let opened = self.0.read_message(record, room).map_err(|_forged| LinkFault::NotAuthentic)?;
            text.truncate(before + opened);
            from.advance(2 + length);
        }
        Ok(())
    }
}

/// Everything from ring.
#[derive(Debug)]
struct Resolver;

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        RingResolver.resolve_rng()
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::new(Agreement::default()) as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        RingResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        RingResolver.resolve_cipher(choice)
    }
}

/// X25519 with a key pair that is used once.
#[derive(Default)]
struct Agreement {
    public: [u8; PUBLIC_BYTES],
    private: Mutex<Option<agreement::EphemeralPrivateKey>>,
}

impl Dh for Agreement {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        PUBLIC_BYTES
    }

    fn priv_len(&self) -> usize {
        PUBLIC_BYTES
    }

    /// Only for key pairs that are kept, which this pattern has none of.
    fn set(&mut self, _: &[u8]) {}

    fn generate(&mut self, _: &mut dyn Random) -> Result<(), snow::Error> {
        let random = SystemRandom::new();
        let pair = agreement::EphemeralPrivateKey::generate(&agreement::X25519, &random)
            .and_then(|private| Ok((private.compute_public_key()?, private)));
        let (public, private) = pair.map_err(|_unspecified| snow::Error::Rng)?;
        let public = public.as_ref().first_chunk().ok_or(snow::Error::Dh)?;
        (self.public, *self.private.get_mut()) = (*public, Some(private));
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        &[]
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let private = self.private.lock().take().ok_or(snow::Error::Dh)?;
        let public = public.get(..PUBLIC_BYTES).ok_or(snow::Error::Dh)?;
        let theirs = agreement::UnparsedPublicKey::new(&agreement::X25519, public);
        let shared = agreement::agree_ephemeral(private, &theirs, |shared| shared.first_chunk().copied());
        let shared: Option<[u8; PUBLIC_BYTES]> = shared.map_err(|_unspecified| snow::Error::Dh)?;
        let out = out.get_mut(..PUBLIC_BYTES).ok_or(snow::Error::Dh)?;
        out.copy_from_slice(&shared.ok_or(snow::Error::Dh)?);
        Ok(())
    }
}

/// Bytes nobody can guess, for a preamble.
///
/// # Errors
/// The system has none to give.
pub fn nonce() -> std::io::Result<[u8; 16]> {
    let bytes = ring::rand::generate::<[u8; 16]>(&SystemRandom::new());
    bytes.map(ring::rand::Random::expose).map_err(|_unspecified| std::io::Error::other("no random bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed(dialled: &LinkKey, accepted: &LinkKey) -> Result<(Seal, Seal), LinkFault> {
        let mut first = Handshake::new(dialled, Side::Dialled, b"a", b"b")?;
        let mut second = Handshake::new(accepted, Side::Accepted, b"a", b"b")?;
        let mut wire = BytesMut::new();
        first.write(&mut wire)?;
        assert!(second.read(&mut wire)?);
        second.write(&mut wire)?;
        assert!(first.read(&mut wire)?);
        Ok((first.finish()?, second.finish()?))
    }

    #[test]
    fn two_with_the_secret_understand_each_other_and_others_do_not() {
        let key = LinkKey::new(&Secret("geese".to_owned()));
        let (mut first, mut second) = agreed(&key, &key).unwrap();
        let text = vec![5; 100_000];
        let (mut wire, mut came) = (BytesMut::new(), BytesMut::new());
        first.seal(&text, &mut wire).unwrap();
        second.open(&mut wire, &mut came).unwrap();
        assert!(came == text && wire.is_empty());

        let other = LinkKey::new(&Secret("swans".to_owned()));
        assert_eq!(agreed(&key, &other).unwrap_err(), LinkFault::NotAuthentic);
    }

    #[test]
    fn a_changed_a_repeated_and_a_missing_record_are_noticed() {
        let key = LinkKey::new(&Secret("geese".to_owned()));
        for change in 0..3 {
            let (mut first, mut second) = agreed(&key, &key).unwrap();
            let (mut one, mut two) = (BytesMut::new(), BytesMut::new());
            first.seal(b"one", &mut one).unwrap();
            first.seal(b"two", &mut two).unwrap();
            let mut wire = match change {
                0 => {
                    *one.last_mut().unwrap() ^= 1;
                    one
                }
                1 => BytesMut::from(&[&one[..], &one[..]].concat()[..]),
                _ => two,
            };
            assert_eq!(
                second.open(&mut wire, &mut BytesMut::new()),
                Err(LinkFault::NotAuthentic),
                "{change}"
            );
        }
    }

    /// The key is part of the protocol: nodes of different builds must make the same one. Computed with another HKDF.
    #[test]
    fn the_key_of_a_secret_stays_the_same() {
        let key = LinkKey::new(&Secret("geese".to_owned()));
        let hex: String = key.0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, GEESE);
    }

    const GEESE: &str = "545fc976431f09a5cc27c8157c5ca072467c945f95eb57e15bbdba88ca709730";
}
