//! Raises the number of files, and so of connections, that this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one, which needs no privilege, and returns the limit in force; none is unlimited.
///
/// The soft limit of 1024 that shells give stands for programs that use select(2), which this one does not.
pub(crate) fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return limit.current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, limit = limit.current, "skein: the limit of open files cannot be raised");
            limit.current
        }
    }
}
