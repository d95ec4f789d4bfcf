//! Bodies and items that are exactly as large as they may be, and one byte larger.

use super::bombs::gzip;
use super::category::*;
use super::{Attack, BODY_BYTES_MAX, FORM, Victim, container, form, item_with};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// `start`, filled up to a size, and `end`.
fn filled(start: &str, end: &str, bytes: usize) -> String {
    let filler = "x".repeat(bytes - start.len() - end.len());
    format!("{start}{filler}{end}")
}

/// A body of an endpoint, with what it counts as when it is taken.
struct Body {
    endpoint: &'static str,
    content_type: &'static str,
    bytes_max: usize,
    start: &'static str,
    end: &'static str,
    status: u16,
    accepted: &'static [i64],
    too_large: (i64, &'static str),
}

const BODIES: [Body; 6] = [
    Body {
        endpoint: "store/",
        content_type: "text/plain",
        bytes_max: MIB,
        start: "{\"a\":\"",
        end: "\"}",
        status: 200,
        accepted: &[ERROR],
        too_large: (ERROR, "too_large:event"),
    },
    Body {
        endpoint: "security/",
        content_type: "application/csp-report",
        bytes_max: MIB,
        start: "{\"csp-report\":{\"effective-directive\":\"img-src\",\"blocked-uri\":\"inline\",\"x\":\"",
        end: "\"}}",
        status: 200,
        accepted: &[SECURITY],
        too_large: (SECURITY, "too_large:security"),
    },
    Body {
        endpoint: "cron/job/",
        content_type: "application/json",
        bytes_max: 100 * KIB,
        start: "{\"status\":\"ok\",\"x\":\"",
        end: "\"}",
        status: 202,
        accepted: &[MONITOR],
        too_large: (DEFAULT, "too_large:check_in"),
    },
    Body {
        endpoint: "integration/otlp/v1/traces/",
        content_type: "application/json",
        bytes_max: 12 * MIB,
        start: "{\"x\":\"",
        end: "\"}",
        status: 202,
        accepted: &[],
        too_large: (DEFAULT, "too_large:span"),
    },
    Body {
        endpoint: "integration/otlp/v1/logs/",
        content_type: "application/json",
        bytes_max: 12 * MIB,
        start: "{\"x\":\"",
        end: "\"}",
        status: 202,
        accepted: &[],
        too_large: (DEFAULT, "too_large:log"),
    },
    Body {
        endpoint: "envelope/",
        content_type: "text/plain",
        bytes_max: BODY_BYTES_MAX,
        start: "{}\n{\"type\":\"newest\"}\n",
        end: "\n",
        status: 200,
        accepted: &[],
        too_large: (DEFAULT, "request_too_large"),
    },
];

/// Each body at its limit and a byte above, as it is and compressed. What is above every limit as it is, the
/// transport refuses before anybody knows whose it is.
fn bodies() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for body in &BODIES {
        let attack = |name: &str, bytes: Vec<u8>| {
            Attack::new(name, body.endpoint, bytes).content_type(body.content_type)
        };
        let text = |bytes| filled(body.start, body.end, bytes).into_bytes();
        let (most, more) = (text(body.bytes_max), text(body.bytes_max + 1));
        for taken in [
            attack("at the limit, encoded", gzip(&most)).encoded("gzip"),
            attack("at the limit", most),
        ] {
            let taken = taken.answered(body.status);
            let count = |attack: Attack, category: &i64| attack.accepted(*category, 1);
            attacks.push(body.accepted.iter().fold(taken, count));
        }
        let (category, reason) = body.too_large;
        attacks.push(
            attack("above the limit, encoded", gzip(&more))
                .encoded("gzip")
                .answered(413)
                .invalid(category, reason, 1),
        );
        let above = attack("above the limit", more).answered(413);
        attacks.push(match body.bytes_max {
            BODY_BYTES_MAX => above,
            _ => above.invalid(category, reason, 1),
        });
    }
    attacks
}

/// A kind of item, its most bytes, and what of a payload is not filler.
type Limit = (
    &'static str,
    usize,
    &'static str,
    &'static str,
    &'static [i64],
);

