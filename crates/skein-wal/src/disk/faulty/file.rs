//! One open file of the disk in memory.

use std::{io, sync::Arc};

use super::{Failure, Operation, Shared, full, state::State};
use crate::disk::File;

#[derive(Debug)]
pub(super) struct FaultyFile {
    pub(super) shared: Arc<Shared>,
    pub(super) node: usize,
    /// The file is good for one boot of the disk only.
    pub(super) boot: u64,
}

impl FaultyFile {
    fn check_boot(&self, state: &State) -> io::Result<()> {
        if state.boot == self.boot {
            return Ok(());
        }
        Err(io::Error::other("the file was opened before the power was lost"))
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        self.check_boot(&state)?;
        state.syncs_waiting += 1;
        while state.syncs_held > 0 && state.boot == self.boot {
            self.shared.syncs.wait(&mut state);
        }
        state.syncs_waiting -= 1;
        self.check_boot(&state)?;
        if let Err(error) = state.begin(Operation::Sync) {
            if !state.power_is_cut() {
                state.nodes[self.node].forget();
            }
            return Err(error);
        }
        state.nodes[self.node].sync();
        Ok(())
    }

    fn grow(&self, len: u64) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        self.check_boot(&state)?;
        state.begin(Operation::Allocate)?;
        let grown = len.saturating_sub(state.nodes[self.node].seen.len() as u64);
        if !state.has_room(grown) {
            return Err(full());
        }
        state.nodes[self.node].set_len(len as usize);
        Ok(())
    }
}

impl File for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        let state = self.shared.state.lock();
        self.check_boot(&state)?;
        Ok(state.nodes[self.node].seen.len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.shared.state.lock();
        self.check_boot(&state)?;
        state.begin(Operation::Read)?;
        let seen = &state.nodes[self.node].seen;
        let start = (offset as usize).min(seen.len());
        let count = buf.len().min(seen.len() - start);
        buf[..count].copy_from_slice(&seen[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        self.check_boot(&state)?;
        let failure = match state.begin_failing(Operation::Write)? {
            Some(failure) => Some(failure),
            None => {
                let end = offset + bytes.len() as u64;
                let grown = end.saturating_sub(state.nodes[self.node].seen.len() as u64);
                // What fits is written, as file systems do.
                let missing = grown.saturating_sub(state.free());
                (missing > 0).then(|| Failure::ShortFull(bytes.len().saturating_sub(missing as usize)))
            }
        };
        let written = failure.map_or(bytes.len(), |failure| failure.written().min(bytes.len()));
        state.nodes[self.node].write(&bytes[..written], offset as usize);
        failure.map_or(Ok(()), |failure| Err(failure.error()))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        if self.len()? < len { self.grow(len) } else { Ok(()) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.grow(len)
    }
}
