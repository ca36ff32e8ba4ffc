//! Passwords: making hashes and checking them.
//!
//! A check with argon2id takes tens of milliseconds of one core on purpose, so a door calls it on a thread that may block.
//! What was right once is remembered for as long as the list stays, so that a storm of reconnecting clients does not
//! pay again; what was wrong never is.

use std::collections::{HashSet, VecDeque};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use foldhash::fast::RandomState;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use skein_types::Code;

use super::{
    Access, Authenticated,
    list::{AccessList, User},
    scram::ScramKeys,
};

/// Right passwords remembered at most; each costs about 100 bytes.
const KNOWN_PASSWORDS_MAX: usize = 65_536;
/// Most memory one check may take; a file that asks for more would let any client exhaust the node.
const HASH_MEMORY_KIB_MAX: u32 = 256 * 1024;
/// Most passes over that memory.
const HASH_PASSES_MAX: u32 = 64;

/// The longest password that is made into a hash or keys, and that is looked at when a client sends it.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// The longest name of a user.
pub const USER_BYTES_MAX: usize = 1024;

/// Why no hash or keys could be made of a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Nobody should be let in by pressing enter.
    #[error("the password is empty; give one with at least one character")]
    Empty,
    /// A hash costs time for each byte, and nobody types so many.
    #[error("the password has {0} bytes; give one with {PASSWORD_BYTES_MAX} at most")]
    TooLong(usize),
    /// RFC 4013 names the characters.
    #[error(
        "the password has characters that SASLprep (RFC 4013) forbids, such as control characters; choose another"
    )]
    Forbidden,
    /// RFC 7677 section 4 asks for at least 4096.
    #[error("{0} iterations are not between {min} and {max}", min = super::scram::ITERATIONS_MIN, max = super::scram::ITERATIONS_MAX)]
    Iterations(u32),
    /// The operating system gave no random bytes, or no memory for the hash.
    #[error("the hash could not be made: {0}")]
    System(String),
}

/// A hash of `password` with a new salt, in the form that access files hold: a PHC string of argon2id.
///
/// # Errors
/// An empty password, or a system without random bytes or memory.
pub fn new_password_hash(password: &str) -> Result<String, PasswordError> {
    check_length(password)?;
    let hash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|error| PasswordError::System(error.to_string()))?;
    Ok(hash.to_string())
}

pub(super) fn check_length(password: &str) -> Result<(), PasswordError> {
    match password.len() {
        0 => Err(PasswordError::Empty),
        1..=PASSWORD_BYTES_MAX => Ok(()),
        bytes => Err(PasswordError::TooLong(bytes)),
    }
}

/// Whether a client sent what no user has; it is not worth a hash.
fn is_too_long(user: &str, password: &[u8]) -> bool {
    user.len() > USER_BYTES_MAX || password.len() > PASSWORD_BYTES_MAX
}

/// Reads the `password` of a user entry; an error says what is wrong with it.
pub(super) fn parse_hash(text: &str) -> Result<PasswordHash, &'static str> {
    const FORM: &str = "is not an argon2id hash ($argon2id$v=19$m=…,t=…,p=…$salt$hash)";
    let hash = PasswordHash::new(text).map_err(|_not_phc| FORM)?;
    if hash.algorithm.as_str() != "argon2id" || hash.salt.is_none() || hash.hash.is_none() {
        return Err(FORM);
    }
    let params = argon2::Params::try_from(&hash).map_err(|_bad_params| FORM)?;
    if params.m_cost() > HASH_MEMORY_KIB_MAX || params.t_cost() > HASH_PASSES_MAX {
        return Err("is a hash that costs more than 256 MiB or 64 passes to check");
    }
    Ok(hash)
}

impl Access {
    /// Checks the password of a user. It may take tens of milliseconds: call it where blocking is allowed.
    ///
    /// A wrong password and an unknown user take the same time, so that names cannot be probed.
    ///
    /// # Errors
    /// [`Code::BadCredentials`], whatever was wrong.
    pub fn verify_password(&self, user: &str, password: &[u8]) -> Result<Authenticated, Code> {
        if is_too_long(user, password) {
            return Err(Code::BadCredentials);
        }
        if let Some(proof) = self.known_password(user, password) {
            return Ok(proof);
        }
        let list = self.list();
        let entry = list.check_password(user, password)?;
        let tag = self.password_tags.of(user, password);
        self.known_passwords.lock().insert(list.generation(), tag);
        Ok(entry.authenticated())
    }

