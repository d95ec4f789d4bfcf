//! An answer as bytes.
//!
//! Both ends that answer use it, the workers behind the lanes and the gate with its refusals, so that every
//! answer looks alike. It leaves `Date`, `X-Request-Id`, `Connection` and the blank line to the gate, which alone
//! knows them, and it never lets a value break out of its line.

use super::Response;

/// What the transport decides itself; such fields of a handler are dropped.
const OWN_FIELDS: [&str; 10] = [
    "Connection",
    "Content-Length",
    "Date",
    "Keep-Alive",
    "Server",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "X-Request-Id",
];

/// The prefix of fields that gate and workers exchange. None comes from a client, none goes to one.
pub(super) const PRIVATE_PREFIX: &str = "x-picket-";

/// Whether an answer with this status has a body at all.
pub(super) fn has_body(status: u16) -> bool {
    status >= 200 && status != 204 && status != 304
}

/// Appends status line and fields, each ended by CRLF, without the blank line.
///
/// `Content-Length` tells the body's length also when the body itself is not sent (`HEAD`).
pub(super) fn write_head(response: &Response, out: &mut Vec<u8>) {
    let status = response.status;
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(decimal(u64::from(status), &mut [0; 20]));
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
    if has_body(status) {
        write_length("Content-Length", response.body_bytes(), out);
    }
    for (name, value) in &response.headers {
        if is_own(name) {
            continue;
        }
        write_field(name, value.as_bytes(), out);
    }
}

/// Appends one field. Control characters of the value become spaces: a value is data and must not end its line.
pub(super) fn write_field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    let start = out.len();
    out.extend_from_slice(value);
    for byte in &mut out[start..] {
        if *byte < b' ' && *byte != b'\t' || *byte == 0x7f {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a field whose value is a number.
pub(super) fn write_length(name: &str, value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(decimal(value, &mut [0; 20]));
    out.extend_from_slice(b"\r\n");
}

fn decimal(mut value: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return &digits[start..];
        }
    }
}

fn is_own(name: &str) -> bool {
    // The names are the program's own literals, so a bad one is a mistake in a handler, not input.
    let is_token = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    debug_assert!(is_token, "not a field name: {name:?}");
    !is_token
        || OWN_FIELDS.iter().any(|own| own.eq_ignore_ascii_case(name))
        || has_private_prefix(name)
}

/// Whether a field's name belongs to the private ones.
pub(super) fn has_private_prefix(name: &str) -> bool {
    name.get(..PRIVATE_PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(PRIVATE_PREFIX))
}

/// The reason phrase of RFC 9110 for the statuses in use; clients ignore it.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(response: &Response) -> String {
        let mut out = Vec::new();
        write_head(response, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_value_cannot_end_its_line() {
        let response = Response::empty(200).with_header("Location", "/a\r\nSet-Cookie: b\0");
        assert_eq!(
            head(&response),
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nLocation: /a  Set-Cookie: b \r\n"
        );
    }

    #[test]
    fn fields_of_the_transport_are_not_the_handlers() {
        let response = Response::empty(204)
            .with_header("content-length", "7")
            .with_header("X-Picket-Close", "1")
            .with_header("Connection", "upgrade");
        assert_eq!(head(&response), "HTTP/1.1 204 No Content\r\n");
    }
}
