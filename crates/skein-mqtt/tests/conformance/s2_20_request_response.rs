//! 2.20 Request and response: both sides of section 4.10 over the server.

use crate::statements::fixture::{Server, subscribe};

#[test]
fn mqtt_4_10_a_request_is_answered_through_its_response_topic() {
    let server = Server::start();
    let mut requester = server.raw();
    requester.send(r#"10 [ "MQTT" 05 02 0000 [ 19 01 ] "asks" ]"#);
    requester.expect(r#"20 [ 00 00 [ 21 0400 27 00040000 22 0010 1a "response/asks/" ] ]"#);
    subscribe(&mut requester, "response/asks/#", "01");
    let mut responder = server.subscriber("answers", "service/time", "01");
    requester.send(r#"32 [ "service/time" 0001 [ 08 "response/asks/1" 09 0004 deadbeef ] 'now?' ]"#);
    requester.expect("40 [ 0001 ]");
    responder.expect(r#"32 [ "service/time" 0001 [ 08 "response/asks/1" 09 0004 deadbeef ] 'now?' ]"#);
    responder.send(r#"32 [ "response/asks/1" 0001 [ 09 0004 deadbeef ] 'noon' ]"#);
    responder.expect("40 [ 0001 ]");
    requester.expect(r#"32 [ "response/asks/1" 0001 [ 09 0004 deadbeef ] 'noon' ]"#);
}

/// MQTT-3.3.2-15 and -16: as long as a string or data can be, and an empty correlation too.
#[test]
fn mqtt_3_3_2_16_long_and_empty_values_pass() {
    let server = Server::start();
    let mut client = server.subscriber("c", "a", "00");
    let topic = "r".repeat(65535);
    for properties in [format!(r#"08 "{topic}" 09 0000"#), format!("09 ffff {}", "ab".repeat(65535))] {
        client.send(&format!(r#"30 [ "a" [ {properties} ] 'x' ]"#));
        client.expect(&format!(r#"30 [ "a" [ {properties} ] 'x' ]"#));
    }
}
