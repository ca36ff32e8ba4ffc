//! A server of any maker as a child process: started, awaited, read, signalled, ended.
//!
//! The process belongs to the value: dropping it kills the process by its own id. When the test
//! panics, the last lines the process wrote are printed, because they usually say why.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::wait::{DEADLINE, wait_until};

/// Lines kept per process; a server that writes more in one test has its oldest lines dropped.
const LINES_MAX: usize = 20_000;
/// Lines shown when a test fails.
const LINES_SHOWN: usize = 40;

/// A running child process with its output.
#[derive(Debug)]
pub struct Server {
    name: String,
    child: Child,
    output: Arc<Output>,
}

#[derive(Debug, Default)]
struct Output {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
}

impl Server {
    /// Starts `command`; `name` is for messages. Standard input is empty, both outputs are captured.
    #[track_caller]
    pub fn start(name: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!(
                "cannot start {name} ({:?}): {error}. `cargo xtask setup` installs what the tests need.",
                command.get_program()
            ),
        };
        let output = Arc::new(Output::default());
        if let Some(stdout) = child.stdout.take() {
            capture(stdout, Arc::clone(&output));
        }
        if let Some(stderr) = child.stderr.take() {
            capture(stderr, Arc::clone(&output));
        }
        Self { name: name.to_owned(), child, output }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the process accepts connections on `address`.
    #[track_caller]
    pub fn wait_for_port(&mut self, address: SocketAddr) {
        let what = format!("{} answers on {address}", self.name);
        wait_until(&what, DEADLINE, || {
            if let Some(status) = self.exit_status() {
                panic!("{} ended ({status}) before it answered on {address}", self.name);
            }
            TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
        });
    }

    /// Waits until a line that contains `text` has been written, and returns the line.
    #[track_caller]
    pub fn wait_for_line(&self, text: &str) -> String {
        let (_, line) = self.wait_for_line_from(0, text);
        line
    }

    /// Like [`Self::wait_for_line`], looking only at lines from number `first` on; returns the
    /// number to continue from as well.
    #[track_caller]
    pub fn wait_for_line_from(&self, first: usize, text: &str) -> (usize, String) {
        let start = Instant::now();
        let mut lines = self.output.lines.lock();
        loop {
            let found = lines.iter().enumerate().skip(first).find(|(_, line)| line.contains(text));
            if let Some((number, line)) = found {
                return (number + 1, line.clone());
            }
            let left = DEADLINE.saturating_sub(start.elapsed());
            if left.is_zero() || self.output.grown.wait_for(&mut lines, left).timed_out() {
                drop(lines);
                panic!("{} did not write {text:?} within {DEADLINE:?}", self.name);
            }
        }
    }

    /// The lines written so far to either output.
    pub fn lines(&self) -> Vec<String> {
        self.output.lines.lock().clone()
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.exit_status().is_none()
    }

    /// Sends a signal by name, such as `HUP` or `STOP`.
    #[track_caller]
    pub fn signal(&self, signal: &str) {
        // The shell's own kill: /bin/kill is not part of a minimal Debian.
        let script = format!("kill -{signal} {}", self.pid());
        let sent = Command::new("sh").args(["-c", &script]).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send SIG{signal} to {}", self.name);
    }

    /// Asks the process to stop (SIGTERM) and waits until it has.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait_for_end()
    }

    /// Ends the process at once (SIGKILL) and waits until it is gone.
    #[track_caller]
    pub fn kill(&mut self) -> ExitStatus {
        if let Err(error) = self.child.kill() {
            panic!("cannot kill {}: {error}", self.name);
        }
        self.wait_for_end()
    }

    /// Waits until the process has ended by itself.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let mut ended = None;
        wait_until(&format!("{} has ended", self.name), DEADLINE, || {
            ended = self.exit_status();
            ended.is_some()
        });
        ended.expect("the wait ends only with a status")
    }

    #[track_caller]
    fn exit_status(&mut self) -> Option<ExitStatus> {
        match self.child.try_wait() {
            Ok(status) => status,
            Err(error) => panic!("cannot ask for the state of {}: {error}", self.name),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            let lines = self.output.lines.lock();
            let skipped = lines.len().saturating_sub(LINES_SHOWN);
            eprintln!("--- last lines of {} ({skipped} before them)", self.name);
            for line in lines.iter().skip(skipped) {
                eprintln!("{line}");
            }
        }
    }
}

fn capture(stream: impl Read + Send + 'static, output: Arc<Output>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        // Ends with the process; a line that is not UTF-8 is kept as well as it can be shown.
        while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            let mut lines = output.lines.lock();
            if lines.len() >= LINES_MAX {
                lines.drain(..LINES_MAX / 2);
            }
            lines.push(text);
            output.grown.notify_all();
        }
    });
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn shell(script: &str) -> Server {
        Server::start("a shell", Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn captures_both_outputs_in_order() {
        let mut server = shell("echo one; echo two >&2; echo three");
        assert!(server.wait_for_end().success());
        server.wait_for_line("two");
        let (next, line) = server.wait_for_line_from(0, "one");
        assert_eq!(line, "one");
        server.wait_for_line_from(next, "three");
        assert_eq!(server.lines().len(), 3);
    }

    #[test]
    fn terminates_by_signal() {
        let mut server = shell("trap 'echo bye; exit 7' TERM; echo ready; while :; do :; done");
        server.wait_for_line("ready");
        assert!(server.is_running());
        assert_eq!(server.terminate().code(), Some(7));
        server.wait_for_line("bye");
    }

    #[test]
    fn kills_at_once() {
        let mut server = shell("trap '' TERM; echo ready; exec cat /dev/zero > /dev/null");
        server.wait_for_line("ready");
        assert_eq!(server.kill().signal(), Some(9));
    }

    #[test]
    fn a_dropped_server_is_gone() {
        let server = shell("echo ready; exec cat /dev/zero > /dev/null");
        server.wait_for_line("ready");
        let pid = server.pid();
        drop(server);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
}
