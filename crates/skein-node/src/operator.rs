//! The operator's token of this life of the node, in a file that only the owner of `data.dir` reads.
//!
//! Made at start when HTTP is served, removed at the end. A node that cannot write it runs without: then nobody is the
//! operator, and users are needed.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use skein_access::{OPERATOR_TOKEN_BYTES, OperatorToken};

use crate::private::create_private_directory;

/// The name of the file in `data.dir`.
pub const OPERATOR_FILE: &str = "operator.token";

/// The file and the token in it; the file goes with this value.
#[derive(Debug)]
pub(crate) struct OperatorFile {
    path: PathBuf,
    token: OperatorToken,
}

impl OperatorFile {
    /// A new token, in a file in `dir`.
    pub(crate) fn write(dir: &Path) -> io::Result<Self> {
        let mut random = [0; OPERATOR_TOKEN_BYTES];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let token = OperatorToken::new(random);
        create_private_directory(dir)?;
        let path = dir.join(OPERATOR_FILE);
        // A file of before may be open to others, or a link to elsewhere: it is not written into but replaced.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&path)?.write_all(format!("{}\n", token.text()).as_bytes())?;
        Ok(Self { path, token })
    }

    pub(crate) fn token(&self) -> &OperatorToken {
        &self.token
    }
}

impl Drop for OperatorFile {
    fn drop(&mut self) {
        // Not the file of another node that was given the same directory.
        if fs::read_to_string(&self.path).is_ok_and(|text| self.token.is(text.trim_end())) {
            // One that is left behind opens nothing: the next life has another token.
            drop(fs::remove_file(&self.path));
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
        path::Path,
    };

    use skein_testkit::TestDirectory;

    use super::{OPERATOR_FILE, OperatorFile};

    #[test]
    fn the_token_is_the_owners_alone_and_goes_with_the_node() {
        let directory = TestDirectory::create("operator");
        let data = directory.path().join("new/data");
        let file = OperatorFile::write(&data).unwrap();
        let path = data.join(OPERATOR_FILE);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&data)), (0o600, 0o700));
        assert!(file.token().is(fs::read_to_string(&path).unwrap().trim_end()));
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn what_others_left_there_is_replaced_and_not_written_into() {
        let directory = TestDirectory::create("operator-link");
        let (target, path) = (directory.write("target", "mine"), directory.path().join(OPERATOR_FILE));
        symlink(&target, &path).unwrap();
        let file = OperatorFile::write(directory.path()).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "mine");
        assert!(!fs::symlink_metadata(&path).unwrap().is_symlink());
        let second = OperatorFile::write(directory.path()).unwrap();
        drop(file);
        assert!(second.token().is(fs::read_to_string(&path).unwrap().trim_end()), "it is the second's now");
    }
}
