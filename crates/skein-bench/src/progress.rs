//! A progress line on stderr for a person who waits. It is never written to stdout.

use std::io::{self, IsTerminal, Write};

const WIDTH: usize = 30;

/// Whether a person can see stderr.
pub(crate) fn wanted() -> bool {
    io::stderr().is_terminal()
}

/// Draws the bar over the former one.
pub(crate) fn draw(fraction: f64, text: &str) {
    let full = ((fraction.clamp(0.0, 1.0) * WIDTH as f64) as usize).min(WIDTH);
    let line = format!("\r\x1b[2K[{}{}] {text}", "#".repeat(full), ".".repeat(WIDTH - full));
    // A closed stderr is no reason to stop measuring.
    drop(io::stderr().write_all(line.as_bytes()));
}

/// Takes the bar away.
pub(crate) fn clear() {
    drop(io::stderr().write_all(b"\r\x1b[2K"));
}
