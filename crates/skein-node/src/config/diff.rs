//! What changed between two configurations, and whether a reload is enough.

use super::{Config, Effect, mqtt::MqttListener, section::Section, setting::Setting};

/// A key that has another value than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The key, or `mqtt.listeners[name]`.
    pub key: String,
    /// The value before, as TOML; empty when it was not there.
    pub old: String,
    /// The value now, as TOML; empty when it is gone.
    pub new: String,
    /// When it takes effect.
    pub effect: Effect,
}

impl Config {
    /// The keys whose values differ, each with the moment its change takes effect.
    ///
    /// A reload applies those whose effect is not [`Effect::Restart`] and tells the operator about the others.
    #[must_use]
    pub fn reloadable_diff(old: &Self, new: &Self) -> Vec<Changed> {
        let (keys, old_values, new_values) = (Self::keys(), old.values(), new.values());
        let pairs = old_values.into_iter().zip(new_values);
        let changed = pairs.filter(|((_, old), (_, new))| old != new).map(|((name, old), (_, new))| {
            let effect = keys.iter().find(|key| key.name == name).map_or(Effect::Restart, |key| key.effect);
            Changed { key: name.to_owned(), old, new, effect }
        });
        let secret = hidden("cluster.secret", &old.cluster.secret, &new.cluster.secret);
        let registry = hidden("cluster.registry", &old.cluster.registry, &new.cluster.registry);
        let webhooks = hidden("cluster.webhooks", &old.cluster.webhooks, &new.cluster.webhooks);
        let webhooks = webhooks.map(|changed| Changed { effect: Effect::Reload, ..changed });
        let hidden = secret.into_iter().chain(registry).chain(webhooks);
        changed.chain(hidden).chain(listeners_diff(&old.mqtt.listeners, &new.mqtt.listeners)).collect()
    }
}

/// A value whose secret part is other than before: both are shown alike, and so not told apart by what is shown.
fn hidden<S: Setting + PartialEq>(key: &str, old: &S, new: &S) -> Option<Changed> {
    let changed =
        || Changed { key: key.to_owned(), old: old.to_toml(), new: new.to_toml(), effect: Effect::Restart };
    (old != new).then(changed).filter(|changed| changed.old == changed.new)
}

fn listeners_diff(old: &[MqttListener], new: &[MqttListener]) -> Vec<Changed> {
    let mut changed = Vec::new();
    let show = |listener: Option<&MqttListener>| listener.map(shown_address).unwrap_or_default();
    let named =
        |listeners: &[MqttListener], name: &str| listeners.iter().find(|one| one.name == name).cloned();
    for before in old {
        let after = named(new, &before.name);
        let (was, is) = (show(Some(before)), show(after.as_ref()));
        if was != is {
            let key = format!("mqtt.listeners[{}]", before.name);
            changed.push(Changed { key, old: was, new: is, effect: Effect::Restart });
        }
        let Some(after) = after else { continue };
        let limits = before.limits.values().into_iter().zip(after.limits.values());
        for ((name, old), (_, new)) in limits.filter(|((_, old), (_, new))| old != new) {
            let key = name.strip_prefix("mqtt.").unwrap_or(name);
            let key = format!("mqtt.listeners[{}].{key}", before.name);
            changed.push(Changed { key, old, new, effect: Effect::NewConnections });
        }
    }
    for added in new.iter().filter(|one| named(old, &one.name).is_none()) {
        let key = format!("mqtt.listeners[{}]", added.name);
        changed.push(Changed { key, old: String::new(), new: show(Some(added)), effect: Effect::Restart });
    }
    changed
}

fn shown_address(listener: &MqttListener) -> String {
    format!("{{ listen = \"{}\", transport = {} }}", listener.address, listener.transport.to_toml())
}
