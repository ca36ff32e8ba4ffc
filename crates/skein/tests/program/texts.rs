//! What the program says about itself, and the files that are shipped with it.

use std::path::{Path, PathBuf};

use skein_testkit::TestDirectory;

use crate::node::{run, skein, succeeds};

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist").join(name)
}

#[test]
fn version_and_help() {
    let version = succeeds(skein().arg("--version")).out;
    assert_eq!(version, format!("skein {}\n", env!("CARGO_PKG_VERSION")));
    let help = succeeds(skein().arg("--help")).out;
    for command in [
        "serve",
        "check-config",
        "status",
        "sessions",
        "retained",
        "queue",
        "pub",
        "sub",
        "user",
        "store",
        "bench",
        "compat",
        "nodes",
        "drain",
        "dev",
    ] {
        assert!(
            help.lines().any(|line| line.trim_start().starts_with(&format!("{command} "))),
            "{command}: {help}"
        );
        succeeds(skein().args([command, "--help"]));
    }
    let (_, examples) = help.split_once("Examples:\n").unwrap();
    assert_eq!(examples.lines().count(), 4);
    assert!(succeeds(skein().args(["bench", "mqtt", "pairs", "--help"])).out.contains("--pairs"));
}

#[test]
fn wrong_commands_and_flags_are_refused_with_advice() {
    for (arguments, part) in [
        (&["serv"][..], "'serve'"),
        (&["--mqtt.listn", "127.0.0.1:1"], "did you mean --mqtt.listen?"),
        (&["--mqtt.listen"], "write --mqtt.listen VALUE"),
        (&["--mqtt.listen", "off", "status"], "which this command does not read"),
    ] {
        let finished = run(skein().args(arguments));
        assert_eq!((finished.code, &*finished.out), (Some(2), ""), "{arguments:?}");
        assert!(finished.err.contains(part), "{part}: {}", finished.err);
    }
}

#[test]
fn check_config_shows_every_fault_or_ok() {
    let directory = TestDirectory::create("check");
    let file = directory.write("skein.toml", "[node]\nid = 1\n[mqtt]\nmaximum_qos = 7\nlistn = \"off\"\n");
    let check =
        |file: &Path, more: &[&str]| run(skein().args(["check-config", "--config"]).arg(file).args(more));
    let finished = check(&file, &["--log.level", "loud"]);
    assert_eq!((finished.code, &*finished.out), (Some(1), ""));
    let file = file.display();
    for part in [format!("{file}:5:1: there is no key mqtt.listn"), "--log.level: ".to_owned()] {
        assert!(finished.err.contains(&part), "{part}: {}", finished.err);
    }
    assert_eq!(check(Path::new("no/such.toml"), &[]).code, Some(1));
    let text = "[[mqtt.listeners]]\nname = \"field\"\nlisten = \"127.0.0.1:1884\"\nmaximum_qos = 1\n";
    let file = directory.write("good.toml", text);
    assert_eq!(check(&file, &[]).out, "ok\n");
    let printed = check(&file, &["--print"]).out;
    assert!(printed.contains("[[mqtt.listeners]]\nname = \"field\""), "{printed}");
    // What is printed is the same configuration.
    let again = directory.write("again.toml", &printed);
    assert_eq!(check(&again, &["--print"]).out, printed);
}

#[test]
fn the_example_configuration_has_every_key_with_its_default() {
    let text = std::fs::read_to_string(shipped("skein.toml")).unwrap();
    let directory = TestDirectory::create("example");
    let check = |text: &str| {
        let file = directory.write("skein.toml", text);
        succeeds(skein().args(["check-config", "--print", "--config"]).arg(file)).out
    };
    let defaults = succeeds(skein().args(["check-config", "--print"])).out;
    assert_eq!(check(&text), defaults, "as it is shipped, it changes nothing");
    // Settings are commented out without a space, prose has one.
    let setting =
        |line| str::strip_prefix(line, "#").filter(|rest| !rest.is_empty() && !rest.starts_with(' '));
    let lines = text.lines().map(|line| setting(line).unwrap_or(line));
    let settings = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(check(&settings), defaults);
    for line in defaults.lines().filter(|line| !line.is_empty()) {
        assert!(settings.lines().any(|found| found == line), "{line} is missing");
    }
}

#[test]
fn the_service_file_starts_the_program_as_it_is() {
    let unit = std::fs::read_to_string(shipped("skein.service")).unwrap();
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let mut words = start.split_whitespace();
    assert_eq!(words.next(), Some("/usr/bin/skein"));
    // The same arguments, checked instead of served.
    let arguments: Vec<&str> = words
        .map(|word| match word {
            "serve" => "check-config",
            "/etc/skein/skein.toml" => concat!(env!("CARGO_MANIFEST_DIR"), "/../../dist/skein.toml"),
            other => other,
        })
        .collect();
    assert!(arguments.contains(&"check-config"), "{start}");
    assert_eq!(succeeds(skein().args(arguments)).out, "ok\n");
    for line in [
        "DynamicUser=yes",
        "LimitNOFILE=",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "StateDirectory=skein",
        "StateDirectoryMode=0700",
        "UMask=0077",
    ] {
        assert!(unit.lines().any(|found| found.starts_with(line)), "{line}");
    }
    // `+` and `!` before a command give it root's rights; in a directory of the service it would follow the service's links.
    let as_root = |line: &&str| {
        let command = line.strip_prefix("Exec").and_then(|line| line.split_once('='));
        command.is_some_and(|(_, command)| {
            command.chars().take_while(|letter| "@-:+!".contains(*letter)).any(|letter| "+!".contains(letter))
        })
    };
    assert_eq!(unit.lines().find(as_root), None);
}
