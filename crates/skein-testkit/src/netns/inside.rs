//! Work of the test itself on one of the hosts: a thread that moves there, does it and ends.
//!
//! A socket stays on the host on which it was made, whoever uses it later, so a test can open a client there and
//! keep it.

use std::fs::File;
use std::os::fd::AsFd;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::Host;

impl Host {
    /// Runs `work` on this host and gives back what it returns; a panic in it goes on in the caller.
    #[track_caller]
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.namespace);
        let namespace = File::open(&path).unwrap_or_else(|error| panic!("cannot open {path}: {error}"));
        // Only the one thread moves, and it ends with the work: no other is ever on a wrong host.
        let outcome = thread::scope(|scope| {
            let inside = scope.spawn(move || {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .unwrap_or_else(|error| panic!("cannot enter {path}: {error}"));
                work()
            });
            inside.join()
        });
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
