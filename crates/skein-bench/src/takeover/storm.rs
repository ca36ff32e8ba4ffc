//! Many clients that connect again and again with the same ids to any node, and who is left afterwards.
//!
//! Two walkers share each client id. A walker connects to a node of chance; once it is accepted and the
//! connection it had before has ended, it connects anew. So up to two attempts of one id are under way at a time,
//! at different nodes, and each takes the other's connection over. When the time is up nobody connects any more,
//! and each connection that is open is asked for a sign of life: every id must have exactly one that answers.

use std::{collections::VecDeque, time::Duration};

use super::{
    TURN,
    sockets::{Event, News, Sockets},
};
use crate::{
    BenchError, Config, Length, Report,
    histogram::Histogram,
    measure::Meter,
    random::Random,
    report::{Latency, Storm},
};

const WALKERS_PER_ID: usize = 2;
/// TCP handshakes at the same time. Some servers listen with a backlog of 100; past it a SYN is dropped and
/// costs a second.
const CONNECTING_MAX: usize = 64;
/// When nothing has happened for this long after the last attempt, what is open is there to stay.
const SETTLED: Duration = Duration::from_secs(1);

/// Lets the storm blow for the run's time and counts who is left.
pub(crate) fn run(config: &Config, clients: usize, seed: u64) -> Result<Report, BenchError> {
    let mut report = Report::begin(config);
    let mut meter = Meter::new(config)?;
    let Length::Time(time) = config.length else {
        return Err(BenchError::Setting {
            setting: "--messages",
            value: "set".to_owned(),
            reason: "a storm lasts for a time; give --seconds".to_owned(),
        });
    };
    let mut walk = Walk::new(config, clients, seed)?;
    meter.start()?;
    let start_ns = walk.sockets.now_ns();
    walk.blow(time)?;
    let seconds = (walk.sockets.now_ns() - start_ns) as f64 / 1e9;
    report.set_measured(seconds, 0);
    report.connects_per_second = walk.found.connects as f64 / seconds;
    meter.stop(&mut report, walk.found.connects, clients)?;
    walk.settle()?;
    walk.count_alive()?;
    report.connections = usize::try_from(walk.found.connects).unwrap_or(usize::MAX);
    report.latency_ms = Latency::from_histogram(&walk.connack);
    report.storm = Some(walk.found);
    Ok(report)
}

/// One of those who connect with an id.
#[derive(Clone, Copy, Debug, Default)]
struct Walker {
    attempt: Option<usize>,
    /// Connections that were accepted and have not ended: the newest, and the one it had before.
    newest: Option<usize>,
    before: Option<usize>,
    is_queued: bool,
}

struct Walk<'a> {
    config: &'a Config,
    sockets: Sockets<'a>,
    random: Random,
    prefix: String,
    walkers: Vec<Walker>,
    /// Walkers that wait for their turn to connect.
    queue: VecDeque<usize>,
    /// The walker each key belongs to.
    owners: Vec<usize>,
    is_over: bool,
    last_event_ns: u64,
    connack: Histogram,
    found: Storm,
}

impl<'a> Walk<'a> {
    fn new(config: &'a Config, clients: usize, seed: u64) -> Result<Self, BenchError> {
        let count = clients * WALKERS_PER_ID;
        Ok(Self {
            config,
            sockets: Sockets::new(config)?,
            random: Random::new(seed),
            prefix: crate::run_prefix(config),
            walkers: vec![Walker { is_queued: true, ..Walker::default() }; count],
            queue: (0..count).collect(),
            owners: Vec::new(),
            is_over: false,
            last_event_ns: 0,
            connack: Histogram::new(),
            found: Storm { clients, ..Storm::default() },
        })
    }

    fn blow(&mut self, time: Duration) -> Result<(), BenchError> {
        let start_ns = self.sockets.now_ns();
        loop {
            let passed = Duration::from_nanos(self.sockets.now_ns() - start_ns);
            if passed >= time {
                self.is_over = true;
                return Ok(());
            }
            while self.sockets.connecting() < CONNECTING_MAX {
                let Some(walker) = self.queue.pop_front() else { break };
                self.connect(walker)?;
            }
            self.turn()?;
            if self.config.progress {
                let text = format!("{} connects", self.found.connects);
                crate::progress::draw(passed.as_secs_f64() / time.as_secs_f64(), &text);
            }
        }
    }

