//! Client reports: what SDKs say they dropped themselves (facts/ingestion.md 7.3). Each entry becomes a
//! ledger row; the report as an item has none. A report that cannot be read is ignored, as in Relay.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::fields::{self, fields};
use super::{Authenticated, payload};
use crate::domain::category::Category;
use crate::domain::outcome::{LedgerEntry, Outcome};
use crate::domain::time::Timestamp;

/// Longer reasons are skipped.
const REASON_BYTES_MAX: usize = 200;
/// Where reasons end that are too many for one project, so that the ledger stays bounded whatever is sent.
const OTHER_REASON: &str = "other";
/// How far back a report's own time may count. An older one counts at this age, one of the future now.
const AGE_SECS_MAX: i64 = 86_400;
/// A report older than this counts at its hour's beginning: nobody looks at it in steps of ten seconds.
const FINE_AGE_SECS_MAX: i64 = 600;
/// What one entry may report. No SDK drops more between two reports.
const QUANTITY_MAX: u64 = u32::MAX as u64;

fields! {
    struct Report {
        timestamp: "timestamp",
        discarded_events: "discarded_events",
    }
}

/// An object, or an array in this order.
#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    reason: Cow<'a, str>,
    #[serde(borrow)]
    category: Cow<'a, str>,
    quantity: u64,
}

/// The ledger rows of a report. Only `discarded_events` is the SDK's own word; what Relays add to a report is
/// not taken from clients.
pub(super) fn entries(payload: &[u8], who: &Authenticated) -> Vec<LedgerEntry> {
    let Some(report) = payload::parse::<Report<'_>>(payload) else {
        return Vec::new();
    };
    let discarded: Vec<&RawValue> = report
        .discarded_events
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default();
    let at = moment_of_counting(report.timestamp, who.received);
    discarded
        .into_iter()
        .filter_map(|raw| serde_json::from_str::<Entry<'_>>(raw.get()).ok())
        .filter(|entry| entry.quantity > 0 && entry.reason.len() <= REASON_BYTES_MAX)
        .map(|entry| {
            let reason = if who.project.admits_client_reason(&entry.reason) {
                Cow::Owned(entry.reason.into_owned())
            } else {
                Cow::Borrowed(OTHER_REASON)
            };
            LedgerEntry {
                project: who.project.id,
                key: Some(who.key.id),
                at,
                category: Category::parse(&entry.category).unwrap_or(Category::Unknown),
                outcome: Outcome::ClientDiscard,
                reason,
                quantity: entry.quantity.min(QUANTITY_MAX),
                times_seen: 1,
            }
        })
        .collect()
}

fn moment_of_counting(stated: Option<&RawValue>, received: Timestamp) -> Timestamp {
    let stated = stated.and_then(moment).unwrap_or(received);
    let at = stated.clamp(received.plus_secs(-AGE_SECS_MAX), received);
    if at < received.plus_secs(-FINE_AGE_SECS_MAX) {
        at.floor_to(3600)
    } else {
        at
    }
}

/// A number of seconds or RFC 3339.
fn moment(raw: &RawValue) -> Option<Timestamp> {
    if let Ok(secs) = serde_json::from_str::<f64>(raw.get()) {
        return Some(Timestamp::from_us((secs * 1e6) as i64));
    }
    Timestamp::parse_rfc3339(&fields::text(raw)?)
}
