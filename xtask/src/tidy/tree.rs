//! Rules about the files of the tree whatever they hold: names, addresses, the map of crates.

/// Names that fit everything and therefore say nothing.
const EMPTY_NAMES: [&str; 8] = ["utils", "util", "common", "helpers", "helper", "manager", "misc", "stuff"];

pub(super) fn says_nothing(name: &str) -> bool {
    EMPTY_NAMES.contains(&name)
}

pub(super) fn file_name(path: &str) -> Option<String> {
    let name = path.rsplit('/').next().unwrap_or(path);
    if name == "mod.rs" {
        return Some(format!(
            "{path}: no mod.rs: use `name.rs` beside `name/`, so that every file has its own name"
        ));
    }
    let stem = name.strip_suffix(".rs")?;
    says_nothing(stem).then(|| format!("{path}: a file named `{stem}` says nothing of what is in it"))
}

/// Where packages come from is the configuration of a machine, not of the project. Cargo.lock is
/// written by cargo and names its source in every entry.
pub(super) fn registry_addresses(path: &str, text: &str) -> Vec<String> {
    if path.ends_with("Cargo.lock") {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for (start, end) in ADDRESSES {
            // Joined here so that this file does not hold what it forbids.
            let address = format!("{start}.{end}");
            if line.contains(&address) {
                faults.push(format!("{path}:{}: names the package registry {address}", at + 1));
            }
        }
    }
    faults
}

const ADDRESSES: [(&str, &str); 9] = [
    ("crates", "io"),
    ("pypi", "org"),
    ("pythonhosted", "org"),
    ("npmjs", "com"),
    ("npmjs", "org"),
    ("yarnpkg", "com"),
    ("deb.debian", "org"),
    ("security.debian", "org"),
    ("proxy.golang", "org"),
];

/// Every crate must appear in the code map of ARCHITECTURE.md: the section whose heading says so.
pub(super) fn crate_map(paths: &[String], architecture: &str) -> Vec<String> {
    let map = section(architecture, "code map");
    if map.is_empty() {
        return vec!["ARCHITECTURE.md: there is no section with the heading \"Code map\"".to_owned()];
    }
    let is_in_map = |name: &str| map.split(|character: char| !is_word(character)).any(|word| word == name);
    crates(paths)
        .filter(|name| !is_in_map(name))
        .map(|name| format!("ARCHITECTURE.md: the crate {name} is not in the code map"))
        .collect()
}

fn crates(paths: &[String]) -> impl Iterator<Item = &str> {
    paths.iter().filter_map(|path| {
        let directory = path.strip_suffix("/Cargo.toml")?;
        Some(directory.strip_prefix("crates/").unwrap_or(directory)).filter(|name| !name.contains('/'))
    })
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '-' || character == '_'
}

/// The text under the first heading that contains `title`, up to the next heading of its level.
fn section(text: &str, title: &str) -> String {
    let level = |line: &str| line.len() - line.trim_start_matches('#').len();
    let mut lines = text.lines().skip_while(|line| level(line) == 0 || !line.to_lowercase().contains(title));
    let Some(heading) = lines.next() else { return String::new() };
    let ends = |line: &&str| level(line) == 0 || level(line) > level(heading);
    lines.take_while(ends).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_name_of_its_own_fails() {
        assert!(file_name("crates/x/src/a/mod.rs").is_some());
        assert!(file_name("crates/x/src/utils.rs").is_some());
        assert_eq!(file_name("crates/x/src/outbox.rs"), None);
        assert_eq!(file_name("docs/common.md"), None);
    }

    #[test]
    fn an_address_of_a_registry_fails() {
        for (start, end) in ADDRESSES {
            let text = format!("one\nsee https://{start}.{end}/x\n");
            let faults = registry_addresses("README.md", &text);
            assert_eq!(faults.len(), 1, "{text}");
            assert!(faults[0].starts_with("README.md:2:"), "{faults:?}");
            assert!(registry_addresses("Cargo.lock", &text).is_empty());
        }
        assert!(registry_addresses("README.md", "https://mqtt.org").is_empty());
    }

    #[test]
    fn a_crate_missing_from_the_map_fails() {
        let paths =
            ["crates/skein/Cargo.toml", "crates/skein-mqtt/Cargo.toml", "xtask/Cargo.toml", "Cargo.toml"];
        let paths = paths.map(str::to_owned);
        let map = "# Architecture\nskein xtask\n## Code map\n- `skein`: the binary\n- `xtask`\n### More\n- skein-mqtt\n";
        assert_eq!(crate_map(&paths, map), Vec::<String>::new());
        let without = map.replace("skein-mqtt", "skein-mqtt-codec");
        assert_eq!(
            crate_map(&paths, &without),
            ["ARCHITECTURE.md: the crate skein-mqtt is not in the code map"]
        );
        let outside = map.replace("### More", "## More");
        assert_eq!(crate_map(&paths, &outside).len(), 1, "the map ends with its section");
        assert_eq!(crate_map(&paths, "").len(), 1);
    }
}
