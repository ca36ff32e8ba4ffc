//! An MQTT 5 client over any byte stream, with a deadline for every answer.

use std::{future::Future, num::NonZeroU16};

use bytes::{Bytes, BytesMut};
use skein_mqtt::codec::{
    Connect, DecodeContext, Packet, Publish, ReasonCode, Side, Subscribe, SubscribeItem, Version, decode,
};
use skein_testkit::DEADLINE;
use skein_types::{QoS, SubscriptionFilter, Topic};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What a client expects in the answers it gets.
pub(crate) const CONTEXT: DecodeContext =
    DecodeContext { side: Side::Client, version: Some(Version::V5), packet_bytes_max: u32::MAX };

/// A client's end of a byte stream.
pub(crate) struct Client<S> {
    pub(crate) stream: S,
    unread: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, unread: BytesMut::new() }
    }

    /// Opens a session; panics when the server refuses.
    pub(crate) async fn open(stream: S, client_id: &str) -> Self {
        let mut client = Self::new(stream);
        client.send(&connect(client_id)).await;
        match client.next().await {
            Some(Packet::ConnAck(connack)) if connack.reason == ReasonCode::Success => client,
            other => panic!("not let in: {other:?}"),
        }
    }

    pub(crate) async fn send(&mut self, packet: &Packet) {
        within_deadline(self.stream.write_all(&encoded(packet))).await.unwrap();
        within_deadline(self.stream.flush()).await.unwrap();
    }

    /// The next packet; none when the server closes, in whichever way.
    pub(crate) async fn next(&mut self) -> Option<Packet> {
        loop {
            let mut bytes = Bytes::copy_from_slice(&self.unread);
            if let Some(packet) = decode(&mut bytes, &CONTEXT).expect("the server sends packets") {
                self.unread = BytesMut::from(&bytes[..]);
                return Some(packet);
            }
            let read = within_deadline(self.stream.read_buf(&mut self.unread)).await;
            if !matches!(read, Ok(1..)) {
                return None;
            }
        }
    }

    /// Subscribes with QoS 1 and returns the answer to the filter.
    pub(crate) async fn subscribe(&mut self, filter: &str) -> ReasonCode {
        self.send(&subscribe(filter)).await;
        match self.next().await {
            Some(Packet::SubAck(suback)) => suback.reasons[0],
            other => panic!("no SUBACK: {other:?}"),
        }
    }

    /// Sends a message and reads it again through a subscription of its own.
    pub(crate) async fn echo(&mut self, topic: &str, payload: &[u8]) {
        self.send(&publish(topic, payload)).await;
        match self.next().await {
            Some(Packet::Publish(got)) => assert_eq!(got.payload, payload),
            other => panic!("no PUBLISH: {other:?}"),
        }
    }
}

/// Fails the test instead of hanging.
pub(crate) async fn within_deadline<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.expect("the server answers before the deadline")
}

pub(crate) fn encoded(packet: &Packet) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(Version::V5, &mut out);
    out
}

pub(crate) fn connect(client_id: &str) -> Packet {
    Packet::Connect(Box::new(Connect::new(Version::V5, client_id.into())))
}

pub(crate) fn subscribe(filter: &str) -> Packet {
    let item = SubscribeItem::new(SubscriptionFilter::new(filter).unwrap(), QoS::AtLeastOnce);
    Packet::Subscribe(Box::new(Subscribe {
        packet_id: NonZeroU16::MIN,
        subscription_id: None,
        user: Vec::new(),
        items: vec![item],
    }))
}

/// A message of QoS 0.
pub(crate) fn publish(topic: &str, payload: &[u8]) -> Packet {
    Packet::Publish(Publish {
        topic: Some(Topic::try_from(topic).unwrap()),
        payload: Bytes::copy_from_slice(payload),
        ..Publish::default()
    })
}
