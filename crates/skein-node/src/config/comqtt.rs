//! The flags and configuration files of comqtt as a configuration of this server.
//!
//! What concerns a node and its place in a cluster is translated; what has no counterpart, or none yet, is named in a warning and never
//! dropped in silence. Both spellings of flags are read, `-tcp` and `--tcp`. As in comqtt, a file given by `conf` replaces
//! every flag. Called by `skein compat comqtt`.

mod cluster;
mod table;

use std::path::{Path, PathBuf};

use skein_access::nearest_name;

use self::{
    cluster::Asked,
    table::{KNOWN, Known, Meaning, Part},
};
use super::{
    Config, Sources,
    document::{self, Entry, Value},
    fault::{Fault, Faults, Origin},
    reference::toml_of,
    setting::{Setting, quoted},
};

const NOT_NEEDED: &str = "is not needed: nodes agree without a log of their own and talk over one port";

/// What became of a comqtt configuration.
#[derive(Debug)]
pub struct Translation {
    /// The equal configuration as TOML.
    pub toml: String,
    /// The same, loaded; or why this server would not start with it.
    pub config: Result<Config, Faults>,
    /// What is different from comqtt, or missing.
    pub warnings: Vec<String>,
}

/// The file that the arguments name with `conf`; its text goes to [`translate`].
///
/// # Errors
/// Arguments that are not comqtt's.
pub fn conf_file(arguments: &[String]) -> Result<Option<PathBuf>, Faults> {
    let given = read_flags(arguments)?;
    let conf = given.iter().rev().find(|setting| setting.known.path == "conf");
    Ok(conf.filter(|setting| !setting.text.is_empty()).map(|setting| PathBuf::from(&setting.text)))
}

/// Translates comqtt's command line, and the file it names if it names one.
///
/// # Errors
/// Arguments that are not comqtt's, a file that is not YAML, or values that comqtt would not take either.
pub fn translate(arguments: &[String], conf: Option<(&Path, &str)>) -> Result<Translation, Faults> {
    let flags = read_flags(arguments)?;
    let mut translator = Translator::default();
    match conf {
        Some((path, text)) => {
            let replaced: Vec<String> = flags
                .iter()
                .filter(|setting| setting.known.path != "conf")
                .map(|setting| setting.origin.to_string())
                .collect();
            if !replaced.is_empty() {
                let names = replaced.join(", ");
                translator.warn(format!("{names}: ignored, because the file of conf replaces every flag"));
            }
            let entries = document::read(path, text).map_err(Faults::of)?;
            translator.read_entries("", &entries);
        }
        None => flags.iter().for_each(|setting| translator.read(setting)),
    }
    translator.finish()
}

/// A flag or key of comqtt with its value.
struct Given {
    known: &'static Known,
    origin: Origin,
    text: String,
}

fn read_flags(arguments: &[String]) -> Result<Vec<Given>, Faults> {
    let mut given = Vec::new();
    let mut faults = Vec::new();
    let mut arguments = arguments.iter().peekable();
    while let Some(argument) = arguments.next() {
        let dashed = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'));
        let (name, value) = match dashed.unwrap_or_default().split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (dashed.unwrap_or_default(), None),
        };
        let origin = Origin::Flag(name.to_owned());
        let Some(known) = KNOWN.iter().find(|known| known.flags.contains(&name)) else {
            let names = KNOWN.iter().flat_map(|known| known.flags.iter().copied());
            let advice =
                nearest_name(name, names).map(|near| format!("; did you mean -{near}?")).unwrap_or_default();
            let origin = Origin::Flag(dashed.map_or_else(|| argument.clone(), |_| name.to_owned()));
            faults.push(Fault { origin, text: format!("is not a flag of comqtt{advice}") });
            continue;
        };
        let next = || arguments.next_if(|next| !known.is_switch() && !next.starts_with('-')).cloned();
        let text = match value.or_else(next) {
            Some(text) => text,
            None if known.is_switch() => "true".to_owned(),
            None => {
                faults.push(Fault { origin, text: format!("has no value; write -{name}=VALUE") });
                continue;
            }
        };
        given.push(Given { known, origin, text });
    }
    Faults::from_found(faults)?;
    Ok(given)
}

