//! Nodes that know no address of each other: a table in a database tells them, and a script says where messages go.

use std::process::Command;

use skein_testkit::{DEADLINE, Postgres, RawClient, Server, TestDirectory, free_address, wait_until};

const SKEIN: &str = env!("CARGO_BIN_EXE_skein");

struct Node {
    server: Server,
    mqtt: std::net::SocketAddr,
    http: std::net::SocketAddr,
    _directory: TestDirectory,
}

impl Node {
    fn start(id: u16, arguments: &[&str]) -> Self {
        let directory = TestDirectory::create("finding");
        let (mqtt, http) = (free_address(), free_address());
        let mut command = Command::new(SKEIN);
        command.arg("serve").current_dir(directory.path()).args(["--node.id", &id.to_string()]);
        command.args(["--mqtt.listen", &mqtt.to_string(), "--mqtt.ws_listen", "off"]);
        command.args(["--http.listen", &http.to_string()]);
        command.args(["--cluster.listen", &free_address().to_string(), "--cluster.registry_interval", "1s"]);
        let server = Server::start(&format!("node {id}"), command.args(arguments));
        Self { server, mqtt, http, _directory: directory }
    }

    fn knows(&self, count: usize) -> bool {
        let url = format!("http://{}", self.http);
        let output = Command::new(SKEIN).args(["nodes", "--json", "--url", &url]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).matches("\"up\"").count() == count
    }
}

#[test]
fn nodes_find_each_other_in_a_registry_and_a_script_decides_where_messages_go() {
    let database = Postgres::start_new();
    let directory = TestDirectory::create("script");
    let text = "fn targets(topic, publisher, interested, live) { if topic.starts_with(\"local/\") { [] } else { interested } }";
    let script = format!("script:{}", directory.write("strategy.rhai", text).display());
    let url = database.url();
    let start = |id| Node::start(id, &["--cluster.registry", &url, "--cluster.strategy", &script]);
    let (one, two) = (start(1), start(2));
    wait_until("both know each other", DEADLINE, || one.knows(2) && two.knows(2));
    assert_eq!(database.query("select count(*) from cluster_nodes").trim(), "2");
    assert_eq!(database.query("select count(*) from tig_cluster_nodes").trim(), "2");

    let mut subscriber = RawClient::open_v4(two.mqtt, "subscriber");
    subscriber.send(r##"82 [ 0001 "#" 00 ]"##);
    subscriber.expect("90 [ 0001 00 ]");
    let mut publisher = RawClient::open_v4(one.mqtt, "publisher");
    for topic in ["local/a", "global/a"] {
        publisher.send(&format!(r#"32 [ "{topic}" 0001 'x' ]"#));
        publisher.expect("40 02 0001");
    }
    subscriber.expect(r#"30 [ "global/a" 'x' ]"#);
    subscriber.expect_nothing();

    let Node { mut server, .. } = two;
    assert!(server.terminate().success());
    wait_until("the row of the node that left is gone", DEADLINE, || {
        database.query("select node_id from cluster_nodes").trim() == "1"
    });
    wait_until("the other one knows", DEADLINE, || one.knows(1));
}

#[test]
fn a_strategy_that_is_not_there_stops_the_start_with_what_there_is() {
    let directory = TestDirectory::create("strategy");
    for (strategy, expect) in
        [("intrest", "Known are broadcast, interest, script:<file>"), ("script:no/such.rhai", "no/such.rhai")]
    {
        let mut command = Command::new(SKEIN);
        command.arg("serve").current_dir(directory.path());
        command.args(["--mqtt.listen", "127.0.0.1:0", "--mqtt.ws_listen", "off", "--http.listen", "off"]);
        command.args(["--cluster.listen", &free_address().to_string(), "--cluster.strategy", strategy]);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(expect), "{strategy}: {text}");
    }
}
