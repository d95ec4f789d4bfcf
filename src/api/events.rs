//! Events: the list of a project and one in full. The shapes are those of the published document.
//!
//! Picket keeps events and derives nothing from them yet: there are no issues, so `groupID` is null, and of a
//! release nothing is known but its name.

use std::collections::HashMap;

use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::entries::{EntryBody, MetaBody};
use super::error::{self, Result};
use super::paging::Paged;
use super::period::Period;
use super::{Api, Call, InProject, entries, paging};
use crate::domain::Error;
use crate::domain::event_id::EventId;
use crate::domain::id::ProjectId;
use crate::domain::stored::StoredKind;
use crate::domain::time::Timestamp;
use crate::http::Response;
use crate::http::page::{PER_PAGE_MAX, Page};
use crate::issues::early;
use crate::issues::interface::{message, moment, plain};
use crate::issues::tags;
use crate::issues::title::{EventType, Summary};
use crate::store::events::{self, ListedEvent, StoredEvent};
use crate::store::{Connection, payloads};

/// What the list shows.
const LISTED: [StoredKind; 2] = [StoredKind::Event, StoredKind::Security];

/// The most events of a page that shows them in full.
const FULL_PER_PAGE_MAX: u32 = 25;
/// Such a page ends after the event with which it is this long.
const FULL_PAGE_BYTES: usize = 8 << 20;

/// A stored event with its payload read, and what is derived from it.
struct Loaded {
    stored: StoredEvent,
    event: Value,
    /// Bytes of the payload.
    size: usize,
    summary: Summary,
}

impl Loaded {
    /// A payload that is no JSON is shown as an event without fields.
    fn of(mut stored: StoredEvent) -> Result<Loaded> {
        let payload = payloads::unpack(&std::mem::take(&mut stored.packed))?;
        let mut event: Value = serde_json::from_slice(&payload).unwrap_or_default();
        early::update(&mut event);
        let summary = Summary::of(stored.kind, &event);
        Ok(Loaded {
            size: payload.len(),
            stored,
            event,
            summary,
        })
    }

    fn common(&self, project: ProjectId) -> CommonBody {
        let event_id = self.stored.event_id.to_string();
        CommonBody {
            id: event_id.clone(),
            group_id: None,
            event_id,
            project_id: project.to_string(),
            message: message(&self.event).unwrap_or_default().to_owned(),
            title: self.summary.title.clone(),
            location: self.summary.location.clone(),
            culprit: self.summary.culprit.clone(),
            user: UserBody::of(&self.event["user"]),
            tags: tags::of(&self.event).into_iter().map(TagBody::of).collect(),
            platform: plain(&self.event["platform"]).unwrap_or_else(|| "other".to_owned()),
            date_created: moment(&self.event["timestamp"]).unwrap_or(self.stored.received),
            crash_file: None,
            metadata: self.summary.metadata.clone(),
        }
    }
}

/// What the list and the detail have in common.
#[derive(Serialize)]
struct CommonBody {
    /// The event's id, twice.
    id: String,
    #[serde(rename = "groupID")]
    group_id: Option<String>,
    #[serde(rename = "eventID")]
    event_id: String,
    #[serde(rename = "projectID")]
    project_id: String,
    message: String,
    title: String,
    location: Option<String>,
    culprit: String,
    user: Option<UserBody>,
    /// By key.
    tags: Vec<TagBody>,
    platform: String,
    #[serde(rename = "dateCreated")]
    date_created: Timestamp,
    #[serde(rename = "crashFile")]
    crash_file: Option<String>,
    metadata: Map<String, Value>,
}

#[derive(Serialize)]
struct TagBody {
    key: String,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<String>,
}

impl TagBody {
    fn of((key, value): (String, String)) -> TagBody {
        TagBody {
            query: tags::query(&key, &value),
            key,
            value,
        }
    }
}

#[derive(Serialize)]
struct UserBody {
    id: Option<String>,
    email: Option<String>,
    username: Option<String>,
    ip_address: Option<String>,
    name: Option<String>,
    geo: Option<Map<String, Value>>,
    data: Option<Value>,
}

