//! The workload of silence: how fast connections open and what one costs the server while it does nothing.

use std::time::{Duration, Instant};

use crate::{
    BenchError, Config, Length, Report,
    codec::Packet,
    driver::{Driver, Fault, Handler, Spec},
    measure::Meter,
};

/// How long the connections are held when the run's length is a number of messages.
const HOLD_DEFAULT: Duration = Duration::from_secs(1);

/// Opens the connections, holds them for the run's time and reads the server's memory at the end of it.
pub(crate) fn run(config: &Config, connections: usize) -> Result<Report, BenchError> {
    let mut report = Report::begin(config);
    let mut meter = Meter::new(config)?;
    let mut driver = Driver::new(config)?;
    let prefix = crate::run_prefix(config);
    let specs = (0..connections).map(|index| Spec {
        client_id: format!("{prefix}-{index}"),
        node: 0,
        filter: Some(format!("{prefix}/{index}")),
        publishes: false,
    });
    let opened = driver.open(specs.collect(), &mut Silence)?;
    report.subscribers = connections;
    report.connections = opened.connections;
    report.connects_per_second = opened.connections as f64 / opened.elapsed.as_secs_f64();
    let hold = match config.length {
        Length::Time(time) => time,
        Length::Messages(_) => HOLD_DEFAULT,
    };
    meter.start()?;
    let start = Instant::now();
    while let Some(left) = hold.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
        driver.turn(left.min(Duration::from_millis(100)), &mut Silence)?;
        if config.progress {
            let fraction = start.elapsed().as_secs_f64() / hold.as_secs_f64();
            crate::progress::draw(fraction, &format!("holding {connections} connections"));
        }
    }
    report.set_measured(start.elapsed().as_secs_f64(), 0);
    meter.stop(&mut report, 0, connections)?;
    driver.close();
    Ok(report)
}

/// Nothing but answers to pings may come.
struct Silence;

impl Handler for Silence {
    fn packet(&mut self, _: usize, packet: Packet<'_>, _: u64, _: &mut Vec<u8>) -> Result<(), Fault> {
        match packet {
            Packet::PingResp => Ok(()),
            other => Err(Fault::Protocol(format!("{other:?} came to a client to which nobody sends"))),
        }
    }

    fn writable(&mut self, _: usize) {}
}
