//! A client's will.

use skein_types::Message;

/// The message to publish when a client goes without saying good-bye (MQTT 5.0 section 3.1.2.5).
#[derive(Clone, Debug)]
pub struct Will {
    /// The message; its expiry is counted from when it is published.
    pub message: Message,
    /// Seconds of its life from then on.
    pub expiry_secs: Option<u32>,
    /// Seconds to wait for the client to return.
    pub delay_secs: u32,
}
