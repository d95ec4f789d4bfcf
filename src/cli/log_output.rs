//! The log: how much of it goes to stderr, how its lines look, and how often the same may be said.
//!
//! A warning tells of something refused or degraded, which a crowd of strangers can bring about as often as they like. So
//! of each kind, which is the place in the program that warns, one is written at once and then at most one every ten
//! seconds, with the number of those left out. What the operator has to see one by one (errors, and what a command says
//! about its own input) is always written.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use env_logger::Logger;
use log::{Level, LevelFilter, Log, Metadata, Record};
use serde_json::json;

use crate::config::{Config, LogFormat};
use crate::domain::time::Clock;

/// Of each kind of warning, one in this time.
const QUIET_FOR: Duration = Duration::from_secs(10);

/// Modules whose warnings strangers can bring about.
const LIMITED: [&str; 5] = [
    "picket::http",
    "picket::identity::single_sign_on",
    "picket::ingest",
    "picket::outbound",
    "picket::store",
];

/// Starts the log. `--log-level` says how much is written, else `RUST_LOG`; else a server tells its life cycle and any
/// other command only what is wrong. The TLS library would warn of whatever a stranger sends.
pub(super) fn start(config: &Config, serves: bool) {
    let default = match serves {
        true => "warn,picket=info,rustls=error",
        false => "warn,rustls=error",
    };
    let mut builder = match config.log_level {
        Some(level) => {
            let mut builder = env_logger::Builder::new();
            // Libraries have details of their own that are no help here.
            builder
                .filter_level(level.min(LevelFilter::Warn))
                .filter_module("rustls", level.min(LevelFilter::Error))
                .filter_module("picket", level);
            builder
        }
        None => {
            env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(default))
        }
    };
    if config.log_format == LogFormat::Json {
        builder.format(|out, record| {
            let line = json!({
                "time": Clock::system().now(),
                "level": record.level().as_str().to_ascii_lowercase(),
                "target": record.target(),
                "message": record.args().to_string(),
            });
            writeln!(out, "{line}")
        });
    }
    let logger = builder.build();
    let most = logger.filter();
    let limited = Limited {
        logger,
        kinds: Mutex::default(),
    };
    // A second start in one process, as in tests, keeps the first.
    if log::set_boxed_logger(Box::new(limited)).is_ok() {
        log::set_max_level(most);
    }
}

/// Passes on what may be written now.
struct Limited {
    logger: Logger,
    /// By file and line; there are as many as the program has places that warn.
    kinds: Mutex<HashMap<(&'static str, u32), Kind>>,
}

struct Kind {
    written: Instant,
    left_out: u64,
}

impl Kind {
    /// How many were left out before the one that may be written now; none if it may not.
    fn may_write(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.written) < QUIET_FOR {
            self.left_out += 1;
            return None;
        }
        self.written = now;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Limited {
    fn left_out(&self, record: &Record<'_>) -> Option<u64> {
        let (Some(file), Some(line)) = (record.file_static(), record.line()) else {
            return Some(0);
        };
        let now = Instant::now();
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        match kinds.get_mut(&(file, line)) {
            Some(kind) => kind.may_write(now),
            None => {
                let kind = Kind {
                    written: now,
                    left_out: 0,
                };
                kinds.insert((file, line), kind);
                Some(0)
            }
        }
    }
}

impl Log for Limited {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.logger.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.logger.matches(record) {
            return;
        }
        let is_limited = record.level() == Level::Warn
            && LIMITED
                .iter()
                .any(|module| record.target().starts_with(module));
        let left_out = match is_limited {
            true => self.left_out(record),
            false => Some(0),
        };
        match left_out {
            Some(0) => self.logger.log(record),
            Some(more) => self.logger.log(
                &Record::builder()
                    .metadata(record.metadata().clone())
                    .module_path_static(record.module_path_static())
                    .file_static(record.file_static())
                    .line(record.line())
                    .args(format_args!("{} ({more} more like it)", record.args()))
                    .build(),
            ),
            None => {}
        }
    }

    fn flush(&self) {
        self.logger.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_written_every_ten_seconds_and_tells_what_was_left_out() {
        let start = Instant::now();
        let mut kind = Kind {
            written: start,
            left_out: 0,
        };
        let at = |secs| start + Duration::from_secs(secs);
        assert_eq!(kind.may_write(at(1)), None);
        assert_eq!(kind.may_write(at(9)), None);
        assert_eq!(kind.may_write(at(10)), Some(2));
        assert_eq!(kind.may_write(at(11)), None);
        assert_eq!(kind.may_write(at(30)), Some(1));
    }
}
