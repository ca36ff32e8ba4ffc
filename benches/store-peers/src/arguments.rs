//! What the program is told: how often, how long, where. It explains what it does not understand.

use crate::measure::Patience;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

const USAGE: &str = "the arguments are --rounds NUMBER, --seconds SECONDS of a turn, --patience SECONDS (to wait for a \
                     quiet machine, in all), --only SECTIONS (durable, memory, weight, recovery, with commas between), \
                     --ways TEXT (inserts only by ways with this in their names), --dir DIRECTORY for the databases, \
                     --out DIRECTORY for the report";

/// Below it, the clocks are coarser than what they measure.
const TURN_MIN: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) rounds: usize,
    /// How long one way is measured in one round on the disk; in memory a fifth of it is enough.
    pub(crate) turn: Duration,
    pub(crate) patience: Patience,
    only: Option<String>,
    ways: Option<String>,
    pub(crate) dir: PathBuf,
    pub(crate) out: PathBuf,
}

impl Arguments {
    pub(crate) fn read(words: &[String]) -> Result<Arguments, String> {
        let mut read = Arguments {
            rounds: 5,
            turn: Duration::from_millis(1500),
            patience: Patience { until: Instant::now() },
            only: None,
            ways: None,
            dir: std::env::temp_dir().join("store-peers"),
            out: PathBuf::from("."),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("`{word}` needs a value: {USAGE}"))?;
            match word.as_str() {
                "--rounds" => read.rounds = number::<usize>(word, value)?.max(1),
                "--seconds" => read.turn = seconds(word, value)?.max(TURN_MIN),
                "--patience" => read.patience.until += seconds(word, value)?,
                "--only" => read.only = Some(value.clone()),
                "--ways" => read.ways = Some(value.clone()),
                "--dir" => read.dir = PathBuf::from(value),
                "--out" => read.out = PathBuf::from(value),
                _ => return Err(format!("`{word}` is unknown: {USAGE}")),
            }
        }
        Ok(read)
    }

    pub(crate) fn wants(&self, section: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.split(',').any(|name| name == section))
    }

    /// Whether a way of inserting is wanted.
    pub(crate) fn wants_way(&self, name: &str) -> bool {
        self.ways.as_ref().is_none_or(|part| name.contains(part.as_str()))
    }
}

fn seconds(word: &str, value: &str) -> Result<Duration, String> {
    Ok(Duration::from_secs_f64(number::<f64>(word, value)?.clamp(0.0, 86_400.0)))
}

fn number<T: FromStr>(word: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_unreadable| format!("`{word}` takes a number, not `{value}`: {USAGE}"))
}
