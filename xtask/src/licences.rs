//! `cargo xtask licences`: what is in the dependency tree, against the lists of `deny.toml`.
//!
//! The part of `cargo deny check licenses bans sources` that needs nothing but `cargo metadata`, so that every run of the tests
//! has it without building another program first. Advisories come over the network and are not looked at.

mod expression;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use toml::de::{DeTable, DeValue};

use self::expression::is_allowed;
use crate::workspace::Workspace;

const LISTS: &str = "deny.toml";

/// A package of the tree.
#[derive(Debug, Default)]
struct Package {
    name: String,
    version: String,
    licence: Option<String>,
    /// The registry it is from; none for our own.
    source: Option<String>,
    /// Whether it is built into what ships, or builds it; tests alone may have their own versions.
    is_shipped: bool,
    /// Dependencies of any version.
    wildcards: Vec<String>,
}

/// What `deny.toml` says.
#[derive(Debug, Default)]
struct Lists {
    licences: Vec<String>,
    banned: Vec<String>,
    /// Names with the beginning of a version that may be there beside another.
    skipped: Vec<(String, String)>,
    targets: Vec<String>,
}

pub(crate) fn licences(workspace: &Workspace) -> Result<()> {
    let text = fs::read_to_string(workspace.path(LISTS)).with_context(|| format!("cannot read {LISTS}"))?;
    let lists = Lists::read(&text)?;
    let mut shipped = BTreeSet::new();
    for target in &lists.targets {
        shipped.extend(built(&workspace.tree(target)?));
    }
    let packages = read(&workspace.metadata_of_all(&lists.targets)?, &shipped)?;
    let (faults, advice) = check(&packages, &lists);
    for advice in &advice {
        println!("advice: {advice}");
    }
    for fault in &faults {
        eprintln!("{fault}");
    }
    if !faults.is_empty() {
        bail!("licences: {} faults; the rules are in {LISTS}", faults.len());
    }
    println!("licences: {} packages with licences, versions and sources that {LISTS} allows", packages.len());
    Ok(())
}

impl Lists {
    fn read(text: &str) -> Result<Self> {
        let file = DeTable::parse(text).with_context(|| format!("{LISTS} is no TOML"))?.into_inner();
        let skipped = crates(&file, "skip")?.into_iter();
        let skipped = skipped.filter_map(|spec| {
            spec.split_once('@').map(|(name, version)| (name.to_owned(), version.to_owned()))
        });
        Ok(Self {
            skipped: skipped.collect(),
            licences: texts(list(&file, "licenses", "allow")?),
            banned: crates(&file, "deny")?,
            targets: texts(list(&file, "graph", "targets")?),
        })
    }
}

fn list<'f>(file: &'f DeTable<'_>, table: &str, key: &str) -> Result<Vec<&'f DeValue<'f>>> {
    let list =
        file.get(table).and_then(|table| table.get_ref().get(key)).and_then(|list| list.get_ref().as_array());
    let list = list.with_context(|| format!("{LISTS} has no list {table}.{key}"))?;
    Ok(list.iter().map(|entry| entry.get_ref()).collect())
}

fn texts(list: Vec<&DeValue<'_>>) -> Vec<String> {
    list.into_iter().filter_map(|entry| entry.as_str().map(str::to_owned)).collect()
}

/// The crates that a list of bans names.
fn crates(file: &DeTable<'_>, key: &str) -> Result<Vec<String>> {
    let entries = list(file, "bans", key)?.into_iter();
    Ok(texts(entries.filter_map(|entry| entry.get("crate").map(|name| name.get_ref())).collect()))
}

