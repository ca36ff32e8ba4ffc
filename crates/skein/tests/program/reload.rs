//! SIGHUP: what changes, what has to wait for a restart, and what happens when the new settings are wrong.

use skein_testkit::{RawClient, TestDirectory};

use crate::node::{Node, run, user};

const BEFORE: &str = "[node]\nname = \"before\"\n[access]\nfile = \"access.toml\"\nanonymous = false\n";

fn node() -> Node {
    let directory = TestDirectory::create("reload");
    directory.write("skein.toml", BEFORE);
    let file = directory.path().join("access.toml");
    assert_eq!(user(&file, &["add", "ada"], "lovelace").code, Some(0));
    Node::start_in(directory, &["--config", "skein.toml"])
}

fn login(node: &Node, name: &str, password: &str) -> Option<i32> {
    let arguments = ["-t", "a", "-n", "-q", "1", "-u", name, "-P", password];
    run(&mut node.client("pub", &arguments)).code
}

#[test]
fn users_limits_and_the_log_level_change_and_the_rest_is_named() {
    let node = node();
    let file = node.directory.path().join("access.toml");
    let mut ada = RawClient::connect(node.address);
    ada.send(r#"10 [ "MQTT" 05 c2 0000 00 "ada" "ada" "lovelace" ]"#);
    ada.expect("20 [ 00 00 * ]");

    assert_eq!(user(&file, &["remove", "ada"], "").code, Some(0));
    assert_eq!(user(&file, &["add", "bob"], "ross").code, Some(0));
    let after = BEFORE.replace("before", "after");
    node.directory.write(
        "skein.toml",
        format!("[mqtt]\npacket_bytes_max = \"2KiB\"\n[log]\nlevel = \"debug\"\n{after}"),
    );
    let told = node.reload();

    for part in [
        r#"config: changed for new connections key="mqtt.packet_bytes_max" old="\"1MiB\"" new="\"2KiB\"""#,
        r#"takes effect only after a restart key="node.name""#,
        r#"config: changed key="log.level""#,
        "configuration reloaded changes=3",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    // A user who is gone is sent away: not authorized.
    ada.expect("e0 [ 87 * ]");
    ada.expect_closed();
    assert_eq!((login(&node, "ada", "lovelace"), login(&node, "bob", "ross")), (Some(1), Some(0)));
    let large = "x".repeat(3000);
    let refused = run(&mut node.client("pub", &["-t", "a", "-m", &large, "-u", "bob", "-P", "ross"]));
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("larger than the 2048 bytes"), "{}", refused.err);
    // Only at the level debug.
    node.server.wait_for_line("mqtt: connection ended");
}

#[test]
fn a_fault_leaves_everything_as_it_was_and_is_told_whole() {
    let mut node = node();
    let file = node.directory.path().join("access.toml");
    node.directory.write("skein.toml", BEFORE.replace("name", "nam") + "[log]\nlevel = \"loud\"\n");
    let told = node.reload();
    assert!(told.contains("configuration not reloaded"), "{told}");
    for part in ["skein.toml:2:1: there is no key node.nam", "skein.toml:7:9: log.level"] {
        node.server.wait_for_line(part);
    }
    assert_eq!(login(&node, "ada", "lovelace"), Some(0));

    // The same for the access file.
    node.directory.write("skein.toml", BEFORE);
    std::fs::write(&file, "[[users]]\nnam = \"ada\"\n").unwrap();
    let told = node.reload();
    assert!(told.contains("configuration not reloaded"), "{told}");
    node.server.wait_for_line("nam");
    assert_eq!(login(&node, "ada", "lovelace"), Some(0));
    assert_eq!(node.server.terminate().code(), Some(0));
}
