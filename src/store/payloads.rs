//! Payloads as they lie in the file: packed with zstd, in their own row or, over 1 MiB, in parts.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::domain::{Error, Result};

/// Where a payload lies.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    /// Packed, in the row that it belongs to.
    InRow(Vec<u8>),
    /// In parts, under this number.
    InParts(i64),
}

impl Payload {
    /// Reads the columns `payload` and `large_payload_id`, one of which is null.
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Payload> {
        Ok(match row.get("large_payload_id")? {
            Some(id) => Payload::InParts(id),
            None => Payload::InRow(row.get("payload")?),
        })
    }

    /// One piece of the payload, unpacked, counted from 0; at most 1 MiB of one that lies in parts. None past the
    /// last.
    ///
    /// # Errors
    /// Internal: the piece cannot be unpacked.
    pub(crate) fn piece(&self, connection: &Connection, number: i64) -> Result<Option<Vec<u8>>> {
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

/// The parts of a payload are one range of numbers, of which each payload has this many.
const PARTS_MAX: i64 = 65_536;

fn part(connection: &Connection, id: i64, number: i64) -> rusqlite::Result<Option<Vec<u8>>> {
    if !(0..PARTS_MAX).contains(&number) {
        return Ok(None);
    }
    connection
        .prepare_cached("SELECT payload FROM payload_part WHERE id = :id")?
        .query_row([id * PARTS_MAX + number], |row| row.get(0))
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
