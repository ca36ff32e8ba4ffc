//! Why a node is not let in: what crosses the link, and what its operator reads.

use std::{net::SocketAddr, sync::Arc};

use bytes::{BufMut, BytesMut};
use skein_types::{Incarnation, NodeId};

use super::frame::{
    FrameError, VERSION_MAX, VERSION_MIN,
    node_info::{get_address, put_address},
};
use crate::forward::fields::{Reader, put_text};

const VERSION: u8 = 0;
const ID_TAKEN: u8 = 1;
const GIVEN_UP: u8 = 2;
const TRY_LATER: u8 = 3;
const UNREACHABLE_ADDRESS: u8 = 4;
const LINKED: u8 = 5;
const YOURSELF: u8 = 6;

/// Why a node is not let in, as nodes say it to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No version that both speak; these are the refusing node's.
    Version { min: u16, max: u16 },
    /// Its id belongs to a node that is up.
    IdTaken { id: NodeId, name: Arc<str>, address: SocketAddr },
    /// This life of it, and every one up to this, was declared down.
    GivenUp(Incarnation),
    /// Not now.
    TryLater { after_ms: u32 },
    /// The address it advertises leads nowhere from here.
    UnreachableAddress { advertised: SocketAddr, seen: SocketAddr },
    /// There is a link that goes before this one; `established`: on which both have agreed.
    Linked { established: bool },
    /// It dialled itself.
    Yourself,
    /// A reason of a later version.
    Other(u8),
}

impl Refusal {
    /// The reason as the value of a metric's label.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Version { .. } => "version",
            Self::IdTaken { .. } => "id_taken",
            Self::GivenUp(_) => "given_up",
            Self::TryLater { .. } => "try_later",
            Self::UnreachableAddress { .. } => "unreachable_address",
            Self::Linked { .. } => "linked",
            Self::Yourself => "yourself",
            Self::Other(_) => "other",
        }
    }

    pub(super) fn put(&self, out: &mut BytesMut) {
        match self {
            Self::Version { min, max } => {
                out.put_u8(VERSION);
                out.put_u16_le(*min);
                out.put_u16_le(*max);
            }
            Self::IdTaken { id, name, address } => {
                out.put_u8(ID_TAKEN);
                out.put_u16_le(id.0);
                put_text(out, name);
                put_address(out, *address);
            }
            Self::GivenUp(incarnation) => {
                out.put_u8(GIVEN_UP);
                out.put_u64_le(incarnation.0);
            }
            Self::TryLater { after_ms } => {
                out.put_u8(TRY_LATER);
                out.put_u32_le(*after_ms);
            }
            Self::UnreachableAddress { advertised, seen } => {
                out.put_u8(UNREACHABLE_ADDRESS);
                put_address(out, *advertised);
                put_address(out, *seen);
            }
            Self::Linked { established } => {
                out.put_u8(LINKED);
                out.put_u8(u8::from(*established));
            }
            Self::Yourself => out.put_u8(YOURSELF),
            Self::Other(reason) => out.put_u8(*reason),
        }
    }

    pub(super) fn get(reader: &mut Reader) -> Result<Self, FrameError> {
        Ok(match reader.u8()? {
            VERSION => Self::Version { min: reader.u16()?, max: reader.u16()? },
            ID_TAKEN => Self::IdTaken {
                id: NodeId(reader.u16()?),
                name: Arc::from(&*reader.text()?),
                address: get_address(reader)?,
            },
            GIVEN_UP => Self::GivenUp(Incarnation(reader.u64()?)),
            TRY_LATER => Self::TryLater { after_ms: reader.u32_le()? },
            UNREACHABLE_ADDRESS => {
                Self::UnreachableAddress { advertised: get_address(reader)?, seen: get_address(reader)? }
            }
            LINKED => Self::Linked { established: reader.u8()? != 0 },
            YOURSELF => Self::Yourself,
            reason => Self::Other(reason),
        })
    }
}

/// This node cannot take part as it is set up; it should stop and say so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefused {
    /// Another node has its id.
    #[error(
        "cluster: the node id {id} is taken by {name} at {address}, which is up. Give this node another node id, or stop \
         the other one."
    )]
    IdTaken {
        /// The id.
        id: NodeId,
        /// Who has it.
        name: Arc<str>,
        /// Where that is.
        address: SocketAddr,
    },
    /// Others cannot dial it.
    #[error(
        "cluster: this node advertises {advertised}, which leads nowhere from the node at {from}: an address of the \
         loopback is of use on its own machine only, and one without host or port nowhere. Set the advertised address to \
         one that the other nodes can reach."
    )]
    UnreachableAddress {
        /// What it says its address is.
        advertised: SocketAddr,
        /// Where the one is that refuses it.
        from: SocketAddr,
    },
    /// They speak no common version.
    #[error(
        "cluster: the other nodes speak versions {min} to {max} of the cluster's protocol, this one {VERSION_MIN} to \
         {VERSION_MAX}. Bring this node to a version of the program that is at most one step from theirs."
    )]
    Version {
        /// The other's lowest.
        min: u16,
        /// The other's highest.
        max: u16,
    },
}
