//! What the server keeps of a password for SCRAM-SHA-256: salt, iterations, StoredKey and ServerKey (RFC 5802 section 3).
//!
//! The text form is `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>` with base64 parts, which PostgreSQL uses
//! too. Keys are as secret as a password hash and never show themselves.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::hmac;
use crate::{PasswordError, password::check_length};

const SCRAM_SHA_256: &str = "SCRAM-SHA-256";
/// RFC 7677 section 4.
pub(crate) const ITERATIONS_MIN: u32 = 4096;
/// A client computes as many, and so does the server for a password sent in clear: about 0.1 s.
pub(crate) const ITERATIONS_MAX: u32 = 1_000_000;
const SALT_BYTES: usize = 16;
const SALT_BYTES_MAX: usize = 64;

/// Salt, iterations and both keys of one user.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: [u8; 32],
    server_key: [u8; 32],
}

/// Keys of `password` under a new salt.
///
/// # Errors
/// An empty password, one that SASLprep forbids, iterations out of bounds, or a system without random bytes.
pub fn new_scram_keys(password: &str, iterations: u32) -> Result<ScramKeys, PasswordError> {
    check_length(password)?;
    if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
        return Err(PasswordError::Iterations(iterations));
    }
    let prepared = stringprep::saslprep(password).map_err(|_forbidden| PasswordError::Forbidden)?;
    let mut salt = vec![0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| PasswordError::System(error.to_string()))?;
    Ok(ScramKeys::derive(prepared.as_bytes(), salt, iterations))
}

impl ScramKeys {
    fn derive(prepared: &[u8], salt: Vec<u8>, iterations: u32) -> Self {
        let salted: [u8; 32] = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(prepared, &salt, iterations);
        let stored_key = hash(&hmac(&salted, b"Client Key"));
        let server_key = hmac(&salted, b"Server Key");
        Self { iterations, salt, stored_key, server_key }
    }

    /// Reads the text form; none when it is not one or its numbers are out of bounds.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(SCRAM_SHA_256)?.strip_prefix('$')?;
        let (salting, keys) = rest.split_once('$')?;
        let (iterations, salt) = salting.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let iterations: u32 = iterations.parse().ok()?;
        let decode = |base64: &str| BASE64_STANDARD.decode(base64).ok();
        let salt = decode(salt)?;
        let is_in_bounds = (ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations)
            && (1..=SALT_BYTES_MAX).contains(&salt.len());
        is_in_bounds.then_some(())?;
        let stored_key = decode(stored_key)?.try_into().ok()?;
        let server_key = decode(server_key)?.try_into().ok()?;
        Some(Self { iterations, salt, stored_key, server_key })
    }

    /// Whether these keys are of `password`, as a client sent it in clear.
    pub(crate) fn are_of(&self, password: &[u8]) -> bool {
        let text = std::str::from_utf8(password).ok();
        let prepared = text.and_then(|text| stringprep::saslprep(text).ok());
        // A password that cannot be right still costs what a wrong one does.
        let candidate = prepared.as_ref().map_or(password, |prepared| prepared.as_bytes());
        let theirs = Self::derive(candidate, self.salt.clone(), self.iterations);
        bool::from(theirs.stored_key.ct_eq(&self.stored_key)) && prepared.is_some()
    }

    /// Keys that look like these, of a user who does not exist. They follow from `name` and a `secret` of the list, so
    /// that asking twice, even after a restart, shows the same salt.
    pub(crate) fn decoy(&self, name: &str, secret: &Self) -> Self {
        let secret = hmac(&secret.server_key, b"skein decoy user");
        let derived = |purpose: &str| hmac(&secret, format!("{purpose}:{name}").as_bytes());
        let salt_bytes = derived("salt").into_iter().chain(derived("more salt"));
        Self {
            iterations: self.iterations,
            salt: salt_bytes.take(self.salt.len()).collect(),
            stored_key: derived("stored key"),
            server_key: derived("server key"),
        }
    }

    /// Iterations and bytes of salt: what a client is told of them, and what a check costs.
    pub(crate) fn cost(&self) -> (u32, usize) {
        (self.iterations, self.salt.len())
    }

    /// How much of a claim these keys have to be what an unknown `name` is made to look like. The highest wins, so that
    /// users who come and go with costs that others have change nothing.
    pub(crate) fn claim_on(&self, name: &str, secret: &Self) -> [u8; 32] {
        let (iterations, salt) = self.cost();
        hmac(&secret.server_key, format!("skein decoy cost:{iterations}:{salt}:{name}").as_bytes())
    }

    pub(super) fn iterations(&self) -> u32 {
        self.iterations
    }

    pub(super) fn salt(&self) -> &[u8] {
        &self.salt
    }

    pub(super) fn stored_key(&self) -> &[u8; 32] {
        &self.stored_key
    }

    pub(super) fn server_key(&self) -> &[u8; 32] {
        &self.server_key
    }

    /// The text form, for an access file only.
    #[must_use]
    pub fn to_text(&self) -> String {
        let encode = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
        format!(
            "{SCRAM_SHA_256}${}:{}${}:{}",
            self.iterations,
            encode(&self.salt),
            encode(&self.stored_key),
            encode(&self.server_key)
        )
    }
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKeys").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

pub(super) fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
