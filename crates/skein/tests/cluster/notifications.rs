//! Nodes that come and go are told of once: as topics, in the log, by webhook, in listings.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    process::Command,
    sync::Arc,
};

use parking_lot::Mutex;
use skein_testkit::{DEADLINE, RawClient, wait_until};

use crate::start;

/// Answers every request with 204 and keeps its body.
fn webhook() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let bodies = Arc::<Mutex<Vec<String>>>::default();
    let kept = bodies.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let kept = kept.clone();
            std::thread::spawn(move || {
                let mut text = String::new();
                let mut chunk = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut chunk) {
                    text.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
                    // Bodies are one object; they end with a brace and have none inside.
                    if let Some((_, body)) = text.split_once("\r\n\r\n")
                        && body.ends_with('}')
                    {
                        kept.lock().push(body.to_owned());
                        text.clear();
                        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
                    }
                }
            });
        }
    });
    (url, bodies)
}

#[test]
fn a_killed_node_and_its_next_life_are_told_of_once() {
    let (url, bodies) = webhook();
    let mut cluster = start(3, &["--cluster.webhooks", &url]);
    let before = cluster.node(1).members().unwrap().into_iter().find(|node| node.node_id == 3).unwrap();
    let mut watcher = RawClient::open_v4(cluster.node(1).mqtt, "watcher");
    watcher.send(r#"82 [ 0001 "$SYS/cluster/nodes/3" 00 ]"#);
    watcher.expect("90 [ 0001 00 ]");
    let shown = |packet: &[u8]| String::from_utf8_lossy(packet).into_owned();
    let retained = shown(&watcher.expect("31 [ * ]"));
    assert!(retained.contains(r#""state":"up""#) && retained.contains(r#""node_id":3"#), "{retained}");

    cluster.kill(3);
    let down = shown(&watcher.expect("30 [ * ]"));
    assert!(down.contains(r#""state":"down""#), "{down}");
    cluster.wait_for_members(&[1, 2], &[1, 2]);
    cluster.restart(3);
    cluster.wait_until_whole();
    let up = shown(&watcher.expect("30 [ * ]"));
    assert!(up.contains(r#""state":"up""#), "{up}");
    let after = cluster.node(1).members().unwrap().into_iter().find(|node| node.node_id == 3).unwrap();
    assert!(after.incarnation > before.incarnation, "{after:?} after {before:?}");

    let of = |seen_by: u16, event: &str| {
        let bodies = bodies.lock();
        let wanted =
            [format!("\"event\":\"{event}\""), "\"node_id\":3".to_owned(), format!("\"seen_by\":{seen_by},")];
        let is_one =
            |body: &&String| wanted.iter().all(|part| body.replace('}', ",").contains(part.as_str()));
        bodies.iter().filter(is_one).count()
    };
    wait_until("the webhook has heard of both", DEADLINE, || {
        [1, 2].iter().all(|seen_by| of(*seen_by, "down") >= 1 && of(*seen_by, "up") >= 2)
    });
    for seen_by in [1, 2] {
        assert_eq!((of(seen_by, "down"), of(seen_by, "up")), (1, 2), "{:#?}", bodies.lock());
    }
    let failed = bodies.lock().iter().filter(|body| body.contains(r#""reason":"failed""#)).count();
    assert_eq!(failed, 2);
}

#[test]
fn a_node_is_listed_and_counted() {
    let cluster = start(2, &[]);
    let url = format!("http://{}", cluster.node(2).http);
    let output = Command::new(env!("CARGO_BIN_EXE_skein")).args(["nodes", "--node", &url]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains("skein-1") && text.contains("up (asked)"), "{text}");
    let output =
        Command::new(env!("CARGO_BIN_EXE_skein")).args(["nodes", "--json", "--url", &url]).output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("[\n"));
    let _client = RawClient::open_v4(cluster.node(1).mqtt, "counted");
    wait_until("node 2 knows how many clients node 1 has", DEADLINE, || {
        let (_, nodes) = cluster.node(2).get("/api/v1/cluster/nodes").unwrap();
        nodes.contains(r#""clients":1"#) && nodes.contains(r#""clients":0"#)
    });
    let (_, metrics) = cluster.node(1).get("/metrics").unwrap();
    for line in ["skein_cluster_nodes{state=\"up\"} 2", "skein_link_up{peer=\"2\"} 1"] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }
    let control = "skein_link_lane_sent_frames_total{peer=\"2\",lane=\"control\"} ";
    let sent = metrics.lines().find_map(|line| line.strip_prefix(control)).unwrap();
    assert!(sent.parse::<u64>().unwrap() > 0, "{metrics}");
}

#[test]
fn a_second_node_with_a_number_that_is_taken_is_refused_and_says_so() {
    let mut cluster = start(2, &[]);
    let members = cluster.node(1).members().unwrap();
    let mut taken = Command::new(env!("CARGO_BIN_EXE_skein"));
    let directory = skein_testkit::TestDirectory::create("taken");
    let off = ["--mqtt.listen", "127.0.0.1:0", "--mqtt.ws_listen", "off", "--http.listen", "off"];
    taken.arg("serve").args(off).args([
        "--node.id",
        "2",
        "--cluster.listen",
        &skein_testkit::free_address().to_string(),
    ]);
    taken.args(["--cluster.join", &cluster.node(1).cluster.to_string()]).current_dir(directory.path());
    let output = taken.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.lines().last().unwrap().starts_with("skein: cluster: ") && text.contains('2'), "{text}");
    assert_eq!(cluster.node(1).members().unwrap(), members);
    assert!(cluster.node_mut(2).is_running());
}
