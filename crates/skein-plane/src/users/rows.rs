//! Users and rules as objects of the store, and all of them together.
//!
//! As with every class of the plane, fields are only ever added at the end and with a default.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use skein_store::{Access, Direction, KeyRange, Object, StatementError, Time, Transaction};

use super::{AccessChangeError, StoredUser};
use skein_access::{RuleBlock, UserBlock, UserSummary, text_of};

/// A user as it is kept.
#[derive(Clone, PartialEq, Object)]
#[class(name = "user", code = 7, kind = "replicated", primary(name))]
pub(crate) struct UserRow {
    pub(super) name: String,
    /// An argon2id hash.
    pub(super) password: Option<String>,
    /// SCRAM-SHA-256 keys.
    pub(super) scram: Option<String>,
    pub(super) roles: Vec<String>,
    pub(super) created_at: Time,
    pub(super) changed_at: Time,
}

/// A rule as it is kept.
#[derive(Clone, PartialEq, Object)]
#[class(name = "rule", code = 8, kind = "replicated", primary(position))]
pub(crate) struct RuleRow {
    pub(super) position: u32,
    pub(super) allow: bool,
    pub(super) users: Option<Vec<String>>,
    pub(super) roles: Option<Vec<String>>,
    pub(super) client_ids: Option<Vec<String>>,
    pub(super) addresses: Option<Vec<String>>,
    pub(super) doors: Option<Vec<String>>,
    pub(super) actions: Option<Vec<String>>,
    pub(super) filters: Vec<String>,
}

/// That there were users and rules at some time, so that nothing is allowed by their absence. One row.
#[derive(Clone, Copy, Default, PartialEq, Eq, Object)]
#[class(name = "access_mark", code = 9, kind = "replicated", primary(number))]
pub(crate) struct MarkRow {
    pub(super) number: u32,
    pub(super) users: bool,
    pub(super) rules: bool,
}

impl UserRow {
    pub(super) fn shown(&self) -> StoredUser {
        let summary = UserSummary {
            name: self.name.clone(),
            roles: self.roles.clone(),
            has_hash: self.password.is_some(),
            has_scram: self.scram.is_some(),
        };
        StoredUser { summary, created_at: wall_time(self.created_at), changed_at: wall_time(self.changed_at) }
    }
}

impl RuleRow {
    pub(super) fn new(position: u32, rule: RuleBlock) -> Self {
        let RuleBlock { allow, users, roles, client_ids, addresses, doors, actions, filters } = rule;
        Self { position, allow, users, roles, client_ids, addresses, doors, actions, filters }
    }

    pub(super) fn into_block(self) -> RuleBlock {
        let Self { position: _, allow, users, roles, client_ids, addresses, doors, actions, filters } = self;
        RuleBlock { allow, users, roles, client_ids, addresses, doors, actions, filters }
    }
}

/// All users and rules of the store.
#[derive(Clone, Default)]
pub(super) struct Stored {
    pub(super) users: BTreeMap<String, UserRow>,
    pub(super) rules: BTreeMap<u32, RuleRow>,
    pub(super) mark: MarkRow,
}

impl Stored {
    pub(super) fn read(transaction: &mut Transaction) -> Result<Self, AccessChangeError> {
        let mut stored = Self::default();
        for user in all::<UserRow>(transaction)? {
            let user = user?;
            stored.users.insert(user.name.clone(), user);
        }
        for rule in all::<RuleRow>(transaction)? {
            let rule = rule?;
            stored.rules.insert(rule.position, rule);
        }
        for mark in all::<MarkRow>(transaction)? {
            stored.mark = mark?;
        }
        Ok(stored)
    }

    /// Writes what differs from `before`.
    pub(super) fn write_over(
        &self,
        before: &Self,
        transaction: &mut Transaction,
    ) -> Result<(), StatementError> {
        write_changed(&before.users, &self.users, transaction, |transaction, row| {
            transaction.delete::<UserRow>(&row.name.as_str())
        })?;
        write_changed(&before.rules, &self.rules, transaction, |transaction, row| {
            transaction.delete::<RuleRow>(&row.position)
        })?;
        if self.mark != before.mark {
            transaction.upsert(&self.mark)?;
        }
        Ok(())
    }

    /// Notes what there is: also what an earlier version left, which made no notes.
    pub(super) fn set_mark(&mut self, before: &Self) {
        self.mark.users |= !before.users.is_empty() || !self.users.is_empty();
        self.mark.rules |= !before.rules.is_empty() || !self.rules.is_empty();
    }

    /// The text of an access file that has them.
    pub(super) fn to_text(&self) -> String {
        let users = self.users.values().map(|user| UserBlock {
            name: &user.name,
            password: user.password.as_deref(),
            scram: user.scram.as_deref(),
            roles: &user.roles,
        });
        let rules: Vec<RuleBlock> = self.rules.values().map(|rule| rule.clone().into_block()).collect();
        text_of(users, rules.iter())
    }
}

/// A time from before 1970, which no clock of ours gave, shows as that.
fn wall_time(time: Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(time.0.max(0).unsigned_abs())
}

fn all<T: Object>(
    transaction: &mut Transaction,
) -> Result<impl Iterator<Item = Result<T, StatementError>> + use<T>, StatementError> {
    transaction.scan::<T>(Access::Primary, KeyRange::all(), Direction::Forward)
}

fn write_changed<K: Ord, T: Object + PartialEq>(
    before: &BTreeMap<K, T>,
    after: &BTreeMap<K, T>,
    transaction: &mut Transaction,
    delete: impl Fn(&mut Transaction, &T) -> Result<bool, StatementError>,
) -> Result<(), StatementError> {
    for (key, row) in before {
        if !after.contains_key(key) {
            delete(transaction, row)?;
        }
    }
    for (key, row) in after {
        if before.get(key) != Some(row) {
            transaction.upsert(row)?;
        }
    }
    Ok(())
}
