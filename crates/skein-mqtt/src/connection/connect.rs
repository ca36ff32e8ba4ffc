//! CONNECT: who is there, what it may do, and the session it gets (MQTT 5.0 sections 3.1 and 3.2).

use std::{num::NonZeroU16, sync::Arc};

use bytes::Bytes;
use skein_access::{Admission, Authenticated, Door, Identity, Verdict};
use skein_plane::{
    Connection, ConnectionHandle, ConnectionInfo, Durability, EXPIRY_NEVER_SECS, Open as OpenSession, Will,
    WindowLimits,
};
use skein_types::{ByteString, ClientId, Code, Message};

use super::{AuthState, Context, MqttConnection, Open, PasswordCheck, Phase, RateLimit, Refusal, Step};
use crate::{
    circle,
    codec::{ConnAck, ConnAckProperties, Connect, ReasonCode, Version},
    settings::Settings,
    wire::MqttWire,
};

/// The user property of a CONNECT by which a client asks where its session is kept: `disk` or `memory`.
const DURABILITY_PROPERTY: &str = "durability";
/// Random bytes in a client id the server makes.
const ASSIGNED_ID_BYTES: usize = 12;

/// What extended authentication leaves for the session.
pub(super) struct AuthDone {
    pub(super) method: ByteString,
    pub(super) data: Option<Bytes>,
}

impl MqttConnection {
    pub(super) fn connect(&mut self, connect: Box<Connect>, cx: &mut Context<'_>) -> Result<Step, Refusal> {
        let checked = check_client_id(&connect).and_then(|()| self.check_will(&connect));
        let method = connect.properties.authentication_method.is_some();
        let credentials = connect.user_name.clone().zip(connect.password.clone());
        // From here on a refusal is answered with a CONNACK.
        self.phase = Phase::Checking(connect);
        checked?;
        if let Some(code) = self.settings.redirect.refusal() {
            return Err(Refusal::of(code, "this server takes no new clients"));
        }
        if method {
            return self.start_authentication(cx);
        }
        let Phase::Checking(connect) = &self.phase else { return Ok(Step::Read) };
        if let Some(user) = self.origin.certificate_user.clone() {
            // The certificate says who this is; a user name beside it must not say otherwise.
            if connect.user_name.as_ref().is_some_and(|name| **name != *user) {
                return Err(Refusal::of(
                    Code::NotAuthorized,
                    "the user name differs from the certificate's subject",
                ));
            }
            return self.open_checked(None, cx);
        }
        let password = connect.password.as_deref();
        let admission =
            cx.plane.access().admit(connect.user_name.as_deref(), password, self.origin.peer.ip());
        match (admission, credentials) {
            (Admission::Anonymous, _) => self.open_checked(None, cx),
            (Admission::Refuse(code), _) => Err(Refusal::of(code, "the client was not let in")),
            (Admission::CheckPassword, Some((user, password))) => {
                Ok(Step::CheckPassword(PasswordCheck { user, password }))
            }
            (Admission::CheckPassword, None) => {
                Err(Refusal::of(Code::BadCredentials, "user name and password are both needed"))
            }
        }
    }

    fn open_checked(&mut self, proof: Option<Authenticated>, cx: &mut Context<'_>) -> Result<Step, Refusal> {
        let Phase::Checking(connect) = self.leave_phase() else {
            return Ok(Step::Read);
        };
        self.open(*connect, proof, None, cx)?;
        Ok(Step::Read)
    }

    /// Who the client is, by its password, its exchange or its certificate.
    fn identity(&self, client_id: &ClientId, proof: Option<Authenticated>) -> Identity {
        let identity = Identity::anonymous(client_id.clone(), self.origin.peer.ip(), Door::Mqtt);
        match (proof, &self.origin.certificate_user) {
            (Some(proof), _) => identity.authenticated(proof),
            (None, Some(user)) => identity.vouched(user.clone()),
            (None, None) => identity,
        }
    }