/// What comqtt was asked for, as far as it takes more than one key to say what it means.
struct Translator {
    tcp: String,
    ws: String,
    http: String,
    auth_way: String,
    datasource: String,
    storage: Option<String>,
    bridge: String,
    cluster: Asked,
    log_output: Option<String>,
    /// Warnings that hold only if comqtt would use the part they are about.
    of_parts: Vec<(Part, String)>,
    values: Vec<(&'static str, String)>,
    warnings: Vec<String>,
    faults: Vec<Fault>,
}

impl Default for Translator {
    /// comqtt's own defaults, where they are not this server's.
    fn default() -> Self {
        let values = [
            ("mqtt.sys_interval", quoted("1s")),
            ("mqtt.session_expiry_max", quoted("never")),
            ("mqtt.message_expiry_max", quoted("1d")),
            ("mqtt.topic_alias_max", "65535".to_owned()),
        ];
        Self {
            tcp: ":1883".to_owned(),
            ws: ":1882".to_owned(),
            http: ":8080".to_owned(),
            auth_way: "0".to_owned(),
            datasource: "0".to_owned(),
            storage: None,
            bridge: "0".to_owned(),
            cluster: Asked::default(),
            log_output: None,
            of_parts: Vec::new(),
            values: values.to_vec(),
            warnings: Vec::new(),
            faults: Vec::new(),
        }
    }
}

impl Translator {
    fn read_entries(&mut self, path: &str, entries: &[Entry]) {
        for entry in entries {
            let path = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
            if let Value::Table(inner) = &entry.node.value {
                self.read_entries(&path, inner);
                continue;
            }
            let origin = entry.node.origin.clone();
            // Some versions have the certificates beside `mqtt`, others inside it.
            let path = if path.starts_with("tls.") { format!("mqtt.{path}") } else { path };
            match KNOWN.iter().find(|known| known.path == path && known.is_in_files) {
                Some(known) => self.read(&Given { known, origin, text: plain(&entry.node.value) }),
                None if matches!(entry.node.value, Value::Nothing) => {}
                None => {
                    self.warn(format!("{}: {path} is not a known key of comqtt; ignored", entry.key_origin))
                }
            }
        }
    }

