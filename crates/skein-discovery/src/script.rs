//! A strategy that is a script in the configuration.
//!
//! Made once, asked by all threads of the plane, replaced while the node runs. Whatever a script does wrong, messages reach
//! everyone: an error means `broadcast`. It is counted, and said in the log at most once a minute.

mod cache;
mod file;
mod sandbox;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rhai::AST;
use skein_cluster::strategy::{Outgoing, Strategy, Targets, View};
use skein_types::Moment;

use self::{
    cache::Cache,
    sandbox::{Clock, Sandbox},
};
pub use self::{
    file::{ScriptFileError, add_scripts},
    sandbox::{SCRIPT_BYTES_MAX, ScriptError},
};

/// The time between two lines about errors.
const SAY_INTERVAL: Duration = Duration::from_secs(60);

/// A script: a function `targets(topic, publisher, interested, live)`.
#[derive(Debug)]
pub struct Script {
    sandbox: Sandbox,
    version: ArcSwap<Version>,
    cache: Mutex<Cache>,
    figures: Counts,
    clock: Watch,
    /// From when on an error is said again.
    say_from: Mutex<Moment>,
}

struct Watch(Clock);

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

#[derive(Debug)]
struct Version {
    script: AST,
    generation: u64,
}

#[derive(Debug, Default)]
struct Counts {
    runs: AtomicU64,
    cached: AtomicU64,
    failed: AtomicU64,
}

/// What a script has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScriptFigures {
    /// Times it was run.
    pub runs: u64,
    /// Questions that were answered with what it had said before.
    pub cached: u64,
    /// Runs that failed, so that the message went to all.
    pub failed: u64,
}

impl Script {
    /// A script that is bounded by the machine's monotonic clock.
    ///
    /// # Errors
    ///
    /// When the text is no script, or has no function `targets` with four parameters.
    pub fn new(text: &str) -> Result<Self, ScriptError> {
        let start = std::time::Instant::now();
        Self::with_clock(text, move || Moment::ZERO.after(start.elapsed()))
    }

    /// A script that is bounded by this clock; one that stands still leaves the bound of steps.
    ///
    /// # Errors
    ///
    /// As [`Script::new`].
    pub fn with_clock(
        text: &str,
        clock: impl Fn() -> Moment + Send + Sync + 'static,
    ) -> Result<Self, ScriptError> {
        let clock: Clock = Arc::new(clock);
        let sandbox = Sandbox::new(clock.clone());
        let script = sandbox.compile(text)?;
        Ok(Self {
            version: ArcSwap::from_pointee(Version { script, generation: 1 }),
            sandbox,
            cache: Mutex::default(),
            figures: Counts::default(),
            clock: Watch(clock),
            say_from: Mutex::new(Moment::ZERO),
        })
    }

    /// Takes another text from now on.
    ///
    /// # Errors
    ///
    /// As [`Script::new`]; the earlier text stays in use.
    pub fn reload(&self, text: &str) -> Result<(), ScriptError> {
        let script = self.sandbox.compile(text)?;
        self.version.rcu(|before| Version { script: script.clone(), generation: before.generation + 1 });
        Ok(())
    }

    /// What it has done since it was made.
    #[must_use]
    pub fn figures(&self) -> ScriptFigures {
        ScriptFigures {
            runs: self.figures.runs.load(Relaxed),
            cached: self.figures.cached.load(Relaxed),
            failed: self.figures.failed.load(Relaxed),
        }
    }

    fn failed(&self, message: &Outgoing<'_>, error: &ScriptError) {
        let failed = self.figures.failed.fetch_add(1, Relaxed) + 1;
        let now = (self.clock.0)();
        let mut say_from = self.say_from.lock();
        if now >= *say_from {
            *say_from = now.after(SAY_INTERVAL);
            drop(say_from);
            tracing::warn!(
                failed,
                topic = %message.topic.chars().take(200).collect::<String>(),
                "cluster: the strategy failed: {error}. Such messages go to every node; correct the script of cluster.strategy."
            );
        }
    }
}

impl Strategy for Script {
    fn targets(&self, message: &Outgoing<'_>, view: &View<'_>) -> Targets {
        let version = self.version.load_full();
        if let Some(targets) = self.cache.lock().get(version.generation, message, view) {
            self.figures.cached.fetch_add(1, Relaxed);
            return targets;
        }
        self.figures.runs.fetch_add(1, Relaxed);
        // Not under the lock: threads that ask something else do not wait for it. Two may run it for the same question.
        let targets = self.sandbox.run(&version.script, message, view).unwrap_or_else(|error| {
            self.failed(message, &error);
            Targets::All
        });
        self.cache.lock().put(version.generation, message, view, &targets);
        targets
    }

    fn generation(&self) -> u64 {
        self.version.load().generation
    }
}

#[cfg(test)]
mod tests;