impl UserBody {
    fn of(user: &Value) -> Option<UserBody> {
        user.is_object().then(|| UserBody {
            id: plain(&user["id"]),
            email: plain(&user["email"]),
            username: plain(&user["username"]),
            ip_address: plain(&user["ip_address"]),
            name: plain(&user["name"]),
            geo: user["geo"].as_object().map(|geo| {
                let text = |(name, value): (&String, &Value)| {
                    Some((name.clone(), Value::String(plain(value)?)))
                };
                geo.iter().filter_map(text).collect()
            }),
            data: Some(user["data"].clone()).filter(Value::is_object),
        })
    }
}

/// An event as the list shows it.
#[derive(Serialize)]
struct SlimBody {
    #[serde(rename = "event.type")]
    event_type: &'static str,
    #[serde(flatten)]
    common: CommonBody,
}

/// An event in full.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FullBody<'e> {
    #[serde(flatten)]
    common: CommonBody,
    #[serde(rename = "type")]
    event_type: &'static str,
    date_received: Timestamp,
    /// Bytes of the payload.
    size: usize,
    /// `{type, data}` for each part of the event.
    entries: Vec<EntryBody<'e>>,
    contexts: Object<'e>,
    /// What SDKs send as `extra`.
    context: Object<'e>,
    /// What SDKs send as `modules`.
    packages: Object<'e>,
    dist: Option<String>,
    sdk: Option<Value>,
    /// As the event gave it; nothing is grouped by it.
    fingerprints: Vec<String>,
    errors: Vec<Value>,
    occurrence: Option<Value>,
    #[serde(rename = "_meta")]
    meta: MetaBody<'e>,
    #[serde(flatten)]
    timing: Option<TimingBody<'e>>,
}

/// A part of the event as it was sent; `{}` for what is no object.
struct Object<'e>(Option<&'e Map<String, Value>>);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.into_iter().flatten())
    }
}

/// What transactions have beside.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TimingBody<'e> {
    /// UNIX seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    start_timestamp: Option<f64>,
    /// UNIX seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    end_timestamp: Option<f64>,
    measurements: Option<&'e Value>,
    breakdowns: Option<&'e Value>,
}

