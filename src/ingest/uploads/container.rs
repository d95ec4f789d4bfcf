//! Unfolds a dump that came compressed (facts/ingestion.md 1.4), a piece at a time and to a bounded size.

use std::io::{self, Read, Write};

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;

use super::super::Refusal;
use super::super::source::{Payload, SpoolDir};
use super::{Fault, beginning, unspoolable};

/// What a sender may make a decoder set aside: 32 MiB, the dictionary of `xz -8`. As much at a
/// time for everybody: decoders with such dictionaries have to wait for one another.
const WINDOW_LOG_MAX: u32 = 25;

/// The same for xz, which counts in KiB and some overhead of its own.
const XZ_MEMORY_KIB_MAX: u32 = (1 << (WINDOW_LOG_MAX - 10)) + 1024;

/// A single file, compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    Gzip,
    Xz,
    Bzip2,
    Zstd,
}

impl Container {
    const ALL: [Container; 4] = [
        Container::Gzip,
        Container::Xz,
        Container::Bzip2,
        Container::Zstd,
    ];

    /// Recognises one by its first bytes.
    pub(super) fn of(payload: &Payload<'_>) -> Result<Option<Container>, Refusal> {
        let start = beginning(payload, 6)?;
        Ok(Self::ALL
            .into_iter()
            .find(|container| start.starts_with(container.magic())))
    }

    fn magic(self) -> &'static [u8] {
        match self {
            Container::Gzip => b"\x1f\x8b",
            Container::Xz => b"\xfd7zXZ\0",
            Container::Bzip2 => b"BZh",
            Container::Zstd => b"\x28\xb5\x2f\xfd",
        }
    }

    /// What stands at the end of its file's name.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Container::Gzip => ".gz",
            Container::Xz => ".xz",
            Container::Bzip2 => ".bz2",
            Container::Zstd => ".zst",
        }
    }

    /// The content, at most `bytes_max` of it.
    ///
    /// # Errors
    /// 400 for a broken container, 413 for a larger content.
    pub(super) fn unfold(
        self,
        packed: &Payload<'_>,
        bytes_max: u64,
        spool: &SpoolDir,
    ) -> Result<Payload<'static>, Refusal> {
        let broken = |_| Refusal::from(Fault::InvalidContainer);
        let mut reader = self.reader(packed).map_err(broken)?;
        let mut writer = spool.writer();
        let mut piece = [0; 16 << 10];
        loop {
            let read = reader.read(&mut piece).map_err(broken)?;
            if read == 0 {
                return Ok(writer.finish());
            }
            if writer.len() + read as u64 > bytes_max {
                return Err(Refusal::TooLarge("attachment:minidump"));
            }
            writer
                .write_all(&piece[..read])
                .map_err(|error| unspoolable(&error))?;
        }
    }

    fn reader<'p>(self, packed: &'p Payload<'p>) -> io::Result<Box<dyn Read + 'p>> {
        let packed = packed.reader();
        Ok(match self {
            Container::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Container::Xz => Box::new(XzReader::new_mem_limit(packed, true, XZ_MEMORY_KIB_MAX)),
            Container::Bzip2 => Box::new(MultiBzDecoder::new(packed)),
            Container::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(packed)?;
                decoder.window_log_max(WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Sender, packed};
    use super::*;

    fn unfold(packed: &[u8], bytes_max: u64) -> Result<Vec<u8>, Refusal> {
        let sender = Sender::new();
        let payload = Payload::borrowed(packed);
        let container = Container::of(&payload)?.expect("a container");
        let content = container.unfold(&payload, bytes_max, &sender.spool())?;
        Ok(content.bytes().unwrap().into_owned())
    }

    #[test]
    fn each_container_is_recognised_and_unfolded() {
        let content: Vec<u8> = (0..200_000u32).map(|n| (n / 7) as u8).collect();
        for container in Container::ALL {
            let packed = packed(container, &content);
            assert!(
                unfold(&packed, 200_000).unwrap() == content,
                "{container:?}"
            );
        }
    }

    #[test]
    fn anything_else_is_no_container() {
        for plain in [
            &b""[..],
            b"MDMP",
            b"\x1f",
            b"\xfd7zXZ",
            b"BZ",
            b"PK\x03\x04",
        ] {
            assert_eq!(Container::of(&Payload::borrowed(plain)), Ok(None));
        }
    }

    #[test]
    fn a_container_that_is_cut_or_garbled_is_broken() {
        let content: Vec<u8> = (0..100_000u32).map(|n| n.wrapping_mul(n) as u8).collect();
        for container in Container::ALL {
            let whole = packed(container, &content);
            let mut garbled = whole.clone();
            let middle = garbled.len() / 2;
            garbled[middle] ^= 0xff;
            let magic = container.magic();
            for broken in [&whole[..whole.len() - 1], &whole[..middle], &garbled, magic] {
                assert_eq!(
                    unfold(broken, 1 << 20),
                    Err(Fault::InvalidContainer.into()),
                    "{container:?}, {} of {} bytes",
                    broken.len(),
                    whole.len()
                );
            }
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let content = vec![0; 4 << 20];
        for container in Container::ALL {
            let packed = packed(container, &content);
            assert!(packed.len() < 50_000, "{container:?}");
            assert_eq!(
                unfold(&packed, 1 << 20),
                Err(Refusal::TooLarge("attachment:minidump")),
                "{container:?}"
            );
        }
    }

    #[test]
    fn a_sender_does_not_choose_how_much_memory_is_set_aside() {
        // Frames that ask for windows of 1 GiB and more.
        let zstd = b"\x28\xb5\x2f\xfd\x00\xa0\x01\x00\x00";
        assert_eq!(unfold(zstd, 1 << 20), Err(Fault::InvalidContainer.into()));
        let mut xz = packed(Container::Xz, b"x");
        // The block's header: its size, flags, LZMA2's id, the length of its properties, and the dictionary.
        assert_eq!(xz[14..16], [0x21, 1]);
        xz[16] = 40;
        let sum = crc32(&xz[12..20]);
        xz[20..24].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(unfold(&xz, 1 << 20), Err(Fault::InvalidContainer.into()));
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    }
}
