//! What `postgres.rs` and `mariadb.rs` share: running programs as a user that is not root.

use std::path::{Path, PathBuf};
use std::process::Command;

/// `program` as `user` when this process is root's, else as whoever this is. The process keeps its id.
pub(crate) fn as_user(user: &str, program: PathBuf) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", user, "--clear-groups", "--"]).arg(program);
    command
}

/// Gives a file or directory to `user` when this process is root's.
#[track_caller]
pub(crate) fn own(path: &Path, user: &str) {
    if is_root() {
        run(Command::new("chown").arg(user).arg(path));
    }
}

/// Runs a program to its end and returns what it printed.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    match command.output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(output) => panic!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            panic!("cannot start {command:?}: {error}. `cargo xtask setup` installs what the tests need.")
        }
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
