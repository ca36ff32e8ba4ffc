//! One access list: its users and rules, unchanging once made.
//!
//! It is made by the parser of access files or is the open list of a server without one. [`Access`] puts it in
//! force. It holds password hashes and keys, so it never shows itself in full.
//!
//! [`Access`]: super::Access

use std::{collections::HashMap, fmt, sync::Arc};

use argon2::password_hash::phc::PasswordHash;
use foldhash::fast::RandomState;
use skein_types::UserName;

use super::{
    UserSummary, Verdict,
    password::{HashCost, hash_cost},
    rule::Rule,
    scram::ScramKeys,
};

/// Users and rules. See the documentation of the access module for what they mean.
#[derive(Clone)]
pub struct AccessList {
    generation: u64,
    /// Credentials are checked, not passed over.
    checks_credentials: bool,
    /// What no rule speaks of is denied.
    denies_otherwise: bool,
    /// There are users or there were, though none may be left.
    has_had_users: bool,
    has_had_rules: bool,
    users: HashMap<UserName, Arc<User>, RandomState>,
    /// A user for each cost that checking a hash has in this list: what every refusal costs.
    decoy_hashes: Vec<Arc<User>>,
    /// A user for each cost of SCRAM keys: what unknown users are made to look like.
    decoy_keys: Vec<Arc<User>>,
    rules: Vec<Rule>,
}

/// A user of an access file.
pub(super) struct User {
    pub(super) name: UserName,
    pub(super) password: Option<PasswordHash>,
    pub(super) scram: Option<ScramKeys>,
    pub(super) roles: Arc<[String]>,
}

impl AccessList {
    /// The list of a server without an access file: no users, and everything is allowed but publishing on `$` topics.
    #[must_use]
    pub fn open() -> Self {
        Self {
            generation: 0,
            checks_credentials: false,
            denies_otherwise: false,
            has_had_users: false,
            has_had_rules: false,
            users: HashMap::default(),
            decoy_hashes: Vec::new(),
            decoy_keys: Vec::new(),
            rules: Vec::new(),
        }
    }

    pub(super) fn from_file(users: Vec<User>, rules: Vec<Rule>) -> Self {
        let users: Vec<Arc<User>> = users.into_iter().map(Arc::new).collect();
        Self {
            generation: 0,
            checks_credentials: true,
            denies_otherwise: true,
            has_had_users: !users.is_empty(),
            has_had_rules: !rules.is_empty(),
            decoy_hashes: one_of_each(&users, User::hash_cost),
            decoy_keys: one_of_each(&users, User::keys_cost),
            users: users.into_iter().map(|user| (user.name.clone(), user)).collect(),
            rules,
        }
    }

    /// The same list under the number it is put in force with.
    pub(super) fn numbered(self, generation: u64) -> Self {
        Self { generation, ..self }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// This list with the users and rules of another one behind its own. A user that is in both is this list's; the
    /// other's rules are asked after this one's. Users make a list that was open check credentials, and rules make it deny
    /// what none of them allows, as a file does; also those that were removed.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        let mut joined = self.clone();
        for (name, user) in &other.users {
            joined.users.entry(name.clone()).or_insert_with(|| Arc::clone(user));
        }
        joined.decoy_hashes.extend(other.decoy_hashes.iter().cloned());
        joined.decoy_hashes = one_of_each(&joined.decoy_hashes, User::hash_cost);
        joined.decoy_keys.extend(other.decoy_keys.iter().cloned());
        joined.decoy_keys = one_of_each(&joined.decoy_keys, User::keys_cost);
        joined.rules.extend(other.rules.iter().cloned());
        joined.has_had_users |= other.has_had_users;
        joined.checks_credentials |= other.has_had_users;
        joined.denies_otherwise |= other.has_had_rules;
        joined
    }

    /// This list as one of which users or rules were removed: nothing becomes allowed by their absence.
    #[must_use]
    pub fn having_had(self, users: bool, rules: bool) -> Self {
        Self {
            has_had_users: self.has_had_users || users,
            has_had_rules: self.has_had_rules || rules,
            ..self
        }
    }

    /// Whether there are users, or were and are removed.
    #[must_use]
    pub fn has_had_users(&self) -> bool {
        self.has_had_users
    }

    /// Whether credentials that a client sends are checked; without users they are passed over.
    #[must_use]
    pub fn checks_credentials(&self) -> bool {
        self.checks_credentials
    }

    /// Whether there is a user of this name.
    #[must_use]
    pub fn has_user(&self, name: &str) -> bool {
        self.user(name).is_some()
    }

    /// Every user, by name.
    #[must_use]
    pub fn users(&self) -> Vec<UserSummary> {
        let summary = |user: &Arc<User>| UserSummary {
            name: user.name.to_string(),
            roles: user.roles.to_vec(),
            has_hash: user.password.is_some(),
            has_scram: user.scram.is_some(),
        };
        let mut users: Vec<UserSummary> = self.users.values().map(summary).collect();
        users.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        users
    }

    /// Whether any user can log in by SCRAM-SHA-256.
    #[must_use]
    pub fn has_scram(&self) -> bool {
        !self.decoy_keys.is_empty()
    }

    /// Number of users.
    #[must_use]
    pub fn users_count(&self) -> usize {
        self.users.len()
    }

    /// Number of rules.
    #[must_use]
    pub fn rules_count(&self) -> usize {
        self.rules.len()
    }

    pub(super) fn otherwise(&self) -> Verdict {
        if self.denies_otherwise { Verdict::Deny } else { Verdict::Allow }
    }

    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(super) fn user(&self, name: &str) -> Option<&Arc<User>> {
        self.users.get(&UserName::new(name))
    }

    /// A hash of each cost.
    pub(super) fn decoy_hashes(&self) -> impl Iterator<Item = &PasswordHash> {
        self.decoy_hashes.iter().filter_map(|user| user.password.as_ref())
    }

    /// Keys of each cost.
    pub(super) fn decoy_keys(&self) -> impl Iterator<Item = &ScramKeys> {
        self.decoy_keys.iter().filter_map(|user| user.scram.as_ref())
    }
}

impl User {
    fn hash_cost(&self) -> Option<HashCost> {
        self.password.as_ref().map(hash_cost)
    }

    fn keys_cost(&self) -> Option<(u32, usize)> {
        self.scram.as_ref().map(ScramKeys::cost)
    }
}

/// The first user of each cost.
fn one_of_each<C: PartialEq>(users: &[Arc<User>], cost: fn(&User) -> Option<C>) -> Vec<Arc<User>> {
    let mut costs = Vec::new();
    let mut found = Vec::new();
    for user in users {
        if let Some(cost) = cost(user)
            && !costs.contains(&cost)
        {
            costs.push(cost);
            found.push(user.clone());
        }
    }
    found
}

impl fmt::Debug for AccessList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessList")
            .field("generation", &self.generation)
            .field("users", &self.users.len())
            .field("rules", &self.rules.len())
            .finish_non_exhaustive()
    }
}
