//! A workload by its name, such as `pairs-q1-256-w1`: shape, quality of service, payload bytes, window.

use super::ServerDefinition;
use crate::BenchError;

/// The connections of an idle case: below the common limit of 20 000 open files.
const IDLE_CONNECTIONS: &str = "19000";
/// Subscribers of a retained case, one after the other: enough that processor time is more than a few ticks.
const RETAINED_SUBSCRIBERS: &str = "100";

/// One row of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The name it was made from.
    pub name: String,
    shape: String,
    qos: u8,
    /// Arguments of the generator behind the shape's name.
    arguments: Vec<String>,
}

impl Case {
    /// The rows of the reference table.
    pub const ALL: [&str; 24] = [
        "pairs-q0-16",
        "pairs-q0-256",
        "pairs-q0-16-w1",
        "pairs-q1-16",
        "pairs-q1-256",
        "pairs-q1-16-w1",
        "pairs-q2-16",
        "pairs-q2-256",
        "fanout-q0-16",
        "fanout-q0-256",
        "fanout-q0-16-w1",
        "fanout-q1-16",
        "fanout-q2-16",
        "fanin-q0-16",
        "shared-q1-16",
        "paced-q0-5k",
        "paced-q1-5k",
        "retained-q0-16",
        "idle-q0",
        "pairs-q1-256-durable",
        "pairs-q1-256-w1-durable",
        "pairs-q2-256-durable",
        "fanout-q1-256-durable",
        "paced-q1-5k-durable",
    ];

    /// Reads `SHAPE-qN[-BYTES|-RATEk][-wN][-durable]`.
    ///
    /// # Errors
    /// [`BenchError::Setting`] when the name has another form.
    pub fn parse(name: &str) -> Result<Self, BenchError> {
        Self::from_name(name).ok_or_else(|| BenchError::Setting {
            setting: "--workloads",
            value: name.to_owned(),
            reason: format!("a workload is SHAPE-qN-BYTES[-wN]; known ones are {}", Self::ALL.join(" ")),
        })
    }

    fn from_name(name: &str) -> Option<Self> {
        let mut parts = name.split('-');
        let shape = parts.next()?.to_owned();
        if !["pairs", "fanout", "fanin", "shared", "paced", "retained", "idle"].contains(&shape.as_str()) {
            return None;
        }
        let qos: u8 = parts.next()?.strip_prefix('q')?.parse().ok().filter(|qos| *qos <= 2)?;
        let mut arguments = vec!["--qos".to_owned(), qos.to_string()];
        for part in parts {
            if part == "durable" {
                arguments.push("--durable".to_owned());
                continue;
            }
            let (option, value) = if let Some(window) = part.strip_prefix('w') {
                ("--window", window.parse().ok()?)
            } else if let Some(rate) = part.strip_suffix('k') {
                ("--rate", rate.parse::<u64>().ok()?.checked_mul(1000)?)
            } else {
                ("--payload", part.parse().ok()?)
            };
            if (option == "--rate") != (shape == "paced") && option != "--window" {
                return None;
            }
            arguments.extend([option.to_owned(), value.to_string()]);
        }
        let size = match shape.as_str() {
            "idle" => ["--connections", IDLE_CONNECTIONS].as_slice(),
            "retained" => &["--subscribers", RETAINED_SUBSCRIBERS],
            _ => &[],
        };
        arguments.extend(size.iter().map(|&word| word.to_owned()));
        Some(Self { name: name.to_owned(), shape, qos, arguments })
    }

    pub(super) fn is_idle(&self) -> bool {
        self.shape == "idle"
    }

    /// Whether the server has what the workload needs.
    pub(super) fn suits(&self, server: &ServerDefinition) -> bool {
        let is_excluded = server.cannot.iter().any(|prefix| self.name.starts_with(prefix.as_str()));
        let is_durable = self.arguments.iter().any(|argument| argument == "--durable");
        self.qos <= server.qos_max && !is_excluded && (is_durable || !server.durable_only)
    }

    pub(super) fn arguments(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.shape.as_str()).chain(self.arguments.iter().map(String::as_str))
    }
}