    fn read(&mut self, given: &Given) {
        let text = given.text.trim();
        match given.known.meaning {
            Meaning::Conf => {}
            Meaning::Tcp => self.tcp = text.to_owned(),
            Meaning::Ws => self.ws = text.to_owned(),
            Meaning::Http => self.http = text.to_owned(),
            Meaning::AuthWay => self.auth_way = text.to_owned(),
            Meaning::Datasource => self.datasource = text.to_owned(),
            Meaning::Storage => self.storage = Some(text.to_owned()),
            Meaning::Mode => self.cluster.mode = Some(text.to_owned()),
            Meaning::NodeName => self.cluster.node_name = text.to_owned(),
            Meaning::BindAddress => self.of_cluster(given, |cluster, text| cluster.bind_address = text),
            Meaning::BindPort => self.of_cluster(given, |cluster, text| cluster.bind_port = text),
            Meaning::AdvertiseAddress => {
                self.of_cluster(given, |cluster, text| cluster.advertise_address = text);
            }
            Meaning::AdvertisePort => self.of_cluster(given, |cluster, text| cluster.advertise_port = text),
            Meaning::Members => self.of_cluster(given, |cluster, text| cluster.members = text),
            Meaning::OfOldCluster => {
                self.of_cluster(given, |_, _| {});
                self.of_parts
                    .push((Part::Cluster, format!("{}: {} {NOT_NEEDED}", given.origin, given.known.path)));
            }
            Meaning::PacketBytes if text == "0" => {
                let bound = super::MqttLimits::default().packet_bytes_max.to_toml();
                let text = format!(
                    "0 means packets of any size; here they are bounded by mqtt.packet_bytes_max = {bound}"
                );
                self.warn(format!("{}: {text}", given.origin));
            }
            Meaning::PacketBytes => {
                self.number(given, "mqtt.packet_bytes_max", |bytes| quoted(&format!("{bytes}B")))
            }
            Meaning::Number(key) => self.number(given, key, |number| number.to_string()),
            Meaning::Expiry(key) => self.number(given, key, |seconds| match u32::try_from(seconds) {
                Ok(u32::MAX) | Err(_) => quoted("never"),
                Ok(seconds) => quoted(&format!("{seconds}s")),
            }),
            Meaning::Interval(key) if text.ends_with('s') => self.set(key, quoted(text)),
            Meaning::Interval(key) => self.number(given, key, |seconds| quoted(&format!("{seconds}s"))),
            Meaning::Switch(key) => match text {
                "0" | "false" => self.set(key, "false".to_owned()),
                "1" | "true" => self.set(key, "true".to_owned()),
                _ => self.refuse(given, "write 0 or 1"),
            },
            Meaning::Path(_) if text.is_empty() => {}
            Meaning::Path(key) => self.set(key, quoted(text)),
            Meaning::OneOf(key, choices) => match choices.iter().find(|(theirs, _)| *theirs == text) {
                Some((_, ours)) => self.set(key, quoted(ours)),
                None => self.refuse(given, "this is none of comqtt's values"),
            },
            Meaning::Missing { inert, reason } if !inert.contains(&text) => {
                self.warn(format!("{}: {} = {text:?} {reason}", given.origin, given.known.path));
            }
            Meaning::Missing { .. } => {}
            Meaning::PartOf(part, reason) if !text.is_empty() => {
                self.of_parts.push((part, format!("{}: {} {reason}", given.origin, given.known.path)));
            }
            Meaning::PartOf(..) => {}
            Meaning::Bridge => self.bridge = text.to_owned(),
            Meaning::LogOutput => self.log_output = Some(text.to_owned()),
        }
    }

    fn of_cluster(&mut self, given: &Given, set: fn(&mut Asked, String)) {
        let text = given.text.trim();
        self.cluster.is_mentioned |= !text.is_empty();
        set(&mut self.cluster, text.to_owned());
    }

    fn number(&mut self, given: &Given, key: &'static str, show: fn(u64) -> String) {
        match given.text.trim().parse() {
            Ok(number) => self.set(key, show(number)),
            Err(_) => self.refuse(given, "write a whole number"),
        }
    }

    fn set(&mut self, key: &'static str, value: String) {
        self.values.retain(|(name, _)| *name != key);
        self.values.push((key, value));
    }

    fn refuse(&mut self, given: &Given, advice: &str) {
        let text = format!("{} = {:?} cannot be translated; {advice}", given.known.path, given.text);
        self.faults.push(Fault { origin: given.origin.clone(), text });
    }

    fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    fn finish(mut self) -> Result<Translation, Faults> {
        self.set_node();
        self.set_listeners();
        self.set_access();
        self.set_storage();
        self.warn_of_parts();
        Faults::from_found(self.faults)?;
        let order = Config::keys();
        let place_of = |key: &str| order.iter().position(|known| known.name == key);
        self.values.sort_by_key(|(key, _)| place_of(key));
        let toml = toml_of(self.values);
        let file = Some((PathBuf::from("translated.toml"), toml.clone()));
        let config = Config::load(&Sources { file, ..Sources::default() });
        Ok(Translation { toml, config, warnings: self.warnings })
    }

    fn set_node(&mut self) {
        if self.cluster.is_cluster() {
            let (values, warnings) = self.cluster.translate();
            self.warnings.extend(warnings);
            return values.into_iter().for_each(|(key, value)| self.set(key, value));
        }
        if self.cluster.is_mentioned {
            self.warn(
                "mode = 1: the node runs alone, and what is said about a cluster is not used".to_owned(),
            );
        }
        let name = self.cluster.node_name.clone();
        if !name.is_empty() {
            if name.parse::<u16>().is_ok_and(|id| id > 0) {
                self.set("node.id", name.clone());
            }
            self.set("node.name", quoted(&name));
        }
    }

