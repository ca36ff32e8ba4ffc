//! Puts a configuration together: defaults, then the file, then variables, then flags, each over the one before.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
};

use skein_access::nearest_name;

use super::{
    Config, Sources, VARIABLE_PREFIX,
    check::{Check, check_all},
    document::{self, Entry, Located, Value},
    fault::{Fault, Faults, Origin},
    listen::Listen,
    mqtt::{MqttLimits, MqttListener, Transport},
    section::{Key, Section},
    setting::{Given, Setting},
};

/// Variables with our prefix that are no keys: where the file is.
const OTHER_VARIABLES: [&str; 1] = ["SKEIN_CONFIG"];
const LISTENERS: &str = "listeners";
const LISTENER_KEYS: [&str; 3] = ["name", "listen", "transport"];

pub(super) fn load(sources: &Sources) -> Result<Config, Faults> {
    let mut loader = Loader::default();
    loader.read_file(sources);
    loader.read_variables(sources);
    loader.read_flags(sources);
    loader.finish()
}

#[derive(Default)]
struct Loader {
    config: Config,
    origins: HashMap<String, Origin>,
    faults: Vec<Fault>,
    unread: BTreeSet<String>,
    /// Read after everything else, because listeners start from the limits of all.
    listeners: Vec<Located>,
}

impl Loader {
    fn read_file(&mut self, sources: &Sources) {
        let Some((path, text)) = &sources.file else { return };
        match document::read(path, text) {
            Ok(entries) => entries.iter().for_each(|entry| self.read_section(entry)),
            Err(faults) => {
                self.faults.extend(faults);
                self.unread_all();
            }
        }
    }

    fn read_section(&mut self, section: &Entry) {
        let names = section_names();
        if !names.contains(&section.key.as_str()) {
            let name = &section.key;
            let advice = match nearest_name(name, names.iter().copied()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("sections are {}", names.join(", ")),
            };
            self.fault(&section.key_origin, format!("there is no section {name:?}; {advice}"));
            self.unread_all();
            return;
        }
        match &section.node.value {
            Value::Table(entries) => entries.iter().for_each(|entry| self.read_entry(&section.key, entry)),
            Value::Nothing => {}
            other => {
                let name = &section.key;
                self.fault(
                    &section.node.origin,
                    format!("{name} = {other} is not a section: write [{name}] and its keys below"),
                );
                self.unread.insert(name.clone());
            }
        }
    }

    fn read_entry(&mut self, section: &str, entry: &Entry) {
        let name = format!("{section}.{}", entry.key);
        if name == "mqtt.listeners" {
            match &entry.node.value {
                Value::List(items) => self.listeners.extend(items.iter().cloned()),
                other => {
                    let text =
                        format!("{name} = {other} is not a list: write [[{name}]] before each listener");
                    self.fault(&entry.node.origin, text);
                    self.unread.insert(section.to_owned());
                }
            }
            return;
        }
        if let Some(first) = self.origins.get(&name) {
            let text = format!("{name} is there twice, first at {first}; remove one");
            self.fault(&entry.key_origin, text);
            return;
        }
        self.set(&name, Given::Value(&entry.node.value), &entry.node.origin, &entry.key_origin);
    }

    fn read_variables(&mut self, sources: &Sources) {
        let keys = keys_by(Key::variable);
        for (variable, text) in &sources.env {
            if !variable.starts_with(VARIABLE_PREFIX) || OTHER_VARIABLES.contains(&variable.as_str()) {
                continue;
            }
            let origin = Origin::Variable(variable.clone());
            match keys.get(variable) {
                Some(key) => self.set(key.name, Given::Text(text), &origin, &origin),
                None => {
                    let near = nearest_name(variable, keys.keys().map(String::as_str));
                    let advice = near.map_or_else(
                        || format!("remove it, or see the list of variables; no other may start with {VARIABLE_PREFIX}"),
                        |near| format!("did you mean {near}?"),
                    );
                    self.fault(&origin, format!("there is no such variable; {advice}"));
                    self.unread_all();
                }
            }
        }
    }

    fn read_flags(&mut self, sources: &Sources) {
        let keys = keys_by(|key| key.name.to_owned());
        let mut given: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (flag, text) in &sources.flags {
            given.entry(flag).or_default().push(text);
        }
        for (flag, texts) in given {
            let origin = Origin::Flag(flag.to_owned());
            match keys.get(flag) {
                // A list may be given by repeating its flag.
                Some(key) if key.is_list => {
                    self.set(key.name, Given::Text(&texts.join(",")), &origin, &origin)
                }
                Some(_) if texts.len() > 1 => {
                    self.fault(&origin, format!("is given {} times; give it once", texts.len()))
                }
                Some(key) => self.set(key.name, Given::Text(texts.first().unwrap_or(&"")), &origin, &origin),
                None => {
                    let near = nearest_name(flag, keys.keys().map(String::as_str));
                    let advice = near.map_or_else(
                        || "see `skein --help`".to_owned(),
                        |near| format!("did you mean --{near}?"),
                    );
                    self.fault(&origin, format!("there is no such flag; {advice}"));
                    self.unread_all();
                }
            }
        }
    }

