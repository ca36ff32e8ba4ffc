//! WebSocket: handshakes good and bad, packets and frames that do not line up, and clients that break RFC 6455.

use std::{collections::VecDeque, sync::atomic::Ordering::Relaxed, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use skein_access::{AccessList, Anonymous};
use skein_door::{ClientCertificates, Demand, ListenerSettings, TlsSource, Transport, WebSocketIo};
use skein_mqtt::codec::{Packet, ReasonCode, decode};
use skein_testkit::RawClient;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        handshake::client::Response,
        http::{HeaderValue, StatusCode},
        protocol::frame::{
            Frame,
            coding::{CloseCode, Data, OpCode},
        },
    },
};

use crate::{
    client::{CONTEXT, Client, connect, encoded, publish, subscribe, within_deadline},
    server::{PACKET_BYTES_MAX, Server, settings, with_timeout},
    tls::{Pki, client_config, dial},
};

/// What the server does next.
#[derive(Debug, PartialEq)]
enum Event {
    Packet(Packet),
    Pong(Bytes),
    /// A close frame, or the end without one.
    Closed(Option<CloseCode>),
}

struct WsClient<S> {
    socket: WebSocketStream<S>,
    unread: BytesMut,
    /// Lengths of the frames received.
    frames: Vec<usize>,
}

async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    subprotocols: &[&str],
) -> Result<(WsClient<S>, Response), Error> {
    let mut request = "ws://localhost/any/path?at=all".into_client_request()?;
    for offered in subprotocols {
        request.headers_mut().append("Sec-WebSocket-Protocol", HeaderValue::from_str(offered)?);
    }
    let (socket, response) = within_deadline(client_async(request, stream)).await?;
    Ok((WsClient { socket, unread: BytesMut::new(), frames: Vec::new() }, response))
}

async fn dial_ws(server: &Server) -> WsClient<TcpStream> {
    let stream = TcpStream::connect(server.address).await.unwrap();
    upgrade(stream, &["mqtt"]).await.unwrap().0
}

impl<S: AsyncRead + AsyncWrite + Unpin> WsClient<S> {
    async fn open(mut self, client_id: &str) -> Self {
        self.send(&encoded(&connect(client_id))).await;
        self.expect_connack().await;
        self
    }

    async fn expect_connack(&mut self) {
        match self.next().await {
            Event::Packet(Packet::ConnAck(connack)) => assert_eq!(connack.reason, ReasonCode::Success),
            other => panic!("not let in: {other:?}"),
        }
    }

    async fn expect_suback(&mut self) {
        match self.next().await {
            Event::Packet(Packet::SubAck(suback)) => assert_eq!(suback.reasons, [ReasonCode::GrantedQos1]),
            other => panic!("no SUBACK: {other:?}"),
        }
    }

    async fn expect_publish(&mut self, payload: &[u8]) {
        match self.next().await {
            Event::Packet(Packet::Publish(publish)) => assert!(publish.payload == payload),
            other => panic!("no PUBLISH: {other:?}"),
        }
    }

    /// Sends one binary message.
    async fn send(&mut self, bytes: &[u8]) {
        let message = Message::Binary(Bytes::copy_from_slice(bytes));
        within_deadline(self.socket.send(message)).await.unwrap();
    }

    async fn send_frame(&mut self, payload: &[u8], code: OpCode, is_final: bool) {
        let frame = Frame::message(Bytes::copy_from_slice(payload), code, is_final);
        within_deadline(self.socket.send(Message::Frame(frame))).await.unwrap();
    }

    /// Sends bytes below the WebSocket; whether the server still took them.
    async fn send_raw(&mut self, bytes: &[u8]) -> bool {
        within_deadline(self.socket.get_mut().write_all(bytes)).await.is_ok()
    }

    async fn next(&mut self) -> Event {
        loop {
            let mut bytes = Bytes::copy_from_slice(&self.unread);
            if let Some(packet) = decode(&mut bytes, &CONTEXT).expect("the server sends packets") {
                self.unread = BytesMut::from(&bytes[..]);
                return Event::Packet(packet);
            }
            match within_deadline(self.socket.next()).await {
                Some(Ok(Message::Binary(bytes))) => {
                    self.frames.push(bytes.len());
                    self.unread.extend_from_slice(&bytes);
                }
                Some(Ok(Message::Pong(payload))) => return Event::Pong(payload),
                Some(Ok(Message::Close(frame))) => return Event::Closed(frame.map(|frame| frame.code)),
                None | Some(Err(_)) => return Event::Closed(None),
                other => panic!("a server sends no {other:?}"),
            }
        }
    }

