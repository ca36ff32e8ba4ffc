//! Starting and stopping a node, and the order in which its settings go before each other.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

use skein_testkit::{RawClient, Server, TestDirectory};

use crate::node::{Node, listening, run, run_with, skein, succeeds};

#[test]
fn strangers_do_not_fill_the_log() {
    let node = Node::start(&["--http.listen", "127.0.0.1:0"]);
    let http = listening(&node.server, "http");
    let before = node.server.lines().len();
    for _ in 0..300 {
        // No CONNECT, and a password nobody has.
        let mut stranger = TcpStream::connect(node.address).unwrap();
        stranger.write_all(&[0xc0, 0]).unwrap();
        let _closed = stranger.read(&mut [0; 1]);
        let mut stranger = TcpStream::connect(http).unwrap();
        stranger.write_all(b"POST /api/v1/users HTTP/1.0\r\n\r\n").unwrap();
        let _answer = stranger.read(&mut [0; 1]);
    }
    let written = node.server.lines().len() - before;
    assert!((20..=60).contains(&written), "{written} lines");
    node.server.wait_for_line(
        "doors: connections closed before a client was let in: 280 more from 1 address in the last 10 s",
    );
    node.server.wait_for_line("http: requests refused: 280 more from 1 address in the last 10 s");
}

#[test]
fn sigterm_and_sigint_tell_the_clients_and_end_with_success() {
    for signal in ["TERM", "INT"] {
        let mut node = Node::start(&[]);
        let mut client = RawClient::open_v5(node.address, "told");
        node.server.signal(signal);
        // MQTT-5.0 section 3.14.2.1: server shutting down.
        client.expect("e0 [ 8b * ]");
        client.expect_closed();
        assert_eq!(node.server.wait_for_end().code(), Some(0), "{signal}");
        node.server.wait_for_line("skein: stopped");
    }
}

