//! What the other codec decodes, in our words, so that the two can be compared field by field.
//!
//! Its types are for both sides of a connection, so most absent values are already their defaults.

use bytes::BytesMut;
use rmqtt_codec::{types, v3, v5};
use skein_mqtt::codec::{
    Ack, AckProperties, Auth, ConnAck, ConnAckProperties, Connect, ConnectProperties, Disconnect, Packet,
    Publish, ReasonCode, RetainHandling, SubAck, Subscribe, SubscribeItem, UnsubAck, Unsubscribe,
    UserProperties, Version, Will,
};
use skein_types::{ByteString, Properties, QoS, SubscriptionFilter, Topic};
use tokio_util::codec::Decoder;

const BYTES_MAX: u32 = 0x0FFF_FFFF;

/// Decodes one packet; an error is told as text.
pub(crate) fn decode(bytes: &[u8], version: Version) -> Result<Option<Packet>, String> {
    if version.is_v5() {
        decode_v5(bytes)?.map(of_v5).transpose()
    } else {
        decode_v3(bytes)?.map(of_v3).transpose()
    }
}

/// Whether it takes the packet at all, also one our types have no words for.
pub(crate) fn accepts(bytes: &[u8], version: Version) -> bool {
    if version.is_v5() {
        decode_v5(bytes).is_ok_and(|packet| packet.is_some())
    } else {
        decode_v3(bytes).is_ok_and(|packet| packet.is_some())
    }
}

fn decode_v5(bytes: &[u8]) -> Result<Option<v5::Packet>, String> {
    let taken = v5::Codec::new(BYTES_MAX, BYTES_MAX).decode(&mut BytesMut::from(bytes));
    taken.map(|taken| taken.map(|(packet, _)| packet)).map_err(|error| format!("{error:?}"))
}

fn decode_v3(bytes: &[u8]) -> Result<Option<v3::Packet>, String> {
    let taken = v3::Codec::new(BYTES_MAX).decode(&mut BytesMut::from(bytes));
    taken.map(|taken| taken.map(|(packet, _)| packet)).map_err(|error| format!("{error:?}"))
}

fn of_v5(packet: v5::Packet) -> Result<Packet, String> {
    Ok(match packet {
        v5::Packet::Connect(connect) => Packet::Connect(Box::new(connect_v5(*connect)?)),
        v5::Packet::ConnectAck(ack) => Packet::ConnAck(Box::new(connack_v5(*ack))),
        v5::Packet::Publish(publish) => Packet::Publish(of_publish(*publish)?),
        v5::Packet::PublishAck(ack) => Packet::PubAck(of_ack(ack)),
        v5::Packet::PublishReceived(ack) => Packet::PubRec(of_ack(ack)),
        v5::Packet::PublishRelease(ack) => Packet::PubRel(of_ack_2(ack)),
        v5::Packet::PublishComplete(ack) => Packet::PubComp(of_ack_2(ack)),
        v5::Packet::Subscribe(subscribe) => Packet::Subscribe(Box::new(subscribe_v5(subscribe)?)),
        v5::Packet::SubscribeAck(ack) => Packet::SubAck(Box::new(SubAck {
            packet_id: ack.packet_id,
            reasons: ack.status.iter().map(|status| reason(*status as u8)).collect(),
            properties: details(ack.reason_string, ack.properties),
        })),
        v5::Packet::Unsubscribe(unsubscribe) => Packet::Unsubscribe(Box::new(Unsubscribe {
            packet_id: unsubscribe.packet_id,
            user: unsubscribe.user_properties,
            filters: unsubscribe.topic_filters.iter().map(|text| filter(text)).collect::<Result<_, _>>()?,
        })),
        v5::Packet::UnsubscribeAck(ack) => Packet::UnsubAck(Box::new(UnsubAck {
            packet_id: ack.packet_id,
            reasons: ack.status.iter().map(|status| reason(*status as u8)).collect(),
            properties: details(ack.reason_string, ack.properties),
        })),
        v5::Packet::PingRequest => Packet::PingReq,
        v5::Packet::PingResponse => Packet::PingResp,
        v5::Packet::Disconnect(disconnect) => Packet::Disconnect(Box::new(Disconnect {
            reason: reason(disconnect.reason_code as u8),
            session_expiry_secs: disconnect.session_expiry_interval_secs,
            reason_string: disconnect.reason_string,
            server_reference: disconnect.server_reference,
            user: disconnect.user_properties,
        })),
        v5::Packet::Auth(auth) => Packet::Auth(Box::new(Auth {
            reason: reason(auth.reason_code as u8),
            method: auth.auth_method.unwrap_or_default(),
            data: auth.auth_data,
            reason_string: auth.reason_string,
            user: auth.user_properties,
        })),
    })
}

