//! The server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677): bytes of the client in, bytes of the server out.
//!
//! The password never crosses the network and is not kept: the access file holds keys made of it. Channel binding is
//! not offered, so `p=` is refused and `n` and `y` are both taken (RFC 5802 section 6). Doors carry the messages, MQTT
//! in AUTH packets and XMPP in SASL elements. An exchange does no IO and reads no clock; its nonce comes from the caller.

mod keys;

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::Mac;
use skein_types::Code;
use subtle::ConstantTimeEq;

pub(super) use keys::{ITERATIONS_MAX, ITERATIONS_MIN};
pub use keys::{ScramKeys, new_scram_keys};

use super::{Access, Authenticated, list::AccessList, password::keyed};

/// Random bytes an exchange needs from its caller.
pub const SCRAM_NONCE_BYTES: usize = 18;
/// Iterations of new keys; RFC 7677 section 4 asks for at least this many.
pub const SCRAM_ITERATIONS_DEFAULT: u32 = 4096;
/// Longest message taken from a client. A user name has at most 65535 bytes in MQTT; nobody logs in with one so long.
const MESSAGE_BYTES_MAX: usize = 4096;

/// An exchange between the server's first message and the client's last.
pub struct ScramExchange {
    /// What the client must repeat in `c=`.
    gs2_header: String,
    /// `r=` of both sides together.
    nonce: String,
    /// client-first-message-bare and server-first-message, as the proof covers them.
    auth_message: String,
    keys: ScramKeys,
    /// None for a user that does not exist: the exchange then goes on to fail at its end.
    proof_of: Option<Authenticated>,
}

impl std::fmt::Debug for ScramExchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScramExchange").finish_non_exhaustive()
    }
}

impl Access {
    /// Answers the client's first message. `nonce` is random and used once.
    ///
    /// Unknown users are answered like known ones, with a salt that stays the same for the name.
    ///
    /// # Errors
    /// [`Code::BadAuthenticationMethod`] when no user has keys or the client demands channel binding,
    /// [`Code::Malformed`] when the message is not one of RFC 5802, [`Code::BadCredentials`] when the client wants to
    /// act for another user.
    pub fn scram_start(
        &self,
        client_first: &[u8],
        nonce: [u8; SCRAM_NONCE_BYTES],
    ) -> Result<(Vec<u8>, ScramExchange), Code> {
        start(&self.list(), client_first, &BASE64_STANDARD.encode(nonce))
    }
}

fn start(
    list: &AccessList,
    client_first: &[u8],
    server_nonce: &str,
) -> Result<(Vec<u8>, ScramExchange), Code> {
    let first = ClientFirst::parse(client_first)?;
    let listed = list.user(&first.user).and_then(|user| Some((user.authenticated(), user.scram.clone()?)));
    let (proof_of, keys) = match listed {
        Some((proof_of, keys)) => (Some(proof_of), keys),
        None => (None, decoy(list, &first.user).ok_or(Code::BadAuthenticationMethod)?),
    };
    let nonce = format!("{}{server_nonce}", first.nonce);
    let salt = BASE64_STANDARD.encode(keys.salt());
    let server_first = format!("r={nonce},s={salt},i={}", keys.iterations());
    let auth_message = format!("{},{server_first}", first.bare);
    let gs2_header = first.gs2_header.to_owned();
    Ok((server_first.into_bytes(), ScramExchange { gs2_header, nonce, auth_message, keys, proof_of }))
}

/// Keys for a user who does not exist, with iterations and a salt as those who exist have them.
fn decoy(list: &AccessList, name: &str) -> Option<ScramKeys> {
    let secret = list.decoy_keys().next()?;
    let like = list.decoy_keys().max_by_key(|keys| keys.claim_on(name, secret))?;
    Some(like.decoy(name, secret))
}

