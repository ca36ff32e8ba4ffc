//! The lanes of a link, and what a frame on one has at most: what links and those who send over them agree on.

/// What a frame has at most: twice the largest packet of MQTT (5.0 section 2.1.4).
pub(crate) const FRAME_BYTES_MAX: usize = 512 << 20;

/// Which way something goes over a link. Each lane is in order; an earlier one goes before a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Lane {
    /// Small and urgent: soft state, keep-alives, confirmations.
    Control = 0,
    /// For consensus.
    Consensus = 1,
    /// Published messages.
    Messages = 2,
    /// Large and patient: copies.
    Bulk = 3,
}

impl Lane {
    /// Every lane, in order of precedence.
    pub const ALL: [Self; 4] = [Self::Control, Self::Consensus, Self::Messages, Self::Bulk];

    /// The lane as the value of a metric's label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Consensus => "consensus",
            Self::Messages => "messages",
            Self::Bulk => "bulk",
        }
    }
}
