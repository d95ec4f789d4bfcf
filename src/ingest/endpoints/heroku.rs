//! Heroku's log drain: Logplex frames, each with its length before it (facts/ingestion.md 1.10).
//!
//! A frame looks like syslog's RFC 5424 without the structured data (devcenter.heroku.com/articles/log-drains), so
//! that parsers of the standard read the message's first word for it. Seven words and a message need no library.

use super::{Container, attribute, expect_media_type, map, parcel_of, received_secs, seconds};
use crate::domain::time::Timestamp;
use crate::http::Request;
use crate::ingest::Refusal;
use crate::ingest::json::{Map, Node};
use crate::ingest::parcel::Parcel;
use crate::ingest::refusal::InvalidBody;

/// What is kept of the request with every log of it.
const HEADERS: [(&str, &str); 3] = [
    ("heroku.logplex.frame_id", "logplex-frame-id"),
    ("heroku.logplex.drain_token", "logplex-drain-token"),
    ("heroku.logplex.user_agent", "user-agent"),
];

/// One log for each frame.
///
/// # Errors
/// Another media type, a frame without a length or shorter than it says, or more than a container may have.
pub(in crate::ingest) fn parcels(
    body: &[u8],
    request: &Request,
) -> Result<Vec<Parcel<'static>>, Refusal> {
    expect_media_type(request, &["application/logplex-1"])?;
    let mut logs = Container::logs();
    let mut rest = body;
    while !rest.trim_ascii_start().is_empty() {
        let (frame, after) = split_frame(rest.trim_ascii_start()).ok_or_else(|| {
            let at = body.len() - rest.len();
            Refusal::InvalidBody(InvalidBody::Logplex, format!("no whole frame at byte {at}"))
        })?;
        logs.push(&log(&String::from_utf8_lossy(frame), request))?;
        rest = after;
    }
    Ok(parcel_of([logs]))
}

/// The first frame, and what comes after it.
fn split_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().take(10).position(|b| *b == b' ')?;
    let len: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    bytes[space + 1..].split_at_checked(len)
}

/// What a frame says before its message.
struct Head<'f> {
    priority: u8,
    timestamp: Option<Timestamp>,
    hostname: &'f str,
    app: &'f str,
    process: &'f str,
    message_id: &'f str,
}

fn log(frame: &str, request: &Request) -> Map<'static> {
    let frame = frame.trim_end();
    // A frame that is made otherwise is a message all the same.
    let (head, message) = match split_head(frame) {
        Some((head, message)) => (Some(head), message),
        None => (None, frame),
    };
    let timestamp = match head.as_ref().and_then(|head| head.timestamp) {
        Some(timestamp) => timestamp.us() as f64 / 1e6,
        None => received_secs(request),
    };
    map([
        ("timestamp", seconds(timestamp)),
        (
            "level",
            Node::text(head.as_ref().map_or("info", |head| level(head.priority))),
        ),
        ("body", Node::text(message.to_owned())),
        ("attributes", attributes(head.as_ref(), request).into()),
    ])
}

/// `<190>1 2026-01-02T03:04:05.678+00:00 host app web.1 - State changed`.
fn split_head(frame: &str) -> Option<(Head<'_>, &str)> {
    let mut words = frame.splitn(7, ' ');
    let (priority, _version) = words.next()?.strip_prefix('<')?.split_once('>')?;
    let head = Head {
        priority: priority.parse().ok().filter(|priority| *priority <= 191)?,
        timestamp: Timestamp::parse_rfc3339(words.next()?),
        hostname: words.next()?,
        app: words.next()?,
        process: words.next()?,
        message_id: words.next()?,
    };
    Some((head, words.next().unwrap_or_default()))
}

/// Syslog's severity, the lower three bits (RFC 5424, 6.2.1).
fn level(priority: u8) -> &'static str {
    match priority % 8 {
        0..=2 => "fatal",
        3 => "error",
        4 => "warn",
        5 | 6 => "info",
        _ => "debug",
    }
}

