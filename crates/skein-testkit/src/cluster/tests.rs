//! The tools of a cluster with a program that only says how it was started, and with answers written by hand.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::*;

/// A program that writes its arguments and waits.
fn program(directory: &TestDirectory) -> PathBuf {
    let path = directory.write("program", "#!/bin/sh\necho \"$@\"\nexec sleep 600\n");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Answers every request on `address` with what `body` holds then, without end.
fn answer(address: SocketAddr, body: &Arc<Mutex<String>>) {
    let listener = TcpListener::bind(address).unwrap();
    let body = Arc::clone(body);
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            let count = stream.read(&mut request).unwrap_or(0);
            let is_known = request[..count].starts_with(b"GET /api/v1/cluster/nodes HTTP/1.1\r\n");
            let status = if is_known { "200 OK" } else { "404 Not Found" };
            let body = body.lock().clone();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
            // A client that has gone is no matter of this test.
            drop(stream.write_all((head + &body).as_bytes()));
        }
    });
}

fn nodes(states: &[(u16, &str)]) -> String {
    let entry = |(id, state): &(u16, &str)| {
        format!(
            r#"{{"node_id":{id},"name":"skein-{id}","address":"x","qrank":1,"incarnation":1,"state":"{state}"}}"#
        )
    };
    format!("[{}]", states.iter().map(entry).collect::<Vec<_>>().join(","))
}

#[test]
fn every_node_joins_at_the_others_with_addresses_of_its_own() {
    let options = ClusterOptions {
        secret: Some("quite a long secret".to_owned()),
        arguments: vec!["--mqtt.durability".to_owned(), "memory".to_owned()],
        ..ClusterOptions::default()
    };
    let mut cluster = Cluster::prepare("skein", &options);
    assert_eq!(cluster.ids(), [1, 2, 3]);
    let detour = free_address();
    cluster.lead_through(3, detour);
    cluster.node_mut(2).arguments = vec!["--log.level".to_owned(), "debug".to_owned()];
    let [one, two, three] =
        [1, 2, 3].map(|id| arguments::of(cluster.node(id), &cluster.nodes, &options).join(" "));
    let at = |id: u16| cluster.node(id).cluster.to_string();
    for (id, text) in [(1, &one), (2, &two), (3, &three)] {
        let node = cluster.node(id);
        assert!(
            text.starts_with(&format!("serve --node.id {id} --node.name skein-{id} --data.dir ")),
            "{text}"
        );
        for part in [
            format!("--mqtt.listen {} --mqtt.ws_listen off", node.mqtt),
            format!("--http.listen {}", node.http),
            format!("--cluster.listen {}", node.cluster),
            "--cluster.secret quite a long secret".to_owned(),
            "--mqtt.durability memory".to_owned(),
        ] {
            assert!(text.contains(&part), "{part} in {text}");
        }
    }
    assert!(one.contains(&format!("--cluster.join {},{detour} ", at(2))), "{one}");
    assert!(
        three.contains(&format!("--cluster.advertise {detour} --cluster.join {},{} ", at(1), at(2))),
        "{three}"
    );
    assert!(!one.contains("advertise"));
    assert!(two.ends_with("--log.level debug") && !one.contains("--log.level"), "{two}");
    let alone = ClusterOptions { nodes: 1, ..ClusterOptions::default() };
    let cluster = Cluster::prepare("skein", &alone);
    let text = arguments::of(cluster.node(1), &cluster.nodes, &alone).join(" ");
    assert!(!text.contains("cluster.join") && !text.contains("cluster.secret"), "{text}");
}

#[test]
fn processes_are_started_paused_killed_and_started_again_in_the_same_place() {
    let directory = TestDirectory::create("cluster-program");
    let mut cluster = Cluster::prepare(program(&directory), &ClusterOptions::default());
    cluster.launch(1);
    cluster.launch(2);
    let line = cluster.node(1).server().wait_for_line("serve --node.id 1");
    let pid = cluster.node(1).pid();
    assert_eq!(cluster.awake(), [1, 2]);
    let state = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())
    };
    cluster.stop_signal(1);
    wait_until("it stands still", DEADLINE, || state(pid) == Some('T'));
    assert_eq!(cluster.awake(), [2]);
    cluster.continue_signal(1);
    wait_until("it goes on", DEADLINE, || state(pid) != Some('T'));
    assert_eq!(cluster.awake(), [1, 2]);
    cluster.stop_signal(1);
    cluster.kill(1);
    assert!(!cluster.node_mut(1).is_running() && cluster.node_mut(2).is_running());
    cluster.launch(1);
    assert_eq!(cluster.node(1).server().wait_for_line("serve --node.id 1"), line, "the same arguments");
    assert_ne!(cluster.node(1).pid(), pid);
    cluster.terminate(2);
    assert_eq!(cluster.awake(), [1]);
    let added = cluster.prepare_node();
    cluster.launch(added);
    let line = cluster.node(added).server().wait_for_line("serve --node.id 4");
    let others = [1, 2, 3].map(|id| cluster.node(id).cluster.to_string()).join(",");
    assert!(line.contains(&others), "{line}");
}

#[test]
fn members_are_waited_for_until_every_node_agrees() {
    let cluster = Cluster::prepare("skein", &ClusterOptions { nodes: 2, ..ClusterOptions::default() });
    assert!(cluster.node(1).members().unwrap_err().contains("cannot connect"));
    let [one, two] = [1, 2].map(|id| {
        let body = Arc::new(Mutex::new(nodes(&[(1, "up"), (2, "up")])));
        answer(cluster.node(id).http, &body);
        body
    });
    cluster.wait_for_members(&[1, 2], &[2, 1]);
    *two.lock() = nodes(&[(1, "up"), (2, "up"), (3, "up")]);
    let up = BTreeSet::from([1, 2]);
    let difference = cluster.difference(&[1, 2], &up).unwrap();
    assert!(difference.starts_with("node 2 reports 1 Up"), "{difference}");
    *two.lock() = nodes(&[(1, "up"), (2, "up"), (3, "leaving"), (4, "down")]);
    assert_eq!(cluster.difference(&[1, 2], &up), None, "who leaves or is down is not up");
    *one.lock() = "not JSON".to_owned();
    let difference = cluster.difference(&[1], &up).unwrap();
    assert!(difference.contains("node 1 gives no answer: no JSON"), "{difference}");
    assert_eq!(cluster.node(2).get("/elsewhere").unwrap().0, 404);
}

#[test]
fn nodes_on_a_network_have_a_host_each() {
    let Some(network) = Network::for_test("nodes_on_a_network_have_a_host_each", 2) else { return };
    let directory = TestDirectory::create("cluster-hosts");
    let options = ClusterOptions { nodes: 2, ..ClusterOptions::default() };
    let mut cluster = Cluster::prepare_on(Some(network), program(&directory), &options);
    cluster.launch(2);
    let line = cluster.node(2).server().wait_for_line("serve --node.id 2");
    assert!(line.contains("--cluster.listen 10.77.0.2:5777 --cluster.join 10.77.0.1:5777"), "{line}");
    let body = Arc::new(Mutex::new(nodes(&[(2, "up")])));
    let address = cluster.node(2).http;
    cluster.node(2).inside(|| answer(address, &body));
    cluster.wait_for_members(&[2], &[2]);
    assert!(cluster.node(1).members().is_err(), "nobody answers on the other host");
    assert_eq!(cluster.network().hosts().len(), 2);
}
