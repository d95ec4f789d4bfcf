//! The files in an inflated crash. All numbers are 32 bits, little end first; a name is its length and its bytes.
//!
//! Since Unreal Engine 4.26 or so: `CR1`, a header (directory, name, size, number of files), and the files (index,
//! name, length, bytes). Before: the header stands after the files, and in front of them a placeholder of it.

use std::borrow::Cow;

/// More files than this are nobody's crash: an envelope has 30 attachments.
const FILES_MAX: usize = 100;

/// One file, still in the crash.
#[derive(Debug)]
pub(super) struct File<'c> {
    pub(super) name: Cow<'c, str>,
    pub(super) bytes: &'c [u8],
}

impl File<'_> {
    pub(super) fn is_context(&self) -> bool {
        self.name == "CrashContext.runtime-xml"
    }

    /// Told by the name where the engine chooses it, else by how the file begins.
    pub(super) fn attachment_type(&self) -> &'static str {
        if self.is_context() {
            "unreal.context"
        } else if self.name.ends_with(".log") {
            "unreal.logs"
        } else if self.bytes.starts_with(b"MDMP") || self.bytes.starts_with(b"PMDM") {
            "event.minidump"
        } else if self.bytes.starts_with(b"Incident Identifier:") {
            "event.applecrashreport"
        } else {
            "event.attachment"
        }
    }
}

/// # Errors
/// What is wrong with the container.
pub(super) fn files(inflated: &[u8]) -> Result<Vec<File<'_>>, &'static str> {
    let mut reader = Reader(inflated);
    let count = if let Some(rest) = inflated.strip_prefix(b"CR1") {
        reader = Reader(rest);
        reader.header()?
    } else {
        reader.header()?;
        let end = inflated.last_chunk().ok_or(CUT)?;
        u32::from_le_bytes(*end)
    };
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count == 0 {
        return Err("no files");
    }
    if count > FILES_MAX {
        return Err("too many files");
    }
    (0..count).map(|_| reader.file()).collect()
}

const CUT: &str = "unexpected end of file";

/// What is still to be read.
struct Reader<'c>(&'c [u8]);

impl<'c> Reader<'c> {
    /// How many files it announces.
    fn header(&mut self) -> Result<u32, &'static str> {
        self.sized()?;
        self.sized()?;
        let _inflated_bytes = self.number()?;
        self.number()
    }

    fn file(&mut self) -> Result<File<'c>, &'static str> {
        let _index = self.number()?;
        let name = String::from_utf8_lossy(self.sized()?);
        let bytes = self.sized()?;
        Ok(File {
            name: match name.trim_end_matches('\0') {
                trimmed if trimmed.len() == name.len() => name,
                trimmed => Cow::Owned(trimmed.to_owned()),
            },
            bytes,
        })
    }

    fn number(&mut self) -> Result<u32, &'static str> {
        let (number, rest) = self.0.split_first_chunk().ok_or(CUT)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*number))
    }

    /// A length and as many bytes.
    fn sized(&mut self) -> Result<&'c [u8], &'static str> {
        let len = usize::try_from(self.number()?).map_err(|_| CUT)?;
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(CUT)?;
        self.0 = rest;
        Ok(bytes)
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

    #[test]
    fn a_container_that_is_cut_anywhere_is_an_error() {
        let whole = new_format(&[("a", b"one"), ("b", b"")]);
        assert_eq!(files(&whole).unwrap().len(), 2);
        for len in 0..whole.len() {
            assert!(files(&whole[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn a_container_says_what_is_wrong_with_it() {
        let many = [("a", &b""[..]); FILES_MAX + 1];
        for (container, fault) in [
            (new_format(&many), "too many files"),
            (new_format(&[]), "no files"),
            (b"CR1\xff\xff\xff\xff".to_vec(), CUT),
            (vec![0xff; 64], CUT),
        ] {
            assert_eq!(files(&container).unwrap_err(), fault);
        }
    }
}