    /// Expects the close frame, and before it the DISCONNECT that a session of version 5 gets.
    async fn expect_fault(&mut self, reason: ReasonCode, code: CloseCode) {
        match self.next().await {
            Event::Packet(Packet::Disconnect(disconnect)) => assert_eq!(disconnect.reason, reason),
            other => panic!("no DISCONNECT: {other:?}"),
        }
        assert_eq!(self.next().await, Event::Closed(Some(code)));
    }
}

const BINARY: OpCode = OpCode::Data(Data::Binary);
const CONTINUE: OpCode = OpCode::Data(Data::Continue);

/// A frame of a client with a mask of zeros, so that its payload is what it looks like.
fn raw_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126);
    let mut frame = match length {
        Some(length) => vec![first, 0x80 | length],
        None => {
            let [high, low] = u16::try_from(payload.len()).unwrap().to_be_bytes();
            vec![first, 0x80 | 126, high, low]
        }
    };
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

fn server() -> Server {
    Server::start(Transport::WebSocket)
}

#[tokio::test]
async fn a_session_over_websocket_from_open_to_close() {
    let server = server();
    let mut client = dial_ws(&server).await.open("c").await;
    client.send(&encoded(&subscribe("a/#"))).await;
    client.expect_suback().await;
    client.send(&encoded(&publish("a/b", b"hello"))).await;
    client.expect_publish(b"hello").await;
    client.socket.send(Message::Ping(Bytes::from_static(b"there?"))).await.unwrap();
    assert_eq!(client.next().await, Event::Pong(Bytes::from_static(b"there?")));
    server.wait_for_open(1);
    // The client's close frame is answered and the server closes first (RFC 6455 section 7.1.1).
    client.socket.close(None).await.unwrap();
    assert_eq!(client.next().await, Event::Closed(None));
    assert_eq!(within_deadline(client.socket.get_mut().read(&mut [0; 8])).await.unwrap(), 0);
    server.wait_for_open(0);
}

#[tokio::test]
async fn the_server_closes_with_a_close_frame_after_disconnect() {
    let server = server();
    let mut client = dial_ws(&server).await.open("c").await;
    client.send(&[0xe0, 0x00]).await;
    assert_eq!(client.next().await, Event::Closed(Some(CloseCode::Normal)));
    assert_eq!(client.next().await, Event::Closed(None));
    server.wait_for_open(0);
}

#[tokio::test]
async fn a_client_that_is_gone_without_a_close_frame_is_noticed() {
    let server = server();
    let client = dial_ws(&server).await.open("c").await;
    drop(client);
    server.wait_for_open(0);
}

#[test]
fn the_subprotocol_is_chosen_among_those_offered() {
    let server = server();
    for (offered, chosen) in [
        (&["mqtt"][..], "mqtt"),
        (&["mqttv3.1"], "mqttv3.1"),
        (&["mqttv3.1, mqtt"], "mqtt"),
        (&["other", "x,mqtt ,y"], "mqtt"),
    ] {
        let mut client = RawClient::connect(server.address);
        client.send_bytes(b"GET /any HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n");
        client.send_bytes(b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
        for offered in offered {
            client.send_bytes(format!("Sec-WebSocket-Protocol: {offered}\r\n").as_bytes());
        }
        client.send_bytes(b"\r\n");
        // The key and its answer are those of RFC 6455 section 1.3.
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nsec-websocket-protocol: {chosen}\r\n\r\n"
        );
        client.expect_bytes(answer.as_bytes());
        client.send_bytes(&raw_frame(0x82, &encoded(&connect("c"))));
        client.expect_bytes(&[0x82]);
    }
}

#[tokio::test]
async fn a_wrong_or_missing_subprotocol_is_refused_with_a_text() {
    let server = server();
    for offered in [&[][..], &["MQTT"], &["amqp, xmpp"]] {
        let stream = TcpStream::connect(server.address).await.unwrap();
        match upgrade(stream, offered).await.map(|_| ()) {
            Err(Error::Http(response)) => {
                assert_eq!(response.status(), StatusCode::BAD_REQUEST);
                let text = String::from_utf8(response.body().clone().unwrap_or_default()).unwrap();
                assert!(text.contains("subprotocol \"mqtt\""), "{text}");
            }
            other => panic!("not refused: {other:?}"),
        }
    }
    server.wait_for_open(0);
}

