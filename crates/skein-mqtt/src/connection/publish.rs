//! PUBLISH from the client (MQTT 5.0 section 3.3).

use std::num::NonZeroU16;

use skein_plane::Published;
use skein_types::{Code, Message, QoS, SessionKey, Topic};

use super::{Context, Open, Refusal};
use crate::{
    codec::{Ack, Packet, Publish, ReasonCode, Version},
    settings::Settings,
};

impl Open {
    pub(super) fn publish(
        &mut self,
        publish: Publish,
        settings: &Settings,
        cx: &mut Context<'_>,
    ) -> Result<(), Refusal> {
        let topic = self.resolve_alias(publish.topic, publish.alias, settings)?;
        check_capabilities(&topic, publish.qos, publish.retain, settings)?;
        if let Some(rate) = &mut self.rate {
            rate.take(topic.len().saturating_add(publish.payload.len()));
        }
        let expiry_secs = match (publish.expiry_secs, settings.message_expiry_max_secs) {
            (secs, 0) => secs,
            (secs, max) => Some(secs.unwrap_or(max).min(max)),
        };
        let message = Message {
            topic,
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            expires_at: expiry_secs.map(|secs| cx.now.after_secs(secs)),
            origin: SessionKey::default(),
            properties: publish.properties,
            padding: 0,
        };
        match (publish.qos, publish.packet_id) {
            (QoS::AtLeastOnce, Some(id)) => {
                let reason = self.hand_over(message, cx)?;
                Packet::PubAck(Ack::with_reason(id, reason)).encode(self.version, cx.out);
            }
            (QoS::ExactlyOnce, Some(id)) => self.publish_exactly_once(message, id, settings, cx)?,
            _ => _ = self.hand_over(message, cx)?,
        }
        Ok(())
    }

    fn publish_exactly_once(
        &mut self,
        message: Message,
        id: NonZeroU16,
        settings: &Settings,
        cx: &mut Context<'_>,
    ) -> Result<(), Refusal> {
        let mut reason = ReasonCode::Success;
        // MQTT-4.3.3-10: a resend is acknowledged and not delivered again.
        if let Some(unreleased) = self.handle.receive_once(id.get().into(), &mut cx.split().0) {
            if unreleased > usize::from(settings.receive_maximum.get()) {
                return Err(Refusal::of(
                    Code::ReceiveMaximumExceeded,
                    "more QoS 2 messages are under way than the server's receive maximum",
                ));
            }
            reason = self.hand_over(message, cx)?;
            if reason.is_error() {
                // The hand-over ends here, so that the id is free again (MQTT-4.3.3-9).
                self.handle.release(id.get().into(), &mut cx.split().0);
            }
        }
        Packet::PubRec(Ack::with_reason(id, reason)).encode(self.version, cx.out);
        Ok(())
    }

    /// Gives the message to the plane and says what to acknowledge it with. A publish that is not allowed is
    /// acknowledged with the error where the version can say so, and is silently without effect where it cannot
    /// (MQTT 3.1.1 section 3.3.5).
    fn hand_over(&mut self, message: Message, cx: &mut Context<'_>) -> Result<ReasonCode, Refusal> {
        Ok(match self.handle.publish(message, &mut cx.split().0) {
            Published::Matched => ReasonCode::Success,
            Published::Unmatched => ReasonCode::NoMatchingSubscribers,
            Published::Denied => ReasonCode::NotAuthorized,
            Published::Refused if self.version == Version::V5 => ReasonCode::QuotaExceeded,
            // MQTT 3.1.1 has no other way to say no, and yes would be a promise that cannot be kept.
            Published::Refused => {
                return Err(Refusal::of(
                    Code::QuotaExceeded,
                    "the server's store takes no more messages now",
                ));
            }
        })
    }

    fn resolve_alias(
        &mut self,
        topic: Option<Topic>,
        alias: Option<NonZeroU16>,
        settings: &Settings,
    ) -> Result<Topic, Refusal> {
        let Some(alias) = alias else {
            return topic.ok_or(Refusal::protocol("a PUBLISH needs a topic or a topic alias"));
        };
        if alias.get() > settings.topic_alias_max {
            // MQTT-3.3.2-9.
            return Err(Refusal::of(
                Code::TopicAliasInvalid,
                "the topic alias is above the server's maximum",
            ));
        }
        let Some(topic) = topic else {
            let known = self.aliases.as_ref().and_then(|aliases| aliases.topics.get(&alias));
            return known.cloned().ok_or(Refusal::protocol("the topic alias was never given a topic"));
        };
        self.aliases.get_or_insert_default().topics.insert(alias, topic.detached());
        Ok(topic)
    }
}

fn check_capabilities(topic: &Topic, qos: QoS, retain: bool, settings: &Settings) -> Result<(), Refusal> {
    if qos > settings.maximum_qos {
        return Err(Refusal::of(
            Code::QosNotSupported,
            "the quality of service is above the server's maximum",
        ));
    }
    if retain && !settings.retain_available {
        return Err(Refusal::of(Code::RetainNotSupported, "the server does not retain messages"));
    }
    if topic.depth() > settings.topic_levels_max {
        return Err(Refusal::of(Code::TopicNameInvalid, "the topic has more levels than the server takes"));
    }
    Ok(())
}
