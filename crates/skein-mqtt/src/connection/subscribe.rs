//! SUBSCRIBE and UNSUBSCRIBE (MQTT 5.0 sections 3.8 to 3.11).

use std::num::NonZeroU32;

use skein_plane::SubscribeOptions;
use skein_types::Code;

use super::{Context, Open, Refusal};
use crate::{
    codec::{Packet, ReasonCode, RetainHandling, SubAck, Subscribe, SubscribeItem, UnsubAck, Unsubscribe},
    reason::reason_of,
    settings::Settings,
};

/// Filters of one packet that are looked at. Each costs work in the matcher and among the retained messages, even one
/// that is held already, and a packet is handled in one go while the worker's other clients wait: so many take some
/// milliseconds, and are as many as a session may hold by default.
const FILTERS_PER_PACKET_MAX: usize = 10_000;

impl Open {
    /// One reason per filter, in order, each as if it had come alone (MQTT-3.8.4-5, MQTT-3.8.4-6).
    pub(super) fn subscribe(
        &self,
        subscribe: Subscribe,
        settings: &Settings,
        cx: &mut Context<'_>,
    ) -> Result<(), Refusal> {
        if self.version.is_v5() {
            check_available(&subscribe, settings)?;
        }
        let Subscribe { packet_id, subscription_id, items, .. } = subscribe;
        let mut reasons = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let qos = item.qos;
            let subscribed = match index < FILTERS_PER_PACKET_MAX {
                true => self.subscribe_one(item, subscription_id, settings, cx),
                false => Err(Code::QuotaExceeded),
            };
            reasons.push(match subscribed {
                Ok(()) => ReasonCode::granted(qos),
                Err(code) => reason_of(code),
            });
        }
        let packet = Packet::SubAck(Box::new(SubAck { packet_id, reasons, properties: None }));
        self.send(&packet, cx);
        // The acknowledgement goes before the retained messages it brings; both wait where it waits for the disk.
        self.answer(cx);
        Ok(())
    }

    fn subscribe_one(
        &self,
        item: SubscribeItem,
        id: Option<NonZeroU32>,
        settings: &Settings,
        cx: &mut Context<'_>,
    ) -> Result<(), Code> {
        let filter = &item.filter;
        // Version 5 does not come here with them.
        if filter.group.is_some() && !settings.shared_available {
            return Err(Code::SharedSubscriptionsNotSupported);
        }
        if !settings.wildcard_available && !filter.filter.is_literal() {
            return Err(Code::WildcardSubscriptionsNotSupported);
        }
        if filter.filter.depth() > settings.topic_levels_max {
            return Err(Code::TopicFilterInvalid);
        }
        if filter.filter.levels().filter(|level| *level == "+").count() > settings.wildcard_levels_max {
            return Err(Code::TopicFilterInvalid);
        }
        // Two servers joined by a bridge would send the same message back and forth for ever. A shared subscription
        // has no such option (MQTT-3.8.3-4).
        let options = SubscribeOptions {
            qos: item.qos,
            no_local: item.no_local || (self.bridge && filter.group.is_none()),
            retain_as_published: item.retain_as_published || self.bridge,
            id,
            partly_allowed: false,
        };
        let retain = match item.retain_handling {
            RetainHandling::Send => skein_plane::RetainHandling::Always,
            RetainHandling::SendIfNew => skein_plane::RetainHandling::IfNew,
            RetainHandling::DoNotSend => skein_plane::RetainHandling::Never,
        };
        self.handle.subscribe(item.filter, options, retain, &mut cx.split().0)
    }

    pub(super) fn unsubscribe(&self, unsubscribe: &Unsubscribe, cx: &mut Context<'_>) -> Result<(), Refusal> {
        if unsubscribe.filters.len() > FILTERS_PER_PACKET_MAX {
            // An UNSUBACK cannot say so: it has no such reason code, and none at all before version 5.
            return Err(Refusal::of(Code::QuotaExceeded, "an UNSUBSCRIBE has more than 10,000 filters"));
        }
        let reasons = unsubscribe
            .filters
            .iter()
            .map(|filter| match self.handle.unsubscribe(filter, &mut cx.split().0) {
                true => ReasonCode::Success,
                false => ReasonCode::NoSubscriptionExisted,
            })
            .collect();
        let packet_id = unsubscribe.packet_id;
        self.send(&Packet::UnsubAck(Box::new(UnsubAck { packet_id, reasons, properties: None })), cx);
        Ok(())
    }
}

/// What the CONNACK says is not available is a protocol error with a reason of its own (MQTT 5.0 sections 3.2.2.3.11 to
/// -13). Clients of older versions were not told, so theirs are refused one by one.
fn check_available(subscribe: &Subscribe, settings: &Settings) -> Result<(), Refusal> {
    let Subscribe { items, subscription_id, .. } = subscribe;
    if subscription_id.is_some() && !settings.subscription_id_available {
        return Err(Refusal::of(
            Code::SubscriptionIdentifiersNotSupported,
            "subscription identifiers are not available here",
        ));
    }
    if !settings.shared_available && items.iter().any(|item| item.filter.group.is_some()) {
        return Err(Refusal::of(
            Code::SharedSubscriptionsNotSupported,
            "shared subscriptions are not available here",
        ));
    }
    if !settings.wildcard_available && items.iter().any(|item| !item.filter.filter.is_literal()) {
        return Err(Refusal::of(
            Code::WildcardSubscriptionsNotSupported,
            "filters with wildcards are not available here",
        ));
    }
    Ok(())
}
