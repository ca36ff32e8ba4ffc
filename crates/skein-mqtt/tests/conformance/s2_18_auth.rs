//! 2.18 Enhanced authentication: SCRAM-SHA-256, on connecting and again later, and every wrong step.
//!
//! The client's side is written here after RFC 5802 section 3, so that it shares no code with the server's.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use skein_access::{AccessList, Anonymous, new_scram_keys};
use skein_mqtt::Settings;
use skein_testkit::RawClient;

use crate::statements::fixture::{Server, expect_refusal};

const METHOD: &str = r#"15 "SCRAM-SHA-256""#;
const FIRST: &str = "n,,n=ann,r=clientnonce";
const PASSWORD: &str = "secret";

fn server() -> Server {
    server_with(|_| {})
}

fn server_with(change: impl FnOnce(&mut Settings)) -> Server {
    let keys = |password| new_scram_keys(password, 4096).unwrap().to_text();
    let file = format!(
        "[[users]]\nname = 'ann'\nscram = '{}'\n[[users]]\nname = 'bob'\nscram = '{}'\n[[rules]]\nallow = true\nfilters = ['u/%u/#']\n",
        keys(PASSWORD),
        keys(PASSWORD)
    );
    Server::start_as(AccessList::parse(&file).unwrap(), Anonymous::Never, change)
}

/// A binary property value: two bytes of length and the bytes.
fn data(bytes: &str) -> String {
    format!(r#"16 "{bytes}""#)
}

fn auth(reason: &str, bytes: &str) -> String {
    format!("f0 [ {reason} [ {METHOD} {} ] ]", data(bytes))
}

fn mac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// What a client answers to the server's first message, and what it then expects of the server.
struct Proof {
    client_final: String,
    server_final: String,
}

fn prove(first: &str, server_first: &str, password: &str) -> Proof {
    let field =
        |name: &str| server_first.split(',').find_map(|field| field.strip_prefix(name)).unwrap().to_owned();
    let salt = BASE64_STANDARD.decode(field("s=")).unwrap();
    let iterations = field("i=").parse().unwrap();
    let salted = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), &salt, iterations);
    let client_key = mac(&salted, b"Client Key");
    let bare = first.strip_prefix("n,,").unwrap();
    let without_proof = format!("c=biws,r={}", field("r="));
    let auth_message = format!("{bare},{server_first},{without_proof}");
    let signature = mac(&Sha256::digest(client_key), auth_message.as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, sign)| key ^ sign).collect();
    let verifier = mac(&mac(&salted, b"Server Key"), auth_message.as_bytes());
    Proof {
        client_final: format!("{without_proof},p={}", BASE64_STANDARD.encode(proof)),
        server_final: format!("v={}", BASE64_STANDARD.encode(verifier)),
    }
}

/// Reads an AUTH 0x18 and gives its data.
#[track_caller]
fn challenge(client: &mut RawClient) -> String {
    let packet = client.expect(&format!("f0 [ 18 [ {METHOD} 16 * ] ]"));
    // Fixed header, reason, length, method, property id and length of the data.
    let at = packet.windows(2).position(|pair| pair == b"r=").unwrap();
    String::from_utf8(packet[at..].to_vec()).unwrap()
}

