//! Installs what the tests need beside Rust: other servers and clients, as real third parties.
//!
//! Debian packages go to the system, npm and PyPI packages under `target/test-tools`, nothing
//! anywhere else. It installs only what is missing, so a second run changes nothing. It never names
//! where packages come from: that is the machine's configuration.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::run::{find, run};
use crate::workspace::Workspace;

/// A program the tests start, and the Debian package it is in.
const PROGRAMS: [(&str, &str); 15] = [
    ("dnsmasq", "dnsmasq-base"),
    ("initdb", "postgresql"),
    ("mariadb", "mariadb-client"),
    ("mariadb-install-db", "mariadb-server"),
    ("mariadbd", "mariadb-server"),
    ("mosquitto", "mosquitto"),
    ("mosquitto_passwd", "mosquitto"),
    ("mosquitto_pub", "mosquitto-clients"),
    ("nats-server", "nats-server"),
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("psql", "postgresql"),
    ("python3", "python3"),
];

/// Directory, name and version of the packages of the two languages.
const NPM: (&str, &str, &str) = ("target/test-tools/npm", "mqtt", "5.16.0");
const PYPI: (&str, &str, &str) = ("target/test-tools/python", "paho-mqtt", "2.2.0");

pub(crate) fn setup(workspace: &Workspace) -> Result<()> {
    println!("setup: what the tests need beside Rust");
    debian(workspace)?;
    npm(workspace)?;
    pypi(workspace)?;
    println!("setup: done");
    Ok(())
}

fn debian(workspace: &Workspace) -> Result<()> {
    let missing = missing_packages(is_there, has_pip(workspace));
    for (program, package) in PROGRAMS {
        if !missing.contains(&package) {
            println!("  {program}: there");
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    println!("  missing Debian packages: {}", missing.join(" "));
    if find("apt-get").is_none() {
        bail!(
            "the tests need {} and this system has no apt-get. Install these with its own package manager \
             so that their programs are on PATH, then run `cargo xtask setup` again.",
            missing.join(", ")
        );
    }
    let service_before = mqtt_port_is_taken();
    if !missing.iter().all(|package| has_candidate(workspace, package)) {
        run(apt_get(workspace)?.arg("update"))?;
    }
    let mut install = apt_get(workspace)?;
    install.args(["install", "--yes", "--no-install-recommends"]).args(&missing);
    run(&mut install)?;
    if !service_before && mqtt_port_is_taken() {
        println!(
            "  note: Debian started Mosquitto as a service on 127.0.0.1:1883. The tests do not mind; \
             `cargo xtask dev` wants that port: sudo systemctl disable --now mosquitto"
        );
    }
    if missing.iter().any(|package| ["mariadb-server", "postgresql"].contains(package)) {
        println!(
            "  note: Debian may have started databases as services. The tests start their own, with their own \
             data, and need none of them: sudo systemctl disable --now mariadb postgresql"
        );
    }
    match missing_packages(is_there, has_pip(workspace)).as_slice() {
        [] => Ok(()),
        left => bail!("apt-get succeeded and yet {} did not bring its programs", left.join(", ")),
    }
}

/// Debian keeps the programs of PostgreSQL's server in a directory for each version, off the PATH.
fn is_there(program: &str) -> bool {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    find(program).is_some()
        || versions.map(|version| version.path()).any(|path| path.join("bin").join(program).is_file())
}

/// The packages to install, each once.
fn missing_packages(is_there: impl Fn(&str) -> bool, has_pip: bool) -> Vec<&'static str> {
    let mut missing: Vec<&str> =
        PROGRAMS.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
    if !has_pip {
        missing.push("python3-pip");
    }
    missing.sort_unstable();
    missing.dedup();
    missing
}

fn has_pip(workspace: &Workspace) -> bool {
    succeeds(workspace.command("python3").args(["-m", "pip", "--version"]))
}

/// Whether apt knows a version to install: on a new machine its lists are empty.
fn has_candidate(workspace: &Workspace, package: &str) -> bool {
    succeeds(workspace.command("apt-cache").args(["show", "--quiet=2", package]))
}

fn apt_get(workspace: &Workspace) -> Result<Command> {
    let mut command = if is_root(workspace)? {
        workspace.command("apt-get")
    } else if find("sudo").is_some() {
        let mut sudo = workspace.command("sudo");
        sudo.args(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        sudo
    } else {
        bail!(
            "installing Debian packages needs root, and there is no sudo. Run `cargo xtask setup` as root once."
        );
    };
    // A question nobody can answer would hang a machine that has no terminal.
    command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    Ok(command)
}

fn is_root(workspace: &Workspace) -> Result<bool> {
    let output = workspace.command("id").arg("-u").output().context("cannot start `id -u`")?;
    Ok(output.stdout.trim_ascii() == b"0")
}

fn npm(workspace: &Workspace) -> Result<()> {
    let (directory, name, version) = NPM;
    let installed = workspace.path(&format!("{directory}/node_modules/{name}/package.json"));
    if npm_version(&fs::read_to_string(installed).unwrap_or_default()).as_deref() == Some(version) {
        println!("  npm {name} {version}: there");
        return Ok(());
    }
    println!("  npm {name} {version}: installing into {directory}");
    make_directory(workspace, directory)?;
    let mut command = workspace.command("npm");
    command.args(["install", "--prefix", directory, "--no-audit", "--no-fund", "--ignore-scripts"]);
    command.args(["--save-exact", &format!("{name}@{version}")]).stdin(Stdio::null());
    run(&mut command).with_context(|| format!("the npm package {name} could not be installed"))
}

fn npm_version(package_json: &str) -> Option<String> {
    let package: serde_json::Value = serde_json::from_str(package_json).ok()?;
    Some(package.get("version")?.as_str()?.to_owned())
}

fn pypi(workspace: &Workspace) -> Result<()> {
    let (directory, name, version) = PYPI;
    let marker = format!("{directory}/{}-{version}.dist-info", name.replace('-', "_"));
    if workspace.path(&marker).exists() {
        println!("  PyPI {name} {version}: there");
        return Ok(());
    }
    println!("  PyPI {name} {version}: installing into {directory}");
    // pip does not replace another version in a target directory.
    drop(fs::remove_dir_all(workspace.path(directory)));
    make_directory(workspace, directory)?;
    let mut command = workspace.command("python3");
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    command.args(["--target", directory, &format!("{name}=={version}")]).stdin(Stdio::null());
    // pip warns root about the system's packages; the target directory is not among them.
    command.env("PIP_ROOT_USER_ACTION", "ignore");
    run(&mut command).with_context(|| format!("the PyPI package {name} could not be installed"))
}

fn make_directory(workspace: &Workspace, directory: &str) -> Result<()> {
    fs::create_dir_all(workspace.path(directory)).with_context(|| format!("cannot create {directory}"))
}

fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn mqtt_port_is_taken() -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1883));
    TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_missing_once_when_any_of_its_programs_is() {
        assert_eq!(missing_packages(|_| true, true), Vec::<&str>::new());
        assert_eq!(
            missing_packages(|program| !program.starts_with("mosquitto"), true),
            ["mosquitto", "mosquitto-clients"]
        );
        assert_eq!(missing_packages(|_| true, false), ["python3-pip"]);
    }

    #[test]
    fn reads_an_installed_version() {
        assert_eq!(npm_version(r#"{"name":"mqtt","version":"5.16.0"}"#).as_deref(), Some("5.16.0"));
        assert_eq!(npm_version(""), None);
    }
}
