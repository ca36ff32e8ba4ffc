//! A client that is asked to leave goes when everything it has sent is answered, not before.

use skein_types::ClientId;

use crate::fixture::Server;

#[test]
fn what_is_in_hand_is_acknowledged_before_the_client_is_sent_away() {
    let server = Server::start();
    let _subscriber = server.kept_subscriber("s", "t", "01");
    let mut publisher = server.v5("p");
    let mut hold = server.hold();
    publisher.send(r#"32 [ "t" 0001 00 'x' ] 32 [ "t" 0002 00 'y' ]"#);
    hold.handled();
    let session = server.plane.sessions().get(&ClientId::new("p")).unwrap();
    assert!(session.ask_to_leave(skein_types::Code::ServerShuttingDown));
    hold.ping();
    assert!(!publisher.has_received() && session.is_connected());
    drop(hold);
    publisher.expect("40 [ 0001 ]");
    publisher.expect("40 [ 0002 ]");
    publisher.expect("e0 [ 8b * ]");
    publisher.expect_closed();
}