/// The check of its password takes place beside the connection's task, which must not take it for a stranger then.
#[test]
fn a_client_that_came_in_by_a_password_is_told_too() {
    let directory = TestDirectory::create("told");
    let mut add = skein();
    add.args(["user", "add", "ann", "--file", "access.toml"]).current_dir(directory.path());
    assert!(run_with(&mut add, b"wonder\n").code == Some(0));
    let node = Node::start_in(directory, &["--access.file", "access.toml", "--access.anonymous", "false"]);
    let mut client = RawClient::connect(node.address);
    client.send(r#"10 [ "MQTT" 05 c2 003c 00 "told" "ann" "wonder" ]"#);
    client.expect("20 [ 00 00 * ]");
    node.server.signal("TERM");
    client.expect("e0 [ 8b * ]");
    client.expect_closed();
}

#[test]
fn a_client_that_has_not_said_who_it_is_does_not_hold_up_the_stop() {
    let mut node = Node::start(&["--mqtt.connect_timeout", "1h"]);
    let mut silent = RawClient::connect(node.address);
    silent.send("10 0c 00");
    let mut known = RawClient::open_v5(node.address, "known");
    node.server.signal("TERM");
    known.expect("e0 [ 8b * ]");
    silent.expect_closed();
    // Both ends are closed now, so nothing is left to wait for but the stop itself.
    drop((silent, known));
    assert_eq!(node.server.wait_for_end().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut node = Node::start(&["--http.listen", "127.0.0.1:0"]);
    // A request that never ends is waited for, for seconds.
    let mut request = TcpStream::connect(listening(&node.server, "http")).unwrap();
    request.write_all(b"GET /api/v1/status HTTP/1.1\r\nHost: ").unwrap();
    node.server.signal("TERM");
    node.server.wait_for_line("skein: stopping");
    node.server.signal("TERM");
    assert_eq!(node.server.wait_for_end().code(), Some(128 + 15));
    assert!(!node.server.lines().iter().any(|line| line.contains("skein: stopped")));
}

#[test]
fn nothing_is_written_to_the_standard_output() {
    let directory = TestDirectory::create("quiet");
    let (out, log) = (directory.path().join("out"), directory.path().join("log"));
    let script = format!(
        "exec {} --mqtt.listen 127.0.0.1:0 --mqtt.ws_listen off --http.listen off --mqtt.durability memory >{} 2>{}",
        env!("CARGO_BIN_EXE_skein"),
        out.display(),
        log.display()
    );
    let mut server = Server::start("skein", std::process::Command::new("sh").args(["-c", &script]));
    skein_testkit::wait_until("the node is ready", skein_testkit::DEADLINE, || {
        fs::read_to_string(&log).is_ok_and(|log| log.contains("skein: ready"))
    });
    assert_eq!(server.terminate().code(), Some(0));
    assert_eq!(fs::read_to_string(&out).unwrap(), "");
}

#[test]
fn a_taken_port_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for key in ["--mqtt.listen", "--http.listen"] {
        let mut command = skein();
        command.args(["--mqtt.durability", "memory"]);
        for off in ["--mqtt.listen", "--mqtt.ws_listen", "--http.listen"] {
            if off != key {
                command.args([off, "off"]);
            }
        }
        let finished = run(command.args([key, &address]));
        assert_eq!(finished.code, Some(1), "{}", finished.err);
        for part in [&*address, "Stop the program that uses the port", key.trim_start_matches('-')] {
            assert!(finished.err.contains(part), "{part}: {}", finished.err);
        }
        assert_eq!(finished.err.matches("Address already in use").count(), 1, "{}", finished.err);
        assert!(!finished.err.contains("skein: ready"), "{}", finished.err);
    }
}

#[test]
fn every_fault_of_a_broken_configuration_is_told_at_once() {
    let directory = TestDirectory::create("broken");
    let text = "[mqtt]\nlisten = \"nowhere\"\npacket_byte_max = \"1MiB\"\nmaximum_qos = 3\n\n[log]\nlevel = \"loud\"\n";
    let file = directory.write("skein.toml", text);
    let mut command = skein();
    command.arg("--config").arg(&file).args(["--node.id", "0"]).env("SKEIN_NODE_NAMES", "x");
    let finished = run(&mut command);
    assert_eq!((finished.code, &*finished.out), (Some(2), ""));
    let file = file.display();
    for part in [
        format!("{file}:2:10: mqtt.listen"),
        format!("{file}:3:1: there is no key mqtt.packet_byte_max; did you mean mqtt.packet_bytes_max?"),
        format!("{file}:7:9: log.level"),
        "SKEIN_NODE_NAMES: there is no such variable; did you mean SKEIN_NODE_NAME?".to_owned(),
    ] {
        assert!(finished.err.contains(&part), "{part}: {}", finished.err);
    }
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let finished = run(skein().args(["--config", "no/such/skein.toml"]));
    assert_eq!(finished.code, Some(2));
    assert!(finished.err.contains("no/such/skein.toml"), "{}", finished.err);
}

#[test]
fn flags_go_before_variables_and_those_before_the_file() {
    let directory = TestDirectory::create("order");
    let text = "[node]\nname = \"file\"\nid = 2\nworkers = 2\n";
    let file = directory.write("skein.toml", text);
    let mut command = skein();
    command.args(["check-config", "--print", "--node.name", "flag"]);
    command.env("SKEIN_CONFIG", &file).env("SKEIN_NODE_NAME", "variable").env("SKEIN_NODE_ID", "3");
    // No key, but a variable of other commands: it is no fault.
    command.env("SKEIN_PASSWORD", "secret");
    let out = succeeds(&mut command).out;
    for line in ["name = \"flag\"", "id = 3", "workers = 2"] {
        assert!(out.lines().any(|found| found == line), "{line}: {out}");
    }
    // A file that is named goes before the one of the variable.
    let other = directory.write("other.toml", "[node]\nid = 9\n");
    let mut command = skein();
    command.args(["check-config", "--print", "--config"]).arg(&other).env("SKEIN_CONFIG", &file);
    assert!(succeeds(&mut command).out.contains("id = 9\nname = \"skein-1\""));
}

#[test]
fn without_a_command_a_node_is_served() {
    let mut command = skein();
    command.args(["--mqtt.listen", "127.0.0.1:0", "--log.format=json", "--mqtt.durability=memory"]);
    command.env("SKEIN_MQTT_WS_LISTEN", "127.0.0.1:0").env("SKEIN_HTTP_LISTEN", "off");
    let mut server = Server::start("skein", &mut command);
    server.wait_for_line("skein: ready");
    for line in server.lines() {
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(line["message"].is_string() && line["level"] == "INFO", "{line}");
    }
    let lines = server.lines().join("\n");
    assert!(lines.contains("mqtt: listening on tcp://127.0.0.1:"), "{lines}");
    assert!(lines.contains("mqtt: listening on ws://127.0.0.1:"), "{lines}");
    assert_eq!(server.terminate().code(), Some(0));
}

#[test]
fn the_limit_of_open_files_is_raised() {
    let script = format!(
        "ulimit -S -n 100; exec {} --mqtt.listen 127.0.0.1:0 --mqtt.ws_listen off --http.listen off \
         --mqtt.durability memory",
        env!("CARGO_BIN_EXE_skein")
    );
    let server = Server::start("skein", std::process::Command::new("sh").args(["-c", &script]));
    listening(&server, "tcp");
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let open_files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<&str> = open_files.split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers[0], numbers[1], "{open_files}");
    assert_ne!(numbers[0], "100");
}
