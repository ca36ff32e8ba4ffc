//! Extended authentication with SCRAM-SHA-256 (MQTT 5.0 section 4.12, RFC 7677).
//!
//! CONNECT carries the method and may carry the client's first message; AUTH packets carry the rest. On an open
//! connection the client may prove itself again (section 4.12.1); a failure then ends the connection. Failures count for
//! the client's address like wrong passwords do.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use skein_access::{Authenticated, Guess, SCRAM_NONCE_BYTES, ScramExchange};
use skein_types::{Code, Moment};

use super::{
    AuthState, Context, MqttConnection, Open, Phase, Refusal, Step,
    connect::{AuthDone, packet_bytes_max_of},
};
use crate::codec::{Auth, Packet, ReasonCode, Version};

/// The method this server knows.
const METHOD: &str = "SCRAM-SHA-256";

/// An exchange whose last message is awaited.
#[derive(Debug)]
pub(super) struct Proving {
    exchange: ScramExchange,
    /// When the proof may be looked at; known once it arrives.
    guess: Option<Guess>,
}

impl Proving {
    /// When the proof may be looked at, if not now.
    pub(super) fn turn(
        &mut self,
        address: IpAddr,
        patience: Duration,
        cx: &Context<'_>,
    ) -> Result<Option<Moment>, Refusal> {
        let guess = match self.guess {
            Some(guess) => guess,
            None => cx.plane.access().guess(address, cx.now, cx.now.after(patience)).map_err(too_often)?,
        };
        self.guess = Some(guess);
        Ok((guess.at() > cx.now).then(|| guess.at()))
    }

    fn finish(self, data: &[u8], cx: &Context<'_>) -> Result<(Bytes, Authenticated), Refusal> {
        let Self { exchange, guess } = self;
        let finished = exchange.finish(data);
        let access = cx.plane.access();
        match (&finished, guess) {
            (Ok(_), Some(guess)) => access.guess_was_right(guess),
            (Err(_), Some(guess)) => access.guess_failed(guess, cx.now),
            (_, None) => {}
        }
        let (answer, proof) = finished.map_err(|code| Refusal::of(code, "the SCRAM proof was refused"))?;
        Ok((answer.into(), proof))
    }
}

fn too_often(code: Code) -> Refusal {
    Refusal::of(code, "the client's address failed to log in too often")
}

impl MqttConnection {
    /// A CONNECT with an authentication method.
    pub(super) fn start_authentication(&mut self, cx: &mut Context<'_>) -> Result<Step, Refusal> {
        let Phase::Checking(connect) = &self.phase else { return Ok(Step::Read) };
        if connect.properties.authentication_method.as_deref() != Some(METHOD) {
            // MQTT-4.12.0-1.
            return Err(Refusal::of(Code::BadAuthenticationMethod, "the method known here is SCRAM-SHA-256"));
        }
        let packet_bytes_max = packet_bytes_max_of(connect);
        let exchange = match &connect.properties.authentication_data {
            Some(first) => Some(Box::new(challenge(first, packet_bytes_max, cx)?)),
            None => {
                send_auth(ReasonCode::ContinueAuthentication, None, packet_bytes_max, cx)?;
                None
            }
        };
        if let Phase::Checking(connect) = self.leave_phase() {
            self.phase = Phase::Authenticating(connect, exchange);
        }
        Ok(Step::Read)
    }

    /// An AUTH before the session is open.
    pub(super) fn authenticate(&mut self, auth: &Auth, cx: &mut Context<'_>) -> Result<(), Refusal> {
        if auth.reason != ReasonCode::ContinueAuthentication || &*auth.method != METHOD {
            return Err(Refusal::protocol("an AUTH of the same method with reason 0x18 was expected"));
        }
        let data = auth.data.clone().unwrap_or_default();
        match self.leave_phase() {
            Phase::Authenticating(connect, None) => {
                let started = challenge(&data, packet_bytes_max_of(&connect), cx);
                self.phase = Phase::Authenticating(connect, None);
                let exchange = started?;
                if let Phase::Authenticating(_, waiting) = &mut self.phase {
                    *waiting = Some(Box::new(exchange));
                }
                Ok(())
            }
            Phase::Authenticating(connect, Some(exchange)) => match exchange.finish(&data, cx) {
                Ok((answer, proof)) => {
                    let done = AuthDone { method: METHOD.into(), data: Some(answer) };
                    self.open(*connect, Some(proof), Some(done), cx)
                }
                Err(refusal) => {
                    self.phase = Phase::Checking(connect);
                    Err(refusal)
                }
            },
            other => {
                self.phase = other;
                Err(Refusal::protocol("no authentication is under way"))
            }
        }
    }
}