fn check(packages: &[Package], lists: &Lists) -> (Vec<String>, Vec<String>) {
    let mut faults = Vec::new();
    let registry = packages.iter().find_map(|package| package.source.as_deref());
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages {
        let Package { name, version, licence, source, is_shipped, wildcards } = package;
        if *is_shipped {
            versions.entry(name).or_default().push(version);
        }
        if lists.banned.contains(name) {
            faults.push(format!("{name} {version} is banned"));
        }
        for dependency in wildcards {
            faults.push(format!("{name} depends on any version of {dependency}: say which"));
        }
        match licence.as_deref() {
            Some(licence) if is_allowed(licence, &lists.licences) => {}
            Some(licence) => {
                faults.push(format!("{name} {version} has the licence {licence:?}, which is not allowed"))
            }
            None => faults.push(format!("{name} {version} names no licence")),
        }
        if source
            .as_deref()
            .is_some_and(|source| !source.starts_with("registry+") || Some(source) != registry)
        {
            faults.push(format!("{name} {version} is from elsewhere than the one registry"));
        }
    }
    let (twice, advice) = duplicates(&versions, &lists.skipped);
    faults.extend(twice);
    (faults, advice)
}

/// Crates that are there in several versions, and exceptions that are needed no more.
fn duplicates(
    versions: &BTreeMap<&str, Vec<&str>>,
    skipped: &[(String, String)],
) -> (Vec<String>, Vec<String>) {
    let matches = |name: &str, version: &str, (skip, beginning): &(String, String)| {
        let rest = version.strip_prefix(beginning.as_str());
        name == skip && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let mut faults = Vec::new();
    for (name, versions) in versions {
        let counted =
            versions.iter().filter(|version| !skipped.iter().any(|skip| matches(name, version, skip)));
        if counted.count() > 1 {
            faults.push(format!("{name} is there in the versions {}", versions.join(", ")));
        }
    }
    let is_needed = |skip: &(String, String)| {
        let versions = versions.get(skip.0.as_str()).map(Vec::as_slice).unwrap_or_default();
        versions.len() > 1 && versions.iter().any(|version| matches(&skip.0, version, skip))
    };
    let unneeded = skipped.iter().filter(|skip| !is_needed(skip));
    let advice = unneeded.map(|(name, version)| format!("{LISTS}: skip {name}@{version} is needed no more"));
    (faults, advice.collect())
}

/// The packages of a resolved tree, from `cargo metadata`. That takes features together that are never built together, so what
/// is built is said by `cargo tree`.
fn read(metadata: &Value, shipped: &BTreeSet<(String, String)>) -> Result<Vec<Package>> {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let nodes =
        metadata.pointer("/resolve/nodes").and_then(Value::as_array).context("metadata without a tree")?;
    let resolved: BTreeSet<String> = nodes.iter().filter_map(|node| text(node, "id")).collect();
    let all = metadata.get("packages").and_then(Value::as_array).context("metadata without packages")?;
    let mut packages = Vec::new();
    for package in all {
        let id = text(package, "id").context("a package without an id")?;
        if !resolved.contains(&id) {
            continue;
        }
        let name = text(package, "name").context("a package without a name")?;
        let version = text(package, "version").context("a package without a version")?;
        let source = text(package, "source");
        let dependencies = package.get("dependencies").and_then(Value::as_array);
        let any = |dependency: &&Value| {
            text(dependency, "req").as_deref() == Some("*") && text(dependency, "path").is_none()
        };
        // What a package of the registry asks for is not ours to say.
        let wildcards = dependencies.into_iter().flatten().filter(any).filter(|_| source.is_none());
        packages.push(Package {
            is_shipped: shipped.contains(&(name.clone(), version.clone())),
            name,
            version,
            licence: text(package, "license"),
            wildcards: wildcards.filter_map(|dependency| text(dependency, "name")).collect(),
            source,
        });
    }
    ensure!(!packages.is_empty(), "cargo metadata names no package");
    Ok(packages)
}

/// The packages in what `cargo tree` prints, a line each: the name, then `v` and the version.
fn built(tree: &str) -> BTreeSet<(String, String)> {
    let package = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, version) = (words.next()?, words.next()?);
        Some((name.to_owned(), version.strip_prefix('v')?.to_owned()))
    };
    tree.lines().filter_map(package).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, licence: &str) -> Package {
        let source = Some("registry+here".to_owned());
        let licence = Some(licence.to_owned());
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
            licence,
            source,
            is_shipped: true,
            wildcards: Vec::new(),
        }
    }

    fn lists() -> Lists {
        let text = "[graph]\ntargets = ['t']\n[licenses]\nallow = ['MIT']\n[bans]\n\
                    deny = [{ crate = 'evil', reason = 'x' }]\nskip = [{ crate = 'a@0.2', reason = 'x' }]";
        Lists::read(text).unwrap()
    }

    fn faults(packages: &[Package]) -> Vec<String> {
        check(packages, &lists()).0
    }

    #[test]
    fn licences_bans_and_sources_are_checked() {
        assert_eq!(faults(&[package("b", "1.0.0", "MIT")]), Vec::<String>::new());
        assert!(faults(&[package("b", "1.0.0", "GPL-3.0")])[0].contains("GPL-3.0"));
        assert!(faults(&[package("evil", "1.0.0", "MIT")])[0].contains("banned"));
        let git = Package { source: Some("git+elsewhere".to_owned()), ..package("b", "1.0.0", "MIT") };
        assert!(faults(&[package("c", "1.0.0", "MIT"), git])[0].contains("elsewhere"));
        let other = Package { source: Some("registry+other".to_owned()), ..package("b", "1.0.0", "MIT") };
        assert!(faults(&[package("c", "1.0.0", "MIT"), other])[0].contains("elsewhere"));
        assert!(faults(&[Package { licence: None, ..package("b", "1.0.0", "") }])[0].contains("no licence"));
        let any = Package { wildcards: vec!["x".to_owned()], ..package("b", "1.0.0", "MIT") };
        assert!(faults(&[any])[0].contains("any version of x"));
    }

    #[test]
    fn a_crate_is_there_once_unless_a_version_is_skipped() {
        let two = |one: &str, two: &str| [package("a", one, "MIT"), package("a", two, "MIT")];
        assert!(faults(&two("1.0.0", "2.0.0"))[0].contains("1.0.0, 2.0.0"));
        let for_tests = two("1.0.0", "2.0.0").map(|package| Package { is_shipped: false, ..package });
        assert_eq!(faults(&for_tests), Vec::<String>::new());
        assert_eq!(faults(&two("0.2.7", "2.0.0")), Vec::<String>::new());
        assert_eq!(faults(&two("0.20.7", "2.0.0")).len(), 1, "0.2 is not the beginning of 0.20");
        let advice = check(&[package("a", "2.0.0", "MIT")], &lists()).1;
        assert!(advice[0].contains("a@0.2 is needed no more"), "{advice:?}");
    }

    #[test]
    fn only_the_resolved_tree_counts() {
        let text = r#"{"resolve":{"nodes":[{"id":"a 1"},{"id":"c 1"}]},"packages":[
            {"id":"c 1","name":"c","version":"1","license":"MIT","source":null,"dependencies":[]},
            {"id":"a 1","name":"a","version":"1","license":"MIT","source":null,
             "dependencies":[{"name":"x","req":"*"},{"name":"y","req":"*","path":"/y"},{"name":"z","req":"^1"}]},
            {"id":"b 1","name":"b","version":"1","license":null,"source":null,"dependencies":[]}]}"#;
        let shipped = built("a v1 (/a)\n\na v1 (/a) (*)\n[dev-dependencies]\n");
        let packages = read(&serde_json::from_str(text).unwrap(), &shipped).unwrap();
        let names: Vec<_> =
            packages.iter().map(|package| (package.name.as_str(), package.is_shipped)).collect();
        assert_eq!(names, [("c", false), ("a", true)]);
        assert_eq!(packages[1].wildcards, ["x"]);
    }
}
