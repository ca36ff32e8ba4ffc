//! One table of stable codes for what goes wrong between a client and the server.
//!
//! A code never changes its number or meaning. Each door maps a code to its own wire form in one `match`
//! without a catch-all, so that a new code cannot be forgotten.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// Why the server refused something or closed a connection.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Code {
            $($(#[$doc])* #[doc = concat!("\n\nText: ", $text)] $name = $number,)*
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &[Code] = &[$(Code::$name,)*];

            /// What to tell people.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// The code's name in logs and metrics, as in the source.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Code::$name => stringify!($name),)* }
            }
        }
    };
}

codes! {
    /// Bytes that are not a packet of the protocol.
    Malformed = 1, "the data is not valid in this protocol";
    /// Valid packets in an order or combination the protocol forbids.
    ProtocolError = 2, "the protocol does not allow this here";
    /// The protocol version is unknown.
    UnsupportedVersion = 3, "this protocol version is not supported; use MQTT 3.1, 3.1.1 or 5.0";
    /// The client id is not acceptable.
    ClientIdInvalid = 4, "the client identifier is not valid";
    /// User name or password is wrong, or none was given.
    BadCredentials = 5, "user name or password is wrong";
    /// The user may not do this.
    NotAuthorized = 6, "not allowed; ask the operator for an access rule";
    /// The authentication method is unknown here.
    BadAuthenticationMethod = 7, "this authentication method is not supported";
    /// Another connection with the same client id took the session over.
    SessionTakenOver = 8, "another connection with the same client identifier took over";
    /// Nothing was heard from the client for 1.5 times its keep alive.
    KeepAliveTimeout = 9, "nothing received within one and a half times the keep alive";
    /// The node is stopping.
    ServerShuttingDown = 10, "the server is shutting down";
    /// The node takes no new clients now.
    ServerBusy = 11, "the server is busy; try again later";
    /// The topic is not valid or too deep.
    TopicNameInvalid = 12, "the topic name is not accepted";
    /// The filter is not valid or too deep.
    TopicFilterInvalid = 13, "the topic filter is not accepted";
    /// A topic alias of zero or above the maximum.
    TopicAliasInvalid = 14, "the topic alias is not valid";
    /// The packet is larger than the listener allows.
    PacketTooLarge = 15, "the packet is larger than the server accepts";
    /// More unacknowledged messages than announced.
    ReceiveMaximumExceeded = 16, "more unacknowledged messages than the receive maximum";
    /// The client sends faster than the listener allows.
    MessageRateTooHigh = 17, "messages arrive faster than the listener allows";
    /// The client connects faster than the listener allows.
    ConnectionRateExceeded = 18, "connections arrive faster than the listener allows";
    /// A bound of this client is used up.
    QuotaExceeded = 19, "a limit of this client is used up";
    /// The client does not read what is sent to it.
    SlowConsumer = 20, "the client does not read what is sent to it";
    /// An operator ended the connection.
    AdministrativeAction = 21, "an operator ended the connection";
    /// Payload is not what its format indicator says.
    PayloadFormatInvalid = 22, "the payload is not of the format it claims";
    /// Retained messages are switched off.
    RetainNotSupported = 23, "retained messages are not supported here";
    /// The quality of service is above the listener's maximum.
    QosNotSupported = 24, "this quality of service is not supported here";
    /// Shared subscriptions are switched off.
    SharedSubscriptionsNotSupported = 25, "shared subscriptions are not supported here";
    /// Wildcard subscriptions are switched off.
    WildcardSubscriptionsNotSupported = 26, "wildcard subscriptions are not supported here";
    /// Subscription identifiers are switched off.
    SubscriptionIdentifiersNotSupported = 27, "subscription identifiers are not supported here";
    /// The packet id is in use.
    PacketIdInUse = 28, "the packet identifier is in use";
    /// No message waits under the packet id.
    PacketIdNotFound = 29, "no message waits under the packet identifier";
    /// The client took too long to send its first packet.
    ConnectTimeout = 30, "no connect packet arrived in time";
    /// The client closed or lost its connection.
    ConnectionLost = 31, "the connection ended without a disconnect packet";
    /// The client should use another server.
    UseAnotherServer = 32, "use another server";
    /// The client said good-bye.
    Disconnected = 33, "the client disconnected";
    /// Something broke inside the server.
    Internal = 34, "the server could not do this; its log says why";
    /// The address, client or user is banned.
    Banned = 35, "this client is banned";
    /// A limit on connections of the listener is reached.
    TooManyConnections = 36, "the listener has as many connections as it allows";
}

impl Code {
    /// The stable number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for Code {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique() {
        let mut numbers: Vec<_> = Code::ALL.iter().map(|code| code.number()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), Code::ALL.len());
    }
}
