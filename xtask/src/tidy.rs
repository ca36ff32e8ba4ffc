//! `cargo xtask tidy`: the rules of the tree that no compiler or lint checks.
//!
//! Every rule is a function from a file to its faults, has a line in CONTRIBUTING.md and a test
//! that shows it fail. Faults fail the command; advice is only printed.

mod code;
mod tree;

use std::cmp::Ordering;
use std::fs;

use anyhow::{Context, Result, bail};

use crate::source::Source;
use crate::workspace::Workspace;

/// Functions that carry an exemption from the length lint. The number may only fall: whoever
/// removes one lowers it, and nobody raises it without a reviewer agreeing.
const LONG_FUNCTIONS_MAX: usize = 0;

/// What a rule found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Findings {
    faults: Vec<String>,
    advice: Vec<String>,
}

pub(crate) fn tidy(workspace: &Workspace) -> Result<()> {
    let paths = workspace.files()?;
    let mut findings = Findings::default();
    let mut long_functions = 0;
    for path in &paths {
        findings.faults.extend(tree::file_name(path));
        let content = fs::read(workspace.path(path)).with_context(|| format!("cannot read {path}"))?;
        // Pictures and fuzz corpora are no text; the rules are about text.
        let Ok(text) = String::from_utf8(content) else { continue };
        findings.faults.extend(tree::registry_addresses(path, &text));
        if path.ends_with(".rs") {
            let source = Source::read(path, &text);
            code::check(&source, &mut findings);
            long_functions += code::long_functions(&source);
        }
    }
    let architecture = fs::read_to_string(workspace.path("ARCHITECTURE.md")).unwrap_or_default();
    findings.faults.extend(tree::crate_map(&paths, &architecture));
    ratchet(long_functions, &mut findings);
    report(&findings, paths.len())
}

fn ratchet(long_functions: usize, findings: &mut Findings) {
    match long_functions.cmp(&LONG_FUNCTIONS_MAX) {
        Ordering::Equal => {}
        Ordering::Greater => findings.faults.push(format!(
            "{long_functions} functions are exempt from the length lint, {LONG_FUNCTIONS_MAX} were: split the new one \
             (LONG_FUNCTIONS_MAX in xtask/src/tidy.rs may only fall)"
        )),
        Ordering::Less => findings
            .advice
            .push(format!("lower LONG_FUNCTIONS_MAX in xtask/src/tidy.rs to {long_functions}")),
    }
}

fn report(findings: &Findings, file_count: usize) -> Result<()> {
    for advice in &findings.advice {
        println!("advice: {advice}");
    }
    for fault in &findings.faults {
        eprintln!("{fault}");
    }
    if !findings.faults.is_empty() {
        bail!("tidy: {} faults; CONTRIBUTING.md lists the rules", findings.faults.len());
    }
    println!("tidy: {file_count} files in order");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_long_functions_may_only_fall() {
        let mut findings = Findings::default();
        ratchet(LONG_FUNCTIONS_MAX, &mut findings);
        assert_eq!(findings, Findings::default());
        ratchet(LONG_FUNCTIONS_MAX + 1, &mut findings);
        assert_eq!(findings.faults.len(), 1);
    }

    #[test]
    fn faults_fail_and_advice_does_not() {
        let advice = Findings { advice: vec!["a".to_owned()], ..Findings::default() };
        assert!(report(&advice, 1).is_ok());
        let faults = Findings { faults: vec!["a".to_owned()], ..Findings::default() };
        assert!(report(&faults, 1).is_err());
    }
}
