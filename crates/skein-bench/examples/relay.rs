//! The bare relay as a program: `relay PORT` listens on that port of loopback.

use std::process::ExitCode;

fn main() -> ExitCode {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    let Some(port) = port else {
        eprintln!("relay: give the port to listen on, such as: relay 1883");
        return ExitCode::FAILURE;
    };
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    match skein_bench::Relay::bind(address).and_then(skein_bench::Relay::serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
