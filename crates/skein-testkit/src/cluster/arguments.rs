//! The arguments with which a node of a cluster is started.

use super::{ClusterNode, ClusterOptions};

/// The arguments of `node`, which joins at all `nodes` but itself.
pub(super) fn of(node: &ClusterNode, nodes: &[ClusterNode], options: &ClusterOptions) -> Vec<String> {
    let id = node.id;
    let mut arguments = vec!["serve".to_owned()];
    let mut set = |key: &str, value: String| arguments.extend([format!("--{key}"), value]);
    set("node.id", id.to_string());
    set("node.name", format!("skein-{id}"));
    set("data.dir", node.data.display().to_string());
    set("mqtt.listen", node.mqtt.to_string());
    set("mqtt.ws_listen", "off".to_owned());
    set("http.listen", node.http.to_string());
    set("access.anonymous", "true".to_owned());
    set("cluster.listen", node.cluster.to_string());
    if let Some(detour) = node.detour {
        set("cluster.advertise", detour.to_string());
    }
    let others: Vec<String> =
        nodes.iter().filter(|other| other.id != id).map(|other| other.reached_at().to_string()).collect();
    if !others.is_empty() {
        set("cluster.join", others.join(","));
    }
    if let Some(secret) = &options.secret {
        set("cluster.secret", secret.clone());
    }
    arguments.extend(options.arguments.iter().chain(&node.arguments).cloned());
    arguments
}
