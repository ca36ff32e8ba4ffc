//! Where log messages go: the standard error stream, as lines for people or JSON for machines.
//!
//! The level can be changed while the node runs. A panic anywhere becomes one line; what it ends is decided by whoever
//! runs the thread or task. Used by `serve`.

use std::{io, panic::PanicHookInfo};

use skein_node::config::{LogConfig, LogFormat, LogLevel};
use tracing_subscriber::{
    Layer, Registry, filter::LevelFilter, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

/// Changes the level of what is written.
#[derive(Debug)]
pub(crate) struct Logging {
    level: reload::Handle<LevelFilter, Registry>,
}

impl Logging {
    /// Writes log messages from now on.
    pub(crate) fn start(config: &LogConfig) -> anyhow::Result<Self> {
        let (filter, level) = reload::Layer::new(level_filter(config.level));
        let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false);
        let lines = match config.format {
            LogFormat::Text => lines.with_ansi(false).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        tracing_subscriber::registry().with(filter).with(lines).try_init()?;
        std::panic::set_hook(Box::new(report_panic));
        Ok(Self { level })
    }

    /// Writes messages of `level` and above from now on.
    pub(crate) fn set_level(&self, level: LogLevel) {
        if let Err(error) = self.level.reload(level_filter(level)) {
            tracing::error!(%error, "log: the level cannot be changed");
        }
    }
}

fn level_filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

fn report_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let reason = panic.payload_as_str().unwrap_or("no text");
    tracing::error!(thread, place, reason, "skein: a fault of the program itself; please report it");
}
