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
        handshake::server::{Callback, ErrorResponse, Request, Response, create_response},
        http::{HeaderValue, StatusCode, header},
    },
};

pub use self::frames::WebSocketIo;
use crate::{
    door::{Door, WebSocketProtocol},
    failure::HandshakeFailure,
    origin::{WebRefusal, WebRules},
    stream::Stream,
};

/// Shakes hands with a client. Its request may be 64 KiB long, which the library sees to.
pub(crate) async fn accept<S: Stream + 'static>(
    mut stream: S,
    door: &dyn Door,
    listener: &str,
    web: Web<'_>,
) -> Result<WebSocketIo<S>, HandshakeFailure> {
    let Some(protocol) = door.websocket(listener) else {
        let detail = format!("the listener {listener:?} has no settings for {} over WebSocket", door.name());
        return Err(HandshakeFailure::new(Code::Internal, detail));
    };
    // The library gets the stream on loan: it drops what it is given when a handshake fails, and with it what the
    // client should read. Nothing is lost with its socket, because bytes behind the request are a fault.
    let config = Some(frames::config(protocol.packet_bytes_max));
    let mut refused = String::new();
    let choose = Choose { door: door.name(), protocol, web, refused: &mut refused };
    let accepted = accept_hdr_async_with_config(&mut stream, choose, config).await.map(drop);
    match accepted {
        Ok(()) => Ok(WebSocketIo::upgraded(stream, protocol.packet_bytes_max).await),
        Err(tungstenite::Error::Io(error)) => {
            Err(HandshakeFailure::new(Code::ConnectionLost, format!("WebSocket: {error}")))
        }
        Err(tungstenite::Error::Http(_told)) => {
            Err(HandshakeFailure::new(Code::ProtocolError, format!("WebSocket: {refused}")).on(stream))
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

/// What is asked of web pages on a listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Web<'r> {
    pub(crate) rules: &'r WebRules,
    /// Only this machine reaches it.
    pub(crate) is_loopback: bool,
}

/// Why a WebSocket is not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeRefusal {
    /// By the rules about web pages.
    #[error(transparent)]
    Web(#[from] WebRefusal),
    /// None of the subprotocols of the door was offered.
    #[error("the client asked for a subprotocol that is not spoken here, or for none")]
    Subprotocol,
    /// It is no request for a WebSocket.
    #[error("this is no request for a WebSocket: {0}")]
    NoWebSocket(String),
}

/// Answers the request for a WebSocket that an HTTP server has read, as a listener of the door's own would.
///
/// # Errors
/// When there is none to be opened.
pub fn answer_upgrade(
    request: &Request,
    protocol: &WebSocketProtocol,
    rules: &WebRules,
    is_loopback: bool,
) -> Result<Response, UpgradeRefusal> {
    let response =
        create_response(request).map_err(|error| UpgradeRefusal::NoWebSocket(error.to_string()))?;
    choose(request, response, protocol, Web { rules, is_loopback })
}

/// Answers with the best subprotocol the client offers, when its page may come.
fn choose(
    request: &Request,
    mut response: Response,
    protocol: &WebSocketProtocol,
    web: Web<'_>,
) -> Result<Response, UpgradeRefusal> {
    web.rules.check_upgrade(request.uri(), request.version(), request.headers(), web.is_loopback)?;
    let offers = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let offered: Vec<&str> = offers
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let chosen = protocol.subprotocols.iter().find(|known| offered.contains(known));
    let chosen = chosen.ok_or(UpgradeRefusal::Subprotocol)?;
    response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(chosen));
    Ok(response)
}

/// The library's call at the end of a request.
struct Choose<'c> {
    door: &'static str,
    protocol: WebSocketProtocol,
    web: Web<'c>,
    /// Why it was refused, for the log.
    refused: &'c mut String,
}

impl Callback for Choose<'_> {
    fn on_request(self, request: &Request, response: Response) -> Result<Response, ErrorResponse> {
        choose(request, response, &self.protocol, self.web).map_err(|error| {
            *self.refused = error.to_string();
            refusal(&error, self.door, &self.protocol)
        })
    }
}

impl UpgradeRefusal {
    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Web(WebRefusal::ForeignHost(_) | WebRefusal::ForeignOrigin(_)) => StatusCode::FORBIDDEN,
            Self::Web(WebRefusal::HostCount | WebRefusal::NoHost(_))
            | Self::Subprotocol
            | Self::NoWebSocket(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// What people are told to do about it.
    #[must_use]
    pub fn advice(&self, protocol: &WebSocketProtocol) -> String {
        let best = protocol.subprotocols.first().unwrap_or(&"");
        match self {
            Self::Web(WebRefusal::ForeignOrigin(_)) => {
                "List the origin in web.origins to let its pages in.".to_owned()
            }
            Self::Web(WebRefusal::ForeignHost(_)) => {
                "List the name in web.host_names if it is one.".to_owned()
            }
            Self::Web(WebRefusal::HostCount | WebRefusal::NoHost(_)) => {
                "Send exactly one Host header with the server's name.".to_owned()
            }
            Self::Subprotocol => {
                format!("Open the WebSocket with the subprotocol {best:?} (Sec-WebSocket-Protocol: {best}).")
            }
            Self::NoWebSocket(_) => {
                format!(
                    "Open a WebSocket of version 13 with the subprotocol {best:?}; a web page cannot be had here."
                )
            }
        }
    }
}

fn refusal(error: &UpgradeRefusal, door: &str, protocol: &WebSocketProtocol) -> ErrorResponse {
    let text =
        format!("This is an {} server: {error}. {}\n", door.to_ascii_uppercase(), error.advice(protocol));
    let length = text.len();
    let mut response = ErrorResponse::new(Some(text));
    *response.status_mut() = error.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn refusal_text(door: &str, protocol: &WebSocketProtocol) -> String {
    let text = format!(
        "This is an {} server for WebSocket clients. {}\n",
        door.to_ascii_uppercase(),
        UpgradeRefusal::NoWebSocket(String::new()).advice(protocol)
    );
    format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{text}",
        text.len()
    )
}
