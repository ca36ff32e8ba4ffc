//! What a process costs, read from `/proc`: memory, processor time, threads, open files.
//!
//! The readers take any process id, so the same figures can be taken from a server of another maker.

use std::fs;
use std::time::Duration;

/// Memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All resident pages, the program's own file included.
    pub resident_bytes: u64,
    /// Resident pages that belong to no file: heap and stacks.
    pub anonymous_bytes: u64,
}

/// The memory that process `pid` holds now.
#[track_caller]
pub fn memory(pid: u32) -> Memory {
    let status = read(pid, "status");
    Memory {
        resident_bytes: number(&status, "VmRSS:") * 1024,
        anonymous_bytes: number(&status, "RssAnon:") * 1024,
    }
}

/// The processor time, user and system together, that process `pid` has used so far.
#[track_caller]
pub fn cpu_time(pid: u32) -> Duration {
    // Clock ticks in /proc are 1/100 s on every Linux architecture (USER_HZ is part of its ABI).
    const TICK: Duration = Duration::from_millis(10);
    let stat = read(pid, "stat");
    // The second field is the program's name in parentheses and may hold blanks and parentheses.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next().and_then(|field| field.parse::<u32>().ok());
    match (ticks(), ticks()) {
        (Some(user), Some(system)) => TICK * user.saturating_add(system),
        _ => panic!("/proc/{pid}/stat has no processor times: {stat:?}"),
    }
}

/// The number of threads of process `pid`.
#[track_caller]
pub fn thread_count(pid: u32) -> u64 {
    number(&read(pid, "status"), "Threads:")
}

/// The number of files and sockets that process `pid` has open.
#[track_caller]
pub fn open_files(pid: u32) -> usize {
    match fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(entries) => entries.count(),
        Err(error) => panic!("cannot list the open files of process {pid}: {error}"),
    }
}

#[track_caller]
fn read(pid: u32, file: &str) -> String {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
}

#[track_caller]
fn number(status: &str, key: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .and_then(|value| value.split_ascii_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("no {key} in a process status"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_memory_grow() {
        let pid = std::process::id();
        let before = memory(pid);
        // Other tests of this program give memory back meanwhile: half of the block is theirs to hide.
        let block = vec![1_u8; 128 << 20];
        let after = memory(pid);
        assert!(after.anonymous_bytes >= before.anonymous_bytes + (64 << 20), "{before:?} {after:?}");
        assert!(after.resident_bytes >= after.anonymous_bytes);
        drop(block);
    }

    #[test]
    fn sees_processor_time_pass() {
        let pid = std::process::id();
        let before = cpu_time(pid);
        let mut value = 1_u64;
        crate::wait_until("some processor time is used", crate::DEADLINE, || {
            for step in 0..1_000_000_u64 {
                value = std::hint::black_box(value.wrapping_mul(31).wrapping_add(step));
            }
            cpu_time(pid) > before
        });
    }

    #[test]
    fn counts_threads_and_files() {
        let pid = std::process::id();
        assert!(thread_count(pid) >= 1);
        let before = open_files(pid);
        let held: Vec<_> = (0..32).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        assert!(open_files(pid) + 16 > before + held.len(), "other tests close only a few files meanwhile");
    }
}
