//! The files in an inflated crash. All numbers are 32 bits, little end first; a name is its length and its bytes.
//!
//! Since Unreal Engine 4.26 or so: `CR1`, a header (directory, name, size, number of files), and the files (index,
//! name, length, bytes). Before: the header stands after the files, and in front of them a placeholder of it.

use std::borrow::Cow;

use crate::ingest::Refusal;
use crate::ingest::refusal::InvalidBody;
use crate::ingest::source::Payload;

/// More files than this are nobody's crash: an envelope has 30 attachments.
const FILES_MAX: u32 = 100;

/// The engine writes names into fields of 260 characters.
const NAME_BYTES_MAX: u64 = 4096;

/// One file, which lies where the crash lies.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) content: Payload<'static>,
}

impl File {
    pub(super) fn is_context(&self) -> bool {
        self.name == "CrashContext.runtime-xml"
    }

    /// Told by the name where the engine chooses it, else by how the file begins.
    ///
    /// # Errors
    /// The file could not be read back.
    pub(super) fn attachment_type(&self) -> Result<&'static str, Refusal> {
        const APPLE: &[u8] = b"Incident Identifier:";
        if self.is_context() {
            return Ok("unreal.context");
        }
        if self.name.ends_with(".log") {
            return Ok("unreal.logs");
        }
        let beginning = self.content.slice(0, APPLE.len() as u64);
        let beginning = beginning.bytes().map_err(|e| Refusal::unreadable(&e))?;
        Ok(
            if beginning.starts_with(b"MDMP") || beginning.starts_with(b"PMDM") {
                "event.minidump"
            } else if beginning.starts_with(APPLE) {
                "event.applecrashreport"
            } else {
                "event.attachment"
            },
        )
    }
}

/// # Errors
/// What is wrong with the container, or it could not be read back.
pub(super) fn files(inflated: &Payload<'_>) -> Result<Vec<File>, Refusal> {
    const MAGIC: &[u8] = b"CR1";
    let mut reader = Reader { inflated, at: 0 };
    let count = if *bytes(&inflated.slice(0, MAGIC.len() as u64))? == *MAGIC {
        reader.at = MAGIC.len() as u64;
        reader.header()?
    } else {
        reader.header()?;
        let mut end = Reader {
            inflated,
            at: inflated.len().saturating_sub(4),
        };
        end.number()?
    };
    if count == 0 {
        return Err(broken("no files"));
    }
    if count > FILES_MAX {
        return Err(broken("too many files"));
    }
    (0..count).map(|_| reader.file()).collect()
}

const CUT: &str = "unexpected end of file";

fn broken(cause: &str) -> Refusal {
    Refusal::InvalidBody(InvalidBody::UnrealFiles, cause.to_owned())
}

fn bytes<'p>(part: &'p Payload<'_>) -> Result<Cow<'p, [u8]>, Refusal> {
    part.bytes().map_err(|error| Refusal::unreadable(&error))
}

/// Goes through a container from front to back.
struct Reader<'c> {
    inflated: &'c Payload<'c>,
    at: u64,
}

impl<'c> Reader<'c> {
    /// How many files it announces.
    fn header(&mut self) -> Result<u32, Refusal> {
        let _directory = self.sized()?;
        let _name = self.sized()?;
        let _inflated_bytes = self.number()?;
        self.number()
    }

    fn file(&mut self) -> Result<File, Refusal> {
        let _index = self.number()?;
        let name = self.sized()?;
        if name.len() > NAME_BYTES_MAX {
            return Err(broken("a file's name is too long"));
        }
        let name = bytes(&name)?;
        let name = String::from_utf8_lossy(&name);
        Ok(File {
            name: name.trim_end_matches('\0').to_owned(),
            content: self.sized()?.kept(),
        })
    }

    fn number(&mut self) -> Result<u32, Refusal> {
        let part = self.part(4)?;
        let bytes = bytes(&part)?;
        let number = bytes.first_chunk().ok_or_else(|| broken(CUT))?;
        Ok(u32::from_le_bytes(*number))
    }

    /// A length and as many bytes.
    fn sized(&mut self) -> Result<Payload<'c>, Refusal> {
        let len = self.number()?;
        self.part(len.into())
    }

    fn part(&mut self, len: u64) -> Result<Payload<'c>, Refusal> {
        if len > self.inflated.len() - self.at {
            return Err(broken(CUT));
        }
        let part = self.inflated.slice(self.at, len);
        self.at += len;
        Ok(part)
    }
}

/// Makes containers.
#[cfg(test)]
pub(super) mod testing {
    fn sized(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat()
    }

    fn header(files: u32) -> Vec<u8> {
        [
            sized(b"UE4CC\0"),
            sized(b"UE4CC.ue4crash\0\0"),
            vec![0; 4],
            files.to_le_bytes().to_vec(),
        ]
        .concat()
    }

    fn table(files: &[(&str, &[u8])]) -> Vec<u8> {
        let files = files.iter().zip(0u32..);
        let file = |((name, bytes), index): (&(&str, &[u8]), u32)| {
            let name = format!("{name}\0\0\0");
            [
                index.to_le_bytes().to_vec(),
                sized(name.as_bytes()),
                sized(bytes),
            ]
            .concat()
        };
        files.flat_map(file).collect()
    }

    pub(in super::super) fn new_format(files: &[(&str, &[u8])]) -> Vec<u8> {
        [b"CR1".to_vec(), header(files.len() as u32), table(files)].concat()
    }

    pub(in super::super) fn old_format(files: &[(&str, &[u8])]) -> Vec<u8> {
        [header(0), table(files), header(files.len() as u32)].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::*;
    use super::*;

    fn files_in(inflated: &[u8]) -> Result<Vec<File>, Refusal> {
        files(&Payload::borrowed(inflated))
    }

    #[test]
    fn a_container_that_is_cut_anywhere_is_an_error() {
        let whole = new_format(&[("a", b"one"), ("b", b"")]);
        assert_eq!(files_in(&whole).unwrap().len(), 2);
        for len in 0..whole.len() {
            assert!(files_in(&whole[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn a_container_says_what_is_wrong_with_it() {
        let many = [("a", &b""[..]); FILES_MAX as usize + 1];
        let long = "a".repeat(NAME_BYTES_MAX as usize);
        for (container, fault) in [
            (new_format(&many), "too many files"),
            (new_format(&[]), "no files"),
            (new_format(&[(&long, b"")]), "a file's name is too long"),
            (b"CR1\xff\xff\xff\xff".to_vec(), CUT),
            (vec![0xff; 64], CUT),
        ] {
            assert_eq!(files_in(&container).unwrap_err(), broken(fault));
        }
    }
}
