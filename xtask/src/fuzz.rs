//! `cargo xtask fuzz`: the property and fuzz tests, which run with every `cargo test` for a moment,
//! for much longer.
//!
//! Property tests are proptest's, fuzz targets bolero's; both take their effort from variables. What
//! bolero finds is kept beside the target's corpus and runs in every ordinary test from then on.

use anyhow::{Context, Result, ensure};

use crate::run::run;
use crate::workspace::Workspace;

/// What proptest runs when nothing is said; bolero's targets run for a second each.
const CASES_USUAL: u32 = 256;
const FACTOR_DEFAULT: u32 = 100;

pub(crate) fn fuzz(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let factor = factor(arguments)?;
    println!("fuzz: {} cases per property, {factor} s per fuzz target", factor * CASES_USUAL);
    let mut command = workspace.cargo();
    // Optimised: the time goes into cases. Tests without properties are quick beside them.
    command.args(["test", "--release", "-p", "skein-types", "-p", "skein-plane", "-p", "skein-mqtt"]);
    command.args(["-p", "skein-cluster"]);
    command.args(["--lib", "--tests"]);
    command.env("PROPTEST_CASES", (factor * CASES_USUAL).to_string());
    command.env("BOLERO_RANDOM_TEST_TIME_MS", (u64::from(factor) * 1000).to_string());
    // The time decides, not a number of runs.
    run(command.env("BOLERO_RANDOM_ITERATIONS", u32::MAX.to_string()))
}

fn factor(arguments: &[String]) -> Result<u32> {
    let factor: u32 = match arguments {
        [] => FACTOR_DEFAULT,
        [factor] => factor.parse().with_context(|| format!("`fuzz` takes a factor, got {factor:?}"))?,
        _ => anyhow::bail!("`fuzz` takes one factor, got {arguments:?}"),
    };
    ensure!(factor > 0, "a factor of 0 would run no cases");
    ensure!(factor <= u32::MAX / CASES_USUAL, "the factor {factor} is too large");
    Ok(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_one_factor() {
        assert_eq!(factor(&[]).unwrap(), 100);
        assert_eq!(factor(&["2".to_owned()]).unwrap(), 2);
        for wrong in ["0", "many", "4000000000"] {
            assert!(factor(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
        assert!(factor(&["1".to_owned(), "2".to_owned()]).is_err());
    }
}
