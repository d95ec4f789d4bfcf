//! Packs payloads for the file: small ones travel with their row, large ones go ahead of it in parts.

use std::cell::RefCell;
use std::io::{self, Read};

use sha1::{Digest, Sha1};

use super::Refusal;
use super::source::{MEMORY_BYTES_MAX, Payload};
use crate::domain::Error;
use crate::store::Store;
use crate::store::payloads::{self, LargePayloadId, NewPayload, PART_BYTES_MAX};

/// zstd's fastest level with entropy coding: a 1 KB event shrinks to half in a few microseconds.
const LEVEL: i32 = 1;

/// Packs the payloads of one request, and remembers which parts are in the file already.
pub(super) struct Packer<'s> {
    store: &'s Store,
    /// Large payloads may be written in parts, which waits for the disk.
    may_wait: bool,
    begun: Vec<LargePayloadId>,
}

impl<'s> Packer<'s> {
    /// `may_wait`: on a thread for large requests. A worker packs whatever it meets in one piece: what it made of
    /// a request of 1 MiB.
    pub(super) fn new(store: &'s Store, may_wait: bool) -> Packer<'s> {
        Packer {
            store,
            may_wait,
            begun: Vec::new(),
        }
    }

    /// The large payloads that were begun. They must be settled with a row or abandoned.
    pub(super) fn begun(self) -> Vec<LargePayloadId> {
        self.begun
    }

    /// Packs a payload.
    ///
    /// # Errors
    /// The payload cannot be read, or the writer cannot take it.
    pub(super) fn pack(&mut self, payload: &Payload<'_>) -> Result<NewPayload, Refusal> {
        if self.may_wait && payload.len() > MEMORY_BYTES_MAX as u64 {
            return self.pack_large(payload);
        }
        let bytes = payload.bytes().map_err(|e| Refusal::unreadable(&e))?;
        compress(&bytes).map(NewPayload::Packed)
    }

    fn pack_large(&mut self, payload: &Payload<'_>) -> Result<NewPayload, Refusal> {
        let id = self
            .store
            .write(|unit| Ok(payloads::begin(unit)?))
            .map_err(refusal_of)?;
        self.begun.push(id);
        let mut reader = payload.reader();
        let mut chunk = Vec::with_capacity(PART_BYTES_MAX);
        let (mut parts, mut bytes) = (0, 0);
        loop {
            chunk.clear();
            (&mut reader)
                .take(PART_BYTES_MAX as u64)
                .read_to_end(&mut chunk)
                .map_err(|e| Refusal::unreadable(&e))?;
            if chunk.is_empty() {
                return Ok(NewPayload::Large { id, parts, bytes });
            }
            let packed = compress(&chunk)?;
            bytes += packed.len() as u64;
            self.store
                .write(move |unit| Ok(payloads::add_part(unit, id, parts, &packed)?))
                .map_err(refusal_of)?;
            parts += 1;
        }
    }
}

fn refusal_of(error: Error) -> Refusal {
    match error {
        Error::Unavailable { retry_after_secs } => Refusal::Unavailable { retry_after_secs },
        error => {
            log::error!("a large payload could not be stored: {error}");
            Refusal::Internal
        }
    }
}

/// Each worker keeps its compressor: setting one up costs more than using it.
pub(super) fn compress(payload: &[u8]) -> Result<Vec<u8>, Refusal> {
    thread_local! {
        static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> =
            const { RefCell::new(None) };
    }
    let packed = COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some(compressor) => compressor,
            None => slot.insert(zstd::bulk::Compressor::new(LEVEL)?),
        };
        compressor.compress(payload)
    });
    match packed {
        Ok(mut packed) => {
            packed.shrink_to_fit();
            Ok(packed)
        }
        Err(error) => {
            log::error!("a payload could not be compressed: {error}");
            Err(Refusal::Internal)
        }
    }
}

/// The SHA-1 of a payload, by which clients recognise an attachment.
pub(super) fn sha1(payload: &Payload<'_>) -> io::Result<[u8; 20]> {
    let mut digest = Sha1::new();
    match payload {
        Payload::Memory(bytes) => digest.update(bytes),
        Payload::Spooled(_) => {
            let mut reader = payload.reader();
            let mut chunk = vec![0; 64 << 10];
            loop {
                let read = reader.read(&mut chunk)?;
                if read == 0 {
                    break;
                }
                digest.update(&chunk[..read]);
            }
        }
    }
    Ok(digest.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_can_be_unpacked() {
        let packed = compress(b"{\"a\":1}").unwrap();
        assert_eq!(zstd::bulk::decompress(&packed, 100).unwrap(), b"{\"a\":1}");
    }
}
