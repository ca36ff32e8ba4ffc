//! Commits that wait together, and their answers.
//!
//! Waking a thread costs more than carrying its commit out, and the log thread would wake as many as a group has
//! commits, one after the other, before it may write the next group. So a commit group has one place for all its answers, and the
//! system wakes everybody who sleeps there by one call. A commit group is taken as a whole: commits that may not be carried out
//! together (those made under different turns) never share one. `queue.rs` fills commit groups, the log thread answers them.

use crate::commit::Commit;
use crate::engine::Verdict;
use crate::error::CommitError;
use std::sync::{Arc, OnceLock};

pub(crate) type CommitAnswer = Result<(u64, Verdict), CommitError>;

#[derive(Debug)]
pub(crate) struct CommitGroup {
    pub(crate) commits: Vec<Commit>,
    pub(crate) answers: Arc<Answers>,
    pub(super) turn: u64,
    pub(super) writes: usize,
    pub(super) bytes: u64,
    pub(super) grown: u64,
}

/// How the commits of a commit group ended, once it is known.
#[derive(Debug, Default)]
pub(crate) struct Answers(OnceLock<Result<GroupVerdicts, String>>);

/// The index of the first commit, and the verdicts of all.
#[derive(Debug)]
struct GroupVerdicts {
    first: u64,
    verdicts: Vec<Verdict>,
}

/// The place of one commit in its commit group.
#[derive(Debug)]
pub(super) struct Ticket {
    answers: Arc<Answers>,
    place: usize,
}

impl CommitGroup {
    pub(super) fn new(turn: u64) -> CommitGroup {
        CommitGroup { commits: Vec::new(), answers: Arc::default(), turn, writes: 0, bytes: 0, grown: 0 }
    }

    pub(super) fn join(&mut self, commit: Commit, bytes: u64, grown: u64) -> Ticket {
        let place = self.commits.len();
        self.writes += commit.writes.len();
        self.bytes += bytes;
        self.grown += grown;
        self.commits.push(commit);
        Ticket { answers: Arc::clone(&self.answers), place }
    }
}

impl Answers {
    /// The commits were carried out with these verdicts, the first at this index.
    pub(crate) fn ended(&self, first: u64, verdicts: Vec<Verdict>) {
        self.answer(Ok(GroupVerdicts { first, verdicts }));
    }

    pub(crate) fn refuse(&self, why: &str) {
        self.answer(Err(why.to_owned()));
    }

    fn answer(&self, answer: Result<GroupVerdicts, String>) {
        assert!(self.0.set(answer).is_ok(), "a commit group is answered once, by the log thread");
    }
}

impl Ticket {
    pub(super) fn wait(self) -> CommitAnswer {
        let GroupVerdicts { first, verdicts } = match self.answers.0.wait() {
            Ok(ended) => ended,
            Err(why) => return Err(CommitError::Stopped { why: why.clone() }),
        };
        let verdict = verdicts.get(self.place).expect("every commit of a commit group has a verdict");
        Ok((first + self.place as u64, verdict.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::ClassId;

    fn commit_group(commits: usize) -> (CommitGroup, Vec<Ticket>) {
        let mut commit_group = CommitGroup::new(0);
        let tickets = (0..commits).map(|_| commit_group.join(Commit::default(), 10, 1)).collect();
        (commit_group, tickets)
    }

    #[test]
    fn each_commit_is_answered_with_its_own_index_and_verdict() {
        let (commit_group, tickets) = commit_group(3);
        assert_eq!((commit_group.bytes, commit_group.grown, commit_group.commits.len()), (30, 3, 3));
        let duplicate = Verdict::Duplicate { class: ClassId(7), index: None };
        let expected = [Verdict::Committed, duplicate, Verdict::Committed];
        let verdicts = expected.to_vec();
        std::thread::scope(|scope| {
            let waiting: Vec<_> =
                tickets.into_iter().map(|ticket| scope.spawn(|| ticket.wait().unwrap())).collect();
            commit_group.answers.ended(40, verdicts);
            for (waiting, (index, verdict)) in waiting.into_iter().zip((40..).zip(expected)) {
                assert_eq!(waiting.join().unwrap(), (index, verdict));
            }
        });
    }

    #[test]
    fn a_round_that_is_refused_tells_everybody_why() {
        let (commit_group, tickets) = commit_group(2);
        commit_group.answers.refuse("the disk is gone");
        for ticket in tickets {
            assert!(ticket.wait().unwrap_err().to_string().contains("the disk is gone"));
        }
    }
}
