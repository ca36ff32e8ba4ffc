//! `skein compat comqtt` with the commands people start comqtt with.

use skein_testkit::{RawClient, Server, TestDirectory};

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
    assert!(finished.err.contains("cluster mode comes later"), "{}", finished.err);
    let finished = run(skein().args(["compat", "comqtt", "--print", "--tpc=:1"]));
    assert_eq!(finished.code, Some(2));
    assert!(finished.err.contains("did you mean -tcp?"), "{}", finished.err);
    let finished = run(skein().args(["compat", "comqtt", "-conf=no/such.yml"]));
    assert_eq!(finished.code, Some(1));
    assert!(finished.err.contains("no/such.yml"), "{}", finished.err);
    assert!(succeeds(skein().args(["compat", "comqtt", "-h"])).out.contains("--print"));
}
