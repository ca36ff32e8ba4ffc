//! Which node of `skein dev` listens where, and what to try with them.

use std::{fmt::Write as _, path::PathBuf};

use anyhow::bail;

/// More nodes than this are no trial any more, and their ports would meet.
pub(super) const NODES_MAX: u16 = 20;
/// The ports of the first node: MQTT, over TLS, over WebSocket, HTTP, cluster.
const PORTS: [u16; 5] = [1883, 8883, 1882, 8080, 5777];
/// From one node's ports to those of the next.
const STEP: u16 = 10;

/// The nodes.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    nodes: u16,
    offset: u16,
    dir: PathBuf,
    tls: Option<(PathBuf, PathBuf)>,
}

/// The ports of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) mqtt: u16,
    tls: u16,
    ws: u16,
    http: u16,
    cluster: u16,
}

impl Plan {
    pub(super) fn new(
        nodes: u16,
        offset: u16,
        dir: PathBuf,
        tls: Option<(PathBuf, PathBuf)>,
    ) -> anyhow::Result<Self> {
        let last = PORTS.into_iter().max().unwrap_or_default();
        if u32::from(last) + u32::from(STEP) * u32::from(NODES_MAX) + u32::from(offset) > u32::from(u16::MAX)
        {
            bail!("--offset {offset} leads to ports above {}; use at most 50000", u16::MAX);
        }
        Ok(Self { nodes, offset, dir, tls })
    }

    /// The numbers of the nodes.
    pub(super) fn ids(&self) -> impl Iterator<Item = u16> {
        1..=self.nodes
    }

    pub(super) fn ports(&self, id: u16) -> Ports {
        let [mqtt, tls, ws, http, cluster] = PORTS.map(|first| first + self.offset + STEP * (id - 1));
        Ports { mqtt, tls, ws, http, cluster }
    }

    /// Where a node keeps its data.
    fn data_dir(&self, id: u16) -> PathBuf {
        self.dir.join(format!("node-{id}"))
    }

    /// The arguments of a node.
    pub(super) fn arguments(&self, id: u16) -> Vec<String> {
        let Ports { mqtt, tls, ws, http, cluster } = self.ports(id);
        let mut arguments = vec!["serve".to_owned()];
        let mut set = |key: &str, value: String| arguments.extend([format!("--{key}"), value]);
        let local = |port: u16| format!("127.0.0.1:{port}");
        set("node.id", id.to_string());
        set("node.name", format!("skein-{id}"));
        set("data.dir", self.data_dir(id).display().to_string());
        set("mqtt.listen", local(mqtt));
        set("mqtt.ws_listen", local(ws));
        set("http.listen", local(http));
        set("access.anonymous", "true".to_owned());
        if let Some((cert, key)) = &self.tls {
            set("mqtt.tls_listen", local(tls));
            set("tls.cert", cert.display().to_string());
            set("tls.key", key.display().to_string());
        }
        if self.nodes > 1 {
            let others: Vec<String> = self
                .ids()
                .filter(|other| *other != id)
                .map(|other| local(self.ports(other).cluster))
                .collect();
            set("cluster.listen", local(cluster));
            set("cluster.join", others.join(","));
        }
        arguments
    }

    /// The ports of every node, and commands that show that they are one server.
    pub(super) fn what_to_try(&self) -> String {
        let (first, last) = (self.ports(1), self.ports(self.nodes));
        let count = if self.nodes == 1 { "One node".to_owned() } else { format!("{} nodes", self.nodes) };
        let mut text = format!(
            "\n{count}, reachable from this machine only, open to anyone on it:\n\n  \
             node  MQTT   WebSocket  HTTP{}\n",
            if self.tls.is_some() { "   MQTT over TLS" } else { "" }
        );
        for id in self.ids() {
            let Ports { mqtt, tls, ws, http, .. } = self.ports(id);
            let tls = if self.tls.is_some() { format!("   {tls}") } else { String::new() };
            let _ = writeln!(text, "  {id:<4}  {mqtt:<5}  {ws:<9}  {http}{tls}");
        }
        let _ = write!(
            text,
            "\nIn other terminals:\n\n  mosquitto_sub -p {} -t 'demo/#' -v\n  mosquitto_pub -p {} -t demo/hello -m 'hello \
             across nodes' -q 1 -r\n",
            last.mqtt, first.mqtt
        );
        if let Some((cert, _)) = &self.tls {
            let _ = writeln!(
                text,
                "  mosquitto_pub -h localhost -p {} --cafile {} -t demo/tls -m 'over TLS'",
                first.tls,
                cert.display()
            );
        }
        let _ = writeln!(text, "  curl http://127.0.0.1:{}/api/v1/cluster/nodes", first.http);
        let _ = writeln!(text, "  curl http://127.0.0.1:{}/metrics", first.http);
        if self.nodes > 1 {
            let _ = write!(
                text,
                "  mosquitto_sub -p {} -t '$SYS/cluster/#' -v          what becomes of the nodes\n  \
                 skein drain --node http://127.0.0.1:{} --data-dir {}   sends node {}'s clients to the others\n",
                first.mqtt,
                last.http,
                self.data_dir(self.nodes).display(),
                self.nodes
            );
        }
        let _ = write!(
            text,
            "\nA browser's mqtt.js connects to ws://127.0.0.1:{}/mqtt. Ctrl-C stops everything.\n",
            first.ws
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use skein_node::config::{Config, Sources};

    use super::*;

    fn plan(nodes: u16) -> Plan {
        let tls = Some(("target/dev/server.pem".into(), "target/dev/server.key".into()));
        Plan::new(nodes, 0, "d".into(), tls).unwrap()
    }

    #[test]
    fn every_node_is_a_configuration_on_loopback_with_ports_of_its_own() {
        let plan = plan(NODES_MAX);
        let mut addresses = BTreeSet::new();
        for id in plan.ids() {
            let arguments = plan.arguments(id);
            let pairs = arguments[1..]
                .chunks(2)
                .map(|pair| (pair[0].trim_start_matches("--").to_owned(), pair[1].clone()));
            let flags: Vec<_> = pairs.collect();
            let config = Config::load(&Sources { flags, ..Sources::default() })
                .unwrap_or_else(|faults| panic!("{faults}"));
            let all = config.mqtt.all_listeners();
            let all = all.iter().map(|listener| listener.address).chain(config.http.listen.0.clone());
            for address in all.chain(config.cluster.listen) {
                assert!(address.ip().is_loopback() && addresses.insert(address), "{address}");
            }
            assert_eq!(config.cluster.join.0.len(), usize::from(NODES_MAX) - 1);
        }
        assert_eq!(addresses.len(), 5 * usize::from(NODES_MAX));
        assert!(addresses.contains(&"127.0.0.1:1883".parse().unwrap()));
        assert!(addresses.contains(&"127.0.0.1:5797".parse().unwrap()), "the third node's");
    }

    #[test]
    fn one_node_runs_alone() {
        assert!(!plan(1).arguments(1).iter().any(|argument| argument.contains("cluster")));
        assert!(!plan(1).what_to_try().contains("drain"));
        let text = plan(3).what_to_try();
        assert!(text.contains("mosquitto_sub -p 1903 -t 'demo/#'"), "{text}");
        assert!(Plan::new(3, 60_000, "d".into(), None).is_err());
    }
}
