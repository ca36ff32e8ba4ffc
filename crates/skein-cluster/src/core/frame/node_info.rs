//! A node's identity as bytes: id, incarnation, name, address, weight, and what clients are sent to.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use bytes::{BufMut, BytesMut};
use skein_types::{Incarnation, NodeId};

use super::FrameError;
use crate::{
    NodeInfo,
    forward::fields::{Reader, put_text},
};

const V4: u8 = 4;
const V6: u8 = 6;

pub(super) fn put_info(out: &mut BytesMut, info: &NodeInfo) {
    let NodeInfo { id, incarnation, name, advertise, qrank, server_reference } = info;
    out.put_u16_le(id.0);
    out.put_u64_le(incarnation.0);
    put_text(out, name);
    put_address(out, *advertise);
    out.put_u8(*qrank);
    // An empty reference could not be followed, so that it stands for none.
    put_text(out, server_reference.as_deref().unwrap_or(""));
}

pub(super) fn get_info(reader: &mut Reader) -> Result<NodeInfo, FrameError> {
    Ok(NodeInfo {
        id: NodeId(reader.u16()?),
        incarnation: Incarnation(reader.u64()?),
        name: Arc::from(&*reader.text()?),
        advertise: get_address(reader)?,
        qrank: reader.u8()?,
        server_reference: Some(Arc::from(&*reader.text()?)).filter(|text: &Arc<str>| !text.is_empty()),
    })
}

pub(in super::super) fn put_address(out: &mut BytesMut, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => {
            out.put_u8(V4);
            out.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.put_u8(V6);
            out.extend_from_slice(&ip.octets());
        }
    }
    out.put_u16_le(address.port());
}

pub(in super::super) fn get_address(reader: &mut Reader) -> Result<SocketAddr, FrameError> {
    let ip: IpAddr = match reader.u8()? {
        V4 => Ipv4Addr::from(octets(reader)?).into(),
        V6 => Ipv6Addr::from(octets(reader)?).into(),
        _ => return Err(FrameError("an address is IPv4 or IPv6")),
    };
    Ok(SocketAddr::new(ip, reader.u16()?))
}

fn octets<const N: usize>(reader: &mut Reader) -> Result<[u8; N], FrameError> {
    let bytes = reader.take(N)?;
    <[u8; N]>::try_from(&*bytes).map_err(|_length| FrameError("it ends in the middle"))
}
