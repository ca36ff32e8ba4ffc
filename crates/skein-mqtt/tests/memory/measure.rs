//! Measuring the memory of a process that does one thing.

use std::process::{Command, id};

use skein_testkit::memory;

/// Set in the process that measures.
const INSIDE: &str = "SKEIN_MEMORY_TEST";

/// Runs `test`, which is the body of the test `name`, in a process of its own.
#[track_caller]
pub(crate) fn in_own_process(name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let program = std::env::current_exe().unwrap();
    let arguments = ["--exact", name, "--nocapture", "--test-threads=1"];
    let output = Command::new(program).args(arguments).env(INSIDE, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

/// How much the process has grown since it was made.
pub(crate) struct Growth {
    before: u64,
}

impl Growth {
    pub(crate) fn begin() -> Self {
        Self { before: memory(id()).anonymous_bytes }
    }

    #[track_caller]
    pub(crate) fn check(&self, bytes_max: u64) {
        let grown = memory(id()).anonymous_bytes.saturating_sub(self.before);
        assert!(grown <= bytes_max, "it grew by {grown} bytes and may grow by {bytes_max}");
    }
}
