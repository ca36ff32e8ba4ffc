//! `skein user`: the file it makes, and what a node makes of it.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use skein_testkit::{Certificates, RawClient, TestDirectory};

use crate::node::{Finished, Node, listening, run, run_with, skein, user};

#[test]
fn users_that_are_added_can_log_in_after_a_reload() {
    let directory = TestDirectory::create("user");
    let file = directory.path().join("access.toml");
    let added = user(&file, &["add", "ada", "--role", "ops", "--role", "dev"], "lovelace");
    assert_eq!(added.code, Some(0), "{}", added.err);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let node = Node::start_in(directory, &["--access.file", "access.toml", "--access.anonymous", "false"]);
    let login = |name: &str, password: &str| {
        run(&mut node.client("pub", &["-t", "a", "-n", "-q", "1", "-u", name, "-P", password])).code
    };
    assert_eq!(login("ada", "lovelace"), Some(0));
    assert_eq!(login("bob", "ross"), Some(1));

    assert_eq!(user(&file, &["add", "bob", "--scram"], "ross").code, Some(0));
    assert_eq!(user(&file, &["passwd", "ada"], "byron").code, Some(0));
    let listed = user(&file, &["list"], "");
    assert_eq!((listed.code, &*listed.out), (Some(0), "ada\targon2id\tops,dev\nbob\tscram\n"));
    node.reload();
    assert_eq!(login("bob", "ross"), Some(0));
    assert_eq!((login("ada", "lovelace"), login("ada", "byron")), (Some(1), Some(0)));

    assert_eq!(user(&file, &["remove", "bob"], "").code, Some(0));
    node.reload();
    assert_eq!(login("bob", "ross"), Some(1));
    assert!(!fs::read_to_string(&file).unwrap().contains("bob"));
}

#[test]
fn what_cannot_be_done_is_said_and_changes_nothing() {
    let directory = TestDirectory::create("user-faults");
    let file = directory.path().join("access.toml");
    let refused = |arguments: &[&str], password: &str, part: &str| {
        let finished = user(&file, arguments, password);
        assert_eq!((finished.code, &*finished.out), (Some(1), ""), "{arguments:?}");
        assert!(finished.err.contains(part), "{part}: {}", finished.err);
    };
    refused(&["list"], "", "cannot read");
    refused(&["passwd", "ada"], "x", "make it with `skein user add`");
    refused(&["add", "ada"], "", "the password is empty");
    assert!(!file.exists());
    assert_eq!(user(&file, &["add", "ada"], "lovelace").code, Some(0));
    let before = fs::read_to_string(&file).unwrap();
    assert!(!before.contains("lovelace"));
    refused(&["add", "ada"], "x", "user \"ada\" exists");
    refused(&["remove", "bob"], "", "there is no user \"bob\"");
    refused(&["passwd", "bob"], "x", "there is no user \"bob\"");
    refused(&["passwd", "ada"], "", "the password is empty");
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
}

/// `skein user` for a running node, as its operator; the password, if any, is its input.
fn user_at(node: &Node, arguments: &[&str], password: &str) -> Finished {
    user_as(node.operator(), node, arguments, password)
}

fn user_as(mut command: Command, node: &Node, arguments: &[&str], password: &str) -> Finished {
    let url = format!("http://{}", listening(&node.server, "http"));
    command.arg("user").args(arguments).args(["--node", &url]);
    run_with(&mut command, format!("{password}\n").as_bytes())
}

#[test]
fn the_first_user_is_made_by_the_command_that_the_start_prints_and_by_no_stranger() {
    let directory = TestDirectory::create("first-user");
    directory.write("access.toml", "[[rules]]\nallow = true\nusers = ['*']\nfilters = ['#']\n");
    let arguments = ["--http.listen", "127.0.0.1:0", "--access.file", "access.toml"];
    let node = Node::start_in(directory, &arguments);
    let line =
        node.server.wait_for_line("this command makes the first one: skein user add NAME --role admin");
    let (_, printed) = line.split_once("skein user add NAME ").unwrap();
    // On the same machine, with the file of the access list set: without the data directory nobody makes users.
    let refused = user_as(skein(), &node, &["add", "eve", "--role", "admin"], "x");
    assert!(refused.code == Some(1) && refused.err.contains("data.dir"), "{}", refused.err);
    assert_eq!(user_at(&node, &["list"], "").out, "");

    let mut command = skein();
    command.args(["user", "add", "root"]).args(printed.split(' ')).current_dir(node.directory.path());
    let added = run_with(&mut command, b"toor\n");
    assert_eq!(added.code, Some(0), "{}", added.err);
    let listed = user_as(skein(), &node, &["list", "--login", "root"], "");
    assert!(listed.err.contains("there is no password"), "{}", listed.err);
    let mut command = skein();
    command.env("SKEIN_PASSWORD", "toor");
    let listed = user_as(command, &node, &["list", "--login", "root"], "");
    assert_eq!(listed.out, "root\tstore\targon2id\tadmin\n");
    // Now that there are users nothing is shown without one.
    let url = format!("http://{}", listening(&node.server, "http"));
    let refused = run(skein().args(["status", "--url", &url]));
    assert!(
        refused.code == Some(1) && refused.err.contains("now that there are or were users"),
        "{}",
        refused.err
    );
    let token = node.directory.path().join("data/operator.token");
    assert_eq!(fs::metadata(&token).unwrap().permissions().mode() & 0o777, 0o600);
}

