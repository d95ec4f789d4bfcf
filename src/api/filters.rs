//! The inbound filters of a project that are switched on and off (facts/management-api.md 9). What they drop is
//! ingestion's business; the lists of addresses, releases and messages are options of the project.

use serde::Serialize;
use serde_json::{Value, json};

use super::body::{Given, Null};
use super::error::Result;
use super::{Api, Call, InProject};
use crate::domain::option::{self, InboundFilters, IngestSettings, LEGACY_BROWSERS, Options};
use crate::domain::{Error, FieldErrors};
use crate::http::Response;
use crate::store::projects;

#[derive(Serialize)]
struct FilterBody {
    id: &'static str,
    /// Of the legacy browsers a list where not all are meant.
    active: Value,
}

const LEGACY: &str = "legacy-browsers";

/// By id, with the options that hold them.
const FILTERS: [(&str, &str); 5] = [
    ("browser-extensions", option::FILTER_BROWSER_EXTENSIONS),
    ("filtered-transaction", option::FILTER_TRANSACTIONS),
    (LEGACY, option::FILTER_LEGACY_BROWSERS),
    ("localhost", option::FILTER_LOCALHOST),
    ("web-crawlers", option::FILTER_WEB_CRAWLERS),
];

fn active(filters: &InboundFilters, id: &str) -> Value {
    match id {
        "browser-extensions" => json!(filters.browser_extensions),
        "filtered-transaction" => json!(filters.health_checks),
        "localhost" => json!(filters.localhost),
        "web-crawlers" => json!(filters.web_crawlers),
        _ if filters.legacy_browsers_default => json!(true),
        _ if filters.legacy_browsers.is_empty() => json!(false),
        _ => json!(filters.legacy_browsers),
    }
}

/// `GET P/filters/`: by id, in one answer.
pub(super) fn list(_: &Api, call: Call<'_>, context: InProject) -> Result<Response> {
    let stored: Options = projects::list_options(&call.connection, context.project.id)?
        .into_iter()
        .collect();
    let filters = IngestSettings::of(&stored, &Options::new()).filters;
    let bodies = FILTERS.map(|(id, _)| FilterBody {
        id,
        active: active(&filters, id),
    });
    Ok(Response::json(200, &bodies))
}

/// `PUT P/filters/{id}/`: 204. Without `active` a filter is off, unless `subfilters` name browsers.
pub(super) fn update(api: &Api, mut call: Call<'_>, context: InProject) -> Result<Response> {
    let id = call.params.get("filter").to_owned();
    let (id, name) = FILTERS
        .into_iter()
        .find(|(known, _)| *known == id)
        .ok_or(Error::NotFound)?;
    let mut fields = call.body()?;
    let on = fields.boolean("active", Null::Refused);
    let mut value = json!(matches!(on, Given::Value(true)));
    if id == LEGACY
        && let Given::Value(browsers) = fields.texts("subfilters", Null::Refused)
    {
        let mut wrong = FieldErrors::default();
        for browser in &browsers {
            if !LEGACY_BROWSERS.contains(&browser.as_str()) {
                wrong
                    .texts
                    .push(format!("\"{browser}\" is not a valid choice."));
            }
        }
        fields.refuse_parts("subfilters", wrong);
        if matches!(on, Given::Absent) && !browsers.is_empty() {
            let mut browsers = browsers;
            browsers.sort_unstable();
            browsers.dedup();
            value = json!(browsers);
        }
    }
    fields.finish()?;
    let actor = call.actor()?;
    let project = context.project;
    api.store.write(move |unit| {
        if !projects::is_in(unit, project.organization, project.id)? {
            return Err(Error::NotFound);
        }
        projects::set_filter(unit, &actor, &project, id, name, &value)
    })?;
    Ok(Response::empty(204))
}
