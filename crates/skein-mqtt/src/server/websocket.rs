//! WebSocket below MQTT (RFC 6455, MQTT 5.0 section 6): the HTTP request that opens it.
//!
//! A listener of its own takes any path. Clients ask for the subprotocol `mqtt`; whoever asks for something else is
//! told so with a 400 that people can read. What follows the handshake is `websocket/frames.rs`.

mod frames;
mod meter;

use skein_types::Code;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::{
    accept_hdr_async_with_config,
    tungstenite::{
        self,
        handshake::server::{ErrorResponse, Request, Response},
        http::{HeaderValue, StatusCode, header},
    },
};

pub use self::frames::WebSocketIo;
use super::{handshake::HandshakeFailure, io::Stream};

/// Subprotocols in the order in which they are chosen: MQTT-6.0.0-4, and the name clients of version 3.1 use.
const SUBPROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];
const WRONG_SUBPROTOCOL: &str = "This is an MQTT server. Open the WebSocket with the subprotocol \"mqtt\" (Sec-WebSocket-Protocol: mqtt).\n";
const NO_WEBSOCKET: &str = "This is an MQTT server for WebSocket clients. Open a WebSocket of version 13 with the \
     subprotocol \"mqtt\"; a web page cannot be had here.\n";

/// Shakes hands with a client. Its request may be 64 KiB long, which the library sees to.
pub(super) async fn accept<S: Stream + 'static>(
    mut stream: S,
    packet_bytes_max: u32,
) -> Result<WebSocketIo<S>, HandshakeFailure> {
    // The library gets the stream on loan: it drops what it is given when a handshake fails, and with it what the
    // client should read. Nothing is lost with its socket, because bytes behind the request are a fault.
    let config = Some(frames::config(packet_bytes_max));
    let accepted = accept_hdr_async_with_config(&mut stream, choose_subprotocol, config).await.map(drop);
    match accepted {
        Ok(()) => Ok(WebSocketIo::upgraded(stream, packet_bytes_max).await),
        Err(tungstenite::Error::Io(error)) => {
            Err(HandshakeFailure::new(Code::ConnectionLost, format!("WebSocket: {error}")))
        }
        Err(tungstenite::Error::Http(_told)) => {
            let detail = "WebSocket: the client asked for another subprotocol than mqtt, or none";
            Err(HandshakeFailure::new(Code::ProtocolError, detail.to_owned()).on(stream))
        }
        Err(error) => {
            let failure = HandshakeFailure::new(Code::Malformed, format!("WebSocket: {error}"));
            match stream.write_all(refusal_text().as_bytes()).await {
                Ok(()) => Err(failure.on(stream)),
                Err(_gone) => Err(failure),
            }
        }
    }
}

/// Answers with the best subprotocol the client offers (MQTT-6.0.0-3).
#[expect(
    clippy::result_large_err,
    reason = "the library's callback has this form; it runs once a connection"
)]
fn choose_subprotocol(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let offers = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let offered: Vec<&str> = offers
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let Some(chosen) = SUBPROTOCOLS.into_iter().find(|known| offered.contains(known)) else {
        return Err(wrong_subprotocol());
    };
    response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(chosen));
    Ok(response)
}

fn wrong_subprotocol() -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(WRONG_SUBPROTOCOL.to_owned()));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(WRONG_SUBPROTOCOL.len()));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn refusal_text() -> String {
    format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{NO_WEBSOCKET}",
        NO_WEBSOCKET.len()
    )
}