/// A node that speaks HTTP over TLS only is looked at and administered from the command line all the same.
#[test]
fn a_node_is_administered_over_tls() {
    let directory = TestDirectory::create("user-tls");
    let certificates = Certificates::create(directory.path());
    let (cert, key) =
        (certificates.server_cert.display().to_string(), certificates.server_key.display().to_string());
    let arguments =
        ["--http.listen", "127.0.0.1:0", "--http.tls", "true", "--tls.cert", &cert, "--tls.key", &key];
    let tls_off = ["--mqtt.tls_listen", "off"];
    let node = Node::start_in(directory, &[&arguments[..], &tls_off].concat());
    let line =
        node.server.wait_for_line("this command makes the first one: skein user add NAME --role admin");
    let (_, printed) = line.split_once("skein user add NAME ").unwrap();
    assert!(printed.contains("--node https://127.0.0.1:"), "{printed}");

    let mut command = skein();
    command.args(["user", "add", "root"]).args(printed.split(' '));
    let refused = run_with(&mut command, b"toor\n");
    assert!(refused.code == Some(1) && refused.err.contains("--cacert"), "{}", refused.err);
    command.arg("--cacert").arg(&certificates.ca_file);
    let added = run_with(&mut command, b"toor\n");
    assert_eq!(added.code, Some(0), "{}", added.err);

    let url = format!("https://{}", listening(&node.server, "https"));
    let status = |cacert: &Path| {
        let arguments = ["status", "--url", &url, "--user", "root", "--cacert"];
        run(skein().env("SKEIN_PASSWORD", "toor").args(arguments).arg(cacert))
    };
    let shown = status(&certificates.ca_file);
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    let none = status(&certificates.server_key);
    assert!(none.code == Some(1) && none.err.contains("has no certificate"), "{}", none.err);
    let missing = status(Path::new("nowhere.pem"));
    assert!(missing.code == Some(1) && missing.err.contains("cannot read nowhere.pem"), "{}", missing.err);
}

