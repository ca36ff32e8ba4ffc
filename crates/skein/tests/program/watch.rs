//! `skein status` and `skein sessions` against a running node.

use skein_testkit::{RawClient, TestDirectory, free_port};

use crate::node::{Node, listening, run, skein, succeeds, user};

fn url(node: &Node) -> String {
    format!("http://{}", listening(&node.server, "http"))
}

#[test]
fn a_node_and_its_sessions_are_shown() {
    let node = Node::start(&["--http.listen", "127.0.0.1:0", "--node.name", "watched"]);
    let url = url(&node);
    let _clients: Vec<RawClient> =
        ["lamp-1", "lamp-2", "door"].iter().map(|id| RawClient::open_v5(node.address, id)).collect();
    let status = succeeds(skein().args(["status", "--url", &url])).out;
    for part in ["watched (1)", "3 connected, 3 sessions", &format!("tcp://{}", node.address)] {
        assert!(status.contains(part), "{part}: {status}");
    }
    let status = succeeds(skein().args(["status", "--json", "--url", &url])).out;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["clients"]["connected"], 3);

    let lamps = succeeds(skein().args(["sessions", "--search", "lamp", "--url", &url]));
    let ids: Vec<&str> = lamps.out.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(ids, ["CLIENT", "lamp-1", "lamp-2"]);
    let second = ["sessions", "--page", "2", "--page-size", "2", "--json", "--url", &url];
    let second: serde_json::Value = serde_json::from_str(&succeeds(skein().args(second)).out).unwrap();
    assert_eq!((&second["total"], &second["items"][0]["id"]), (&3.into(), &"lamp-2".into()));
}

#[test]
fn only_users_who_may_look_are_shown_anything() {
    let directory = TestDirectory::create("watch");
    let file = directory.path().join("access.toml");
    assert_eq!(user(&file, &["add", "ada", "--role", "admin"], "lovelace").code, Some(0));
    let arguments =
        ["--http.listen", "127.0.0.1:0", "--access.file", "access.toml", "--access.anonymous", "false"];
    let node = Node::start_in(directory, &arguments);
    let url = url(&node);
    let refused = run(skein().args(["status", "--url", &url]));
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("Log in with --user"), "{}", refused.err);
    let logged_in = ["status", "--url", &url, "--user", "ada"];
    succeeds(skein().args(logged_in).env("SKEIN_PASSWORD", "lovelace"));
    let password = node.directory.write("password", "lovelace\n");
    succeeds(skein().args(logged_in).arg("--password-file").arg(password));
    assert_eq!(run(skein().args(logged_in).env("SKEIN_PASSWORD", "byron")).code, Some(1));
    let without = run(skein().args(logged_in));
    assert!(without.err.contains("there is no password"), "{}", without.err);
}

#[test]
fn a_node_that_is_not_there_is_named() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let finished = run(skein().args(["status", "--url", &url]));
    assert_eq!(finished.code, Some(1));
    assert!(finished.err.contains(&url) && finished.err.contains("http.listen"), "{}", finished.err);
}
