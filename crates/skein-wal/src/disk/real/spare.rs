//! File descriptors held back for a store, so that it can open a file when others have taken all the rest.
//!
//! A spare stands for nothing: it is the store's directory opened once more. It is closed just before a file is opened
//! that cannot be opened otherwise, and a file that is closed becomes a spare again in one step (dup3), so that nobody gets
//! between. It does not help where the machine's table of files is full (ENFILE): the log then waits.

use std::{
    fs, io,
    os::fd::OwnedFd,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use rustix::io::{DupFlags, Errno, dup3};

/// Spares that are held: a store has three files open at a time besides its directory, and opens seldom.
const SPARES: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Spares(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    spares: Vec<OwnedFd>,
    /// The directory of the store that they are held for; without one there are none.
    dir: Weak<fs::File>,
}

impl Spares {
    /// Holds spares for the store of this directory as long as that is open.
    pub(super) fn stand_for(&self, dir: &Arc<fs::File>) {
        self.0.lock().dir = Arc::downgrade(dir);
        self.refill();
    }

    /// Opens a file, with a spare when there is no other descriptor.
    pub(super) fn spend<T>(&self, open: impl Fn() -> io::Result<T>) -> io::Result<T> {
        loop {
            match open() {
                // Another thread may be quicker with the one that is set free: then the next one.
                Err(error) if has_no_descriptor(&error) && self.0.lock().spares.pop().is_some() => {}
                Err(error) => return Err(error),
                Ok(opened) => {
                    self.refill();
                    return Ok(opened);
                }
            }
        }
    }

    /// Closes a file, or makes it a spare when one is missing.
    pub(super) fn close(&self, file: fs::File) {
        let mut held = self.0.lock();
        let Some(dir) = held.dir.upgrade() else {
            held.spares.clear();
            return;
        };
        if held.spares.len() < SPARES {
            let mut spare = OwnedFd::from(file);
            if dup3(&dir, &mut spare, DupFlags::CLOEXEC).is_ok() {
                held.spares.push(spare);
            }
        }
    }

    /// Gets back as many spares as there are free descriptors.
    pub(super) fn refill(&self) {
        let mut held = self.0.lock();
        let Some(dir) = held.dir.upgrade() else {
            held.spares.clear();
            return;
        };
        while held.spares.len() < SPARES {
            let Ok(spare) = dir.try_clone() else { return };
            held.spares.push(spare.into());
        }
    }
}

fn has_no_descriptor(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::MFILE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_testkit::TestDirectory;
    use std::cell::Cell;

    fn held(spares: &Spares) -> usize {
        spares.0.lock().spares.len()
    }

    #[test]
    fn a_file_is_opened_with_a_spare_and_is_one_again_when_it_is_closed() {
        let place = TestDirectory::create("spare");
        let dir = Arc::new(fs::File::open(place.path()).unwrap());
        let spares = Spares::default();
        spares.stand_for(&dir);
        assert_eq!(held(&spares), SPARES);
        // Others are quicker twice.
        let refused = Cell::new(2);
        let opened = spares.spend(|| {
            if refused.get() > 0 {
                refused.set(refused.get() - 1);
                return Err(Errno::MFILE.into());
            }
            assert_eq!(held(&spares), SPARES - 2);
            fs::File::create(place.path().join("file"))
        });
        assert_eq!(held(&spares), SPARES, "there are free descriptors again");
        spares.0.lock().spares.truncate(3);
        spares.close(opened.unwrap());
        assert_eq!(held(&spares), 4);
        drop(dir);
        spares.close(fs::File::open(place.path()).unwrap());
        assert_eq!(held(&spares), 0, "nothing is held for a store that is closed");
    }

    #[test]
    fn any_other_refusal_is_passed_on_and_so_is_that_without_spares() {
        let spares = Spares::default();
        for errno in [Errno::NOENT, Errno::MFILE] {
            let refused = spares.spend(|| Err::<(), _>(errno.into())).unwrap_err();
            assert_eq!(Errno::from_io_error(&refused), Some(errno));
        }
    }
}
