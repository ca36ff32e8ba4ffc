//! `cargo xtask fuzz`: the property and fuzz tests, which run with every `cargo test` for a moment,
//! with many times the cases.
//!
//! They are proptest tests; a failing case is stored under the crate's `proptest-regressions` and
//! from then on runs first in every ordinary test.

use anyhow::{Context, Result, ensure};

use crate::run::run;
use crate::workspace::Workspace;

/// What proptest runs when nothing is said.
const CASES_USUAL: u32 = 256;
const FACTOR_DEFAULT: u32 = 100;

pub(crate) fn fuzz(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let cases = cases(arguments)?;
    println!("fuzz: {cases} cases per property");
    let mut command = workspace.cargo();
    // Optimised: the time goes into cases. Tests without properties are quick beside them.
    command.args([
        "test",
        "--release",
        "--lib",
        "-p",
        "skein-types",
        "-p",
        "skein-plane",
        "-p",
        "skein-mqtt",
    ]);
    run(command.env("PROPTEST_CASES", cases.to_string()))
}

fn cases(arguments: &[String]) -> Result<u32> {
    let factor = match arguments {
        [] => FACTOR_DEFAULT,
        [factor] => factor.parse().with_context(|| format!("`fuzz` takes a factor, got {factor:?}"))?,
        _ => anyhow::bail!("`fuzz` takes one factor, got {arguments:?}"),
    };
    ensure!(factor > 0, "a factor of 0 would run no cases");
    CASES_USUAL.checked_mul(factor).with_context(|| format!("the factor {factor} is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiplies_the_usual_cases() {
        assert_eq!(cases(&[]).unwrap(), 25_600);
        assert_eq!(cases(&["2".to_owned()]).unwrap(), 512);
        for wrong in ["0", "many", "4000000000"] {
            assert!(cases(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }
}
