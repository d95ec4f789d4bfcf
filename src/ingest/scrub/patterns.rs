//! Parts of texts that are recognized by their form (facts/ingestion.md 9.2 and 9.3): card numbers, account
//! numbers, keys, passwords in urls. The rest of the text stays.
//!
//! An expression runs only over texts whose signs (`words::Signs`) make a match possible. All of them run in time
//! linear to the text.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::addresses;
use super::words::Signs;

/// A rule as `_meta` names it, and what it puts in a value's place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) id: &'static str,
    pub(super) replacement: &'static str,
}

/// What a whole value becomes.
pub(super) const FILTERED: &str = "[Filtered]";

pub(super) const fn filter(id: &'static str) -> Rule {
    Rule {
        id,
        replacement: FILTERED,
    }
}

/// A rule that says what it has taken away.
const fn replace(id: &'static str, replacement: &'static str) -> Rule {
    Rule { id, replacement }
}

pub(super) static CARD: Rule = filter("@creditcard:filter");
static ADDRESS: Rule = replace("@ip:replace", "[ip]");

const URL_PASSWORD: &str = "@urlauth:legacy";
const EMAIL: &str = "@email:replace";

/// One form that is looked for.
struct Pattern {
    /// The rule for data; none: not looked for there.
    data: Option<Rule>,
    /// The rule for messages, of which as much as possible is to stay readable; none: not looked for there.
    message: Option<Rule>,
    possible: fn(&Signs) -> bool,
    /// The first group is what is replaced; without a group, the match.
    expression: LazyLock<Regex>,
}

