//! A directory of a test's own, removed when the test is done with it.
//!
//! It lies under the system's temporary directory and is kept when the test panics, so that logs
//! and configuration can be read afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A fresh directory; dropped, it is removed with everything in it.
#[derive(Debug)]
pub struct TestDirectory {
    path: PathBuf,
}

impl TestDirectory {
    /// Creates a new, empty directory whose name begins with `skein-<label>`.
    #[track_caller]
    pub fn create(label: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("skein-{label}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // A process id comes round again: what an earlier panic left under this name is not ours.
        match fs::remove_dir_all(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => panic!("cannot clear {}: {error}", path.display()),
        }
        fs::create_dir(&path).unwrap_or_else(|error| panic!("cannot create {}: {error}", path.display()));
        Self { path }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file into the directory and returns its path.
    #[track_caller]
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, content).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        path
    }
}

impl Drop for TestDirectory {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // The directory may already be gone; there is nobody left to tell otherwise.
            drop(fs::remove_dir_all(&self.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_with_its_content() {
        let directory = TestDirectory::create("directory");
        let file = directory.write("note", "text");
        assert!(file.exists());
        let path = directory.path().to_path_buf();
        drop(directory);
        assert!(!path.exists());
    }

    #[test]
    fn two_are_never_the_same() {
        let (one, other) = (TestDirectory::create("twin"), TestDirectory::create("twin"));
        assert_ne!(one.path(), other.path());
    }
}
