//! Rules about the content of Rust files.

use super::Findings;
use crate::source::Source;

/// Lines of code, tests and comments not counted: above the first a file is reported, above the
/// second it fails.
const CODE_LINES_ADVISED: usize = 500;
const CODE_LINES_MAX: usize = 1000;

pub(super) fn check(source: &Source<'_>, findings: &mut Findings) {
    findings.faults.extend(opens_with_document(source));
    findings.faults.extend(forbidden_words(source));
    findings.faults.extend(glob_imports(source));
    findings.faults.extend(bare_todo_comments(source));
    length(source, findings);
}

/// The functions of a file that are exempt from the lint on their length.
pub(super) fn long_functions(source: &Source<'_>) -> usize {
    source.lines().filter(|(_, code, _)| code.contains("clippy::too_many_lines")).count()
}

fn opens_with_document(source: &Source<'_>) -> Option<String> {
    (!source.opens_with_document).then(|| {
        format!(
            "{}:1: opens without `//!`: say what the file is for, what it must never do, who calls it",
            source.path
        )
    })
}

fn forbidden_words(source: &Source<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, code, is_test) in source.lines() {
        for (word, instead) in [
            ("todo!(", "finish it, or leave `TODO(#issue)` beside code that works without it"),
            ("unimplemented!(", "finish it, or return an error that says so"),
            ("#[ignore", "a test runs or is not there"),
        ] {
            if code.contains(word) {
                faults.push(format!("{}:{number}: `{word}`: {instead}", source.path));
            }
        }
        let sleeps =
            ["thread::sleep(", "time::sleep(", "sleep_until("].iter().any(|call| code.contains(call));
        if is_test && sleeps {
            faults.push(format!(
                "{}:{number}: a test sleeps: wait for a condition with a deadline",
                source.path
            ));
        }
        if let Some(name) = module_name(code).filter(|name| super::tree::says_nothing(name)) {
            faults.push(format!(
                "{}:{number}: a module named `{name}` says nothing of what is in it",
                source.path
            ));
        }
    }
    faults
}

fn module_name(code: &str) -> Option<&str> {
    let (_, after) =
        code.split_once("mod ").filter(|(before, _)| before.is_empty() || before.ends_with(' '))?;
    after.split(|character: char| !character.is_alphanumeric() && character != '_').next()
}

fn glob_imports(source: &Source<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, code, is_test) in source.lines() {
        let line = code.trim_start();
        let imports =
            line.starts_with("use ") || line.starts_with("pub use ") || line.starts_with("pub(crate) use ");
        let is_exempt = line.contains("prelude::*") || is_test && line.contains("use super::*");
        if imports && line.contains("::*") && !is_exempt {
            faults.push(format!("{}:{number}: a glob import hides where names come from", source.path));
        }
    }
    faults
}

fn bare_todo_comments(source: &Source<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for (at, comment) in source.comments.iter().enumerate() {
        for word in ["TODO", "FIXME", "XXX"] {
            // A comment that speaks of the word itself puts it into quotes.
            let bare = |(before, after): (&str, &str)| !before.ends_with('`') && !has_issue(after);
            if comment.match_indices(word).any(|(at, _)| bare(around(comment, at, word))) {
                faults.push(format!(
                    "{}:{}: `{word}` without an issue: write TODO(#number)",
                    source.path,
                    at + 1
                ));
            }
        }
    }
    faults
}

fn around<'a>(comment: &'a str, at: usize, word: &str) -> (&'a str, &'a str) {
    let (before, rest) = comment.split_at_checked(at).unwrap_or((comment, ""));
    (before, rest.strip_prefix(word).unwrap_or_default())
}

/// Whether the text goes on with `(#number)`.
fn has_issue(after: &str) -> bool {
    let number = after.strip_prefix("(#").and_then(|rest| rest.split_once(')')).map(|(number, _)| number);
    number.is_some_and(|number| !number.is_empty() && number.chars().all(|digit| digit.is_ascii_digit()))
}

