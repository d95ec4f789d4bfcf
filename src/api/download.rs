//! Payloads as they arrived, to be saved and never to be shown: they are somebody's bytes, and a browser that
//! rendered them would do so in this server's name.

use std::io;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Api;
use crate::domain::Error;
use crate::http::Response;
use crate::store::payloads::Payload;

/// The longest name that is proposed, in characters.
const NAME_CHARS_MAX: usize = 150;

/// What RFC 8187 lets stand in a name unescaped.
const NOT_IN_NAME: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A payload, so many bytes long, as a file of this name. It is unpacked while it is
/// sent, no faster than the client reads it.
pub(super) fn answer(api: &Api, payload: Payload, bytes: i64, name: &str) -> Response {
    let store = Arc::clone(&api.store);
    let piece = move |number| {
        let fault = |error: Error| io::Error::other(error.to_string());
        let connection = store.read().map_err(fault)?;
        payload.piece(&connection, number).map_err(fault)
    };
    Response::in_pieces(200, u64::try_from(bytes).unwrap_or(0), piece)
        .with_header("Content-Type", "application/octet-stream")
        .with_header("Content-Disposition", disposition(name))
        .with_header("X-Content-Type-Options", "nosniff")
}

/// The name twice: in ASCII for old clients, and as it is.
fn disposition(name: &str) -> String {
    let name = file_name(name);
    let ascii: String = name
        .chars()
        .map(|c| if c.is_ascii() && c != '"' { c } else { '_' })
        .collect();
    let encoded = utf8_percent_encode(&name, NOT_IN_NAME);
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{encoded}")
}

/// The last segment of a path of either kind, without control characters, leading dots, and what file systems do
/// not take.
fn file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last
        .chars()
        .filter(|c| !c.is_control() && !is_invisible_order(*c))
        .map(|c| if "<>:|?*%".contains(c) { '_' } else { c })
        .take(NAME_CHARS_MAX)
        .collect();
    match kept.trim().trim_start_matches('.') {
        "" => "download".to_owned(),
        name => name.to_owned(),
    }
}

/// Whether a character only turns the direction of writing, with which an extension can be disguised.
fn is_invisible_order(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_name() {
        for (name, expected) in [
            ("crash.dmp", "crash.dmp"),
            ("../../etc/passwd", "passwd"),
            ("C:\\temp\\a.txt", "a.txt"),
            (".htaccess", "htaccess"),
            ("a\r\nSet-Cookie: b", "aSet-Cookie_ b"),
            ("\u{202e}fdp.exe", "fdp.exe"),
            ("", "download"),
            ("..", "download"),
            ("a/", "download"),
        ] {
            assert_eq!(file_name(name), expected, "{name:?}");
        }
        assert_eq!(file_name(&"x".repeat(500)).len(), NAME_CHARS_MAX);
    }

    #[test]
    fn a_name_beyond_ascii_is_told_twice() {
        assert_eq!(
            disposition("bild \"ü\".png"),
            "attachment; filename=\"bild ___.png\"; filename*=UTF-8''bild%20%22%C3%BC%22.png"
        );
    }
}
