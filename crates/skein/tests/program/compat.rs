//! `skein compat comqtt` with the commands people start comqtt with.

use skein_testkit::{RawClient, Server, TestDirectory, free_address};

use crate::node::{run, skein, succeeds};

#[test]
fn flags_of_both_spellings_are_printed_as_a_configuration() {
    for flags in [
        &["--mode=1", "--tcp=:1885", "--ws=:1886", "--http=:1881"][..],
        &["-mode", "1", "-tcp", ":1885", "-ws", ":1886", "-http", ":1881"],
        &["-tcp=:1885", "--ws", ":1886", "-http=:1881"],
    ] {
        let finished = succeeds(skein().args(["compat", "comqtt", "--print"]).args(flags));
        for line in ["listen = \"0.0.0.0:1885\"", "ws_listen = \"0.0.0.0:1886\"", "listen = \"0.0.0.0:1881\""]
        {
            assert!(finished.out.lines().any(|found| found == line), "{line}: {}", finished.out);
        }
        assert!(finished.err.contains("warning: access.anonymous = true"), "{}", finished.err);
        // What is printed is a configuration of this server.
        let directory = TestDirectory::create("translated");
        let file = directory.write("skein.toml", &finished.out);
        assert_eq!(succeeds(skein().args(["check-config", "--config"]).arg(file)).out, "ok\n");
    }
}

#[test]
fn a_node_runs_and_says_what_comqtt_says() {
    let directory = TestDirectory::create("comqtt");
    let text = "storage-way: 0\nmqtt:\n  tcp: 127.0.0.1:0\n  ws: 127.0.0.1:0\n  http: 127.0.0.1:0\n";
    directory.write("conf.yml", text);
    for flags in [
        &["--conf=./conf.yml"][..],
        &["-conf", "./conf.yml"],
        &["--tcp=127.0.0.1:0", "--ws=127.0.0.1:0", "--http=127.0.0.1:0", "-storage-way=0"],
    ] {
        let mut command = skein();
        command.args(["compat", "comqtt"]).args(flags).current_dir(directory.path());
        let mut server = Server::start("skein compat", &mut command);
        server.wait_for_line("Mqtt Server Started!");
        let line = |start: &str| server.lines().into_iter().find(|line| line.starts_with(start)).unwrap();
        assert!(line("CoMQTT Broker initializing...").ends_with("..."));
        assert!(line("Websocket ").starts_with("Websocket 127.0.0.1:"));
        assert!(line("$SYS Dashboard ").starts_with("$SYS Dashboard 127.0.0.1:"));
        let tcp = line("TCP ");
        drop(RawClient::open_v4(tcp.trim_start_matches("TCP ").parse().unwrap(), "moved"));
        assert_eq!(server.terminate().code(), Some(0));
    }
}

/// The page's three commands, on ports that are free here. Its third dashboard wants a port that its first node uses.
#[test]
fn three_nodes_start_as_on_its_page() {
    let directory = TestDirectory::create("comqtt-cluster");
    let ports: Vec<String> = (0..11).map(|_| free_address().port().to_string()).collect();
    let flag = |name: &str, port: usize| format!("--{name}=:{}", ports[port]);
    let seed = format!("--members=localhost:{}", ports[0]);
    let commands = [
        vec![
            "--mode=2".to_owned(),
            format!("--gossip-port={}", ports[0]),
            "--raft-port=8701".to_owned(),
            flag("tcp", 3),
            flag("ws", 4),
            flag("http", 5),
        ],
        vec![
            "--mode=true".to_owned(),
            format!("--gossip-port={}", ports[1]),
            "--raft-port=8702".to_owned(),
            seed.clone(),
            flag("tcp", 6),
            flag("ws", 7),
            flag("http", 8),
        ],
        vec![
            "--mode=true".to_owned(),
            format!("--gossip-port={}", ports[2]),
            "--raft-port=8703".to_owned(),
            seed,
            flag("tcp", 9),
            flag("ws", 10),
            flag("http", 4),
        ],
    ];
    let mut nodes = Vec::new();
    for (index, flags) in commands.iter().enumerate() {
        let mut command = skein();
        command.args(["compat", "comqtt"]).args(flags).current_dir(directory.path());
        let server = Server::start(&format!("comqtt-{index}"), &mut command);
        server.wait_for_line("Cluster Node Created!");
        let said: Vec<String> = server
            .lines()
            .into_iter()
            .filter(|line| !line.contains("warning") && !line.contains("INFO"))
            .collect();
        let tcp = [3, 6, 9][index];
        assert!(said.contains(&format!("TCP :{}", ports[tcp])), "{said:#?}");
        assert!(said.contains(&format!("Local member 127.0.0.1:{}", ports[index])), "{said:#?}");
        let joined = said.iter().filter(|line| line.starts_with("A node has joined: comqtt-")).count();
        assert_eq!(joined, index + 1, "{said:#?}");
        nodes.push(server);
    }
    nodes[0].wait_for_line(&format!("A node has joined: comqtt-{}", ports[2]));
    let address = |port: &str| format!("127.0.0.1:{port}").parse().unwrap();
    let mut subscriber = RawClient::open_v4(address(&ports[9]), "s");
    subscriber.send("82 [ 0001 \"t\" 01 ]");
    subscriber.expect("90 [ 0001 01 ]");
    let mut publisher = RawClient::open_v4(address(&ports[3]), "p");
    publisher.send("32 [ \"t\" 0001 'x' ]");
    publisher.expect("40 [ 0001 ]");
    subscriber.expect("32 [ \"t\" 0001 'x' ]");
    for node in &mut nodes {
        assert_eq!(node.terminate().code(), Some(0));
    }
}

#[test]
fn what_is_not_translated_is_named() {
    let finished = succeeds(skein().args([
        "compat",
        "comqtt",
        "--print",
        "--mode=2",
        "--gossip-port=7946",
        "--raft-port=8701",
    ]));
    assert!(finished.err.contains("cluster.raft-port is not needed"), "{}", finished.err);
    assert!(finished.out.contains("listen = \"127.0.0.1:7946\""), "{}", finished.out);
    let finished = run(skein().args(["compat", "comqtt", "--print", "--tpc=:1"]));
    assert_eq!(finished.code, Some(2));
    assert!(finished.err.contains("did you mean -tcp?"), "{}", finished.err);
    let finished = run(skein().args(["compat", "comqtt", "-conf=no/such.yml"]));
    assert_eq!(finished.code, Some(1));
    assert!(finished.err.contains("no/such.yml"), "{}", finished.err);
    assert!(succeeds(skein().args(["compat", "comqtt", "-h"])).out.contains("--print"));
}
