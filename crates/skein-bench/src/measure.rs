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
    /// All nodes of the server; none when no process id was given.
    servers: Vec<Process>,
    server_start: f64,
    memory_before: Memory,
}

impl Meter {
    /// Notes the server's memory; made before the first connection is opened.
    pub(crate) fn new(config: &Config) -> Result<Self, BenchError> {
        let servers: Vec<_> = config.server_pids.iter().copied().map(Process::with_pid).collect();
        let memory_before = memory(&servers)?;
        Ok(Self { own: Process::own(), own_start: 0.0, servers, server_start: 0.0, memory_before })
    }

    pub(crate) fn start(&mut self) -> Result<(), BenchError> {
        self.own_start = self.own.cpu_seconds()?;
        self.server_start = cpu_seconds(&self.servers)?;
        Ok(())
    }

    pub(crate) fn stop(
        &self,
        report: &mut Report,
        delivered: u64,
        connections: usize,
    ) -> Result<(), BenchError> {
        report.generator = Cpu::new(self.own.cpu_seconds()? - self.own_start, delivered);
        if self.servers.is_empty() {
            return Ok(());
        }
        let cpu = Cpu::new(cpu_seconds(&self.servers)? - self.server_start, delivered);
        let (before, after) = (self.memory_before, memory(&self.servers)?);
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

fn cpu_seconds(servers: &[Process]) -> Result<f64, BenchError> {
    servers.iter().map(Process::cpu_seconds).sum()
}

fn memory(servers: &[Process]) -> Result<Memory, BenchError> {
    servers.iter().try_fold(Memory::default(), |sum, server| {
        let one = server.memory()?;
        Ok(Memory { rss: sum.rss + one.rss, pss: sum.pss + one.pss, private: sum.private + one.private })
    })
}
