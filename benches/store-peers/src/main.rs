//! The store beside its peers: SQLite, redb, a bare write and sync, and a map behind a lock.
//!
//! `cargo xtask bench store` builds and runs it and keeps its report. It measures and checks that what was acknowledged is
//! there; it is no test of the peers and ships with nothing. The ways are taken in turns, so that what the machine does
//! meanwhile hits all of them: read the ratios.

mod arguments;
mod durable;
mod measure;
mod memory;
mod recovery;
mod report;
mod rows;
mod weight;

use arguments::Arguments;
use report::{Report, Section};

/// What measures one subject.
type Measure = fn(&Arguments) -> Section;

/// As in the server, which the store mostly runs in.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [word, subject] = words.as_slice()
        && word == weight::COMMAND
    {
        weight::weigh(subject);
        return std::process::ExitCode::SUCCESS;
    }
    let arguments = match Arguments::read(&words) {
        Ok(arguments) => arguments,
        Err(fault) => {
            eprintln!("store-peers: {fault}");
            return std::process::ExitCode::FAILURE;
        }
    };
    let mut report = Report::begin(&arguments);
    let sections: [(&str, Measure); 4] = [
        ("durable", durable::measure),
        ("memory", memory::measure),
        ("weight", weight::measure),
        ("recovery", recovery::measure),
    ];
    for (name, measure) in sections {
        if arguments.wants(name) {
            report.add(measure(&arguments));
        }
    }
    report.write(&arguments.out);
    std::process::ExitCode::SUCCESS
}
