//! Files that others on the machine must not read: made so, and looked at when the node starts.
//!
//! What is kept has passwords' hashes and messages in it. Nothing that is there already is changed, because an operator may
//! have meant it; it is warned of.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use crate::config::Config;

/// Bits of a mode that give something to a group or to everybody.
const NOT_THE_OWNER: u32 = 0o077;
/// Bits of a mode that give something to everybody.
const EVERYBODY: u32 = 0o007;
/// Names in one warning.
const SHOWN_MAX: usize = 5;

/// Makes a directory and those above it, for its owner alone; one that exists is left as it is.
///
/// # Errors
/// That of the file system.
pub fn create_private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes an empty file, or empties it, which its owner alone can read.
pub(crate) fn create_private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Warns of what the configuration names and others can read.
pub(crate) fn warn_of_open_files(config: &Config) {
    let dir = &config.data.dir;
    let open = open_below(dir);
    if !open.is_empty() {
        let shown = open.iter().take(SHOWN_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = open.len().saturating_sub(SHOWN_MAX);
        let dir = dir.display();
        tracing::warn!(
            more,
            "data: others on this machine can read what the node keeps: {shown}. Run `chmod -R go= {dir}`"
        );
    }
    let files = [
        ("access.file", &config.access.file),
        ("tls.key", &config.tls.key),
        ("cluster.secret_file", &config.cluster.secret_file),
        ("cluster.registry_file", &config.cluster.registry_file),
    ];
    for (key, file) in files {
        let open =
            file.as_ref().and_then(|file| mode_with(file, EVERYBODY).map(|mode| (file.display(), mode)));
        if let Some((file, mode)) = open {
            tracing::warn!(
                "{key}: everybody on this machine can read {file} ({mode:04o}). Run `chmod o= {file}`"
            );
        }
    }
}

/// A directory that others can enter, and what in it they can read; nothing of one that is closed.
fn open_below(dir: &Path) -> Vec<String> {
    let mut open = Vec::new();
    let Some(mode) = mode_with(dir, NOT_THE_OWNER) else { return open };
    open.push(format!("{} ({mode:04o})", dir.display()));
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    for path in entries.map(|entry| entry.path()) {
        // A link is not followed: it leads to what is not the node's.
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if found.is_dir() {
            open.extend(open_below(&path));
        } else if found.is_file() && found.permissions().mode() & NOT_THE_OWNER != 0 {
            open.push(format!("{} ({:04o})", path.display(), found.permissions().mode() & 0o7777));
        }
    }
    open
}

/// The mode of what is there, if it has one of these bits.
fn mode_with(path: &Path, bits: u32) -> Option<u32> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    (mode & bits != 0).then_some(mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_testkit::TestDirectory;

    #[test]
    fn what_is_made_is_private_and_what_is_open_is_found() {
        let place = TestDirectory::create("private");
        let (data, store) = (place.path().join("data"), place.path().join("data/store"));
        create_private_directory(&store).unwrap();
        let (own, log) = (data.join("incarnation"), store.join("log"));
        drop((create_private_file(&own).unwrap(), create_private_file(&log).unwrap()));
        assert_eq!(open_below(&data), [""; 0]);
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        set(&log, 0o644);
        assert_eq!(open_below(&data), [""; 0], "nobody gets there");
        set(&data, 0o750);
        assert_eq!(open_below(&data), [format!("{} (0750)", data.display())]);
        set(&store, 0o755);
        let (store, log) = (format!("{} (0755)", store.display()), format!("{} (0644)", log.display()));
        assert_eq!(open_below(&data), [format!("{} (0750)", data.display()), store, log]);
        std::os::unix::fs::symlink("/", data.join("elsewhere")).unwrap();
        assert_eq!(open_below(&data).len(), 3, "links are not followed");
        assert_eq!(open_below(Path::new("no/such")), [""; 0]);
    }
}
