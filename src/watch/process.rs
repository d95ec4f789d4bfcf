//! What the system says about this process. Where it says nothing (it is not Linux), there is less to tell.

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// One moment. None: the system does not say.
pub(super) struct Process {
    /// Used by all threads, since the start, in user code and in the system's.
    pub(super) cpu_us: u64,
    pub(super) resident_bytes: Option<u64>,
    pub(super) virtual_bytes: Option<u64>,
    pub(super) threads: Option<u64>,
    pub(super) descriptors_open: Option<u64>,
    pub(super) descriptors_max: Option<u64>,
}

pub(super) fn read() -> Process {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |name| field(&status, name).map(|number| number.saturating_mul(1024));
    Process {
        cpu_us: u64::try_from(cpu.tv_sec * 1_000_000 + cpu.tv_nsec / 1_000).unwrap_or(0),
        resident_bytes: kib("VmRSS:"),
        virtual_bytes: kib("VmSize:"),
        threads: field(&status, "Threads:"),
        // One of them is for looking.
        descriptors_open: std::fs::read_dir("/proc/self/fd")
            .ok()
            .map(|entries| (entries.count() as u64).saturating_sub(1)),
        descriptors_max: getrlimit(Resource::Nofile).current,
    }
}

/// The first number of a line of `/proc/self/status`.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_about_this_process() {
        let process = read();
        assert!(process.cpu_us > 0);
        assert!(process.resident_bytes.unwrap() > 1 << 20);
        assert!(process.virtual_bytes.unwrap() >= process.resident_bytes.unwrap());
        assert!(process.threads.unwrap() >= 1);
        let open = process.descriptors_open.unwrap();
        assert!(open >= 3 && open < process.descriptors_max.unwrap());
    }
}