impl Open {
    /// An AUTH on an open connection: re-authentication (MQTT-4.12.1-1).
    pub(super) fn reauthenticate(
        &mut self,
        auth: &Auth,
        peer: IpAddr,
        cx: &mut Context<'_>,
    ) -> Result<(), Refusal> {
        let packet_bytes_max = self.packet_bytes_max;
        let Some(state) = &mut self.auth else {
            return Err(Refusal::protocol(
                "AUTH needs a connection that was opened with an authentication method",
            ));
        };
        if auth.method != state.method {
            return Err(Refusal::protocol("the authentication method cannot change"));
        }
        let data = auth.data.clone().unwrap_or_default();
        match (auth.reason, state.running, state.exchange.take()) {
            (ReasonCode::ReAuthenticate, false, None) => {
                state.running = true;
                if data.is_empty() {
                    send_auth(ReasonCode::ContinueAuthentication, None, packet_bytes_max, cx)?;
                } else {
                    state.exchange = Some(challenge(&data, packet_bytes_max, cx)?);
                }
                Ok(())
            }
            (ReasonCode::ContinueAuthentication, true, None) => {
                state.exchange = Some(challenge(&data, packet_bytes_max, cx)?);
                Ok(())
            }
            (ReasonCode::ContinueAuthentication, true, Some(mut proving)) => {
                // An open connection is not held up: who would have to wait has no proof looked at.
                if proving.turn(peer, Duration::ZERO, cx)?.is_some() {
                    return Err(too_often(Code::ConnectionRateExceeded));
                }
                let answer = state.finish(proving, &data, cx)?;
                send_auth(ReasonCode::Success, Some(answer), packet_bytes_max, cx)
            }
            _ => Err(Refusal::protocol("this AUTH does not fit the authentication under way")),
        }
    }
}

impl AuthState {
    /// Says what the client is to be sent.
    fn finish(&mut self, proving: Proving, data: &Bytes, cx: &Context<'_>) -> Result<Bytes, Refusal> {
        let (answer, proof) = proving.finish(data, cx)?;
        if Some(&proof.user) != self.user.as_ref() {
            return Err(Refusal::of(Code::NotAuthorized, "a connection cannot change its user"));
        }
        self.running = false;
        Ok(answer)
    }
}

/// Answers the client's first message.
fn challenge(first: &[u8], packet_bytes_max: u32, cx: &mut Context<'_>) -> Result<Proving, Refusal> {
    let mut nonce = [0; SCRAM_NONCE_BYTES];
    (cx.random)(&mut nonce);
    let (answer, exchange) = cx
        .plane
        .access()
        .scram_start(first, nonce)
        .map_err(|code| Refusal::of(code, "the first SCRAM message was refused"))?;
    send_auth(ReasonCode::ContinueAuthentication, Some(answer.into()), packet_bytes_max, cx)?;
    Ok(Proving { exchange, guess: None })
}

fn send_auth(
    reason: ReasonCode,
    data: Option<Bytes>,
    packet_bytes_max: u32,
    cx: &mut Context<'_>,
) -> Result<(), Refusal> {
    let auth = Auth { reason, method: METHOD.into(), data, reason_string: None, user: Vec::new() };
    match Packet::Auth(Box::new(auth)).encode_within(Version::V5, packet_bytes_max, cx.out) {
        true => Ok(()),
        // MQTT-3.1.2-24.
        false => Err(Refusal::no_room("an AUTH would be larger than the client's maximum packet size")),
    }
}
