//! `skein user`: edits the users of an access file, which a running node takes over on SIGHUP, or with `--node` those in
//! the store of a running node, where they hold at once.
//!
//! The texts are made by `skein_node::access`; here they are read, written and talked about; `user/node.rs` talks to a
//! node. A password never appears in an argument, where others on the machine could see it.

mod node;

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};
use skein_node::{
    access::{Credentials, NewUser, UserSummary, add_user, list_users, remove_user, set_password},
    read_access_file, write_file_atomically,
};

use self::node::NodeArgs;
use crate::{
    output::{note, print_line},
    secret,
};

/// The variable of the key `access.file`.
const FILE_VARIABLE: &str = "SKEIN_ACCESS_FILE";
const FILE_DEFAULT: &str = "access.toml";

/// What a new file starts with: users without a rule could log in and do nothing, which nobody wants at first.
const STARTER: &str = "\
# Users and rules. The first rule that names a client and matches its topic decides; without one the answer is no.

# Every user may publish and subscribe everywhere, except below $.
[[rules]]
allow = true
users = [\"*\"]
filters = [\"#\"]
";

/// Users and their passwords. The password is asked for at a terminal, or read as one line from the standard input.
#[derive(Args, Clone, Debug)]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    action: Action,
    /// The access file [default: SKEIN_ACCESS_FILE, or access.toml]
    #[arg(long, value_name = "FILE", global = true)]
    file: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Subcommand, Clone, Debug)]
enum Action {
    /// Add a user; creates the file if there is none
    Add {
        name: String,
        /// A role of the user; may be repeated
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// Store SCRAM-SHA-256 keys instead of an argon2id hash
        #[arg(long)]
        scram: bool,
    },
    /// Remove a user
    Remove { name: String },
    /// List users with their roles
    List,
    /// Change the password of a user
    Passwd {
        name: String,
        /// Store SCRAM-SHA-256 keys instead of an argon2id hash
        #[arg(long)]
        scram: bool,
    },
}

impl UserArgs {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(api) = self.node.api() {
            if self.file.is_some() {
                bail!("--file names users of a file and --node those of a running node; give one of them");
            }
            node::run(&api, &self.action)?;
            return Ok(ExitCode::SUCCESS);
        }
        let variable = || std::env::var_os(FILE_VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from);
        let file = self.file.or_else(variable).unwrap_or_else(|| PathBuf::from(FILE_DEFAULT));
        match self.action {
            Action::Add { name, roles, scram } => add(&file, &name, &roles, credentials(scram))?,
            Action::Remove { name } => {
                edit(&file, |text| Ok(remove_user(text, &name)?))?;
                changed(&file, &format!("user {name:?} is removed"));
            }
            Action::List => list(&file)?,
            Action::Passwd { name, scram } => {
                let text = read(&file)?;
                // Whoever types a password twice should not hear afterwards that there is no such user.
                known(&text, &name)?;
                let password = secret::ask_for_new(&name)?;
                edit(&file, |text| Ok(set_password(text, &name, &password, credentials(scram))?))?;
                changed(&file, &format!("user {name:?} has another password"));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn credentials(scram: bool) -> Credentials {
    if scram { Credentials::Scram } else { Credentials::Hash }
}

fn add(file: &Path, name: &str, roles: &[String], credentials: Credentials) -> anyhow::Result<()> {
    let is_new = !file.exists();
    let password = secret::ask_for_new(name)?;
    let user = NewUser { name, password: &password, roles, credentials };
    if is_new {
        let text = add_user(STARTER, user)?;
        write(file, &text)?;
        note(&format!(
            "{} is made, with a rule that lets every user publish and subscribe everywhere; narrow it there",
            file.display()
        ));
    } else {
        edit(file, |text| Ok(add_user(text, user)?))?;
    }
    changed(file, &format!("user {name:?} is added"));
    Ok(())
}

fn list(file: &Path) -> anyhow::Result<()> {
    for UserSummary { name, roles, has_hash, has_scram } in list_users(&read(file)?)? {
        let kept = kept(has_hash, has_scram);
        print_line(format!("{name}\t{kept}\t{}", roles.join(",")).trim_end())?;
    }
    Ok(())
}

/// What is kept of a user's password.
fn kept(has_hash: bool, has_scram: bool) -> &'static str {
    match (has_hash, has_scram) {
        (true, true) => "argon2id scram",
        (true, false) => "argon2id",
        (false, true) => "scram",
        (false, false) => "no-password",
    }
}

fn known(text: &str, name: &str) -> anyhow::Result<()> {
    if list_users(text)?.iter().any(|user| user.name == name) {
        return Ok(());
    }
    Err(anyhow!("there is no user {name:?}; `skein user list` shows those there are"))
}

fn edit(file: &Path, change: impl FnOnce(&str) -> anyhow::Result<String>) -> anyhow::Result<()> {
    let text = read(file)?;
    let changed = change(&text).with_context(|| file.display().to_string())?;
    write(file, &changed)
}

fn read(file: &Path) -> anyhow::Result<String> {
    read_access_file(file).map_err(|error| {
        let hint = if error.kind() == ErrorKind::NotFound {
            "Name the file with --file, or make it with `skein user add`"
        } else {
            "Check --file and the file's permissions"
        };
        anyhow!("cannot read {}: {error}. {hint}", file.display())
    })
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    write_file_atomically(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn changed(file: &Path, what: &str) {
    note(&format!("{what} in {}; a running node takes it over on SIGHUP", file.display()));
}
