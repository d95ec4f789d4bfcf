//! Forms that bring files: the texts in memory, the contents of all files together in one spool.

use std::io::Write;
use std::ops::Range;

use super::super::Refusal;
use super::super::items::EVENT_BYTES_MAX;
use super::super::source::{Payload, SpoolDir, SpoolWriter};
use super::{Fault, unspoolable};
use crate::http::Request;
use crate::http::multipart::{FormError, Part, Parts, boundary};

/// All texts of a form together: they become part of an event.
const TEXT_BYTES_MAX: usize = EVENT_BYTES_MAX as usize;

/// The parts of a form, each kind in the order of arrival.
#[derive(Debug, Default)]
pub(super) struct Form {
    pub(super) files: Vec<File>,
    /// Name and text of the parts that have no file name.
    pub(super) fields: Vec<(String, String)>,
}

/// A part that has a file name, if only an empty one.
#[derive(Debug)]
pub(super) struct File {
    /// Of the form's field.
    pub(super) name: String,
    pub(super) filename: String,
    pub(super) content_type: Option<String>,
    pub(super) content: Payload<'static>,
}

/// Reads the form that is a request's decoded body.
///
/// # Errors
/// 400 for a form that is none, is broken or ends early; 413 for too much text.
pub(super) fn of_request(
    body: &Payload<'_>,
    request: &Request,
    spool: &SpoolDir,
) -> Result<Form, Refusal> {
    let content_type = request.headers.get("content-type").unwrap_or_default();
    let boundary = boundary(content_type).map_err(broken)?;
    read(body, &boundary, spool)
}

/// Reads a form whose boundary is known.
///
/// # Errors
/// As [`of_request`].
pub(super) fn read(body: &Payload<'_>, boundary: &str, spool: &SpoolDir) -> Result<Form, Refusal> {
    let mut parts = Parts::new(body.reader(), boundary);
    let mut taken = Taken {
        spool: spool.writer(),
        files: Vec::new(),
        fields: Vec::new(),
        text_bytes: 0,
    };
    while let Some(part) = parts.next_part().map_err(broken)? {
        taken.take(part)?;
    }
    Ok(taken.finish())
}

fn broken(error: FormError) -> Refusal {
    match error {
        FormError::Unreadable(error) => Refusal::unreadable(&error),
        FormError::Broken(cause) => Fault::Multipart(cause).into(),
    }
}

/// The parts read so far.
struct Taken<'d> {
    /// The contents of all files, one after the other.
    spool: SpoolWriter<'d>,
    files: Vec<SpooledFile>,
    fields: Vec<(String, String)>,
    text_bytes: usize,
}

struct SpooledFile {
    name: String,
    filename: String,
    content_type: Option<String>,
    place: Range<u64>,
}

