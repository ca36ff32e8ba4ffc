//! Schemas as text: the class declarations of a database, parsed when the program runs.
//!
//! The language is a part of the one embedded databases are commonly declared in; `docs/store/schema.md` describes it by
//! example. What this store does not have is refused with the reason, never ignored. All faults of a text are reported
//! together, each with its line and column. The text may be anything: parsing never panics and never recurses deeper than
//! types may nest. Called by programs that load their schema, by the C interface and by tools.
//!
//! From text to tokens in `lexer.rs`, to declarations in `parser.rs` (with `type_name.rs` and `literal.rs` for its parts),
//! to classes in `resolve.rs`.
#![warn(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::arithmetic_side_effects
)]

mod lexer;
mod literal;
mod parser;
mod resolve;
#[cfg(test)]
mod tests;
mod type_name;

use std::fmt;

use crate::schema::Schema;

/// The longest text that is parsed.
pub const DDL_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The most faults that are reported; parsing ends there.
pub const DDL_FAULTS_MAX: usize = 50;

impl Schema {
    /// Parses the declaration of a database.
    ///
    /// # Errors
    /// Everything that is wrong with the text.
    pub fn parse_ddl(text: &str) -> Result<Schema, DdlFaults> {
        let mut faults = DdlFaults::default();
        if text.len() > DDL_BYTES_MAX {
            let length = text.len();
            faults.add(
                Position::START,
                format!("the text has {length} bytes: at most {DDL_BYTES_MAX} are parsed"),
            );
            return Err(faults);
        }
        let tokens = lexer::tokens(text, &mut faults);
        let declared = parser::parse(tokens, &mut faults);
        let schema = resolve::schema(declared, &mut faults);
        match schema {
            Some(schema) if faults.0.is_empty() => Ok(schema),
            _ => {
                faults.0.sort_by_key(|fault| (fault.line, fault.column));
                Err(faults)
            }
        }
    }
}

/// A fault of a DDL text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DdlFault {
    /// The line, from 1.
    pub line: u32,
    /// The character in the line, from 1.
    pub column: u32,
    /// What is wrong and what to do.
    pub text: String,
}

impl fmt::Display for DdlFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.text)
    }
}

/// All faults of a DDL text, in the order of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DdlFaults(pub Vec<DdlFault>);

impl std::error::Error for DdlFaults {}

impl fmt::Display for DdlFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl DdlFaults {
    fn add(&mut self, at: Position, text: impl Into<String>) {
        if !self.is_full() {
            self.0.push(DdlFault { line: at.line, column: at.column, text: text.into() });
        }
    }

    fn is_full(&self) -> bool {
        self.0.len() >= DDL_FAULTS_MAX
    }
}

/// Where in the text something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    line: u32,
    column: u32,
}

impl Position {
    const START: Position = Position { line: 1, column: 1 };
}

/// Something a fault can point at: a word of the text and where it stands.
#[derive(Clone, Debug)]
struct Word {
    text: String,
    at: Position,
}
