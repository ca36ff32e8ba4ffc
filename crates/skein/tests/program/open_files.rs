//! A node whose file descriptors are all taken by strangers.

use std::{
    fs,
    io::Read,
    net::{SocketAddr, TcpStream},
    process::Command,
};

use skein_testkit::{DEADLINE, RawClient, Server, TestDirectory, bytes, open_files, wait_until};

use crate::node::skein;

/// Files the node may have open.
const OPEN_FILES: usize = 128;
/// Bytes of a message: enough of them fill the first segments of the log, of one and four MiB, within the test.
const MESSAGE_BYTES: usize = 64 << 10;
const MESSAGES: u16 = 120;

/// A node under a low limit with two listeners.
fn start(directory: &TestDirectory) -> (Server, [SocketAddr; 2]) {
    let program = skein();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {OPEN_FILES}; exec \"$0\" \"$@\"")]).arg(program.get_program());
    command.args(["serve", "--mqtt.listen", "127.0.0.1:0,127.0.0.1:0", "--mqtt.ws_listen", "off"]);
    command.args(["--http.listen", "off", "--mqtt.connect_timeout", "1h", "--mqtt.max_connections", "1000"]);
    command.args(["--mqtt.queue_bytes_max", "64MiB"]).current_dir(directory.path());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let server = Server::start("skein", &mut command);
    let (next, first) = server.wait_for_line_from(0, "listening on tcp://");
    let (_, second) = server.wait_for_line_from(next, "listening on tcp://");
    server.wait_for_line("skein: ready");
    let address = |line: String| line.split_once("://").unwrap().1.parse().unwrap();
    (server, [address(first), address(second)])
}

fn publish(publisher: &mut RawClient, number: u16) {
    let mut packet = bytes(&format!(r#""a" {number:04x}"#));
    packet.extend(number.to_be_bytes());
    packet.resize(MESSAGE_BYTES, b'x');
    let mut sent = vec![0x32, 0x80 | (packet.len() & 0x7f) as u8];
    sent.extend([0x80 | ((packet.len() >> 7) & 0x7f) as u8, (packet.len() >> 14) as u8]);
    sent.extend(packet);
    publisher.send_bytes(&sent);
    publisher.expect(&format!("40 02 {number:04x}"));
}

/// A session that stays: MQTT 3.1.1 without clean session.
fn away(address: SocketAddr) -> RawClient {
    let mut client = RawClient::connect(address);
    client.send(r#"10 [ "MQTT" 04 00 0000 "away" ]"#);
    client
}

fn lower_limit(pid: u32, open_files: usize) {
    let status = Command::new("prlimit")
        .args(["--pid", &pid.to_string(), &format!("--nofile={open_files}:{OPEN_FILES}")])
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn strangers_that_take_all_descriptors_neither_stop_the_node_nor_lose_what_was_acknowledged() {
    let directory = TestDirectory::create("open-files");
    let (mut server, addresses) = start(&directory);
    let mut subscriber = away(addresses[0]);
    subscriber.expect("20 02 00 00");
    subscriber.send(r#"82 [ 0001 "a" 01 ]"#);
    subscriber.expect("90 03 0001 01");
    subscriber.send("e0 00");
    subscriber.expect_closed();
    let mut publisher = RawClient::open_v4(addresses[0], "publisher");
    publish(&mut publisher, 1);

    // The node itself leaves room; what it counts on is taken away.
    let limit = open_files(server.pid()) + 20;
    lower_limit(server.pid(), limit);
    let strangers: Vec<TcpStream> =
        (0..2 * OPEN_FILES).map(|number| TcpStream::connect(addresses[number % 2]).unwrap()).collect();
    wait_until("no descriptor is left", DEADLINE, || open_files(server.pid()) >= limit);
    server.wait_for_line("mqtt: cannot accept; raise the limit of open files");
    let segments = || fs::read_dir(directory.path().join("data/store")).unwrap().count();
    let before = segments();
    for number in 2..=MESSAGES {
        publish(&mut publisher, number);
    }
    assert!(segments() > before, "the log needed new files");
    assert!(server.is_running());
    drop(strangers);
    let mut another = None;
    wait_until("another client is let in", DEADLINE, || {
        // Strangers that are gone may still have places until the node has seen that.
        let mut client = RawClient::connect(addresses[1]);
        let sent = client.try_send_bytes(&bytes(r#"10 [ "MQTT" 04 02 0000 "another" ]"#));
        another = (sent && client.read_packet_or_close().is_some()).then_some(client);
        another.is_some()
    });
    publish(&mut another.unwrap(), MESSAGES + 1);
    server.kill();

    let (_server, addresses) = start(&directory);
    let mut subscriber = away(addresses[0]);
    subscriber.expect("20 02 01 00");
    for number in 1..=MESSAGES + 1 {
        let (_, body) = subscriber.read_packet();
        assert_eq!(body.get(5..7), Some(&number.to_be_bytes()[..]));
        let id = body.get(3..5).unwrap();
        subscriber.send_bytes(&[&[0x40, 2], id].concat());
    }
}

#[test]
fn connections_of_all_listeners_leave_room_for_the_node_itself() {
    let directory = TestDirectory::create("open-files");
    let (server, addresses) = start(&directory);
    assert!(server.lines().iter().any(|line| line.contains("allows fewer connections")), "1000 is more");
    let mut strangers: Vec<TcpStream> =
        (0..2 * OPEN_FILES).map(|number| TcpStream::connect(addresses[number % 2]).unwrap()).collect();
    // The last one of each listener is turned away, so all before it were looked at.
    for mut last in strangers.split_off(strangers.len() - 2) {
        assert_eq!(last.read(&mut [0]).unwrap(), 0);
    }
    let open = open_files(server.pid());
    assert!((OPEN_FILES / 4..OPEN_FILES * 3 / 4).contains(&open), "{open}");
}
