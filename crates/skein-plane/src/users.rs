//! Users and rules in the store: changed while the node runs, in force at once, and there after a crash.
//!
//! They stand beside those of the access file ([`skein_access`]): the file's users win, its rules are asked first. Each
//! change is one transaction and is answered when it is committed; the list that it leads to is put in force before
//! the next change begins. The change that finds the disk full waits for room, those after it are refused. All calls wait for the disk, so they are made where blocking is allowed; and whoever makes
//! one calls [`Plane::enforce_access`] afterwards.

mod rows;

use std::time::SystemTime;

use skein_access::{
    AccessFaults, AccessList, Credentials, NewUser, PasswordError, RuleBlock, SCRAM_ITERATIONS_DEFAULT,
    UserSummary, new_password_hash, new_scram_keys,
};
use skein_store::{CommitError, Isolation, StatementError, TransactError};
use skein_types::Moment;

use crate::{durable::Durable, plane::Plane};

use self::rows::Stored;
pub(crate) use self::rows::{MarkRow, RuleRow, UserRow};

/// Users that are stored at most: each change reads all of them.
const USERS_MAX: usize = 10_000;
/// Rules that are stored at most: each client is bound to those that concern it.
const RULES_MAX: usize = 1000;
/// Between a new rule and the last one, so that others fit in between.
const POSITION_STEP: u32 = 10;

/// A user in the store, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredUser {
    /// Name, roles, and what is kept of its password.
    pub summary: UserSummary,
    /// When it was added.
    pub created_at: SystemTime,
    /// When it was last changed.
    pub changed_at: SystemTime,
}

/// A rule in the store. Rules are asked in the order of their positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRule {
    /// Its place.
    pub position: u32,
    /// What it says.
    pub rule: RuleBlock,
}

/// What of a user is to be changed.
#[derive(Clone, Copy, Debug, Default)]
pub struct UserChange<'u> {
    /// Another password, and what is kept of it.
    pub password: Option<NewPassword<'u>>,
    /// Other roles.
    pub roles: Option<&'u [String]>,
}

/// A password to be set.
#[derive(Clone, Copy)]
pub struct NewPassword<'u> {
    /// In clear; only what is made of it is kept.
    pub password: &'u str,
    /// What is made of it.
    pub credentials: Credentials,
}

impl std::fmt::Debug for NewPassword<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewPassword").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}