    /// Opens the session of a client that was let in. The CONNACK is the first thing in its outbox.
    pub(super) fn open(
        &mut self,
        connect: Connect,
        proof: Option<Authenticated>,
        auth: Option<AuthDone>,
        cx: &mut Context<'_>,
    ) -> Result<(), Refusal> {
        let client_id = match &*connect.client_id {
            "" => assigned_client_id(cx.random),
            given => ClientId::new(given),
        };
        let identity = self.identity(&client_id, proof);
        let user = identity.user.clone();
        let access = Arc::new(cx.plane.access().bind(identity));
        if let Some(will) = &connect.will
            && access.check_publish(&will.topic) == Verdict::Deny
        {
            let why = "the client may not publish on its will's topic";
            return self.not_let_in(connect, Refusal::of(Code::NotAuthorized, why));
        }
        let terms = Terms::of(&connect, &self.settings);
        let greeting = terms.connack(&connect, &client_id, auth.as_ref(), &self.settings);
        let packet_bytes_max = packet_bytes_max_of(&connect);
        if greeting.encoded_len(connect.version) > packet_bytes_max as usize {
            // MQTT-3.1.2-24. Before the session is opened, so that one that is there stays as it is.
            let why = "the CONNACK would be larger than the client's maximum packet size";
            return self.not_let_in(connect, Refusal::no_room(why));
        }
        let wire = self.wire(&connect, greeting);
        let connection = Connection::new(
            Box::new(wire),
            self.origin.socket.clone(),
            self.origin.handle.clone(),
            self.info(&connect, &terms, cx),
        );
        let open = OpenSession {
            client_id,
            clean_start: connect.clean_start,
            expiry_secs: terms.expiry_secs,
            window: WindowLimits {
                unacknowledged_max: terms.inflight.get().into(),
                span_max: circle::SIZE.into(),
            },
            will: connect.will.as_deref().map(will_of),
            access: Some(access.clone()),
            limits: self.settings.session.clone(),
            durability: durability_of(&connect, &self.settings),
        };
        if open.durability == Durability::Disk && open.expiry_secs > 0 && !cx.plane.has_room_for_more() {
            let why = "the server's store takes no more sessions now";
            return self.not_let_in(connect, Refusal::of(Code::QuotaExceeded, why));
        }
        let (handle, _present) = match ConnectionHandle::open(open, connection, &mut cx.split().0) {
            Ok(opened) => opened,
            Err(code) => {
                let why = "the client identifier is another user's, or not for this user";
                return self.not_let_in(connect, Refusal::of(code, why));
            }
        };
        let Settings { publish_rate_messages_per_sec: messages, publish_rate_bytes_per_sec: bytes, .. } =
            *self.settings;
        self.phase = Phase::Open(Box::new(Open {
            handle,
            version: connect.version,
            bridge: connect.bridge,
            access,
            aliases: None,
            rate: RateLimit::new(messages, bytes, cx.now),
            keep_alive_secs: terms.keep_alive_secs,
            packet_bytes_max,
            problem_information: connect.properties.request_problem_information,
            expires_later: terms.expiry_secs > 0,
            auth: auth.map(|done| {
                Box::new(AuthState { method: done.method, user, exchange: None, running: false })
            }),
        }));
        Ok(())
    }

    /// Does not let the client in: what answers it wants to see its CONNECT.
    fn not_let_in(&mut self, connect: Connect, refusal: Refusal) -> Result<(), Refusal> {
        self.phase = Phase::Checking(Box::new(connect));
        Err(refusal)
    }

    fn wire(&self, connect: &Connect, greeting: ConnAck) -> MqttWire {
        let aliases_out = connect.properties.topic_alias_maximum.min(self.settings.topic_alias_out_max);
        let problem_information = connect.properties.request_problem_information;
        MqttWire::new(
            connect.version,
            packet_bytes_max_of(connect),
            problem_information,
            aliases_out,
            greeting,
        )
    }

    fn info(&self, connect: &Connect, terms: &Terms, cx: &Context<'_>) -> ConnectionInfo {
        ConnectionInfo {
            address: self.origin.peer,
            door: Door::Mqtt.name(),
            version: match connect.version {
                Version::V31 => "3.1",
                Version::V311 => "3.1.1",
                Version::V5 => "5.0",
            },
            listener: self.settings.listener.name.clone(),
            keep_alive_secs: terms.keep_alive_secs,
            connected_at: cx.now,
        }
    }

    fn check_will(&self, connect: &Connect) -> Result<(), Refusal> {
        let Some(will) = &connect.will else { return Ok(()) };
        if will.qos > self.settings.maximum_qos {
            // MQTT-3.2.2-12.
            return Err(Refusal::of(
                Code::QosNotSupported,
                "the will's quality of service is above the server's maximum",
            ));
        }
        if will.retain && !self.settings.retain_available {
            // MQTT-3.2.2-13.
            return Err(Refusal::of(Code::RetainNotSupported, "the server does not retain wills"));
        }
        if will.topic.depth() > self.settings.topic_levels_max {
            return Err(Refusal::of(
                Code::TopicNameInvalid,
                "the will's topic has more levels than the server takes",
            ));
        }
        Ok(())
    }
}

/// What client and listener agree on.
struct Terms {
    expiry_secs: u32,
    keep_alive_secs: u16,
    inflight: NonZeroU16,
}

