//! `/cron/{slug}`: a check-in by plain HTTP, and what every check-in must look like, however it came
//! (facts/ingestion.md 1.8 and 4.5).

use super::{map, media_type, text_or_null};
use crate::domain::event_id::EventId;
use crate::http::Request;
use crate::ingest::Refusal;
use crate::ingest::items::Kind;
use crate::ingest::json::{Map, Node};
use crate::ingest::parcel::{Item, Parcel};
use crate::ingest::refusal::InvalidBody;
use crate::ingest::source::Payload;

/// More of a monitor's slug is cut off.
const SLUG_CHARS_MAX: usize = 50;

/// What a check-in may have (facts/ingestion.md 4.4).
const BYTES_MAX: usize = 100 << 10;

/// The ledger's reason for a check-in that cannot be used.
const INVALID: &str = "invalid_check_in";

/// One check-in, from the JSON body if there is one, else from the query. The slug of the path wins over any
/// other.
///
/// # Errors
/// The body is too large or no JSON object, or it says no status or an id that is none.
pub(in crate::ingest) fn parcels(
    body: &[u8],
    slug: &str,
    request: &Request,
) -> Result<Vec<Parcel<'static>>, Refusal> {
    if body.len() > BYTES_MAX {
        return Err(Refusal::TooLarge("check_in"));
    }
    let mut sent = if media_type(request).starts_with("application/json") {
        of_body(body)?
    } else {
        of_query(request)
    };
    sent.insert("monitor_slug", Node::text(slug));
    let item = match normalise(&sent) {
        Ok(check_in) => Item::new(Kind::CheckIn, Payload::owned(check_in.to_vec())),
        // The one fault that the path can have: the monitor is counted as missing, the job is not disturbed.
        Err(Fault::Slug) => Item {
            invalid: Some(INVALID),
            ..Item::new(Kind::CheckIn, Payload::owned(sent.to_vec()))
        },
        Err(fault) => {
            return Err(Refusal::InvalidBody(
                InvalidBody::CheckIn,
                fault.text().to_owned(),
            ));
        }
    };
    Ok(vec![Parcel {
        items: vec![item],
        ..Parcel::default()
    }])
}

/// The payload of an envelope's `check_in` item, in the one form that is stored.
///
/// # Errors
/// The ledger's reason why it is invalid.
pub(in crate::ingest) fn check(payload: &[u8]) -> Result<Vec<u8>, &'static str> {
    let sent = Map::parse(payload).ok_or(INVALID)?;
    let check_in = normalise(&sent).map_err(|_| INVALID)?;
    Ok(check_in.to_vec())
}

fn of_body(body: &[u8]) -> Result<Map<'_>, Refusal> {
    match serde_json::from_slice(body) {
        Ok(Node::Map(map)) => Ok(map),
        Ok(_) => Err(Refusal::InvalidJson("expected an object".to_owned())),
        Err(error) => Err(super::invalid_json(&error)),
    }
}

fn of_query(request: &Request) -> Map<'static> {
    let text = |name| text_or_null(request.query_value(name));
    let duration = request
        .query_value("duration")
        .and_then(|text| text.parse().ok())
        .map_or(Node::Null, super::seconds);
    map([
        ("check_in_id", text("check_in_id")),
        ("status", text("status")),
        ("environment", text("environment")),
        ("duration", duration),
    ])
}

/// What makes a check-in unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Slug,
    Status,
    Id,
}

impl Fault {
    fn text(self) -> &'static str {
        match self {
            Fault::Slug => "missing monitor slug",
            Fault::Status => "missing field `status`",
            Fault::Id => "invalid check_in_id",
        }
    }
}

