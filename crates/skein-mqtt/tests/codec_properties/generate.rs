//! Strategies for packets: every kind, as each side may send it in each version.

use std::num::{NonZeroU16, NonZeroU32};

use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*};
use skein_mqtt::codec::{
    Ack, AckProperties, Auth, ConnAck, ConnAckProperties, Connect, ConnectProperties, Disconnect, Packet,
    PacketType, Publish, ReasonCode, RetainHandling, Side, SubAck, Subscribe, SubscribeItem, UnsubAck,
    Unsubscribe, UserProperties, Version, Will,
};
use skein_types::{ByteString, Properties, QoS, SubscriptionFilter, Topic};

/// A packet `sender` may send in `version`.
pub(crate) fn packet(version: Version, sender: Side) -> BoxedStrategy<Packet> {
    let ack = |kind| ack(kind, version);
    let both = prop_oneof![
        4 => publish(version, sender).prop_map(Packet::Publish),
        1 => ack(PacketType::PubAck).prop_map(Packet::PubAck),
        1 => ack(PacketType::PubRec).prop_map(Packet::PubRec),
        1 => ack(PacketType::PubRel).prop_map(Packet::PubRel),
        1 => ack(PacketType::PubComp).prop_map(Packet::PubComp),
    ];
    let one_way = match sender {
        Side::Client => prop_oneof![
            4 => connect(version).prop_map(|connect| Packet::Connect(Box::new(connect))),
            2 => subscribe(version).prop_map(|subscribe| Packet::Subscribe(Box::new(subscribe))),
            2 => unsubscribe(version).prop_map(|unsubscribe| Packet::Unsubscribe(Box::new(unsubscribe))),
            1 => Just(Packet::PingReq),
            1 => disconnect(version, sender),
        ]
        .boxed(),
        Side::Server => prop_oneof![
            4 => connack(version).prop_map(|connack| Packet::ConnAck(Box::new(connack))),
            2 => suback(version).prop_map(|suback| Packet::SubAck(Box::new(suback))),
            2 => unsuback(version).prop_map(|unsuback| Packet::UnsubAck(Box::new(unsuback))),
            1 => Just(Packet::PingResp),
        ]
        .boxed(),
    };
    if version == Version::V5 {
        let new = prop_oneof![disconnect(version, sender), auth(sender)];
        prop_oneof![2 => both, 2 => one_way, 1 => new].boxed()
    } else {
        prop_oneof![both, one_way].boxed()
    }
}

/// Every version with every sender.
pub(crate) fn any_packet() -> impl Strategy<Value = (Version, Side, Packet)> {
    let version = prop_oneof![Just(Version::V31), Just(Version::V311), Just(Version::V5)];
    (version, prop_oneof![Just(Side::Client), Just(Side::Server)]).prop_flat_map(|(version, sender)| {
        packet(version, sender).prop_map(move |packet| (version, sender, packet))
    })
}

fn text() -> impl Strategy<Value = ByteString> {
    "[a-zé🦢+#/ ]{0,10}".prop_map(ByteString::from)
}

fn data() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..12).prop_map(Bytes::from)
}

fn user() -> impl Strategy<Value = UserProperties> {
    vec((text(), text()), 0..3)
}

