//! Reason codes: how packets say what became of a request (MQTT 5.0 section 2.4).
//!
//! Must never be converted to the plane's codes here: the door maps those. Every acknowledging packet uses it.

use std::fmt;

use super::{Side, frame::PacketType};

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $value:literal, $name:literal;)*) => {
        /// A reason code; values of 0x80 and above say that a request failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum ReasonCode {
            $($(#[$doc])* #[doc = $name] $variant = $value,)*
        }

        impl ReasonCode {
            /// Every code in ascending order.
            pub const ALL: &[ReasonCode] = &[$(ReasonCode::$variant,)*];

            /// The code written as `value` on the wire, if the protocol has one.
            #[must_use]
            pub const fn from_u8(value: u8) -> Option<Self> {
                match value {
                    $($value => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The name the standard gives the code.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

reasons! {
    Success = 0x00, "Success";
    GrantedQos1 = 0x01, "Granted QoS 1";
    GrantedQos2 = 0x02, "Granted QoS 2";
    DisconnectWithWill = 0x04, "Disconnect with Will Message";
    NoMatchingSubscribers = 0x10, "No matching subscribers";
    NoSubscriptionExisted = 0x11, "No subscription existed";
    ContinueAuthentication = 0x18, "Continue authentication";
    ReAuthenticate = 0x19, "Re-authenticate";
    UnspecifiedError = 0x80, "Unspecified error";
    MalformedPacket = 0x81, "Malformed Packet";
    ProtocolError = 0x82, "Protocol Error";
    ImplementationSpecificError = 0x83, "Implementation specific error";
    UnsupportedProtocolVersion = 0x84, "Unsupported Protocol Version";
    ClientIdentifierNotValid = 0x85, "Client Identifier not valid";
    BadUserNameOrPassword = 0x86, "Bad User Name or Password";
    NotAuthorized = 0x87, "Not authorized";
    ServerUnavailable = 0x88, "Server unavailable";
    ServerBusy = 0x89, "Server busy";
    Banned = 0x8A, "Banned";
    ServerShuttingDown = 0x8B, "Server shutting down";
    BadAuthenticationMethod = 0x8C, "Bad authentication method";
    KeepAliveTimeout = 0x8D, "Keep Alive timeout";
    SessionTakenOver = 0x8E, "Session taken over";
    TopicFilterInvalid = 0x8F, "Topic Filter invalid";
    TopicNameInvalid = 0x90, "Topic Name invalid";
    PacketIdentifierInUse = 0x91, "Packet Identifier in use";
    PacketIdentifierNotFound = 0x92, "Packet Identifier not found";
    ReceiveMaximumExceeded = 0x93, "Receive Maximum exceeded";
    TopicAliasInvalid = 0x94, "Topic Alias invalid";
    PacketTooLarge = 0x95, "Packet too large";
    MessageRateTooHigh = 0x96, "Message rate too high";
    QuotaExceeded = 0x97, "Quota exceeded";
    AdministrativeAction = 0x98, "Administrative action";
    PayloadFormatInvalid = 0x99, "Payload format invalid";
    RetainNotSupported = 0x9A, "Retain not supported";
    QosNotSupported = 0x9B, "QoS not supported";
    UseAnotherServer = 0x9C, "Use another server";
    ServerMoved = 0x9D, "Server moved";
    SharedSubscriptionsNotSupported = 0x9E, "Shared Subscriptions not supported";
    ConnectionRateExceeded = 0x9F, "Connection rate exceeded";
    MaximumConnectTime = 0xA0, "Maximum connect time";
    SubscriptionIdentifiersNotSupported = 0xA1, "Subscription Identifiers not supported";
    WildcardSubscriptionsNotSupported = 0xA2, "Wildcard Subscriptions not supported";
}

impl ReasonCode {
    /// 0x00 in a DISCONNECT.
    pub const NORMAL_DISCONNECTION: Self = Self::Success;
    /// 0x00 in a SUBACK.
    pub const GRANTED_QOS_0: Self = Self::Success;

    /// The code's value on the wire.
    #[must_use]
    pub const fn value(self) -> u8 {
        self as u8
    }

    /// Whether the code says that something failed.
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.value() >= 0x80
    }

    /// The code of a SUBACK that grants `qos`.
    #[must_use]
    pub const fn granted(qos: skein_types::QoS) -> Self {
        match qos {
            skein_types::QoS::AtMostOnce => Self::Success,
            skein_types::QoS::AtLeastOnce => Self::GrantedQos1,
            skein_types::QoS::ExactlyOnce => Self::GrantedQos2,
        }
    }

    /// The return code of a CONNACK before version 5 (MQTT 3.1.1 section 3.2.2.3).
    ///
    /// Only five failures can be told there; every other one is named by the nearest: what the client did wrong
    /// as an identifier rejected or not authorized, what the server cannot do as server unavailable.
    #[must_use]
    pub const fn connect_return_code(self) -> u8 {
        match self {
            Self::UnsupportedProtocolVersion => 1,
            Self::ClientIdentifierNotValid => 2,
            Self::BadUserNameOrPassword => 4,
            Self::NotAuthorized | Self::Banned | Self::BadAuthenticationMethod => 5,
            other if other.is_error() => 3,
            _ => 0,
        }
    }

    /// The reason for a CONNACK return code before version 5, or none for a reserved one.
    #[must_use]
    pub const fn from_connect_return_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Success),
            1 => Some(Self::UnsupportedProtocolVersion),
            2 => Some(Self::ClientIdentifierNotValid),
            3 => Some(Self::ServerUnavailable),
            4 => Some(Self::BadUserNameOrPassword),
            5 => Some(Self::NotAuthorized),
            _ => None,
        }
    }

    /// Whether `sender` may use the code in a packet of this type (MQTT 5.0 section 2.4 and the tables of each packet).
    #[must_use]
    pub fn is_allowed(self, packet: PacketType, sender: Side) -> bool {
        let value = self.value();
        match packet {
            PacketType::ConnAck => {
                matches!(value, 0 | 0x80..=0x8A | 0x8C | 0x90 | 0x95 | 0x97 | 0x99..=0x9D | 0x9F)
            }
            PacketType::PubAck | PacketType::PubRec => {
                matches!(value, 0 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99)
            }
            PacketType::PubRel | PacketType::PubComp => matches!(value, 0 | 0x92),
            PacketType::SubAck => {
                matches!(value, 0..=2 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91 | 0x97 | 0x9E | 0xA1 | 0xA2)
            }
            PacketType::UnsubAck => matches!(value, 0 | 0x11 | 0x80 | 0x83 | 0x87 | 0x8F | 0x91),
            PacketType::Disconnect => match sender {
                Side::Client => matches!(value, 0 | 4 | 0x80..=0x83 | 0x90 | 0x93..=0x99),
                Side::Server => {
                    matches!(value, 0 | 0x80..=0x83 | 0x87 | 0x89 | 0x8B..=0x90 | 0x93..=0xA2)
                }
            },
            PacketType::Auth => match sender {
                Side::Client => matches!(value, 0x18 | 0x19),
                Side::Server => matches!(value, 0 | 0x18),
            },
            PacketType::Connect
            | PacketType::Publish
            | PacketType::Subscribe
            | PacketType::Unsubscribe
            | PacketType::PingReq
            | PacketType::PingResp => false,
        }
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} 0x{:02X}", self.name(), self.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back() {
        for code in ReasonCode::ALL {
            assert_eq!(ReasonCode::from_u8(code.value()), Some(*code));
        }
        assert_eq!((0..=u8::MAX).filter_map(ReasonCode::from_u8).count(), ReasonCode::ALL.len());
        assert_eq!(ReasonCode::ALL.len(), 43);
    }

    #[test]
    fn mqtt_311_3_2_2_return_codes() {
        for code in 0..=5 {
            let reason = ReasonCode::from_connect_return_code(code).unwrap();
            assert_eq!(reason.connect_return_code(), code, "{reason}");
        }
        assert_eq!(ReasonCode::from_connect_return_code(6), None);
        // An error never turns into "accepted".
        for code in ReasonCode::ALL {
            assert_eq!(code.connect_return_code() == 0, !code.is_error(), "{code}");
        }
    }

    #[test]
    fn mqtt_2_4_every_error_fits_some_packet() {
        let types = [
            PacketType::ConnAck,
            PacketType::PubAck,
            PacketType::PubRel,
            PacketType::SubAck,
            PacketType::UnsubAck,
            PacketType::Disconnect,
            PacketType::Auth,
        ];
        for code in ReasonCode::ALL {
            let uses = types
                .iter()
                .filter(|packet| {
                    code.is_allowed(**packet, Side::Server) || code.is_allowed(**packet, Side::Client)
                })
                .count();
            assert!(uses > 0, "{code}");
        }
        assert!(!ReasonCode::DisconnectWithWill.is_allowed(PacketType::Disconnect, Side::Server));
        assert!(!ReasonCode::ReAuthenticate.is_allowed(PacketType::Auth, Side::Server));
    }
}