#[test]
fn what_is_no_websocket_is_refused_with_a_text() {
    let server = server();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: mqtt\r\n";
    for request in [
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "POST / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\n{upgrade}Sec-WebSocket-Version: 8\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{upgrade}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n"),
        "\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00".to_owned(),
        format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(80_000)),
        format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(1000)),
    ] {
        let mut client = RawClient::connect(server.address);
        client.try_send_bytes(request.as_bytes());
        client.expect_bytes(b"HTTP/1.1 400 Bad Request\r\n");
    }
    server.wait_for_open(0);
}

#[test]
fn a_handshake_that_does_not_end_is_ended() {
    let settings = with_timeout(Duration::from_millis(200));
    let server = Server::start_with(Transport::WebSocket, settings, AccessList::open(), Anonymous::Always);
    let mut silent = RawClient::connect(server.address);
    let mut halting = RawClient::connect(server.address);
    halting.send_bytes(b"GET / HTTP/1.1\r\nHost");
    silent.expect_closed();
    halting.expect_closed();
    server.wait_for_open(0);
}

/// MQTT-6.0.0-2.
#[tokio::test]
async fn packets_and_frames_need_not_line_up() {
    let server = server();
    let packets = [connect("c"), subscribe("a"), publish("a", b"one"), publish("a", b"two")];
    let bytes: Vec<u8> = packets.iter().flat_map(encoded).collect();
    for size in [1, 2, 3, 7, bytes.len() - 1, bytes.len()] {
        let mut client = dial_ws(&server).await;
        for part in bytes.chunks(size) {
            client.send(part).await;
            // Frames without anything in them are allowed and mean nothing.
            client.send(b"").await;
        }
        client.expect_connack().await;
        client.expect_suback().await;
        client.expect_publish(b"one").await;
        client.expect_publish(b"two").await;
    }
    for cut in 1..bytes.len() {
        let mut client = dial_ws(&server).await;
        client.send(&bytes[..cut]).await;
        client.send(&bytes[cut..]).await;
        client.expect_connack().await;
        client.expect_suback().await;
        client.expect_publish(b"one").await;
        client.expect_publish(b"two").await;
    }
    server.wait_for_open(0);
}

#[tokio::test]
async fn a_fragmented_message_with_pings_between_is_one_message() {
    let server = server();
    let mut client = dial_ws(&server).await;
    let bytes = [encoded(&connect("c")), encoded(&subscribe("a"))].concat();
    client.send_frame(&bytes[..1], BINARY, false).await;
    for byte in &bytes[1..bytes.len() - 1] {
        client.send_frame(&[*byte], CONTINUE, false).await;
        client.send_frame(b"", CONTINUE, false).await;
    }
    client.socket.send(Message::Ping(Bytes::from_static(b"p"))).await.unwrap();
    client.send_frame(&bytes[bytes.len() - 1..], CONTINUE, true).await;
    assert_eq!(client.next().await, Event::Pong(Bytes::from_static(b"p")));
    client.expect_connack().await;
    client.expect_suback().await;
}

/// MQTT-6.0.0-1.
#[tokio::test]
async fn a_text_frame_ends_the_connection() {
    let server = server();
    for text in [&b"hello"[..], b"\xff\xfe", b""] {
        let mut client = dial_ws(&server).await.open("c").await;
        client.send_raw(&raw_frame(0x81, text)).await;
        client.expect_fault(ReasonCode::ProtocolError, CloseCode::Unsupported).await;
    }
    server.wait_for_open(0);
}

/// What came before the fault is still obeyed.
#[tokio::test]
async fn packets_before_a_text_frame_are_handled() {
    let server = server();
    let mut client = dial_ws(&server).await;
    let bytes = [encoded(&connect("c")), encoded(&Packet::PingReq)].concat();
    client.send_raw(&[raw_frame(0x82, &bytes), raw_frame(0x81, b"text")].concat()).await;
    client.expect_connack().await;
    assert_eq!(client.next().await, Event::Packet(Packet::PingResp));
    client.expect_fault(ReasonCode::ProtocolError, CloseCode::Unsupported).await;
}

#[tokio::test]
async fn frames_that_break_the_protocol_end_the_connection() {
    let server = server();
    for (name, frame) in [
        ("unmasked", vec![0x82, 0x02, 0xc0, 0x00]),
        ("reserved bit", raw_frame(0xc2, &[0xc0, 0x00])),
        ("reserved data opcode", raw_frame(0x83, b"x")),
        ("reserved control opcode", raw_frame(0x8b, b"x")),
        ("control frame of 126 bytes", raw_frame(0x89, &[0; 126])),
        ("fragmented control frame", raw_frame(0x09, b"x")),
        ("continuation of nothing", raw_frame(0x80, b"x")),
        ("message inside a message", [raw_frame(0x02, b"x"), raw_frame(0x82, b"y")].concat()),
        ("close frame of one byte", raw_frame(0x88, b"x")),
    ] {
        let mut client = dial_ws(&server).await.open("c").await;
        assert!(client.send_raw(&frame).await);
        // Shown when the expectation fails.
        println!("{name}");
        client.expect_fault(ReasonCode::MalformedPacket, CloseCode::Protocol).await;
    }
    server.wait_for_open(0);
}