impl Taken<'_> {
    fn take(&mut self, part: Part<'_>) -> Result<(), Refusal> {
        match part.filename() {
            Some(filename) => self.take_file(part, filename),
            None => self.take_text(part),
        }
    }

    fn take_file(&mut self, mut part: Part<'_>, filename: String) -> Result<(), Refusal> {
        let start = self.spool.len();
        while let Some(chunk) = part.next_chunk().map_err(broken)? {
            self.spool
                .write_all(&chunk)
                .map_err(|error| unspoolable(&error))?;
        }
        self.files.push(SpooledFile {
            name: part.name().to_owned(),
            filename,
            content_type: part.content_type().map(str::to_owned),
            place: start..self.spool.len(),
        });
        Ok(())
    }

    fn take_text(&mut self, mut part: Part<'_>) -> Result<(), Refusal> {
        let name = part.name().to_owned();
        let mut text = Vec::new();
        self.count_text(name.len())?;
        while let Some(chunk) = part.next_chunk().map_err(broken)? {
            self.count_text(chunk.len())?;
            text.extend_from_slice(&chunk);
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        self.fields.push((name, text));
        Ok(())
    }

    fn count_text(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.text_bytes += bytes;
        if self.text_bytes > TEXT_BYTES_MAX {
            return Err(Refusal::TooLarge("form_data"));
        }
        Ok(())
    }

    fn finish(self) -> Form {
        let contents = self.spool.finish();
        let files = self.files.into_iter().map(|file| File {
            name: file.name,
            filename: file.filename,
            content_type: file.content_type,
            content: contents
                .slice(file.place.start, file.place.end - file.place.start)
                .kept(),
        });
        Form {
            files: files.collect(),
            fields: self.fields,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::source::MEMORY_BYTES_MAX;
    use super::super::tests::{FORM, Sender, form, request};
    use super::*;

    fn read_form(body: &[u8]) -> Result<Form, Refusal> {
        let sender = Sender::new();
        of_request(&Payload::borrowed(body), &request(FORM), &sender.spool())
    }

    fn cause(result: Result<Form, Refusal>) -> String {
        match result.unwrap_err() {
            Refusal::Upload(Fault::Multipart(cause)) => cause,
            refusal => panic!("{refusal:?}"),
        }
    }

    #[test]
    fn a_part_with_a_file_name_is_a_file_and_any_other_a_field() {
        let euro = "name=\"a\"; filename=\"\u{20ac} 1.txt\"";
        let body = form(&[
            ("name=\"plain\"", b"text"),
            (euro, b"one"),
            ("name=b; filename=two.txt", b"two\r\n--ed"),
            ("name=\"c\"; filename*=utf-8''%E2%82%AC.bin", b""),
            ("filename=\"\"; name=\"d;\\\"e\"", b"\r\n"),
            ("name=unquoted", b"\xff"),
        ]);
        let form = read_form(&body).unwrap();
        let files: Vec<_> = form
            .files
            .iter()
            .map(|f| (&*f.name, &*f.filename, f.content.bytes().unwrap().to_vec()))
            .collect();
        assert_eq!(
            files,
            [
                ("a", "\u{20ac} 1.txt", b"one".to_vec()),
                ("b", "two.txt", b"two\r\n--ed".to_vec()),
                ("c", "\u{20ac}.bin", b"".to_vec()),
                ("d;\"e", "", b"\r\n".to_vec()),
            ]
        );
        let fields: Vec<_> = form.fields.iter().map(|(n, t)| (&**n, &**t)).collect();
        assert_eq!(fields, [("plain", "text"), ("unquoted", "\u{fffd}")]);
    }

    #[test]
    fn a_content_type_is_kept_as_it_was_sent_and_may_be_missing() {
        let body =
            b"preamble\r\n--edge  \r\ncontent-disposition: form-data; name=a; filename=a\r\n\
            Content-Type: Text/Plain; odd\r\n\r\nx\r\n--edge\r\n\
            Content-Disposition: form-data; name=b; filename=b\r\n\r\ny\r\n--edge--\r\nepilogue";
        let types: Vec<_> = read_form(body)
            .unwrap()
            .files
            .into_iter()
            .map(|file| file.content_type)
            .collect();
        assert_eq!(types, [Some("Text/Plain; odd".to_owned()), None]);
    }

    #[test]
    fn a_boundary_may_be_quoted() {
        let sender = Sender::new();
        let body = b"--a b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--a b--";
        let request = request("multipart/form-data; charset=utf-8; boundary=\"a b\"");
        let form = of_request(&Payload::borrowed(body), &request, &sender.spool()).unwrap();
        assert_eq!(form.fields, [("x".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn large_files_share_one_spool() {
        let large: Vec<u8> = (0..MEMORY_BYTES_MAX + 70_000)
            .map(|n| (n % 251) as u8)
            .collect();
        let body = form(&[
            ("name=a; filename=a", &large),
            ("name=b; filename=b", b"small"),
        ]);
        let files = read_form(&body).unwrap().files;
        let [a, b] = &files[..] else {
            panic!("two files are expected");
        };
        assert_eq!(*a.content.bytes().unwrap(), large[..]);
        assert_eq!(*b.content.bytes().unwrap(), b"small"[..]);
        match (&a.content, &b.content) {
            (Payload::Spooled(a), Payload::Spooled(b)) => {
                assert!(Arc::ptr_eq(&a.file, &b.file));
            }
            _ => panic!("both lie in the file"),
        }
    }

    #[test]
    fn a_form_that_is_cut_anywhere_is_broken() {
        let body = form(&[("name=a", b"text"), ("name=b; filename=b", b"content\r\n-")]);
        let end = body.len() - b"--\r\n".len();
        for len in 0..end {
            assert!(read_form(&body[..len]).is_err(), "{len}");
        }
        assert!(read_form(&body[..end + 2]).is_ok());
    }

    #[test]
    fn what_is_no_form_is_broken() {
        let sender = Sender::new();
        for content_type in [
            "",
            "text/plain",
            "multipart/form-data",
            "multipart/form-data; boundary=other",
            "multipart/mixed; boundary=edge",
        ] {
            let body = form(&[("name=a", b"text")]);
            let body = Payload::borrowed(&body);
            let result = of_request(&body, &request(content_type), &sender.spool());
            assert!(!cause(result).is_empty(), "{content_type}");
        }
        let only_line_feeds = b"--edge\nContent-Disposition: form-data; name=a\n\nx\n--edge--\n";
        assert!(read_form(only_line_feeds).is_err());
    }

    #[test]
    fn a_form_without_parts_is_an_empty_one() {
        let form = read_form(b"--edge--\r\n").unwrap();
        assert!(form.files.is_empty() && form.fields.is_empty());
    }

    #[test]
    fn a_head_without_an_end_is_not_gathered() {
        let mut body = b"--edge\r\nContent-Disposition: form-data; name=\"".to_vec();
        body.resize(20 << 20, b'a');
        assert_eq!(cause(read_form(&body)), "a part's head is too long");
        let no_boundary = vec![b'-'; 20 << 20];
        assert_eq!(cause(read_form(&no_boundary)), "a part's head is too long");
    }

    #[test]
    fn a_head_of_too_many_lines_is_broken() {
        let lines = "X: y\r\n".repeat(100);
        let body = format!("--edge\r\n{lines}\r\nx\r\n--edge--\r\n");
        assert!(read_form(body.as_bytes()).is_err());
    }

    #[test]
    fn parts_without_number_are_refused() {
        let parts: Vec<(&str, &[u8])> = vec![("name=a; filename=a", b""); 100_000];
        assert_eq!(cause(read_form(&form(&parts))), "more than 1000 parts");
    }

    #[test]
    fn the_text_of_a_form_is_bounded_in_all() {
        let half = vec![b'x'; TEXT_BYTES_MAX / 2];
        let body = form(&[("name=a", &half), ("name=b", &half)]);
        assert_eq!(
            read_form(&body).unwrap_err(),
            Refusal::TooLarge("form_data")
        );
        assert!(read_form(&form(&[("name=a", &half)])).is_ok());
    }
}
