//! `/security/` and `/csp-report/`: what browsers report about a page's policies, each report as an event
//! (facts/ingestion.md 1.6).

mod csp;
mod legacy;

use super::{each_entry, expect_media_type, json_text, map, object, text_or_null};
use crate::domain::event_id::EventId;
use crate::http::Request;
use crate::ingest::Refusal;
use crate::ingest::items::{EVENT_BYTES_MAX, Kind};
use crate::ingest::json::{Map, Node};
use crate::ingest::parcel::{Item, Parcel};
use crate::ingest::source::Payload;

const MEDIA_TYPES: [&str; 6] = [
    "application/json",
    "application/csp-report",
    "application/expect-ct-report",
    "application/expect-ct-report+json",
    "application/expect-staple-report",
    "application/reports+json",
];

/// Browsers send what gathered within a minute or so. Each report is a transaction's worth of work.
const REPORTS_MAX: usize = 1000;

/// A parcel with an event id of its own for each report. One that is of no known type or says too little is an
/// invalid item.
///
/// # Errors
/// Another media type, an empty or too large body, no JSON, or more than [`REPORTS_MAX`] reports.
pub(in crate::ingest) fn parcels(
    body: &[u8],
    request: &Request,
) -> Result<Vec<Parcel<'static>>, Refusal> {
    expect_media_type(request, &MEDIA_TYPES)?;
    if body.is_empty() {
        return Err(Refusal::EmptyBody);
    }
    if body.len() as u64 > EVENT_BYTES_MAX {
        return Err(Refusal::RequestTooLarge);
    }
    let mut parcels = Vec::new();
    each_entry(json_text(body)?, |report| {
        if parcels.len() == REPORTS_MAX {
            return Err(Refusal::TooLarge("security"));
        }
        parcels.push(parcel(report, request));
        Ok(())
    })?;
    Ok(parcels)
}

fn parcel(report: &str, request: &Request) -> Parcel<'static> {
    let item = match Map::parse(report.as_bytes())
        .ok_or(TYPE)
        .and_then(|map| read(&map))
    {
        Ok(report) => Item::new(
            Kind::Security,
            Payload::owned(report.into_event(request).to_vec()),
        ),
        Err(reason) => Item {
            invalid: Some(reason),
            ..Item::new(Kind::Security, Payload::owned(report.as_bytes().to_vec()))
        },
    };
    Parcel {
        id: Some(EventId::random()),
        items: vec![item],
        ..Parcel::default()
    }
}

/// The ledger's reason for a report of an unknown type.
const TYPE: &str = "security_report_type";
/// The ledger's reason for a report that says too little.
const CONTENT: &str = "security_report";

/// What is the same in the event of every kind of report.
struct Report {
    /// The event's `type`, and the key of the report's own fields in it.
    kind: &'static str,
    fields: Map<'static>,
    message: String,
    culprit: String,
    tags: Map<'static>,
    url: Option<String>,
    referrer: Option<String>,
    /// What the report itself says about the browser; the request's header wins.
    user_agent: Option<String>,
}

/// Tells a report's kind by its shape.
///
/// # Errors
/// The ledger's reason.
fn read(report: &Map<'_>) -> Result<Report, &'static str> {
    if let Some(body) = report.map("csp-report") {
        return csp::read(body).ok_or(CONTENT);
    }
    if report.str("type") == Some("csp-violation") {
        let mut read = report.map("body").and_then(csp::read).ok_or(CONTENT)?;
        read.url = read.url.or(report.str("url").map(str::to_owned));
        read.user_agent = report.str("user_agent").map(str::to_owned);
        return Ok(read);
    }
    legacy::read(report).ok_or(TYPE)
}

impl Report {
    fn into_event(self, request: &Request) -> Map<'static> {
        let query = |name| text_or_null(request.query_value(name));
        let headers = self.headers(request);
        let mut event = map([
            ("type", Node::text(self.kind)),
            ("logger", Node::text("csp")),
            ("platform", Node::text("other")),
            ("release", query("sentry_release")),
            ("environment", query("sentry_environment")),
            (
                "logentry",
                object([("formatted", Node::text(self.message))]),
            ),
            ("culprit", Node::text(self.culprit)),
            ("tags", self.tags.into()),
            (
                "request",
                object([("url", text_or_null(self.url)), ("headers", headers)]),
            ),
            ("user", object([("ip_address", Node::text("{{auto}}"))])),
        ]);
        event.insert(self.kind, self.fields.into());
        event
    }

    /// The page's referrer, and of the request what says who reports.
    fn headers(&self, request: &Request) -> Node<'static> {
        let sent = |name| request.headers.get(name).map(str::to_owned);
        let headers = [
            ("Referer", self.referrer.clone()),
            ("Origin", sent("origin")),
            ("User-Agent", sent("user-agent").or(self.user_agent.clone())),
        ];
        let pairs = headers.into_iter().filter_map(|(name, value)| {
            let value = value.filter(|value| !value.is_empty())?;
            Some(Node::List(vec![Node::text(name), Node::text(value)]))
        });
        Node::List(pairs.collect())
    }
}

