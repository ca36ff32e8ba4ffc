//! Whether a client id has one connection in the whole cluster, and how fast it moves.
//!
//! Each slot is a client id with an open connection. A newer connection with the same id goes to another node;
//! the end of the older one must be there before the CONNACK of the newer one is. Both are seen by one thread in
//! the order in which they arrived, and what only seems to come behind because two paths differ is counted apart
//! from an older connection that is still open. [`storm`] lets many do so at the same time.

use std::time::Duration;

use crate::{
    BenchError, Config, Protocol, Report,
    codec::reason_text,
    driver::ANSWER_TIMEOUT,
    histogram::Histogram,
    measure::Meter,
    random::Random,
    report::{Latency, Takeover},
};

mod sockets;
mod storm;

pub(crate) use storm::run as run_storm;

use sockets::{Event, News, Sockets};

/// The longest wait in epoll; deadlines are looked at this often.
const TURN: Duration = Duration::from_millis(50);
/// A run with so many connections that never end has shown what it can show.
const NEVER_CLOSED_MAX: u64 = 100;
/// Session taken over (MQTT 5 section 3.14.2.1).
const TAKEN_OVER: u8 = 0x8E;

/// Takes client ids over `times` times, `parallel` of them at the same time.
pub(crate) fn run(config: &Config, times: u64, parallel: usize, seed: u64) -> Result<Report, BenchError> {
    let mut report = Report::begin(config);
    let mut meter = Meter::new(config)?;
    let mut trials = Trials::new(config, times, seed)?;
    let start_ns = trials.sockets.now_ns();
    trials.open_first(parallel)?;
    let opened_ns = trials.sockets.now_ns() - start_ns;
    report.connects_per_second = parallel as f64 / (opened_ns.max(1) as f64 / 1e9);
    meter.start()?;
    let start_ns = trials.sockets.now_ns();
    trials.run()?;
    let measured_ns = trials.sockets.now_ns() - start_ns;
    report.set_measured(measured_ns as f64 / 1e9, 0);
    meter.stop(&mut report, trials.found.times, parallel)?;
    report.subscribers = 0;
    report.connections = parallel + usize::try_from(trials.found.times).unwrap_or(usize::MAX);
    report.latency_ms = Latency::from_histogram(&trials.connack);
    report.takeover = Some(trials.found);
    Ok(report)
}

/// One client id.
#[derive(Debug)]
struct Slot {
    client_id: String,
    node: usize,
    older: usize,
    /// The end of the older connection, once it is known.
    older_end: Option<Event>,
    newer: usize,
    newer_node: usize,
    /// When the newer connection was begun.
    begun_ns: u64,
    /// When its CONNACK came.
    accepted_ns: Option<u64>,
    is_violation: bool,
    is_busy: bool,
}

struct Trials<'a> {
    config: &'a Config,
    sockets: Sockets<'a>,
    random: Random,
    times: u64,
    started: u64,
    slots: Vec<Slot>,
    /// The slot each key belongs to.
    owners: Vec<usize>,
    connack: Histogram,
    found: Takeover,
}

impl<'a> Trials<'a> {
    fn new(config: &'a Config, times: u64, seed: u64) -> Result<Self, BenchError> {
        Ok(Self {
            config,
            sockets: Sockets::new(config)?,
            random: Random::new(seed),
            times,
            started: 0,
            slots: Vec::new(),
            owners: Vec::new(),
            connack: Histogram::new(),
            found: Takeover::default(),
        })
    }

    fn open(&mut self, slot: usize, client_id: String, node: usize) -> Result<usize, BenchError> {
        let key = self.sockets.open(client_id, node)?;
        if key >= self.owners.len() {
            self.owners.resize(key + 1, 0);
        }
        self.owners[key] = slot;
        Ok(key)
    }

    /// The connections that are taken over first.
    fn open_first(&mut self, parallel: usize) -> Result<(), BenchError> {
        let prefix = crate::run_prefix(self.config);
        let nodes = self.config.nodes();
        for slot in 0..parallel {
            let client_id = format!("{prefix}-{slot}");
            let node = self.random.below(nodes);
            let key = self.open(slot, client_id.clone(), node)?;
            let slot = Slot {
                client_id,
                node,
                older: key,
                older_end: None,
                newer: key,
                newer_node: node,
                begun_ns: self.sockets.now_ns(),
                accepted_ns: None,
                is_violation: false,
                is_busy: true,
            };
            self.slots.push(slot);
        }
        let mut news = Vec::new();
        while self.slots.iter().any(|slot| slot.is_busy) {
            self.sockets.turn(TURN, &mut news)?;
            for event in news.drain(..) {
                let slot = &mut self.slots[self.owners[event.key]];
                match event.news {
                    News::Accepted { .. } => slot.is_busy = false,
                    other => return Err(not_accepted(slot, other)),
                }
            }
            self.look_at_deadlines()?;
        }
        Ok(())
    }

    fn run(&mut self) -> Result<(), BenchError> {
        let mut news = Vec::new();
        while self.goes_on() || self.slots.iter().any(|slot| slot.is_busy) {
            for slot in 0..self.slots.len() {
                self.begin_if_idle(slot)?;
            }
            self.sockets.turn(TURN, &mut news)?;
            let mut doubtful = Vec::new();
            for event in news.drain(..) {
                doubtful.extend(self.handle(event)?);
            }
            for slot in doubtful {
                self.judge(slot)?;
            }
            self.look_at_deadlines()?;
            if self.config.progress {
                let text = format!("{} takeovers, {} violations", self.found.times, self.found.violations);
                crate::progress::draw(self.found.times as f64 / self.times as f64, &text);
            }
        }
        Ok(())
    }

