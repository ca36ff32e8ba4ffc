//! iproute2: the programs `ip` and `tc`, run and asked.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian puts them into /usr/sbin, which is not on everybody's PATH.
pub(super) fn command(program: &str) -> Command {
    let places = ["/usr/sbin", "/sbin", "/usr/bin"].map(|place| Path::new(place).join(program));
    Command::new(places.into_iter().find(|path| path.exists()).unwrap_or_else(|| PathBuf::from(program)))
}

/// Whether namespaces can be made here.
///
/// # Errors
/// What is missing and what to do.
pub(super) fn is_there() -> Result<(), String> {
    if let Err(error) = command("ip").arg("-V").output() {
        return Err(format!("`ip` cannot be started ({error}): `cargo xtask setup` installs iproute2"));
    }
    // The effective capabilities of this process; bit 21 is CAP_SYS_ADMIN, bit 12 CAP_NET_ADMIN.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let held = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|held| u64::from_str_radix(held.trim(), 16).ok())
        .unwrap_or(0);
    let needed = (1 << 21) | (1 << 12);
    if held & needed != needed {
        return Err(
            "network namespaces need root (CAP_SYS_ADMIN and CAP_NET_ADMIN): run the test as root".to_owned()
        );
    }
    Ok(())
}

/// Runs `ip` with these arguments.
///
/// # Errors
/// The command with what it said.
pub(super) fn ip(arguments: &[&str]) -> Result<(), String> {
    run(command("ip").args(arguments))
}

/// Runs `tc` in a namespace.
///
/// # Errors
/// The command with what it said.
pub(super) fn tc(namespace: &str, arguments: &[&str]) -> Result<(), String> {
    run(command("tc").args(["-n", namespace]).args(arguments))
}

/// What `ip` writes; nothing when it fails.
pub(super) fn output(arguments: &[&str]) -> String {
    let output = command("ip").args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

fn run(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("{command:?} failed: {}", said.trim()))
        }
        Err(error) => {
            Err(format!("cannot start {command:?}: {error}; `cargo xtask setup` installs iproute2"))
        }
    }
}
