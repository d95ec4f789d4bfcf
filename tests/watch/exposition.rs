//! Reads Prometheus' text format as strictly as its specification is written, and a little more: units and `_total` in
//! names, each family in one piece, histograms that add up.

use std::collections::{BTreeMap, HashSet};

/// A whole answer of `/metrics`.
#[derive(Debug)]
pub(super) struct Exposition {
    /// Type by name.
    pub(super) families: BTreeMap<String, String>,
    /// In their order: name, labels, value.
    samples: Vec<(String, Labels, f64)>,
}

type Labels = Vec<(String, String)>;

impl Exposition {
    pub(super) fn parse(text: &str) -> Exposition {
        assert!(text.ends_with('\n'), "the last line is not ended");
        let mut read = Exposition {
            families: BTreeMap::new(),
            samples: Vec::new(),
        };
        let mut family = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, text) = help.split_once(' ').expect("a help has a text");
                assert!(!text.is_empty() && text.ends_with('.'), "{line}");
                let next = lines.next().expect("a type follows a help");
                let kind = next.strip_prefix(&format!("# TYPE {name} "));
                let kind = kind.unwrap_or_else(|| panic!("{next} does not follow {line}"));
                check_name(name, kind);
                name.clone_into(&mut family);
                let before = read.families.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "{name} comes twice");
                continue;
            }
            assert!(!line.starts_with('#') && !line.is_empty(), "{line:?}");
            let (name, labels, value) = parse_sample(line);
            let suffix = name.strip_prefix(&family);
            let suffix = suffix.unwrap_or_else(|| panic!("{line} is not of {family}"));
            match read.families[&family].as_str() {
                "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{line}"),
                _ => assert_eq!(suffix, "", "{line}"),
            }
            read.samples.push((name, labels, value));
        }
        read.check();
        read
    }

    /// The one sample with this name and exactly these labels.
    pub(super) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels)
            .unwrap_or_else(|| panic!("no sample {name} {labels:?}"))
    }

    pub(super) fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let is_same = |theirs: &Labels| {
            theirs
                .iter()
                .map(|(n, v)| (n.as_str(), v.as_str()))
                .eq(labels.iter().copied())
        };
        let found = self
            .samples
            .iter()
            .find(|(n, l, _)| n == name && is_same(l));
        found.map(|(_, _, value)| *value)
    }

    fn check(&self) {
        let mut seen = HashSet::new();
        for (name, labels, value) in &self.samples {
            assert!(seen.insert((name, labels)), "{name} {labels:?} comes twice");
            assert!(value.is_finite() && *value >= 0.0, "{name} {labels:?}");
        }
        for (name, kind) in &self.families {
            if kind == "histogram" {
                self.check_histogram(name);
            }
        }
    }

    fn check_histogram(&self, name: &str) {
        let mut series: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
        for (_, labels, value) in self
            .samples
            .iter()
            .filter(|(n, _, _)| *n == format!("{name}_bucket"))
        {
            let mut labels = labels.clone();
            let (last, bound) = labels.pop().expect("a bucket has a bound");
            assert_eq!(last, "le");
            let bound = match bound.as_str() {
                "+Inf" => f64::INFINITY,
                bound => bound.parse().expect("a number"),
            };
            series.entry(labels).or_default().push((bound, *value));
        }
        assert!(!series.is_empty(), "{name} has no buckets");
        for (labels, buckets) in series {
            assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
            let (bound, count) = *buckets.last().expect("buckets");
            assert_eq!(bound, f64::INFINITY);
            let labels: Vec<_> = labels.iter().map(|(n, v)| (&**n, &**v)).collect();
            assert_eq!(self.value(&format!("{name}_count"), &labels), count);
            self.value(&format!("{name}_sum"), &labels);
        }
    }
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_lowercase() || c == '_')
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn check_name(name: &str, kind: &str) {
    assert!(is_name(name), "{name}");
    assert!(
        name.starts_with("picket_") || name.starts_with("process_"),
        "{name}"
    );
    match kind {
        "counter" => assert!(name.ends_with("_total"), "{name}"),
        "histogram" => assert!(name.ends_with("_seconds"), "{name}"),
        "gauge" => assert!(!name.ends_with("_total"), "{name}"),
        _ => panic!("{name} is a {kind}"),
    }
}

fn parse_sample(line: &str) -> (String, Labels, f64) {
    let end = line.find(['{', ' ']).expect("a name ends");
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Labels::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, value) = rest.split_once("=\"").expect("a label has a value");
            assert!(is_name(label), "{line}");
            let (value, after) = unescaped(value);
            labels.push((label.to_owned(), value));
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None => {
                    rest = after.strip_prefix('}').expect("the labels end");
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').expect("one space before the value");
    assert!(!value.contains(' '), "{line}");
    (name.to_owned(), labels, value.parse().expect("a number"))
}

/// A label's value, and what follows its closing quote.
fn unescaped(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n') => value.push('\n'),
                Some(c @ ('"' | '\\')) => value.push(c),
                other => panic!("\\{other:?} in {text}"),
            },
            c => value.push(c),
        }
    }
    panic!("a value without its end: {text}")
}