static PATTERNS: [Pattern; 7] = [
    Pattern {
        data: Some(filter("@creditcard:filter")),
        message: Some(replace("@creditcard:replace", "[creditcard]")),
        possible: |signs| signs.digits >= 15,
        expression: LazyLock::new(|| {
            expression(concat!(
                r"(?-u:\b)(?:3[ -]?[47](?:[ -]?[0-9]){13}|4(?:[ -]?[0-9]){15}|5[ -]?[1-5](?:[ -]?[0-9]){14}",
                r"|6[ -]?5(?:[ -]?[0-9]){14}|6[ -]?0[ -]?1[ -]?1(?:[ -]?[0-9]){12})(?-u:\b)",
            ))
        }),
    },
    Pattern {
        data: Some(filter("@iban:filter")),
        message: Some(replace("@iban:replace", "[iban]")),
        possible: |signs| signs.digits >= 2 && signs.longest_run >= 15,
        expression: LazyLock::new(|| {
            expression(concat!(
                r"(?i-u)\b(?:AD|AE|AL|AT|AZ|BA|BE|BG|BH|BI|BR|BY|CH|CR|CY|CZ|DE|DJ|DK|DO|EE|EG|ES|FI|FK|FO|FR|GB|GE",
                r"|GI|GL|GR|GT|HN|HR|HU|IE|IL|IQ|IS|IT|JO|KW|KZ|LB|LC|LI|LT|LU|LV|LY|MC|MD|ME|MK|MN|MR|MT|MU|NI|NL|NO",
                r"|OM|PK|PL|PS|PT|QA|RO|RS|RU|SA|SC|SD|SE|SI|SK|SM|SO|ST|SV|TL|TN|TR|UA|VA|VG|XK|YE)",
                r"[0-9]{2}[a-z0-9]{11,29}\b",
            ))
        }),
    },
    Pattern {
        data: Some(filter("@pemkey:filter")),
        message: None,
        possible: |signs| signs.pem,
        // A key that was cut off before its end is a key as well.
        expression: LazyLock::new(|| {
            expression(
                r"(?is-u)-----BEGIN [A-Z0-9 ]*(?:PRIVATE|PUBLIC) KEY-----(?:\s|\\n|\\r)*((?u:.)+?)(?:\s|\\n|\\r)*(?:-----END|\z)",
            )
        }),
    },
    Pattern {
        data: Some(filter(URL_PASSWORD)),
        message: Some(filter(URL_PASSWORD)),
        possible: |signs| signs.scheme && signs.at(),
        expression: LazyLock::new(|| {
            expression(r#"[A-Za-z0-9+.-]://[^\t\n\r "'<>/?#:@]*:([^\t\n\r "'<>/]+)@"#)
        }),
    },
    Pattern {
        data: Some(filter("@usssn:filter")),
        message: Some(replace("@usssn:replace", "[us-ssn]")),
        possible: |signs| signs.digits >= 9 && signs.hyphen(),
        expression: LazyLock::new(|| expression(r"(?-u:\b)[0-9]{3}-[0-9]{2}-[0-9]{4}(?-u:\b)")),
    },
    Pattern {
        data: Some(filter("@bearer:filter")),
        message: Some(replace("@bearer:replace", "Bearer [token]")),
        possible: |signs| signs.bearer,
        expression: LazyLock::new(|| {
            expression(r#"(?-u:\b)[Bb][Ee][Aa][Rr][Ee][Rr][\t ]+[^\t\n\r "',;<>]+"#)
        }),
    },
    Pattern {
        data: None,
        message: Some(replace(EMAIL, "[email]")),
        possible: Signs::at,
        expression: LazyLock::new(|| {
            expression(
                r"[A-Za-z0-9._%+'-]+@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]",
            )
        }),
    },
];

fn expression(text: &str) -> Regex {
    Regex::new(text).expect("the expressions are constants")
}

/// What kind of text is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Data,
    Message,
}

/// A part of a text that a rule replaces.
pub(super) struct Hit {
    range: Range<usize>,
    pub(super) rule: &'static Rule,
}

/// The parts that the default rules for this kind of text replace.
pub(super) fn find(text: &str, role: Role, signs: &Signs, hits: &mut Vec<Hit>) {
    let first = hits.len();
    for pattern in &PATTERNS {
        let rule = match role {
            Role::Data => &pattern.data,
            Role::Message => &pattern.message,
        };
        let Some(rule) = rule else { continue };
        if !(pattern.possible)(signs) {
            continue;
        }
        if rule.id == URL_PASSWORD && hits.len() > first {
            let masked = masked(text, &hits[first..]);
            hits.extend(pattern.find(&masked).map(|range| Hit { range, rule }));
        } else {
            hits.extend(pattern.find(text).map(|range| Hit { range, rule }));
        }
    }
}

/// The text with what was found in it made plain letters. A card's number may have spaces in it, which no password of a
/// url has: once the number is gone, what is around it would be one.
fn masked(text: &str, hits: &[Hit]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for hit in hits {
        for byte in &mut bytes[hit.range.clone()] {
            if byte.is_ascii() {
                *byte = b'x';
            }
        }
    }
    // It is text still: only whole characters were changed.
    String::from_utf8(bytes).unwrap_or_default()
}

/// The passwords in a text's urls, where no other pattern is looked for.
pub(super) fn find_url_passwords(text: &str, signs: &Signs, hits: &mut Vec<Hit>) {
    let pattern = &PATTERNS[3];
    if let Some(rule) = &pattern.data
        && (pattern.possible)(signs)
    {
        hits.extend(pattern.find(text).map(|range| Hit { range, rule }));
    }
}

/// Addresses of the Internet protocol (facts/ingestion.md 9.4).
pub(super) fn find_addresses(text: &str, hits: &mut Vec<Hit>) {
    let rule = &ADDRESS;
    hits.extend(addresses::find(text).map(|range| Hit { range, rule }));
}

/// Whether a number, written out, is a card's.
pub(super) fn is_card(number: &str) -> bool {
    PATTERNS[0].expression.is_match(number)
}

impl Pattern {
    fn find<'t>(&'static self, text: &'t str) -> impl Iterator<Item = Range<usize>> + use<'t> {
        let expression: &'static Regex = &self.expression;
        expression
            .captures_iter(text)
            .filter_map(|found| Some(found.get(1).or(found.get(0))?.range()))
    }
}

/// A text with parts replaced, and what stands where in it: rules and byte ranges.
pub(super) struct Replaced {
    pub(super) text: String,
    pub(super) parts: Vec<(&'static Rule, Range<usize>)>,
}

/// Replaces the parts. Of parts that overlap, the first one's rule takes them together.
pub(super) fn replace_all(text: &str, mut hits: Vec<Hit>) -> Replaced {
    hits.sort_by_key(|hit| hit.range.start);
    hits.dedup_by(|next, last| {
        let overlap = next.range.start < last.range.end;
        // What looks like a mail address behind a url's password is the password and the url's host, which stays.
        let is_host = last.rule.id == URL_PASSWORD && next.rule.id == EMAIL;
        if overlap && !is_host {
            last.range.end = last.range.end.max(next.range.end);
        }
        overlap
    });
    let mut replaced = Replaced {
        text: String::with_capacity(text.len()),
        parts: Vec::with_capacity(hits.len()),
    };
    let mut done = 0;
    for hit in hits {
        replaced.text.push_str(&text[done..hit.range.start]);
        let start = replaced.text.len();
        replaced.text.push_str(hit.rule.replacement);
        let range = start..replaced.text.len();
        replaced.parts.push((hit.rule, range));
        done = hit.range.end;
    }
    replaced.text.push_str(&text[done..]);
    replaced
}
