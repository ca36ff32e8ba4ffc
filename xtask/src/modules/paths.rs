//! The paths in a source file that lead to the root of its crate, and what the root exports again.

use std::collections::BTreeMap;

use crate::source::Source;

/// The module a file is, from the root; none of the root's own files.
pub(super) fn module_of(path: &str) -> Vec<String> {
    let inside = path.split_once("src/").map_or(path, |(_, inside)| inside);
    let name = inside.strip_suffix(".rs").unwrap_or(inside);
    if is_root(path) { Vec::new() } else { name.split('/').map(str::to_owned).collect() }
}

pub(super) fn is_root(path: &str) -> bool {
    path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs")
}

/// The first names behind the root of each path that begins there, with their lines.
pub(super) fn used(source: &Source<'_>, module: &[String]) -> Vec<(usize, String)> {
    let words = words(source);
    let mut found = Vec::new();
    let mut at = 0;
    while let Some((line, word)) = words.get(at) {
        let begins = matches!(*word, "crate" | "super" | "self") && !follows_path(&words, at);
        if !begins {
            at += 1;
            continue;
        }
        let mut paths = Vec::new();
        at = tree(&words, at, &mut Vec::new(), &mut paths).max(at + 1);
        found.extend(paths.iter().filter_map(|path| from_root(path, module)).map(|name| (*line, name)));
    }
    found
}

/// The names that the root exports again, each with the module it is from.
pub(super) fn exports(source: &Source<'_>, is_module: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let words = words(source);
    let mut found = BTreeMap::new();
    for (at, (_, word)) in words.iter().enumerate() {
        if *word != "use" {
            continue;
        }
        let mut paths = Vec::new();
        tree(&words, at + 1, &mut Vec::new(), &mut paths);
        for path in paths {
            let from = path.iter().find(|name| !matches!(name.as_str(), "crate" | "self"));
            if let (Some(from), Some(name)) = (from, path.last())
                && is_module(from)
                && from != name
            {
                found.insert(name.clone(), from.clone());
            }
        }
    }
    found
}

/// The words of the code that ships, with their lines; `::` is one word.
fn words<'s>(source: &'s Source<'_>) -> Vec<(usize, &'s str)> {
    let mut words = Vec::new();
    for (line, code, is_test) in source.lines() {
        if is_test {
            continue;
        }
        let mut rest = code.trim_start();
        while let Some(first) = rest.chars().next() {
            let is_name = |character: char| character.is_alphanumeric() || character == '_';
            let length = if is_name(first) {
                rest.find(|character| !is_name(character)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            let (word, after) = rest.split_at(length);
            words.push((line, word));
            rest = after.trim_start();
        }
    }
    words
}

/// Whether what is at `at` goes on with a path that began before.
fn follows_path(words: &[(usize, &str)], at: usize) -> bool {
    at.checked_sub(1).and_then(|before| words.get(before)).is_some_and(|(_, word)| *word == "::")
}

/// Reads a path or a tree of paths; returns where it ends. What follows `as` takes the place of the last name.
fn tree(
    words: &[(usize, &str)],
    mut at: usize,
    stem: &mut Vec<String>,
    found: &mut Vec<Vec<String>>,
) -> usize {
    let word = |at: usize| words.get(at).map_or("", |(_, word)| *word);
    let depth = stem.len();
    while word(at).starts_with(|first: char| first.is_alphabetic() || first == '_') {
        stem.push(word(at).to_owned());
        at += 1;
        if word(at) != "::" {
            break;
        }
        at += 1;
    }
    if word(at) == "{" {
        at += 1;
        while !matches!(word(at), "}" | "") {
            let next = tree(words, at, stem, found);
            at = if word(next) == "," { next + 1 } else { next.max(at + 1) };
        }
        at += 1;
    } else {
        let mut path = stem.clone();
        if word(at) == "as" {
            path.pop();
            path.push(word(at + 1).to_owned());
            at += 2;
        }
        found.push(path);
    }
    stem.truncate(depth);
    at
}

/// The first name behind the root, if the path climbs or begins there.
fn from_root(path: &[String], module: &[String]) -> Option<String> {
    let mut names = path.iter().peekable();
    let mut here = module.len();
    while let Some(name) = names.peek() {
        match name.as_str() {
            "crate" => here = 0,
            "super" => here = here.saturating_sub(1),
            "self" => {}
            _ => break,
        }
        names.next();
    }
    if here > 0 { None } else { names.next().cloned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str, text: &str) -> Vec<String> {
        let source = Source::read(path, text);
        used(&source, &module_of(path)).into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn finds_paths_to_the_root() {
        let file = "crates/x/src/a.rs";
        assert_eq!(names(file, "use crate::{b::{C, D}, e, f::G as H};"), ["b", "b", "e", "f"]);
        assert_eq!(names(file, "fn f() { crate::b::c(super::d::E, self::g::H, x::crate_::y) }"), ["b", "d"]);
        assert_eq!(names(file, "pub(crate) fn f(self) {} pub(super) mod x;"), Vec::<String>::new());
        assert_eq!(
            names("crates/x/src/a/b.rs", "use super::{c, super::d::E};\nuse super::super::f;"),
            ["d", "f"]
        );
    }

    #[test]
    fn reads_what_the_root_exports() {
        let source =
            Source::read("crates/x/src/lib.rs", "pub use self::a::{B, c::D as E};\nuse std::x;\npub use f;");
        let found = exports(&source, |name| matches!(name, "a" | "f"));
        let expected = [("B", "a"), ("E", "a")].map(|(name, from)| (name.to_owned(), from.to_owned()));
        assert_eq!(found, expected.into());
    }
}
