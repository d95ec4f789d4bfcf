//! What is wrong with an installation, in plain sentences: `picket doctor`.
//!
//! Every check looks at one thing and finds it well, worth a warning or faulty; what is not well comes with what to do.
//! Nothing is changed: the database is only read, and what is written to measure the disk is a file without a name. A
//! server may run or not; what can only be told while one runs is told then.

mod certificate;
mod disk;
mod file;
mod mail;
mod server;

use std::path::PathBuf;

use crate::domain::dsn::UrlPrefix;
use crate::domain::mail::MailSettings;
use crate::domain::outbound::OutboundSettings;
use crate::domain::size::show as size;
use crate::domain::time::{Clock, Timestamp};
use crate::store::connection::directory_of;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Ok,
    Warning,
    Fault,
}

impl Verdict {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Fault => "fault",
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// A fixed word.
    pub(crate) check: &'static str,
    pub(crate) verdict: Verdict,
    /// A sentence without its full stop.
    pub(crate) text: String,
    /// What to do, where something is not well.
    pub(crate) advice: Option<String>,
}

/// What is looked at.
pub(crate) struct Subject {
    pub(crate) data: PathBuf,
    /// What is to stay free of the disk, if the server is told.
    pub(crate) min_free_disk: Option<u64>,
    /// None: a server takes a free port, so nobody knows.
    pub(crate) url_prefix: Option<UrlPrefix>,
    pub(crate) outbound: OutboundSettings,
    /// The file of the server's own certificate, if it speaks TLS.
    pub(crate) tls_cert: Option<PathBuf>,
    pub(crate) mail: Option<MailSettings>,
    /// Whom a letter is sent to; without it the server for mail is only spoken to.
    pub(crate) mail_to: Option<String>,
    /// Files and sockets that a server with these settings may want to have open at one time.
    pub(crate) descriptors_needed: u64,
    pub(crate) clock: Clock,
}

/// Looks at everything.
pub(crate) fn examine(subject: &Subject) -> Vec<Finding> {
    let mut report = Report::default();
    let found = file::examine(&mut report, &subject.data, subject.min_free_disk);
    disk::examine(&mut report, directory_of(&subject.data));
    let now = subject.clock.now();
    let newest = found.as_ref().and_then(|found| found.newest);
    clock(&mut report, now, newest);
    descriptors(&mut report, subject.descriptors_needed);
    server::examine(&mut report, subject, found.as_ref());
    if let Some(file) = &subject.tls_cert {
        certificate::examine(&mut report, "tls-cert", file, now);
    }
    if let Some(file) = &subject.outbound.ca_file {
        certificate::examine(&mut report, "outbound-ca-file", file, now);
    }
    mail::examine(
        &mut report,
        subject.mail.as_ref(),
        subject.mail_to.as_deref(),
    );
    report.0
}

/// The findings so far.
#[derive(Default)]
struct Report(Vec<Finding>);

impl Report {
    fn ok(&mut self, check: &'static str, text: impl Into<String>) {
        self.add(check, Verdict::Ok, text.into(), None);
    }

    fn warn(&mut self, check: &'static str, text: impl Into<String>, advice: impl Into<String>) {
        self.add(check, Verdict::Warning, text.into(), Some(advice.into()));
    }

    fn fault(&mut self, check: &'static str, text: impl Into<String>, advice: impl Into<String>) {
        self.add(check, Verdict::Fault, text.into(), Some(advice.into()));
    }

    fn add(&mut self, check: &'static str, verdict: Verdict, text: String, advice: Option<String>) {
        self.0.push(Finding {
            check,
            verdict,
            text,
            advice,
        });
    }
}

/// This program is younger.
const EARLIEST: Timestamp = Timestamp::from_secs(1_767_225_600);
/// Fifty years on.
const LATEST: Timestamp = Timestamp::from_secs(3_345_062_400);
/// Clocks that are set over the network differ by less.
const CLOCK_TOLERANCE_SECS: i64 = 60;

fn clock(report: &mut Report, now: Timestamp, newest: Option<Timestamp>) {
    const SET_IT: &str = "set the clock, best by a service such as chrony or systemd-timesyncd";
    if now < EARLIEST || now > LATEST {
        return report.fault(
            "clock",
            format!("the clock says {now}, which cannot be"),
            SET_IT,
        );
    }
    match newest.filter(|newest| *newest > now.plus_secs(CLOCK_TOLERANCE_SECS)) {
        Some(newest) => report.fault(
            "clock",
            format!("the clock says {now}, and the database has a row of {newest}"),
            "the clock is behind, or was ahead when that row was written: look which, and set it; until the clock has \
             caught up, statistics and rate limits of that time are wrong",
        ),
        None => report.ok("clock", format!("the clock says {now}, later than every row")),
    }
}

fn descriptors(report: &mut Report, needed: u64) {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    match limit.filter(|limit| *limit < needed) {
        Some(limit) => report.warn(
            "open-files",
            format!("{limit} open files are allowed here, and {needed} may be wanted at one time"),
            "a server that is started from here serves fewer connections than --max-connections; raise the hard limit \
             (ulimit -Hn, LimitNOFILE= of a systemd unit)",
        ),
        None => report.ok(
            "open-files",
            format!("as many files may be open here as a server may want, which is {needed}"),
        ),
    }
}

/// A length of time as people say it.
fn span(secs: u64) -> String {
    let (count, unit) = match secs {
        0..120 => (secs, "second"),
        120..7200 => (secs / 60, "minute"),
        7200..172_800 => (secs / 3600, "hour"),
        _ => (secs / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock_at(now: i64, newest: Option<i64>) -> Finding {
        let mut report = Report::default();
        clock(
            &mut report,
            Timestamp::from_secs(now),
            newest.map(Timestamp::from_secs),
        );
        report.0.remove(0)
    }

    #[test]
    fn a_clock_that_cannot_be_right_is_a_fault() {
        let now = 1_780_000_000;
        for (now, newest, verdict) in [
            (0, None, Verdict::Fault),
            (4_000_000_000, None, Verdict::Fault),
            (now, None, Verdict::Ok),
            (now, Some(now - 1), Verdict::Ok),
            (now, Some(now + 59), Verdict::Ok),
            (now, Some(now + 61), Verdict::Fault),
        ] {
            assert_eq!(clock_at(now, newest).verdict, verdict, "{now} {newest:?}");
        }
    }

    #[test]
    fn numbers_are_said_as_people_say_them() {
        assert_eq!(span(1), "1 second");
        assert_eq!(span(7199), "119 minutes");
        assert_eq!(span(86_400 * 30), "30 days");
    }
}
