//! A link's protocol without its socket: bytes in, frames out, and the other way round. The shell moves the bytes.
//!
//! Both sides say their preamble at once (`preamble.rs`). With a secret a handshake of two messages follows, and everything
//! behind it is sealed (`seal.rs`). Then frames go both ways in four lanes (`frame.rs`, `lanes.rs`). Until the other side has
//! shown that it knows the secret it can make this one hold 512 bytes for a few seconds, and nothing more. Nothing here reads
//! a clock or a socket, and no bytes that come make it panic.

mod compress;
mod fault;
mod frame;
mod lanes;
mod preamble;
mod seal;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use skein_types::Moment;

pub use self::{
    fault::{FaultCounters, FaultCounts, LinkFault},
    frame::{Arrived, LaneCount},
    preamble::{Features, Versions},
    seal::{Side, nonce},
};
use self::{
    frame::Assembler,
    lanes::{Lanes, WINDOW_BYTES},
    preamble::Preamble,
    seal::{Handshake, LinkKey, Seal},
};
use crate::{Announcement, LinkSettings, Peer, Secret};

/// How long the other side may take to show that it knows the secret.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(3);
/// A link is cut when nothing came for so many keep-alive intervals.
const SILENT_INTERVALS: u32 = 3;
/// Room for reading: little before the other side is known.
const READ_BYTES_HANDSHAKE: usize = 512;
const READ_BYTES_OPEN: usize = 64 * 1024;
/// What is written at once. More urgent frames wait for as much at most, beside what the socket holds.
const WRITE_BYTES: usize = 128 * 1024;
/// Control frames and announcements that wait; who is further behind is cut and starts anew.
const QUEUED_BYTES_MAX: usize = 64 << 20;

/// What the links of a node have in common.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    key: Option<LinkKey>,
    versions: Versions,
    features: Features,
    keepalive_interval: Duration,
}

impl LinkConfig {
    /// As the operator decided.
    #[must_use]
    pub fn new(secret: Option<&Secret>, settings: &LinkSettings) -> Self {
        Self {
            key: secret.map(LinkKey::new),
            versions: Versions::SPOKEN,
            features: if settings.compress_bulk { Features::COMPRESSED_BULK } else { Features::NONE },
            keepalive_interval: settings.keepalive_interval,
        }
    }

    /// As another version of the program would have it.
    #[must_use]
    pub const fn speaking(mut self, versions: Versions, features: Features) -> Self {
        (self.versions, self.features) = (versions, features);
        self
    }
}

/// One end of a link.
#[derive(Debug)]
pub struct Link {
    side: Side,
    config: LinkConfig,
    preamble: Preamble,
    phase: Phase,
    /// As it came, and as it opened.
    came: BytesMut,
    text: BytesMut,
    assembler: Assembler,
    lanes: Lanes,
    /// Bytes of the handshake that are to be written.
    greeting: BytesMut,
    /// Frames before they are sealed.
    unsealed: BytesMut,
    /// What the other side may still send on the messages lane.
    granted: usize,
    /// What it sent and gets back as credit.
    consumed: usize,
    began: Moment,
    heard: Moment,
    ping_at: Moment,
}

#[derive(Debug)]
enum Phase {
    Preamble,
    Handshake { handshake: Handshake, version: u16 },
    Open { seal: Option<Seal>, version: u16 },
}

impl Link {
    /// One end of a connection that was just made; `nonce` must be new for every link.
    #[must_use]
    pub fn new(side: Side, config: &LinkConfig, nonce: [u8; 16], now: Moment) -> Self {
        let sealed = config.key.is_some();
        let preamble = Preamble { sealed, versions: config.versions, features: config.features, nonce };
        Self {
            side,
            preamble,
            phase: Phase::Preamble,
            came: BytesMut::new(),
            text: BytesMut::new(),
            assembler: Assembler::default(),
            lanes: Lanes::new(),
            greeting: BytesMut::from(&preamble.encode()[..]),
            unsealed: BytesMut::new(),
            granted: WINDOW_BYTES,
            consumed: 0,
            began: now,
            heard: now,
            ping_at: now.after(config.keepalive_interval),
            config: config.clone(),
        }
    }

    /// The version both sides speak, once the other side is known to belong to the cluster.
    #[must_use]
    pub const fn open_version(&self) -> Option<u16> {
        match self.phase {
            Phase::Open { version, .. } => Some(version),
            Phase::Preamble | Phase::Handshake { .. } => None,
        }
    }

    /// Where the next bytes go as they come from the socket, with room for some. Then call [`Link::received`].
    pub fn room(&mut self) -> &mut BytesMut {
        let bytes = if self.open_version().is_some() { READ_BYTES_OPEN } else { READ_BYTES_HANDSHAKE };
        if self.came.capacity() - self.came.len() < bytes / 2 {
            self.came.reserve(bytes);
        }
        &mut self.came
    }

    /// Bytes came; gives the frames that are whole.
    ///
    /// # Errors
    /// The link must end.
    pub fn received(&mut self, now: Moment, arrived: &mut Vec<Arrived>) -> Result<(), LinkFault> {
        self.heard = now;
        if !matches!(self.phase, Phase::Open { .. }) {
            self.greet()?;
        }
        let Phase::Open { seal, .. } = &mut self.phase else { return Ok(()) };
        let frames = match seal {
            Some(seal) => {
                seal.open(&mut self.came, &mut self.text)?;
                &mut self.text
            }
            None => &mut self.came,
        };
        while let Some(frame) = self.assembler.take(frames)? {
            match frame {
                Arrived::Ping => self.lanes.pong(),
                Arrived::Credit(bytes) => self.lanes.grant(bytes)?,
                Arrived::Pong
                | Arrived::Control(_)
                | Arrived::Announcement(_)
                | Arrived::Run { .. }
                | Arrived::Handled(_) => arrived.push(frame),
            }
        }
        let consumed = std::mem::take(&mut self.assembler.message_bytes);
        self.granted = self
            .granted
            .checked_sub(consumed)
            .ok_or(LinkFault::Garbled("more came on the messages lane than there was credit for"))?;
        self.consumed += consumed;
        Ok(())
    }

