//! From what an operator writes about the cluster to what it works with.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    sync::Arc,
};

use skein_cluster::{GossipSettings, LinkSettings, NodeInfo, Secret, Settings};
use skein_discovery::DiscoverySettings;
use skein_door::ListenerState;
use skein_types::{Incarnation, NodeId};

use crate::{
    config::{ClusterConfig, Config, DatabaseUrl, HostPort, JoinAddress, PORT_DEFAULT, check_secret_text},
    start_error::ClusterSetUpError,
};

/// How the node takes part; none when it runs alone.
pub(crate) fn cluster_settings(config: &Config) -> Result<Option<Settings>, ClusterSetUpError> {
    let cluster = &config.cluster;
    let Some(listen) = cluster.listen else { return Ok(None) };
    Ok(Some(Settings {
        listen,
        secret: secret(cluster)?,
        gossip: GossipSettings {
            probe_interval: cluster.probe_interval,
            probe_timeout: cluster.probe_timeout,
            suspect_timeout: cluster.suspect_timeout,
        },
        link: LinkSettings {
            timeout: cluster.link_timeout,
            keepalive_interval: cluster.keepalive_interval,
            compress_bulk: cluster.compress,
        },
    }))
}

/// Where other nodes are looked for.
pub(crate) fn discovery_settings(cluster: &ClusterConfig) -> Result<DiscoverySettings, ClusterSetUpError> {
    Ok(DiscoverySettings {
        join: cluster.join.0.iter().map(JoinAddress::dialled).collect(),
        registry: registry(cluster)?,
        registry_interval: cluster.registry_interval,
    })
}

fn secret(cluster: &ClusterConfig) -> Result<Option<Secret>, ClusterSetUpError> {
    let Some(file) = &cluster.secret_file else { return Ok(cluster.secret.0.clone().map(Secret)) };
    let path = file.display().to_string();
    let text = fs::read_to_string(file)
        .map_err(|source| ClusterSetUpError::SecretFile { path: path.clone(), source })?;
    let secret = text.lines().next().unwrap_or_default().trim();
    check_secret_text(secret).map_err(|reason| ClusterSetUpError::Secret { path, reason })?;
    Ok(Some(Secret(secret.to_owned())))
}

fn registry(cluster: &ClusterConfig) -> Result<Option<String>, ClusterSetUpError> {
    let Some(file) = &cluster.registry_file else { return Ok(cluster.registry.0.clone()) };
    let refused = |reason| ClusterSetUpError::RegistryFile { path: file.display().to_string(), reason };
    let text = fs::read_to_string(file).map_err(|error| refused(error.to_string()))?;
    let url = DatabaseUrl::parse(text.lines().next().unwrap_or_default().trim()).map_err(refused)?;
    url.0.map(Some).ok_or_else(|| refused("its first line is empty".to_owned()))
}

/// Whether there is anybody to wait for: a node that is named alone, as the first of a cluster, starts at once.
pub(crate) fn looks_for_others(config: &Config, me: &NodeInfo) -> bool {
    let cluster = &config.cluster;
    let own = [Some(me.advertise), cluster.listen];
    let is_other = |address: &JoinAddress| match address {
        JoinAddress::Srv(_) => true,
        JoinAddress::Host(host) => match host.dialled().parse::<SocketAddr>() {
            Ok(address) => !own.contains(&Some(address)),
            Err(_) if !host.is_elsewhere() => {
                let port = host.port.unwrap_or(PORT_DEFAULT);
                !own.iter().flatten().any(|own| own.ip().is_loopback() && own.port() == port)
            }
            Err(_) => cluster.advertise.0.as_ref().is_none_or(|advertise| advertise.host != host.host),
        },
    };
    cluster.has_registry() || cluster.join.0.iter().any(is_other)
}

/// This node as others know it.
pub(crate) fn node_info(
    config: &Config,
    incarnation: Incarnation,
    listeners: &[Arc<ListenerState>],
) -> Result<NodeInfo, ClusterSetUpError> {
    let advertise = advertise(&config.cluster)?;
    Ok(NodeInfo {
        id: NodeId(config.node.id),
        incarnation,
        name: Arc::from(config.node.name.as_str()),
        advertise,
        qrank: config.node.qrank,
        server_reference: server_reference(&config.cluster, advertise.ip(), listeners).map(Arc::from),
    })
}

/// What others dial. A node that runs alone is dialled by nobody.
fn advertise(cluster: &ClusterConfig) -> Result<SocketAddr, ClusterSetUpError> {
    let listen = cluster.listen.unwrap_or(([0, 0, 0, 0], 0).into());
    let Some(host) = &cluster.advertise.0 else { return Ok(listen) };
    let advertised =
        HostPort { host: host.host.clone(), port: host.port.or(Some(listen.port())) }.to_string();
    let found = match advertised.to_socket_addrs() {
        Ok(addresses) => addresses.collect::<Vec<_>>(),
        Err(source) => return Err(ClusterSetUpError::Advertise { advertise: advertised, source }),
    };
    let same_family = found.iter().find(|address| address.is_ipv4() == listen.is_ipv4());
    same_family.or(found.first()).copied().ok_or_else(|| {
        let source = io::Error::new(io::ErrorKind::NotFound, "the name has no addresses");
        ClusterSetUpError::Advertise { advertise: advertised, source }
    })
}

