//! `cargo xtask deps`: the edges between the workspace's crates, against one table, and those between the top-level modules of
//! each crate, which must not form circles (`modules.rs`).
//!
//! Edges point downwards only and doors never meet (see ARCHITECTURE.md). A crate that is not in
//! the table fails, so a new crate states its place before it is used.

use std::fs;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{modules, workspace::Workspace};

/// A crate and the crates of the workspace that it may depend on, top to bottom.
const TABLE: [(&str, &[&str]); 16] = [
    ("skein", &["skein-node", "skein-bench", "skein-store"]),
    (
        "skein-node",
        &[
            "skein-mqtt",
            "skein-http",
            "skein-door",
            "skein-plane",
            "skein-access",
            "skein-discovery",
            "skein-cluster",
            "skein-store",
            "skein-types",
        ],
    ),
    ("skein-mqtt", &["skein-door", "skein-plane", "skein-access", "skein-types"]),
    ("skein-http", &["skein-door", "skein-plane", "skein-access", "skein-types"]),
    ("skein-door", &["skein-plane", "skein-access", "skein-types"]),
    ("skein-plane", &["skein-access", "skein-cluster", "skein-store", "skein-types"]),
    ("skein-access", &["skein-types"]),
    ("skein-discovery", &["skein-cluster", "skein-types"]),
    ("skein-cluster", &["skein-types"]),
    ("skein-store", &["skein-store-derive", "skein-wal"]),
    ("skein-store-derive", &[]),
    ("skein-wal", &[]),
    ("skein-bench", &["skein-types"]),
    ("skein-types", &[]),
    (TESTKIT, &[]),
    ("xtask", &[]),
];

/// Anyone may use it in tests, nobody elsewhere.
const TESTKIT: &str = "skein-testkit";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Shipped,
    Test,
}

#[derive(Debug)]
struct Edge {
    from: String,
    to: String,
    kind: Kind,
}

pub(crate) fn deps(workspace: &Workspace) -> Result<()> {
    let metadata = workspace.metadata()?;
    let (crates, edges) = read(&metadata)?;
    let mut faults = check(&crates, &edges);
    let modules = modules_of(workspace)?;
    faults.extend(modules.faults);
    for advice in &modules.advice {
        println!("advice: {advice}");
    }
    for fault in &faults {
        eprintln!("{fault}");
    }
    if !faults.is_empty() {
        bail!("deps: {} faults; the rules are in xtask/src/deps.rs and xtask/src/modules.rs", faults.len());
    }
    println!(
        "deps: {} crates, {} edges between them, all downwards; {} top-level modules, no new circle",
        crates.len(),
        edges.len(),
        modules.modules
    );
    Ok(())
}

fn modules_of(workspace: &Workspace) -> Result<modules::Findings> {
    let mut files = Vec::new();
    for path in workspace.files()?.into_iter().filter(|path| path.ends_with(".rs")) {
        let text =
            fs::read_to_string(workspace.path(&path)).with_context(|| format!("cannot read {path}"))?;
        files.push((path, text));
    }
    Ok(modules::check(files.iter().map(|(path, text)| (path.as_str(), text.as_str()))))
}

fn check(crates: &[String], edges: &[Edge]) -> Vec<String> {
    let mut faults = Vec::new();
    for name in crates {
        if allowed(name).is_none() {
            faults.push(format!("{name} has no row in the table: say there what it may depend on"));
        }
    }
    for (name, _) in TABLE {
        if !crates.iter().any(|known| known == name) {
            faults.push(format!(
                "{name} has a row in the table and is no crate of the workspace: remove the row"
            ));
        }
    }
    faults.extend(edges.iter().filter_map(fault));
    faults
}

fn fault(edge: &Edge) -> Option<String> {
    let Edge { from, to, kind } = edge;
    let allowed = allowed(from)?;
    if allowed.contains(&to.as_str()) {
        return None;
    }
    let rule = match kind {
        _ if from == to => return None,
        Kind::Test if to == TESTKIT => return None,
        // A test may look through the layers below, never sideways or up.
        Kind::Test if reaches(from, to) => return None,
        Kind::Shipped if to == TESTKIT => "it is for tests: name it under [dev-dependencies]".to_owned(),
        Kind::Shipped | Kind::Test => match allowed {
            [] => format!("{from} depends on no crate of the workspace"),
            _ => format!("{from} may depend on {} only", allowed.join(", ")),
        },
    };
    Some(format!("{from} -> {to}: {rule}"))
}

