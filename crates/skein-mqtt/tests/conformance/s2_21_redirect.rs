//! 4.13: a server that is being emptied sends its clients to other servers.

use skein_types::{ClientId, Code};

use crate::statements::fixture::{Server, settle, subscribe};

/// MQTT-3.2.2-6 and section 3.2.2.3.16; 3.1.1 section 3.2.2.3 for the older versions.
#[test]
fn mqtt_4_13_new_clients_are_refused_with_another_server() {
    let server = Server::start();
    let redirect = server.redirect.clone();
    let mut stays = server.v5("stays");
    redirect.begin(&["other:1883".into()]);
    let mut v5 = server.raw();
    v5.send(r#"10 [ "MQTT" 05 02 0000 00 "v5" ]"#);
    v5.expect(r#"20 [ 00 9c [ 1c "other:1883" 1f "this server takes no new clients" ] ]"#);
    v5.expect_closed();
    for (version, name) in [("04", "MQTT"), ("03", "MQIsdp")] {
        let mut old = server.raw();
        old.send(&format!(r#"10 [ "{name}" {version} 02 0000 "old" ]"#));
        old.expect("20 02 00 03");
        old.expect_closed();
    }
    redirect.begin(&[]);
    let mut v5 = server.raw();
    v5.send(r#"10 [ "MQTT" 05 02 0000 00 "v5" ]"#);
    v5.expect("20 [ 00 89 * ]");
    // Who is there is not touched by that.
    stays.expect_nothing();
    redirect.end();
    drop(server.v5("v5"));
}

/// Sections 3.14.2.1 and 3.14.2.2.5.
#[test]
fn mqtt_4_13_connected_clients_are_asked_to_go_there() {
    let server = Server::start();
    let redirect = server.redirect.clone();
    let (mut v5, mut v4, mut small) = (server.v5("v5"), server.v4("v4"), server.raw());
    small.send(r#"10 [ "MQTT" 05 02 0000 [ 17 00 ] "small" ]"#);
    small.expect("20 [ 00 00 * ]");
    subscribe(&mut v5, "will", "00");
    redirect.begin(&["other:1883".into()]);
    let ask = |id: &str| {
        let session = server.plane.sessions().get(&ClientId::new(id)).unwrap();
        assert!(session.ask_to_leave(redirect.farewell()));
    };
    ask("v5");
    v5.expect(r#"e0 [ 9c [ 1c "other:1883" 1f "sent away by the server" ] ]"#);
    v5.expect_closed();
    ask("small");
    // MQTT-3.1.2-29: no words for who asked for none.
    small.expect(r#"e0 [ 9c [ 1c "other:1883" ] ]"#);
    small.expect_closed();
    settle(&mut v4);
    ask("v4");
    v4.expect_closed();
    redirect.begin(&[]);
    assert_eq!(redirect.farewell(), Code::ServerShuttingDown);
    assert_eq!(server.plane.sessions().connected(), 0);
}
