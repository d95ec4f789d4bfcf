//! `/nel/`: what browsers report about requests that failed on the network (facts/ingestion.md 1.7).
//!
//! Relay first made an error event of each report; the newest hands them to the logs. Logs it is here: a page's
//! visitors losing their connection is no fault of the program, would fill its issues with as many groups as
//! there are networks, and would use up the limit that its errors need.

use super::{
    Container, attribute, each_entry, expect_media_type, json_text, map, parcel_of, received_secs,
    seconds, snake_case,
};
use crate::http::Request;
use crate::ingest::Refusal;
use crate::ingest::json::{Map, Node};
use crate::ingest::parcel::Parcel;

/// One log for each report. An element that is none is invalid.
///
/// # Errors
/// Another media type, an empty body, no JSON, or more than a container may have.
pub(in crate::ingest) fn parcels(
    body: &[u8],
    request: &Request,
) -> Result<Vec<Parcel<'static>>, Refusal> {
    expect_media_type(request, &["application/json", "application/reports+json"])?;
    if body.is_empty() {
        return Err(Refusal::EmptyBody);
    }
    let mut logs = Container::logs();
    let mut unusable = Container::logs().invalid("invalid_log");
    each_entry(json_text(body)?, |element| {
        if element.len() > super::ENTRY_BYTES_MAX {
            return Err(Refusal::TooLarge("log"));
        }
        match Map::parse(element.as_bytes()).and_then(|report| log(&report, request)) {
            Some(log) => logs.push(&log),
            None => unusable.push(&Node::Null),
        }
    })?;
    Ok(parcel_of([logs, unusable]))
}

/// None if it is no network error.
fn log(report: &Map<'_>, request: &Request) -> Option<Map<'static>> {
    if report.str("type") != Some("network-error") {
        return None;
    }
    let body = report.map("body")?;
    let url = report.str("url").unwrap_or_default();
    let what = body.str("type").unwrap_or("unknown");
    let (level, message) = match what {
        // Sent where the policy asks for a share of what went well.
        "ok" => ("info", format!("network request to {url} succeeded")),
        _ => ("warn", format!("network error {what} for {url}")),
    };
    // How many milliseconds ago it happened; browsers gather reports.
    let age = match report.get("age") {
        Some(Node::Number(age)) => age.as_f64().unwrap_or_default(),
        _ => 0.0,
    };
    Some(map([
        ("timestamp", seconds(received_secs(request) - age / 1e3)),
        ("level", Node::text(level)),
        ("body", Node::text(message)),
        ("attributes", attributes(report, body).into()),
    ]))
}

/// The report's own fields under `nel.`, and where it happened under the names of OpenTelemetry.
fn attributes(report: &Map<'_>, body: &Map<'_>) -> Map<'static> {
    let around = [("url.full", "url"), ("user_agent.original", "user_agent")];
    let around = around
        .into_iter()
        .filter_map(|(name, key)| Some((name.into(), attribute(report.get(key)?)?)));
    let own = body.iter().filter_map(|(key, value)| {
        Some((format!("nel.{}", snake_case(key)).into(), attribute(value)?))
    });
    around.chain(own).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::*;
    use super::*;
    use crate::ingest::items::Kind;

    const REPORT: &str = r#"{"age":1500,"type":"network-error","url":"https://a.test/x","user_agent":"Browser/1",
        "body":{"elapsed_time":18,"method":"GET","phase":"dns","protocol":"","referrer":"","sampling_fraction":0.5,
        "server_ip":"","status_code":0,"type":"dns.name_not_resolved","request_headers":{}}}"#;

    #[test]
    fn each_report_is_a_log() {
        let request = request("application/reports+json");
        let text = |value: &str| json!({"type": "string", "value": value});
        let log = json!({
            "timestamp": 1_699_999_998.5,
            "level": "warn",
            "body": "network error dns.name_not_resolved for https://a.test/x",
            "attributes": {
                "url.full": text("https://a.test/x"),
                "user_agent.original": text("Browser/1"),
                "nel.elapsed_time": {"type": "integer", "value": 18},
                "nel.method": text("GET"),
                "nel.phase": text("dns"),
                "nel.protocol": text(""),
                "nel.referrer": text(""),
                "nel.sampling_fraction": {"type": "double", "value": 0.5},
                "nel.server_ip": text(""),
                "nel.status_code": {"type": "integer", "value": 0},
                "nel.type": text("dns.name_not_resolved"),
                "nel.request_headers": text("{}"),
            },
        });
        for (body, count) in [(REPORT.to_owned(), 1), (format!("[{REPORT},{REPORT}]"), 2)] {
            let parcels = parcels(body.as_bytes(), &request).unwrap();
            assert_eq!(entries(&parcels, Kind::Log), vec![log.clone(); count]);
        }
        assert!(parcels(b"[]", &request).unwrap().is_empty());
    }

    #[test]
    fn an_element_that_is_no_network_error_is_counted_as_invalid() {
        let body = format!(r#"[{REPORT},{{"type":"csp-violation","body":{{}}}},7]"#);
        let parcels = parcels(body.as_bytes(), &request("application/json")).unwrap();
        let items = &parcels[0].items;
        assert_eq!(items[0].header.item_count, Some(1));
        assert_eq!(items[1].header.item_count, Some(2));
        assert_eq!(items[1].invalid, Some("invalid_log"));
    }

    #[test]
    fn a_body_that_cannot_be_read_is_refused() {
        let refusal = |content_type: &str, body: &str| {
            parcels(body.as_bytes(), &request(content_type)).unwrap_err()
        };
        assert_eq!(
            refusal("text/plain", REPORT),
            Refusal::UnsupportedContentType
        );
        assert_eq!(refusal("application/json", ""), Refusal::EmptyBody);
        assert!(matches!(
            refusal("application/json", "[{"),
            Refusal::InvalidJson(_)
        ));
    }
}
