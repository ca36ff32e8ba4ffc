//! Access control: who a client is and what it may do. Every door of the server asks here, and only here.
//!
//! Text goes in, decisions come out. Nothing in this crate opens a file or a socket or reads a clock; random bytes for
//! salts come from the operating system. No secret is ever shown or logged.
//!
//! # Users
//! A user of the access file has a password hash (argon2id), keys for SCRAM-SHA-256, both, or neither; one with
//! neither exists to give roles to users a door knows by other means, such as a certificate.
//!
//! # Rules
//! - Rules are read in the order of the file; the first that concerns the client and matches decides.
//! - A rule concerns a client when every list it has (users, roles, client ids, addresses, doors) names it. A list that
//!   is absent names everybody; a list of users never names a client without a user.
//! - When no rule matches, the answer is no. Without an access file, everything is allowed to whom is let in.
//! - `%u` in a filter is the user name and `%c` the client id. A name with `/`, `+` or `#` in it, or one that would
//!   make the filter start with `$`, fits no filter of an allowing rule; in a denying rule its level then matches every
//!   name, so that nobody escapes by the choice of a name.
//! - A client never publishes on a topic that starts with `$`; subscribing to `$SYS/#` is up to the rules like any
//!   other filter. As everywhere, `#` does not match topics that start with `$` (MQTT-4.7.2-1).
//! - A subscription is decided by the first rule that covers all of its filter. A denying rule before it that covers a
//!   part makes the answer "in part": the subscription stands and each message is checked on its way to the client. An
//!   allowing rule that covers only a part of the filter does not allow it.
//!
//! # Where the list comes from
//! From the access file and from the store, where users and rules can be changed while the node runs
//! (`Plane::add_user` and the others in `skein-plane`). The file's rules come first and its users win.
//!
//! # Changing the list
//! [`Access::reload`] puts a new list in force at once for every bound connection, or leaves the old one when the new
//! text has a fault. Each list has a number, the generation, by which callers notice that what they cached is old.
#![warn(missing_docs)]

mod blocks;
mod bound;
mod fault;
mod file;
mod gate;
mod list;
mod operator;
mod password;
mod rule;
mod scram;
mod throttle;
mod users;

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use skein_types::{ClientId, Code, UserName};

pub use blocks::{RuleBlock, UserBlock, text_of};
pub use bound::{BoundAccess, IdentityRules};
pub use fault::{AccessFault, AccessFaults, nearest_name, position};
pub use gate::{Entered, PasswordGate, PasswordTicket, Progress};
pub use list::AccessList;
pub use operator::{OPERATOR_TOKEN_BYTES, OperatorToken};
pub use password::{PASSWORD_BYTES_MAX, PasswordError, USER_BYTES_MAX, new_password_hash};
pub use scram::{SCRAM_ITERATIONS_DEFAULT, SCRAM_NONCE_BYTES, ScramExchange, ScramKeys, new_scram_keys};
pub use throttle::Guess;
pub use users::{
    Credentials, EditError, NewUser, UserSummary, add_user, list_users, new_user_block, remove_user,
    set_password,
};

use password::{KnownPasswords, PasswordTags};
use throttle::Throttle;

/// The door a client came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// MQTT over TCP, TLS or WebSocket.
    Mqtt,
    /// The HTTP interface.
    Http,
    /// The comet interface of browsers.
    Comet,
    /// SQL over the MySQL protocol.
    CometQl,
    /// XMPP.
    Xmpp,
}

impl Door {
    /// Every door.
    pub const ALL: &[Self] = &[Self::Mqtt, Self::Http, Self::Comet, Self::CometQl, Self::Xmpp];

    /// The name of the door in access files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Http => "http",
            Self::Comet => "comet",
            Self::CometQl => "cometql",
            Self::Xmpp => "xmpp",
        }
    }
}

/// Where a user name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserSource {
    /// From a check against the access file: rights end when the user is removed from it.
    List,
    /// From the door itself, such as the subject of a certificate.
    Outside,
}

/// Who asks: everything a rule can look at.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The user, when one has been proved.
    pub user: Option<UserName>,
    /// Where the user name comes from.
    pub source: UserSource,
    /// Roles of a user the access file does not list; for one it lists, those of the file count.
    pub roles: Arc<[String]>,
    /// The client id.
    pub client_id: ClientId,
    /// The address the client connects from.
    pub address: IpAddr,
    /// The door it came in by.
    pub door: Door,
}

/// The proof that a password or SCRAM exchange was right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    /// The user's name as the access file writes it.
    pub user: UserName,
    /// The user's roles.
    pub roles: Arc<[String]>,
}

/// The answer to whether something may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Allow,
    /// It may not.
    Deny,
}

/// The answer to whether a filter may be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscribe {
    /// Every topic of the filter may be received.
    Allow,
    /// Some topics of the filter must not be received: ask `check_receive` for each message.
    AllowPart,
    /// The subscription is refused.
    Deny,
}

/// Who may come in without a password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Anonymous {
    /// Nobody.
    Never,
    /// Clients on the same machine.
    #[default]
    Loopback,
    /// Everybody.
    Always,
}

