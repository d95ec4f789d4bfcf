//! Reads `multipart/form-data` (RFC 7578) with `multer`, the parser that Relay uses too.
//!
//! `multer` is made for streams that wait; here nothing ever waits. The body is handed over a chunk at a time with
//! a pause after each, because the parser takes in all that it is offered before it looks at any of it. So what it
//! holds at once is bounded, whatever the size of the body and of its parts.

use std::io::{self, Read, Write};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use multer::bytes::Bytes;
use multer::{Error, Field, Multipart};
use percent_encoding::percent_decode_str;

use super::super::Refusal;
use super::super::items::EVENT_BYTES_MAX;
use super::super::source::{Payload, Reader, SpoolDir, SpoolWriter};
use super::{Fault, unspoolable};
use crate::http::Request;

/// Far more than any crash reporter's annotations.
const PARTS_MAX: usize = 1_000;

/// All texts of a form together: they become part of an event.
const TEXT_BYTES_MAX: usize = EVENT_BYTES_MAX as usize;

const CHUNK_BYTES: usize = 16 << 10;

/// How many chunks may go by until a part's head is complete. It bounds heads, and what stands before the first.
const HEAD_CHUNKS_MAX: usize = 4;

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
    let boundary = multer::parse_boundary(content_type).map_err(broken)?;
    read(body, &boundary, spool)
}

/// Reads a form whose boundary is known.
///
/// # Errors
/// As [`of_request`].
pub(super) fn read(body: &Payload<'_>, boundary: &str, spool: &SpoolDir) -> Result<Form, Refusal> {
    let chunks = Chunks {
        reader: body.reader(),
        pause: false,
    };
    let mut parser = Multipart::new(chunks, boundary);
    let mut parts = Parts {
        spool: spool.writer(),
        files: Vec::new(),
        fields: Vec::new(),
        text_bytes: 0,
    };
    let mut count = 0;
    while let Some(part) = next_part(&mut parser)? {
        count += 1;
        if count > PARTS_MAX {
            return Err(fault(format!("more than {PARTS_MAX} parts")));
        }
        parts.take(part)?;
    }
    Ok(parts.finish())
}

fn fault(cause: impl Into<String>) -> Refusal {
    Fault::Multipart(cause.into()).into()
}

fn broken(error: Error) -> Refusal {
    match error {
        Error::StreamReadFailed(cause) => match cause.downcast::<io::Error>() {
            Ok(error) => Refusal::unreadable(&error),
            Err(cause) => fault(cause.to_string()),
        },
        error => fault(error.to_string()),
    }
}

fn next_part<'r>(parser: &mut Multipart<'r>) -> Result<Option<Field<'r>>, Refusal> {
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..=HEAD_CHUNKS_MAX {
        if let Poll::Ready(part) = parser.poll_next_field(&mut context) {
            return part.map_err(broken);
        }
    }
    Err(fault("a part's head is too long"))
}

fn next_chunk(part: &mut Field<'_>) -> Result<Option<Bytes>, Refusal> {
    let mut context = Context::from_waker(Waker::noop());
    // Each turn takes a chunk of the body, and at its end the parser answers one way or the other.
    loop {
        if let Poll::Ready(chunk) = Pin::new(&mut *part).poll_next(&mut context) {
            return chunk.transpose().map_err(broken);
        }
    }
}

/// A body in chunks, with a pause after each.
struct Chunks<'p> {
    reader: Reader<'p>,
    pause: bool,
}

impl Stream for Chunks<'_> {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.pause) {
            return Poll::Pending;
        }
        let mut chunk = vec![0; CHUNK_BYTES];
        Poll::Ready(match self.reader.read(&mut chunk) {
            Ok(0) => None,
            Ok(read) => {
                self.pause = true;
                chunk.truncate(read);
                Some(Ok(chunk.into()))
            }
            Err(error) => Some(Err(error)),
        })
    }
}

/// The parts read so far.
struct Parts<'d> {
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

impl Parts<'_> {
    fn take(&mut self, part: Field<'_>) -> Result<(), Refusal> {
        match filename(&part) {
            Some(filename) => self.take_file(part, filename),
            None => self.take_text(part),
        }
    }

    fn take_file(&mut self, mut part: Field<'_>, filename: String) -> Result<(), Refusal> {
        let start = self.spool.len();
        while let Some(chunk) = next_chunk(&mut part)? {
            self.spool
                .write_all(&chunk)
                .map_err(|error| unspoolable(&error))?;
        }
        self.files.push(SpooledFile {
            name: part.name().unwrap_or_default().to_owned(),
            filename,
            content_type: header(&part, "content-type").map(str::to_owned),
            place: start..self.spool.len(),
        });
        Ok(())
    }

    fn take_text(&mut self, mut part: Field<'_>) -> Result<(), Refusal> {
        let name = part.name().unwrap_or_default().to_owned();
        let mut text = Vec::new();
        self.count_text(name.len())?;
        while let Some(chunk) = next_chunk(&mut part)? {
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

fn header<'f>(part: &'f Field<'_>, name: &str) -> Option<&'f str> {
    std::str::from_utf8(part.headers().get(name)?.as_bytes()).ok()
}

/// The file name, which old clients give in RFC 5987's form only (`filename*=utf-8''%E2%82%AC.txt`).
fn filename(part: &Field<'_>) -> Option<String> {
    if let Some(filename) = part.file_name() {
        return Some(filename.to_owned());
    }
    let (_, extended) = header(part, "content-disposition")?.split_once("filename*=")?;
    let (_, encoded) = extended.split(';').next()?.trim().split_once("''")?;
    Some(percent_decode_str(encoded).decode_utf8_lossy().into_owned())
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
