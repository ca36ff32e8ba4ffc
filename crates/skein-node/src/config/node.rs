//! The sections about the node itself: who it is, where its data are, what it logs.

use std::path::PathBuf;

use super::{
    check::Check,
    section::{Section, section, section_parts},
    setting::choice,
    units::{Bytes, Memory},
};

/// More threads than this help no machine and are a mistake in the number.
const WORKERS_MAX: u16 = 1024;
/// Longest label of a host name (RFC 1035 section 2.3.4).
const NAME_BYTES_MAX: usize = 63;

section! {
    /// The node.
    NodeConfig = "node" {
        /// Number of the node, unique in its cluster; 1 or more.
        id: u16 = 1, Restart;
        /// Name of the node in logs and on the dashboard: letters, digits, `-`, `_` and `.`.
        name: String = "skein-1".to_owned(), Restart;
        /// Weight of the node in a quorum, once there is one.
        qrank: u8 = 1, Restart;
        /// Threads that serve connections; 0 means one for each core.
        workers: u16 = 0, Restart;
    }
}

section! {
    /// What the node keeps on disk.
    DataConfig = "data" {
        /// Directory of everything the node stores.
        dir: PathBuf = PathBuf::from("data"), Restart;
        /// When the log is synced to the disk: before each acknowledgement, or ten times a second.
        sync: DataSync = DataSync::Always, Restart;
        /// Memory for what is kept; above it new messages, sessions and subscriptions are refused. 0 means no limit.
        memory_bytes_max: Memory = Memory::Percent(35), Restart;
        /// Size of the log after which a new snapshot is written; a starting node reads the snapshot and the log after it.
        snapshot_log_bytes: Bytes = Bytes(256 << 20), Restart;
    }
}

choice! {
    /// When the log is brought to the disk.
    DataSync {
        /// Before anything is acknowledged: nothing acknowledged is lost when the machine fails.
        Always = "always",
        /// Several times a second: nothing is lost when the process fails, the last moments when the machine does.
        Interval = "interval",
    }
}

section! {
    /// What the node writes about itself.
    LogConfig = "log" {
        /// Least severe messages that are logged.
        level: LogLevel = LogLevel::Info, Reload;
        /// Format of log messages: lines of text, or JSON.
        format: LogFormat = LogFormat::Text, Restart;
    }
}

choice! {
    /// How important a message must be to be written.
    LogLevel {
        /// Something failed and somebody must look.
        Error = "error",
        /// Something is not as it should be.
        Warn = "warn",
        /// What an operator wants to know.
        Info = "info",
        /// What helps to find a fault.
        Debug = "debug",
        /// Every step.
        Trace = "trace",
    }
}

choice! {
    /// The form of log messages.
    LogFormat {
        /// One line of text.
        Text = "text",
        /// One JSON object in a line.
        Json = "json",
    }
}

impl Section for NodeConfig {
    section_parts!("node");

    fn validate(&self, _path: &str, check: &mut Check<'_>) {
        if self.id == 0 {
            check.fault("node.id", "is 0, which stands for no node; write 1 or more");
        }
        if self.workers > WORKERS_MAX {
            check.fault("node.workers", format!("is {}; write at most {WORKERS_MAX}, or 0", self.workers));
        }
        let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let starts_well = self.name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !starts_well || !self.name.bytes().all(is_usual) || self.name.len() > NAME_BYTES_MAX {
            let rule = "a name starts with a letter or digit, goes on with letters, digits, -, _ and .";
            check.fault(
                "node.name",
                format!("is {:?}; {rule}, and has at most {NAME_BYTES_MAX} of them", self.name),
            );
        }
    }
}

impl Section for DataConfig {
    section_parts!("data");

    fn validate(&self, _path: &str, _check: &mut Check<'_>) {}
}

impl Section for LogConfig {
    section_parts!("log");

    fn validate(&self, _path: &str, _check: &mut Check<'_>) {}
}
