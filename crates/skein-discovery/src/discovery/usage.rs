//! How busy this process is, for the columns of the registry that Tigase's readers know: percent of processors and memory.
//!
//! Reads `/proc`; where there is none, it is not busy. Only `search.rs` calls it.

use std::{fs, time::Duration};

/// A clock tick in `/proc` (USER_HZ, part of the kernel's interface).
const TICK: Duration = Duration::from_millis(10);

/// Remembers what was used up to the last look.
#[derive(Debug, Default)]
pub(super) struct Usage {
    last: Option<(Duration, Duration)>,
}

impl Usage {
    /// Percent of all processors used since the last look, and of the memory held now; `now` is any monotonic time.
    pub(super) fn sample(&mut self, now: Duration) -> (f64, f64) {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let used = processor_time(&stat).unwrap_or_default();
        let (before, used_before) = self.last.replace((now, used)).unwrap_or_default();
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let available = now.saturating_sub(before).as_secs_f64() * processors as f64;
        let cpu = if available > 0.0 {
            used.saturating_sub(used_before).as_secs_f64() / available * 100.0
        } else {
            0.0
        };
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let held = kibibytes(&status, "VmRSS:").unwrap_or(0.0);
        let total = kibibytes(&memory, "MemTotal:").unwrap_or(0.0);
        let mem = if total > 0.0 { held / total * 100.0 } else { 0.0 };
        (cpu.clamp(0.0, 100.0), mem.clamp(0.0, 100.0))
    }
}

/// User and system time together.
fn processor_time(stat: &str) -> Option<Duration> {
    // The second field is the program's name in parentheses and may hold blanks and parentheses.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * user.saturating_add(system))
}

fn kibibytes(text: &str, key: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(key))?.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_figures_of_this_process() {
        let mut usage = Usage::default();
        let (_, memory) = usage.sample(Duration::from_secs(1));
        assert!(memory > 0.0 && memory < 100.0, "{memory}");
        let (cpu, _) = usage.sample(Duration::from_secs(1));
        assert_eq!(cpu, 0.0, "no time has passed");
    }

    #[test]
    fn reads_past_a_strange_name() {
        let stat = "12 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0";
        assert_eq!(processor_time(stat), Some(Duration::from_secs(3)));
        assert_eq!(processor_time("garbage"), None);
        assert_eq!(kibibytes("VmRSS:\t  12 kB", "VmRSS:"), Some(12.0));
        assert_eq!(kibibytes("VmRSS:", "VmRSS:"), None);
    }
}
