//! Expect-CT, Expect-Staple and HPKP: browsers have given them up, old ones still report. Their fields are kept
//! as they come, with underscores.

use super::Report;
use crate::ingest::endpoints::{map, snake_case, text_or_null};
use crate::ingest::json::{Map, Node};

/// None if it is none of the three.
pub(super) fn read(report: &Map<'_>) -> Option<Report> {
    if let Some(body) = report.map("expect-ct-report") {
        Some(event("expectct", "Expect-CT failed", body))
    } else if let Some(body) = report.map("expect-staple-report") {
        Some(event("expectstaple", "Expect-Staple failed", body))
    } else if report.contains("known-pins") {
        Some(event(
            "hpkp",
            "Public key pinning validation failed",
            report,
        ))
    } else {
        None
    }
}

fn event(kind: &'static str, what_failed: &str, body: &Map<'_>) -> Report {
    let fields: Map<'static> = body
        .iter()
        .map(|(name, value)| (snake_case(name).into(), value.to_owned()))
        .collect();
    let hostname = fields.str("hostname").unwrap_or_default().to_owned();
    Report {
        kind,
        message: format!("{what_failed} for '{hostname}'"),
        culprit: hostname.clone(),
        tags: map([
            ("hostname", Node::text(hostname.clone())),
            (
                "response_status",
                text_or_null(fields.str("response_status")),
            ),
            ("cert_status", text_or_null(fields.str("cert_status"))),
        ]),
        fields,
        url: (!hostname.is_empty()).then(|| format!("https://{hostname}/")),
        referrer: None,
        user_agent: None,
    }
}