#[tokio::test]
async fn a_message_larger_than_the_largest_packet_is_refused_by_its_length() {
    let server = server();
    let too_long = u64::from(PACKET_BYTES_MAX) * 2;
    for length in [too_long, u64::MAX >> 1, u64::MAX] {
        let mut client = dial_ws(&server).await.open("c").await;
        let header = [&[0x82, 0xff][..], &length.to_be_bytes(), &[0; 4]].concat();
        assert!(client.send_raw(&header).await);
        client.expect_fault(ReasonCode::PacketTooLarge, CloseCode::Size).await;
    }
    // In fragments, each of which would do.
    let mut client = dial_ws(&server).await.open("c").await;
    assert!(client.send_raw(&raw_frame(0x02, &[0; 60_000])).await);
    for _ in 0..8 {
        client.send_raw(&raw_frame(0x00, &[0; 60_000])).await;
    }
    client.expect_fault(ReasonCode::PacketTooLarge, CloseCode::Size).await;
    drop(client);
    server.wait_for_open(0);
}

#[tokio::test]
async fn fragments_without_end_are_refused() {
    let server = server();
    for payload in [&b""[..], b"x"] {
        let mut client = dial_ws(&server).await.open("c").await;
        let mut attack = raw_frame(0x02, b"x");
        // Pings between them do not make the message cheaper.
        let round = [raw_frame(0x00, payload), raw_frame(0x89, b"")].concat();
        attack.extend(round.repeat(200_000));
        client.send_raw(&attack).await;
        loop {
            match client.next().await {
                Event::Pong(_) => {}
                Event::Packet(Packet::Disconnect(disconnect)) => {
                    assert_eq!(disconnect.reason, ReasonCode::ProtocolError);
                    break;
                }
                other => panic!("not refused: {other:?}"),
            }
        }
        assert_eq!(client.next().await, Event::Closed(Some(CloseCode::Policy)));
        drop(client);
        server.wait_for_open(0);
    }
}

/// A client may ping as often as it likes between messages.
#[tokio::test]
async fn many_pings_are_no_fault() {
    let server = server();
    let mut client = dial_ws(&server).await.open("c").await;
    let pings = raw_frame(0x89, &[7; 125]).repeat(100);
    for _ in 0..80 {
        assert!(client.send_raw(&pings).await);
        client.send(&encoded(&Packet::PingReq)).await;
        while client.next().await != Event::Packet(Packet::PingResp) {}
    }
    let quiet = raw_frame(0x89, b"").repeat(500);
    for _ in 0..300 {
        assert!(client.send_raw(&quiet).await);
        client.socket.send(Message::Ping(Bytes::from_static(b"last"))).await.unwrap();
        while client.next().await != Event::Pong(Bytes::from_static(b"last")) {}
    }
    client.socket.send(Message::Pong(Bytes::new())).await.unwrap();
    client.send(&encoded(&Packet::PingReq)).await;
    assert_eq!(client.next().await, Event::Packet(Packet::PingResp));
}

#[tokio::test]
async fn messages_larger_than_every_buffer_arrive_whole_and_in_order() {
    let server = server();
    let mut subscriber = dial_ws(&server).await.open("subscriber").await;
    subscriber.send(&encoded(&subscribe("big"))).await;
    subscriber.expect_suback().await;
    let mut publisher = dial_ws(&server).await.open("publisher").await;
    let sending = tokio::spawn(async move {
        for number in 0..60_u8 {
            let mut packet = publish("big", &vec![number; 200_000]);
            if let Packet::Publish(publish) = &mut packet {
                publish.qos = skein_types::QoS::AtLeastOnce;
                publish.packet_id = std::num::NonZeroU16::new(u16::from(number) + 1);
            }
            publisher.send(&encoded(&packet)).await;
        }
        publisher
    });
    for number in 0..60_u8 {
        subscriber.expect_publish(&vec![number; 200_000]).await;
    }
    sending.await.unwrap();
}

/// Packets that are ready together go out in one frame.
#[tokio::test]
async fn the_answers_to_one_message_come_in_one_frame() {
    let server = server();
    let mut client = dial_ws(&server).await.open("c").await;
    client.frames.clear();
    client.send(&encoded(&Packet::PingReq).repeat(50)).await;
    for _ in 0..50 {
        assert_eq!(client.next().await, Event::Packet(Packet::PingResp));
    }
    assert_eq!(client.frames, [100]);
}

