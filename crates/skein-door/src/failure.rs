//! How a handshake fails: what the log says, and whether the client has been told.

use skein_types::Code;

use crate::stream::Stream;

/// Why a handshake failed.
pub(crate) struct HandshakeFailure {
    pub(crate) code: Code,
    pub(crate) detail: String,
    /// Still open, when the client has been told why.
    pub(crate) stream: Option<Box<dyn Stream>>,
}

impl HandshakeFailure {
    pub(crate) fn new(code: Code, detail: String) -> Self {
        Self { code, detail, stream: None }
    }

    /// The client was told why on `stream`.
    pub(crate) fn on(self, stream: impl Stream + 'static) -> Self {
        Self { stream: Some(Box::new(stream)), ..self }
    }
}
