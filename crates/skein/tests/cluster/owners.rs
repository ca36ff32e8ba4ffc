//! A client id belongs to its user on every node, also after the node that has the session was killed.

use std::{
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use skein_testkit::{Cluster, RawClient, TestDirectory};

use crate::start;

const RULES: &str = "[[rules]]\nallow = true\nfilters = [\"#\"]\n";

/// Nodes of one access file. The file has no users before all nodes have met.
fn start_with_file(nodes: u16) -> (Cluster, TestDirectory, PathBuf) {
    let directory = TestDirectory::create("owners");
    let file = directory.write("access.toml", RULES);
    let cluster = start(nodes, &["--access.file", file.to_str().unwrap()]);
    (cluster, directory, file)
}

/// Runs a command that takes a password.
fn with_password(command: &mut Command, password: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn add_user(file: &Path, name: &str, role: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skein"));
    command.args(["user", "add", name]).args(role).arg("--file").arg(file);
    let output = with_password(&mut command, "secret");
    assert!(output.status.success(), "{output:?}");
}

/// Lets a node read its access file again.
fn reload(cluster: &Cluster, id: u16) {
    let server = cluster.node(id).server();
    let before = server.lines().len();
    server.signal("HUP");
    server.wait_for_line_from(before, "configuration");
}

/// A CONNECT with a session of an hour, and its answer.
fn connect(address: SocketAddr, flags: &str, id: &str, rest: &str, answer: &str) -> RawClient {
    let mut client = RawClient::connect(address);
    client.send(&format!(r#"10 [ "MQTT" 05 {flags} 0000 05 11 00000e10 "{id}" {rest} ]"#));
    client.expect(answer);
    client
}

const LET_IN: &str = "20 [ 00 00 * ]";
const RESUMED: &str = "20 [ 01 00 * ]";
const REFUSED: &str = "20 [ 00 87 * ]";

/// Nobody else gets the client id of ann's session, which is on node 1.
fn nobody_else_gets_it(cluster: &Cluster) {
    for id in [1, 2] {
        let address = cluster.node(id).mqtt;
        for (user, rest) in [("c", r#""bob" "secret""#), ("0", "")] {
            for clean in ["0", "2"] {
                connect(address, &format!("{user}{clean}"), "lamp", rest, REFUSED).expect_closed();
            }
        }
        let mut old = RawClient::connect(address);
        old.send(r#"10 [ "MQTT" 04 c2 0000 "lamp" "bob" "secret" ]"#);
        old.expect("20 02 00 05");
        old.expect_closed();
    }
}

#[test]
fn a_client_id_belongs_to_its_user_on_every_node() {
    let (mut cluster, _directory, file) = start_with_file(2);
    for (name, role) in [("ann", &[][..]), ("bob", &[]), ("root", &["--role", "admin"])] {
        add_user(&file, name, role);
    }
    [1, 2].into_iter().for_each(|id| reload(&cluster, id));
    let ann = r#""ann" "secret""#;
    let mut client = connect(cluster.node(1).mqtt, "c0", "lamp", ann, LET_IN);
    client.send(r##"82 [ 0001 00 "d/#" 01 ]"##);
    client.expect("90 [ 0001 00 01 ]");
    nobody_else_gets_it(&cluster);
    client.send("c0 00");
    client.expect("d0 00");
    client.send("e0 00");
    client.expect_closed();
    nobody_else_gets_it(&cluster);
    let mut publisher = connect(cluster.node(2).mqtt, "c2", "switch", r#""bob" "secret""#, LET_IN);
    publisher.send(r#"32 [ "d/1" 0001 00 'on' ]"#);
    publisher.expect("40 02 0001");

    let before = cluster.node(2).server().lines().len();
    cluster.kill(1);
    cluster.restart(1);
    cluster.node(2).server().wait_for_line_from(before, "node 1 is up");
    nobody_else_gets_it(&cluster);
    let mut client = connect(cluster.node(1).mqtt, "c0", "lamp", ann, RESUMED);
    // Marked as a duplicate: the node does not know whether it was sent before it was killed.
    client.expect(r#"3a [ "d/1" * ]"#);

    let url = format!("http://{}", cluster.node(1).http);
    let mut end = Command::new(env!("CARGO_BIN_EXE_skein"));
    end.args(["sessions", "end", "lamp", "--url", &url, "--user", "root"]).env("SKEIN_PASSWORD", "secret");
    let output = end.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    client.expect("e0 [ 98 * ]");
    client.expect_closed();
    let again = end.output().unwrap();
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("lamp"), "{again:?}");
    connect(cluster.node(2).mqtt, "c0", "lamp", r#""bob" "secret""#, LET_IN);
}

/// By its own node when the user is removed, and by another one when the node is lost.
#[test]
fn the_will_of_a_removed_user_is_published_nowhere() {
    let (mut cluster, _directory, file) = start_with_file(2);
    for name in ["ann", "bob", "eve"] {
        add_user(&file, name, &[]);
    }
    [1, 2].into_iter().for_each(|id| reload(&cluster, id));
    let mut watcher = connect(cluster.node(2).mqtt, "c2", "watcher", r#""bob" "secret""#, LET_IN);
    watcher.send(r##"82 [ 0001 00 "will/#" 01 ]"##);
    watcher.expect("90 [ 0001 00 01 ]");
    let with_will = |id: u16, name: &str, user: &str| {
        let rest = format!(r#"00 "will/{name}" 0001 'x' "{user}" "secret""#);
        connect(cluster.node(id).mqtt, "ce", name, &rest, LET_IN)
    };
    let mut here = with_will(2, "here", "ann");
    let _there = (with_will(1, "first", "ann"), with_will(1, "last", "eve"));
    let mut remove = Command::new(env!("CARGO_BIN_EXE_skein"));
    remove.args(["user", "remove", "ann", "--file"]).arg(&file);
    assert!(with_password(&mut remove, "").status.success());
    reload(&cluster, 2);
    here.expect("e0 [ 87 * ]");
    here.expect_closed();
    cluster.kill(1);
    // Wills of a lost node are published in the order of client ids: ann's would come before eve's.
    watcher.expect(r#"32 [ "will/last" * ]"#);
}