fn length(source: &Source<'_>, findings: &mut Findings) {
    let count = source.lines().filter(|(_, code, is_test)| !is_test && !code.trim().is_empty()).count();
    let path = source.path;
    if count > CODE_LINES_MAX {
        findings.faults.push(format!(
            "{path}: {count} lines of code; a file ends at {CODE_LINES_MAX}: split it by subject"
        ));
    } else if count > CODE_LINES_ADVISED {
        findings.advice.push(format!(
            "{path}: {count} lines of code; past {CODE_LINES_ADVISED} it usually has two subjects"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> Vec<String> {
        let mut findings = Findings::default();
        check(&Source::read(path, text), &mut findings);
        findings.faults
    }

    fn one_fault(text: &str) -> String {
        let found = faults("crates/x/src/a.rs", &format!("//! A file.\n{text}\n"));
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        found[0].clone()
    }

    #[test]
    fn a_good_file_has_no_faults() {
        let text = "//! A file.\nuse std::io::prelude::*;\n// TODO(#12): faster.\n#[cfg(test)]\nmod tests {\n    use super::*;\n}\n";
        assert_eq!(faults("crates/x/src/a.rs", text), Vec::<String>::new());
    }

    #[test]
    fn a_file_must_say_what_it_is_for() {
        assert!(faults("crates/x/src/a.rs", "fn main() {}\n")[0].contains("opens without"));
    }

    #[test]
    fn unfinished_code_fails() {
        assert!(one_fault("fn a() { todo!() }").contains(":2:"));
        one_fault("fn a() { unimplemented!() }");
    }

    #[test]
    fn an_ignored_test_fails() {
        one_fault("#[cfg(test)]\nmod tests {\n    #[ignore = \"slow\"]\n    fn a() {}\n}");
    }

    #[test]
    fn a_test_that_sleeps_fails() {
        assert!(
            one_fault("#[cfg(test)]\nmod tests {\n    fn a() { std::thread::sleep(x); }\n}")
                .contains("sleeps")
        );
        let text = "//! A test.\nasync fn a() { tokio::time::sleep(x).await }\n";
        assert_eq!(faults("crates/x/tests/a.rs", text).len(), 1);
        assert!(faults("crates/x/src/a.rs", text).is_empty(), "elsewhere the lint of clippy.toml decides");
    }

    #[test]
    fn a_glob_import_fails() {
        one_fault("use std::collections::*;");
        one_fault("pub use crate::a::{b::*, c};");
        one_fault("use super::*;");
    }

    #[test]
    fn a_module_with_an_empty_name_fails() {
        one_fault("mod utils;");
        one_fault("pub(crate) mod helpers {");
    }

    #[test]
    fn a_wish_without_an_issue_fails() {
        one_fault("// TODO: later");
        one_fault("let a = 1; // FIXME now");
        one_fault("// TODO(#): later");
    }

    #[test]
    fn a_long_file_is_advised_and_a_very_long_one_fails() {
        let mut findings = Findings::default();
        let long = format!("//! A file.\n{}", "fn a() {}\n".repeat(501));
        length(&Source::read("crates/x/src/a.rs", &long), &mut findings);
        assert_eq!((findings.advice.len(), findings.faults.len()), (1, 0));
        let very_long = format!("//! A file.\n{}", "fn a() {}\n".repeat(1001));
        length(&Source::read("crates/x/src/a.rs", &very_long), &mut findings);
        assert_eq!((findings.advice.len(), findings.faults.len()), (1, 1));
        let tests = format!("//! A file.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "fn a() {}\n".repeat(1001));
        length(&Source::read("crates/x/src/a.rs", &tests), &mut findings);
        assert_eq!((findings.advice.len(), findings.faults.len()), (1, 1), "tests are not counted");
    }

    #[test]
    fn exempt_functions_are_counted() {
        let text = "//! A file.\n#[expect(clippy::too_many_lines, reason = \"x\")]\nfn a() {}\n// clippy::too_many_lines\n";
        assert_eq!(long_functions(&Source::read("crates/x/src/a.rs", text)), 1);
    }
}