impl<'e> FullBody<'e> {
    fn of(loaded: &'e Loaded, project: ProjectId) -> FullBody<'e> {
        let event = &loaded.event;
        let map = |name: &str| Object(event[name].as_object());
        let sdk = &event["sdk"];
        FullBody {
            common: loaded.common(project),
            event_type: loaded.summary.event_type.name(),
            date_received: loaded.stored.received,
            size: loaded.size,
            contexts: map("contexts"),
            context: map("extra"),
            packages: map("modules"),
            dist: plain(&event["dist"]),
            sdk: sdk
                .is_object()
                .then(|| json!({ "name": sdk["name"], "version": sdk["version"] })),
            fingerprints: event["fingerprint"]
                .as_array()
                .map(|parts| parts.iter().filter_map(plain).collect())
                .unwrap_or_default(),
            errors: entries::errors(event),
            occurrence: None,
            meta: entries::meta(event),
            entries: entries::of(event),
            timing: (loaded.summary.event_type == EventType::Transaction)
                .then(|| TimingBody::of(event)),
        }
    }
}

impl<'e> TimingBody<'e> {
    fn of(event: &'e Value) -> TimingBody<'e> {
        let secs = |value: &Value| moment(value).map(|moment| moment.us() as f64 / 1e6);
        let object = |name: &str| Some(&event[name]).filter(|value| value.is_object());
        TimingBody {
            start_timestamp: secs(&event["start_timestamp"]),
            end_timestamp: secs(&event["timestamp"]),
            measurements: object("measurements"),
            breakdowns: object("breakdowns"),
        }
    }
}

/// An event in full, with its place among the others.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DetailBody<'e> {
    #[serde(flatten)]
    event: FullBody<'e>,
    release: Option<Value>,
    user_report: Option<Value>,
    sdk_updates: [Value; 0],
    resolved_with: [String; 0],
    /// The event of the project that came after this one.
    #[serde(rename = "nextEventID")]
    next_event_id: Option<String>,
    /// The event of the project that came before this one.
    #[serde(rename = "previousEventID")]
    previous_event_id: Option<String>,
}

/// `GET P/events/`: errors, messages and security reports, newest first, of a range of time if one is given; in full
/// with `full`, and then on shorter pages.
///
/// `sample` is not taken up: the order is always that of arrival.
pub(super) fn list(api: &Api, call: Call<'_>, context: InProject) -> Result<Response> {
    let request = &call.request;
    let is_full = call.is_asked("full");
    let received = Period::find(request)?.map(|period| (period.start, period.end));
    let mut page = Page::read(request, PER_PAGE_MAX)?;
    if is_full {
        page.per_page = page.per_page.min(FULL_PER_PAGE_MAX);
    }
    let project = context.project.id;
    let connection = &call.connection;
    let paged = paging::by_id(
        page,
        |event: &ListedEvent| event.id,
        |place, limit| {
            Ok(events::list(
                connection, project, &LISTED, received, place, limit,
            )?)
        },
    )?;
    if is_full {
        return Ok(full_page(connection, project, page, paged)?.answer(&api.prefix, request));
    }
    let paged = paged.replace(|rows| {
        let slim = |row: ListedEvent| {
            let stored = events::find_by_row(connection, project, row.kind, row.id)?;
            let Some(loaded) = stored.map(Loaded::of).transpose()? else {
                return Ok(None);
            };
            Ok(Some(SlimBody {
                event_type: loaded.summary.event_type.name(),
                common: loaded.common(project),
            }))
        };
        rows.into_iter()
            .filter_map(|row| slim(row).transpose())
            .collect()
    })?;
    Ok(paged.answer(&api.prefix, request))
}

/// The events of a page in full, one in memory at a time; a page that would be too long ends early.
fn full_page(
    connection: &Connection,
    project: ProjectId,
    page: Page,
    paged: Paged<ListedEvent>,
) -> Result<Paged<Box<RawValue>>> {
    let is_upwards = page.cursor.is_some_and(|cursor| cursor.is_prev);
    let mut written: HashMap<i64, Box<RawValue>> = HashMap::new();
    let (mut bytes, mut taken) = (0, 0);
    let mut rows: Vec<ListedEvent> = paged.rows.clone();
    if is_upwards {
        rows.reverse();
    }
    for row in &rows {
        if bytes >= FULL_PAGE_BYTES {
            break;
        }
        taken += 1;
        // One that was deleted just now is left out.
        let Some(stored) = events::find_by_row(connection, project, row.kind, row.id)? else {
            continue;
        };
        let loaded = Loaded::of(stored)?;
        let json = to_raw_value(&FullBody::of(&loaded, project)).map_err(Error::internal)?;
        bytes += json.get().len();
        written.insert(row.id, json);
    }
    let paged = match taken < rows.len() {
        true => paged.shortened(taken, page, |row| row.id)?,
        false => paged,
    };
    paged.replace(|rows| {
        let json = |row: ListedEvent| written.remove(&row.id);
        Ok(rows.into_iter().filter_map(json).collect())
    })
}

/// `GET P/events/{event_id}/`: any event, transactions and feedback too.
pub(super) fn get(_: &Api, call: Call<'_>, context: InProject) -> Result<Response> {
    let event_id = EventId::parse(call.params.get("event")).ok_or_else(event_not_found)?;
    let project = context.project.id;
    let stored = events::find(&call.connection, project, event_id)?.ok_or_else(event_not_found)?;
    let own = [stored.kind];
    let beside: &[StoredKind] = match LISTED.contains(&stored.kind) {
        true => &LISTED,
        false => &own,
    };
    let (previous, next) = events::neighbours(&call.connection, project, beside, stored.id)?;
    let loaded = Loaded::of(stored)?;
    let body = DetailBody {
        release: plain(&loaded.event["release"]).map(|version| json!({ "version": version })),
        event: FullBody::of(&loaded, project),
        user_report: None,
        sdk_updates: [],
        resolved_with: [],
        next_event_id: next.map(|id| id.to_string()),
        previous_event_id: previous.map(|id| id.to_string()),
    };
    Ok(Response::json(200, &body))
}

pub(super) fn event_not_found() -> Response {
    error::detail(404, "Event not found")
}
