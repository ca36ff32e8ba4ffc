//! The command line of a comparison.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use super::{Case, Comparison, Outcome, ServerDefinition, built_in, compare, table};
use crate::BenchError;

/// The arguments of `skein bench compare`.
#[derive(Args, Clone, Debug)]
pub struct CompareArgs {
    /// Servers to compare; those not given are the ones whose program is found.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    servers: Vec<String>,
    /// Workloads such as pairs-q0-16; all by default.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    workloads: Vec<String>,
    /// The server whose ratios to the others are shown.
    #[arg(long, default_value = "skein")]
    subject: String,
    /// Runs of each server per workload; medians are shown.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of the measured part of each run.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Where the outcome is written: compare.md, compare.json, compare.svg.
    #[arg(long, default_value = "target/bench", value_name = "FOLDER")]
    out: PathBuf,
    /// A program in place of the usual one, such as skein=target/release/skein. May be repeated.
    #[arg(long, value_name = "NAME=PATH")]
    program: Vec<String>,
    /// Arguments of skein in place of the usual ones, with {port} and {dir}.
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    skein_args: Option<String>,
    /// A JSON file with a list of further server definitions.
    #[arg(long, value_name = "FILE")]
    definitions: Option<PathBuf>,
    /// Leave the cores to the scheduler. Otherwise servers run on core 0 and the generator on core 1.
    #[arg(long)]
    no_pin: bool,
    /// The generator's program and first arguments; this program by default.
    #[arg(long, value_name = "COMMAND")]
    generator: Option<String>,
}

/// Known servers with the places where they usually are.
const USUAL: [(&str, &str); 8] = [
    ("skein", "target/release/skein"),
    ("skein-disk", "target/release/skein"),
    ("flashmq", "/usr/bin/flashmq"),
    ("mosquitto", "/usr/sbin/mosquitto"),
    ("mosquitto-saved", "/usr/sbin/mosquitto"),
    ("nats", "/usr/sbin/nats-server"),
    ("rumqttd", "/usr/bin/rumqttd"),
    ("relay", "target/release/examples/relay"),
];

impl CompareArgs {
    /// Runs the comparison and prints its tables.
    pub fn execute(self) -> ExitCode {
        match self.into_comparison().and_then(|comparison| compare(&comparison)) {
            Ok(outcome) => {
                // Without stdout the files remain.
                drop(io::stdout().write_all(table::markdown(&outcome).as_bytes()));
                if has_failures(&outcome) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
            }
            Err(error) => {
                drop(writeln!(io::stderr(), "{error}"));
                ExitCode::FAILURE
            }
        }
    }

    fn into_comparison(self) -> Result<Comparison, BenchError> {
        let servers = self.definitions()?;
        let names: Vec<String> = if self.workloads.is_empty() {
            Case::ALL.iter().map(|&name| name.to_owned()).collect()
        } else {
            self.workloads.clone()
        };
        let cases = names.iter().map(|name| Case::parse(name)).collect::<Result<_, _>>()?;
        if self.rounds == 0 || !(0.1..=3600.0).contains(&self.seconds) {
            return Err(wrong("--rounds/--seconds", "0", "there must be a round of 0.1 to 3600 seconds"));
        }
        Ok(Comparison {
            servers,
            subject: self.subject,
            cases,
            rounds: self.rounds,
            seconds: self.seconds,
            generator: generator(self.generator.as_deref())?,
            cores: cores(self.no_pin),
            folder: self.out,
        })
    }

    /// The servers asked for, or all known ones that are there.
    fn definitions(&self) -> Result<Vec<ServerDefinition>, BenchError> {
        let mut known = Vec::new();
        for (name, usual) in USUAL {
            let path = self.program_of(name)?.unwrap_or_else(|| PathBuf::from(usual));
            known.extend(built_in(name, path.canonicalize().unwrap_or(path)));
        }
        if let Some(file) = &self.definitions {
            let more = read_definitions(file)?;
            known.retain(|definition| more.iter().all(|other| other.name != definition.name));
            known.extend(more);
        }
        if let Some(args) = &self.skein_args {
            for definition in known.iter_mut().filter(|definition| definition.name == "skein") {
                definition.args = args.split_whitespace().map(str::to_owned).collect();
            }
        }
        if self.servers.is_empty() {
            known.retain(|definition| definition.program.exists());
            return Ok(known);
        }
        let find = |name: &String| {
            known.iter().find(|definition| definition.name == *name).cloned().ok_or_else(|| {
                let names: Vec<_> = known.iter().map(|definition| definition.name.as_str()).collect();
                wrong("--servers", name, &format!("known servers are {}", names.join(", ")))
            })
        };
        self.servers.iter().map(find).collect()
    }

    fn program_of(&self, name: &str) -> Result<Option<PathBuf>, BenchError> {
        let mut found = None;
        for text in &self.program {
            let (key, path) =
                text.split_once('=').ok_or_else(|| wrong("--program", text, "give NAME=PATH"))?;
            if key == name {
                found = Some(PathBuf::from(path));
            }
        }
        Ok(found)
    }
}

fn has_failures(outcome: &Outcome) -> bool {
    outcome.rows.iter().any(|row| row.servers.values().any(|cell| !cell.failures.is_empty()))
}

fn read_definitions(file: &Path) -> Result<Vec<ServerDefinition>, BenchError> {
    let action = || format!("read server definitions from {}", file.display());
    let text = std::fs::read(file).map_err(|source| BenchError::system(action(), source))?;
    serde_json::from_slice(&text).map_err(|error| BenchError::system(action(), error.into()))
}

/// This program again with its arguments before `compare`, such as `skein bench`.
fn generator(given: Option<&str>) -> Result<Vec<String>, BenchError> {
    if let Some(command) = given {
        return Ok(command.split_whitespace().map(str::to_owned).collect());
    }
    let program =
        std::env::current_exe().map_err(|source| BenchError::system("find this program's file", source))?;
    let words: Vec<String> = std::env::args().skip(1).collect();
    let before = words.iter().position(|word| word == "compare").unwrap_or(0);
    let mut command = vec![program.to_string_lossy().into_owned()];
    command.extend(words.into_iter().take(before));
    command.push("mqtt".to_owned());
    Ok(command)
}

/// Pinning makes sense only with a core for each side.
fn cores(no_pin: bool) -> Option<(usize, usize)> {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    (!no_pin && count >= 2).then_some((0, 1))
}

fn wrong(setting: &'static str, value: &str, reason: &str) -> BenchError {
    BenchError::Setting { setting, value: value.to_owned(), reason: reason.to_owned() }
}