    /// Sets one key in whichever section has it.
    fn set(&mut self, name: &str, given: Given<'_>, origin: &Origin, key_origin: &Origin) {
        let section = name.split('.').next().unwrap_or_default();
        match set_key(&mut self.config, name, given) {
            Some(Ok(())) => {
                self.origins.insert(name.to_owned(), origin.clone());
            }
            Some(Err(reason)) => {
                let is_secret = Config::keys().iter().any(|key| key.name == name && key.is_secret);
                let shown = if is_secret { String::new() } else { format!(" = {given}") };
                self.fault(origin, format!("{name}{shown} {reason}"));
                self.unread.insert(section.to_owned());
            }
            None => {
                self.unread.insert(section.to_owned());
                let keys: Vec<Key> = Config::keys();
                let known =
                    || keys.iter().map(|key| key.name).filter(|key| key.split('.').next() == Some(section));
                let advice = match nearest_name(name, known()) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("known are {}", known().collect::<Vec<_>>().join(", ")),
                };
                self.fault(key_origin, format!("there is no key {name}; {advice}"));
            }
        }
    }

    fn finish(mut self) -> Result<Config, Faults> {
        if self.config.tls.cert.is_some() && !self.origins.contains_key("mqtt.tls_listen") {
            self.config.mqtt.door.tls_listen = Listen(vec![([127, 0, 0, 1], 8883).into()]);
        }
        if !self.origins.contains_key("cluster.listen") {
            self.config.cluster.listen = self.config.cluster.listen_default();
        }
        for (index, node) in std::mem::take(&mut self.listeners).iter().enumerate() {
            match self.read_listener(index, node) {
                Some(listener) => self.config.mqtt.listeners.push(listener),
                None => {
                    self.unread.insert("mqtt".to_owned());
                }
            }
        }
        let mut check = Check { origins: &self.origins, unread: &self.unread, faults: &mut self.faults };
        check_all(&self.config, &mut check);
        Faults::from_found(self.faults)?;
        Ok(self.config)
    }

    fn read_listener(&mut self, index: usize, node: &Located) -> Option<MqttListener> {
        let path = format!("mqtt.{LISTENERS}[{index}]");
        let Value::Table(entries) = &node.value else {
            self.fault(&node.origin, format!("{path} = {} is not a listener: write its keys", node.value));
            return None;
        };
        let faults_before = self.faults.len();
        let (mut name, mut listen, mut transport) = (None, None, Transport::Tcp);
        let mut limits = self.config.mqtt.limits.clone();
        for entry in entries {
            let key = format!("{path}.{}", entry.key);
            let given = Given::Value(&entry.node.value);
            let read = match entry.key.as_str() {
                "name" => String::read(given).map(|text| name = Some(text)),
                "listen" => one_address(given).map(|address| listen = Some(address)),
                "transport" => Transport::read(given).map(|read| transport = read),
                other => match limits.set(other, given) {
                    Some(read) => read,
                    None => {
                        self.unknown_listener_key(&key, entry);
                        continue;
                    }
                },
            };
            match read {
                Ok(()) => {
                    self.origins.insert(key, entry.node.origin.clone());
                }
                Err(reason) => self.fault(&entry.node.origin, format!("{key} = {given} {reason}")),
            }
        }
        if self.faults.len() > faults_before {
            return None;
        }
        if name.is_none() {
            self.fault(&node.origin, format!("{path} has no name; add name = \"…\""));
        }
        if listen.is_none() {
            self.fault(
                &node.origin,
                format!("{path} has no address; add listen = \"127.0.0.1:1884\" or another"),
            );
        }
        Some(MqttListener { name: name?, address: listen?, transport, limits })
    }

    fn unknown_listener_key(&mut self, key: &str, entry: &Entry) {
        let limits = MqttLimits::keys();
        let known =
            LISTENER_KEYS.into_iter().chain(limits.iter().filter_map(|key| key.name.strip_prefix("mqtt.")));
        let advice = match nearest_name(&entry.key, known.clone()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("known are {}", known.collect::<Vec<_>>().join(", ")),
        };
        self.fault(&entry.key_origin, format!("there is no key {key}; {advice}"));
    }

    fn unread_all(&mut self) {
        self.unread.extend(section_names().into_iter().map(str::to_owned));
    }

    fn fault(&mut self, origin: &Origin, text: String) {
        self.faults.push(Fault { origin: origin.clone(), text });
    }
}

fn one_address(given: Given<'_>) -> Result<SocketAddr, String> {
    match Listen::read(given)?.0.as_slice() {
        [one] => Ok(*one),
        _ => Err("is not one address: write an entry of its own for each".to_owned()),
    }
}

fn keys_by(name: fn(&Key) -> String) -> BTreeMap<String, Key> {
    Config::keys().into_iter().map(|key| (name(&key), key)).collect()
}

fn section_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = Config::keys().iter().filter_map(|key| key.name.split('.').next()).collect();
    names.dedup();
    names
}

fn set_key(config: &mut Config, name: &str, given: Given<'_>) -> Option<Result<(), String>> {
    let (section, key) = name.split_once('.')?;
    config.set(section, key, given)
}
