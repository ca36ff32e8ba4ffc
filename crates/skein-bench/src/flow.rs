//! The workloads in which messages flow: pairs, fanout, fanin, shared and paced.
//!
//! Publishers fill their window, subscribers check and acknowledge; everything happens on the thread that
//! calls [`run`]. Memory is bounded by the window: a publisher writes no more before the deliveries of its
//! earlier messages were seen. Per message nothing is allocated and no clock is read.

use std::time::Duration;

use crate::{
    BenchError, Config, Length, Qos, Report, Workload,
    driver::{Driver, Opened},
    measure::Meter,
    report::Latency,
};

mod ledger;
mod nodes;
mod pace;
mod publisher;
mod traffic;

use pace::Pace;
use traffic::Traffic;

/// The longest wait in epoll; deadlines and the progress line are looked at this often.
const TURN: Duration = Duration::from_millis(100);

/// Runs one flow workload.
pub(crate) fn run(config: &Config) -> Result<Report, BenchError> {
    let mut report = Report::begin(config);
    let mut meter = Meter::new(config)?;
    let mut driver = Driver::new(config)?;
    let mut traffic = Traffic::new(config);
    let opened = driver.open(traffic.specs(), &mut traffic)?;
    traffic.opened(&driver);
    let mut run = Run { config, driver, traffic, pace: None, quiet_since_ns: 0, last_arrivals: 0 };
    if let Workload::Paced { rate, .. } = config.workload {
        run.pace = Some(Pace::new(rate, run.driver.clock.now_ns()));
    }
    run.warm_up()?;
    run.measure(&mut meter, &mut report)?;
    run.drain()?;
    let Run { driver, traffic, .. } = run;
    driver.close();
    fill_connections(&mut report, &traffic, opened);
    traffic.fill_counts(&mut report);
    Ok(report)
}

fn fill_connections(report: &mut Report, traffic: &Traffic, opened: Opened) {
    report.publishers = traffic.publishers();
    report.subscribers = traffic.subscribers();
    report.connections = opened.connections;
    report.connects_per_second = opened.connections as f64 / opened.elapsed.as_secs_f64();
}

struct Run<'a> {
    config: &'a Config,
    driver: Driver<'a>,
    traffic: Traffic,
    pace: Option<Pace>,
    quiet_since_ns: u64,
    last_arrivals: u64,
}

impl Run<'_> {
    /// A run of a time keeps the traffic flowing into the measured part, a run of a count starts it empty.
    fn warm_up(&mut self) -> Result<(), BenchError> {
        if self.config.warmup.is_zero() {
            return Ok(());
        }
        self.traffic.set_limits(None);
        self.run_for(self.config.warmup, "warming up")?;
        if matches!(self.config.length, Length::Messages(_)) {
            self.drain()?;
        }
        Ok(())
    }

    fn measure(&mut self, meter: &mut Meter, report: &mut Report) -> Result<(), BenchError> {
        let publishers = self.traffic.publishers() as u64;
        let limit = match self.config.length {
            Length::Messages(total) => Some(total.div_ceil(publishers)),
            Length::Time(_) => None,
        };
        self.traffic.set_limits(limit);
        self.traffic.latency.clear();
        if let Some(pace) = &mut self.pace {
            pace.restart(self.driver.clock.now_ns());
        }
        let delivered_before = self.traffic.delivered();
        let start_ns = self.driver.clock.now_ns();
        meter.start()?;
        match self.config.length {
            Length::Time(time) => self.run_for(time, "measuring")?,
            Length::Messages(_) => self.run_until_done("measuring")?,
        }
        let end_ns = match self.config.length {
            Length::Time(_) => self.driver.clock.now_ns(),
            Length::Messages(_) => self.traffic.last_arrival_ns,
        };
        let delivered = self.traffic.delivered() - delivered_before;
        report.set_measured(end_ns.saturating_sub(start_ns) as f64 / 1e9, delivered);
        report.latency_ms = Latency::from_histogram(&self.traffic.latency);
        meter.stop(report, delivered, self.traffic.publishers() + self.traffic.subscribers())
    }

    /// Publishes no more and waits for what is on its way.
    fn drain(&mut self) -> Result<(), BenchError> {
        self.traffic.set_limits(Some(0));
        self.run_until_done("waiting for the last messages")
    }

    fn run_for(&mut self, time: Duration, what: &str) -> Result<(), BenchError> {
        let start_ns = self.driver.clock.now_ns();
        let end_ns = start_ns.saturating_add(nanoseconds(time));
        self.begin_quiet();
        loop {
            let now_ns = self.driver.clock.now_ns();
            if now_ns >= end_ns || (self.traffic.is_waiting() && self.is_quiet(now_ns)) {
                return Ok(());
            }
            let fraction = (now_ns - start_ns) as f64 / (end_ns - start_ns) as f64;
            self.step(now_ns, Duration::from_nanos(end_ns - now_ns), (fraction, what))?;
        }
    }

    fn run_until_done(&mut self, what: &str) -> Result<(), BenchError> {
        self.begin_quiet();
        while !self.traffic.is_done() {
            let now_ns = self.driver.clock.now_ns();
            if self.traffic.is_waiting() && self.is_quiet(now_ns) {
                return Ok(());
            }
            let fraction = self.traffic.delivered() as f64 / self.traffic.expected().max(1) as f64;
            self.step(now_ns, TURN, (fraction, what))?;
        }
        Ok(())
    }

    /// One turn: publish what the windows and the pace allow, then handle what the sockets bring.
    fn step(&mut self, now_ns: u64, time_left: Duration, progress: (f64, &str)) -> Result<(), BenchError> {
        let mut timeout = TURN.min(time_left);
        match &mut self.pace {
            Some(pace) => timeout = timeout.min(pace.publish_due(&mut self.traffic, &mut self.driver)?),
            None => self.traffic.publish_allowed(&mut self.driver)?,
        }
        self.driver.turn(timeout, &mut self.traffic)?;
        if self.config.progress && self.traffic.progress_is_due(now_ns) {
            let (fraction, what) = progress;
            crate::progress::draw(fraction, &format!("{what}: {} delivered", self.traffic.delivered()));
        }
        Ok(())
    }

    fn begin_quiet(&mut self) {
        self.quiet_since_ns = self.driver.clock.now_ns();
    }

    /// Whether nothing arrived for the quiet time.
    fn is_quiet(&mut self, now_ns: u64) -> bool {
        let arrivals = self.traffic.arrivals();
        if arrivals != self.last_arrivals {
            self.last_arrivals = arrivals;
            self.quiet_since_ns = now_ns;
        }
        now_ns.saturating_sub(self.quiet_since_ns) > nanoseconds(self.config.quiet)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Whether publications of this quality are acknowledged.
fn is_acknowledged(qos: Qos) -> bool {
    qos != Qos::AtMostOnce
}