fn allowed(name: &str) -> Option<&'static [&'static str]> {
    TABLE.iter().find(|(row, _)| *row == name).map(|(_, allowed)| *allowed)
}

fn reaches(from: &str, to: &str) -> bool {
    allowed(from).unwrap_or_default().iter().any(|next| *next == to || reaches(next, to))
}

/// The workspace's crates and the edges between them, from `cargo metadata --no-deps`.
fn read(metadata: &Value) -> Result<(Vec<String>, Vec<Edge>)> {
    let packages = metadata.get("packages").and_then(Value::as_array).context("metadata without packages")?;
    let name_of = |value: &Value| value.get("name").and_then(Value::as_str).map(str::to_owned);
    let crates: Vec<String> = packages.iter().filter_map(name_of).collect();
    let mut edges = Vec::new();
    for package in packages {
        let from = name_of(package).context("a package without a name")?;
        let dependencies = package.get("dependencies").and_then(Value::as_array);
        for dependency in dependencies.context("a package without dependencies")? {
            let to = name_of(dependency).context("a dependency without a name")?;
            if crates.contains(&to) {
                let is_test = dependency.get("kind").and_then(Value::as_str) == Some("dev");
                let kind = if is_test { Kind::Test } else { Kind::Shipped };
                edges.push(Edge { from: from.clone(), to, kind });
            }
        }
    }
    Ok((crates, edges))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: &str, to: &str, kind: Kind) -> Option<String> {
        fault(&Edge { from: from.to_owned(), to: to.to_owned(), kind })
    }

    fn all_crates() -> Vec<String> {
        TABLE.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    #[test]
    fn downwards_is_allowed() {
        assert_eq!(edge("skein-mqtt", "skein-plane", Kind::Shipped), None);
        assert_eq!(edge("skein-mqtt", TESTKIT, Kind::Test), None);
        assert_eq!(edge("skein", "skein-types", Kind::Test), None, "a test may reach through");
        assert_eq!(check(&all_crates(), &[]), Vec::<String>::new());
    }

    #[test]
    fn siblings_never_meet() {
        let fault = edge("skein-mqtt", "skein-http", Kind::Shipped).unwrap();
        assert!(fault.contains("skein-mqtt -> skein-http"), "{fault}");
        assert!(edge("skein-mqtt", "skein-http", Kind::Test).is_some());
    }

    #[test]
    fn upwards_fails() {
        assert!(edge("skein-types", "skein-plane", Kind::Shipped).is_some());
        assert!(edge("skein-plane", "skein-node", Kind::Test).is_some());
    }

    #[test]
    fn skipping_a_layer_fails() {
        assert!(edge("skein", "skein-plane", Kind::Shipped).is_some());
    }

    #[test]
    fn the_test_kit_never_ships() {
        let fault = edge("skein-node", TESTKIT, Kind::Shipped).unwrap();
        assert!(fault.contains("dev-dependencies"), "{fault}");
    }

    #[test]
    fn crates_and_rows_match() {
        let mut crates = all_crates();
        crates.push("skein-new".to_owned());
        assert!(check(&crates, &[])[0].contains("skein-new has no row"));
        assert!(check(&crates[1..], &[]).iter().any(|fault| fault.contains("remove the row")));
    }

    #[test]
    fn reads_cargo_metadata() {
        let text = r#"{"packages":[
            {"name":"skein","dependencies":[{"name":"skein-node","kind":null},{"name":"anyhow","kind":null},
                                            {"name":"skein-testkit","kind":"dev"}]},
            {"name":"skein-node","dependencies":[]},{"name":"skein-testkit","dependencies":[]}]}"#;
        let (crates, edges) = read(&serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(crates.len(), 3);
        assert_eq!(edges.len(), 2);
        assert_eq!(edges[1].kind, Kind::Test);
    }
}
