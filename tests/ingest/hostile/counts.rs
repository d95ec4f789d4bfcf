//! A hundred thousand of everything, and lists of a million entries.

use super::category::*;
use super::{Attack, DUMP, DUMP_PART, FORM, Victim, bombs, container, envelope, form, item};

const MANY: usize = 100_000;

/// An envelope with the same item so many times.
fn repeated(name: &str, one: &str, count: usize) -> Attack {
    let body = envelope(format!("{one}\n").repeat(count));
    Attack::new(format!("{count} of {name}"), "envelope/", body)
}

/// Items beyond what an envelope may have: all of them are dropped and counted.
fn items() -> Vec<Attack> {
    let session = "{\"type\":\"session\"}\n{}";
    let attachment = "{\"type\":\"attachment\"}\nabc";
    let report = "{\"type\":\"client_report\"}\n{}";
    let span = "{\"type\":\"span\"}\n{}";
    let spans = "{\"type\":\"span\",\"item_count\":1,\"content_type\":\"application/vnd.sentry.items.span.v2+json\"}\n{\"items\":[{}]}";
    let logs = "{\"type\":\"log\",\"item_count\":1,\"content_type\":\"application/vnd.sentry.items.log+json\"}\n{\"items\":[{}]}";
    let plain = "attachment:attachment";
    let too_many = |kind: &str, one: &str, count: usize, category: i64| {
        repeated(kind, one, count).answered(413).invalid(
            category,
            format!("too_large:{kind}"),
            count,
        )
    };
    vec![
        repeated("session", session, 100).accepted(SESSION, 100),
        too_many("session", session, 101, SESSION),
        too_many("session", session, MANY, SESSION),
        repeated("attachment", attachment, 30)
            .accepted(ATTACHMENT, 90)
            .accepted(ATTACHMENT_ITEM, 30),
        too_many(plain, attachment, 31, ATTACHMENT_ITEM).invalid(
            ATTACHMENT,
            format!("too_large:{plain}"),
            93,
        ),
        too_many(plain, attachment, MANY, ATTACHMENT_ITEM).invalid(
            ATTACHMENT,
            format!("too_large:{plain}"),
            3 * MANY,
        ),
        repeated("client_report", report, 100),
        repeated("client_report", report, 101).answered(413),
        repeated("client_report", report, MANY).answered(413),
        repeated("span", span, 25)
            .accepted(SPAN, 25)
            .accepted(SPAN_INDEXED, 25),
        too_many("span", span, 26, SPAN).invalid(SPAN_INDEXED, "too_large:span", 26),
        too_many("span", span, MANY, SPAN).invalid(SPAN_INDEXED, "too_large:span", MANY),
        too_many("span", spans, 2, SPAN).invalid(SPAN_INDEXED, "too_large:span", 2),
        too_many("log", logs, 2, LOG_ITEM).invalid(LOG_BYTE, "too_large:log", 2 * 14),
        too_many("event", "{\"type\":\"event\"}\n{}", MANY, ERROR),
        too_many("feedback", "{\"type\":\"feedback\"}\n{}", MANY, FEEDBACK),
        too_many(
            "user_report",
            "{\"type\":\"user_report\"}\n{}",
            MANY,
            FEEDBACK,
        ),
        too_many("check_in", "{\"type\":\"check_in\"}\n{}", MANY, MONITOR),
        too_many("statsd", "{\"type\":\"statsd\"}\na", MANY, METRIC_BUCKET),
        too_many(
            "replay_event",
            "{\"type\":\"replay_event\"}\n{}",
            MANY,
            REPLAY,
        ),
        repeated("form_data", "{\"type\":\"form_data\"}\n[]", MANY).answered(413),
        repeated("an unknown type", "{\"type\":\"newest\"}\n{}", MANY),
        repeated("an empty line", "", MANY),
    ]
}

