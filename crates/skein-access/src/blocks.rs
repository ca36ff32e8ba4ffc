//! Users and rules that do not come from a file, as the text a file would have for them.
//!
//! What is kept in the store goes through the parser of access files, so that a rule means the same wherever it stands.
//! Called where stored users and rules are put in force.

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

/// A user as a block of an access file has it.
#[derive(Clone, Copy)]
pub struct UserBlock<'u> {
    /// The name.
    pub name: &'u str,
    /// An argon2id hash.
    pub password: Option<&'u str>,
    /// SCRAM-SHA-256 keys.
    pub scram: Option<&'u str>,
    /// The roles.
    pub roles: &'u [String],
}

impl std::fmt::Debug for UserBlock<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserBlock").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A rule as a block of an access file has it. A list that is absent concerns everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleBlock {
    /// Whether it allows or denies.
    pub allow: bool,
    /// User names; a `*` at the end stands for any rest.
    pub users: Option<Vec<String>>,
    /// Role names.
    pub roles: Option<Vec<String>>,
    /// Client ids; a `*` at the end stands for any rest.
    pub client_ids: Option<Vec<String>>,
    /// Addresses or networks.
    pub addresses: Option<Vec<String>>,
    /// Doors.
    pub doors: Option<Vec<String>>,
    /// `publish`, `subscribe`, `connect`; the first two when absent.
    pub actions: Option<Vec<String>>,
    /// Topic filters.
    pub filters: Vec<String>,
}

/// The text of an access file with these users and rules, in this order.
#[must_use]
pub fn text_of<'a>(
    users: impl Iterator<Item = UserBlock<'a>>,
    rules: impl Iterator<Item = &'a RuleBlock>,
) -> String {
    let mut document = DocumentMut::new();
    document.insert("users", Item::ArrayOfTables(users.map(user_table).collect::<ArrayOfTables>()));
    document.insert("rules", Item::ArrayOfTables(rules.map(rule_table).collect::<ArrayOfTables>()));
    document.to_string()
}

fn user_table(user: UserBlock<'_>) -> Table {
    let mut table = Table::new();
    table.insert("name", value(user.name));
    for (key, secret) in [("password", user.password), ("scram", user.scram)] {
        if let Some(secret) = secret {
            table.insert(key, value(secret));
        }
    }
    table.insert("roles", value(user.roles.iter().collect::<Array>()));
    table
}

fn rule_table(rule: &RuleBlock) -> Table {
    let mut table = Table::new();
    table.insert("allow", value(rule.allow));
    for (key, texts) in [
        ("users", &rule.users),
        ("roles", &rule.roles),
        ("client_ids", &rule.client_ids),
        ("addresses", &rule.addresses),
        ("doors", &rule.doors),
        ("actions", &rule.actions),
    ] {
        if let Some(texts) = texts {
            table.insert(key, value(texts.iter().collect::<Array>()));
        }
    }
    if !rule.filters.is_empty() {
        table.insert("filters", value(rule.filters.iter().collect::<Array>()));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AccessList;

    #[test]
    fn names_cannot_leave_their_quotes() {
        let name = "a\"\n[[rules]]\nallow = true\nfilters = [\"#\"]\n#é\\";
        let user = UserBlock { name, password: None, scram: None, roles: &[name.to_owned()] };
        let rule = RuleBlock {
            users: Some(vec![name.to_owned()]),
            filters: vec!["a\"/#".to_owned()],
            ..RuleBlock::default()
        };
        let list = AccessList::parse(&text_of([user].into_iter(), [&rule].into_iter())).unwrap();
        assert_eq!((list.users_count(), list.rules_count()), (1, 1));
        assert!(list.has_user(name));
    }

    #[test]
    fn nothing_is_an_access_file_too() {
        let list = AccessList::parse(&text_of([].into_iter(), [].into_iter())).unwrap();
        assert_eq!((list.users_count(), list.rules_count()), (0, 0));
    }
}