fn attributes(head: Option<&Head<'_>>, request: &Request) -> Map<'static> {
    let of_request = HEADERS.map(|(name, header)| (name, request.headers.get(header)));
    let of_frame = head.map(|head| {
        [
            ("syslog.hostname", Some(head.hostname)),
            ("syslog.appname", Some(head.app)),
            ("syslog.procid", Some(head.process)),
            ("syslog.msgid", Some(head.message_id)),
        ]
    });
    let texts = of_frame.into_iter().flatten().chain(of_request);
    let facility = head.map(|head| {
        let facility = Node::Number((head.priority / 8).into());
        ("syslog.facility", facility)
    });
    let texts = texts.filter_map(|(name, text)| {
        let text = text.filter(|text| !matches!(*text, "" | "-"))?;
        Some((name, Node::text(text.to_owned())))
    });
    facility
        .into_iter()
        .chain(texts)
        .filter_map(|(name, value)| Some((name.into(), attribute(&value)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::*;
    use super::*;
    use crate::ingest::items::Kind;

    fn of_heroku() -> Request {
        let mut request = request("application/logplex-1");
        request
            .headers
            .push("Logplex-Frame-Id", "09C557EAFCFB6CF2740EE62F62971098");
        request.headers.push(
            "Logplex-Drain-Token",
            "d.fc6b856b-3332-4546-93de-7d0ee272c3bd",
        );
        request.headers.push("User-Agent", "Logplex/v49");
        request
    }

    /// Frames as Logplex counts them.
    fn framed(frames: &[&str]) -> Vec<u8> {
        let frames = frames
            .iter()
            .map(|frame| format!("{} {frame}", frame.len()));
        frames.collect::<String>().into_bytes()
    }

    #[test]
    fn each_frame_is_a_log() {
        let body = framed(&[
            "<40>1 2026-01-02T03:04:05.5+00:00 host app web.3 - State changed from starting to up\n",
            "<187>1 2026-01-02T03:04:05Z host heroku router - é\n",
            "no head at all",
        ]);
        let text = |value: &str| json!({"type": "string", "value": value});
        let of_request = json!({
            "heroku.logplex.frame_id": text("09C557EAFCFB6CF2740EE62F62971098"),
            "heroku.logplex.drain_token": text("d.fc6b856b-3332-4546-93de-7d0ee272c3bd"),
            "heroku.logplex.user_agent": text("Logplex/v49"),
        });
        let with = |facility: u8, app: &str, process: &str| {
            let mut attributes = of_request.clone();
            attributes["syslog.facility"] = json!({"type": "integer", "value": facility});
            attributes["syslog.hostname"] = text("host");
            attributes["syslog.appname"] = text(app);
            attributes["syslog.procid"] = text(process);
            attributes
        };
        assert_eq!(
            entries(&parcels(&body, &of_heroku()).unwrap(), Kind::Log),
            [
                json!({
                    "timestamp": 1_767_323_045.5, "level": "fatal",
                    "body": "State changed from starting to up", "attributes": with(5, "app", "web.3"),
                }),
                json!({
                    "timestamp": 1_767_323_045.0, "level": "error",
                    "body": "é", "attributes": with(23, "heroku", "router"),
                }),
                json!({
                    "timestamp": 1_700_000_000.0, "level": "info",
                    "body": "no head at all", "attributes": of_request,
                }),
            ]
        );
    }

    #[test]
    fn a_severity_is_a_level() {
        for (priority, expected) in [
            (0, "fatal"),
            (11, "error"),
            (12, "warn"),
            (13, "info"),
            (190, "info"),
            (191, "debug"),
        ] {
            assert_eq!(level(priority), expected);
        }
    }

    #[test]
    fn nothing_sent_is_nothing_kept() {
        assert!(parcels(b"", &of_heroku()).unwrap().is_empty());
        assert!(parcels(b"\n", &of_heroku()).unwrap().is_empty());
    }

    #[test]
    fn frames_that_are_cut_are_refused() {
        let logplex =
            |at| Refusal::InvalidBody(InvalidBody::Logplex, format!("no whole frame at byte {at}"));
        for (body, refusal) in [
            ("12 short", logplex(0)),
            ("2 ab99999999999999999999 x", logplex(4)),
            ("-1 x", logplex(0)),
            ("<40>1 no length", logplex(0)),
            ("12", logplex(0)),
        ] {
            assert_eq!(
                parcels(body.as_bytes(), &of_heroku()).unwrap_err(),
                refusal,
                "{body}"
            );
        }
        let refused = parcels(b"1 a", &request("text/plain"));
        assert_eq!(refused.unwrap_err(), Refusal::UnsupportedContentType);
    }

    #[test]
    fn what_is_kept_with_each_frame_counts_against_the_container() {
        let mut request = of_heroku();
        request.headers.push("Logplex-Msg-Count", "x");
        let refused = parcels(&b"0 ".repeat(1 << 20), &request);
        assert_eq!(refused.unwrap_err(), Refusal::TooLarge("log"));
    }
}
