//! The reference of every key, written from the sections themselves, and a configuration written as TOML.

use std::fmt::Write;

use super::{Config, Effect, section::Section, setting::quoted};

const HEAD: &str = "\
# Configuration

Written from the source by `cargo test -p skein-node`; change the documentation of the fields, not this file.

A configuration is a TOML file, or YAML when its name ends in `.yaml` or `.yml`. Every key is also a flag and a variable:
`mqtt.listen` is `--mqtt.listen 127.0.0.1:1883` and `SKEIN_MQTT_LISTEN=127.0.0.1:1883`. Flags override variables, variables
the file, and the file the defaults. `SKEIN_CONFIG` names the file, as `--config` does.

- An unknown key is a fault, and so is an unknown variable that starts with `SKEIN_`. All faults of all sources are reported at
  once, each with its file, line and column or the name of its variable or flag.
- Sizes and times need a unit: `\"64KiB\"` (B, KB, MB, GB, KiB, MiB, GiB), `\"30s\"` (ms, s, m, h, d). Only 0 needs none.
- A share of memory, such as `\"25%\"`, is of what the process may use: the machine's memory, or the limit of its control
  group if that is less. 0 means no limit.
- An address is an IP address and a port; `localhost` stands for 127.0.0.1. Several stand in a list, or between commas in a
  flag or variable; a flag may also be repeated. `\"off\"` or `\"\"` switches a listener off.
- A listener that can be reached from other machines needs `access.file`, or `access.anonymous = true` for a server that is
  open to everybody on purpose; the node does not start otherwise.

When a change takes effect: *restart* means when the node starts again; *reload* on SIGHUP; *connections* on SIGHUP, for
connections made from then on.
";

const LISTENERS: &str = "
### Further listeners

Each `[[mqtt.listeners]]` is one more listener. It needs `name` and `listen`; `transport` is `\"tcp\"` (the default),
`\"tls\"`, `\"ws\"` or `\"wss\"`. Every key above from `mqtt.max_connections` on may stand there too, without `mqtt.`, and holds
for that listener alone. Listeners cannot be given by flags or variables.

```toml
[[mqtt.listeners]]
name = \"field\"
listen = \"127.0.0.1:1884\"
packet_bytes_max = \"4KiB\"
maximum_qos = 1
```
";

impl Config {
    /// The reference of every key, in Markdown.
    #[must_use]
    pub fn reference() -> String {
        let mut out = HEAD.to_owned();
        let mut section = "";
        for key in Self::keys() {
            let own = key.name.split('.').next().unwrap_or_default();
            if own != section {
                section = own;
                let head = "| key | type | default | flag and variable | effect | meaning |\n|---|---|---|---|---|---|\n";
                let _ = write!(out, "\n## {section}\n\n{head}");
            }
            let effect = match key.effect {
                Effect::Restart => "restart",
                Effect::Reload => "reload",
                Effect::NewConnections => "connections",
            };
            let (name, kind, default) = (key.name, key.kind, &key.default);
            let names = format!("`{}` `{}`", key.flag(), key.variable());
            let doc = key.doc.trim();
            let _ = writeln!(out, "| `{name}` | {kind} | `{default}` | {names} | {effect} | {doc} |");
            if name == "mqtt.durability" {
                out.push_str(LISTENERS);
            }
        }
        out
    }

    /// The configuration as TOML: what differs from the defaults, so that it reads back as the same configuration.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let defaults = Self::default().values();
        let changed = self.values().into_iter().zip(defaults).filter(|(own, default)| own != default);
        let mut out = toml_of(changed.map(|(own, _)| own));
        for listener in &self.mqtt.listeners {
            let (name, address) = (quoted(&listener.name), listener.address);
            let transport = listener.transport.name();
            let _ = write!(
                out,
                "\n[[mqtt.listeners]]\nname = {name}\nlisten = \"{address}\"\ntransport = \"{transport}\"\n"
            );
            let limits = listener.limits.values().into_iter().zip(self.mqtt.limits.values());
            for ((name, value), _) in limits.filter(|(own, all)| own != all) {
                let _ = writeln!(out, "{} = {value}", name.strip_prefix("mqtt.").unwrap_or(name));
            }
        }
        out
    }
}

/// Keys and values, which stand together by section, as TOML.
pub(super) fn toml_of<'k>(values: impl IntoIterator<Item = (&'k str, String)>) -> String {
    let mut out = String::new();
    let mut section = "";
    for (name, value) in values {
        let Some((own, key)) = name.split_once('.') else { continue };
        if own != section {
            let gap = if out.is_empty() { "" } else { "\n" };
            let _ = writeln!(out, "{gap}[{own}]");
            section = own;
        }
        let _ = writeln!(out, "{key} = {value}");
    }
    out
}
