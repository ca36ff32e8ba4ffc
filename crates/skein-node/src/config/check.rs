//! Checks of values against each other, after every source has been read.
//!
//! The most important one: a server that can be reached from other machines and lets anybody in does not start unless
//! somebody has said so.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
};

use skein_access::Anonymous;

use super::{
    Config,
    fault::{Fault, Origin},
    section::{Section, name_of},
};

/// Gathers the faults of values, each at the place where its key was set.
#[derive(Debug)]
pub(super) struct Check<'c> {
    pub(super) origins: &'c HashMap<String, Origin>,
    /// Sections of which something could not be read. What is checked against them would raise faults that are none.
    pub(super) unread: &'c BTreeSet<String>,
    pub(super) faults: &'c mut Vec<Fault>,
}

impl Check<'_> {
    /// `text` goes on after the name of the key.
    pub(super) fn fault(&mut self, key: &str, text: impl AsRef<str>) {
        let origin = self.origins.get(key).cloned().unwrap_or_else(|| Origin::Default(key.to_owned()));
        self.faults.push(Fault { origin, text: format!("{key} {}", text.as_ref()) });
    }

    fn has_read(&self, sections: &[&str]) -> bool {
        sections.iter().all(|section| !self.unread.contains(*section))
    }

    pub(super) fn validate(&mut self, section: &impl Section) {
        self.validate_under(section, name_of(section));
    }

    fn validate_under<S: Section>(&mut self, section: &S, path: &str) {
        if self.has_read(&[S::NAME]) {
            section.validate(path, self);
        }
    }
}

/// A listener of any door, with the key that opens it.
struct Opened {
    key: String,
    address: SocketAddr,
    uses_tls: bool,
}

pub(super) fn check_all(config: &Config, check: &mut Check<'_>) {
    config.validate(check);
    for (index, listener) in config.mqtt.listeners.iter().enumerate() {
        check.validate_under(&listener.limits, &format!("mqtt.listeners[{index}]"));
    }
    let opened = opened_listeners(config);
    if check.has_read(&["mqtt", "http"]) {
        check_names(config, check);
        check_twice(&opened, config.cluster.listen, check);
    }
    if check.has_read(&["mqtt", "http", "tls"]) {
        check_certificate(config, &opened, check);
    }
    if check.has_read(&["mqtt", "http", "access"]) {
        check_open_to_others(config, &opened, check);
    }
}

fn opened_listeners(config: &Config) -> Vec<Opened> {
    let mut opened = Vec::new();
    for (key, listen, transport) in config.mqtt.door.addresses() {
        for address in &listen.0 {
            opened.push(Opened { key: key.to_owned(), address: *address, uses_tls: transport.uses_tls() });
        }
    }
    for (index, listener) in config.mqtt.listeners.iter().enumerate() {
        let key = format!("mqtt.listeners[{index}].listen");
        opened.push(Opened { key, address: listener.address, uses_tls: listener.transport.uses_tls() });
    }
    let plain = config.http.listen.0.len();
    for (index, (address, uses_tls)) in config.http.addresses().enumerate() {
        let key = if index < plain { "http.listen" } else { "http.tls_listen" };
        opened.push(Opened { key: key.to_owned(), address, uses_tls });
    }
    opened
}

fn check_names(config: &Config, check: &mut Check<'_>) {
    let all = config.mqtt.all_listeners();
    let own = config.mqtt.listeners.len();
    for (index, listener) in config.mqtt.listeners.iter().enumerate() {
        let before = all.len().saturating_sub(own).saturating_add(index);
        let key = format!("mqtt.listeners[{index}].name");
        if listener.name.is_empty() {
            check.fault(&key, "is empty; give the listener a name");
        } else if all.iter().take(before).any(|other| other.name == listener.name) {
            check.fault(
                &key,
                format!("is {:?}, which is the name of another listener; choose another name", listener.name),
            );
        }
    }
}

fn check_twice(opened: &[Opened], cluster: Option<SocketAddr>, check: &mut Check<'_>) {
    let used = opened.iter().find(|other| Some(other.address) == cluster && other.address.port() != 0);
    if let Some(other) = used {
        let what = "choose another port";
        check.fault("cluster.listen", format!("is {}, which {} uses too; {what}", other.address, other.key));
    }
    for (index, listener) in opened.iter().enumerate() {
        // Port 0 is a free port of the system's choice: two of them never meet.
        let is_same = |other: &&Opened| other.address == listener.address && listener.address.port() != 0;
        if let Some(other) = opened.iter().take(index).find(is_same) {
            let address = listener.address;
            check.fault(
                &listener.key,
                format!("is {address}, which {} uses too; choose another port", other.key),
            );
        }
    }
}

fn check_certificate(config: &Config, opened: &[Opened], check: &mut Check<'_>) {
    if config.tls.cert.is_some() {
        return;
    }
    for listener in opened.iter().filter(|listener| listener.uses_tls) {
        let advice = "set tls.cert and tls.key";
        check.fault(&listener.key, format!("is served over TLS but there is no certificate; {advice}"));
    }
}

fn check_open_to_others(config: &Config, opened: &[Opened], check: &mut Check<'_>) {
    if config.access.file.is_some() || config.access.anonymous == Anonymous::Always {
        return;
    }
    for listener in opened.iter().filter(|listener| !is_loopback(listener.address.ip())) {
        let why = "can be reached from other machines, but there are no users";
        let what = "set access.file, listen on a loopback address, or set access.anonymous = true to admit everybody";
        check.fault(&listener.key, format!("= {} {why}; {what}", listener.address));
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}
