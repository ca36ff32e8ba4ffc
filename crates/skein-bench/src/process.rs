//! Processor time and memory of a process, read from /proc.
//!
//! It only reads. Times are whole clock ticks of 1/100 s, the unit the kernel fixes for /proc (`USER_HZ`), so
//! a run must use well over a tenth of a second of processor time for the figure to mean something.

use std::fs;

use crate::BenchError;

/// Clock ticks per second in /proc; the kernel's interface fixes it at 100 on every architecture in use.
const TICKS_PER_SECOND: f64 = 100.0;

/// Memory of a process in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) rss: u64,
    pub(crate) pss: u64,
    pub(crate) private: u64,
}

/// A process whose figures can be read.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    folder: String,
}

impl Process {
    pub(crate) fn own() -> Self {
        Self { folder: "/proc/self".to_owned() }
    }

    pub(crate) fn with_pid(pid: u32) -> Self {
        Self { folder: format!("/proc/{pid}") }
    }

    /// User and system time of all threads so far, in seconds.
    pub(crate) fn cpu_seconds(&self) -> Result<f64, BenchError> {
        let text = self.read("stat")?;
        parse_stat(&text).ok_or_else(|| self.strange("stat"))
    }

    /// Resident memory; proportional and private memory stay 0 where smaps may not be read.
    pub(crate) fn memory(&self) -> Result<Memory, BenchError> {
        if let Ok(text) = self.read("smaps_rollup") {
            let private = kilobytes(&text, "Private_Clean:").unwrap_or(0)
                + kilobytes(&text, "Private_Dirty:").unwrap_or(0);
            if let (Some(rss), Some(pss)) = (kilobytes(&text, "Rss:"), kilobytes(&text, "Pss:")) {
                return Ok(Memory { rss: rss * 1024, pss: pss * 1024, private: private * 1024 });
            }
        }
        let text = self.read("status")?;
        let rss = kilobytes(&text, "VmRSS:").ok_or_else(|| self.strange("status"))?;
        Ok(Memory { rss: rss * 1024, ..Memory::default() })
    }

    fn read(&self, file: &str) -> Result<String, BenchError> {
        let path = format!("{}/{file}", self.folder);
        fs::read_to_string(&path).map_err(|source| {
            BenchError::system(
                format!("read {path} (is the process id right, and the process alive?)"),
                source,
            )
        })
    }

    fn strange(&self, file: &str) -> BenchError {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidData, "its form is not the expected one");
        BenchError::system(format!("understand {}/{file}", self.folder), source)
    }
}

/// The limit of open files of this process, where it has one.
pub(crate) fn open_files_max() -> Option<usize> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// utime and stime are fields 14 and 15; the command name before them may hold spaces and parentheses.
fn parse_stat(text: &str) -> Option<f64> {
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / TICKS_PER_SECOND)
}

fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Process, kilobytes, open_files_max, parse_stat};

    #[test]
    fn stat_is_read_behind_a_command_name_with_parentheses() {
        let text = "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0";
        assert_eq!(parse_stat(text), Some(3.0));
        assert_eq!(parse_stat("7 (a"), None);
    }

    #[test]
    fn this_process_has_memory_and_time() {
        let own = Process::own();
        let memory = own.memory().expect("own memory can be read");
        assert!(memory.rss > 100_000 && memory.rss >= memory.private);
        let before = own.cpu_seconds().expect("own time can be read");
        let mut sum = 0_u64;
        while own.cpu_seconds().expect("own time can be read") < before + 0.02 {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(7));
        }
        assert!(open_files_max().expect("a limit") > 10);
    }

    #[test]
    fn a_process_that_is_not_there_is_named() {
        let error =
            Process::with_pid(u32::MAX).cpu_seconds().expect_err("there is no such process").to_string();
        assert!(error.contains("/proc/4294967295/stat"), "{error}");
        assert_eq!(kilobytes("Rss:   12 kB\n", "Rss:"), Some(12));
    }
}
