//! Client reports: what SDKs say they dropped themselves (facts/ingestion.md 7.3). Each entry becomes a
//! ledger row; the report as an item has none. A report that cannot be read is ignored, as in Relay.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Authenticated;
use super::envelope::lenient_str;
use crate::domain::category::Category;
use crate::domain::outcome::{LedgerEntry, Outcome};
use crate::domain::time::Timestamp;

/// Longer reasons are skipped.
const REASON_BYTES_MAX: usize = 200;
/// How far back a report's own time may count. An older one counts at this age, one of the future now.
const AGE_SECS_MAX: i64 = 30 * 86_400;

#[derive(Deserialize)]
struct Report<'a> {
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow, default)]
    discarded_events: Vec<&'a RawValue>,
}

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
    let Ok(report) = serde_json::from_slice::<Report<'_>>(payload) else {
        return Vec::new();
    };
    let at = report
        .timestamp
        .and_then(moment)
        .unwrap_or(who.received)
        .clamp(who.received.plus_secs(-AGE_SECS_MAX), who.received);
    report
        .discarded_events
        .into_iter()
        // An array fills the struct as well, in the order of its fields.
        .filter_map(|raw| serde_json::from_str::<Entry<'_>>(raw.get()).ok())
        .filter(|entry| entry.quantity > 0 && entry.reason.len() <= REASON_BYTES_MAX)
        .map(|entry| LedgerEntry {
            at,
            category: Category::parse(&entry.category).unwrap_or(Category::Unknown),
            outcome: Outcome::ClientDiscard,
            reason: Cow::Owned(entry.reason.into_owned()),
            // A sum of a few such rows must stay within the column.
            quantity: entry.quantity.min(u64::from(u32::MAX)),
            ..who.entry(Category::Default, Outcome::ClientDiscard, "", 0)
        })
        .collect()
}

/// A number of seconds or RFC 3339.
fn moment(raw: &RawValue) -> Option<Timestamp> {
    if let Ok(secs) = serde_json::from_str::<f64>(raw.get()) {
        return Some(Timestamp::from_us((secs * 1e6) as i64));
    }
    Timestamp::parse_rfc3339(&lenient_str(raw)?)
}
