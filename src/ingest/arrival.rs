//! A request of a known project: how its body is read into items.

use std::borrow::Cow;
use std::fs::File;
use std::sync::Arc;

use super::desk::Desk;
use super::intake::Intake;
use super::parcel::{Item, Parcel};
use super::plan::Plan;
use super::routes::Endpoint;
use super::sort::{self, Sorted};
use super::source::{Payload, Spooled};
use super::{
    Authenticated, Refusal, auth, decode, endpoints, envelope, items, large, payload, uploads,
};
use crate::domain::event_id::EventId;
use crate::domain::time::Timestamp;
use crate::http::router::Params;
use crate::http::{Body, Request, Responder};

/// A request of a known project on its way.
pub(super) struct Arrival {
    pub(super) who: Authenticated,
    pub(super) endpoint: Endpoint,
    pub(super) params: Params,
    /// Without its body.
    pub(super) request: Request,
    pub(super) sent: Payload<'static>,
    pub(super) responder: Responder,
}

/// Why nothing of a request is taken.
pub(super) enum Fault {
    Whole(Refusal),
    TooLarge(sort::TooLarge),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault::Whole(refusal)
    }
}

impl Arrival {
    /// The decoded body, if it is a worker's.
    pub(super) fn in_memory(&self, desk: &Desk) -> Result<Option<Cow<'_, [u8]>>, Refusal> {
        if self.endpoint == Endpoint::StorePicture {
            let data = self.request.query_value("sentry_data").unwrap_or_default();
            return Ok(Some(Cow::Owned(data.into_bytes())));
        }
        match &self.sent {
            Payload::Memory(sent) if !self.endpoint.unfolds() => {
                let bytes_max = self.endpoint.body_bytes_max(desk.body_bytes_max);
                let body = decode::in_memory(&self.request, sent, bytes_max)?;
                Ok(body.filter(|body| !large::is_dense(body)))
            }
            _ => Ok(None),
        }
    }

    /// The plan for a request that was refused before its items were known.
    pub(super) fn refused(&self, refusal: Refusal) -> Plan {
        let refusal = self.endpoint.name_limit(refusal);
        Plan::refused(refusal, self.endpoint.category(), &self.who)
    }

    /// Reads the body into items and lets the intake decide about them.
    pub(super) fn read(
        &self,
        body: &Payload<'_>,
        desk: &Desk,
        intake: &mut Intake<'_, '_>,
    ) -> Result<(), Fault> {
        let (request, spool) = (&self.request, &desk.spool);
        match self.endpoint {
            Endpoint::Envelope => self.read_envelope(body, intake),
            Endpoint::Store | Endpoint::StorePicture => {
                let bytes = body.bytes().map_err(|e| Refusal::unreadable(&e))?;
                let json = payload::of_store_body(&bytes)?;
                if json.len() as u64 > items::EVENT_BYTES_MAX {
                    return Err(Refusal::RequestTooLarge.into());
                }
                let (kind, id) = payload::of_store_event(&json)?;
                let parcel = Parcel {
                    id: Some(id.unwrap_or_else(EventId::random)),
                    sent_us: None,
                    items: vec![Item::new(kind, Payload::Memory(json))],
                };
                take_parcel(parcel, intake)
            }
            Endpoint::Minidump => {
                let limits = uploads::Limits {
                    attachment_bytes_max: desk.body_bytes_max,
                };
                take_parcel(
                    uploads::minidump::parcel(body, request, spool, limits)?,
                    intake,
                )
            }
            Endpoint::Unreal => take_parcel(
                endpoints::unreal::parcel(body, request, spool, desk.body_bytes_max)?,
                intake,
            ),
            Endpoint::Attachments => {
                let event_id = self.params.get("event_id");
                let parcel = uploads::attachments::parcel(event_id, body, request, spool)?;
                take_parcel(parcel, intake)
            }
            Endpoint::Playstation => {
                take_parcel(uploads::playstation::parcel(body, request, spool)?, intake)
            }
            endpoint => {
                let bytes = body.bytes().map_err(|e| Refusal::unreadable(&e))?;
                for parcel in self.parcels(endpoint, &bytes)? {
                    take_parcel(parcel, intake)?;
                }
                Ok(())
            }
        }
    }

    /// The items of an endpoint whose body is small or of one piece.
    fn parcels(&self, endpoint: Endpoint, body: &[u8]) -> Result<Vec<Parcel<'static>>, Refusal> {
        let request = &self.request;
        match endpoint {
            Endpoint::Security => endpoints::security::parcels(body, request),
            Endpoint::Nel => endpoints::nel::parcels(body, request),
            Endpoint::Cron => endpoints::cron::parcels(body, self.params.get("slug"), request),
            Endpoint::OtlpTraces => endpoints::otlp::traces(body, request),
            Endpoint::OtlpLogs => endpoints::otlp::logs(body, request),
            Endpoint::VercelLogs => endpoints::vercel::parcels(body, request),
            Endpoint::HerokuLogs => endpoints::heroku::parcels(body, request),
            _ => Err(Refusal::Internal),
        }
    }

    fn read_envelope(&self, body: &Payload<'_>, intake: &mut Intake<'_, '_>) -> Result<(), Fault> {
        let mut sorted = Sorted::default();
        let header = envelope::parse(body, &mut |item| sorted.add(item))?;
        auth::agree(&header, &self.who, &self.request)?;
        if let Some(too_large) = sorted.too_large {
            return Err(Fault::TooLarge(too_large));
        }
        intake.sent_by(header.sdk);
        let sent_us = header.sent.map(Timestamp::us);
        intake.take(sorted.finish(), header.event_id, sent_us)?;
        Ok(())
    }
}

pub(super) fn take_parcel(parcel: Parcel<'_>, intake: &mut Intake<'_, '_>) -> Result<(), Fault> {
    let mut sorted = Sorted::default();
    for item in parcel.items {
        sorted.add(item);
    }
    if let Some(too_large) = sorted.too_large {
        return Err(Fault::TooLarge(too_large));
    }
    intake.take(sorted.finish(), parcel.id, parcel.sent_us)?;
    Ok(())
}

/// The body as it was sent, out of the request.
pub(super) fn sent(request: &mut Request) -> Payload<'static> {
    match std::mem::replace(&mut request.body, Body::empty()) {
        Body::Memory(bytes) => Payload::owned(bytes),
        Body::File { file, bytes } => Payload::Spooled(Spooled {
            file: Arc::<File>::new(file),
            offset: 0,
            len: bytes,
        }),
    }
}