/// The host of a URL, without user and port; none if it is no URL with one.
fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => host,
    };
    (!host.is_empty()).then_some(host)
}

/// A URL by which a report is counted and found: without user, query and fragment, and of one that is its own
/// content only the scheme. Tags, messages and culprits are what the default rules of scrubbing leave alone.
fn bare(url: &str) -> String {
    let scheme = url.split(':').next().unwrap_or_default();
    if ["data", "javascript"]
        .iter()
        .any(|own| scheme.len() < url.len() && scheme.eq_ignore_ascii_case(own))
    {
        return scheme.to_owned();
    }
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let start = url.find("//").map_or(0, |at| at + 2);
    let (scheme, rest) = url.split_at(start);
    let end = rest.find('/').unwrap_or(rest.len());
    let host = rest[..end].rfind('@').map_or(0, |at| at + 1);
    format!("{scheme}{}", &rest[host..])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing;
    use super::*;

    fn request() -> Request {
        let mut request = testing::request("application/json; charset=UTF-8");
        request.query = "sentry_key=x&sentry_release=app%401.2&sentry_environment=prod".to_owned();
        request.headers.push("Origin", "https://shop.example.test");
        request.headers.push("User-Agent", "Browser/1");
        request
    }

    /// The events, each of a parcel of its own.
    fn events(body: &str) -> Vec<Value> {
        let parcels = parcels(body.as_bytes(), &request()).unwrap();
        let mut ids: Vec<_> = parcels.iter().map(|parcel| parcel.id.unwrap().0).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), parcels.len());
        let event = |parcel: &Parcel<'_>| {
            assert_eq!(parcel.items.len(), 1);
            assert_eq!(
                (parcel.items[0].kind, parcel.items[0].invalid),
                (Kind::Security, None)
            );
            testing::json(&parcel.items[0])
        };
        parcels.iter().map(event).collect()
    }

    #[test]
    fn a_bare_url_has_no_user_no_query_and_no_fragment() {
        for (url, expected) in [
            ("https://u:p@b.test:1/c?d=e#f", "https://b.test:1/c"),
            ("https://u:p@x@b.test", "https://b.test"),
            ("//u:p@b.test/c", "//b.test/c"),
            ("u:p@b.test/c", "b.test/c"),
            ("https://b.test/a@b#c", "https://b.test/a@b"),
            ("https://b.test?u=http://c", "https://b.test"),
            ("DATA:text/html,x", "DATA"),
            ("data", "data"),
            ("self", "self"),
            ("", ""),
        ] {
            assert_eq!(bare(url), expected, "{url}");
        }
    }

    #[test]
    fn a_level_2_report_becomes_an_event() {
        let body = r#"{"csp-report":{"document-uri":"https://shop.example.test/cart",
            "violated-directive":"script-src https://shop.example.test","effective-directive":"script-src",
            "referrer":"https://search.example.test/","blocked-uri":"https://bad.example.test/a.js",
            "status-code":"200","line-number":7}}"#;
        assert_eq!(
            events(body),
            [json!({
                "type": "csp", "logger": "csp", "platform": "other",
                "release": "app@1.2", "environment": "prod",
                "logentry": {"formatted": "Blocked 'script' from 'bad.example.test'"},
                "culprit": "script-src 'self'",
                "tags": {
                    "effective-directive": "script-src",
                    "blocked-uri": "https://bad.example.test/a.js",
                    "blocked-host": "bad.example.test",
                },
                "request": {
                    "url": "https://shop.example.test/cart",
                    "headers": [
                        ["Referer", "https://search.example.test/"],
                        ["Origin", "https://shop.example.test"],
                        ["User-Agent", "Browser/1"],
                    ],
                },
                "user": {"ip_address": "{{auto}}"},
                "csp": {
                    "effective_directive": "script-src",
                    "violated_directive": "script-src https://shop.example.test",
                    "blocked_uri": "https://bad.example.test/a.js",
                    "document_uri": "https://shop.example.test/cart",
                    "referrer": "https://search.example.test/",
                    "status_code": 200,
                    "line_number": 7,
                },
            })]
        );
    }

    #[test]
    fn a_reporting_api_body_is_a_report_for_each_element() {
        let report = |url: &str| {
            format!(
                r#"{{"type":"csp-violation","age":3,"url":"{url}","user_agent":"X","body":{{"documentURL":"{url}",
                "blockedURL":"inline","effectiveDirective":"style-src-elem","statusCode":200}}}}"#
            )
        };
        let single = events(&report("https://a.example.test/"));
        assert_eq!(single[0]["logentry"]["formatted"], "Blocked inline 'style'");
        assert_eq!(single[0]["culprit"], "style-src-elem");
        assert_eq!(single[0]["csp"]["status_code"], 200);

        let body = format!(
            "[{},{}]",
            report("https://a.test/"),
            report("https://b.test/")
        );
        let both = events(&body);
        let urls: Vec<_> = both.iter().map(|event| &event["request"]["url"]).collect();
        assert_eq!(urls, ["https://a.test/", "https://b.test/"]);
    }

    #[test]
    fn the_older_kinds_are_kept() {
        let events = events(
            r#"[{"expect-ct-report":{"date-time":"2026-01-02T03:04:05Z","hostname":"a.test","port":443,"scts":[]}},
            {"expect-staple-report":{"hostname":"b.test","response-status":"MISSING"}},
            {"known-pins":["pin-sha256=\"x\""],"hostname":"c.test","include-subdomains":true}]"#,
        );
        let kinds: Vec<_> = events.iter().map(|event| &event["type"]).collect();
        assert_eq!(kinds, ["expectct", "expectstaple", "hpkp"]);
        let messages: Vec<_> = events.iter().map(|e| &e["logentry"]["formatted"]).collect();
        assert_eq!(
            messages,
            [
                "Expect-CT failed for 'a.test'",
                "Expect-Staple failed for 'b.test'",
                "Public key pinning validation failed for 'c.test'"
            ]
        );
        assert_eq!(
            events[0]["expectct"],
            json!({"date_time": "2026-01-02T03:04:05Z", "hostname": "a.test", "port": 443, "scts": []})
        );
        assert_eq!(events[2]["tags"], json!({"hostname": "c.test"}));
    }

    #[test]
    fn a_report_that_is_not_understood_is_an_invalid_item() {
        for (report, reason) in [
            (
                r#"{"csp-report":{"violated-directive":"no-such-src x"}}"#,
                CONTENT,
            ),
            (r#"{"csp-report":{}}"#, CONTENT),
            (r#"{"type":"csp-violation"}"#, CONTENT),
            (r#"{"type":"deprecation","body":{}}"#, TYPE),
            ("{}", TYPE),
            ("7", TYPE),
        ] {
            let parcels = parcels(report.as_bytes(), &request()).unwrap();
            let item = &parcels[0].items[0];
            assert_eq!(item.invalid, Some(reason), "{report}");
            assert_eq!(*item.payload.bytes().unwrap(), *report.as_bytes());
        }
    }

    #[test]
    fn a_body_that_cannot_be_read_is_refused() {
        let refusal = |content_type: &str, body: &[u8]| {
            parcels(body, &testing::request(content_type)).unwrap_err()
        };
        assert_eq!(
            refusal("text/plain", b"{}"),
            Refusal::UnsupportedContentType
        );
        assert_eq!(refusal("", b"{}"), Refusal::UnsupportedContentType);
        assert_eq!(refusal("application/csp-report", b""), Refusal::EmptyBody);
        let large = vec![b' '; EVENT_BYTES_MAX as usize + 1];
        assert_eq!(
            refusal("application/json", &large),
            Refusal::RequestTooLarge
        );
        let many = format!("[0{}]", ",0".repeat(REPORTS_MAX));
        assert_eq!(
            refusal("application/reports+json", many.as_bytes()),
            Refusal::TooLarge("security")
        );
        for body in [&b"{"[..], b"\xff"] {
            assert!(matches!(
                refusal("application/json", body),
                Refusal::InvalidJson(_)
            ));
        }
    }

    #[test]
    fn a_host_has_neither_user_nor_port() {
        for (url, expected) in [
            ("https://a.test/x", Some("a.test")),
            ("https://u:p@a.test:8443?x", Some("a.test")),
            ("http://[::1]:80/", Some("[::1]")),
            ("https:///x", None),
            ("inline", None),
        ] {
            assert_eq!(host(url), expected, "{url}");
        }
    }
}