/// Where clients reach this node: what the operator says, or the first listener, by the address that is told to others
/// where it listens on every address.
fn server_reference(
    cluster: &ClusterConfig,
    advertised: IpAddr,
    listeners: &[Arc<ListenerState>],
) -> Option<String> {
    if cluster.server_reference.0.is_some() {
        return cluster.server_reference.0.clone();
    }
    let address = listeners
        .iter()
        .find(|state| state.door == "mqtt" && matches!(state.transport, "tcp" | "tls"))?
        .address;
    let ip = if address.ip().is_unspecified() { advertised } else { address.ip() };
    (!ip.is_unspecified()).then(|| SocketAddr::new(ip, address.port()).to_string())
}

#[cfg(test)]
mod tests {
    use skein_testkit::TestDirectory;

    use super::*;
    use crate::config::Sources;

    fn config(text: &str) -> Config {
        Config::load(&Sources { file: Some(("a.toml".into(), text.to_owned())), ..Sources::default() })
            .unwrap()
    }

    fn listener(address: &str) -> Vec<Arc<ListenerState>> {
        let settings = skein_door::ListenerSettings::default();
        vec![ListenerState::new("mqtt", address.parse().unwrap(), "tcp", settings)]
    }

    fn info(text: &str, address: &str) -> NodeInfo {
        node_info(&config(text), Incarnation(7), &listener(address)).unwrap()
    }

    #[test]
    fn what_others_are_told() {
        let secret = "cluster.secret = 'correct horse battery'\n";
        for (text, mqtt, advertise, reference) in [
            ("cluster.listen = '127.0.0.1:5778'", "127.0.0.1:1883", "127.0.0.1:5778", Some("127.0.0.1:1883")),
            (
                "cluster.listen = '0.0.0.0:5777'\ncluster.advertise = '192.0.2.7'",
                "0.0.0.0:1883",
                "192.0.2.7:5777",
                Some("192.0.2.7:1883"),
            ),
            (
                "cluster.listen = '0.0.0.0:5777'\ncluster.advertise = '192.0.2.7:9'\ncluster.server_reference = 'a:1'",
                "0.0.0.0:1883",
                "192.0.2.7:9",
                Some("a:1"),
            ),
            (
                "cluster.listen = '127.0.0.1:5778'\ncluster.advertise = 'localhost'",
                "[::1]:1",
                "127.0.0.1:5778",
                Some("[::1]:1"),
            ),
            ("", "0.0.0.0:1883", "0.0.0.0:0", None),
        ] {
            let info = info(&format!("{secret}{text}"), mqtt);
            assert_eq!(info.advertise.to_string(), advertise, "{text}");
            assert_eq!(info.server_reference.as_deref(), reference, "{text}");
        }
        let wrong = config("cluster.listen = '127.0.0.1:5777'\ncluster.advertise = 'no-such-host.invalid'");
        let error = node_info(&wrong, Incarnation(1), &[]).unwrap_err().to_string();
        assert!(error.contains("no-such-host.invalid:5777 has no address"), "{error}");
    }

    #[test]
    fn a_node_that_is_named_alone_waits_for_nobody() {
        for (text, expect) in [
            ("cluster.listen = '127.0.0.1:5777'", false),
            ("cluster.join = 'localhost:5777'\ncluster.advertise = 'localhost:5777'", false),
            ("cluster.join = '127.0.0.1:5777'", false),
            ("cluster.join = 'localhost'", false),
            ("cluster.join = 'localhost:5778'", true),
            ("cluster.join = ['127.0.0.1:5777', '127.0.0.1:5778']", true),
            ("cluster.registry = 'mysql://db/x'", true),
        ] {
            let config = config(text);
            let me = node_info(&config, Incarnation(1), &[]).unwrap();
            assert_eq!(looks_for_others(&config, &me), expect, "{text}");
        }
    }

    #[test]
    fn the_secret_of_a_file() {
        let directory = TestDirectory::create("secret");
        let with = |content: &str| {
            let file = directory.write("secret", content);
            let text = format!(
                "cluster.listen = '127.0.0.1:5777'\ncluster.secret_file = {:?}",
                file.display().to_string()
            );
            cluster_settings(&config(&text)).map(|settings| settings.and_then(|settings| settings.secret))
        };
        assert_eq!(
            with("correct horse battery \nmore\n").unwrap(),
            Some(Secret("correct horse battery".into()))
        );
        let error = with("short\n").unwrap_err().to_string();
        assert!(
            error.contains("has 5 characters and could be guessed") && !error.contains("short"),
            "{error}"
        );
        let text = "cluster.listen = '127.0.0.1:5777'\ncluster.secret_file = 'no/such'";
        assert!(cluster_settings(&config(text)).unwrap_err().to_string().contains("no/such"));
        assert!(cluster_settings(&config("")).unwrap().is_none());
    }

    #[test]
    fn the_address_of_the_registry_from_a_file() {
        let directory = TestDirectory::create("registry");
        let with = |content: &str| {
            let file = directory.write("registry", content);
            let config = config(&format!("cluster.registry_file = {:?}", file.display().to_string()));
            assert!(config.cluster.listen.is_some(), "a registry means a cluster");
            registry(&config.cluster).map_err(|error| error.to_string())
        };
        assert_eq!(with("mysql://skein:pass@db/x\n"), Ok(Some("mysql://skein:pass@db/x".to_owned())));
        for (content, part) in [("sqlite://hidden\n", "is not the address"), ("", "is empty")] {
            let error = with(content).unwrap_err();
            assert!(error.contains(part) && !error.contains("hidden"), "{error}");
        }
        let missing = config("cluster.registry_file = 'no/such'");
        assert!(registry(&missing.cluster).unwrap_err().to_string().contains("no/such"));
    }
}