fn packet_id() -> impl Strategy<Value = NonZeroU16> {
    any::<NonZeroU16>()
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

fn topic() -> impl Strategy<Value = Topic> {
    let short = "[$a-cé]{0,3}(/[a-cé]{0,2}){0,3}";
    // Long enough for two bytes of remaining length.
    let long = "[a-c/]{120,140}";
    prop_oneof![9 => short, 1 => long]
        .prop_filter("a topic has a character", |text| !text.is_empty())
        .prop_map(|text| Topic::try_from(&*text).expect("no wildcard and no NUL"))
}

pub(crate) fn filter() -> impl Strategy<Value = SubscriptionFilter> {
    let level = prop_oneof![Just("+".to_owned()), "[a-c]{0,2}", "\\$[a-c]{0,2}"];
    let group = option::weighted(0.2, "[a-c$]{1,3}");
    (vec(level, 1..4), any::<bool>(), group).prop_filter_map(
        "a filter has a character",
        |(mut levels, all, group)| {
            if all {
                levels.push("#".to_owned());
            }
            let filter = levels.join("/");
            let text = group.map_or(filter.clone(), |group| format!("$share/{group}/{filter}"));
            SubscriptionFilter::new(&text).ok()
        },
    )
}

/// `strategy`'s value from version 5 on, the default before.
fn v5_only<T: Default + Clone + std::fmt::Debug + 'static>(
    version: Version,
    strategy: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<T> {
    if version.is_v5() { strategy.boxed() } else { Just(T::default()).boxed() }
}

fn reason(kind: PacketType, sender: Side) -> impl Strategy<Value = ReasonCode> {
    let allowed: Vec<_> =
        ReasonCode::ALL.iter().copied().filter(|reason| reason.is_allowed(kind, sender)).collect();
    prop::sample::select(allowed)
}

fn message_properties() -> impl Strategy<Value = Option<Box<Properties>>> {
    let properties =
        (option::of(any::<bool>()), option::of(text()), option::of(topic()), option::of(data()), user())
            .prop_map(|(payload_is_utf8, content_type, response_topic, correlation_data, user)| {
                let properties =
                    Properties { payload_is_utf8, content_type, response_topic, correlation_data, user };
                // None and an empty box are the same on the wire.
                (!properties.is_empty()).then(|| Box::new(properties))
            });
    prop_oneof![Just(None), properties]
}

fn publish(version: Version, sender: Side) -> impl Strategy<Value = Publish> {
    let ids = match sender {
        Side::Server => vec(1..=268_435_455_u32, 0..3).boxed(),
        Side::Client => Just(Vec::new()).boxed(),
    };
    let of_v5 = v5_only(
        version,
        (option::of(any::<NonZeroU16>()), option::of(any::<u32>()), ids, message_properties(), any::<bool>()),
    );
    let head = (any::<bool>(), qos(), any::<bool>(), packet_id(), topic());
    (head, data(), of_v5).prop_map(|((dup, qos, retain, id, topic), payload, of_v5)| {
        let (alias, expiry_secs, subscription_ids, properties, is_alias_alone) = of_v5;
        let has_id = qos != QoS::AtMostOnce;
        Publish {
            dup: dup && has_id,
            qos,
            retain,
            topic: Some(topic).filter(|_| !(is_alias_alone && alias.is_some())),
            packet_id: has_id.then_some(id),
            payload,
            alias,
            expiry_secs,
            subscription_ids,
            properties,
        }
    })
}

fn ack_properties(version: Version) -> BoxedStrategy<Option<Box<AckProperties>>> {
    let properties = (option::of(text()), user()).prop_map(|(reason_string, user)| {
        let properties = AckProperties { reason_string, user };
        (properties != AckProperties::default()).then(|| Box::new(properties))
    });
    v5_only(version, properties)
}

fn ack(kind: PacketType, version: Version) -> impl Strategy<Value = Ack> {
    let reason =
        if version.is_v5() { reason(kind, Side::Client).boxed() } else { Just(ReasonCode::Success).boxed() };
    (packet_id(), reason, ack_properties(version)).prop_map(|(packet_id, reason, properties)| Ack {
        packet_id,
        reason,
        properties,
    })
}

fn connect(version: Version) -> impl Strategy<Value = Connect> {
    let credentials = (option::of(text()), option::of(data()));
    let head = (any::<bool>(), text(), any::<bool>(), any::<u16>());
    (head, option::of(will(version)), credentials, v5_only(version, connect_properties())).prop_map(
        move |(
            (bridge, client_id, clean_start, keep_alive_secs),
            will,
            (user_name, password),
            properties,
        )| Connect {
            version,
            bridge: bridge && !version.is_v5(),
            client_id,
            clean_start,
            keep_alive_secs,
            will: will.map(Box::new),
            password: password.filter(|_| user_name.is_some() || version.is_v5()),
            user_name,
            properties,
        },
    )
}

fn connect_properties() -> impl Strategy<Value = ConnectProperties> {
    let numbers = (
        option::of(any::<u32>()),
        option::of(1..=u16::MAX),
        option::of(1..=u32::MAX),
        any::<u16>(),
        any::<bool>(),
        any::<bool>(),
    );
    let authentication = option::of((text(), option::of(data())));
    (numbers, user(), authentication).prop_map(|(numbers, user, authentication)| {
        let (method, data) = authentication.unzip();
        ConnectProperties {
            session_expiry_secs: numbers.0,
            receive_maximum: numbers.1,
            packet_bytes_max: numbers.2,
            topic_alias_maximum: numbers.3,
            request_response_information: numbers.4,
            request_problem_information: numbers.5,
            user,
            authentication_method: method,
            authentication_data: data.flatten(),
        }
    })
}

fn will(version: Version) -> impl Strategy<Value = Will> {
    let of_v5 = v5_only(version, (any::<u32>(), option::of(any::<u32>()), message_properties()));
    (topic(), data(), qos(), any::<bool>(), of_v5).prop_map(|(topic, payload, qos, retain, of_v5)| {
        let (delay_secs, expiry_secs, properties) = of_v5;
        Will { topic, payload, qos, retain, delay_secs, expiry_secs, properties }
    })
}

fn connack(version: Version) -> BoxedStrategy<ConnAck> {
    if !version.is_v5() {
        return (any::<bool>(), 0..=5_u8)
            .prop_map(move |(session_present, code)| ConnAck {
                session_present: session_present && code == 0 && version != Version::V31,
                reason: ReasonCode::from_connect_return_code(code).expect("0 to 5 are return codes"),
                properties: ConnAckProperties::default(),
            })
            .boxed();
    }
    let numbers = (
        option::of(any::<u32>()),
        option::of(1..=u16::MAX),
        qos(),
        option::of(1..=u32::MAX),
        any::<u16>(),
        option::of(any::<u16>()),
    );
    let flags = any::<[bool; 4]>();
    let texts = (option::of(text()), option::of(text()), option::of(text()), option::of(text()));
    let authentication = (option::of(text()), option::of(data()));
    let body = (numbers, flags, texts, authentication, user());
    (any::<bool>(), reason(PacketType::ConnAck, Side::Server), body)
        .prop_map(|(session_present, reason, (numbers, flags, texts, authentication, user))| ConnAck {
            session_present: session_present && !reason.is_error(),
            reason,
            properties: ConnAckProperties {
                session_expiry_secs: numbers.0,
                receive_maximum: numbers.1,
                qos_max: numbers.2,
                retain_available: flags[0],
                packet_bytes_max: numbers.3,
                assigned_client_id: texts.0,
                topic_alias_maximum: numbers.4,
                reason_string: texts.1,
                user,
                wildcard_available: flags[1],
                subscription_ids_available: flags[2],
                shared_available: flags[3],
                keep_alive_secs: numbers.5,
                response_information: texts.2,
                server_reference: texts.3,
                authentication_method: authentication.0,
                authentication_data: authentication.1,
            },
        })
        .boxed()
}

fn subscribe_item(version: Version) -> impl Strategy<Value = SubscribeItem> {
    let handling = prop_oneof![
        Just(RetainHandling::Send),
        Just(RetainHandling::SendIfNew),
        Just(RetainHandling::DoNotSend)
    ];
    let of_v5 = v5_only(version, (any::<bool>(), any::<bool>(), handling));
    (filter(), qos(), of_v5).prop_map(|(filter, qos, (no_local, retain_as_published, retain_handling))| {
        SubscribeItem {
            no_local: no_local && filter.group.is_none(),
            filter,
            qos,
            retain_as_published,
            retain_handling,
        }
    })
}

fn subscribe(version: Version) -> impl Strategy<Value = Subscribe> {
    let id = option::of((1..=268_435_455_u32).prop_map(|id| NonZeroU32::new(id).expect("from 1 on")));
    (packet_id(), v5_only(version, (id, user())), vec(subscribe_item(version), 1..4)).prop_map(
        |(packet_id, (subscription_id, user), items)| Subscribe { packet_id, subscription_id, user, items },
    )
}

fn unsubscribe(version: Version) -> impl Strategy<Value = Unsubscribe> {
    (packet_id(), v5_only(version, user()), vec(filter(), 1..4))
        .prop_map(|(packet_id, user, filters)| Unsubscribe { packet_id, user, filters })
}

fn suback(version: Version) -> impl Strategy<Value = SubAck> {
    let code = reason(PacketType::SubAck, Side::Server).prop_map(move |reason| {
        if reason.is_error() && !version.is_v5() { ReasonCode::UnspecifiedError } else { reason }
    });
    (packet_id(), vec(code, 1..4), ack_properties(version))
        .prop_map(|(packet_id, reasons, properties)| SubAck { packet_id, reasons, properties })
}

fn unsuback(version: Version) -> impl Strategy<Value = UnsubAck> {
    let reasons = v5_only(version, vec(reason(PacketType::UnsubAck, Side::Server), 1..4));
    (packet_id(), reasons, ack_properties(version)).prop_map(|(packet_id, reasons, properties)| UnsubAck {
        packet_id,
        reasons,
        properties,
    })
}

fn disconnect(version: Version, sender: Side) -> BoxedStrategy<Packet> {
    if !version.is_v5() {
        let normal = Disconnect::with_reason(ReasonCode::NORMAL_DISCONNECTION);
        return Just(Packet::Disconnect(Box::new(normal))).boxed();
    }
    let is_client = sender == Side::Client;
    (
        reason(PacketType::Disconnect, sender),
        option::of(any::<u32>()),
        option::of(text()),
        option::of(text()),
        user(),
    )
        .prop_map(move |(reason, expiry, reason_string, reference, user)| {
            Packet::Disconnect(Box::new(Disconnect {
                reason,
                session_expiry_secs: expiry.filter(|_| is_client),
                reason_string,
                server_reference: reference.filter(|_| !is_client),
                user,
            }))
        })
        .boxed()
}

fn auth(sender: Side) -> BoxedStrategy<Packet> {
    (reason(PacketType::Auth, sender), text(), option::of(data()), option::of(text()), user())
        .prop_map(|(reason, method, data, reason_string, user)| {
            Packet::Auth(Box::new(Auth { reason, method, data, reason_string, user }))
        })
        .boxed()
}
