//! Payloads: small ones lie in their row, packed; a large one lies in parts of its own, written one transaction
//! after the other before the row that it belongs to, so that no transaction is long and no upload is held in
//! memory. Until that row is written nothing points to the parts, and the next start removes them.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::writer::Unit;
use crate::domain::{Error, Result};

/// A part holds at most so much, before it is packed.
pub(crate) const PART_BYTES_MAX: usize = 1 << 20;

/// How many parts a payload can have.
const PARTS_MAX: i64 = 1 << 16;

/// The number of a large payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LargePayloadId(pub(crate) i64);

/// A payload about to be stored with its row.
#[derive(Clone, Debug)]
pub(crate) enum NewPayload {
    /// zstd-compressed.
    Packed(Vec<u8>),
    /// Its parts are in the file already.
    Large {
        id: LargePayloadId,
        parts: u32,
        /// Packed.
        bytes: u64,
    },
}

impl NewPayload {
    /// What it holds in memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            NewPayload::Packed(bytes) => bytes.len(),
            NewPayload::Large { .. } => 0,
        }
    }

    /// What it takes in the file.
    pub(crate) fn packed_bytes(&self) -> u64 {
        match self {
            NewPayload::Packed(bytes) => bytes.len() as u64,
            NewPayload::Large { bytes, .. } => *bytes,
        }
    }

    /// For the two columns of a row: the packed bytes, or the number of the large payload.
    pub(super) fn columns(&self) -> (Option<&[u8]>, Option<i64>) {
        match self {
            NewPayload::Packed(bytes) => (Some(bytes), None),
            NewPayload::Large { id, .. } => (None, Some(id.0)),
        }
    }

    /// Says that a row has it now.
    pub(super) fn settle(&self, connection: &Connection) -> rusqlite::Result<()> {
        let NewPayload::Large { id, parts, .. } = self else {
            return Ok(());
        };
        connection
            .prepare_cached("UPDATE large_payload SET parts = :parts WHERE id = :id")?
            .execute(named_params! { ":id": id.0, ":parts": parts })
            .map(drop)
    }
}

/// Begins a large payload.
pub(crate) fn begin(connection: &Connection) -> rusqlite::Result<LargePayloadId> {
    connection
        .prepare_cached("INSERT INTO large_payload DEFAULT VALUES")?
        .execute([])?;
    Ok(LargePayloadId(connection.last_insert_rowid()))
}

/// Adds a part, zstd-compressed. Parts are numbered from 0 on.
pub(crate) fn add_part(
    connection: &Connection,
    id: LargePayloadId,
    number: u32,
    packed: &[u8],
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO payload_part (id, payload) VALUES (:id, :payload)")?
        .execute(named_params! {
            ":id": id.0 * PARTS_MAX + i64::from(number),
            ":payload": packed,
        })
        .map(drop)
}

/// Removes one part of a large payload, so that each can be a change of its own; how many packed bytes it had. None if
/// there was none.
pub(super) fn delete_a_part(
    connection: &Connection,
    id: LargePayloadId,
) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(
            "DELETE FROM payload_part
             WHERE id = (SELECT max(id) FROM payload_part WHERE id >= :first AND id < :end)
             RETURNING length(payload)",
        )?
        .query_row(
            named_params! { ":first": id.0 * PARTS_MAX, ":end": (id.0 + 1) * PARTS_MAX },
            |row| row.get(0),
        )
        .optional()
}

/// Whether the removal of a large payload's parts has begun: they go from the last to the first.
pub(super) fn has_lost_parts(
    connection: &Connection,
    id: LargePayloadId,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM large_payload
             WHERE id = :id AND parts > 0
             AND NOT EXISTS (SELECT 1 FROM payload_part WHERE payload_part.id = :first + parts - 1)",
        )?
        .exists(named_params! { ":id": id.0, ":first": id.0 * PARTS_MAX })
}

/// Removes a large payload with its parts.
pub(crate) fn delete(connection: &Connection, id: LargePayloadId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM payload_part WHERE id >= :first AND id < :end")?
        .execute(named_params! { ":first": id.0 * PARTS_MAX, ":end": (id.0 + 1) * PARTS_MAX })?;
    connection
        .prepare_cached("DELETE FROM large_payload WHERE id = :id")?
        .execute([id.0])
        .map(drop)
}

/// Removes one payload that was never finished, if there is any; whether there was. A server asks for it at its
/// start, before it takes requests.
pub(crate) fn delete_unfinished(unit: &Unit<'_>) -> rusqlite::Result<bool> {
    let found: Option<i64> = unit
        .prepare_cached("SELECT min(id) FROM large_payload WHERE parts IS NULL")?
        .query_row([], |row| row.get(0))?;
    if let Some(id) = found {
        delete(unit, LargePayloadId(id))?;
    }
    Ok(found.is_some())
}

/// Where a stored payload lies.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    /// Packed, in the row that it belongs to.
    InRow(Vec<u8>),
    /// In parts, under this number.
    InParts(LargePayloadId),
}

impl Payload {
    /// Reads the columns `payload` and `large_payload_id`, one of which is null.
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Payload> {
        Ok(match row.get("large_payload_id")? {
            Some(id) => Payload::InParts(LargePayloadId(id)),
            None => Payload::InRow(row.get("payload")?),
        })
    }

    /// One piece of the payload, unpacked, counted from 0; at most 1 MiB of one that lies in parts. None past the
    /// last.
    ///
    /// # Errors
    /// Internal: the piece cannot be unpacked.
    pub(crate) fn piece(&self, connection: &Connection, number: u64) -> Result<Option<Vec<u8>>> {
        let packed = match self {
            Payload::InRow(packed) => (number == 0).then(|| packed.clone()),
            Payload::InParts(id) => part(connection, *id, number)?,
        };
        packed.map(|packed| unpack(&packed)).transpose()
    }

    /// The whole payload, unpacked.
    ///
    /// # Errors
    /// Internal: it cannot be unpacked.
    pub(crate) fn read(&self, connection: &Connection) -> Result<Vec<u8>> {
        let mut whole = Vec::new();
        let mut number = 0;
        while let Some(piece) = self.piece(connection, number)? {
            if number == 0 {
                whole = piece;
            } else {
                whole.extend_from_slice(&piece);
            }
            number += 1;
        }
        Ok(whole)
    }
}

fn part(
    connection: &Connection,
    id: LargePayloadId,
    number: u64,
) -> rusqlite::Result<Option<Vec<u8>>> {
    let Some(number) = i64::try_from(number)
        .ok()
        .filter(|number| *number < PARTS_MAX)
    else {
        return Ok(None);
    };
    connection
        .prepare_cached("SELECT payload FROM payload_part WHERE id = :id")?
        .query_row([id.0 * PARTS_MAX + number], |row| row.get(0))
        .optional()
}

/// # Errors
/// Internal: these are no bytes that the server packed.
pub(crate) fn unpack(packed: &[u8]) -> Result<Vec<u8>> {
    zstd::stream::decode_all(packed).map_err(Error::internal)
}

/// How long a packed payload is when it is unpacked. The packer writes it down in front; where it did not, the
/// payload is unpacked to be counted.
///
/// # Errors
/// Internal: these are no bytes that the server packed.
pub(crate) fn unpacked_bytes(packed: &[u8]) -> Result<i64> {
    let written = zstd::zstd_safe::get_frame_content_size(packed);
    let bytes = match written {
        Ok(Some(bytes)) => bytes,
        Ok(None) | Err(_) => unpack(packed)?.len() as u64,
    };
    i64::try_from(bytes).map_err(Error::internal)
}
