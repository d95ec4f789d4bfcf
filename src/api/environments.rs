//! The environments of a project (facts/management-api.md 6.7). They come into being through events, never here.

use serde::Serialize;

use super::body::Null;
use super::error::{self, Result};
use super::{Api, Call, InProject};
use crate::domain::Error;
use crate::http::Response;
use crate::store::environments::{self, Environment};
use crate::store::projects;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EnvironmentBody {
    id: String,
    name: String,
    is_hidden: bool,
}

impl EnvironmentBody {
    fn of(environment: Environment) -> EnvironmentBody {
        EnvironmentBody {
            id: environment.id.to_string(),
            name: environment.name,
            is_hidden: environment.hidden,
        }
    }
}

/// How many may be changed at once.
const NAMES_MAX: usize = 1000;

/// `GET P/environments/`: by name; those that are not hidden, unless `visibility` says otherwise.
pub(super) fn list(_: &Api, call: Call<'_>, context: InProject) -> Result<Response> {
    let hidden = match call.request.query_value("visibility").as_deref() {
        None | Some("visible") => Some(false),
        Some("hidden") => Some(true),
        Some("all") => None,
        Some(_) => {
            let text =
                "Invalid value for 'visibility', valid values are: ['all', 'hidden', 'visible']";
            return Err(error::detail(400, text).into());
        }
    };
    let found = environments::list(&call.connection, context.project.id, hidden)?;
    let bodies: Vec<_> = found.into_iter().map(EnvironmentBody::of).collect();
    Ok(Response::json(200, &bodies))
}

/// `PUT P/environments/`: hides or shows several; 200 with those that there are, each once, by name.
pub(super) fn update_all(api: &Api, mut call: Call<'_>, context: InProject) -> Result<Response> {
    let mut fields = call.body()?;
    fields.refuse_missing("environmentNames");
    fields.refuse_missing("isHidden");
    let mut names = fields
        .texts("environmentNames", Null::Refused)
        .value()
        .unwrap_or_default();
    if names.len() > NAMES_MAX {
        let text = format!("Ensure this field has no more than {NAMES_MAX} elements.");
        fields.refuse("environmentNames", text);
    }
    let hidden = fields
        .boolean("isHidden", Null::Refused)
        .value()
        .unwrap_or_default();
    fields.finish()?;
    names.sort_unstable();
    names.dedup();
    let (organization, project) = (context.organization.id, context.project.id);
    let changed = api.store.write(move |unit| {
        if !projects::is_in(unit, organization, project)? {
            return Err(Error::NotFound);
        }
        let mut changed = Vec::new();
        for name in &names {
            environments::set_hidden(unit, project, name, hidden)?;
            changed.extend(environments::find(unit, project, name)?);
        }
        Ok(changed)
    })?;
    let bodies: Vec<_> = changed.into_iter().map(EnvironmentBody::of).collect();
    Ok(Response::json(200, &bodies))
}

/// `GET P/environments/{name}/`.
pub(super) fn get(_: &Api, call: Call<'_>, context: InProject) -> Result<Response> {
    let name = call.params.get("environment");
    let found = environments::find(&call.connection, context.project.id, name)?;
    let environment = found.ok_or(Error::NotFound)?;
    Ok(Response::json(200, &EnvironmentBody::of(environment)))
}

/// `PUT P/environments/{name}/`: hides or shows it.
pub(super) fn update(api: &Api, mut call: Call<'_>, context: InProject) -> Result<Response> {
    let project = context.project.id;
    let name = call.params.get("environment").to_owned();
    environments::find(&call.connection, project, &name)?.ok_or(Error::NotFound)?;
    let mut fields = call.body()?;
    fields.refuse_missing("isHidden");
    let hidden = fields
        .boolean("isHidden", Null::Refused)
        .value()
        .unwrap_or_default();
    fields.finish()?;
    let organization = context.organization.id;
    let environment = api.store.write(move |unit| {
        if !projects::is_in(unit, organization, project)? {
            return Err(Error::NotFound);
        }
        environments::set_hidden(unit, project, &name, hidden)?;
        environments::find(unit, project, &name)?.ok_or(Error::NotFound)
    })?;
    Ok(Response::json(200, &EnvironmentBody::of(environment)))
}