#[track_caller]
fn start(server: &Server, first: &str) -> (RawClient, String) {
    let mut client = server.raw();
    client.send(&format!(r#"10 [ "MQTT" 05 02 0000 [ {METHOD} {} ] "c" ]"#, data(first)));
    let server_first = challenge(&mut client);
    assert!(server_first.starts_with("r=clientnonce"));
    (client, server_first)
}

/// A client that has proved to be ann.
#[track_caller]
fn opened(server: &Server) -> RawClient {
    let (mut client, server_first) = start(server, FIRST);
    let proof = prove(FIRST, &server_first, PASSWORD);
    client.send(&auth("18", &proof.client_final));
    // MQTT-4.12.0-5: the method, and here the server's own proof, come with the CONNACK.
    client.expect(&format!(
        "20 [ 00 00 [ 21 0400 27 00040000 22 0010 {METHOD} {} ] ]",
        data(&proof.server_final)
    ));
    client
}

#[test]
fn mqtt_4_12_0_2_scram_with_the_first_message_in_the_connect() {
    let server = server();
    let mut client = opened(&server);
    // The rules of this user hold.
    client.dialogue(
        r#"> 82 [ 0001 00 "u/ann/x" 00 "u/bob/x" 00 ]
           < 90 [ 0001 00 00 87 ]"#,
    );
}

#[test]
fn mqtt_4_12_0_3_scram_with_the_first_message_in_an_auth() {
    let server = server();
    let mut client = server.raw();
    client.send(&format!(r#"10 [ "MQTT" 05 02 0000 [ {METHOD} ] "c" ]"#));
    client.expect(&format!("f0 [ 18 [ {METHOD} ] ]"));
    client.send(&auth("18", FIRST));
    let proof = prove(FIRST, &challenge(&mut client), PASSWORD);
    client.send(&auth("18", &proof.client_final));
    client.expect("20 [ 00 00 * ]");
    client.expect_nothing();
}

#[test]
fn mqtt_4_12_0_1_unsupported_methods_are_refused() {
    let server = server();
    for method in ["SCRAM-SHA-1", "scram-sha-256", "GS2-KRB5", ""] {
        let mut client = server.raw();
        client.send(&format!(r#"10 [ "MQTT" 05 02 0000 [ 15 "{method}" ] "c" ]"#));
        client.expect("20 [ 00 8c * ]");
        client.expect_closed();
    }
    // Channel binding is asked for that plain TCP has not.
    let mut client = server.raw();
    let first = data("p=tls-exporter,,n=ann,r=clientnonce");
    client.send(&format!(r#"10 [ "MQTT" 05 02 0000 [ {METHOD} {first} ] "c" ]"#));
    client.expect("20 [ 00 8c * ]");
    client.expect_closed();
    // A server without SCRAM users.
    let server = Server::start();
    let mut client = server.raw();
    client.send(&format!(r#"10 [ "MQTT" 05 02 0000 [ {METHOD} {} ] "c" ]"#, data(FIRST)));
    client.expect("20 [ 00 8c * ]");
}

#[test]
fn an_address_that_fails_to_prove_itself_is_slowed() {
    // Shorter than the wait between two tries, so that who has to wait is told at once.
    let server = server_with(|settings| settings.listener.connect_timeout = Duration::from_millis(900));
    let fail = |expected: &str| {
        let (mut client, server_first) = start(&server, FIRST);
        client.send(&auth("18", &prove(FIRST, &server_first, "wrong").client_final));
        client.expect(expected);
    };
    for _free in 0..10 {
        fail("20 [ 00 86 * ]");
    }
    fail("20 [ 00 86 * ]");
    // Connection rate exceeded.
    fail("20 [ 00 9f * ]");
}

#[test]
fn mqtt_4_12_0_wrong_proofs_are_refused() {
    let server = server();
    for (first, password) in [(FIRST, "wrong"), ("n,,n=nobody,r=clientnonce", PASSWORD)] {
        let (mut client, server_first) = start(&server, first);
        client.send(&auth("18", &prove(first, &server_first, password).client_final));
        client.expect("20 [ 00 86 * ]");
        client.expect_closed();
    }
    // A proof of an earlier exchange.
    let (_, server_first) = start(&server, FIRST);
    let replayed = prove(FIRST, &server_first, PASSWORD);
    let (mut client, _) = start(&server, FIRST);
    client.send(&auth("18", &replayed.client_final));
    client.expect("20 [ 00 86 * ]");
    client.expect_closed();
    assert!(server.session("c").is_none());
}

#[test]
fn mqtt_4_12_0_malformed_messages_are_refused() {
    let server = server();
    for first in ["", "n,,n=ann", "x,,n=ann,r=a", "n,,m=1,n=ann,r=a", "n,,n=ann,r=", "n,a=bob,n=ann,r=a"] {
        let mut client = server.raw();
        client.send(&format!(r#"10 [ "MQTT" 05 02 0000 [ {METHOD} {} ] "c" ]"#, data(first)));
        let (kind, body) = client.read_packet();
        assert_eq!((kind, body[0]), (0x20, 0), "{first}");
        assert!(body[1] >= 0x80, "{first}: {:02x}", body[1]);
        client.expect_closed();
    }
    for last in ["", "c=biws", "c=biws,r=x,p=AA==", "nonsense"] {
        let (mut client, _) = start(&server, FIRST);
        client.send(&auth("18", last));
        let (kind, body) = client.read_packet();
        assert_eq!((kind, body[0]), (0x20, 0), "{last}");
        assert!(body[1] >= 0x80, "{last}: {:02x}", body[1]);
        client.expect_closed();
    }
}

/// MQTT-3.1.2-30 and the other wrong steps before the CONNACK.
#[test]
fn mqtt_3_1_2_30_only_auth_and_disconnect_before_success() {
    let server = server();
    for (what, packet) in [
        ("PINGREQ", "c0 00".to_owned()),
        ("PUBLISH", r#"30 [ "u/ann/x" 00 'x' ]"#.to_owned()),
        ("SUBSCRIBE", r#"82 [ 0001 00 "u/ann/x" 00 ]"#.to_owned()),
        ("a second CONNECT", r#"10 [ "MQTT" 05 02 0000 00 "c" ]"#.to_owned()),
        ("re-authentication", auth("19", FIRST)),
        ("success from the client", auth("00", "x")),
        // MQTT-4.12.0-5.
        ("another method", r#"f0 [ 18 [ 15 "PLAIN" ] ]"#.to_owned()),
        // MQTT-4.12.0-6 and section 3.15.2.2.2.
        ("no method", "f0 [ 18 00 ]".to_owned()),
        ("nothing at all", "f0 00".to_owned()),
    ] {
        println!("{what}");
        let (mut client, _) = start(&server, FIRST);
        client.send(&packet);
        client.expect("20 [ 00 82 * ]");
        client.expect_closed();
        assert_eq!(server.ledger().accepted, 0);
    }
    // A DISCONNECT is allowed and ends it without a word.
    let (mut client, _) = start(&server, FIRST);
    client.send("e0 00");
    client.expect_closed();
}

#[test]
fn mqtt_4_12_1_1_reauthentication_while_messages_flow() {
    let server = server();
    let mut client = opened(&server);
    client.dialogue(
        r#"> 82 [ 0001 00 "u/ann/x" 00 ]
           < 90 [ 0001 00 00 ]"#,
    );
    // Twice, once with the first message in the first AUTH and once without.
    for first_in_auth in [true, false] {
        if first_in_auth {
            client.send(&auth("19", FIRST));
        } else {
            client.send(&format!("f0 [ 19 [ {METHOD} ] ]"));
            client.expect(&format!("f0 [ 18 [ {METHOD} ] ]"));
            client.send(&auth("18", FIRST));
        }
        let proof = prove(FIRST, &challenge(&mut client), PASSWORD);
        // MQTT 5.0 section 4.12.1: other packets go on meanwhile.
        client.send(r#"30 [ "u/ann/x" 00 'x' ]"#);
        client.expect(r#"30 [ "u/ann/x" 00 'x' ]"#);
        client.send(&auth("18", &proof.client_final));
        client.expect(&format!("f0 [ 00 [ {METHOD} {} ] ]", data(&proof.server_final)));
    }
    client.expect_nothing();
}

/// MQTT-4.12.1-2: a failure ends the connection.
#[test]
fn mqtt_4_12_1_2_a_failed_reauthentication_disconnects() {
    let server = server();
    let mut client = opened(&server);
    client.send(&auth("19", FIRST));
    let proof = prove(FIRST, &challenge(&mut client), "wrong");
    client.send(&auth("18", &proof.client_final));
    expect_refusal(&mut client, "86");
    // Another user's right proof is no proof for this connection.
    let mut client = opened(&server);
    let other = "n,,n=bob,r=clientnonce";
    client.send(&auth("19", other));
    let proof = prove(other, &challenge(&mut client), PASSWORD);
    client.send(&auth("18", &proof.client_final));
    expect_refusal(&mut client, "87");
}

#[test]
fn mqtt_4_12_1_1_wrong_steps_of_reauthentication_disconnect() {
    let server = server();
    for (what, packets) in [
        ("continue without a start", vec![auth("18", FIRST)]),
        ("success from the client", vec![auth("00", FIRST)]),
        ("another method", vec![r#"f0 [ 19 [ 15 "PLAIN" ] ]"#.to_owned()]),
        ("no method", vec!["f0 [ 19 00 ]".to_owned()]),
        ("a start within one", vec![auth("19", FIRST), auth("19", FIRST)]),
    ] {
        println!("{what}");
        let mut client = opened(&server);
        let steps = packets.len();
        for packet in packets {
            client.send(&packet);
        }
        if steps > 1 {
            challenge(&mut client);
        }
        expect_refusal(&mut client, "82");
    }
}

/// MQTT-4.12.0-6 and -7: without a method in the CONNECT there is no AUTH in either direction.
#[test]
fn mqtt_4_12_0_7_no_auth_without_a_method_in_the_connect() {
    let server = Server::start();
    let mut client = server.v5("c");
    client.send(&auth("19", FIRST));
    expect_refusal(&mut client, "82");
}

/// An exchange that never ends is cut by the connect timeout.
#[test]
fn an_unfinished_exchange_ends_with_the_connect_timeout() {
    let keys = new_scram_keys(PASSWORD, 4096).unwrap().to_text();
    let file = format!("[[users]]\nname = 'ann'\nscram = '{keys}'\n");
    let server = Server::start_as(AccessList::parse(&file).unwrap(), Anonymous::Never, |settings| {
        settings.listener.connect_timeout = std::time::Duration::from_millis(300);
    });
    let (mut client, _) = start(&server, FIRST);
    if let Some((first, body)) = client.read_packet_or_close() {
        assert!(first == 0x20 && body[1] >= 0x80);
        client.expect_closed();
    }
}

/// MQTT-3.1.2-24: a client that has no room for the challenge cannot be let in.
#[test]
fn mqtt_3_1_2_24_an_auth_stays_within_the_clients_packet_size() {
    let server = server();
    for (bytes_max, answer) in [("00000028", "20 [ 00 83 * ]"), ("00000100", "f0 [ 18 * ]")] {
        let mut client = server.raw();
        let properties = format!("27 {bytes_max} {METHOD} {}", data(FIRST));
        client.send(&format!(r#"10 [ "MQTT" 05 02 0000 [ {properties} ] "c" ]"#));
        let packet = client.expect(answer);
        assert!(packet.len() <= usize::from_str_radix(bytes_max, 16).unwrap());
    }
}
