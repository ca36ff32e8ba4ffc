//! The plane's codes in MQTT's words, and back.
//!
//! One `match` each way without a catch-all, so that a new code of either side cannot be forgotten.

use skein_types::Code;

use crate::codec::ReasonCode;

/// The reason code that tells a client about `code` (MQTT 5.0 section 2.4).
#[must_use]
pub(crate) const fn reason_of(code: Code) -> ReasonCode {
    match code {
        Code::Malformed => ReasonCode::MalformedPacket,
        Code::ProtocolError | Code::ConnectTimeout => ReasonCode::ProtocolError,
        Code::UnsupportedVersion => ReasonCode::UnsupportedProtocolVersion,
        Code::ClientIdInvalid => ReasonCode::ClientIdentifierNotValid,
        Code::BadCredentials => ReasonCode::BadUserNameOrPassword,
        Code::NotAuthorized => ReasonCode::NotAuthorized,
        Code::BadAuthenticationMethod => ReasonCode::BadAuthenticationMethod,
        Code::SessionTakenOver => ReasonCode::SessionTakenOver,
        Code::KeepAliveTimeout => ReasonCode::KeepAliveTimeout,
        Code::ServerShuttingDown => ReasonCode::ServerShuttingDown,
        Code::ServerBusy => ReasonCode::ServerBusy,
        Code::TopicNameInvalid => ReasonCode::TopicNameInvalid,
        Code::TopicFilterInvalid => ReasonCode::TopicFilterInvalid,
        Code::TopicAliasInvalid => ReasonCode::TopicAliasInvalid,
        Code::PacketTooLarge => ReasonCode::PacketTooLarge,
        Code::ReceiveMaximumExceeded => ReasonCode::ReceiveMaximumExceeded,
        Code::MessageRateTooHigh => ReasonCode::MessageRateTooHigh,
        Code::ConnectionRateExceeded => ReasonCode::ConnectionRateExceeded,
        Code::QuotaExceeded | Code::SlowConsumer | Code::TooManyConnections => ReasonCode::QuotaExceeded,
        Code::AdministrativeAction => ReasonCode::AdministrativeAction,
        Code::PayloadFormatInvalid => ReasonCode::PayloadFormatInvalid,
        Code::RetainNotSupported => ReasonCode::RetainNotSupported,
        Code::QosNotSupported => ReasonCode::QosNotSupported,
        Code::SharedSubscriptionsNotSupported => ReasonCode::SharedSubscriptionsNotSupported,
        Code::WildcardSubscriptionsNotSupported => ReasonCode::WildcardSubscriptionsNotSupported,
        Code::SubscriptionIdentifiersNotSupported => ReasonCode::SubscriptionIdentifiersNotSupported,
        Code::PacketIdInUse => ReasonCode::PacketIdentifierInUse,
        Code::PacketIdNotFound => ReasonCode::PacketIdentifierNotFound,
        Code::UseAnotherServer => ReasonCode::UseAnotherServer,
        Code::Banned => ReasonCode::Banned,
        Code::ConnectionLost | Code::Disconnected | Code::Internal => ReasonCode::UnspecifiedError,
    }
}

/// What a codec's verdict means to the rest of the server.
#[must_use]
pub(crate) const fn code_of(reason: ReasonCode) -> Code {
    match reason {
        ReasonCode::MalformedPacket => Code::Malformed,
        ReasonCode::UnsupportedProtocolVersion => Code::UnsupportedVersion,
        ReasonCode::ClientIdentifierNotValid => Code::ClientIdInvalid,
        ReasonCode::BadUserNameOrPassword => Code::BadCredentials,
        ReasonCode::NotAuthorized => Code::NotAuthorized,
        ReasonCode::ServerUnavailable | ReasonCode::ServerBusy => Code::ServerBusy,
        ReasonCode::Banned => Code::Banned,
        ReasonCode::ServerShuttingDown => Code::ServerShuttingDown,
        ReasonCode::BadAuthenticationMethod => Code::BadAuthenticationMethod,
        ReasonCode::KeepAliveTimeout => Code::KeepAliveTimeout,
        ReasonCode::SessionTakenOver => Code::SessionTakenOver,
        ReasonCode::TopicFilterInvalid => Code::TopicFilterInvalid,
        ReasonCode::TopicNameInvalid => Code::TopicNameInvalid,
        ReasonCode::PacketIdentifierInUse => Code::PacketIdInUse,
        ReasonCode::PacketIdentifierNotFound => Code::PacketIdNotFound,
        ReasonCode::ReceiveMaximumExceeded => Code::ReceiveMaximumExceeded,
        ReasonCode::TopicAliasInvalid => Code::TopicAliasInvalid,
        ReasonCode::PacketTooLarge => Code::PacketTooLarge,
        ReasonCode::MessageRateTooHigh => Code::MessageRateTooHigh,
        ReasonCode::QuotaExceeded => Code::QuotaExceeded,
        ReasonCode::AdministrativeAction => Code::AdministrativeAction,
        ReasonCode::PayloadFormatInvalid => Code::PayloadFormatInvalid,
        ReasonCode::RetainNotSupported => Code::RetainNotSupported,
        ReasonCode::QosNotSupported => Code::QosNotSupported,
        ReasonCode::UseAnotherServer | ReasonCode::ServerMoved => Code::UseAnotherServer,
        ReasonCode::SharedSubscriptionsNotSupported => Code::SharedSubscriptionsNotSupported,
        ReasonCode::ConnectionRateExceeded => Code::ConnectionRateExceeded,
        ReasonCode::SubscriptionIdentifiersNotSupported => Code::SubscriptionIdentifiersNotSupported,
        ReasonCode::WildcardSubscriptionsNotSupported => Code::WildcardSubscriptionsNotSupported,
        ReasonCode::UnspecifiedError | ReasonCode::ImplementationSpecificError => Code::Internal,
        ReasonCode::ProtocolError
        | ReasonCode::Success
        | ReasonCode::GrantedQos1
        | ReasonCode::GrantedQos2
        | ReasonCode::DisconnectWithWill
        | ReasonCode::NoMatchingSubscribers
        | ReasonCode::NoSubscriptionExisted
        | ReasonCode::ContinueAuthentication
        | ReasonCode::ReAuthenticate
        | ReasonCode::MaximumConnectTime => Code::ProtocolError,
    }
}
