//! Reading passwords: from a terminal without showing them, from one line of input, from a file, from the environment.
//!
//! A password is never printed, logged or put into an error.

use std::{
    fs,
    io::{self, BufRead, IsTerminal, Write},
    os::fd::AsFd,
    path::Path,
};

use anyhow::{Context, bail};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Names the password of commands that log in.
pub(crate) const PASSWORD_VARIABLE: &str = "SKEIN_PASSWORD";

/// The password the environment names, if it does.
pub(crate) fn of_environment() -> anyhow::Result<Option<String>> {
    match std::env::var(PASSWORD_VARIABLE) {
        Ok(password) => Ok(Some(password)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => bail!("{PASSWORD_VARIABLE} is not UTF-8; set it to text"),
    }
}

/// The password in the first line of a file.
pub(crate) fn of_file(path: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read the password from {}", path.display()))?;
    not_empty(text.lines().next().unwrap_or_default())
}

/// A password to set: asked for twice at a terminal, one line of the standard input otherwise.
pub(crate) fn ask_for_new(user: &str) -> anyhow::Result<String> {
    if !io::stdin().is_terminal() {
        return not_empty(&read_line()?);
    }
    let first = not_empty(&ask(&format!("New password of {user}: "))?)?;
    if ask("Repeat the password: ")? != first {
        bail!("the two passwords differ; nothing was changed");
    }
    Ok(first)
}

fn not_empty(password: &str) -> anyhow::Result<String> {
    if password.is_empty() {
        bail!("the password is empty; write it as one line of the standard input, or type it at a terminal");
    }
    Ok(password.to_owned())
}

fn ask(question: &str) -> anyhow::Result<String> {
    let mut terminal = io::stderr().lock();
    // Without the question the answer is still read.
    drop(terminal.write_all(question.as_bytes()).and_then(|()| terminal.flush()));
    let quiet = Quiet::begin().context("cannot switch off the echo of the terminal")?;
    let answer = read_line();
    drop(quiet);
    drop(terminal.write_all(b"\n"));
    answer
}

fn read_line() -> anyhow::Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("cannot read the password")?;
    let text = line.strip_suffix('\n').unwrap_or(&line);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// The terminal does not show what is typed as long as this lives.
struct Quiet {
    before: Termios,
}

impl Quiet {
    fn begin() -> io::Result<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(stdin.as_fd())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin.as_fd(), OptionalActions::Flush, &quiet)?;
        Ok(Self { before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _gone = tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &self.before);
    }
}