fn of_v3(packet: v3::Packet) -> Result<Packet, String> {
    Ok(match packet {
        v3::Packet::Connect(connect) => Packet::Connect(Box::new(connect_v3(*connect)?)),
        v3::Packet::ConnectAck(ack) => Packet::ConnAck(Box::new(ConnAck {
            session_present: ack.session_present,
            reason: ReasonCode::from_connect_return_code(ack.return_code as u8)
                .ok_or("a reserved return code")?,
            properties: ConnAckProperties::default(),
        })),
        v3::Packet::Publish(publish) => Packet::Publish(of_publish(*publish)?),
        v3::Packet::PublishAck { packet_id } => Packet::PubAck(Ack::success(packet_id)),
        v3::Packet::PublishReceived { packet_id } => Packet::PubRec(Ack::success(packet_id)),
        v3::Packet::PublishRelease { packet_id } => Packet::PubRel(Ack::success(packet_id)),
        v3::Packet::PublishComplete { packet_id } => Packet::PubComp(Ack::success(packet_id)),
        v3::Packet::Subscribe { packet_id, topic_filters } => {
            let item = |(text, level): &(ByteString, _)| Ok(SubscribeItem::new(filter(text)?, qos(*level)));
            let items = topic_filters.iter().map(item).collect::<Result<_, String>>()?;
            Packet::Subscribe(Box::new(Subscribe {
                packet_id,
                subscription_id: None,
                user: Vec::new(),
                items,
            }))
        }
        v3::Packet::SubscribeAck { packet_id, status } => {
            let code = |status: &v3::SubscribeReturnCode| match status {
                v3::SubscribeReturnCode::Success(level) => ReasonCode::granted(qos(*level)),
                v3::SubscribeReturnCode::Failure => ReasonCode::UnspecifiedError,
            };
            let reasons = status.iter().map(code).collect();
            Packet::SubAck(Box::new(SubAck { packet_id, reasons, properties: None }))
        }
        v3::Packet::Unsubscribe { packet_id, topic_filters } => {
            let filters = topic_filters.iter().map(|text| filter(text)).collect::<Result<_, _>>()?;
            Packet::Unsubscribe(Box::new(Unsubscribe { packet_id, user: Vec::new(), filters }))
        }
        v3::Packet::UnsubscribeAck { packet_id } => {
            Packet::UnsubAck(Box::new(UnsubAck { packet_id, reasons: Vec::new(), properties: None }))
        }
        v3::Packet::PingRequest => Packet::PingReq,
        v3::Packet::PingResponse => Packet::PingResp,
        v3::Packet::Disconnect => {
            Packet::Disconnect(Box::new(Disconnect::with_reason(ReasonCode::NORMAL_DISCONNECTION)))
        }
    })
}

fn connect_v5(connect: v5::Connect) -> Result<Connect, String> {
    let will = connect.last_will.map(|will| {
        Ok::<_, String>(Box::new(Will {
            topic: topic(&will.topic)?,
            payload: will.message,
            qos: qos(will.qos),
            retain: will.retain,
            delay_secs: will.will_delay_interval_sec.unwrap_or_default(),
            expiry_secs: will.message_expiry_interval.map(|expiry| expiry.get()),
            properties: boxed(Properties {
                payload_is_utf8: will.is_utf8_payload,
                content_type: will.content_type,
                response_topic: will.response_topic.map(|text| topic(&text)).transpose()?,
                correlation_data: will.correlation_data,
                user: will.user_properties,
            }),
        }))
    });
    Ok(Connect {
        version: Version::V5,
        bridge: false,
        client_id: connect.client_id,
        clean_start: connect.clean_start,
        keep_alive_secs: connect.keep_alive,
        will: will.transpose()?,
        user_name: connect.username,
        password: connect.password,
        properties: ConnectProperties {
            session_expiry_secs: Some(connect.session_expiry_interval_secs),
            receive_maximum: connect.receive_max.map(|maximum| maximum.get()),
            packet_bytes_max: connect.max_packet_size.map(|size| size.get()),
            topic_alias_maximum: connect.topic_alias_max,
            request_response_information: connect.request_response_info,
            request_problem_information: connect.request_problem_info,
            user: connect.user_properties,
            authentication_method: connect.auth_method,
            authentication_data: connect.auth_data,
        },
    })
}

