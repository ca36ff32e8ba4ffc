//! `skein pub` and `skein sub` against each other.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use skein_testkit::{DEADLINE, Server, TestDirectory, free_port, wait_until};

use crate::node::{Node, run, run_with, skein, succeeds, user};

/// A `skein sub` that has its subscription: it has printed the retained message that was there before.
fn subscriber(node: &Node, filter: &str, arguments: &[&str]) -> Server {
    let topic = filter.replace(['+', '#'], "ready");
    node.publish(&["-t", &topic, "-m", "ready", "-r"]);
    let server = Server::start("skein sub", node.client("sub", &["-t", filter]).args(arguments));
    server.wait_for_line("ready");
    server
}

#[test]
fn lines_arrive_in_order_in_every_version_and_with_every_qos() {
    let node = Node::start(&[]);
    for version in ["3.1", "3.1.1", "5"] {
        for qos in ["0", "1", "2"] {
            let filter = format!("{version}/{qos}/+");
            let mut subscriber =
                subscriber(&node, &filter, &["-V", version, "-q", qos, "-C", "403", "-W", "20"]);
            let topic = filter.replace('+', "lines");
            // More than the window of the publisher; the last line has no end.
            let lines: Vec<String> =
                (0..400).map(|number| number.to_string()).chain(["".into(), "end".into()]).collect();
            let arguments = ["-t", &topic, "-l", "-V", version, "-q", qos];
            let published = run_with(&mut node.client("pub", &arguments), lines.join("\n").as_bytes());
            assert_eq!(published.code, Some(0), "{}", published.err);
            assert_eq!(subscriber.wait_for_end().code(), Some(0), "MQTT {version}, QoS {qos}");
            wait_until("the output is read", DEADLINE, || subscriber.lines().len() == 403);
            assert_eq!(subscriber.lines()[1..], lines);
        }
    }
}

#[test]
fn retained_messages_are_kept_left_out_and_removed() {
    let node = Node::start(&[]);
    node.publish(&["-t", "state/lamp", "-m", "on", "-r", "-q", "1"]);
    let out = |arguments: &[&str]| run(&mut node.client("sub", arguments));
    let seen = out(&["-t", "state/#", "-v", "-C", "1"]);
    assert_eq!((seen.code, &*seen.out), (Some(0), "state/lamp on\n"));
    let seen = out(&["-t", "state/#", "-R", "-W", "1"]);
    assert_eq!((seen.code, &*seen.out), (Some(27), ""));
    node.publish(&["-t", "state/lamp", "-n", "-r", "-q", "1"]);
    let seen = out(&["-t", "state/#", "-W", "1"]);
    assert_eq!((seen.code, &*seen.out), (Some(27), ""));
}

#[test]
fn a_host_may_carry_its_port() {
    let node = Node::start(&[]);
    let there = node.address.to_string();
    let port = node.address.port().to_string();
    succeeds(skein().args(["pub", "-h", &there, "-t", "a", "-m", "one", "-r", "-q", "1"]));
    let seen =
        succeeds(skein().args(["sub", "--host", &there, "-p", &port, "-t", "a", "-C", "1", "-W", "20"]));
    assert_eq!(seen.out, "one\n");
    let twice = run(skein().args(["pub", "-h", &there, "-p", "1", "-t", "a", "-m", "x"]));
    assert!(twice.code == Some(1) && twice.err.contains("the port is given twice"), "{}", twice.err);
    let wrong = run(skein().args(["pub", "-h", "localhost:mqtt", "-t", "a", "-m", "x"]));
    assert!(wrong.code == Some(2) && wrong.err.contains("no port from 1 to 65535"), "{}", wrong.err);
    assert!(succeeds(skein().args(["pub", "--help"])).out.contains("-h, --host <HOST[:PORT]>"));
}

#[test]
fn a_kept_session_gets_what_it_missed() {
    let node = Node::start(&[]);
    node.publish(&["-t", "kept", "-m", "first", "-r", "-q", "1"]);
    for version in ["3.1.1", "5"] {
        let arguments = ["-t", "kept", "-q", "1", "-c", "-i", version, "-V", version];
        let sub = |count| succeeds(node.client("sub", &arguments).args(["-C", count, "-W", "20"])).out;
        assert_eq!(sub("1"), "first\n");
        let missed = run_with(&mut node.client("pub", &["-t", "kept", "-q", "1", "-l"]), b"one\ntwo\n");
        assert_eq!(missed.code, Some(0));
        assert!(sub("2").starts_with("one\ntwo\n"));
    }
    let unnamed = run(&mut node.client("sub", &["-t", "kept", "-c"]));
    assert_eq!(unnamed.code, Some(2));
    assert!(unnamed.err.contains("--id"), "{}", unnamed.err);
}

