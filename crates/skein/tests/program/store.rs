//! `skein store`: verify, dump and restore on what a node left behind when it was killed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use skein_testkit::{RawClient, TestDirectory};

use crate::node::{Node, run, skein, succeeds};

/// MQTT 5, session expiry of an hour, no clean start.
const CONNECT_AWAY: &str = r#"10 [ "MQTT" 05 00 0000 05 11 00000e10 "away" ]"#;

/// A node that was killed while a client with a subscription was away, with messages waiting for it.
fn killed() -> TestDirectory {
    let mut node = Node::start(&[]);
    let mut away = RawClient::connect(node.address);
    away.send(CONNECT_AWAY);
    away.expect("20 [ 00 00 * ]");
    away.send(r#"82 [ 0001 00 "rooms/#" 02 ]"#);
    away.expect("90 [ 0001 00 02 ]");
    away.send("e0 00");
    away.expect_closed();
    node.publish(&["-t", "rooms/1", "-m", "first", "-q", "1"]);
    node.publish(&["-t", "rooms/2", "-m", "second", "-q", "2"]);
    node.publish(&["-t", "state", "-m", "on", "-q", "1", "-r"]);
    node.server.kill();
    let Node { directory, .. } = node;
    directory
}

fn store(action: &str, data: &Path) -> Command {
    let mut command = skein();
    command.args(["store", action, "--data.dir"]).arg(data);
    command
}

/// Segments of the log in a data directory, by name.
fn segments(data: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data.join("store")).unwrap().map(|entry| entry.unwrap().path());
    let is_segment = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("log-0");
    let mut segments: Vec<PathBuf> = entries.filter(is_segment).collect();
    segments.sort();
    segments
}

