//! The way to a password check: who is known goes past, the others wait for one of a few places, in order and not for ever.
//!
//! Every door has a gate. A check takes a core for tens of milliseconds, so a gate lets few be made at once; who waits is in
//! a queue with a bound in all and for each address, and leaves it by dropping its ticket: the client is gone, or its time
//! is over. Passwords that were right before are answered without the queue, so strangers never stand before them; and
//! addresses that failed too often wait outside of it (`throttle.rs`).
//!
//! Nothing here waits, blocks or reads a clock but [`PasswordTicket::check`], which a door calls where blocking is allowed.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::IpAddr,
    sync::Arc,
    task::Waker,
};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use skein_types::{Code, Moment};

use super::{Access, Authenticated, throttle::Guess};

/// Clients that wait for a check at most, at one door: some ten seconds of work.
const WAITING_MAX: usize = 1024;
/// Clients of one address among them.
const WAITING_PER_ADDRESS_MAX: usize = WAITING_MAX / 4;

/// The gate of one door.
pub struct PasswordGate {
    access: Arc<Access>,
    checks_max: usize,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// Tickets whose check is made or may begin.
    running: usize,
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
    per_address: HashMap<IpAddr, usize, RandomState>,
}

struct Waiting {
    address: IpAddr,
    waker: Option<Waker>,
}

/// What a client that sent a password has to do.
#[derive(Debug)]
pub enum Entered {
    /// Nothing: the password is known to be right.
    Known(Authenticated),
    /// Wait for its turn.
    Waiting(PasswordTicket),
}

/// A client's claim on a check. Dropped, it leaves the queue or gives its place to the next.
pub struct PasswordTicket {
    gate: Arc<PasswordGate>,
    user: Box<str>,
    password: Box<[u8]>,
    address: IpAddr,
    deadline: Moment,
    state: State,
    guess: Option<Guess>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Queued(u64),
    /// Outside of the queue until then.
    Delayed(Moment),
    /// Has one of the places.
    Running,
}

/// How far a ticket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Check it.
    Now,
    /// It is in the queue; the waker is called.
    Queued,
    /// Ask again at this moment: its address has failed too often.
    At(Moment),
    /// Not in time.
    Refused(Code),
}

impl PasswordGate {
    /// A gate that lets `checks_max` checks be made at once.
    #[must_use]
    pub fn new(access: Arc<Access>, checks_max: usize) -> Arc<Self> {
        Arc::new(Self { access, checks_max: checks_max.max(1), queue: Mutex::default() })
    }

    /// Takes a password that a client at `address` sent, which waits until `deadline` at most.
    ///
    /// # Errors
    /// [`Code::ServerBusy`] when too many wait already.
    pub fn enter(
        self: &Arc<Self>,
        user: &str,
        password: &[u8],
        address: IpAddr,
        deadline: Moment,
    ) -> Result<Entered, Code> {
        if let Some(proof) = self.access.known_password(user, password) {
            return Ok(Entered::Known(proof));
        }
        let id = self.queue.lock().join(address).ok_or(Code::ServerBusy)?;
        Ok(Entered::Waiting(PasswordTicket {
            gate: self.clone(),
            user: user.into(),
            password: password.into(),
            address,
            deadline,
            state: State::Queued(id),
            guess: None,
        }))
    }

    /// Clients that wait, and checks that are made.
    #[must_use]
    pub fn figures(&self) -> (usize, usize) {
        let queue = self.queue.lock();
        (queue.waiting.len(), queue.running)
    }
}

impl PasswordTicket {
    /// Whether its turn has come; if not, `waker` is called when it is worth to ask again.
    pub fn poll_turn(&mut self, waker: &Waker, now: Moment) -> Progress {
        if let State::Delayed(until) = self.state {
            if now < until {
                return Progress::At(until);
            }
            match self.gate.queue.lock().join(self.address) {
                Some(id) => self.state = State::Queued(id),
                None => return Progress::Refused(Code::ServerBusy),
            }
        }
        if let State::Queued(id) = self.state {
            if !self.gate.queue.lock().begin(id, self.gate.checks_max, waker) {
                return Progress::Queued;
            }
            self.state = State::Running;
        }
        if self.guess.is_some() {
            return Progress::Now;
        }
        // Only now, when those before it have failed or not.
        match self.gate.access.guess(self.address, now, self.deadline) {
            Err(code) => Progress::Refused(code),
            Ok(guess) => {
                self.guess = Some(guess);
                if guess.at() <= now {
                    return Progress::Now;
                }
                self.gate.queue.lock().end();
                self.state = State::Delayed(guess.at());
                Progress::At(guess.at())
            }
        }
    }

    /// Checks the password, at its turn. It takes tens of milliseconds of a core.
    ///
    /// # Errors
    /// [`Code::BadCredentials`], whatever was wrong.
    pub fn check(self) -> Result<Authenticated, Code> {
        let access = &self.gate.access;
        let proof = access.verify_password(&self.user, &self.password);
        if let Some(guess) = self.guess {
            match &proof {
                Ok(_) => access.guess_was_right(guess),
                Err(_) => access.guess_failed(guess, guess.at()),
            }
        }
        proof
    }
}

impl Drop for PasswordTicket {
    fn drop(&mut self) {
        match self.state {
            State::Queued(id) => self.gate.queue.lock().leave(id, self.gate.checks_max),
            State::Running => self.gate.queue.lock().end(),
            State::Delayed(_) => {}
        }
    }
}

impl Queue {
    fn join(&mut self, address: IpAddr) -> Option<u64> {
        let of_address = self.per_address.get(&address).copied().unwrap_or(0);
        if self.waiting.len() >= WAITING_MAX || of_address >= WAITING_PER_ADDRESS_MAX {
            return None;
        }
        self.per_address.insert(address, of_address + 1);
        self.next += 1;
        self.waiting.insert(self.next, Waiting { address, waker: None });
        Some(self.next)
    }

    /// Gives the ticket a place if there is one and nobody was there before; else remembers whom to call.
    fn begin(&mut self, id: u64, checks_max: usize, waker: &Waker) -> bool {
        let is_first = self.waiting.first_key_value().is_some_and(|(first, _)| *first == id);
        if self.running < checks_max && is_first {
            self.remove(id);
            self.running += 1;
            self.call_first(checks_max);
            return true;
        }
        if let Some(waiting) = self.waiting.get_mut(&id) {
            waiting.waker = Some(waker.clone());
        }
        false
    }

    fn leave(&mut self, id: u64, checks_max: usize) {
        self.remove(id);
        self.call_first(checks_max);
    }

    fn end(&mut self) {
        self.running = self.running.saturating_sub(1);
        self.call_first(usize::MAX);
    }

    fn call_first(&mut self, checks_max: usize) {
        if self.running < checks_max
            && let Some(mut first) = self.waiting.first_entry()
            && let Some(waker) = first.get_mut().waker.take()
        {
            waker.wake();
        }
    }

    fn remove(&mut self, id: u64) {
        let Some(Waiting { address, .. }) = self.waiting.remove(&id) else { return };
        if let Some(count) = self.per_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&address);
            }
        }
    }
}

impl fmt::Debug for PasswordGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordGate").field("checks_max", &self.checks_max).finish_non_exhaustive()
    }
}

impl fmt::Debug for PasswordTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordTicket")
            .field("user", &self.user)
            .field("address", &self.address)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