impl ScramExchange {
    /// Checks the client's last message; gives the server's last message and who the client is.
    ///
    /// # Errors
    /// [`Code::Malformed`] when the message is not one of RFC 5802, [`Code::BadCredentials`] when the proof is wrong,
    /// the user does not exist, or the message belongs to another exchange.
    pub fn finish(self, client_final: &[u8]) -> Result<(Vec<u8>, Authenticated), Code> {
        let text = message_text(client_final)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(Code::Malformed)?;
        let mut fields = without_proof.split(',');
        let header = fields.next().and_then(|field| field.strip_prefix("c=")).ok_or(Code::Malformed)?;
        let nonce = fields.next().and_then(|field| field.strip_prefix("r=")).ok_or(Code::Malformed)?;
        let proof: [u8; 32] = decode(proof)?.try_into().map_err(|_wrong_length| Code::Malformed)?;
        if decode(header)? != self.gs2_header.as_bytes() || nonce != self.nonce {
            return Err(Code::BadCredentials);
        }
        let auth_message = format!("{},{without_proof}", self.auth_message);
        let signature = hmac(self.keys.stored_key(), auth_message.as_bytes());
        let client_key: [u8; 32] = std::array::from_fn(|index| proof[index] ^ signature[index]);
        let is_right = keys::hash(&client_key).ct_eq(self.keys.stored_key());
        match (bool::from(is_right), self.proof_of) {
            (true, Some(authenticated)) => {
                let verifier = hmac(self.keys.server_key(), auth_message.as_bytes());
                Ok((format!("v={}", BASE64_STANDARD.encode(verifier)).into_bytes(), authenticated))
            }
            _ => Err(Code::BadCredentials),
        }
    }
}

/// The parts of a client-first-message (RFC 5802 section 7).
struct ClientFirst<'m> {
    gs2_header: &'m str,
    bare: &'m str,
    user: String,
    nonce: &'m str,
}

impl<'m> ClientFirst<'m> {
    fn parse(message: &'m [u8]) -> Result<Self, Code> {
        let text = message_text(message)?;
        let (binding, rest) = text.split_once(',').ok_or(Code::Malformed)?;
        match binding {
            "n" | "y" => {}
            _ if binding.starts_with("p=") => return Err(Code::BadAuthenticationMethod),
            _ => return Err(Code::Malformed),
        }
        let (authzid, bare) = rest.split_once(',').ok_or(Code::Malformed)?;
        let header_bytes = text.len() - bare.len();
        let gs2_header = text.get(..header_bytes).ok_or(Code::Malformed)?;
        let mut fields = bare.split(',');
        // A mandatory extension `m=` in the place of the name is unknown here and must fail (RFC 5802 section 5.1).
        let name = fields.next().and_then(|field| field.strip_prefix("n=")).ok_or(Code::Malformed)?;
        let nonce = fields.next().and_then(|field| field.strip_prefix("r=")).ok_or(Code::Malformed)?;
        if nonce.is_empty() || !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Code::Malformed);
        }
        let user = user_name(name)?;
        if !authzid.is_empty() && user_name(authzid.strip_prefix("a=").ok_or(Code::Malformed)?)? != user {
            return Err(Code::BadCredentials);
        }
        Ok(Self { gs2_header, bare, user, nonce })
    }
}

/// Undoes the escapes of a saslname and prepares it as RFC 5802 section 5.1 asks.
fn user_name(escaped: &str) -> Result<String, Code> {
    let mut name = String::new();
    let mut parts = escaped.split('=');
    name.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (letter, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            (None, None) => return Err(Code::Malformed),
        };
        name.push(letter);
        name.push_str(rest);
    }
    match stringprep::saslprep(&name) {
        Ok(prepared) if !prepared.is_empty() => Ok(prepared.into_owned()),
        _ => Err(Code::Malformed),
    }
}

fn message_text(message: &[u8]) -> Result<&str, Code> {
    match std::str::from_utf8(message) {
        Ok(text) if text.len() <= MESSAGE_BYTES_MAX && !text.contains('\0') => Ok(text),
        _ => Err(Code::Malformed),
    }
}

fn decode(base64: &str) -> Result<Vec<u8>, Code> {
    BASE64_STANDARD.decode(base64).map_err(|_not_base64| Code::Malformed)
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = keyed(key);
    mac.update(text);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests;