fn connect_v3(connect: v3::Connect) -> Result<Connect, String> {
    let will = connect.last_will.map(|will| {
        Ok::<_, String>(Box::new(Will {
            topic: topic(&will.topic)?,
            payload: will.message,
            qos: qos(will.qos),
            retain: will.retain,
            delay_secs: 0,
            expiry_secs: None,
            properties: None,
        }))
    });
    let version = if connect.protocol.level() == 3 { Version::V31 } else { Version::V311 };
    Ok(Connect {
        clean_start: connect.clean_session,
        keep_alive_secs: connect.keep_alive,
        will: will.transpose()?,
        user_name: connect.username,
        password: connect.password,
        ..Connect::new(version, connect.client_id)
    })
}

fn connack_v5(ack: v5::ConnectAck) -> ConnAck {
    ConnAck {
        session_present: ack.session_present,
        reason: reason(ack.reason_code as u8),
        properties: ConnAckProperties {
            session_expiry_secs: ack.session_expiry_interval_secs,
            receive_maximum: Some(ack.receive_max.get()),
            qos_max: qos(ack.max_qos),
            retain_available: ack.retain_available,
            packet_bytes_max: ack.max_packet_size,
            assigned_client_id: ack.assigned_client_id,
            topic_alias_maximum: ack.topic_alias_max,
            reason_string: ack.reason_string,
            user: ack.user_properties,
            wildcard_available: ack.wildcard_subscription_available,
            subscription_ids_available: ack.subscription_identifiers_available,
            shared_available: ack.shared_subscription_available,
            keep_alive_secs: ack.server_keepalive_sec,
            response_information: ack.response_info,
            server_reference: ack.server_reference,
            authentication_method: ack.auth_method,
            authentication_data: ack.auth_data,
        },
    }
}

fn of_publish(publish: types::Publish) -> Result<Publish, String> {
    let properties = publish.properties.unwrap_or_default();
    Ok(Publish {
        dup: publish.dup,
        qos: qos(publish.qos),
        retain: publish.retain,
        topic: if publish.topic.is_empty() { None } else { Some(topic(&publish.topic)?) },
        packet_id: publish.packet_id,
        payload: publish.payload,
        alias: properties.topic_alias,
        expiry_secs: properties.message_expiry_interval.map(|expiry| expiry.get()),
        subscription_ids: properties.subscription_ids.iter().map(|id| id.get()).collect(),
        properties: boxed(Properties {
            payload_is_utf8: Some(properties.is_utf8_payload),
            content_type: properties.content_type,
            response_topic: properties.response_topic.map(|text| topic(&text)).transpose()?,
            correlation_data: properties.correlation_data,
            user: properties.user_properties,
        }),
    })
}

fn subscribe_v5(subscribe: v5::Subscribe) -> Result<Subscribe, String> {
    let item = |(text, options): &(ByteString, v5::SubscriptionOptions)| {
        Ok(SubscribeItem {
            filter: filter(text)?,
            qos: qos(options.qos),
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            retain_handling: match options.retain_handling {
                v5::RetainHandling::AtSubscribe => RetainHandling::Send,
                v5::RetainHandling::AtSubscribeNew => RetainHandling::SendIfNew,
                v5::RetainHandling::NoAtSubscribe => RetainHandling::DoNotSend,
            },
        })
    };
    Ok(Subscribe {
        packet_id: subscribe.packet_id,
        subscription_id: subscribe.id,
        user: subscribe.user_properties,
        items: subscribe.topic_filters.iter().map(item).collect::<Result<_, String>>()?,
    })
}

fn of_ack(ack: v5::PublishAck) -> Ack {
    let properties = details(ack.reason_string, ack.properties);
    Ack { packet_id: ack.packet_id, reason: reason(ack.reason_code as u8), properties }
}

fn of_ack_2(ack: v5::PublishAck2) -> Ack {
    let properties = details(ack.reason_string, ack.properties);
    Ack { packet_id: ack.packet_id, reason: reason(ack.reason_code as u8), properties }
}

fn details(reason_string: Option<ByteString>, user: UserProperties) -> Option<Box<AckProperties>> {
    let properties = AckProperties { reason_string, user };
    (properties != AckProperties::default()).then(|| Box::new(properties))
}

fn boxed(properties: Properties) -> Option<Box<Properties>> {
    (!properties.is_empty()).then(|| Box::new(properties))
}

fn reason(value: u8) -> ReasonCode {
    ReasonCode::from_u8(value).expect("its reason codes are the standard's")
}

fn qos(level: types::QoS) -> QoS {
    QoS::from_u8(level.value()).expect("0, 1 or 2")
}

fn topic(text: &str) -> Result<Topic, String> {
    Topic::try_from(text).map_err(|error| error.to_string())
}

fn filter(text: &str) -> Result<SubscriptionFilter, String> {
    SubscriptionFilter::new(text).map_err(|error| error.to_string())
}
