//! 2.17 Reason strings: only for who wants them, and only where there is room.

use crate::statements::fixture::Server;

#[test]
fn mqtt_3_1_2_29_without_problem_information_there_are_no_reason_strings() {
    let server = Server::with_access("[[rules]]\nallow = true\nactions = ['subscribe']\nfilters = ['a']\n");
    let mut client = server.v5_with("17 00", "c");
    // The acknowledgements here are exact: reason codes and nothing more.
    client.dialogue(
        r#"> 82 [ 0001 00 "a" 00 "b" 00 ]
           < 90 [ 0001 00 00 87 ]
           > a2 [ 0002 00 "b" ]
           < b0 [ 0002 00 11 ]
           > 32 [ "a" 0001 00 'x' ]
           < 40 [ 0001 87 ]
           > 34 [ "a" 0002 00 'x' ]
           < 50 [ 0002 87 ]
           > 62 [ 0002 ]
           < 70 [ 0002 92 ]
           > 50 [ 0003 ]
           < 62 [ 0003 92 ]
           > 00 00
           < e0 [ 81 ]
           < closed"#,
    );
}

#[test]
fn mqtt_3_1_2_29_with_problem_information_a_disconnect_says_why() {
    let server = Server::start();
    for properties in ["", "17 01"] {
        let mut client = server.v5_with(properties, "c");
        client.send("00 00");
        client.expect(r#"e0 [ 81 [ 1f * ] ]"#);
        client.expect_closed();
    }
}

/// A message's own user properties are no problem information (MQTT-3.1.2-29 names PUBLISH as the exception).
#[test]
fn mqtt_3_1_2_29_messages_keep_their_user_properties() {
    let server = Server::start();
    let mut client = server.v5_with("17 00", "c");
    client.dialogue(
        r#"> 82 [ 0001 00 "a" 00 ]
           < 90 [ 0001 00 00 ]
           > 30 [ "a" [ 26 "k" "v" ] 'x' ]
           < 30 [ "a" [ 26 "k" "v" ] 'x' ]"#,
    );
}

/// MQTT-3.14.2-3 and its like: what has no room is left out.
#[test]
fn mqtt_3_14_2_3_reason_strings_stay_within_the_clients_packet_size() {
    let server = Server::start();
    let mut client = server.v5_with("27 00000014", "c");
    client.send("00 00");
    client.expect("e0 [ 81 ]");
    client.expect_closed();
    // The same error with room for it.
    let mut client = server.v5_with("27 00000100", "c");
    client.send("00 00");
    client.expect("e0 [ 81 [ 1f * ] ]");
}

/// A SUBACK that is larger than the client takes cannot be sent at all (MQTT-3.1.2-24).
#[test]
fn mqtt_3_1_2_24_no_answer_is_larger_than_the_client_takes() {
    let server = Server::start();
    let mut client = server.v5_with("27 00000014", "c");
    let filters = r#""a" 00 "#.repeat(20);
    client.send(&format!("82 [ 0001 00 {filters} ]"));
    client.expect_nothing();
    // It is subscribed all the same.
    client.send(r#"30 [ "a" 00 'x' ]"#);
    client.expect(r#"30 [ "a" 00 'x' ]"#);
}
