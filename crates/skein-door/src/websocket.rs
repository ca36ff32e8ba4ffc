//! WebSocket below a protocol (RFC 6455): the HTTP request that opens it.
//!
//! A listener of its own takes any path. Clients ask for a subprotocol of the door; whoever asks for something else
//! is told so with a 400 that people can read. What follows the handshake is `websocket/frames.rs`.

mod frames;
mod meter;

use skein_types::Code;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::{
    accept_hdr_async_with_config,
    tungstenite::{
        self,
        handshake::server::{Callback, ErrorResponse, Request, Response},
        http::{HeaderValue, StatusCode, header},
    },
};

pub use self::frames::WebSocketIo;
use crate::{
    door::{Door, WebSocketProtocol},
    handshake::HandshakeFailure,
    stream::Stream,
};

/// Shakes hands with a client. Its request may be 64 KiB long, which the library sees to.
pub(crate) async fn accept<S: Stream + 'static>(
    mut stream: S,
    door: &dyn Door,
    listener: &str,
) -> Result<WebSocketIo<S>, HandshakeFailure> {
    let Some(protocol) = door.websocket(listener) else {
        let detail = format!("the listener {listener:?} has no settings for {} over WebSocket", door.name());
        return Err(HandshakeFailure::new(Code::Internal, detail));
    };
    // The library gets the stream on loan: it drops what it is given when a handshake fails, and with it what the
    // client should read. Nothing is lost with its socket, because bytes behind the request are a fault.
    let config = Some(frames::config(protocol.packet_bytes_max));
    let choose = Choose { door: door.name(), protocol };
    let accepted = accept_hdr_async_with_config(&mut stream, choose, config).await.map(drop);
    match accepted {
        Ok(()) => Ok(WebSocketIo::upgraded(stream, protocol.packet_bytes_max).await),
        Err(tungstenite::Error::Io(error)) => {
            Err(HandshakeFailure::new(Code::ConnectionLost, format!("WebSocket: {error}")))
        }
        Err(tungstenite::Error::Http(_told)) => {
            let detail = "WebSocket: the client asked for a subprotocol that is not spoken here, or for none";
            Err(HandshakeFailure::new(Code::ProtocolError, detail.to_owned()).on(stream))
        }
        Err(error) => {
            let failure = HandshakeFailure::new(Code::Malformed, format!("WebSocket: {error}"));
            match stream.write_all(refusal_text(door.name(), &protocol).as_bytes()).await {
                Ok(()) => Err(failure.on(stream)),
                Err(_gone) => Err(failure),
            }
        }
    }
}

/// Answers with the best subprotocol the client offers.
struct Choose {
    door: &'static str,
    protocol: WebSocketProtocol,
}

impl Callback for Choose {
    fn on_request(self, request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
        let offers = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
        let offered: Vec<&str> = offers
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .collect();
        let chosen = self.protocol.subprotocols.iter().find(|known| offered.contains(known));
        let Some(chosen) = chosen else { return Err(self.wrong_subprotocol()) };
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(chosen));
        Ok(response)
    }
}

impl Choose {
    fn wrong_subprotocol(&self) -> ErrorResponse {
        let best = self.protocol.subprotocols.first().unwrap_or(&"");
        let text = format!(
            "This is an {} server. Open the WebSocket with the subprotocol {best:?} (Sec-WebSocket-Protocol: {best}).\n",
            self.door.to_ascii_uppercase()
        );
        refusal(StatusCode::BAD_REQUEST, text)
    }
}

fn refusal(status: StatusCode, text: String) -> ErrorResponse {
    let length = text.len();
    let mut response = ErrorResponse::new(Some(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn refusal_text(door: &str, protocol: &WebSocketProtocol) -> String {
    let text = format!(
        "This is an {} server for WebSocket clients. Open a WebSocket of version 13 with the subprotocol {:?}; a web \
         page cannot be had here.\n",
        door.to_ascii_uppercase(),
        protocol.subprotocols.first().unwrap_or(&"")
    );
    format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{text}",
        text.len()
    )
}
