//! The classes in which sessions, queues and retained messages are kept; those of users and rules are in
//! `users/rows.rs`.
//!
//! Fields are only ever added at the end and with a default (the store refuses anything else), so that a newer node
//! opens an older node's data. `rows.rs` writes and reads them in this order.

use skein_store::{Class, ClassBuilder, ClassId, ClassKind, Type, Value};

/// A client's session, while it outlives connections.
pub(crate) const SESSION: ClassId = ClassId(1);
/// What a session subscribed to.
pub(crate) const SUBSCRIPTION: ClassId = ClassId(2);
/// A message of a session that its client does not have yet, or whose QoS 2 hand-over is not complete.
pub(crate) const QUEUE: ClassId = ClassId(3);
/// A message that several sessions refer to.
pub(crate) const MESSAGE: ClassId = ClassId(4);
/// Ids of QoS 2 messages received from a client and not released by it.
pub(crate) const INBOUND: ClassId = ClassId(5);
/// The last retained message of a topic.
pub(crate) const RETAINED: ClassId = ClassId(6);

/// The classes of sessions, queues and retained messages.
pub(crate) fn classes() -> impl Iterator<Item = Class> {
    let classes = [session(), subscription(), queue(), message(), inbound(), retained()];
    classes.into_iter().map(|class| class.build().expect("the plane's own classes are well formed"))
}

fn class(name: &str, id: ClassId) -> ClassBuilder {
    Class::builder(name, id.0, ClassKind::Replicated)
}

fn session() -> ClassBuilder {
    class("session", SESSION)
        .field("number", Type::U64)
        .field("client_id", Type::String)
        .field("user", optional(Type::String))
        .field("user_from_list", Type::Bool)
        .field("roles", vector(Type::String))
        .field("door", Type::String)
        .field("address", Type::String)
        .field("expiry_secs", Type::U32)
        .field("expires_at", optional(Type::Time))
        .field("will", optional(Type::Bytes))
        .field("will_expiry_secs", optional(Type::U32))
        .field("will_delay_secs", Type::U32)
        .field("will_at", optional(Type::Time))
        .field_with_default("claimed_counter", Type::U64, Value::U64(0))
        .field_with_default("claimed_node", Type::U16, Value::U16(0))
        .field_with_default("owned_since_counter", Type::U64, Value::U64(0))
        .field_with_default("owned_since_node", Type::U16, Value::U16(0))
        .primary(&["number"])
}

fn subscription() -> ClassBuilder {
    class("subscription", SUBSCRIPTION)
        .field("session", Type::U64)
        .field("filter", Type::String)
        .field("qos", Type::U8)
        .field("no_local", Type::Bool)
        .field("retain_as_published", Type::Bool)
        .field("id", optional(Type::U32))
        .primary(&["session", "filter"])
}

fn queue() -> ClassBuilder {
    class("queue", QUEUE)
        .field("session", Type::U64)
        .field("seq", Type::U64)
        .field("qos", Type::U8)
        .field("retain", Type::Bool)
        .field("sent", Type::Bool)
        .field("released", Type::Bool)
        .field("subscription_ids", vector(Type::U32))
        .field("shared_filter", optional(Type::String))
        .field("message", optional(Type::U64))
        .field("body", optional(Type::Bytes))
        .primary(&["session", "seq"])
}

fn message() -> ClassBuilder {
    class("message", MESSAGE)
        .field("id", Type::U64)
        .field("topic", Type::String)
        .field("payload", Type::Bytes)
        .field("qos", Type::U8)
        .field("retain", Type::Bool)
        .field("expires_at", optional(Type::Time))
        .field("origin", Type::U64)
        .field("payload_is_utf8", optional(Type::Bool))
        .field("content_type", optional(Type::String))
        .field("response_topic", optional(Type::String))
        .field("correlation_data", optional(Type::Bytes))
        .field("user_properties", vector(Type::String))
        .primary(&["id"])
}

fn inbound() -> ClassBuilder {
    class("inbound", INBOUND).field("session", Type::U64).field("id", Type::U64).primary(&["session", "id"])
}

fn retained() -> ClassBuilder {
    class("retained", RETAINED)
        .field("topic", Type::String)
        .field("body", Type::Bytes)
        .field_with_default("counter", Type::U64, Value::U64(0))
        .field_with_default("node", Type::U16, Value::U16(0))
        .primary(&["topic"])
}

fn optional(of: Type) -> Type {
    Type::Optional(Box::new(of))
}

fn vector(of: Type) -> Type {
    Type::Vector(Box::new(of))
}