impl Terms {
    fn of(connect: &Connect, settings: &Settings) -> Self {
        let asked_expiry = match connect.version {
            Version::V5 => connect.properties.session_expiry_secs.unwrap_or(0),
            // MQTT 3.1.1 section 3.1.2.4: without clean session the state is kept.
            Version::V31 | Version::V311 if connect.clean_start => 0,
            Version::V31 | Version::V311 => EXPIRY_NEVER_SECS,
        };
        let asked_keep_alive = match settings.server_keep_alive_secs {
            0 => connect.keep_alive_secs,
            fixed => fixed,
        };
        let keep_alive_secs = match (asked_keep_alive, settings.keep_alive_max_secs) {
            (asked, 0) => asked,
            (0, max) => max,
            (asked, max) => asked.min(max),
        };
        let asked = connect.properties.receive_maximum.and_then(NonZeroU16::new);
        Self {
            expiry_secs: asked_expiry.min(settings.session_expiry_max_secs),
            keep_alive_secs,
            inflight: asked.unwrap_or(NonZeroU16::MAX).min(settings.inflight_max),
        }
    }

    fn connack(
        &self,
        connect: &Connect,
        id: &ClientId,
        auth: Option<&AuthDone>,
        settings: &Settings,
    ) -> ConnAck {
        let asked = &connect.properties;
        let response = || ByteString::from(format!("response/{id}/"));
        ConnAck {
            session_present: false,
            reason: ReasonCode::Success,
            properties: ConnAckProperties {
                session_expiry_secs: (asked.session_expiry_secs.unwrap_or(0) != self.expiry_secs)
                    .then_some(self.expiry_secs),
                receive_maximum: Some(settings.receive_maximum.get()),
                qos_max: settings.maximum_qos,
                retain_available: settings.retain_available,
                packet_bytes_max: Some(settings.packet_bytes_max),
                assigned_client_id: connect.client_id.is_empty().then(|| ByteString::from(id.as_str())),
                topic_alias_maximum: settings.topic_alias_max,
                wildcard_available: settings.wildcard_available,
                subscription_ids_available: settings.subscription_id_available,
                shared_available: settings.shared_available,
                keep_alive_secs: (connect.keep_alive_secs != self.keep_alive_secs)
                    .then_some(self.keep_alive_secs),
                // MQTT-3.1.2-28: only on request.
                response_information: asked.request_response_information.then(response),
                authentication_method: auth.map(|done| done.method.clone()),
                authentication_data: auth.and_then(|done| done.data.clone()),
                ..ConnAckProperties::default()
            },
        }
    }
}

/// Where the session is kept: what the client asks for by a user property of its CONNECT, or what the listener does.
fn durability_of(connect: &Connect, settings: &Settings) -> Durability {
    let asked = connect.properties.user.iter().find(|(name, _)| &**name == DURABILITY_PROPERTY);
    match asked.map(|(_, value)| &**value) {
        Some("disk") => Durability::Disk,
        Some("memory") => Durability::Memory,
        _ => settings.durability,
    }
}

/// Largest packet the client takes.
pub(super) fn packet_bytes_max_of(connect: &Connect) -> u32 {
    connect.properties.packet_bytes_max.unwrap_or(u32::MAX)
}

fn check_client_id(connect: &Connect) -> Result<(), Refusal> {
    let id = &connect.client_id;
    match connect.version {
        // MQTT 3.1 asks for 1 to 23 characters; clients with longer ones are in use, and nothing here needs the bound.
        Version::V31 if id.is_empty() => {
            Err(Refusal::of(Code::ClientIdInvalid, "a client of MQTT 3.1 needs a client identifier"))
        }
        // MQTT-3.1.3-8 of version 3.1.1.
        Version::V311 if id.is_empty() && !connect.clean_start => {
            Err(Refusal::of(Code::ClientIdInvalid, "a session can only be kept under a client identifier"))
        }
        Version::V31 | Version::V311 | Version::V5 => Ok(()),
    }
}

/// MQTT-3.1.3-6: a client without a name gets one nobody can guess.
fn assigned_client_id(random: fn(&mut [u8])) -> ClientId {
    let mut bytes = [0; ASSIGNED_ID_BYTES];
    random(&mut bytes);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    ClientId::new(&format!("auto-{hex}"))
}

fn will_of(will: &crate::codec::Will) -> Will {
    let message = Message {
        retain: will.retain,
        properties: will.properties.clone(),
        ..Message::new(will.topic.clone(), will.payload.clone(), will.qos)
    };
    // The bytes of the CONNECT are not kept for it.
    Will { message: message.detached(), expiry_secs: will.expiry_secs, delay_secs: will.delay_secs }
}
