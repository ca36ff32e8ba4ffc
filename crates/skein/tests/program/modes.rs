//! Who may read what a node keeps: its owner alone, and a node says so where it is otherwise.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use skein_testkit::TestDirectory;

use crate::node::{Node, skein, succeeds, user};

#[test]
fn a_secret_on_the_command_line_is_warned_of_and_one_in_a_file_is_not() {
    let (listen, secret) = (skein_testkit::free_address().to_string(), "correct horse battery");
    let node = Node::start(&["--cluster.listen", &listen, "--cluster.secret", secret]);
    let line = node.server.wait_for_line("everybody on this machine can read the secret in --cluster.secret");
    assert!(line.contains("set cluster.secret_file"), "{line}");
    assert!(!node.server.lines().iter().any(|line| line.contains(secret)));
    drop(node);
    let directory = TestDirectory::create("modes");
    set_mode(&directory.write("secret", secret), 0o644);
    let node = Node::start_in(directory, &["--cluster.listen", &listen, "--cluster.secret_file", "secret"]);
    node.server.wait_for_line("cluster.secret_file: everybody on this machine can read secret (0644)");
    assert!(!node.server.lines().iter().any(|line| line.contains("the secret in")));
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Everything in a directory, and itself.
fn all_below(path: &Path) -> Vec<PathBuf> {
    let mut all = vec![path.to_owned()];
    if path.is_dir() {
        all.extend(fs::read_dir(path).unwrap().flat_map(|entry| all_below(&entry.unwrap().path())));
    }
    all
}

fn assert_private(data: &Path) {
    let all = all_below(data);
    assert!(all.len() >= 4, "{all:?}");
    for path in all {
        let expect = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), expect, "{}", path.display());
    }
}

#[test]
fn data_that_is_kept_or_restored_is_for_its_owner_alone() {
    let mut node = Node::start(&["--cluster.listen", &skein_testkit::free_address().to_string()]);
    node.publish(&["-t", "state", "-m", "on", "-q", "1", "-r"]);
    node.server.kill();
    let data = node.directory.path().join("data");
    assert!(data.join("incarnation").exists());
    assert_private(&data);
    let dump = succeeds(skein().args(["store", "dump", "--data.dir"]).arg(&data)).out;
    let text = node.directory.write("dump", dump);
    let restored = node.directory.path().join("new/data");
    succeeds(skein().args(["store", "restore", "--data.dir"]).arg(&restored).arg(&text));
    assert_private(&restored);
}

#[test]
fn a_node_warns_of_files_that_others_can_read() {
    let directory = TestDirectory::create("modes");
    let access = directory.path().join("access.toml");
    assert_eq!(user(&access, &["add", "ada"], "lovelace").code, Some(0));
    assert_eq!(mode(&access), 0o600);
    set_mode(&access, 0o644);
    let data = directory.path().join("data");
    fs::create_dir(&data).unwrap();
    set_mode(&data, 0o755);
    let node = Node::start_in(directory, &["--access.file", "access.toml"]);
    node.server.wait_for_line(
        "others on this machine can read what the node keeps: data (0755). Run `chmod -R go= data`",
    );
    node.server.wait_for_line("access.file: everybody on this machine can read access.toml (0644)");
    let fixed = Command::new("chmod").args(["-R", "go=", "."]).current_dir(node.directory.path()).status();
    assert!(fixed.unwrap().success());
    let Node { mut server, directory, .. } = node;
    server.kill();
    let node = Node::start_in(directory, &["--access.file", "access.toml"]);
    assert!(!node.server.lines().iter().any(|line| line.contains("can read")), "{:?}", node.server.lines());
}