    fn greet(&mut self) -> Result<(), LinkFault> {
        if let Phase::Preamble = self.phase {
            let Some((theirs, bytes)) = Preamble::take(&mut self.came)? else { return Ok(()) };
            let (version, features) = self.preamble.agree(&theirs)?;
            self.lanes.compress_bulk = features.has(Features::COMPRESSED_BULK);
            let Some(key) = &self.config.key else {
                self.phase = Phase::Open { seal: None, version };
                return Ok(());
            };
            let ours = self.preamble.encode();
            let mut handshake = match self.side {
                Side::Dialled => Handshake::new(key, self.side, &ours, &bytes)?,
                Side::Accepted => Handshake::new(key, self.side, &bytes, &ours)?,
            };
            if self.side == Side::Dialled {
                handshake.write(&mut self.greeting)?;
            }
            self.phase = Phase::Handshake { handshake, version };
        }
        if let Phase::Handshake { handshake, version } = &mut self.phase
            && handshake.read(&mut self.came)?
        {
            if self.side == Side::Accepted {
                handshake.write(&mut self.greeting)?;
            }
            let version = *version;
            let Phase::Handshake { handshake, .. } = std::mem::replace(&mut self.phase, Phase::Preamble)
            else {
                return Ok(());
            };
            self.phase = Phase::Open { seal: Some(handshake.finish()?), version };
        }
        Ok(())
    }

    /// Says something to the other node's core, behind what the plane has said to `peer` so far.
    pub fn control(&mut self, peer: Option<&Peer>, body: Bytes) {
        self.lanes.control(peer, body);
    }

    /// Says something to the other node's plane.
    pub fn announce(&mut self, announcement: Announcement) {
        self.lanes.announce(announcement);
    }

    /// Every kept run of the other node up to this number is handled.
    pub fn handled(&mut self, number: u64) {
        self.lanes.handled(number);
    }

    /// Lets the other side send as much again as was received, unless that is little. Not called while what came is not
    /// wanted any quicker.
    pub fn give_credit(&mut self) {
        if self.consumed < WINDOW_BYTES / 4 {
            return;
        }
        let Ok(bytes) = u32::try_from(self.consumed) else { return };
        self.granted += self.consumed;
        self.consumed = 0;
        self.lanes.credit(bytes);
    }

    /// Appends what is to be sent now to `out`, about 128 KiB at most; again once that is written. Returns whether a ping,
    /// which is answered with [`Arrived::Pong`], is among it.
    ///
    /// # Errors
    /// The link must end.
    pub fn write(&mut self, peer: Option<&Peer>, out: &mut BytesMut) -> Result<bool, LinkFault> {
        out.unsplit(self.greeting.split());
        let Phase::Open { seal, .. } = &mut self.phase else { return Ok(false) };
        if self.lanes.queued_bytes() > QUEUED_BYTES_MAX || peer.is_some_and(Peer::is_overrun) {
            return Err(LinkFault::Overrun);
        }
        let Some(seal) = seal else { return Ok(self.lanes.write(peer, out, WRITE_BYTES)) };
        let pinged = self.lanes.write(peer, &mut self.unsealed, WRITE_BYTES);
        seal.seal(&self.unsealed, out)?;
        self.unsealed.clear();
        Ok(pinged)
    }

    /// Time has passed.
    ///
    /// # Errors
    /// The other side did not say who it is in time, or says nothing.
    pub fn tick(&mut self, now: Moment) -> Result<(), LinkFault> {
        if self.open_version().is_none() {
            let late = now >= self.began.after(HANDSHAKE_TIME_MAX);
            return if late { Err(LinkFault::HandshakeSlow) } else { Ok(()) };
        }
        if now >= self.silent_at() {
            return Err(LinkFault::Silent);
        }
        if now >= self.ping_at {
            self.lanes.ping();
            self.ping_at = now.after(self.config.keepalive_interval);
        }
        Ok(())
    }

    /// When [`Link::tick`] is due.
    #[must_use]
    pub fn next_due(&self) -> Moment {
        match self.phase {
            Phase::Open { .. } => self.ping_at.min(self.silent_at()),
            Phase::Preamble | Phase::Handshake { .. } => self.began.after(HANDSHAKE_TIME_MAX),
        }
    }

    fn silent_at(&self) -> Moment {
        self.heard.after(self.config.keepalive_interval * SILENT_INTERVALS)
    }

    /// Messages that were taken from the peer, are not kept there, and were not written: they are lost with the link.
    #[must_use]
    pub fn unwritten_messages(&self) -> u64 {
        self.lanes.unwritten_messages()
    }

    /// What went out, by lane.
    #[must_use]
    pub const fn went(&self) -> &[LaneCount; 4] {
        &self.lanes.went
    }

    /// What came in, by lane.
    #[must_use]
    pub const fn came(&self) -> &[LaneCount; 4] {
        &self.assembler.came
    }
}