/// The check-in as it is stored. Optional fields of a wrong type are left out; whatever else was sent is too.
fn normalise(sent: &Map<'_>) -> Result<Map<'static>, Fault> {
    let slug: String = sent
        .str("monitor_slug")
        .unwrap_or_default()
        .trim()
        .chars()
        .take(SLUG_CHARS_MAX)
        .collect();
    if slug.is_empty() {
        return Err(Fault::Slug);
    }
    let status = sent.str("status").ok_or(Fault::Status)?;
    let if_map = |key| {
        sent.map(key)
            .map_or(Node::Null, |map| map.to_owned().into())
    };
    let duration = match sent.get("duration") {
        Some(Node::Number(number)) => Node::Number(number.clone()),
        _ => Node::Null,
    };
    Ok(map([
        ("check_in_id", Node::text(id(sent)?.to_string())),
        ("monitor_slug", Node::text(slug)),
        ("status", Node::text(known_status(status))),
        ("environment", text_or_null(sent.str("environment"))),
        ("duration", duration),
        ("monitor_config", if_map("monitor_config")),
        ("contexts", if_map("contexts")),
    ]))
}

/// None given means the nil id: the newest check-in that is still open.
fn id(sent: &Map<'_>) -> Result<EventId, Fault> {
    match sent.get("check_in_id") {
        None | Some(Node::Null) => Ok(EventId([0; 16])),
        Some(Node::Text(text)) => EventId::parse(text).ok_or(Fault::Id),
        Some(_) => Err(Fault::Id),
    }
}

fn known_status(status: &str) -> &'static str {
    match status {
        "in_progress" => "in_progress",
        "ok" => "ok",
        "error" => "error",
        // `missed` is the server's own word.
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    const ID: &str = "aaaaaaaabbbb4cccddddeeeeeeeeeeee";

    fn taken(parcels: Result<Vec<Parcel<'static>>, Refusal>) -> String {
        let parcels = parcels.unwrap();
        let item = &parcels[0].items[0];
        assert_eq!((item.kind, item.invalid), (Kind::CheckIn, None));
        String::from_utf8(item.payload.bytes().unwrap().into_owned()).unwrap()
    }

    #[test]
    fn a_query_is_a_check_in() {
        let nil = "00000000000000000000000000000000";
        for (query, check_in) in [
            (
                "status=in_progress".to_owned(),
                format!(
                    r#"{{"check_in_id":"{nil}","monitor_slug":"nightly","status":"in_progress"}}"#
                ),
            ),
            (
                format!(
                    "sentry_key=x&status=ok&duration=12.5&environment=prod%20eu&check_in_id={ID}"
                ),
                format!(
                    r#"{{"check_in_id":"{ID}","monitor_slug":"nightly","status":"ok","environment":"prod eu","duration":12.5}}"#
                ),
            ),
            (
                "status=missed&duration=soon".to_owned(),
                format!(r#"{{"check_in_id":"{nil}","monitor_slug":"nightly","status":"unknown"}}"#),
            ),
        ] {
            let mut request = testing::request("");
            request.query = query;
            assert_eq!(taken(parcels(b"ignored", "nightly", &request)), check_in);
        }
    }

    #[test]
    fn a_json_body_is_a_check_in_and_the_paths_slug_wins() {
        let request = testing::request("application/json; charset=utf-8");
        let body = br#"{"status":"error","monitor_slug":"other","check_in_id":"AAAAAAAA-BBBB-4CCC-DDDD-EEEEEEEEEEEE",
            "monitor_config":{"schedule":{"type":"crontab","value":"0 * * * *"}},"contexts":{"trace":{"trace_id":"x"}},
            "duration":"1","more":1}"#;
        assert_eq!(
            taken(parcels(body, "nightly", &request)),
            format!(r#"{{"check_in_id":"{ID}","monitor_slug":"nightly","status":"error","#)
                + r#""monitor_config":{"schedule":{"type":"crontab","value":"0 * * * *"}},"contexts":{"trace":{"trace_id":"x"}}}"#
        );
    }

    #[test]
    fn a_long_slug_is_cut_and_an_empty_one_is_an_invalid_item() {
        let mut request = testing::request("");
        request.query = "status=ok".to_owned();
        let slug = "é".repeat(60);
        let check_in = taken(parcels(b"", &slug, &request));
        assert_eq!(check_in.matches('é').count(), 50);

        let parcels = parcels(b"", " ", &request).unwrap();
        assert_eq!(parcels[0].items[0].invalid, Some("invalid_check_in"));
    }

    #[test]
    fn a_request_that_says_too_little_is_refused() {
        let json = "application/json";
        let large = format!("{{\"status\":\"ok\",\"x\":\"{}\"}}", "x".repeat(BYTES_MAX));
        let check_in = |text: &str| Refusal::InvalidBody(InvalidBody::CheckIn, text.to_owned());
        for (content_type, query, body, refusal) in [
            ("", "", "", check_in("missing field `status`")),
            (json, "status=ok", "{}", check_in("missing field `status`")),
            (
                json,
                "",
                r#"{"status":1}"#,
                check_in("missing field `status`"),
            ),
            (
                "",
                "status=ok&check_in_id=7",
                "",
                check_in("invalid check_in_id"),
            ),
            (json, "", &large, Refusal::TooLarge("check_in")),
            (
                json,
                "",
                "[]",
                Refusal::InvalidJson("expected an object".to_owned()),
            ),
        ] {
            let mut request = testing::request(content_type);
            request.query = query.to_owned();
            let refused = parcels(body.as_bytes(), "nightly", &request);
            assert_eq!(refused.unwrap_err(), refusal, "{query} {body}");
        }
    }

    #[test]
    fn an_envelopes_check_in_is_held_to_the_same_rules() {
        assert_eq!(
            check(br#"{"monitor_slug":"a","status":"ok","check_in_id":null}"#).unwrap(),
            br#"{"check_in_id":"00000000000000000000000000000000","monitor_slug":"a","status":"ok"}"#
        );
        for payload in ["", "[]", r#"{"status":"ok"}"#, r#"{"monitor_slug":"a"}"#] {
            assert_eq!(
                check(payload.as_bytes()),
                Err("invalid_check_in"),
                "{payload}"
            );
        }
    }
}
