//! What the operating system says of this process. Blocking, so it is called where blocking is allowed.

use std::fs;

/// Ticks of `/proc/self/stat` in a second: fixed at 100 for programs by Linux on the platforms it is built for.
const TICKS_PER_SEC: f64 = 100.0;

/// Figures of the process; each is absent where the system does not tell.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ProcessFigures {
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) threads: Option<u64>,
    pub(crate) cpu_seconds: Option<f64>,
}

impl ProcessFigures {
    pub(crate) fn read_blocking() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        Self {
            resident_bytes: status_field(&status, "VmRSS:").and_then(|kib| kib.checked_mul(1024)),
            threads: status_field(&status, "Threads:"),
            cpu_seconds: cpu_seconds(&stat),
        }
    }
}

fn status_field(status: &str, name: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// User and system time, the 14th and 15th field. The second is the program's name in parentheses and may itself hold
/// spaces and parentheses, so fields are counted from the last one.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user.saturating_add(system) as f64 / TICKS_PER_SEC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_lines_of_the_kernel() {
        let status = "Name:\tx\nVmRSS:\t    1234 kB\nThreads:\t7\n";
        assert_eq!(status_field(status, "VmRSS:"), Some(1234));
        assert_eq!(status_field(status, "Threads:"), Some(7));
        assert_eq!(status_field(status, "VmSwap:"), None);
        let stat = "42 (a ) (b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("42 (x) S 1"), None);
        assert_eq!(cpu_seconds(""), None);
    }

    #[test]
    fn this_process_has_memory_and_threads() {
        let figures = ProcessFigures::read_blocking();
        assert!(figures.resident_bytes.unwrap() > 1024 * 1024, "{figures:?}");
        assert!(figures.threads.unwrap() >= 1, "{figures:?}");
        assert!(figures.cpu_seconds.unwrap() >= 0.0, "{figures:?}");
    }
}
