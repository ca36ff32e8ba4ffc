//! `skein user`: the file it makes, and what a node makes of it.

use std::{fs, os::unix::fs::PermissionsExt};

use skein_testkit::TestDirectory;

use crate::node::{Node, run, user};

#[test]
fn users_that_are_added_can_log_in_after_a_reload() {
    let directory = TestDirectory::create("user");
    let file = directory.path().join("access.toml");
    let added = user(&file, &["add", "ada", "--role", "ops", "--role", "dev"], "lovelace");
    assert_eq!(added.code, Some(0), "{}", added.err);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let node = Node::start_in(directory, &["--access.file", "access.toml", "--access.anonymous", "false"]);
    let login = |name: &str, password: &str| {
        run(&mut node.client("pub", &["-t", "a", "-n", "-q", "1", "-u", name, "-P", password])).code
    };
    assert_eq!(login("ada", "lovelace"), Some(0));
    assert_eq!(login("bob", "ross"), Some(1));

    assert_eq!(user(&file, &["add", "bob", "--scram"], "ross").code, Some(0));
    assert_eq!(user(&file, &["passwd", "ada"], "byron").code, Some(0));
    let listed = user(&file, &["list"], "");
    assert_eq!((listed.code, &*listed.out), (Some(0), "ada\targon2id\tops,dev\nbob\tscram\n"));
    node.reload();
    assert_eq!(login("bob", "ross"), Some(0));
    assert_eq!((login("ada", "lovelace"), login("ada", "byron")), (Some(1), Some(0)));

    assert_eq!(user(&file, &["remove", "bob"], "").code, Some(0));
    node.reload();
    assert_eq!(login("bob", "ross"), Some(1));
    assert!(!fs::read_to_string(&file).unwrap().contains("bob"));
}

#[test]
fn what_cannot_be_done_is_said_and_changes_nothing() {
    let directory = TestDirectory::create("user-faults");
    let file = directory.path().join("access.toml");
    let refused = |arguments: &[&str], password: &str, part: &str| {
        let finished = user(&file, arguments, password);
        assert_eq!((finished.code, &*finished.out), (Some(1), ""), "{arguments:?}");
        assert!(finished.err.contains(part), "{part}: {}", finished.err);
    };
    refused(&["list"], "", "cannot read");
    refused(&["passwd", "ada"], "x", "make it with `skein user add`");
    refused(&["add", "ada"], "", "the password is empty");
    assert!(!file.exists());
    assert_eq!(user(&file, &["add", "ada"], "lovelace").code, Some(0));
    let before = fs::read_to_string(&file).unwrap();
    assert!(!before.contains("lovelace"));
    refused(&["add", "ada"], "x", "user \"ada\" exists");
    refused(&["remove", "bob"], "", "there is no user \"bob\"");
    refused(&["passwd", "bob"], "x", "there is no user \"bob\"");
    refused(&["passwd", "ada"], "", "the password is empty");
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
}