const LIMITS: [Limit; 10] = [
    ("event", MIB, "{\"a\":\"", "\"}", &[ERROR]),
    (
        "transaction",
        MIB,
        "{\"type\":\"transaction\",\"start_timestamp\":1,\"timestamp\":2,\
         \"contexts\":{\"trace\":{\"trace_id\":\"0123456789abcdef0123456789abcdef\",\"span_id\":\"0123456789abcdef\"}},\
         \"a\":\"",
        "\"}",
        &[TRANSACTION, TRANSACTION_INDEXED, SPAN, SPAN_INDEXED],
    ),
    (
        "feedback",
        MIB,
        "{\"contexts\":{\"feedback\":{\"message\":\"a\"}},\"a\":\"",
        "\"}",
        &[FEEDBACK],
    ),
    ("form_data", MIB, "[\"", "\"]", &[]),
    ("session", 10 * MIB, "{\"a\":\"", "\"}", &[SESSION]),
    ("client_report", 100 * KIB, "{\"a\":\"", "\"}", &[]),
    (
        "check_in",
        100 * KIB,
        "{\"check_in_id\":\"0123456789abcdef0123456789abcdef\",\"monitor_slug\":\"a\",\"status\":\"ok\",\"a\":\"",
        "\"}",
        &[MONITOR],
    ),
    ("replay_video", 10 * MIB, "", "", &[REPLAY]),
    ("statsd", MIB, "a:1|c", "", &[METRIC_BUCKET]),
    ("metric_buckets", MIB, "[", "]", &[METRIC_BUCKET]),
];

fn items() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for (kind, bytes_max, start, end, categories) in &LIMITS {
        let attack = |name: &str, bytes| {
            let body = item_with(kind, "", &filled(start, end, bytes));
            Attack::new(format!("{kind} {name}"), "envelope/", body)
        };
        let most = attack("at the limit", *bytes_max);
        let count = |attack: Attack, category: &i64| attack.accepted(*category, 1);
        attacks.push(categories.iter().fold(most, count));
        let more = attack("above the limit", bytes_max + 1).answered(413);
        let reason = format!("too_large:{kind}");
        let count = |attack: Attack, category: &i64| attack.invalid(*category, &*reason, 1);
        attacks.push(categories.iter().fold(more, count));
    }
    attacks
}

/// Containers, whose entries have a limit on average too: a kind, its entry's most bytes, and its categories.
const CONTAINERS: [(&str, usize, &[i64]); 3] = [
    ("log", 2 * MIB, &[LOG_ITEM]),
    ("trace_metric", MIB, &[TRACE_METRIC]),
    ("span", 10 * MIB, &[SPAN, SPAN_INDEXED]),
];

fn containers() -> Vec<Attack> {
    const AROUND: usize = "{\"items\":[]}".len();
    let mut attacks = Vec::new();
    for (kind, entry_bytes_max, categories) in CONTAINERS {
        for (name, bytes_max, count) in [("entry", entry_bytes_max, 1), ("entries", 12 * MIB, 16)] {
            let attack = |name: &str, bytes: usize| {
                let rest = ",{}".repeat(count - 1);
                let first = filled("{\"body\":\"", "\"}", bytes - AROUND - rest.len());
                let body = container(kind, &(first + &rest), count);
                Attack::new(format!("{kind} {name}"), "envelope/", body)
            };
            let log_bytes = |attack: Attack, outcome, reason: &str, bytes| match kind {
                "log" => attack.row(LOG_BYTE, outcome, reason, bytes),
                _ => attack,
            };
            let most = attack(&format!("{name} at the limit"), bytes_max);
            let most = categories.iter().fold(most, |a, c| a.accepted(*c, count));
            attacks.push(log_bytes(most, super::ACCEPTED, "", bytes_max));
            let more = attack(&format!("{name} above the limit"), bytes_max + 1).answered(413);
            let reason = format!("too_large:{kind}");
            let more = categories
                .iter()
                .fold(more, |a, c| a.invalid(*c, &*reason, count));
            attacks.push(log_bytes(more, super::INVALID, &reason, bytes_max + 1));
        }
    }
    attacks
}

/// The text of a form, which becomes part of an event.
fn forms() -> Vec<Attack> {
    let attack = |name: &str, bytes: usize| {
        let text = "x".repeat(bytes - "a".len());
        let body = form(&[("name=a", text.as_bytes()), ("name=b; filename=b", b"c")]);
        let endpoint = "events/aaaaaaaabbbb4cccddddeeeeeeeeeeee/attachments/";
        Attack::new(name, endpoint, body).content_type(FORM)
    };
    vec![
        attack("text at the limit", MIB)
            .answered(201)
            .accepted(ATTACHMENT, 1)
            .accepted(ATTACHMENT_ITEM, 1),
        attack("text above the limit", MIB + 1)
            .answered(413)
            .invalid(DEFAULT, "too_large:form_data", 1),
    ]
}

fn attacks() -> Vec<Attack> {
    [bodies(), items(), containers(), forms()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn each_limit_takes_what_it_says_and_not_a_byte_more() {
    Victim::start().withstands(&attacks());
}
