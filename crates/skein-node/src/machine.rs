//! What the machine gives this process: memory and open files, from which defaults and limits are derived.
//!
//! It only reads. `settings.rs` and `durable.rs` ask it at the start and on a reload; a limit that cannot be read is none.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::process::{Resource, getrlimit};

use crate::config::{Config, Memory};

/// Descriptors for what runs whatever the configuration: standard streams, signals, the store with its spares.
const FILES_BASE: u64 = 40;
/// Descriptors of a worker's event queue and wake-ups.
const FILES_PER_WORKER: u64 = 8;
/// Descriptors for links to other nodes, look-ups of names, the registry and webhooks.
const FILES_CLUSTER: u64 = 256;
/// Connections of the HTTP door, if the limit of open files is not small.
const HTTP_CONNECTIONS_MAX: u64 = 256;
/// A part of a small limit: what HTTP connections or the cluster may take of it.
const SMALL_PART: u64 = 8;

/// Bytes a setting stands for; none when it sets no limit, or the share of a machine that does not say how much it has.
pub(crate) fn memory_bytes(memory: Memory) -> Option<u64> {
    match memory {
        Memory::Bytes(0) => None,
        Memory::Bytes(bytes) => Some(bytes),
        Memory::Percent(percent) => {
            let all = usable_memory(Path::new("/"))?;
            // In this order, because a share of terabytes must not overflow.
            Some((all / 100).saturating_mul(percent.into()))
        }
    }
}

/// How the limit of open files is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenFiles {
    /// Connections the MQTT listeners may hold.
    pub(crate) mqtt_connections_max: usize,
    /// Connections the HTTP door may hold.
    pub(crate) http_connections_max: usize,
}

impl OpenFiles {
    /// Of the limit this process has now.
    pub(crate) fn now(config: &Config, workers: usize) -> Self {
        Self::of(getrlimit(Resource::Nofile).current, config.cluster.is_on(), workers as u64)
    }

    fn of(limit: Option<u64>, in_cluster: bool, workers: u64) -> Self {
        let Some(limit) = limit else {
            return Self {
                mqtt_connections_max: usize::MAX,
                http_connections_max: size(HTTP_CONNECTIONS_MAX),
            };
        };
        let small = (limit / SMALL_PART).max(1);
        let http = HTTP_CONNECTIONS_MAX.min(small);
        let cluster = if in_cluster { FILES_CLUSTER.min(small) } else { 0 };
        let reserve = FILES_BASE + FILES_PER_WORKER.saturating_mul(workers) + http + cluster;
        let mqtt = limit.saturating_sub(reserve).max(1);
        Self { mqtt_connections_max: size(mqtt), http_connections_max: size(http) }
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Memory this process may use: the machine's, or what its control groups allow if that is less.
fn usable_memory(root: &Path) -> Option<u64> {
    let machine = machine_memory(&fs::read_to_string(root.join("proc/meminfo")).unwrap_or_default());
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let allowed = groups.lines().filter_map(|line| group_limit(root, line)).min();
    machine.into_iter().chain(allowed).min()
}

fn machine_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The least limit of a control group and those above it. A line is `number:controllers:path`; version 2 has no controllers.
fn group_limit(root: &Path, line: &str) -> Option<u64> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    let (mount, file) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max"),
        _ if controllers.split(',').any(|controller| controller == "memory") => {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return None,
    };
    let top = root.join(mount);
    let mut group: PathBuf = top.join(path.trim_start_matches('/'));
    let mut least: Option<u64> = None;
    loop {
        // "max" is no number and no limit; a group that cannot be seen from here has none that could be read.
        let limit = fs::read_to_string(group.join(file)).ok().and_then(|text| text.trim().parse().ok());
        least = least.into_iter().chain(limit).min();
        if group == top || !group.pop() {
            return least;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_testkit::TestDirectory;

    const GIB: u64 = 1 << 30;

    fn machine(files: &[(&str, &str)]) -> TestDirectory {
        let root = TestDirectory::create("machine");
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_least_limit_of_the_machine_and_every_control_group_counts() {
        let memory = ("proc/meminfo", "MemTotal:        8388608 kB\nMemFree:          100 kB\n");
        let v2 = ("proc/self/cgroup", "0::/system.slice/skein.service\n");
        let v1 = ("proc/self/cgroup", "3:cpu,memory:/docker/a\n2:pids:/docker/a\n");
        let (own, slice) =
            ("sys/fs/cgroup/system.slice/skein.service/memory.max", "sys/fs/cgroup/system.slice/memory.max");
        for (files, expect) in [
            (vec![memory], Some(8 * GIB)),
            (vec![memory, v2], Some(8 * GIB)),
            (vec![memory, v2, (own, "max\n"), (slice, "max\n")], Some(8 * GIB)),
            (vec![memory, v2, (own, "2147483648\n"), (slice, "max\n")], Some(2 * GIB)),
            (vec![memory, v2, (own, "2147483648\n"), (slice, "1073741824\n")], Some(GIB)),
            // In a container the group's path may be one of outside.
            (vec![memory, v2, ("sys/fs/cgroup/memory.max", "1073741824\n")], Some(GIB)),
            (
                vec![memory, v1, ("sys/fs/cgroup/memory/docker/a/memory.limit_in_bytes", "1073741824\n")],
                Some(GIB),
            ),
            // Version 1 says "no limit" by a number beyond all memory.
            (
                vec![memory, v1, ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")],
                Some(8 * GIB),
            ),
            (vec![], None),
        ] {
            assert_eq!(usable_memory(machine(&files).path()), expect, "{files:?}");
        }
        assert!(usable_memory(Path::new("/")).is_some(), "this machine says how much it has");
    }

    #[test]
    fn a_share_is_of_this_machine_and_zero_is_no_limit() {
        let all = usable_memory(Path::new("/")).unwrap();
        let quarter = memory_bytes(Memory::Percent(25)).unwrap();
        assert!((all / 4 - 100..=all / 4).contains(&quarter), "{quarter} of {all}");
        assert_eq!((memory_bytes(Memory::Bytes(0)), memory_bytes(Memory::Bytes(7))), (None, Some(7)));
    }

    #[test]
    fn connections_leave_room_for_what_the_node_itself_opens() {
        let share = |limit, in_cluster| {
            let files = OpenFiles::of(limit, in_cluster, 2);
            (files.mqtt_connections_max, files.http_connections_max)
        };
        assert_eq!(share(None, true), (usize::MAX, 256));
        assert_eq!(share(Some(1 << 20), true), ((1 << 20) - 56 - 512, 256));
        assert_eq!(share(Some(20_000), false), (20_000 - 56 - 256, 256));
        assert_eq!(share(Some(1024), true), (1024 - 56 - 256, 128));
        assert_eq!(share(Some(128), false), (128 - 56 - 16, 16));
        assert_eq!(
            share(Some(10), true),
            (1, 1),
            "too few for anything; clients are not the first to be refused"
        );
    }
}
