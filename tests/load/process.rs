//! A server in a process of its own, watched from outside.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The clock ticks per second in which the kernel tells CPU times; fixed on Linux.
const TICKS_PER_SEC: u64 = 100;

pub(crate) struct Child {
    process: std::process::Child,
    address: SocketAddr,
}

impl Child {
    /// Starts this very program as a server and waits until it says where it listens.
    pub(crate) fn start(variant: &str) -> Child {
        let program = std::env::current_exe().expect("a program knows itself");
        Child::start_of(program.as_os_str(), variant)
    }

    /// As [`Child::start`], with this program of another build.
    pub(crate) fn start_of(program: &OsStr, variant: &str) -> Child {
        let mut process = Command::new(program)
            .args(["serve", variant])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts once more");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("the server says where it listens");
        let address = line.trim().parse().expect("an address");
        Child { process, address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// CPU time used so far, user and system.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))
            .expect("the server runs");
        // The fields after the name in parentheses; user and system time are the 14th and 15th in all.
        let rest = stat.rsplit_once(')').expect("a name in parentheses").1;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks: u64 = fields[11..13]
            .iter()
            .map(|text| text.parse::<u64>().expect("a number"))
            .sum();
        Duration::from_millis(ticks * 1000 / TICKS_PER_SEC)
    }

    /// Resident memory in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))
            .expect("the server runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("a size");
        let kib: u64 = line
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number");
        kib * 1024
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // The end of its input is the sign to end.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