    /// Who it is, if this password was right before under the present list. Takes microseconds.
    #[must_use]
    pub fn known_password(&self, user: &str, password: &[u8]) -> Option<Authenticated> {
        if is_too_long(user, password) {
            return None;
        }
        let list = self.list();
        let tag = self.password_tags.of(user, password);
        let is_known = self.known_passwords.lock().contains(list.generation(), &tag);
        list.user(user).filter(|_| is_known).map(|entry| entry.authenticated())
    }
}

impl User {
    pub(super) fn authenticated(&self) -> Authenticated {
        Authenticated { user: self.name.clone(), roles: self.roles.clone() }
    }
}

/// What a password is held against.
#[derive(Clone, Copy)]
enum Against<'l> {
    Hash(&'l PasswordHash),
    Keys(&'l ScramKeys),
}

impl AccessList {
    fn check_password(&self, name: &str, password: &[u8]) -> Result<&User, Code> {
        let (entry, own) = self.own_check(name);
        if let (Some(own), Some(user)) = (own, entry)
            && own.is_of(password)
        {
            return Ok(user);
        }
        // The results are thrown away.
        self.decoys(own).for_each(|decoy| _ = decoy.is_of(password));
        Err(Code::BadCredentials)
    }

    fn own_check(&self, name: &str) -> (Option<&User>, Option<Against<'_>>) {
        let entry = self.user(name).map(AsRef::as_ref);
        let hash = entry.and_then(|user| user.password.as_ref()).map(Against::Hash);
        let keys = entry.and_then(|user| user.scram.as_ref()).map(Against::Keys);
        (entry, hash.or(keys))
    }

    /// What a refusal is held against beside the user's own: one of each cost in this list, so that all refusals cost the same.
    fn decoys(&self, own: Option<Against<'_>>) -> impl Iterator<Item = Against<'_>> {
        let all = self.decoy_hashes().map(Against::Hash).chain(self.decoy_keys().map(Against::Keys));
        let own = own.map(Against::cost);
        all.filter(move |decoy| Some(decoy.cost()) != own)
    }
}

impl Against<'_> {
    fn is_of(self, password: &[u8]) -> bool {
        match self {
            Self::Hash(hash) => is_hash_of(hash, password),
            Self::Keys(keys) => keys.are_of(password),
        }
    }

    fn cost(self) -> (Option<HashCost>, Option<(u32, usize)>) {
        match self {
            Self::Hash(hash) => (Some(hash_cost(hash)), None),
            Self::Keys(keys) => (None, Some(keys.cost())),
        }
    }
}

/// Memory, passes and lanes of a check.
pub(super) type HashCost = (u32, u32, u32);

pub(super) fn hash_cost(hash: &PasswordHash) -> HashCost {
    // A list holds no hash whose parameters were not read before.
    let params = argon2::Params::try_from(hash).unwrap_or_default();
    (params.m_cost(), params.t_cost(), params.p_cost())
}

fn is_hash_of(hash: &PasswordHash, password: &[u8]) -> bool {
    Argon2::default().verify_password(password, hash).is_ok()
}

/// Makes the tags of passwords.
///
/// A tag is an HMAC of name and password under a key that lives and dies with the process: who reads the memory
/// of another process or a swap file later learns no password from it.
pub(super) struct PasswordTags {
    keyed: Hmac<Sha256>,
}

impl PasswordTags {
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the operating system gives random bytes to a starting process");
        Self { keyed: keyed(&key) }
    }

    fn of(&self, user: &str, password: &[u8]) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        // The length keeps ("ab", "c") apart from ("a", "bc").
        mac.update(&(user.len() as u64).to_le_bytes());
        mac.update(user.as_bytes());
        mac.update(password);
        mac.finalize().into_bytes().into()
    }
}

