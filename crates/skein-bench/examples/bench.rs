//! The load generator as a program of its own: `cargo run --release -p skein-bench --example bench -- mqtt pairs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    skein_bench::main_from_args(std::env::args_os())
}