    /// Waits until no attempt is under way and nothing happens any more.
    fn settle(&mut self) -> Result<(), BenchError> {
        let start_ns = self.sockets.now_ns();
        self.last_event_ns = start_ns;
        let limit = self.config.quiet + crate::driver::ANSWER_TIMEOUT;
        loop {
            self.turn()?;
            let now_ns = self.sockets.now_ns();
            let is_settled = self.walkers.iter().all(|walker| walker.attempt.is_none())
                && now_ns.saturating_sub(self.last_event_ns) >= SETTLED.as_nanos() as u64;
            if is_settled || Duration::from_nanos(now_ns - start_ns) >= limit {
                return Ok(());
            }
        }
    }

    fn count_alive(&mut self) -> Result<(), BenchError> {
        let open: Vec<usize> =
            self.walkers.iter().flat_map(|walker| [walker.newest, walker.before]).flatten().collect();
        for &key in &open {
            self.sockets.ping(key);
        }
        let mut has_answered = vec![false; self.owners.len()];
        let start_ns = self.sockets.now_ns();
        let mut news = Vec::new();
        let is_known = |walkers: &[Walker], owners: &[usize], key: usize| {
            let Walker { newest, before, .. } = walkers[owners[key]];
            newest == Some(key) || before == Some(key)
        };
        while open.iter().any(|&key| !has_answered[key] && is_known(&self.walkers, &self.owners, key)) {
            if Duration::from_nanos(self.sockets.now_ns() - start_ns) >= self.config.quiet {
                break;
            }
            self.sockets.turn(TURN, &mut news)?;
            for event in news.drain(..) {
                match event.news {
                    News::Pong => has_answered[event.key] = true,
                    _ => self.handle(event),
                }
            }
        }
        let mut alive = vec![0_usize; self.found.clients];
        for key in open {
            let is_alive = has_answered[key] && is_known(&self.walkers, &self.owners, key);
            alive[self.owners[key] / WALKERS_PER_ID] += usize::from(is_alive);
        }
        self.found.dead = alive.iter().filter(|count| **count == 0).count();
        self.found.alive_once = alive.iter().filter(|count| **count == 1).count();
        self.found.alive_twice = alive.iter().filter(|count| **count > 1).count();
        Ok(())
    }

    fn connect(&mut self, walker: usize) -> Result<(), BenchError> {
        let client_id = format!("{}-{}", self.prefix, walker / WALKERS_PER_ID);
        let node = self.random.below(self.config.nodes());
        let key = self.sockets.open(client_id, node)?;
        if key >= self.owners.len() {
            self.owners.resize(key + 1, 0);
        }
        self.owners[key] = walker;
        self.walkers[walker].attempt = Some(key);
        self.walkers[walker].is_queued = false;
        Ok(())
    }

    fn turn(&mut self) -> Result<(), BenchError> {
        let mut news = Vec::new();
        self.sockets.turn(TURN, &mut news)?;
        if let Some(event) = news.last() {
            self.last_event_ns = event.at_ns;
        }
        for event in news {
            self.handle(event);
        }
        Ok(())
    }

    fn handle(&mut self, Event { key, news, .. }: Event) {
        let walker = self.owners[key];
        let state = &mut self.walkers[walker];
        match news {
            News::Accepted { after_ns } => {
                self.connack.record(after_ns);
                self.found.connects += 1;
                state.attempt = None;
                state.before = state.newest.replace(key);
            }
            News::Refused { .. } | News::Closed { .. } => {
                if state.attempt == Some(key) {
                    self.found.turned_away += 1;
                }
                for place in [&mut state.attempt, &mut state.newest, &mut state.before] {
                    if *place == Some(key) {
                        *place = None;
                        self.sockets.remove(key);
                    }
                }
            }
            News::Pong => {}
        }
        // With the connection before the newest still open a further one would be a third.
        let may_connect = state.attempt.is_none() && state.before.is_none() && !state.is_queued;
        if may_connect && !self.is_over {
            state.is_queued = true;
            self.queue.push_back(walker);
        }
    }
}
