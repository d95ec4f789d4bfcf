//! Runs the real program: each [`Binary`] in a directory and an environment of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take that normally takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// The program, to be run in a temporary directory.
pub(crate) struct Binary {
    directory: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

/// What a command left.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Binary {
    pub(crate) fn new() -> Binary {
        Binary {
            directory: tempfile::tempdir().expect("a temporary directory"),
            environment: Vec::new(),
        }
    }

    /// Sets a variable for every run from here on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file can be written");
    }

    /// A connection of the test's own to `picket.db`.
    pub(crate) fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path("picket.db")).expect("the file opens")
    }

    /// The command, with nothing of this process's environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_picket"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .envs(self.environment.iter().map(|(n, v)| (n, v)))
            .stdin(Stdio::null());
        command
    }

    /// Runs a command that ends by itself.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let output = self
            .command(arguments)
            .output()
            .expect("the program can be run");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program writes UTF-8");
        Output {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Runs a command that must succeed; what it wrote.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.code, Some(0), "{arguments:?}: {output:?}");
        output.stdout
    }

    /// Starts a server on a free port and `picket.db`.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Process {
        let all = [&["serve", "--listen", "127.0.0.1:0"], arguments].concat();
        Process::start(self.command(&all))
    }
}

/// A server in a process of its own. Killed when dropped.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    /// Everything that was read from stdout so far, each line ended.
    pub(crate) printed: String,
    errors: Option<JoinHandle<String>>,
}

impl Process {
    /// Starts a command of [`Binary::command`] that serves, and waits until it does.
    pub(crate) fn start(mut command: Command) -> Process {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be run");
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let mut process = Process {
            child,
            lines: read_lines(stdout),
            printed: String::new(),
            errors: Some(read_all(stderr)),
        };
        process.wait_for("data in ");
        process
    }

    /// Reads until a line starts with this; the rest of that line.
    pub(crate) fn wait_for(&mut self, start: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                let errors = self.end();
                panic!("no line {start:?} in {:?}; stderr: {errors}", self.printed);
            };
            self.printed.push_str(&line);
            self.printed.push('\n');
            if let Some(rest) = line.strip_prefix(start) {
                return rest.to_owned();
            }
        }
    }

    /// What stands behind this at the start of a line that was read already.
    pub(crate) fn line(&self, start: &str) -> String {
        let found = self.printed.lines().find_map(|l| l.strip_prefix(start));
        found
            .unwrap_or_else(|| panic!("no line {start:?} in {}", self.printed))
            .to_owned()
    }

    /// The address that the server listens on.
    pub(crate) fn address(&self) -> String {
        let line = self.line("listening on ");
        line.split(' ').next().unwrap_or_default().to_owned()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the process is there");
    }

    /// Sends SIGTERM and waits for the end; the exit code and what was printed in all.
    pub(crate) fn terminate(mut self) -> Output {
        self.wait_after_term()
    }

    /// As [`Process::terminate`], of a process that others hold.
    pub(crate) fn wait_after_term(&mut self) -> Output {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self) -> Output {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self
                .child
                .try_wait()
                .expect("the process can be waited for")
            {
                break status;
            }
            assert!(Instant::now() < deadline, "the process never ended");
            std::thread::sleep(Duration::from_millis(5));
        };
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.printed.push_str(&line);
            self.printed.push('\n');
        }
        Output {
            code: status.code(),
            stdout: self.printed.clone(),
            stderr: self.end(),
        }
    }

    fn end(&mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.errors
            .take()
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

fn read_lines(stdout: ChildStdout) -> Receiver<String> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            let Ok(line) = line else { return };
            if send.send(line).is_err() {
                return;
            }
        }
    });
    receive
}

fn read_all(mut stderr: ChildStderr) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stderr.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The permission bits of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    let metadata = std::fs::metadata(path).expect("the file is there");
    metadata.permissions().mode() & 0o777
}
