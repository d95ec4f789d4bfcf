//! Medians and ratios, as rows of Markdown.

use super::Series;
use super::servers::Variant;

pub(crate) const HEAD: &str = "\
| connections | | requests/s | to empty | to naive | p50 | p99 | CPU per request | to empty | memory |\n\
|---|---|---|---|---|---|---|---|---|---|";

pub(crate) fn print(connections: usize, all: &[Series]) {
    let of = |variant: Variant| {
        all.iter()
            .find(|series| series.variant == variant && !series.is_other)
            .expect("every variant is measured")
    };
    for series in all {
        let rate = median(series.rounds.iter().map(|m| m.per_second()));
        let against = |other: Variant, value: fn(&super::Measured) -> f64| {
            let pairs = series.rounds.iter().zip(&of(other).rounds);
            median(pairs.map(|(own, other)| value(own) / value(other)))
        };
        let to_empty = against(Variant::Empty, super::Measured::per_second);
        let to_naive = against(Variant::Naive, super::Measured::per_second);
        let cpu_to_empty = against(Variant::Empty, |m| m.cpu_per_request().as_secs_f64());
        let micros = |value: fn(&super::Measured) -> std::time::Duration| {
            median(series.rounds.iter().map(|m| value(m).as_secs_f64() * 1e6))
        };
        println!(
            "| {connections} | {} | {rate:.0} | {to_empty:.2} | {to_naive:.2} | {:.0} µs | {:.0} µs | {:.1} µs | \
             {cpu_to_empty:.2} | {:.0} MB |",
            series.name(),
            micros(|m| m.quantile(0.5)),
            micros(|m| m.quantile(0.99)),
            micros(super::Measured::cpu_per_request),
            series.memory as f64 / 1e6,
        );
    }
}

/// The rates of this build to those of the other one, round by round.
pub(crate) fn print_to_other(connections: usize, all: &[Series]) {
    for other in all.iter().filter(|series| series.is_other) {
        let own = all
            .iter()
            .find(|series| series.variant == other.variant && !series.is_other);
        let pairs = own
            .iter()
            .flat_map(|own| own.rounds.iter().zip(&other.rounds));
        let ratio = median(pairs.map(|(own, other)| own.per_second() / other.per_second()));
        println!(
            "{connections} connections, {}: {ratio:.2} of the other build's rate",
            other.variant.name()
        );
    }
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Series {
    fn name(&self) -> String {
        match self.is_other {
            true => format!("{}, other build", self.variant.name()),
            false => self.variant.name().to_owned(),
        }
    }
}
