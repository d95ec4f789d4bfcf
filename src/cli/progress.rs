//! How far a long command is, on a terminal; and whether it was told to stop.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::Failure;
use crate::domain::{Error, Result, size};

const BAR_WIDTH: u64 = 30;
/// Back to the start of the line, and all of it gone.
const EMPTY_LINE: &str = "\r\u{1b}[K";
const REDRAW_AFTER: Duration = Duration::from_millis(100);
/// Before that, how long it will still take is guesswork.
const GUESS_AFTER: Duration = Duration::from_secs(1);

/// A line on stderr that is drawn over and over; nothing where stderr is no terminal. Gone when dropped.
pub(super) struct Line {
    is_shown: bool,
    is_drawn: bool,
}

impl Line {
    pub(super) fn new() -> Line {
        Line {
            is_shown: std::io::stderr().is_terminal(),
            is_drawn: false,
        }
    }

    /// Of a text from elsewhere, what fits and moves no cursor.
    pub(super) fn draw(&mut self, text: &str) {
        if self.is_shown {
            let text: String = text.chars().filter(|c| !c.is_control()).take(100).collect();
            let _ = write!(std::io::stderr(), "{EMPTY_LINE}{text}");
            self.is_drawn = true;
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.is_drawn {
            let _ = write!(std::io::stderr(), "{EMPTY_LINE}");
        }
    }
}

/// How far a command is, on a [`Line`].
pub(super) struct Progress {
    what: &'static str,
    line: Line,
    begun: Instant,
    drawn_at: Option<Instant>,
    told_to_stop: Arc<AtomicBool>,
}

impl Progress {
    /// From here on a first signal to end is heard by [`Progress::update`]; a second ends the program at once.
    ///
    /// # Errors
    /// Signals cannot be waited for.
    pub(super) fn start(what: &'static str) -> Result<Progress, Failure> {
        let told_to_stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag down and raises it, the second finds it up.
            flag::register_conditional_shutdown(signal, 1, Arc::clone(&told_to_stop))
                .and_then(|_| flag::register(signal, Arc::clone(&told_to_stop)))
                .map_err(|error| Failure::Failed(format!("cannot wait for signals: {error}")))?;
        }
        Ok(Progress {
            what,
            line: Line::new(),
            begun: Instant::now(),
            drawn_at: None,
            told_to_stop,
        })
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// So many bytes are done.
    ///
    /// # Errors
    /// A signal said to stop.
    pub(super) fn update(&mut self, done: u64, of: u64) -> Result<()> {
        self.obey()?;
        let is_due = self.drawn_at.is_none_or(|at| at.elapsed() >= REDRAW_AFTER);
        if is_due || done >= of {
            self.say(&line(self.what, done, of, self.begun.elapsed()));
        }
        Ok(())
    }

    /// So many of a few steps are done.
    ///
    /// # Errors
    /// A signal said to stop.
    pub(super) fn update_count(&mut self, done: usize, of: usize) -> Result<()> {
        self.obey()?;
        let what = self.what;
        self.say(&format!("{what}: {done} of {of}"));
        Ok(())
    }

    fn obey(&self) -> Result<()> {
        match self.told_to_stop.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(Error::Refused(
                "it was told to stop, and left everything as it was".to_owned(),
            )),
        }
    }

    /// Says what goes on where nobody knows how long it takes.
    pub(super) fn say(&mut self, what: &str) {
        self.line.draw(what);
        self.drawn_at = Some(Instant::now());
    }
}

fn line(what: &str, done: u64, of: u64, elapsed: Duration) -> String {
    let parts = |whole: u64| u128::from(done) * u128::from(whole) / u128::from(of.max(1));
    let filled = usize::try_from(parts(BAR_WIDTH)).unwrap_or_default();
    let bar = format!("{:<width$}", "#".repeat(filled), width = BAR_WIDTH as usize);
    let mut text = format!("{what} [{bar}] {:>3} % of {}", parts(100), size::show(of));
    if elapsed >= GUESS_AFTER && done > 0 {
        let left = elapsed.as_secs_f64() * (of.saturating_sub(done)) as f64 / done as f64;
        text.push_str(&format!(", {left:.0} s left"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_far_it_is_and_how_long_it_takes() {
        assert_eq!(
            line("backing up", 1 << 29, 1 << 30, Duration::from_secs(3)),
            format!(
                "backing up [{}{}]  50 % of 1 GiB, 3 s left",
                "#".repeat(15),
                " ".repeat(15)
            )
        );
        assert_eq!(
            line("backing up", 0, 0, Duration::ZERO),
            format!("backing up [{}]   0 % of 0 bytes", " ".repeat(30))
        );
    }
}
