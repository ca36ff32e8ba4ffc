//! Reading and writing the access file: the access control itself (`skein-access`) touches no file.
//!
//! Called at start, on reload and by the commands that edit users; never on the path of a message.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Reads the text of an access file.
///
/// # Errors
/// That of the file system, or `InvalidData` when the file is not UTF-8.
pub fn read_access_file(path: &Path) -> io::Result<String> {
    fs::read_to_string(path)
}

/// Replaces the file at `path` by `text`, so that a reader or a crash finds either the old text or the new one.
///
/// A new file can be read by its owner only, since it holds password hashes; made by an administrator it belongs to whom
/// its directory belongs to, so that a server reads the file that is made for it. An existing one keeps its owner and
/// permissions. A symbolic link stays one: the file behind it is replaced.
///
/// # Errors
/// That of the file system. The old file is then untouched.
pub fn write_file_atomically(path: &Path, text: &str) -> io::Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_not_there_yet| path.to_path_buf());
    refuse_foreign_link(path, &target)?;
    let temporary = temporary_beside(&target)?;
    let written = write_and_rename(&temporary, &target, text);
    if written.is_err() {
        // The failure that is reported is the first one; a file left behind does no harm.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// A link that another user made, such as a server that was broken into, must not lead an administrator's hand to a file that
/// this user cannot write.
fn refuse_foreign_link(path: &Path, target: &Path) -> io::Result<()> {
    let Ok(link) = fs::symlink_metadata(path) else { return Ok(()) };
    if !link.is_symlink() || link.uid() == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    if fs::metadata(target).is_ok_and(|target| target.uid() != link.uid()) {
        let why = "it is a link that another user made to a file of somebody else; name the file itself";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(())
}

fn write_and_rename(temporary: &Path, target: &Path, text: &str) -> io::Result<()> {
    let mut file = create_private(temporary)?;
    match fs::metadata(target) {
        Ok(existing) => {
            keep_owner(&file, &existing)?;
            file.set_permissions(existing.permissions())?;
        }
        // Who is no administrator cannot give files away, and need not: the directory is of the same user or of a group.
        Err(_not_there_yet) => drop(keep_owner(&file, &fs::metadata(directory_of(target))?)),
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(temporary, target)?;
    sync_directory_of(target)
}

fn temporary_beside(target: &Path) -> io::Result<PathBuf> {
    let name =
        target.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no file name"))?;
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{:016x}.tmp", u64::from_le_bytes(random)));
    Ok(target.with_file_name(temporary))
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// An administrator who edits the file of a server must not take it away from the server.
#[cfg(unix)]
fn keep_owner(file: &File, existing: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::fchown;
    let own = file.metadata()?;
    if (own.uid(), own.gid()) == (existing.uid(), existing.gid()) {
        return Ok(());
    }
    fchown(file, Some(existing.uid()), Some(existing.gid()))
}

#[cfg(not(unix))]
fn keep_owner(_file: &File, _existing: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

/// Makes the rename itself last (fsync(2): the directory entry needs a sync of its own).
fn sync_directory_of(target: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    File::open(directory_of(target))?.sync_all()
}

fn directory_of(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty_directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("skein-access-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_file_is_made_replaced_and_nothing_else_is_left() {
        let directory = empty_directory("write");
        let path = directory.join("access.toml");
        write_file_atomically(&path, "one").unwrap();
        assert_eq!(read_access_file(&path).unwrap(), "one");
        write_file_atomically(&path, "two").unwrap();
        assert_eq!(read_access_file(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        assert!(write_file_atomically(&directory.join("missing/access.toml"), "x").is_err());
        fs::remove_dir_all(&directory).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn owner_permissions_and_links_stay() {
        use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
        let directory = empty_directory("modes");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (path, link) = (directory.join("access.toml"), directory.join("link.toml"));
        write_file_atomically(&path, "one").unwrap();
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&path, &link).unwrap();
        write_file_atomically(&link, "two").unwrap();
        assert_eq!((mode(&path), read_access_file(&path).unwrap().as_str()), (0o640, "two"));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        // Only an administrator can give a file away, so only then is there something to see.
        if chown(&path, Some(12_345), Some(12_345)).is_ok() {
            write_file_atomically(&path, "three").unwrap();
            let found = fs::metadata(&path).unwrap();
            assert_eq!((found.uid(), found.gid(), mode(&path)), (12_345, 12_345, 0o640));
            // The directory of a server: what an administrator makes there is the server's, by the open file and not by
            // a name that the server could make a link of.
            chown(&directory, Some(12_345), Some(12_346)).unwrap();
            let made = directory.join("made.toml");
            write_file_atomically(&made, "one").unwrap();
            let found = fs::metadata(&made).unwrap();
            assert_eq!((found.uid(), found.gid(), mode(&made)), (12_345, 12_346, 0o600));
            // A link of the server's that leads to a file of somebody else.
            chown(&path, Some(0), Some(0)).unwrap();
            lchown(&link, Some(12_345), Some(12_345)).unwrap();
            let refused = write_file_atomically(&link, "four").unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{refused}");
            assert_eq!(read_access_file(&path).unwrap(), "three");
        }
        fs::remove_dir_all(&directory).unwrap();
    }
}
