//! `cargo xtask fuzz`: the property and fuzz tests, which run with every `cargo test` for a moment,
//! for much longer.
//!
//! Property tests are proptest's, fuzz targets bolero's; both take their effort from variables. What
//! bolero finds is kept beside the target's corpus and runs in every ordinary test from then on.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::run::run;
use crate::workspace::Workspace;

/// What proptest runs when nothing is said; bolero's targets run for a second each.
const CASES_USUAL: u32 = 256;
const FACTOR_DEFAULT: u32 = 100;
const LIBRARIES: [&str; 2] = ["bolero", "proptest"];

pub(crate) fn fuzz(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    let factor = factor(arguments)?;
    println!("fuzz: {} cases per property, {factor} s per fuzz target", factor * CASES_USUAL);
    let mut command = workspace.cargo();
    // Optimised: the time goes into cases. Tests without properties are quick beside them.
    command.args(["test", "--release"]);
    for name in crates(&workspace.metadata()?)? {
        command.args(["-p", &name]);
    }
    command.args(["--lib", "--tests"]);
    command.env("PROPTEST_CASES", (factor * CASES_USUAL).to_string());
    command.env("BOLERO_RANDOM_TEST_TIME_MS", (u64::from(factor) * 1000).to_string());
    // The time decides, not a number of runs.
    run(command.env("BOLERO_RANDOM_ITERATIONS", u32::MAX.to_string()))
}

/// The crates that have properties or fuzz targets: those that use the libraries for them.
fn crates(metadata: &Value) -> Result<Vec<String>> {
    let packages = metadata.get("packages").and_then(Value::as_array).context("metadata without packages")?;
    let name = |value: &Value| value.get("name").and_then(Value::as_str).map(str::to_owned);
    let is_fuzzed = |package: &&Value| {
        let dependencies = package.get("dependencies").and_then(Value::as_array);
        let mut names = dependencies.into_iter().flatten().filter_map(name);
        names.any(|name| LIBRARIES.contains(&name.as_str()))
    };
    Ok(packages.iter().filter(is_fuzzed).filter_map(name).collect())
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
    fn every_crate_with_properties_takes_part() {
        let names = crates(&Workspace::find().unwrap().metadata().unwrap()).unwrap();
        for name in ["skein-types", "skein-mqtt", "skein-cluster", "skein-store", "skein-wal", "skein-node"] {
            assert!(names.iter().any(|known| known == name), "{name} is not among {names:?}");
        }
        assert!(!names.contains(&"xtask".to_owned()), "{names:?}");
    }

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