#[test]
fn bytes_arrive_as_they_were() {
    let node = Node::start(&[]);
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let file = node.directory.write("bytes", &bytes);
    let arguments = ["-t", "bytes", "-q", "1", "-r"];
    let received = || {
        let output =
            node.client("sub", &["-t", "bytes", "-N", "-C", "1"]).stdin(Stdio::null()).output().unwrap();
        output.stdout
    };
    succeeds(node.client("pub", &arguments).arg("-f").arg(&file));
    assert!(received() == bytes);
    let sent = run_with(node.client("pub", &arguments).arg("-s"), &bytes[..999]);
    assert_eq!(sent.code, Some(0), "{}", sent.err);
    assert!(received() == bytes[..999]);
}

#[test]
fn a_wrong_password_is_told_in_every_version() {
    let directory = TestDirectory::create("refused");
    let file = directory.path().join("access.toml");
    assert_eq!(user(&file, &["add", "ada"], "lovelace").code, Some(0));
    let node = Node::start_in(directory, &["--access.file", "access.toml", "--access.anonymous", "false"]);
    for version in ["3.1", "3.1.1", "5"] {
        for command in ["pub", "sub"] {
            let more: &[&str] = if command == "pub" { &["-n"] } else { &[] };
            let arguments = ["-t", "a", "-V", version, "-u", "ada", "-P", "byron"];
            let finished = run(node.client(command, &arguments).args(more));
            assert_eq!((finished.code, &*finished.out), (Some(1), ""));
            for part in ["refused the connection", "Bad User Name or Password", "Check the user of -u"] {
                assert!(finished.err.contains(part), "{part}: {}", finished.err);
            }
            assert!(!finished.err.contains("byron"), "{}", finished.err);
        }
    }
    let mut with_variable = node.client("pub", &["-t", "a", "-n", "-q", "1", "-u", "ada"]);
    succeeds(with_variable.env("SKEIN_PASSWORD", "lovelace"));
    let anonymous = run(&mut node.client("pub", &["-t", "a", "-n"]));
    assert_eq!(anonymous.code, Some(1));
    assert!(anonymous.err.contains("Not authorized"), "{}", anonymous.err);
}

#[test]
fn what_the_rules_forbid_is_told() {
    let node = Node::start(&[]);
    let published = run(&mut node.client("pub", &["-t", "$SYS/mine", "-m", "x", "-q", "1"]));
    assert_eq!(published.code, Some(1));
    assert!(
        published.err.contains("refused a message on \"$SYS/mine\": Not authorized"),
        "{}",
        published.err
    );
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let port = free_port().to_string();
    let finished = run(crate::node::skein().args(["pub", "-p", &port, "-t", "a", "-n"]));
    assert_eq!(finished.code, Some(1));
    assert!(finished.err.contains(&format!("cannot connect to 127.0.0.1:{port}")), "{}", finished.err);
}

#[test]
fn sub_ends_quietly_when_nobody_reads_what_it_prints() {
    let node = Node::start(&[]);
    node.publish(&["-t", "pipe", "-m", "ready", "-r", "-q", "1"]);
    let mut command = node.client("sub", &["-t", "pipe"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    node.publish(&["-t", "pipe", "-m", "unread", "-q", "1"]);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]));
}

#[test]
fn a_stopping_server_gives_its_reason() {
    let mut node = Node::start(&[]);
    let mut subscriber = subscriber(&node, "end/#", &[]);
    node.server.terminate();
    assert_eq!(subscriber.wait_for_end().code(), Some(1));
    subscriber.wait_for_line("the server ended the connection: Server shutting down");
}

#[test]
fn arguments_that_do_not_fit_together_are_refused() {
    for arguments in [
        &["pub", "-t", "a"][..],
        &["pub", "-t", "a", "-m", "x", "-n"],
        &["pub", "-t", "a/#", "-n"],
        &["pub", "-t", "a", "-n", "-q", "3"],
        &["pub", "-t", "a", "-n", "-V", "4"],
        &["sub"],
        &["sub", "-t", "a/#/b"],
    ] {
        let finished = run(crate::node::skein().args(arguments));
        assert_eq!((finished.code, &*finished.out), (Some(2), ""), "{arguments:?}: {}", finished.err);
    }
}
