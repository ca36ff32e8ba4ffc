//! What is wrong with an access file, where, and what to do about it.
//!
//! All faults of a file are gathered and told at once. Nothing here reads a file. Called by the parser of
//! access files; `nearest_name` also by the configuration, which suggests names in the same way.

use std::{fmt, ops::Range};

/// One thing wrong with an access file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessFault {
    /// Line in the file, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// What is wrong, why, and what to do.
    pub text: String,
}

/// Everything wrong with an access file, in the order of the file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessFaults(pub Vec<AccessFault>);

impl fmt::Display for AccessFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.text)
    }
}

impl fmt::Display for AccessFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for AccessFaults {}

impl AccessFaults {
    /// The faults as one text, each line starting with the name of the file.
    #[must_use]
    pub fn located(&self, file: &str) -> String {
        let lines: Vec<String> = self.0.iter().map(|fault| format!("{file}:{fault}")).collect();
        lines.join("\n")
    }
}

/// Gathers faults while a text is walked.
pub(super) struct Faults<'t> {
    text: &'t str,
    found: Vec<(usize, String)>,
}

impl<'t> Faults<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { text, found: Vec::new() }
    }

    pub(super) fn add(&mut self, span: &Range<usize>, text: impl Into<String>) {
        self.found.push((span.start, text.into()));
    }

    /// `Ok` when nothing was found.
    pub(super) fn into_result(mut self) -> Result<(), AccessFaults> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|(start, _)| *start);
        let locate = |(start, text): (usize, String)| {
            let (line, column) = position(self.text, start);
            AccessFault { line, column, text }
        };
        Err(AccessFaults(self.found.into_iter().map(locate).collect()))
    }
}

/// Line and column, both from 1, of the byte `offset` in `text`.
#[must_use]
pub fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    (line, column)
}

/// The name of `known` that `name` was most likely meant to be, if one is near enough.
#[must_use]
pub fn nearest_name<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // A name three edits away, or with more than a third of its letters changed, is not a typing mistake.
    let bound = (name.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Number of letters to insert, remove, replace or swap with their neighbour to get from `a` to `b`.
fn edit_distance(a: &str, b: &str) -> usize {
    // Longer texts are no names; the bound keeps the work small whatever a file holds.
    const LETTERS_MAX: usize = 64;
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len() > LETTERS_MAX || b.len() > LETTERS_MAX {
        return usize::MAX;
    }
    let mut before_last = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, other) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(letter != other);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *letter == b[j - 1] && a[i - 1] == *other {
                let swapped: usize = before_last[j - 1];
                best = best.min(swapped + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_names_are_typing_mistakes_only() {
        let known = ["users", "roles", "filters", "client_ids"];
        for (name, expect) in [
            ("user", Some("users")),
            ("sueres", Some("users")),
            ("fitlers", Some("filters")),
            ("clientids", Some("client_ids")),
            ("password", None),
            ("", None),
        ] {
            assert_eq!(nearest_name(name, known), expect, "{name}");
        }
    }

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        assert_eq!(position("", 0), (1, 1));
        assert_eq!(position("a\nbc", 3), (2, 2));
        assert_eq!(position("é\né=", 5), (2, 2));
        assert_eq!(position("ab", 99), (1, 3));
    }
}
