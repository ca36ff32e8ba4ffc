//! The comparison as a program of its own: `cargo run --release -p skein-bench --example compare -- --help`.
//!
//! It is its own generator too: with `mqtt` as first argument it is the `bench` example.

use std::{ffi::OsString, process::ExitCode};

fn main() -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    if args.get(1).is_none_or(|first| first != "mqtt") {
        args.insert(1, "compare".into());
    }
    skein_bench::main_from_args(args.into_iter())
}
