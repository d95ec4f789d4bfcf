//! A message of an export as it was sent, walked field by field, so that only its leaves are ever decoded.

use serde::de::DeserializeOwned;

use crate::http::Request;
use crate::ingest::Refusal;
use crate::ingest::endpoints::{ENTRY_BYTES_MAX, each_entry, invalid_json, json_text, media_type};
use crate::ingest::fields::fields;
use crate::ingest::json::values;
use crate::ingest::refusal::InvalidBody;

/// A field by its number in protobuf and its name in JSON.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field(pub(super) u64, pub(super) &'static str);

/// A message that is not decoded yet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Message<'a> {
    Protobuf(&'a [u8]),
    Json(&'a str),
}

/// An empty link is two bytes on the wire and a hundred and fifty in memory. OpenTelemetry's own SDKs stop at 128
/// attributes, events and links each.
const SHORT_VALUES_MAX: usize = 50_000;

/// As deep as messages are decoded.
const DEPTH_MAX: u32 = 100;

/// What is done with each message of a field.
type Each<'a, 'e> = dyn FnMut(Message<'a>) -> Result<(), Refusal> + 'e;

impl<'a> Message<'a> {
    /// # Errors
    /// The body's media type is none of the protocol's, or it is no text though it says so.
    pub(super) fn of(body: &'a [u8], request: &Request) -> Result<Message<'a>, Refusal> {
        match &*media_type(request) {
            "application/x-protobuf" | "application/protobuf" => Ok(Message::Protobuf(body)),
            "application/json" => json_text(body).map(Message::Json),
            _ => Err(Refusal::UnsupportedContentType),
        }
    }

    /// Hands out the messages in a field, in their order.
    ///
    /// # Errors
    /// The message cannot be read, or `each` refused.
    pub(super) fn each(self, field: Field, each: &mut Each<'a, '_>) -> Result<(), Refusal> {
        match self {
            Message::Protobuf(bytes) => each_in_protobuf(bytes, field.0, each),
            Message::Json(json) => match field_of_json(json, field.1)? {
                Some(value) => each_entry(value, |entry| match entry {
                    "null" => Ok(()),
                    entry => each(Message::Json(entry)),
                }),
                None => Ok(()),
            },
        }
    }

    /// The message in a field that is there once: of several the last counts.
    ///
    /// # Errors
    /// The message cannot be read.
    pub(super) fn last(self, field: Field) -> Result<Option<Message<'a>>, Refusal> {
        let mut last = None;
        self.each(field, &mut |message| {
            last = Some(message);
            Ok(())
        })?;
        Ok(last)
    }

    /// Reads the whole message. `group` names what is too large if it is.
    ///
    /// # Errors
    /// It is too large, or cannot be read.
    pub(super) fn decode<T>(self, group: &'static str) -> Result<T, Refusal>
    where
        T: prost::Message + Default + DeserializeOwned,
    {
        let len = match self {
            Message::Protobuf(bytes) => bytes.len(),
            Message::Json(json) => json.len(),
        };
        if len > ENTRY_BYTES_MAX || self.short_values() > SHORT_VALUES_MAX {
            return Err(Refusal::TooLarge(group));
        }
        match self {
            Message::Protobuf(bytes) => T::decode(bytes).map_err(|error| invalid(&error)),
            Message::Json(json) => serde_json::from_str(json).map_err(|error| invalid_json(&error)),
        }
    }

    /// At least how many values it has that cost far more in memory than on the wire.
    fn short_values(self) -> usize {
        match self {
            Message::Protobuf(bytes) => short_fields(bytes, DEPTH_MAX).unwrap_or_default(),
            Message::Json(json) => values(json.as_bytes()),
        }
    }
}

fn field_of_json<'a>(json: &'a str, name: &str) -> Result<Option<&'a str>, Refusal> {
    fields! {
        struct Wire {
            resource_spans: "resourceSpans",
            resource_logs: "resourceLogs",
            resource: "resource",
            scope_spans: "scopeSpans",
            scope_logs: "scopeLogs",
            scope: "scope",
            spans: "spans",
            log_records: "logRecords",
        }
    }
    let wire: Wire<'a> = serde_json::from_str(json).map_err(|error| invalid_json(&error))?;
    let value = match name {
        "resourceSpans" => wire.resource_spans,
        "resourceLogs" => wire.resource_logs,
        "resource" => wire.resource,
        "scopeSpans" => wire.scope_spans,
        "scopeLogs" => wire.scope_logs,
        "scope" => wire.scope,
        "spans" => wire.spans,
        "logRecords" => wire.log_records,
        _ => None,
    };
    Ok(value.map(|value| value.get()))
}

/// protobuf.dev/programming-guides/encoding: keys are a number and a wire type, three of which are skipped here.
fn each_in_protobuf<'a>(
    mut bytes: &'a [u8],
    field: u64,
    each: &mut Each<'a, '_>,
) -> Result<(), Refusal> {
    while let Some((key, value)) = next_field(&mut bytes)? {
        if key == field {
            each(Message::Protobuf(value))?;
        }
    }
    Ok(())
}

/// The number and the content of the next field that has a length; the others are skipped.
fn next_field<'a>(bytes: &mut &'a [u8]) -> Result<Option<(u64, &'a [u8])>, Refusal> {
    while !bytes.is_empty() {
        let key = varint(bytes)?;
        let len = match key & 7 {
            0 => {
                skip_varint(bytes)?;
                continue;
            }
            1 => 8,
            2 => varint(bytes)?,
            5 => 4,
            _ => return Err(invalid(&"unexpected wire type")),
        };
        let (value, rest) = usize::try_from(len)
            .ok()
            .and_then(|len| bytes.split_at_checked(len))
            .ok_or_else(|| invalid(&"buffer underflow"))?;
        *bytes = rest;
        if key & 7 == 2 {
            return Ok(Some((key >> 3, value)));
        }
    }
    Ok(None)
}

/// How many fields of a few bytes a message has at any depth; none if it is no message. Without knowing which fields
/// are messages, a text counts as one if it can be read so. But lengths of a few bytes are no characters.
fn short_fields(mut bytes: &[u8], depth_max: u32) -> Option<usize> {
    const SHORT_BYTES: usize = 8;
    let mut count = 0;
    while let Some((_, value)) = next_field(&mut bytes).ok()? {
        count += usize::from(value.len() < SHORT_BYTES);
        if depth_max > 0 {
            count += short_fields(value, depth_max - 1).unwrap_or_default();
        }
    }
    Some(count)
}

/// Keys and lengths are encoded alike.
fn varint(bytes: &mut &[u8]) -> Result<u64, Refusal> {
    prost::decode_length_delimiter(bytes)
        .map(|number| number as u64)
        .map_err(|error| invalid(&error))
}

fn skip_varint(bytes: &mut &[u8]) -> Result<(), Refusal> {
    let last = bytes.iter().take(10).position(|byte| *byte < 0x80);
    let last = last.ok_or_else(|| invalid(&"invalid varint"))?;
    *bytes = &bytes[last + 1..];
    Ok(())
}

fn invalid(cause: &dyn std::fmt::Display) -> Refusal {
    Refusal::InvalidBody(InvalidBody::Protobuf, cause.to_string())
}