    /// With a certificate, comqtt serves TLS on the addresses it otherwise serves in clear.
    fn set_listeners(&mut self) {
        let has_certificate = self.values.iter().any(|(key, _)| *key == "tls.cert");
        let (tcp, ws, http) = (native(&self.tcp), native(&self.ws), native(&self.http));
        let listeners = if has_certificate {
            [("mqtt.tls_listen", tcp), ("mqtt.wss_listen", ws)]
        } else {
            [("mqtt.listen", tcp), ("mqtt.ws_listen", ws)]
        };
        if has_certificate {
            self.set("mqtt.listen", quoted("off"));
            self.set("mqtt.ws_listen", quoted("off"));
        }
        for (key, address) in listeners.into_iter().chain([("http.listen", http)]) {
            if address.starts_with("0.0.0.0:") {
                self.warn(format!(
                    "{key} = {address}: as in comqtt, every IPv4 address of the machine is listened on"
                ));
            }
            self.set(key, quoted(&address));
        }
        if self.values.iter().any(|(key, _)| *key == "tls.client_ca") {
            self.set("tls.client_auth", quoted("require"));
        }
    }

    fn set_access(&mut self) {
        if self.auth_way == "0" {
            self.set("access.anonymous", "true".to_owned());
            let advice = "set access.file and remove access.anonymous to change that";
            self.warn(format!(
                "access.anonymous = true: as in comqtt with auth way 0, everybody is admitted; {advice}"
            ));
            return;
        }
        self.set("access.anonymous", "false".to_owned());
        let (way, datasource) = (&self.auth_way, &self.datasource);
        let asked = format!("auth way {way} with datasource {datasource}");
        let advice = "make an access file with `skein user add` and set access.file";
        self.warn(format!(
            "{asked}: external sources of users and file ledgers are not supported yet; {advice}"
        ));
    }

    fn warn_of_parts(&mut self) {
        if !["", "0"].contains(&self.bridge.as_str()) {
            self.warn(format!("bridge-way = {}: bridges are not supported yet", self.bridge));
        }
        if self.log_output.as_deref().is_some_and(|output| output != "0") {
            self.warn(
                "log.output: messages go to the standard error stream only; keep them from there".to_owned(),
            );
        }
        let storage = self.storage.as_deref();
        for (part, warning) in std::mem::take(&mut self.of_parts) {
            let is_used = match part {
                Part::Auth => self.auth_way != "0",
                Part::Cluster => self.cluster.is_cluster(),
                Part::Bridge => !["", "0"].contains(&self.bridge.as_str()),
                Part::LogFiles => self.log_output.as_deref() != Some("0"),
                Part::Disk => !matches!(storage, Some("0" | "3")),
                Part::Redis => !matches!(storage, Some("0" | "1" | "2")),
            };
            if is_used {
                self.warnings.push(warning);
            }
        }
    }

    fn set_storage(&mut self) {
        let name = match self.storage.as_deref() {
            Some("0") => return self.set("mqtt.durability", quoted("memory")),
            None | Some("1") => "bolt",
            Some("2") => "badger",
            Some("3") => "redis",
            Some(_) => "an unknown way",
        };
        let instead = "sessions, queues and retained messages are kept in data.dir, synced before they are acknowledged";
        self.warn(format!("storage-way: {name} is not used; {instead}"));
    }
}

/// comqtt's addresses may leave out the host, which then means every address.
fn native(address: &str) -> String {
    match address.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None if address.is_empty() => "off".to_owned(),
        None => address.to_owned(),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::List(items) => items.iter().map(|item| plain(&item.value)).collect::<Vec<_>>().join(","),
        Value::Nothing => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