#[test]
fn users_of_a_running_node_hold_at_once_and_after_it_was_killed() {
    let arguments = ["--http.listen", "127.0.0.1:0"];
    let mut node = Node::start(&arguments);
    let login = |node: &Node, name: &str, password: &str| {
        run(&mut node.client("pub", &["-t", "a", "-n", "-q", "1", "-u", name, "-P", password])).code
    };
    for (name, password, scram) in
        [("ada", "lovelace", None), ("bob", "ross", Some("--scram")), ("eve", "x", None)]
    {
        let arguments: Vec<&str> = ["add", name, "--role", "ops"].into_iter().chain(scram).collect();
        let added = user_at(&node, &arguments, password);
        assert_eq!(added.code, Some(0), "{}", added.err);
        assert_eq!(login(&node, name, password), Some(0), "{name}");
        assert_eq!(login(&node, name, "wrong"), Some(1), "{name}");
    }
    let mut ada = RawClient::connect(node.address);
    ada.send(r#"10 [ "MQTT" 05 c2 0000 00 "ada" "ada" "lovelace" ]"#);
    ada.expect("20 [ 00 00 * ]");
    assert_eq!(user_at(&node, &["passwd", "bob"], "dylan").code, Some(0));
    assert_eq!(user_at(&node, &["remove", "ada"], "").code, Some(0));
    // A user who is gone is sent away: not authorized.
    ada.expect("e0 [ 87 * ]");
    ada.expect_closed();

    node.server.kill();
    let Node { directory, .. } = node;
    let node = Node::start_in(directory, &arguments);
    let listed = user_at(&node, &["list"], "");
    assert_eq!(
        (listed.code, &*listed.out),
        (Some(0), "bob\tstore\targon2id\tops\neve\tstore\targon2id\tops\n")
    );
    assert_eq!((login(&node, "bob", "dylan"), login(&node, "bob", "ross")), (Some(0), Some(1)));
    assert_eq!(login(&node, "ada", "lovelace"), Some(1));

    for (arguments, part) in [
        (&["add", "eve"][..], "user \"eve\" exists"),
        (&["remove", "ada"], "there is no user \"ada\""),
        (&["passwd", "ada"], "there is no user \"ada\""),
        (&["list", "--file", "access.toml"], "give one of them"),
    ] {
        let refused = user_at(&node, arguments, "y");
        assert_eq!((refused.code, &*refused.out), (Some(1), ""), "{arguments:?}");
        assert!(refused.err.contains(part), "{part}: {}", refused.err);
    }
}

#[test]
fn users_of_the_file_go_before_those_of_the_node() {
    let directory = TestDirectory::create("user-both");
    let file = directory.path().join("access.toml");
    assert_eq!(user(&file, &["add", "root", "--role", "admin"], "toor").code, Some(0));
    let arguments =
        ["--http.listen", "127.0.0.1:0", "--access.file", "access.toml", "--access.anonymous", "false"];
    let node = Node::start_in(directory, &arguments);
    let url = format!("http://{}", listening(&node.server, "http"));
    let refused = user_as(skein(), &node, &["add", "ada"], "lovelace");
    assert!(refused.code == Some(1) && refused.err.contains("Log in"), "{}", refused.err);
    let at = |arguments: &[&str], password: &str| {
        let mut command = skein();
        command.arg("user").args(arguments).args(["--node", &url, "--login", "root"]);
        run_with(command.env("SKEIN_PASSWORD", "toor"), format!("{password}\n").as_bytes())
    };
    assert_eq!(at(&["add", "ada"], "lovelace").code, Some(0));
    let listed = at(&["list"], "");
    assert_eq!(listed.out, "ada\tstore\targon2id\nroot\tfile\targon2id\tadmin\n");
    for arguments in [["add", "root"], ["remove", "root"], ["passwd", "root"]] {
        let refused = at(&arguments, "x");
        assert_eq!(refused.code, Some(1), "{arguments:?}");
        assert!(refused.err.contains("is in the access file"), "{}", refused.err);
    }
    // The file may get the name later; its user then counts.
    assert_eq!(user(&node.directory.path().join("access.toml"), &["add", "ada"], "byron").code, Some(0));
    node.reload();
    let login = |password: &str| {
        run(&mut node.client("pub", &["-t", "a", "-n", "-q", "1", "-u", "ada", "-P", password])).code
    };
    assert_eq!((login("byron"), login("lovelace")), (Some(0), Some(1)));
}

#[test]
fn rules_of_a_running_node_hold_at_once_and_after_it_was_killed() {
    let arguments = ["--http.listen", "127.0.0.1:0"];
    let mut node = Node::start(&arguments);
    let publish =
        |node: &Node, topic: &str| run(&mut node.client("pub", &["-t", topic, "-m", "x", "-q", "1"])).code;
    let post = |node: &Node, rule: &str| {
        let (status, body) = node.ask("POST", "/api/v1/rules", rule);
        (status, serde_json::from_str::<serde_json::Value>(&body).unwrap())
    };
    let (status, last) = post(&node, r##"{"allow":true,"filters":["#"]}"##);
    assert_eq!((status, last["position"].as_u64()), (201, Some(10)), "{last}");
    let deny = r##"{"position":5,"allow":false,"filters":["secret/#"]}"##;
    assert_eq!(post(&node, deny).0, 201);
    assert_eq!(post(&node, deny).0, 409);
    assert_eq!(post(&node, r##"{"allow":true,"filters":["a#"]}"##).0, 422);
    assert_eq!((publish(&node, "open"), publish(&node, "secret/1")), (Some(0), Some(1)));

    node.server.kill();
    let Node { directory, .. } = node;
    let node = Node::start_in(directory, &arguments);
    assert_eq!((publish(&node, "open"), publish(&node, "secret/1")), (Some(0), Some(1)));
    let (_, rules) = node.ask("GET", "/api/v1/rules", "");
    assert!(rules.contains(r#""position":5,"allow":false"#) && rules.contains(r#""total":2"#), "{rules}");
    let (status, body) = node.ask("PUT", "/api/v1/rules/5", r#"{"allow":false,"filters":["other"]}"#);
    assert_eq!(status, 200, "{body}");
    assert_eq!((publish(&node, "other"), publish(&node, "secret/1")), (Some(1), Some(0)));
    assert_eq!(node.ask("DELETE", "/api/v1/rules/5", "").0, 200);
    assert_eq!(publish(&node, "other"), Some(0));
    let (status, body) = node.ask("DELETE", "/api/v1/rules/10", "");
    assert!(status == 200 && body.contains("no rule is left"), "{body}");
    assert_eq!(publish(&node, "other"), Some(1), "nothing is allowed because the last rule is gone");
}
