//! Vercel's log drain: a JSON list, a single object, or an object a line (facts/ingestion.md 1.10).

use super::{
    Container, ENTRY_BYTES_MAX, attribute, each_entry, expect_media_type, json_text, map,
    media_type, parcel_of, received_secs, seconds, snake_case, text_or_null,
};
use crate::http::Request;
use crate::ingest::Refusal;
use crate::ingest::json::{Map, Node};
use crate::ingest::parcel::Parcel;

const JSON: &str = "application/json";
const LINES: [&str; 2] = ["application/x-ndjson", "application/ndjson"];

/// Fields that the log itself has a place for.
const OWN_FIELDS: [&str; 8] = [
    "timestamp",
    "level",
    "message",
    "traceId",
    "trace.id",
    "spanId",
    "span.id",
    "proxy",
];

/// One log for each entry. What is no object is invalid.
///
/// # Errors
/// Another media type, no JSON, an entry that is too large, or more than a container may have.
pub(in crate::ingest) fn parcels(
    body: &[u8],
    request: &Request,
) -> Result<Vec<Parcel<'static>>, Refusal> {
    expect_media_type(request, &[JSON, LINES[0], LINES[1]])?;
    let text = json_text(body)?;
    let mut logs = Container::logs();
    let mut unusable = Container::logs().invalid("invalid_log");
    let mut take = |entry: &str| {
        if entry.len() > ENTRY_BYTES_MAX {
            return Err(Refusal::TooLarge("log"));
        }
        match Map::parse(entry.as_bytes()) {
            Some(entry) => logs.push(&log(&entry, request)),
            None => unusable.push(&Node::Null),
        }
    };
    if LINES.contains(&&*media_type(request)) {
        let mut lines = text.lines().filter(|line| !line.trim_ascii().is_empty());
        lines.try_for_each(&mut take)?;
    } else if !text.trim_ascii().is_empty() {
        each_entry(text, &mut take)?;
    }
    Ok(parcel_of([logs, unusable]))
}

fn log(entry: &Map<'_>, request: &Request) -> Map<'static> {
    let timestamp = match entry.get("timestamp") {
        Some(Node::Number(millis)) => millis.as_f64().map(|millis| millis / 1e3),
        _ => None,
    };
    let either = |one, other| text_or_null(entry.str(one).or(entry.str(other)));
    map([
        (
            "timestamp",
            seconds(timestamp.unwrap_or_else(|| received_secs(request))),
        ),
        ("trace_id", either("traceId", "trace.id")),
        ("span_id", either("spanId", "span.id")),
        ("level", Node::text(level(entry))),
        (
            "body",
            Node::text(entry.str("message").unwrap_or_default().to_owned()),
        ),
        ("attributes", attributes(entry).into()),
    ])
}

/// Without one, as for the lines of requests, it follows from what the request came to.
fn level(entry: &Map<'_>) -> &'static str {
    match entry.str("level").unwrap_or_default() {
        "trace" => "trace",
        "debug" => "debug",
        "warning" | "warn" => "warn",
        "error" => "error",
        "fatal" => "fatal",
        _ if entry.str("type") == Some("stderr") => "error",
        _ => "info",
    }
}

/// Everything else under `vercel.`, that of the proxy one level deeper.
fn attributes(entry: &Map<'_>) -> Map<'static> {
    let named = |prefix: &'static str| {
        move |(key, value): (&str, &Node<'_>)| {
            Some((
                format!("{prefix}{}", snake_case(key)).into(),
                attribute(value)?,
            ))
        }
    };
    let own = entry
        .iter()
        .filter(|(key, _)| !OWN_FIELDS.contains(key))
        .filter_map(named("vercel."));
    let proxy = entry
        .map("proxy")
        .into_iter()
        .flat_map(Map::iter)
        .filter_map(named("vercel.proxy."));
    own.chain(proxy).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::*;
    use super::*;
    use crate::ingest::items::Kind;

    const BUILD: &str = r#"{"id":"1","message":"built","timestamp":1700000000500,"source":"build","projectId":"p"}"#;
    const REQUEST: &str = r#"{"id":"2","level":"warning","statusCode":404,"traceId":"0af7651916cd43dd8448eb211c80319c",
        "proxy":{"method":"GET","userAgent":["a","b"],"statusCode":404}}"#;

    #[test]
    fn each_entry_is_a_log() {
        let text = |value: &str| json!({"type": "string", "value": value});
        let build = json!({
            "timestamp": 1_700_000_000.5, "level": "info", "body": "built",
            "attributes": {
                "vercel.id": text("1"), "vercel.source": text("build"), "vercel.project_id": text("p"),
            },
        });
        let of_request = json!({
            "timestamp": 1_700_000_000.0, "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "level": "warn", "body": "",
            "attributes": {
                "vercel.id": text("2"),
                "vercel.status_code": {"type": "integer", "value": 404},
                "vercel.proxy.method": text("GET"),
                "vercel.proxy.user_agent": text(r#"["a","b"]"#),
                "vercel.proxy.status_code": {"type": "integer", "value": 404},
            },
        });
        let on_one_line = REQUEST.replace('\n', "");
        for (content_type, body) in [
            ("application/json", format!("[{BUILD},{REQUEST}]")),
            (
                "application/x-ndjson",
                format!("{BUILD}\r\n\n{on_one_line}"),
            ),
            (
                "application/ndjson; charset=utf-8",
                format!("{BUILD}\n{on_one_line}\n"),
            ),
        ] {
            let parcels = parcels(body.as_bytes(), &request(content_type)).unwrap();
            let both = [build.clone(), of_request.clone()];
            assert_eq!(entries(&parcels, Kind::Log), both, "{content_type}");
        }
        let single = parcels(BUILD.as_bytes(), &request("application/json")).unwrap();
        assert_eq!(entries(&single, Kind::Log), [build]);
    }

    #[test]
    fn what_is_no_entry_is_counted_as_invalid() {
        for (content_type, body) in [
            ("application/json", format!("[{BUILD},7]")),
            ("application/x-ndjson", format!("{BUILD}\n{{broken")),
        ] {
            let parcels = parcels(body.as_bytes(), &request(content_type)).unwrap();
            let counted: Vec<_> = parcels[0]
                .items
                .iter()
                .map(|item| (item.header.item_count, item.invalid))
                .collect();
            assert_eq!(counted, [(Some(1), None), (Some(1), Some("invalid_log"))]);
        }
    }

    #[test]
    fn nothing_sent_is_nothing_kept() {
        for content_type in ["application/json", "application/x-ndjson"] {
            assert!(parcels(b" \n", &request(content_type)).unwrap().is_empty());
        }
        assert!(
            parcels(b"[]", &request("application/json"))
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn a_body_that_cannot_be_read_is_refused() {
        let refusal = |content_type: &str, body: &str| {
            parcels(body.as_bytes(), &request(content_type)).unwrap_err()
        };
        let large = format!("[\"{}\"]", "x".repeat(ENTRY_BYTES_MAX));
        assert_eq!(
            refusal("text/plain", BUILD),
            Refusal::UnsupportedContentType
        );
        assert_eq!(
            refusal("application/json", &large),
            Refusal::TooLarge("log")
        );
        assert!(matches!(
            refusal("application/json", "[{"),
            Refusal::InvalidJson(_)
        ));
    }
}
