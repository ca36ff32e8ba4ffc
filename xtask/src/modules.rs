//! The arrows between the top-level modules of each crate: one way only.
//!
//! A scanner finds paths that begin with `crate::` or climb with `super::`, follows what the root of the crate exports again,
//! and looks for circles. `deps` calls it. Tests are left out: they may look at anything.

mod graph;
mod paths;

use std::collections::BTreeMap;

use self::{
    graph::Graph,
    paths::{is_root, module_of, used},
};
use crate::source::Source;

/// How many top-level modules of a crate lie on circles. A number may only fall: whoever opens a circle lowers it, and nobody
/// raises it without a reviewer agreeing. A crate that is not named has none.
const IN_CIRCLES_MAX: [(&str, usize); 1] = [("skein-access", 4)];

/// What was found: faults, advice, and how many modules there are.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) faults: Vec<String>,
    pub(crate) advice: Vec<String>,
    pub(crate) modules: usize,
}

/// Looks at the sources of all crates: paths below `crates/` or `xtask/`, with their text.
pub(crate) fn check<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Findings {
    let mut crates: BTreeMap<&str, Vec<Source<'a>>> = BTreeMap::new();
    for (path, text) in files {
        if let Some(name) = crate_of(path) {
            // Without the folder, by which the test kit would be taken for one large test.
            let inside = path.strip_prefix("crates/").unwrap_or(path);
            crates.entry(name).or_default().push(Source::read(inside, text));
        }
    }
    let mut findings = Findings::default();
    for (name, sources) in &crates {
        let graph = read(sources);
        findings.modules += graph.modules().count();
        compare(name, &graph, allowance(name), &mut findings);
    }
    for (name, _) in IN_CIRCLES_MAX {
        if !crates.contains_key(name) {
            findings
                .faults
                .push(format!("{name} has a row in IN_CIRCLES_MAX and no sources: remove the row"));
        }
    }
    findings
}

fn allowance(name: &str) -> usize {
    IN_CIRCLES_MAX.iter().find(|(row, _)| *row == name).map_or(0, |(_, max)| *max)
}

/// The crate a source file ships in; none for tests, benchmarks and examples.
fn crate_of(path: &str) -> Option<&str> {
    let (name, rest) = path.strip_prefix("crates/").unwrap_or(path).split_once('/')?;
    let is_source = rest.starts_with("src/") && rest.ends_with(".rs");
    (is_source && (path.starts_with("crates/") || name == "xtask")).then_some(name)
}

fn compare(name: &str, graph: &Graph, max: usize, findings: &mut Findings) {
    let circles = graph.circles();
    let count: usize = circles.iter().map(Vec::len).sum();
    if count > max {
        let shown: Vec<String> = circles.iter().map(|circle| graph.shown(circle)).collect();
        findings.faults.push(format!(
            "{name}: {count} modules lie on circles, {max} may (IN_CIRCLES_MAX in xtask/src/modules.rs):\n{}",
            shown.join("\n")
        ));
    } else if count < max {
        let file = "xtask/src/modules.rs";
        findings.advice.push(format!("lower the number of {name} in IN_CIRCLES_MAX of {file} to {count}"));
    }
}

fn read(sources: &[Source<'_>]) -> Graph {
    let mut graph = Graph::default();
    let mut exports = BTreeMap::new();
    for source in sources {
        let module = module_of(source.path);
        if let [top, ..] = module.as_slice() {
            graph.add_module(top);
        }
    }
    for source in sources.iter().filter(|source| is_root(source.path)) {
        exports.extend(paths::exports(source, |name| graph.has_module(name)));
    }
    for source in sources {
        let module = module_of(source.path);
        let Some(from) = module.first() else { continue };
        for (line, name) in used(source, &module) {
            let to = exports.get(&name).unwrap_or(&name);
            if to != from && graph.has_module(to) {
                graph.add_edge(from, to, || format!("{}:{line}", source.path));
            }
        }
    }
    graph
}

#[cfg(test)]
mod tests {
    use super::*;

    const CIRCLE: [(&str, &str); 4] = [
        ("crates/x/src/lib.rs", "mod a;\nmod b;\nmod c;\npub use c::{Cee, other::Dee as D};\n"),
        ("crates/x/src/a.rs", "use crate::b::Bee;\n#[cfg(test)]\nmod tests { use crate::c::T; }\n"),
        ("crates/x/src/b/inner.rs", "use super::Own;\nuse super::super::{D, a};\n"),
        ("crates/x/src/c.rs", "// crate::a::Comment\nfn f() { \"crate::b\"; }\n"),
    ];

    #[test]
    fn a_circle_is_shown_with_where_it_is() {
        let graph = read(&CIRCLE.map(|(path, text)| Source::read(path, text)));
        assert_eq!(graph.circles(), [["a".to_owned(), "b".to_owned()]]);
        let mut findings = Findings::default();
        compare("x", &graph, 1, &mut findings);
        let fault = findings.faults.pop().unwrap();
        assert!(fault.contains("2 modules lie on circles, 1 may"), "{fault}");
        assert!(fault.contains("a -> b (crates/x/src/a.rs:1)"), "{fault}");
        assert!(fault.contains("b -> a (crates/x/src/b/inner.rs:2)"), "{fault}");
    }

    #[test]
    fn an_allowance_may_only_fall() {
        let graph = read(&CIRCLE.map(|(path, text)| Source::read(path, text)));
        let mut findings = Findings::default();
        compare("x", &graph, 2, &mut findings);
        assert!(findings.faults.is_empty() && findings.advice.is_empty(), "{findings:?}");
        compare("x", &graph, 3, &mut findings);
        assert_eq!(findings.advice.len(), 1);
    }

    #[test]
    fn what_the_root_exports_is_followed() {
        let with_use = [("crates/x/src/c.rs", "use crate::b::B;\n"), CIRCLE[0], CIRCLE[2]];
        let graph = read(&with_use.map(|(path, text)| Source::read(path, text)));
        assert_eq!(graph.circles(), [["b".to_owned(), "c".to_owned()]], "b uses D, which is c's");
    }

    #[test]
    fn tests_and_other_crates_do_not_count() {
        assert_eq!(crate_of("crates/x/src/a/b.rs"), Some("x"));
        assert_eq!(crate_of("xtask/src/a.rs"), Some("xtask"));
        for other in ["crates/x/tests/a.rs", "crates/x/benches/a.rs", "benches/x/src/main.rs", "Cargo.toml"] {
            assert_eq!(crate_of(other), None, "{other}");
        }
    }
}