#[test]
fn what_a_killed_node_kept_is_dumped_and_restored_elsewhere() {
    let directory = killed();
    let data = directory.path().join("data");
    let dump = succeeds(&mut store("dump", &data)).out;
    let mut lines = dump.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let header = lines.next().unwrap();
    assert_eq!(header["skein_dump"], 1);
    assert!(header["ddl"].as_str().unwrap().contains("class session = 1"), "{header}");
    let rows: Vec<_> = lines.collect();
    let session = rows.iter().find(|row| row["class"] == "session").unwrap();
    assert_eq!(session["row"]["client_id"], "away");
    assert_eq!(rows.iter().filter(|row| row["class"] == "queue").count(), 2);
    assert_eq!(rows.last().unwrap()["rows"], rows.len() - 1);

    let only = succeeds(store("dump", &data).args(["--class", "retained"])).out;
    assert!(only.contains(r#"{"class":"retained","row":{"topic":"state","body":""#), "{only}");
    assert!(!only.contains(r#"{"class":"session""#), "{only}");
    let unknown = run(store("dump", &data).args(["--class", "retaned"]));
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.err.contains("there are session, subscription"), "{}", unknown.err);

    let elsewhere = TestDirectory::create("restored");
    let text = elsewhere.write("dump", &dump);
    let other = elsewhere.path().join("data");
    let restored = succeeds(store("restore", &other).arg(&text));
    assert!(restored.err.contains(&format!("{} objects are restored", rows.len() - 1)), "{}", restored.err);
    assert_eq!(succeeds(&mut store("dump", &other)).out, dump);
    let again = run(store("restore", &other).arg(&text));
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("Name another directory with --data.dir"), "{}", again.err);

    let node = Node::start_in(elsewhere, &[]);
    let mut away = RawClient::connect(node.address);
    away.send(CONNECT_AWAY);
    away.expect("20 [ 01 00 * ]");
    // Both may have been sent before the node was killed, as far as the restored one knows.
    away.expect(r#"3a [ "rooms/1" 0001 00 'first' ]"#);
    away.expect(r#"3c [ "rooms/2" 0002 00 'second' ]"#);
    let mut new = RawClient::open_v5(node.address, "new");
    new.send(r#"82 [ 0001 00 "state" 00 ]"#);
    new.expect("90 [ 0001 00 00 ]");
    new.expect(r#"31 [ "state" 00 'on' ]"#);
}

#[test]
fn a_dump_with_faults_restores_nothing_and_says_where() {
    let directory = killed();
    let dump = succeeds(&mut store("dump", &directory.path().join("data"))).out;
    let data = directory.path().join("other");
    let half = dump.len() / 2;
    let half = dump.lines().scan(0, |at, line| (*at < half).then(|| *at += line.len() + 1)).count();
    let first: Vec<&str> = dump.lines().take(half).collect();
    let only = succeeds(store("dump", &directory.path().join("data")).args(["--class", "queue"])).out;
    for (text, part) in [
        (first.join("\n"), "broke off after"),
        (
            dump.replace("\"client_id\":\"away\"", "\"client_id\":7"),
            "line 2: the field client_id is no string",
        ),
        (dump.replace("\"client_id\":\"away\",", ""), "line 2: the field client_id is missing"),
        (dump.replace("\"client_id\"", "\"klient_id\""), "no field \"klient_id\""),
        (dump.replace("\"skein_dump\":1", "\"skein_dump\":2"), "is a dump of version 2"),
        (dump.replace("class session = 1", "klass session = 1"), "the ddl has faults"),
        (format!("{dump}{{}}\n"), "something follows the last line"),
        (only, "of class queue only"),
        (String::new(), "is no dump"),
    ] {
        let text = directory.write("dump", &text);
        let refused = run(store("restore", &data).arg(&text));
        assert_eq!(refused.code, Some(1), "{part}");
        assert!(refused.err.contains(part), "{part}: {}", refused.err);
        let left = fs::read_dir(&data).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{part}");
    }
}

#[test]
fn verify_names_each_file_and_each_fault() {
    let directory = killed();
    let data = directory.path().join("data");
    let sound = succeeds(&mut store("verify", &data)).out;
    for part in
        ["log-00000000000000000001: ", "entries 1 to", "all in order", "1 session", "2 queue", "1 retained"]
    {
        assert!(sound.contains(part), "{part}: {sound}");
    }

    let segment = segments(&data).remove(0);
    let mut bytes = fs::read(&segment).unwrap();
    // The first frame; others that are in order follow it, so that it is no torn tail.
    bytes[512 + 30] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let damaged = run(&mut store("verify", &data));
    assert_eq!(damaged.code, Some(1));
    for part in
        ["log-00000000000000000001 is damaged at offset 512", "restore the data directory", "1 faults"]
    {
        assert!(damaged.out.contains(part), "{part}: {}", damaged.out);
    }
    let unread = run(&mut store("dump", &data));
    assert_eq!((unread.code, &*unread.out), (Some(1), ""));
    assert!(unread.err.contains("is damaged at offset 512"), "{}", unread.err);
}

#[test]
fn a_running_node_or_no_store_is_said() {
    let node = Node::start(&[]);
    let data = node.directory.path().join("data");
    let missing = node.directory.path().join("missing");
    for action in ["verify", "dump"] {
        let running = run(&mut store(action, &data));
        assert_eq!((running.code, &*running.out), (Some(1), ""), "{action}");
        assert!(running.err.contains("a node is running on"), "{}", running.err);
        let none = run(&mut store(action, &missing));
        assert_eq!(none.code, Some(1), "{action}");
        assert!(none.err.contains("there is no store in") && none.err.contains("--data.dir"), "{}", none.err);
    }
    assert!(!missing.exists());
    // The directory of the configuration is meant where no flag says otherwise.
    let config = node.directory.write("skein.toml", "[data]\ndir = \"data\"\n");
    let mut configured = skein();
    configured.args(["store", "verify", "--config"]).arg(config).current_dir(node.directory.path());
    assert!(run(&mut configured).err.contains("a node is running on data/store"));
}