/// Tags of right passwords under one list, the oldest forgotten first.
#[derive(Default)]
pub(super) struct KnownPasswords {
    generation: u64,
    tags: HashSet<[u8; 32], RandomState>,
    order: VecDeque<[u8; 32]>,
}

impl KnownPasswords {
    fn contains(&self, generation: u64, tag: &[u8; 32]) -> bool {
        self.generation == generation && self.tags.contains(tag)
    }

    fn insert(&mut self, generation: u64, tag: [u8; 32]) {
        if generation < self.generation {
            return;
        }
        if generation > self.generation {
            self.generation = generation;
            self.tags.clear();
            self.order.clear();
        }
        if !self.tags.insert(tag) {
            return;
        }
        self.order.push_back(tag);
        if self.order.len() > KNOWN_PASSWORDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.tags.remove(&oldest);
        }
    }
}

/// HMAC-SHA-256 under `key`.
pub(super) fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length (RFC 2104 section 3)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_passwords_are_bounded_and_belong_to_one_list() {
        let (tags, mut known) = (PasswordTags::new(), KnownPasswords::default());
        for number in 0..KNOWN_PASSWORDS_MAX + 10 {
            let tag = tags.of("u", &number.to_le_bytes());
            known.insert(1, tag);
        }
        assert_eq!((known.tags.len(), known.order.len()), (KNOWN_PASSWORDS_MAX, KNOWN_PASSWORDS_MAX));
        let (oldest, newest) = (tags.of("u", &0_usize.to_le_bytes()), tags.of("u", &100_usize.to_le_bytes()));
        assert!(!known.contains(1, &oldest));
        assert!(known.contains(1, &newest));
        assert!(!known.contains(2, &newest));
        known.insert(2, oldest);
        assert!(known.contains(2, &oldest) && !known.contains(2, &newest));
        known.insert(1, newest);
        assert!(!known.contains(2, &newest) && known.tags.len() == 1, "an answer of an old list is not kept");
    }

    #[test]
    fn tags_tell_name_and_password_apart() {
        let tags = PasswordTags::new();
        assert_ne!(tags.of("ab", b"c"), tags.of("a", b"bc"));
        assert_ne!(tags.of("a", b"b"), PasswordTags::new().of("a", b"b"), "each process has its own key");
    }

    #[test]
    fn every_refusal_costs_the_same() {
        let hash = |name: &str, memory: u32| {
            format!(
                "[[users]]\nname = '{name}'\npassword = '$argon2id$v=19$m={memory},t=1,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG'\n"
            )
        };
        let keys = |name: &str, iterations| {
            let keys = crate::new_scram_keys("right", iterations).unwrap().to_text();
            format!("[[users]]\nname = '{name}'\nscram = '{keys}'\n")
        };
        let file =
            AccessList::parse(&[hash("cheap", 16), hash("dear", 32), hash("too", 32)].concat()).unwrap();
        let stored = [
            keys("few", 4096),
            keys("many", 5000),
            hash("dearest", 64),
            "[[users]]\nname = 'none'\n".to_owned(),
        ];
        let list = file.joined(&AccessList::parse(&stored.concat()).unwrap());
        let costs = |name: &str| {
            let (_, own) = list.own_check(name);
            let mut costs: Vec<_> = own.into_iter().chain(list.decoys(own)).map(Against::cost).collect();
            costs.sort_unstable();
            costs
        };
        assert_eq!(costs("nobody").len(), 5);
        for name in ["cheap", "dear", "too", "few", "many", "dearest", "none"] {
            assert_eq!(costs(name), costs("nobody"), "{name}");
        }
    }

    #[test]
    fn hashes_that_are_refused() {
        for text in [
            "",
            "secret",
            "$argon2i$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG",
            "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ",
            "$argon2id$v=19$m=1,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG",
            "$argon2id$v=19$m=1048576,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG",
            "$argon2id$v=19$m=19456,t=65,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG",
        ] {
            assert!(parse_hash(text).is_err(), "{text}");
        }
        assert_eq!(new_password_hash(""), Err(PasswordError::Empty));
    }
}
