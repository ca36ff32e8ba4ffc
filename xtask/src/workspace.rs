//! Where the workspace is and which files belong to it. Everything else asks here for paths.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The checkout this program was built from.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    pub(crate) fn find() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest.parent().context("xtask lies one directory below the workspace")?;
        ensure!(
            root.join("Cargo.toml").exists(),
            "the workspace is no longer at {}: it was moved after xtask was built. Run `cargo clean -p xtask`.",
            root.display()
        );
        Ok(Self { root: root.to_path_buf() })
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// A command that starts in the workspace's root.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    /// The cargo that runs this program.
    pub(crate) fn cargo(&self) -> Command {
        let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        self.command(&program)
    }

    /// Files under version control, or new and not ignored, relative to the root.
    pub(crate) fn files(&self) -> Result<Vec<String>> {
        let mut command = self.command("git");
        command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let output = command.output().context("cannot start git, which lists the files of the tree")?;
        ensure!(
            output.status.success(),
            "git cannot list the files of {}: {}",
            self.root.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let listed = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
        let present = |name: &&str| !name.is_empty() && self.root.join(name).is_file();
        Ok(listed.split('\0').filter(present).map(str::to_owned).collect())
    }

    /// What `cargo metadata` says about the workspace's own crates.
    pub(crate) fn metadata(&self) -> Result<serde_json::Value> {
        let mut command = self.cargo();
        command.args(["metadata", "--no-deps", "--format-version", "1", "--offline"]);
        Self::metadata_from(command)
    }

    /// What `cargo metadata` says about all crates that are built for any of the targets.
    pub(crate) fn metadata_of_all(&self, targets: &[String]) -> Result<serde_json::Value> {
        let mut command = self.cargo();
        command.args(["metadata", "--format-version", "1", "--locked"]);
        for target in targets {
            command.args(["--filter-platform", target]);
        }
        Self::metadata_from(command)
    }

    /// What `cargo tree` prints of all that is built for a target without tests, a package a line.
    pub(crate) fn tree(&self, target: &str) -> Result<String> {
        let mut command = self.cargo();
        command.args(["tree", "--workspace", "--locked", "--edges", "normal,build", "--prefix", "none"]);
        let output = command.args(["--target", target]).output().context("cannot start cargo")?;
        ensure!(
            output.status.success(),
            "cargo tree failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        String::from_utf8(output.stdout).context("cargo tree wrote something else than UTF-8")
    }

    fn metadata_from(mut command: Command) -> Result<serde_json::Value> {
        let output = command.output().context("cannot start cargo")?;
        ensure!(
            output.status.success(),
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        serde_json::from_slice(&output.stdout).context("cargo metadata wrote something else than JSON")
    }
}