/// Containers of entries that are within every limit: all of them are taken and counted.
fn entries() -> Vec<Attack> {
    let list = |entry: &str| vec![entry; MANY].join(",");
    let log = list("{\"timestamp\":1,\"level\":\"info\",\"body\":\"a\"}");
    let span = list("{\"span_id\":\"0123456789abcdef\",\"trace_id\":\"a\"}");
    let metric = list("{\"name\":\"a\",\"value\":1}");
    let attack = |kind: &str, list: &str, count: usize| {
        Attack::new(kind, "envelope/", container(kind, list, count))
    };
    let log_bytes = log.len() + "{\"items\":[]}".len();
    let long_numbers = format!("{{\"a\":[{}]}}", ["1e15"; 200_000].join(","));
    vec![
        attack("log", &log, MANY)
            .accepted(LOG_ITEM, MANY)
            .accepted(LOG_BYTE, log_bytes),
        attack("log", &log, MANY + 1)
            .invalid(LOG_ITEM, "invalid_log", MANY)
            .invalid(LOG_BYTE, "invalid_log", log_bytes),
        attack("span", &span, MANY)
            .accepted(SPAN, MANY)
            .accepted(SPAN_INDEXED, MANY),
        attack("trace_metric", &metric, MANY).accepted(TRACE_METRIC, MANY),
        // No objects.
        attack("span", &vec!["1"; 10 * MANY].join(","), 10 * MANY)
            .invalid(SPAN, "invalid_span", 10 * MANY)
            .invalid(SPAN_INDEXED, "invalid_span", 10 * MANY),
        // Numbers that are written longer than they were read, up to a bound.
        attack("trace_metric", &long_numbers, 1).accepted(TRACE_METRIC, 1),
        attack("span", &[&*long_numbers; 10].join(","), 10)
            .invalid(SPAN, "invalid_span", 10)
            .invalid(SPAN_INDEXED, "invalid_span", 10),
    ]
}

/// Events with long lists where objects are expected, and with objects of many keys.
fn events() -> Vec<Attack> {
    let ones = vec!["1"; 500_000].join(",");
    let lists = vec!["[]"; 330_000].join(",");
    let objects = vec!["{}"; 330_000].join(",");
    let pairs = vec!["[0,0]"; 160_000].join(",");
    let keys: Vec<String> = (0..80_000).map(|n| format!("\"k{n}\":1")).collect();
    let keys = keys.join(",");
    let mut attacks = Vec::new();
    let mut others = [&lists, &objects, &pairs].into_iter().cycle();
    for place in [
        "{\"exception\":{\"values\":[?]}}",
        "{\"exception\":{\"values\":[{\"stacktrace\":{\"frames\":[?]}}]}}",
        "{\"threads\":{\"values\":[?]}}",
        "{\"breadcrumbs\":{\"values\":[?]}}",
        "{\"breadcrumbs\":[?]}",
        "{\"spans\":[?]}",
        "{\"tags\":[?]}",
        "{\"request\":{\"headers\":[?],\"url\":\"a\"}}",
        "{\"request\":{\"cookies\":[?]}}",
        "{\"debug_meta\":{\"images\":[?]}}",
        "{\"errors\":[?]}",
        "{\"fingerprint\":[?]}",
        "{\"extra\":{\"a\":[?]}}",
        "{\"logentry\":{\"message\":\"%s\",\"params\":[?]}}",
        "{\"modules\":[?]}",
        "{\"sdk\":{\"packages\":[?]}}",
        "{\"contexts\":[?]}",
        "{\"user\":[?]}",
        "{\"_meta\":[?]}",
        "{\"unknown\":[?]}",
    ] {
        // Of the other lists one each, for reading them is what takes long.
        for list in [&ones, others.next().unwrap_or(&ones)] {
            let name = format!("{place} of {}", &list[..3]);
            attacks.push(Attack::new(name, "store/", place.replace('?', list)).accepted(ERROR, 1));
        }
    }
    for place in [
        "{?}",
        "{\"tags\":{?}}",
        "{\"extra\":{?}}",
        "{\"user\":{?}}",
        "{\"contexts\":{?}}",
        "{\"contexts\":{\"a\":{?}}}",
        "{\"modules\":{?}}",
        "{\"request\":{\"headers\":{?}}}",
        "{\"request\":{\"cookies\":{?}}}",
        "{\"request\":{\"data\":{?}}}",
        "{\"request\":{\"query_string\":{?}}}",
        "{\"request\":{\"env\":{?}}}",
        "{\"logentry\":{\"message\":\"%(a)s\",\"params\":{?}}}",
        "{\"exception\":{\"values\":[{\"stacktrace\":{\"frames\":[{\"vars\":{?}}]}}]}}",
        "{\"breadcrumbs\":[{\"data\":{?}}]}",
        "{\"measurements\":{?}}",
        "{\"_meta\":{?}}",
    ] {
        let attack = Attack::new(
            format!("{place} of keys"),
            "store/",
            place.replace('?', &keys),
        );
        attacks.push(attack.accepted(ERROR, 1));
    }
    attacks
}

