//! comqtt's cluster keys as those of this server.
//!
//! comqtt has no number for a node: it is that of `node-name` if that is a number or ends in one, else the gossip port, which
//! tells the nodes of one machine apart. It has no secret either, so nodes meet on loopback unless one is added.

use crate::config::setting::quoted;

/// Where comqtt gossips unless told otherwise.
const PORT_DEFAULT: &str = "7946";
/// comqtt's own default of today.
const ADDRESS_DEFAULT: &str = "127.0.0.1";

/// What comqtt was told of its cluster.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// `mode`, where it was given.
    pub(super) mode: Option<String>,
    pub(super) node_name: String,
    pub(super) bind_address: String,
    pub(super) bind_port: String,
    pub(super) advertise_address: String,
    pub(super) advertise_port: String,
    pub(super) members: String,
    /// Whether any key says something about a cluster.
    pub(super) is_mentioned: bool,
}

impl Asked {
    /// Whether comqtt would run as a node of a cluster: the programs of today have no mode and say so by their other keys.
    pub(super) fn is_cluster(&self) -> bool {
        match self.mode.as_deref() {
            Some("2" | "true") => true,
            Some(_) => false,
            None => self.is_mentioned,
        }
    }

    /// The values for this server, and what to say about them.
    pub(super) fn translate(&self) -> (Vec<(&'static str, String)>, Vec<String>) {
        let or =
            |text: &str, default: &str| if text.is_empty() { default.to_owned() } else { text.to_owned() };
        let port = or(&self.bind_port, PORT_DEFAULT);
        let name = or(&self.node_name, &format!("comqtt-{port}"));
        let address = or(&self.bind_address, ADDRESS_DEFAULT);
        let mut values = vec![
            ("node.name", quoted(&name)),
            ("data.dir", quoted(&format!("data/{name}"))),
            ("cluster.listen", quoted(&with_port(&address, &port))),
        ];
        let mut warnings = Vec::new();
        let (id, source) = match number_at_end(&self.node_name) {
            Some(id) => (id.to_string(), "node-name"),
            None => (
                port.clone(),
                "the gossip port; nodes on several machines need a node-name that ends in a number",
            ),
        };
        warnings.push(format!("node.id = {id}: from {source}"));
        values.push(("node.id", id));
        if !self.advertise_address.is_empty() || !self.advertise_port.is_empty() {
            let address = or(&self.advertise_address, &address);
            values
                .push(("cluster.advertise", quoted(&with_port(&address, &or(&self.advertise_port, &port)))));
        }
        let members = self.members.split(',').map(str::trim).filter(|member| !member.is_empty());
        let members: Vec<String> = members
            .map(|member| match member.contains(':') {
                true => quoted(member),
                false => quoted(&with_port(member, PORT_DEFAULT)),
            })
            .collect();
        if !members.is_empty() {
            values.push(("cluster.join", format!("[{}]", members.join(", "))));
        }
        warnings.push(
            "cluster: nodes talk over the gossip port alone, by UDP and TCP; without cluster.secret on loopback only"
                .to_owned(),
        );
        (values, warnings)
    }
}

/// `7` of `7`, `node-7` and `co7`.
fn number_at_end(name: &str) -> Option<u16> {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    let number: u16 = name.get(name.len().checked_sub(digits)?..)?.parse().ok()?;
    (number > 0).then_some(number)
}

fn with_port(host: &str, port: &str) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_names() {
        for (name, expect) in [
            ("7", Some(7)),
            ("node-12", Some(12)),
            ("co01", Some(1)),
            ("x", None),
            ("", None),
            ("a0", None),
            ("a70000", None),
        ] {
            assert_eq!(number_at_end(name), expect, "{name}");
        }
    }
}