#[tokio::test]
async fn secure_websocket_knows_the_user_of_the_certificate() {
    let pki = Pki::create();
    let wanted = ClientCertificates { subject_as_user: true, ..pki.wanted(Demand::Required) };
    let list = AccessList::parse("[[rules]]\nallow = true\nfilters = ['home/%u/#']\n").unwrap();
    let source = TlsSource::load(pki.files(Some(wanted))).unwrap();
    let transport = Transport::SecureWebSocket(source);
    let server = Server::start_with(transport, settings(), list, Anonymous::Never);
    assert_eq!(server.state.transport, "wss");
    let mut config = client_config(&pki.made.ca_file, Some(&pki.made.client("ada")));
    // Browsers offer this.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = dial(&server, config).await.unwrap();
    let upgraded = Box::pin(upgrade(stream, &["mqtt"])).await;
    let mut ada = upgraded.unwrap().0.open("c").await;
    ada.send(&encoded(&subscribe("home/ada/#"))).await;
    ada.expect_suback().await;
    ada.send(&encoded(&publish("home/ada/lamp", b"on"))).await;
    ada.expect_publish(b"on").await;
    ada.send(&[0xe0, 0x00]).await;
    assert_eq!(ada.next().await, Event::Closed(Some(CloseCode::Normal)));
    assert_eq!(ada.next().await, Event::Closed(None));
    server.wait_for_open(0);
}

#[tokio::test]
async fn a_refusal_over_tls_can_be_read() {
    let pki = Pki::create();
    let server = Server::start(Transport::SecureWebSocket(TlsSource::load(pki.files(None)).unwrap()));
    let mut stream = dial(&server, client_config(&pki.made.ca_file, None)).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    within_deadline(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    drop(stream);
    server.wait_for_open(0);
}

/// How another door hands connections over, with and without a WebSocket around them.
#[tokio::test]
async fn a_stream_of_another_door_is_served_and_counted() {
    let server = server();
    let (theirs, ours) = tokio::io::duplex(100);
    let served = tokio::spawn(server.serve(Box::new(theirs)));
    let mut client = Client::open(ours, "handed").await;
    client.subscribe("a").await;
    client.echo("a", &[1; 10_000]).await;
    assert_eq!(server.state.open.load(Relaxed), 1);
    drop(client);
    within_deadline(served).await.unwrap();
    assert_eq!(server.state.open.load(Relaxed), 0);

    let (theirs, ours) = tokio::io::duplex(100);
    let theirs = Box::new(WebSocketIo::upgraded(theirs, PACKET_BYTES_MAX).await);
    let served = tokio::spawn(server.serve(theirs));
    let role = tokio_tungstenite::tungstenite::protocol::Role::Client;
    let socket = WebSocketStream::from_raw_socket(ours, role, None).await;
    let client = WsClient { socket, unread: BytesMut::new(), frames: Vec::new() };
    let mut client = client.open("framed").await;
    client.send(&[0xe0, 0x00]).await;
    assert_eq!(client.next().await, Event::Closed(Some(CloseCode::Normal)));
    assert_eq!(client.next().await, Event::Closed(None));
    within_deadline(served).await.unwrap();

    let full = ListenerSettings { connections_max: 0, ..settings().listener };
    server.state.settings.store(std::sync::Arc::new(full));
    let (theirs, ours) = tokio::io::duplex(100);
    server.serve(Box::new(theirs)).await;
    assert_eq!(Client::new(ours).next().await, None);
    assert_eq!(server.state.refused.load(Relaxed), 1);
    assert_eq!(server.state.open.load(Relaxed), 0);
}

#[tokio::test]
async fn bytes_in_large_messages_come_in_bounded_frames() {
    let server = server();
    let mut client = dial_ws(&server).await.open("c").await;
    client.send(&encoded(&subscribe("a"))).await;
    client.expect_suback().await;
    client.frames.clear();
    let payloads: VecDeque<Vec<u8>> = (0..5_u8).map(|number| vec![number; 50_000]).collect();
    let bytes: Vec<u8> = payloads.iter().flat_map(|payload| encoded(&publish("a", payload))).collect();
    for part in bytes.chunks(100_000) {
        client.send(part).await;
    }
    for payload in &payloads {
        client.expect_publish(payload).await;
    }
    assert!(client.frames.iter().all(|length| *length <= 16 * 1024), "{:?}", client.frames);
}
