//! What the program says on its standard streams, and the only place that writes there.
//!
//! Results go to the standard output, everything about them to the standard error stream. Called by every command.

use std::{
    fmt,
    io::{self, Write},
};

use anyhow::Context;

/// Nobody reads the standard output any more; the program ends and says nothing.
#[derive(Debug)]
pub(crate) struct OutputClosed;

impl fmt::Display for OutputClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the standard output is closed")
    }
}

impl std::error::Error for OutputClosed {}

/// Writes `bytes` to the standard output at once.
pub(crate) fn print_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(OutputClosed.into()),
        Err(error) => Err(error).context("cannot write to the standard output"),
    }
}

/// Writes `text` and the end of a line to the standard output.
pub(crate) fn print_line(text: &str) -> anyhow::Result<()> {
    print_bytes(format!("{text}\n").as_bytes())
}

/// Writes much to the standard output, piece by piece.
pub(crate) fn print_stream(write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let written = write(&mut out).and_then(|()| Ok(out.flush()?));
    // What could not be written is not to be tried again when the buffer goes.
    drop(out.into_parts());
    match written {
        Err(error) => match error.downcast_ref::<io::Error>() {
            Some(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Err(OutputClosed.into()),
            Some(_) => Err(error).context("cannot write to the standard output"),
            None => Err(error),
        },
        Ok(()) => Ok(()),
    }
}

/// An error with its causes, each said once: some texts have their cause in them already.
pub(crate) fn in_full(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// Tells the person at the terminal that something went wrong.
pub(crate) fn complain(text: &str) {
    note(&format!("skein: {text}"));
}

/// Writes a line beside the results.
pub(crate) fn note(text: &str) {
    // When the error stream is gone too, nobody is left to tell.
    drop(writeln!(io::stderr().lock(), "{text}"));
}
