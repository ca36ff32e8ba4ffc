//! Reads processor time and memory of server and generator at both ends of the measured part.

use crate::{
    BenchError, Config, Report,
    process::{Memory, Process},
    report::{Cpu, ServerUse},
};

#[derive(Debug)]
pub(crate) struct Meter {
    own: Process,
    own_start: f64,
    server: Option<Process>,
    server_start: f64,
    memory_before: Memory,
}

impl Meter {
    /// Notes the server's memory; made before the first connection is opened.
    pub(crate) fn new(config: &Config) -> Result<Self, BenchError> {
        let server = config.server_pid.map(Process::with_pid);
        let memory_before = server.as_ref().map(Process::memory).transpose()?.unwrap_or_default();
        Ok(Self { own: Process::own(), own_start: 0.0, server, server_start: 0.0, memory_before })
    }

    pub(crate) fn start(&mut self) -> Result<(), BenchError> {
        self.own_start = self.own.cpu_seconds()?;
        if let Some(server) = &self.server {
            self.server_start = server.cpu_seconds()?;
        }
        Ok(())
    }

    pub(crate) fn stop(
        &self,
        report: &mut Report,
        delivered: u64,
        connections: usize,
    ) -> Result<(), BenchError> {
        report.generator = Cpu::new(self.own.cpu_seconds()? - self.own_start, delivered);
        let Some(server) = &self.server else { return Ok(()) };
        let cpu = Cpu::new(server.cpu_seconds()? - self.server_start, delivered);
        let (before, after) = (self.memory_before, server.memory()?);
        let growth = |before: u64, after: u64| (after as f64 - before as f64) / connections.max(1) as f64;
        report.server = Some(ServerUse {
            cpu,
            rss_bytes_before: before.rss,
            rss_bytes_after: after.rss,
            rss_bytes_per_connection: growth(before.rss, after.rss),
            pss_bytes_per_connection: growth(before.pss, after.pss),
            private_bytes_per_connection: growth(before.private, after.private),
        });
        Ok(())
    }
}
