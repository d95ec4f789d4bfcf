//! Attachments of events. The shapes and parameters are those of the published document.

use serde::Serialize;

use super::error::{self, Result};
use super::events::event_not_found;
use super::search::SearchQuery;
use super::{Api, Call, InProject, download, paging};
use crate::domain::Error;
use crate::domain::event_id::EventId;
use crate::domain::option::ATTACHMENTS_ROLE;
use crate::domain::scope::OrganizationRole;
use crate::domain::time::Timestamp;
use crate::http::Response;
use crate::http::page::{PER_PAGE_MAX, Page};
use crate::store::attachments::{self, AttachmentFilter, StoredAttachment};
use crate::store::events;
use crate::store::organizations;

#[derive(Serialize)]
struct AttachmentBody {
    id: String,
    event_id: String,
    #[serde(rename = "type")]
    kind: String,
    name: String,
    mimetype: Option<String>,
    #[serde(rename = "dateCreated")]
    date_created: Timestamp,
    /// Bytes.
    size: i64,
    headers: HeadersBody,
    /// Hex.
    sha1: String,
}

#[derive(Serialize)]
struct HeadersBody {
    #[serde(rename = "Content-Type")]
    content_type: Option<String>,
}

impl AttachmentBody {
    fn of(attachment: StoredAttachment) -> AttachmentBody {
        AttachmentBody {
            id: attachment.id.to_string(),
            event_id: attachment.event_id.to_string(),
            kind: attachment.kind,
            name: attachment.name,
            mimetype: attachment.content_type.clone(),
            date_created: attachment.received,
            size: attachment.bytes,
            headers: HeadersBody {
                content_type: attachment.content_type,
            },
            sha1: attachment
                .sha1
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        }
    }
}

/// `GET P/events/{event_id}/attachments/`: by name. What came without its event, or before it, is listed as well.
pub(super) fn list(api: &Api, call: Call<'_>, context: InProject) -> Result<Response> {
    let request = &call.request;
    let project = context.project.id;
    let event_id = EventId::parse(call.params.get("event")).ok_or_else(event_not_found)?;
    let is_known = events::find(&call.connection, project, event_id)?.is_some()
        || attachments::exist(&call.connection, project, event_id)?;
    if !is_known {
        return Err(event_not_found().into());
    }
    let filter = filter(&request.query_value("query").unwrap_or_default());
    let page = Page::read(request, PER_PAGE_MAX)?;
    let paged = paging::by_offset(page, |offset, limit| match &filter {
        Some(filter) => {
            let connection = &call.connection;
            Ok(attachments::list(
                connection, project, event_id, filter, offset, limit,
            )?)
        }
        None => Ok(Vec::new()),
    })?;
    Ok(paged.map(AttachmentBody::of).answer(&api.prefix, request))
}

/// What a query asks for: a part of the name, `is:screenshot`, `type:` with a kind. None if nothing can match it, as
/// with a key that the list does not know.
fn filter(query: &str) -> Option<AttachmentFilter> {
    let SearchQuery { text, keys } = SearchQuery::parse(query);
    let mut filter = AttachmentFilter {
        name: text,
        ..AttachmentFilter::default()
    };
    for (key, values) in keys {
        match key.as_str() {
            "is" if values.iter().all(|value| value == "screenshot") => filter.screenshots = true,
            "type" => filter.kinds = Some(values),
            _ => return None,
        }
    }
    Some(filter)
}

/// # Errors
/// `Forbidden`: the organization lets only higher roles download what was attached. A token of its own has none.
fn refuse_low_role(call: &Call<'_>, context: &InProject) -> Result<()> {
    let options = organizations::list_options(&call.connection, context.organization.id)?;
    let least = options
        .get(ATTACHMENTS_ROLE)
        .and_then(|role| OrganizationRole::parse(role.as_str()?))
        .unwrap_or(OrganizationRole::Member);
    match context.access.role() {
        Some(role) if role < least => Err(Error::Forbidden.into()),
        _ => Ok(()),
    }
}

/// `GET P/events/{event_id}/attachments/{attachment_id}/`: about it, or with `download`, whatever its value, its
/// bytes.
pub(super) fn get(api: &Api, call: Call<'_>, context: InProject) -> Result<Response> {
    let not_found = || error::detail(404, "Attachment not found");
    let event_id = EventId::parse(call.params.get("event")).ok_or_else(not_found)?;
    let id = call
        .params
        .get("attachment")
        .parse()
        .map_err(|_| not_found())?;
    let attachment = attachments::find(&call.connection, context.project.id, event_id, id)?
        .ok_or_else(not_found)?;
    if call.request.query_value("download").is_none() {
        return Ok(Response::json(200, &AttachmentBody::of(attachment)));
    }
    refuse_low_role(&call, &context)?;
    let payload = attachments::find_payload(&call.connection, id)?.ok_or(Error::NotFound)?;
    Ok(download::answer(
        api,
        payload,
        attachment.bytes,
        &attachment.name,
    ))
}
