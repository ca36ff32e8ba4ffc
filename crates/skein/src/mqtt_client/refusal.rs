//! What a server's reason code means for whoever typed the command, and what to do about it.

use skein_node::mqtt_codec::{ConnAck, ReasonCode, Version};

/// Why a server did not let us in.
pub(super) fn of_connection(answer: &ConnAck, version: Version) -> String {
    let what = format!("the server refused the connection (MQTT {version})");
    let text = explain(&what, answer.reason, answer.properties.reason_string.as_deref());
    match &answer.properties.server_reference {
        Some(server) => format!("{text}. It names another server: {server}"),
        None => text,
    }
}

/// `what` happened for `reason`, in the server's own words where it has some, and what to do.
pub(crate) fn explain(what: &str, reason: ReasonCode, words: Option<&str>) -> String {
    let words = words.map(|words| format!(" ({words})")).unwrap_or_default();
    match advice(reason) {
        "" => format!("{what}: {reason}{words}"),
        advice => format!("{what}: {reason}{words}. {advice}"),
    }
}

/// What to do about `reason`; empty when nothing helps.
fn advice(reason: ReasonCode) -> &'static str {
    match reason {
        ReasonCode::BadUserNameOrPassword => "Check the user of -u and its password",
        ReasonCode::NotAuthorized => {
            "Log in with -u and -P as a user whom the server's access rules allow this"
        }
        ReasonCode::UnsupportedProtocolVersion => "Choose another version with -V 3.1.1 or -V 5",
        ReasonCode::ClientIdentifierNotValid => "Choose another client id with -i",
        ReasonCode::BadAuthenticationMethod => {
            "This server wants a way of logging in that this command does not have"
        }
        ReasonCode::SessionTakenOver => {
            "Another client connected with the same client id; choose another with -i"
        }
        ReasonCode::ServerUnavailable
        | ReasonCode::ServerBusy
        | ReasonCode::ServerShuttingDown
        | ReasonCode::ConnectionRateExceeded
        | ReasonCode::QuotaExceeded
        | ReasonCode::MessageRateTooHigh => "Try again later",
        ReasonCode::PacketTooLarge => "Send a smaller message, or raise the server's limit",
        ReasonCode::TopicNameInvalid | ReasonCode::TopicFilterInvalid => "Check -t",
        ReasonCode::RetainNotSupported => "Leave out -r",
        ReasonCode::QosNotSupported => "Choose a lower -q",
        ReasonCode::SharedSubscriptionsNotSupported => "Subscribe without $share",
        ReasonCode::WildcardSubscriptionsNotSupported => "Subscribe without + and #",
        _ => "",
    }
}
