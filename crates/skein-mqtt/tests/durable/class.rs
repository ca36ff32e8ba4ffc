//! Where a session is kept: the listener says, the client may say otherwise, and may change its mind.

use skein_plane::Durability;

use crate::fixture::{Server, Start};

const DISK: &str = r#"11 00000e10 26 "durability" "disk""#;
const MEMORY: &str = r#"11 00000e10 26 "durability" "memory""#;

#[test]
fn a_client_overrides_its_listener() {
    for (listener, expect) in [(Durability::Disk, true), (Durability::Memory, false)] {
        let mut start = Start::default();
        start.settings.durability = listener;
        let server = Server::start_with(start);
        let cases = [("plain", "11 00000e10", expect), ("disk", DISK, true), ("memory", MEMORY, false)];
        for (client_id, properties, expect) in cases {
            let mut client = server.connect_with(client_id, properties);
            client.expect("20 [ 00 00 * ]");
            assert_eq!(server.is_kept(client_id), expect, "{client_id} through {listener:?}");
        }
        // What ends with its connection is never kept.
        server.connect_with("short", r#"26 "durability" "disk""#).expect("20 [ 00 00 * ]");
        assert!(!server.is_kept("short"));
        let server = server.restart();
        for (client_id, properties, expect) in cases {
            let mut client = server.connect_with(client_id, properties);
            client.expect(if expect { "20 [ 01 00 * ]" } else { "20 [ 00 00 * ]" });
        }
    }
}

/// Memory, disk and memory again: messages, ids and subscriptions stay, rows go.
#[test]
fn a_session_that_changes_its_class_keeps_what_it_has() {
    let server = Server::start();
    let mut client = server.connect_with("c", MEMORY);
    client.expect("20 [ 00 00 * ]");
    client.send(r#"82 [ 0001 00 "t" 02 ]"#);
    client.expect("90 [ 0001 00 02 ]");
    client.send(r#"34 [ "u" 0009 00 'mine' ]"#);
    client.expect("50 [ 0009 10 ]");
    let mut publisher = server.v5("p");
    let mut publish = |id: u8| {
        publisher.send(&format!(r#"34 [ "t" 00{id:02x} 00 '{id}' ] 62 [ 00{id:02x} ]"#));
        publisher.expect(&format!("50 [ 00{id:02x} ]"));
        publisher.expect(&format!("70 [ 00{id:02x} ]"));
    };
    publish(1);
    publish(2);
    client.expect(r#"34 [ "t" 0001 00 '1' ]"#);
    client.expect(r#"34 [ "t" 0002 00 '2' ]"#);
    client.send("50 [ 0001 ]");
    client.expect("62 [ 0001 ]");
    drop(client);
    server.wait_away("c");
    publish(3);
    assert_eq!(server.rows(), 0);

    let mut client = server.connect_with("c", DISK);
    client.expect("20 [ 01 00 * ]");
    // The session, its subscription, its id and three messages.
    assert_eq!(server.rows(), 6);
    client.expect("62 [ 0001 ]");
    client.expect(r#"3c [ "t" 0002 00 '2' ]"#);
    client.expect(r#"34 [ "t" 0003 00 '3' ]"#);
    drop(client);
    let server = server.restart();
    let mut client = server.connect_with("c", MEMORY);
    client.expect("20 [ 01 00 * ]");
    assert_eq!(server.rows(), 0);
    client.expect("62 [ 0001 ]");
    client.expect(r#"3c [ "t" 0002 00 '2' ]"#);
    client.expect(r#"3c [ "t" 0003 00 '3' ]"#);
    client.send(r#"70 [ 0001 ] 3c [ "u" 0009 00 'mine' ] 62 [ 0009 ]"#);
    client.expect("50 [ 0009 ]");
    client.expect("70 [ 0009 ]");
    client.send(r#"82 [ 0001 00 "t" 02 ]"#);
    client.expect("90 [ 0001 00 02 ]");
    client.expect_nothing();
    assert_eq!(server.rows(), 0);
}
