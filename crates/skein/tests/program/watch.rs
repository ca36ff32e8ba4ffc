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

    let lamps = succeeds(node.operator().args(["sessions", "--search", "lamp", "--url", &url]));
    let ids: Vec<&str> = lamps.out.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(ids, ["CLIENT", "lamp-1", "lamp-2"]);
    let second = ["sessions", "--page", "2", "--page-size", "2", "--json", "--url", &url];
    let second: serde_json::Value =
        serde_json::from_str(&succeeds(node.operator().args(second)).out).unwrap();
    assert_eq!((&second["total"], &second["items"][0]["id"]), (&3.into(), &"lamp-2".into()));
}

#[test]
fn what_is_retained_and_what_waits_is_shown() {
    let node = Node::start(&["--http.listen", "127.0.0.1:0"]);
    let url = url(&node);
    let mut away = RawClient::connect(node.address);
    away.send(r#"10 [ "MQTT" 05 00 0000 05 11 00000e10 "a/b" ]"#);
    away.expect("20 [ 00 00 * ]");
    away.send(r#"82 [ 0001 00 "state/#" 01 ]"#);
    away.expect("90 [ 0001 00 01 ]");
    away.send("e0 00");
    away.expect_closed();
    node.publish(&["-t", "state/1", "-m", "on", "-q", "1", "-r"]);
    node.publish(&["-t", "other", "-m", "off", "-q", "1", "-r"]);

    let show = |arguments: &[&str]| succeeds(node.operator().args(arguments).args(["--url", &url]));
    let cells = |out: &str| {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        out.lines().skip(1).map(words).collect::<Vec<_>>()
    };
    let retained = show(&["retained"]);
    assert_eq!(
        cells(&retained.out),
        [vec!["other", "3", "1", "yes", "-"], vec!["state/1", "2", "1", "yes", "-"]]
    );
    let retained = show(&["retained", "state/#", "--payload"]);
    assert_eq!(cells(&retained.out), [["state/1", "2", "1", "yes", "-", "\"on\""]]);
    let queue = show(&["queue", "a/b", "--payload"]);
    assert_eq!(cells(&queue.out), [["0", "waiting", "state/1", "1", "2", "yes", "-", "\"on\""]]);
    let sessions = cells(&show(&["sessions"]).out);
    assert_eq!((&*sessions[0][0], &*sessions[0][8]), ("a/b", "yes"), "{sessions:?}");
    assert!(sessions[0][9].ends_with('Z'), "{sessions:?}");

    show(&["retained", "--remove", "state/1"]);
    assert_eq!(cells(&show(&["retained"]).out).len(), 1);
    let again = run(node.operator().args(["retained", "--remove", "state/1", "--url", &url]));
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("no message is retained for \"state/1\""), "{}", again.err);
    let nobody = run(node.operator().args(["queue", "nobody", "--url", &url]));
    assert!(nobody.err.contains("no client \"nobody\" has a session"), "{}", nobody.err);
}

#[test]
fn the_bound_on_all_queues_holds_for_what_was_there_before_a_restart() {
    let arguments = ["--http.listen", "127.0.0.1:0", "--mqtt.node_queue_messages_max", "2"];
    let mut node = Node::start(&arguments);
    let connect = |node: &Node| {
        let mut away = RawClient::connect(node.address);
        away.send(r#"10 [ "MQTT" 05 00 0000 05 11 00000e10 "away" ]"#);
        away.expect("20 [ .. 00 * ]");
        away
    };
    let mut away = connect(&node);
    away.send(r##"82 [ 0001 00 "#" 01 ]"##);
    away.expect("90 [ 0001 00 01 ]");
    away.send("e0 00");
    away.expect_closed();
    for payload in ["1", "2", "3"] {
        node.publish(&["-t", "a", "-m", payload, "-q", "1"]);
    }
    let dropped = |node: &Node| {
        let metrics = fetch(node, "/metrics");
        let series = "skein_deliveries_dropped_total{reason=\"node_queue_full\"} ";
        metrics.lines().find_map(|line| line.strip_prefix(series)).unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(dropped(&node), 1);
    node.server.kill();
    let Node { directory, .. } = node;
    let node = Node::start_in(directory, &arguments);
    node.publish(&["-t", "a", "-m", "4", "-q", "1"]);
    assert_eq!(dropped(&node), 1);
    // The client takes what waits, so that there is room again.
    let mut away = connect(&node);
    away.expect("3a [ 0001 'a' 0001 00 '1' ]");
    away.expect("3a [ 0001 'a' 0002 00 '2' ]");
    away.send("40 [ 0001 ] 40 [ 0002 ] e0 00");
    away.expect_closed();
    node.publish(&["-t", "a", "-m", "5", "-q", "1"]);
    assert_eq!(dropped(&node), 1);
    let queued = succeeds(node.operator().args(["queue", "away", "--payload", "--url", &url(&node)])).out;
    assert!(queued.contains("\"5\"") && !queued.contains("\"4\""), "{queued}");
}

#[test]
fn a_retained_message_that_was_removed_stays_away_when_the_node_is_killed() {
    let mut node = Node::start(&["--http.listen", "127.0.0.1:0"]);
    let url = url(&node);
    node.publish(&["-t", "gone", "-m", "x", "-q", "1", "-r"]);
    node.publish(&["-t", "here", "-m", "x", "-q", "1", "-r"]);
    succeeds(node.operator().args(["retained", "--remove", "gone", "--url", &url]));
    node.server.kill();
    let Node { directory, .. } = node;
    let node = Node::start_in(directory, &["--http.listen", "127.0.0.1:0"]);
    let url = self::url(&node);
    let left = succeeds(node.operator().args(["retained", "--url", &url])).out;
    assert!(left.contains("here") && !left.contains("gone"), "{left}");
}

fn fetch(node: &Node, path: &str) -> String {
    let (status, body) = node.ask("GET", path, "");
    assert_eq!(status, 200, "{path}: {body}");
    body
}

#[test]
fn the_store_is_in_status_and_metrics_where_there_is_one() {
    let node = Node::start(&["--http.listen", "127.0.0.1:0"]);
    node.publish(&["-t", "a", "-m", "x", "-q", "1", "-r"]);
    let status = succeeds(skein().args(["status", "--url", &url(&node)])).out;
    assert!(status.contains("read-only: no"), "{status}");
    let metrics = fetch(&node, "/metrics");
    let sample = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name}: {metrics}")).parse::<u64>().unwrap()
    };
    assert_eq!((sample("skein_store_read_only"), sample("skein_store_alarms")), (0, 0));
    assert_eq!(sample(r#"skein_store_rows{class="retained"}"#), 1);
    assert!(sample(r#"skein_store_bytes{class="retained"}"#) > 0 && sample("skein_store_log_bytes") > 0);
    assert!(sample("skein_store_commits_total") >= 1 && sample("skein_store_syncs_total") >= 1);
    assert_eq!(sample("skein_store_log_segments"), 1);
    assert!(
        metrics.contains("\nskein_store_sync_seconds_total 0.")
            && !metrics.contains("\nskein_store_snapshot_age")
    );
    assert_eq!(fetch(&node, "/readyz"), r#"{"status":"ready"}"#);

    let without = Node::start(&["--http.listen", "127.0.0.1:0", "--mqtt.durability", "memory"]);
    let status = succeeds(skein().args(["status", "--url", &url(&without)])).out;
    assert!(!status.contains("read-only"), "{status}");
    let metrics = fetch(&without, "/metrics");
    assert!(
        metrics.contains("# TYPE skein_store_rows gauge") && !metrics.contains("\nskein_store_"),
        "{metrics}"
    );
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