    fn goes_on(&self) -> bool {
        self.started < self.times && self.found.never_closed < NEVER_CLOSED_MAX
    }

    fn begin_if_idle(&mut self, slot: usize) -> Result<(), BenchError> {
        if self.slots[slot].is_busy || !self.goes_on() {
            return Ok(());
        }
        self.started += 1;
        let state = &self.slots[slot];
        let node = self.random.other_node(state.node, self.config.nodes());
        let newer = self.open(slot, state.client_id.clone(), node)?;
        let begun_ns = self.sockets.now_ns();
        let state = &mut self.slots[slot];
        (state.newer, state.newer_node, state.begun_ns) = (newer, node, begun_ns);
        (state.older_end, state.accepted_ns, state.is_violation, state.is_busy) = (None, None, false, true);
        Ok(())
    }

    /// Takes one event; returns the slot when its CONNACK came and the end of its older connection did not.
    fn handle(&mut self, event: Event) -> Result<Option<usize>, BenchError> {
        let slot = self.owners[event.key];
        let state = &mut self.slots[slot];
        match event.news {
            News::Accepted { after_ns } if event.key == state.newer => {
                self.connack.record(after_ns);
                state.accepted_ns = Some(event.at_ns);
                if state.older_end.is_some() {
                    self.finish(slot);
                    return Ok(None);
                }
                Ok(Some(slot))
            }
            News::Closed { .. } if event.key == state.older && state.is_busy => {
                state.older_end = Some(event);
                if state.is_violation {
                    self.finish(slot);
                }
                Ok(None)
            }
            other => Err(not_accepted(state, other)),
        }
    }

    /// Finds out whether the older connection was closed just behind the CONNACK or is open.
    fn judge(&mut self, slot: usize) -> Result<(), BenchError> {
        let older = self.slots[slot].older;
        let looked = match self.slots[slot].older_end {
            Some(event) => Some(event),
            None => self.sockets.look_closed(older)?,
        };
        let state = &mut self.slots[slot];
        state.older_end = looked;
        if looked.is_some() {
            self.found.closed_behind += 1;
            self.finish(slot);
        } else {
            self.found.violations += 1;
            state.is_violation = true;
        }
        Ok(())
    }

    /// The newer connection becomes the one to be taken over next.
    fn finish(&mut self, slot: usize) {
        let state = &mut self.slots[slot];
        self.found.times += 1;
        match state.older_end {
            None => self.found.never_closed += 1,
            Some(Event { at_ns, news, .. }) => {
                let late_ns = at_ns.saturating_sub(state.accepted_ns.unwrap_or(at_ns));
                if state.is_violation {
                    let late_ms = late_ns as f64 / 1e6;
                    self.found.closed_late_ms_max = self.found.closed_late_ms_max.max(late_ms);
                }
                let is_told = news == News::Closed { reason: Some(TAKEN_OVER) };
                self.found.wrong_reason += u64::from(self.config.protocol == Protocol::V5 && !is_told);
            }
        }
        let older = state.older;
        (state.older, state.node, state.is_busy) = (state.newer, state.newer_node, false);
        self.sockets.remove(older);
    }

    fn look_at_deadlines(&mut self) -> Result<(), BenchError> {
        let now_ns = self.sockets.now_ns();
        let is_over =
            |since_ns: u64, limit: Duration| u128::from(now_ns.saturating_sub(since_ns)) >= limit.as_nanos();
        for slot in 0..self.slots.len() {
            let state = &self.slots[slot];
            match state.accepted_ns {
                _ if !state.is_busy => {}
                Some(accepted_ns) if is_over(accepted_ns, self.config.quiet) => self.finish(slot),
                None if is_over(state.begun_ns, ANSWER_TIMEOUT) => {
                    return Err(BenchError::Timeout {
                        connection: state.client_id.clone(),
                        step: "waiting for the answer to CONNECT",
                        seconds: ANSWER_TIMEOUT.as_secs(),
                        ready: self.slots.iter().filter(|slot| !slot.is_busy).count(),
                        wanted: self.slots.len(),
                    });
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }
}

/// The error for a connection that should have been accepted, or left in peace.
fn not_accepted(slot: &Slot, news: News) -> BenchError {
    let connection = slot.client_id.clone();
    let closed = |reason: String| BenchError::Closed {
        connection: connection.clone(),
        step: if slot.is_busy { "connecting" } else { "waiting to be taken over" },
        reason,
        advice: "See the log of the node it connected to",
    };
    match news {
        News::Refused { reason } => BenchError::Refused {
            connection: connection.clone(),
            request: "CONNECT",
            code: format!("{reason:#04x}"),
            meaning: reason_text(reason),
            advice: "See the server's log".to_owned(),
        },
        News::Closed { reason: Some(reason) } => {
            closed(format!("DISCONNECT with {reason:#04x}, {}", reason_text(reason)))
        }
        News::Closed { reason: None } => closed("it gave no reason".to_owned()),
        News::Accepted { .. } | News::Pong => BenchError::Protocol {
            connection: connection.clone(),
            detail: format!("{news:?} that nothing asked for"),
        },
    }
}