/// Why users or rules were not changed.
#[derive(Debug, thiserror::Error)]
pub enum AccessChangeError {
    /// The node keeps nothing on disk.
    #[error(
        "this node keeps nothing on disk, so it has no users and rules besides its access file: set mqtt.durability = \
         \"disk\", or edit the file"
    )]
    NoStore,
    /// The access file has a user of this name.
    #[error("user {0:?} is in the access file, which goes before the store: change it there")]
    InFile(String),
    /// There is a user of this name.
    #[error("user {0:?} exists: change it, or choose another name")]
    UserExists(String),
    /// There is no user of this name.
    #[error("there is no user {0:?} in the store")]
    UserMissing(String),
    /// There is a rule at this position.
    #[error("there is a rule at position {0}: change it, or choose another position")]
    RuleExists(u32),
    /// There is no rule at this position.
    #[error("there is no rule at position {0} in the store")]
    RuleMissing(u32),
    /// There are as many as there may be.
    #[error(
        "there are {0} {1} in the store, which is the most there may be: remove some, or use the access file"
    )]
    TooMany(usize, &'static str),
    /// It would be none that an access file could have.
    #[error("{}", texts(.0))]
    Faults(AccessFaults),
    /// No hash or keys could be made.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// What is stored cannot be read.
    #[error("the stored users and rules cannot be read")]
    Read(#[from] StatementError),
    /// The store takes no changes now.
    #[error(transparent)]
    Store(#[from] CommitError),
    /// The store refused the change.
    #[error("the store refused the change: {0}")]
    Refused(String),
}

/// Without lines and columns: nobody wrote the text they are of.
fn texts(faults: &AccessFaults) -> String {
    faults.0.iter().map(|fault| fault.text.as_str()).collect::<Vec<_>>().join("; ")
}

impl Plane {
    /// Puts the stored users and rules in force, at the start of a node and before sessions are restored.
    ///
    /// # Errors
    /// They cannot be read, or this program does not take them.
    pub fn load_stored_access(&self) -> Result<(), AccessChangeError> {
        let Some(durable) = self.durable() else { return Ok(()) };
        let _one_at_a_time = durable.access_changing.lock();
        self.access().replace_stored(durable.stored_access()?.list()?);
        Ok(())
    }

    /// The users in the store, by name.
    ///
    /// # Errors
    /// There is no store or they cannot be read.
    pub fn stored_users(&self) -> Result<Vec<StoredUser>, AccessChangeError> {
        let durable = self.durable().ok_or(AccessChangeError::NoStore)?;
        let stored = durable.stored_access()?;
        Ok(stored.users.values().map(|row| row.shown()).collect())
    }

    /// Adds a user.
    ///
    /// # Errors
    /// See [`AccessChangeError`]; nothing is changed then.
    pub fn add_user(&self, user: NewUser<'_>, now: Moment) -> Result<StoredUser, AccessChangeError> {
        let NewUser { name, password, roles, credentials } = user;
        self.refuse_name_of_file(name)?;
        let secrets = Secrets::of(NewPassword { password, credentials })?;
        self.change(|stored, clock| {
            if stored.users.contains_key(name) {
                return Err(AccessChangeError::UserExists(name.to_owned()));
            }
            if stored.users.len() >= USERS_MAX {
                return Err(AccessChangeError::TooMany(stored.users.len(), "users"));
            }
            let at = clock.time_of(now);
            let Secrets { password, scram } = secrets.clone();
            let (name, roles) = (name.to_owned(), roles.to_vec());
            let row = UserRow { name: name.clone(), password, scram, roles, created_at: at, changed_at: at };
            let shown = row.shown();
            stored.users.insert(name, row);
            Ok(shown)
        })
    }

    /// Gives a user another password or other roles.
    ///
    /// # Errors
    /// See [`AccessChangeError`]; nothing is changed then.
    pub fn change_user(
        &self,
        name: &str,
        change: UserChange<'_>,
        now: Moment,
    ) -> Result<StoredUser, AccessChangeError> {
        self.refuse_name_of_file(name)?;
        let secrets = change.password.map(Secrets::of).transpose()?;
        self.change(|stored, clock| {
            let missing = || AccessChangeError::UserMissing(name.to_owned());
            let row = stored.users.get_mut(name).ok_or_else(missing)?;
            if let Some(Secrets { password, scram }) = secrets.clone() {
                (row.password, row.scram) = (password, scram);
            }
            if let Some(roles) = change.roles {
                row.roles = roles.to_vec();
            }
            row.changed_at = clock.time_of(now);
            Ok(row.shown())
        })
    }

    /// Removes a user.
    ///
    /// # Errors
    /// See [`AccessChangeError`]; nothing is changed then.
    pub fn remove_user(&self, name: &str) -> Result<(), AccessChangeError> {
        self.change(|stored, _clock| {
            let missing = || match self.access().is_user_of_file(name) {
                true => AccessChangeError::InFile(name.to_owned()),
                false => AccessChangeError::UserMissing(name.to_owned()),
            };
            stored.users.remove(name).map(drop).ok_or_else(missing)
        })
    }

    /// The rules in the store, in the order in which they are asked.
    ///
    /// # Errors
    /// There is no store or they cannot be read.
    pub fn stored_rules(&self) -> Result<Vec<StoredRule>, AccessChangeError> {
        let durable = self.durable().ok_or(AccessChangeError::NoStore)?;
        let stored = durable.stored_access()?;
        let rules = stored.rules.into_iter();
        Ok(rules.map(|(position, row)| StoredRule { position, rule: row.into_block() }).collect())
    }

    /// Adds a rule at a position that is free, or behind all others.
    ///
    /// # Errors
    /// See [`AccessChangeError`]; nothing is changed then.
    pub fn add_rule(&self, position: Option<u32>, rule: &RuleBlock) -> Result<StoredRule, AccessChangeError> {
        self.change(|stored, _clock| {
            if stored.rules.len() >= RULES_MAX {
                return Err(AccessChangeError::TooMany(stored.rules.len(), "rules"));
            }
            let last = stored.rules.last_key_value().map_or(0, |(position, _)| *position);
            let position = position.unwrap_or(last.saturating_add(POSITION_STEP));
            if stored.rules.contains_key(&position) {
                return Err(AccessChangeError::RuleExists(position));
            }
            stored.rules.insert(position, RuleRow::new(position, rule.clone()));
            Ok(StoredRule { position, rule: rule.clone() })
        })
    }

    /// Replaces the rule at a position.
    ///
    /// # Errors
    /// See [`AccessChangeError`]; nothing is changed then.
    pub fn change_rule(&self, position: u32, rule: &RuleBlock) -> Result<StoredRule, AccessChangeError> {
        self.change(|stored, _clock| {
            let row = stored.rules.get_mut(&position).ok_or(AccessChangeError::RuleMissing(position))?;
            *row = RuleRow::new(position, rule.clone());
            Ok(StoredRule { position, rule: rule.clone() })
        })
    }

    /// Removes the rule at a position.
    ///
    /// # Errors
    /// See [`AccessChangeError`]; nothing is changed then.
    pub fn remove_rule(&self, position: u32) -> Result<(), AccessChangeError> {
        self.change(|stored, _clock| {
            stored.rules.remove(&position).map(drop).ok_or(AccessChangeError::RuleMissing(position))
        })?;
        if self.access().list().rules_count() == 0 {
            tracing::warn!("access: the last rule is removed; nothing is allowed until there is another one");
        }
        Ok(())
    }

    fn refuse_name_of_file(&self, name: &str) -> Result<(), AccessChangeError> {
        if self.access().is_user_of_file(name) {
            return Err(AccessChangeError::InFile(name.to_owned()));
        }
        Ok(())
    }

    /// Changes what is stored by one transaction and puts it in force.
    fn change<R>(
        &self,
        mut change: impl FnMut(&mut Stored, super::WallClock) -> Result<R, AccessChangeError>,
    ) -> Result<R, AccessChangeError> {
        let durable = self.durable().ok_or(AccessChangeError::NoStore)?;
        durable.refuse_when_read_only()?;
        let _one_at_a_time = durable.access_changing.lock();
        let done = durable.store.transact(Isolation::Serializable, |transaction| {
            let before = Stored::read(transaction)?;
            let mut after = before.clone();
            let value = change(&mut after, durable.rows.clock)?;
            after.set_mark(&before);
            // Before anything is written: what the parser refuses must never be found at a start.
            let list = after.list()?;
            after.write_over(&before, transaction)?;
            Ok((value, list))
        });
        let (value, list) = done.map_err(AccessChangeError::of)?.value;
        self.access().replace_stored(list);
        Ok(value)
    }
}

impl AccessChangeError {
    fn of(error: TransactError<Self>) -> Self {
        match error {
            TransactError::GivenUp(why) => why,
            TransactError::Commit(why) => Self::Store(why),
            TransactError::Refused(outcome) => Self::Refused(format!("{outcome:?}")),
        }
    }
}

impl Durable {
    /// Before the lock is taken: the change that found the disk full holds it until there is room.
    fn refuse_when_read_only(&self) -> Result<(), CommitError> {
        if self.store.writable() {
            return Ok(());
        }
        Err(CommitError::ReadOnly { why: self.store.stats().alarms.join("; ") })
    }

    fn stored_access(&self) -> Result<Stored, AccessChangeError> {
        let (mode, isolation) = (skein_store::Mode::ReadOnly, Isolation::RepeatableRead);
        Stored::read(&mut self.store.begin(mode, isolation))
    }
}

/// What is kept of a password.
#[derive(Clone)]
struct Secrets {
    password: Option<String>,
    scram: Option<String>,
}

impl Secrets {
    fn of(new: NewPassword<'_>) -> Result<Self, PasswordError> {
        let wants = |other| new.credentials == other || new.credentials == Credentials::Both;
        let hash = wants(Credentials::Hash).then(|| new_password_hash(new.password));
        let keys = wants(Credentials::Scram).then(|| new_scram_keys(new.password, SCRAM_ITERATIONS_DEFAULT));
        Ok(Self { password: hash.transpose()?, scram: keys.transpose()?.map(|keys| keys.to_text()) })
    }
}

impl Stored {
    /// The list of an access file that had these users and rules.
    fn list(&self) -> Result<AccessList, AccessChangeError> {
        let list = AccessList::parse(&self.to_text()).map_err(AccessChangeError::Faults)?;
        Ok(list.having_had(self.mark.users, self.mark.rules))
    }
}

#[cfg(test)]
mod tests;
