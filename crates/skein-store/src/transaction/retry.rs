//! Trying a transaction again when it conflicts.
//!
//! After a bounded number of attempts the last one is made in an exclusive transaction, which cannot conflict: progress
//! is certain and needs neither a clock nor chance.

use super::{Isolation, Mode, Outcome, Transaction};
use crate::error::{CommitError, StatementError};
use crate::store::Store;

/// Attempts beside others before the exclusive one.
const ATTEMPTS_SHARED_MAX: u32 = 16;

/// What a transaction that was committed in the end gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transacted<R> {
    /// What the closure returned.
    pub value: R,
    /// The commit's place in the log.
    pub index: u64,
    /// How many attempts it took.
    pub attempts: u32,
}

/// Why a transaction was not committed.
#[derive(Debug, thiserror::Error)]
pub enum TransactError<E> {
    /// The closure gave up; everything it wrote is forgotten.
    #[error("the transaction was given up")]
    GivenUp(#[source] E),
    /// The outcome is one that trying again does not change.
    #[error("the transaction was refused: {0:?}")]
    Refused(Outcome),
    /// The store could not take the commit.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Store {
    /// Runs the closure in a read-write transaction and commits it, again from the beginning when it conflicts. The
    /// closure must therefore do nothing that cannot be done twice.
    ///
    /// # Errors
    /// The closure's own error, an outcome other than a conflict, or the store takes no commits.
    pub fn transact<R, E: From<StatementError>>(
        &self,
        isolation: Isolation,
        mut run: impl FnMut(&mut Transaction) -> Result<R, E>,
    ) -> Result<Transacted<R>, TransactError<E>> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let mode = if attempts <= ATTEMPTS_SHARED_MAX { Mode::ReadWrite } else { Mode::Exclusive };
            let mut transaction = self.begin(mode, isolation);
            let value = run(&mut transaction).map_err(TransactError::GivenUp)?;
            match transaction.commit()? {
                Outcome::Committed { index } => return Ok(Transacted { value, index, attempts }),
                Outcome::Conflict { .. } if mode == Mode::ReadWrite => {}
                refused => return Err(TransactError::Refused(refused)),
            }
        }
    }
}
