//! Editing the users in the text of an access file, with all that is not touched left as it stands.
//!
//! Text goes in and text comes out; the commands that call this write it with `write_file_atomically`. No edit gives back
//! a text that would not load.

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

use super::{
    AccessFaults, AccessList, PasswordError, SCRAM_ITERATIONS_DEFAULT, new_password_hash, new_scram_keys,
};

/// A user to be added.
#[derive(Clone, Copy)]
pub struct NewUser<'u> {
    /// The name.
    pub name: &'u str,
    /// The password in clear; only what is made of it is written.
    pub password: &'u str,
    /// The roles.
    pub roles: &'u [String],
    /// What is written of the password.
    pub credentials: Credentials,
}

/// What a user entry keeps of a password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// An argon2id hash, for clients that send the password.
    #[default]
    Hash,
    /// SCRAM keys, for clients that prove they know it; those that send it are let in too.
    Scram,
    /// Both. Whoever steals the file tries passwords on the SCRAM keys, which cost less to try.
    Both,
}

/// A user as a list shows it: no secret in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSummary {
    /// The name.
    pub name: String,
    /// The roles.
    pub roles: Vec<String>,
    /// Whether the user has a password hash.
    pub has_hash: bool,
    /// Whether the user has SCRAM keys.
    pub has_scram: bool,
}

/// Why an access file could not be edited.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text before the edit does not load, or after it would not.
    #[error("{0}")]
    Faults(#[from] AccessFaults),
    /// The user to be added is there.
    #[error("user {0:?} exists; set a new password with `skein user passwd`")]
    Exists(String),
    /// The user to be changed is not there.
    #[error("there is no user {0:?}; `skein user list` shows those there are")]
    Missing(String),
    /// The users stand in one inline list.
    #[error("users are written as users = […]; write each as [[users]] so that they can be edited")]
    Inline,
    /// No hash or keys could be made.
    #[error("{0}")]
    Password(#[from] PasswordError),
}

impl std::fmt::Debug for NewUser<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewUser")
            .field("name", &self.name)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

/// The users of an access file, in its order.
///
/// # Errors
/// The faults of the text.
pub fn list_users(text: &str) -> Result<Vec<UserSummary>, EditError> {
    let mut document = parse(text)?;
    let Some(users) = users_of(&mut document)? else { return Ok(Vec::new()) };
    let summary = |table: &Table| UserSummary {
        name: name_of(table).unwrap_or_default().to_owned(),
        roles: table.get("roles").and_then(Item::as_array).map_or_else(Vec::new, |roles| {
            roles.iter().filter_map(|role| role.as_str()).map(str::to_owned).collect()
        }),
        has_hash: table.contains_key("password"),
        has_scram: table.contains_key("scram"),
    };
    Ok(users.iter().map(summary).collect())
}

/// The text with `user` added at its end.
///
/// # Errors
/// Faults of the text, a name that is there or cannot be one, or a password nothing can be made of.
pub fn add_user(text: &str, user: NewUser<'_>) -> Result<String, EditError> {
    let mut document = parse(text)?;
    let existing = users_of(&mut document)?;
    if existing.is_some_and(|users| users.iter().any(|table| name_of(table) == Some(user.name))) {
        return Err(EditError::Exists(user.name.to_owned()));
    }
    let mut edited = text.to_owned();
    if !edited.is_empty() {
        edited.push_str(if edited.ends_with('\n') { "\n" } else { "\n\n" });
    }
    edited.push_str(&new_user_block(user)?);
    checked(edited)
}

/// A whole `[[users]]` block.
///
/// # Errors
/// A password nothing can be made of.
pub fn new_user_block(user: NewUser<'_>) -> Result<String, PasswordError> {
    let mut table = Table::new();
    table.insert("name", value(user.name));
    set_credentials(&mut table, user.password, user.credentials)?;
    table.insert("roles", value(user.roles.iter().collect::<Array>()));
    let mut users = ArrayOfTables::new();
    users.push(table);
    let mut document = DocumentMut::new();
    document.insert("users", Item::ArrayOfTables(users));
    Ok(document.to_string())
}

/// The text without the user `name`.
///
/// # Errors
/// Faults of the text, or there is no such user.
pub fn remove_user(text: &str, name: &str) -> Result<String, EditError> {
    let mut document = parse(text)?;
    let missing = || EditError::Missing(name.to_owned());
    let users = users_of(&mut document)?.ok_or_else(missing)?;
    let index = users.iter().position(|table| name_of(table) == Some(name)).ok_or_else(missing)?;
    users.remove(index);
    checked(document.to_string())
}

/// The text with another password for the user `name`; hash and keys that are not asked for are removed.
///
/// # Errors
/// Faults of the text, no such user, or a password nothing can be made of.
pub fn set_password(
    text: &str,
    name: &str,
    password: &str,
    credentials: Credentials,
) -> Result<String, EditError> {
    let mut document = parse(text)?;
    let missing = || EditError::Missing(name.to_owned());
    let users = users_of(&mut document)?.ok_or_else(missing)?;
    let user = users.iter_mut().find(|table| name_of(table) == Some(name)).ok_or_else(missing)?;
    set_credentials(user, password, credentials)?;
    checked(document.to_string())
}

fn set_credentials(table: &mut Table, password: &str, credentials: Credentials) -> Result<(), PasswordError> {
    let hash = match credentials {
        Credentials::Hash | Credentials::Both => Some(new_password_hash(password)?),
        Credentials::Scram => None,
    };
    let keys = match credentials {
        Credentials::Scram | Credentials::Both => {
            Some(new_scram_keys(password, SCRAM_ITERATIONS_DEFAULT)?.to_text())
        }
        Credentials::Hash => None,
    };
    for (key, text) in [("password", hash), ("scram", keys)] {
        match text {
            Some(text) => {
                table.insert(key, value(text));
            }
            None => {
                table.remove(key);
            }
        }
    }
    Ok(())
}

/// Parses a text that loads, so that the rest need not expect the unexpected.
fn parse(text: &str) -> Result<DocumentMut, EditError> {
    AccessList::parse(text)?;
    Ok(text.parse().expect("a text that loads as an access file is TOML"))
}

fn checked(text: String) -> Result<String, EditError> {
    AccessList::parse(&text)?;
    Ok(text)
}

fn users_of(document: &mut DocumentMut) -> Result<Option<&mut ArrayOfTables>, EditError> {
    match document.get_mut("users") {
        None => Ok(None),
        Some(item) => item.as_array_of_tables_mut().map(Some).ok_or(EditError::Inline),
    }
}

fn name_of(table: &Table) -> Option<&str> {
    table.get("name").and_then(Item::as_str)
}