/// Form parts, annotations and files.
fn minidumps() -> Vec<Attack> {
    let parts: Vec<(&str, &[u8])> = vec![("name=a; filename=a", b""); MANY];
    let nils = [
        b"\x81\xa1a\xdd\x00\x0f\xf0\x00".to_vec(),
        vec![0xc0; 0xf_f000],
    ]
    .concat();
    let crumbs = [b"\xdd\x00\x0f\xf0\x00".to_vec(), vec![0xc0; 0xf_f000]].concat();
    let json = format!("{{\"a\":[{}]}}", vec!["1"; 500_000].join(","));
    let taken = |name: &str, parts: &[(&str, &[u8])]| {
        let parts: Vec<_> = parts.iter().copied().chain([(DUMP_PART, DUMP)]).collect();
        Attack::new(name, "minidump/", form(&parts))
            .content_type(FORM)
            .accepted(ERROR, 1)
            .accepted(ATTACHMENT, DUMP.len())
            .accepted(ATTACHMENT_ITEM, 1)
    };
    vec![
        Attack::new("parts", "minidump/", form(&parts))
            .content_type(FORM)
            .answered(400)
            .invalid(DEFAULT, "invalid_multipart", 1),
        Attack::new("parts, encoded", "minidump/", bombs::gzip(&form(&parts)))
            .content_type(FORM)
            .encoded("gzip")
            .answered(400)
            .invalid(DEFAULT, "invalid_multipart", 1),
        taken("a list in JSON", &[("name=sentry", json.as_bytes())]),
        taken(
            "a list in MessagePack",
            &[("name=__sentry-event; filename=a", &nils)],
        ),
        taken(
            "lists of breadcrumbs",
            &[
                ("name=__sentry-breadcrumb1; filename=a", &crumbs),
                ("name=__sentry-breadcrumb2; filename=b", &crumbs),
            ],
        ),
    ]
}

/// Other items with lists.
fn lists() -> Vec<Attack> {
    let ones = vec!["1"; 1_000_000].join(",");
    let entry = format!("{{\"a\":[{ones}]}}");
    let discarded = format!("{{\"discarded_events\":[{}]}}", vec!["1"; 50_000].join(","));
    let log = format!("{{\"items\":[{entry}]}}");
    vec![
        Attack::new(
            "client_report of ones",
            "envelope/",
            item("client_report", &discarded),
        ),
        Attack::new("session with a list", "envelope/", item("session", &entry)).invalid(
            SESSION,
            "invalid_json",
            1,
        ),
        Attack::new("log with a list", "envelope/", container("log", &entry, 1))
            .invalid(LOG_ITEM, "invalid_log", 1)
            .invalid(LOG_BYTE, "invalid_log", log.len()),
        Attack::new(
            "sessions of a list",
            "envelope/",
            item(
                "sessions",
                &format!("{{\"aggregates\":[{}]}}", vec!["{}"; 3_000_000].join(",")),
            ),
        )
        .invalid(SESSION, "invalid_json", 1),
        Attack::new(
            "reports",
            "security/",
            format!("[{}]", vec!["{}"; 340_000].join(",")),
        )
        .content_type("application/reports+json")
        .answered(413)
        .invalid(SECURITY, "too_large:security", 1),
        Attack::new(
            "reports",
            "nel/",
            format!("[{}]", vec!["{}"; 4_000_000].join(",")),
        )
        .content_type("application/reports+json")
        .answered(413)
        .invalid(DEFAULT, "too_large:log", 1),
    ]
}

#[test]
fn any_number_of_items_and_entries_is_counted_or_refused() {
    let attacks = [items(), entries()].concat();
    Victim::start().withstands(&attacks);
}

/// A megabyte of single digits is half a million values, and each costs thirty bytes in a tree: four such requests
/// at once need more than other hostile ones, yet only one of them is a tree at a time.
#[test]
fn long_lists_of_values_are_taken_or_refused() {
    let attacks = [events(), minidumps(), lists()].concat();
    Victim::start().withstands_within(&attacks, 144 << 20);
}