/// What to do with a client that asks to come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Let it in without a user. A user name it gave is not proved and must not be believed.
    Anonymous,
    /// Check its password with [`Access::verify_password`].
    CheckPassword,
    /// Refuse it.
    Refuse(Code),
}

/// The access control in force.
pub struct Access {
    list: ArcSwap<AccessList>,
    generation: AtomicU64,
    parts: Mutex<Parts>,
    anonymous: Anonymous,
    password_tags: PasswordTags,
    known_passwords: Mutex<KnownPasswords>,
    throttle: Throttle,
}

/// Where the list in force comes from.
struct Parts {
    /// The access file, or nothing.
    file: AccessList,
    /// The store.
    stored: Option<AccessList>,
}

impl Access {
    /// Puts `list` in force.
    #[must_use]
    pub fn new(list: AccessList, anonymous: Anonymous) -> Self {
        Self {
            list: ArcSwap::from_pointee(list.clone().numbered(1)),
            generation: AtomicU64::new(1),
            parts: Mutex::new(Parts { file: list, stored: None }),
            anonymous,
            password_tags: PasswordTags::new(),
            known_passwords: Mutex::default(),
            throttle: Throttle::default(),
        }
    }

    /// Reads `text` as an access file and puts it in force.
    ///
    /// # Errors
    /// Every fault of the text; the list in force then stays.
    pub fn reload(&self, text: &str) -> Result<(), AccessFaults> {
        self.replace(AccessList::parse(text)?);
        Ok(())
    }

    /// Puts `list` in force in the place of the file's before, also for clients that are bound. What is stored stays.
    pub fn replace(&self, list: AccessList) {
        let mut parts = self.parts.lock();
        parts.file = list;
        self.put_in_force(&parts);
    }

    /// The same for the list that is stored.
    pub fn replace_stored(&self, list: AccessList) {
        let mut parts = self.parts.lock();
        parts.stored = Some(list);
        self.put_in_force(&parts);
    }

    /// The users of the access file, by name. They go before stored ones of the same names.
    #[must_use]
    pub fn users_of_file(&self) -> Vec<UserSummary> {
        self.parts.lock().file.users()
    }

    /// Whether the access file has a user of this name.
    #[must_use]
    pub fn is_user_of_file(&self, name: &str) -> bool {
        self.parts.lock().file.has_user(name)
    }

    fn put_in_force(&self, parts: &Parts) {
        // The list is stored before its number: who sees the number finds the list, or a newer one.
        let generation = self.generation().wrapping_add(1);
        let list = match &parts.stored {
            Some(stored) => parts.file.joined(stored),
            None => parts.file.clone(),
        };
        self.list.store(Arc::new(list.numbered(generation)));
        self.generation.store(generation, Ordering::Release);
    }

    /// Number of the list in force.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The list in force.
    #[must_use]
    pub fn list(&self) -> Arc<AccessList> {
        self.list.load_full()
    }

    /// Decides how a client with these credentials, connecting from `address`, comes in.
    #[must_use]
    pub fn admit(&self, user: Option<&str>, password: Option<&[u8]>, address: IpAddr) -> Admission {
        let list = self.list.load();
        if list.checks_credentials() && (user.is_some() || password.is_some()) {
            return Admission::CheckPassword;
        }
        if self.anonymous.admits(address) {
            return Admission::Anonymous;
        }
        Admission::Refuse(if user.is_some() { Code::BadCredentials } else { Code::NotAuthorized })
    }

    /// Binds the rules to one client.
    #[must_use]
    pub fn bind(self: &Arc<Self>, identity: Identity) -> BoundAccess {
        BoundAccess::new(Arc::clone(self), identity)
    }

    /// The rules in force for `identity`, for a door that asks once and keeps no connection.
    #[must_use]
    pub fn rules_for(&self, identity: &Identity) -> IdentityRules {
        IdentityRules::derive(&self.list.load(), identity)
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("list", &self.list.load())
            .field("anonymous", &self.anonymous)
            .finish_non_exhaustive()
    }
}

impl Anonymous {
    /// Whether a client at `address` may come in without a password.
    #[must_use]
    pub fn admits(self, address: IpAddr) -> bool {
        match self {
            Self::Never => false,
            Self::Loopback => address.to_canonical().is_loopback(),
            Self::Always => true,
        }
    }
}

impl Identity {
    /// A client that has not said who it is.
    #[must_use]
    pub fn anonymous(client_id: ClientId, address: IpAddr, door: Door) -> Self {
        Self { user: None, source: UserSource::Outside, roles: Arc::from([]), client_id, address, door }
    }

    /// The same client as the user it has proved to be.
    #[must_use]
    pub fn authenticated(self, proof: Authenticated) -> Self {
        Self { user: Some(proof.user), roles: proof.roles, source: UserSource::List, ..self }
    }

    /// The same client as a user its door vouches for, with no roles but those the access file gives that name.
    #[must_use]
    pub fn vouched(self, user: UserName) -> Self {
        Self { user: Some(user), roles: Arc::from([]), source: UserSource::Outside, ..self }
    }
}

#[cfg(test)]
mod tests;
