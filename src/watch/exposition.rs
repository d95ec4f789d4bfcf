//! Writes Prometheus' text format, version 0.0.4.
//!
//! A family is its help, its type and its samples, in one piece, each family once: the writer keeps the order, so what
//! is asked for in order comes out valid.

use std::fmt::{Display, Write};

use crate::domain::measure::BOUNDS_US;
use crate::http::Durations;

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text so far.
pub(super) struct Exposition(String);

/// One family, to which samples are added.
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Exposition {
    pub(super) fn new() -> Exposition {
        Exposition(String::with_capacity(16 * 1024))
    }

    /// Of numbers that only grow; the name ends in `_total`.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    /// Of numbers that go up and down.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    /// Of times in seconds; the name ends in `_seconds`.
    pub(super) fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a String cannot fail, here and below.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family {
            text: &mut self.0,
            name,
        }
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// The only sample of a family without labels.
    pub(super) fn value(self, value: impl Display) {
        let _ = writeln!(self.text, "{} {value}", self.name);
    }

    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.line("", labels, &value);
        self
    }

    /// The buckets, the sum and the count of a histogram.
    pub(super) fn durations(&mut self, labels: &[(&str, &str)], durations: &Durations) {
        let mut count = 0;
        for (bucket, number) in durations.buckets.iter().enumerate() {
            count += number;
            let bound = match BOUNDS_US.get(bucket) {
                Some(us) => seconds(*us),
                None => "+Inf".to_owned(),
            };
            self.line("_bucket", &[labels, &[("le", &bound)]].concat(), &count);
        }
        self.line("_sum", labels, &seconds(durations.sum_us));
        self.line("_count", labels, &count);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: &dyn Display) {
        let _ = write!(self.text, "{}{suffix}", self.name);
        for (number, (name, text)) in labels.iter().enumerate() {
            let open = if number == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{open}{name}=\"{}\"", escaped(text));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{close} {value}");
    }
}

/// Microseconds as seconds, exactly, and never in the notation with an exponent.
pub(super) fn seconds(us: u64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_comes_in_one_piece() {
        let mut text = Exposition::new();
        text.counter("a_total", "What is\ncounted \\ here.")
            .sample(&[("x", "1"), ("y", "a\"b\\c\nd")], 3)
            .sample(&[("x", "2"), ("y", "")], 0);
        text.gauge("b_bytes", "Bytes.").value(5);
        assert_eq!(
            text.finish(),
            "# HELP a_total What is\\ncounted \\\\ here.\n# TYPE a_total counter\n\
             a_total{x=\"1\",y=\"a\\\"b\\\\c\\nd\"} 3\na_total{x=\"2\",y=\"\"} 0\n\
             # HELP b_bytes Bytes.\n# TYPE b_bytes gauge\nb_bytes 5\n"
        );
    }

    #[test]
    fn a_histogram_adds_up_to_its_count() {
        let mut durations = Durations::default();
        durations.buckets[0] = 2;
        durations.buckets[BOUNDS_US.len()] = 1;
        durations.sum_us = 12_000_400;
        let mut text = Exposition::new();
        text.histogram("a_seconds", "Times.")
            .durations(&[("front", "api")], &durations);
        let text = text.finish();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(lines[0], "a_seconds_bucket{front=\"api\",le=\"0.0005\"} 2");
        assert_eq!(
            lines[14..],
            [
                "a_seconds_bucket{front=\"api\",le=\"+Inf\"} 3",
                "a_seconds_sum{front=\"api\"} 12.0004",
                "a_seconds_count{front=\"api\"} 3",
            ]
        );
        assert_eq!(lines[13], "a_seconds_bucket{front=\"api\",le=\"10\"} 2");
    }
}
