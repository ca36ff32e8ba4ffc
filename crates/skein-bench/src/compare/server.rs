//! Starts one server in a process of its own, runs the generator against it and stops it again.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{Case, Comparison, ServerDefinition};
use crate::{BenchError, Report};

const START_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause between two looks at a server that starts or ends.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// One run: a fresh server, the generator, the report.
pub(super) fn run_once(
    comparison: &Comparison,
    definition: &ServerDefinition,
    case: &Case,
) -> Result<Report, BenchError> {
    let server = Server::start(comparison, definition)?;
    let mut command = pinned(comparison.cores.map(|(_, core)| core), program_of(comparison)?);
    command.args(comparison.generator.iter().skip(1)).args(case.arguments());
    let seconds = if case.is_idle() { 1.0 } else { comparison.seconds };
    command
        .arg("--json")
        .args(["--host", &server.address().to_string()])
        .args(["--pid", &server.child.id().to_string()])
        .args(["--seconds", &seconds.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    let output = command.output().map_err(|source| BenchError::system("start the generator", source))?;
    // A report of a run in which messages were lost comes with a failure code; it is still a report.
    serde_json::from_slice(&output.stdout).map_err(|error| BenchError::Server {
        server: definition.name.clone(),
        reason: format!(
            "the generator gave no report ({error}): {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ),
    })
}

fn program_of(comparison: &Comparison) -> Result<&Path, BenchError> {
    comparison.generator.first().map(Path::new).ok_or_else(|| BenchError::Setting {
        setting: "--generator",
        value: String::new(),
        reason: "it must name the generator's program".to_owned(),
    })
}

/// `taskset` replaces itself by the program, so the process id stays the program's.
fn pinned(core: Option<usize>, program: &Path) -> Command {
    match core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &core.to_string()]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

#[derive(Debug)]
struct Server {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Server {
    fn start(comparison: &Comparison, definition: &ServerDefinition) -> Result<Self, BenchError> {
        let wrong = |reason: String| BenchError::Server { server: definition.name.clone(), reason };
        let system =
            |source: io::Error| wrong(format!("{source}. Check the path {}", definition.program.display()));
        let ports = free_ports().map_err(system)?;
        let folder = comparison.folder.join(format!("run-{}-{}", std::process::id(), ports[0]));
        fs::create_dir_all(&folder).map_err(system)?;
        let folder = folder.canonicalize().map_err(system)?;
        let config = folder.join(format!("server{}", definition.config_suffix));
        let fill = |text: &str| {
            let files = crate::process::open_files_max().unwrap_or(1024);
            text.replace("{port}", &ports[0].to_string())
                .replace("{port2}", &ports[1].to_string())
                .replace("{dir}", &folder.to_string_lossy())
                .replace("{config}", &config.to_string_lossy())
                .replace("{files}", &files.to_string())
        };
        if let Some(text) = &definition.config {
            fs::write(&config, fill(text)).map_err(system)?;
        }
        let log = fs::File::create(folder.join("output.log")).map_err(system)?;
        let child = pinned(comparison.cores.map(|(core, _)| core), &definition.program)
            .args(definition.args.iter().map(|arg| fill(arg)))
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(system)?)
            .stderr(log)
            .spawn()
            .map_err(system)?;
        let mut server = Self { child, port: ports[0], folder };
        server.wait_until_it_listens(&definition.name)?;
        Ok(server)
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    fn wait_until_it_listens(&mut self, name: &str) -> Result<(), BenchError> {
        let start = Instant::now();
        while TcpStream::connect(self.address()).is_err() {
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_some() || start.elapsed() > START_TIMEOUT {
                let output = fs::read_to_string(self.folder.join("output.log")).unwrap_or_default();
                let tail: Vec<&str> = output.lines().rev().take(5).collect();
                let what =
                    ended.map_or("it does not listen".to_owned(), |status| format!("it ended with {status}"));
                let reason = format!("{what}; its output ended with: {}", tail.join(" | "));
                return Err(BenchError::Server { server: name.to_owned(), reason });
            }
            std::thread::park_timeout(LOOK_AGAIN);
        }
        Ok(())
    }
}

impl Drop for Server {
    /// Nothing of the run is kept; a server that is gone already or a folder in use is no reason to stop.
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Two ports that are free now. Both are held until both are known, so that they differ.
fn free_ports() -> io::Result<[u16; 2]> {
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let second = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok([first.local_addr()?.port(), second.local_addr()?.port()])
}
