//! The first bytes of a connection, from both sides at once and readable to anyone: which protocol, which versions of it,
//! which extras, and whether there is a secret.
//!
//! Layout, integers little-endian: magic (6 bytes), length of the rest (u8), whether sealed (u8: 0 or 1), oldest and newest
//! version spoken (u16 each), features (u32), nonce (16 bytes); more may follow in later versions and is skipped. When there
//! is a secret both preambles are part of what the handshake proves, so that nobody between the two can change them, and the
//! nonce makes a recorded handshake worthless. Bytes from a stranger never panic and are refused at the first wrong one.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::fault::LinkFault;

const MAGIC: [u8; 6] = *b"\xf0skein";
/// What follows the length.
const REST_BYTES: u8 = 1 + 2 + 2 + 4 + 16;

/// The versions of the protocol that a node speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The oldest one.
    pub min: u16,
    /// The newest one.
    pub max: u16,
}

impl Versions {
    /// What this program speaks. A version's successor must still speak it: nodes are upgraded one by one.
    pub const SPOKEN: Self = Self { min: 1, max: 1 };
}

/// Extras that are used when both sides know them. Bits that one side does not know are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features(pub u32);

impl Features {
    /// Nothing beside the version.
    pub const NONE: Self = Self(0);
    /// Bulk frames may be compressed.
    pub const COMPRESSED_BULK: Self = Self(1);

    pub(super) fn has(self, feature: Self) -> bool {
        self.0 & feature.0 == feature.0
    }
}

/// What one side says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Preamble {
    pub(super) sealed: bool,
    pub(super) versions: Versions,
    pub(super) features: Features,
    pub(super) nonce: [u8; 16],
}

impl Preamble {
    pub(super) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(MAGIC.len() + 1 + usize::from(REST_BYTES));
        out.extend_from_slice(&MAGIC);
        out.put_u8(REST_BYTES);
        out.put_u8(u8::from(self.sealed));
        out.put_u16_le(self.versions.min);
        out.put_u16_le(self.versions.max);
        out.put_u32_le(self.features.0);
        out.extend_from_slice(&self.nonce);
        out.freeze()
    }

    /// Takes a preamble from the front of `from` once it is there, with the bytes it was.
    pub(super) fn take(from: &mut BytesMut) -> Result<Option<(Self, Bytes)>, LinkFault> {
        if from.iter().zip(MAGIC).any(|(came, wanted)| *came != wanted) {
            return Err(LinkFault::NotSkein);
        }
        let Some(&length) = from.get(MAGIC.len()) else { return Ok(None) };
        if length < REST_BYTES {
            return Err(LinkFault::NotSkein);
        }
        let whole = MAGIC.len() + 1 + usize::from(length);
        if from.len() < whole {
            return Ok(None);
        }
        let bytes = from.split_to(whole).freeze();
        let mut rest = bytes.slice(MAGIC.len() + 1..);
        let short = |_short| LinkFault::NotSkein;
        let sealed = match rest.try_get_u8().map_err(short)? {
            0 => false,
            1 => true,
            _ => return Err(LinkFault::NotSkein),
        };
        let versions = Versions {
            min: rest.try_get_u16_le().map_err(short)?,
            max: rest.try_get_u16_le().map_err(short)?,
        };
        let features = Features(rest.try_get_u32_le().map_err(short)?);
        let mut nonce = [0; 16];
        rest.try_copy_to_slice(&mut nonce).map_err(short)?;
        Ok(Some((Self { sealed, versions, features, nonce }, bytes)))
    }

    /// The version and the features that both know.
    pub(super) fn agree(&self, theirs: &Self) -> Result<(u16, Features), LinkFault> {
        match (self.sealed, theirs.sealed) {
            (true, false) => return Err(LinkFault::SecretMissingThere),
            (false, true) => return Err(LinkFault::SecretMissingHere),
            (true, true) | (false, false) => {}
        }
        let version = self.versions.max.min(theirs.versions.max);
        if version < self.versions.min.max(theirs.versions.min) {
            return Err(LinkFault::Version { ours: self.versions, theirs: theirs.versions });
        }
        Ok((version, Features(self.features.0 & theirs.features.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn preamble(min: u16, max: u16) -> Preamble {
        Preamble { sealed: true, versions: Versions { min, max }, features: Features(0b101), nonce: [7; 16] }
    }

    #[test]
    fn comes_back_and_skips_what_later_versions_add() {
        let said = preamble(1, 3);
        let mut bytes = BytesMut::from(&said.encode()[..]);
        let mut longer = bytes.clone();
        for cut in 0..bytes.len() {
            assert_eq!(Preamble::take(&mut BytesMut::from(&bytes[..cut])), Ok(None), "{cut}");
        }
        assert_eq!(Preamble::take(&mut bytes).unwrap().unwrap().0, said);
        longer[MAGIC.len()] += 2;
        longer.extend_from_slice(b"xxrest");
        assert_eq!(Preamble::take(&mut longer).unwrap().unwrap().0, said);
        assert_eq!(longer, &b"rest"[..]);
    }

    #[test]
    fn neighbouring_versions_agree_and_distant_ones_do_not() {
        assert_eq!(preamble(1, 1).agree(&preamble(1, 2)), Ok((1, Features(0b101))));
        assert_eq!(preamble(1, 2).agree(&preamble(2, 3)), Ok((2, Features(0b101))));
        let fault = preamble(1, 1).agree(&preamble(2, 3)).unwrap_err();
        assert!(matches!(fault, LinkFault::Version { .. }));
        assert!(fault.to_string().contains("speaks versions 2 to 3"), "{fault}");
        let other = Preamble { features: Features(0b1100), ..preamble(1, 1) };
        assert_eq!(preamble(1, 1).agree(&other), Ok((1, Features(0b100))));
    }

    #[test]
    fn strangers_are_refused_at_the_first_wrong_byte() {
        assert_eq!(Preamble::take(&mut BytesMut::from(&b"G"[..])), Err(LinkFault::NotSkein));
        assert_eq!(Preamble::take(&mut BytesMut::from(&b"\xf0skein\x05"[..])), Err(LinkFault::NotSkein));
    }
}
