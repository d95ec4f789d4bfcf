//! Forms that pages send, and the way on after them.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::http::{Body, Method, Request, Response};

use super::errors::{Failure, Result};

/// No form of ours comes near this.
const BYTES_MAX: u64 = 64 << 10;
/// Nor a form of others near this: a message of theirs has up to 256 KiB, and each sign may take three bytes.
const LONG_BYTES_MAX: u64 = 800 << 10;

/// The fields of a form. Of a name that comes twice the first value counts.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// # Errors
    /// `BadForm`: too long, or not of the type that browsers send.
    pub(super) fn read(request: &Request, body: Body) -> Result<Form> {
        Form::read_up_to(BYTES_MAX, request, body)
    }

    /// Reads a form that another server's page sends.
    ///
    /// # Errors
    /// As [`Form::read`].
    pub(super) fn read_long(request: &Request, body: Body) -> Result<Form> {
        Form::read_up_to(LONG_BYTES_MAX, request, body)
    }

    fn read_up_to(bytes_max: u64, request: &Request, body: Body) -> Result<Form> {
        if request.method != Method::Post || body.is_empty() {
            return Ok(Form::default());
        }
        let content_type = request.headers.get("Content-Type").unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if body.len() > bytes_max
            || !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        {
            return Err(Failure::BadForm);
        }
        let bytes = body.into_vec().map_err(Failure::internal)?;
        let fields = form_urlencoded::parse(&bytes)
            .map(|(name, value)| (name.into_owned(), value.into_owned()));
        Ok(Form(fields.collect()))
    }

    /// The value of a field; empty if there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(field, _)| field == name)
            .map_or("", |(_, value)| value)
    }

    /// All values of a field, as of boxes that were ticked.
    pub(super) fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }
}

/// To a path of this server, with GET.
pub(super) fn redirect(path: impl Into<String>) -> Response {
    Response::empty(303).with_header("Location", path.into())
}

/// To a page that leads back to this one.
pub(super) fn redirect_with_next(page: &str, request: &Request) -> Response {
    // What was sent by a form cannot be sent again by a link.
    if !matches!(request.method, Method::Get | Method::Head) || request.path == "/" {
        return redirect(page);
    }
    let here = match request.query.as_str() {
        "" => request.path.clone(),
        query => format!("{}?{query}", request.path),
    };
    redirect(with_next(page, &here))
}

/// To a page that leads on to this path.
pub(super) fn redirect_to_with_next(page: &str, next: &str) -> Response {
    match next {
        "/" => redirect(page),
        _ => redirect(with_next(page, next)),
    }
}

/// The path of a page that leads back to this one.
pub(super) fn with_next(page: &str, here: &str) -> String {
    format!("{page}?next={}", encoded(here))
}

/// A text for the query of a link.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

const NEXT_BYTES_MAX: usize = 2_000;

/// Where to go after signing in: a path of this server, else its beginning. Browsers take `//host`, `/\host` and
/// control characters in between for another server's address. None of ours is long, and some are remembered for a while.
pub(super) fn checked_next(next: &str) -> &str {
    let is_path = next.len() <= NEXT_BYTES_MAX
        && next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        && !next.chars().any(char::is_control);
    if is_path { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_of_this_server_is_gone_on_to() {
        for good in ["/", "/acme/", "/settings/account/?a=b#c"] {
            assert_eq!(checked_next(good), good);
        }
        for bad in [
            "",
            "acme",
            "//evil.test/",
            "/\\evil.test",
            "\\\\evil.test",
            "https://evil.test/",
            "javascript:alert(1)",
            "/\t/evil.test",
            "/a\nb",
            &format!("/{}", "a".repeat(2_000)),
        ] {
            assert_eq!(checked_next(bad), "/", "{bad:?}");
        }
    }
}
