//! Pagination as clients see it: the `cursor` and `per_page` parameters and the `Link` field.
//!
//! What a cursor's numbers count is the list's business; here they are only read and written.

use std::fmt;
use std::str::FromStr;

use form_urlencoded::Serializer;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::Request;

/// The most that a page may hold, and what it holds unless the list or the client says otherwise.
pub const PER_PAGE_MAX: u32 = 100;

/// A place in a list, `value:offset:is_prev` on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor {
    pub value: i64,
    pub offset: i64,
    pub is_prev: bool,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cursor {
            value,
            offset,
            is_prev,
        } = self;
        write!(f, "{value}:{offset}:{}", u8::from(*is_prev))
    }
}

impl FromStr for Cursor {
    type Err = PageError;

    fn from_str(text: &str) -> Result<Cursor, PageError> {
        let mut numbers = text.split(':').map(|part| part.parse::<i64>());
        match (
            numbers.next(),
            numbers.next(),
            numbers.next(),
            numbers.next(),
        ) {
            (Some(Ok(value)), Some(Ok(offset)), Some(Ok(is_prev)), None) => Ok(Cursor {
                value,
                offset,
                is_prev: is_prev != 0,
            }),
            _ => Err(PageError::InvalidCursor),
        }
    }
}

/// What is wrong with the parameters. Displays as the `detail` of the 400 that clients expect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageError {
    InvalidCursor,
    InvalidPerPage,
    PerPageOutOfRange,
    /// For lists whose cursors count pages; [`Page::read`] takes negative numbers.
    NegativeOffset,
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PageError::InvalidCursor => "Invalid cursor parameter.",
            PageError::InvalidPerPage => "Invalid per_page parameter.",
            PageError::PerPageOutOfRange => "Invalid per_page value. Must be between 1 and 100.",
            PageError::NegativeOffset => "Pagination offset cannot be negative",
        })
    }
}

impl std::error::Error for PageError {}

/// The page that a client asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// None on the first page.
    pub cursor: Option<Cursor>,
    /// From 1 to [`PER_PAGE_MAX`].
    pub per_page: u32,
}

impl Page {
    /// Reads `cursor` and `per_page`. An empty `cursor` is none (sentry-cli always sends one).
    pub fn read(request: &Request, per_page_default: u32) -> Result<Page, PageError> {
        let per_page = match request.query_value("per_page") {
            None => per_page_default,
            Some(text) => parse_per_page(&text)?,
        };
        let cursor = match request.query_value("cursor") {
            None => None,
            Some(text) if text.is_empty() => None,
            Some(text) => Some(text.parse()?),
        };
        Ok(Page { cursor, per_page })
    }
}

fn parse_per_page(text: &str) -> Result<u32, PageError> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(PageError::InvalidPerPage);
    }
    // A number that does not fit is as far out of range as any.
    match text.parse() {
        Ok(per_page @ 1..=PER_PAGE_MAX) => Ok(per_page),
        _ => Err(PageError::PerPageOutOfRange),
    }
}

/// One entry of the `Link` field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    pub cursor: Cursor,
    /// Whether that page has rows; clients stop where it has none.
    pub has_results: bool,
}

/// What would end a URL inside `<>`.
const NOT_IN_LINK: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');

/// The value of the `Link` field, which every page carries, also an only one.
///
/// The URLs start with the configured `url_prefix` (`https://errors.example.test`), not with the host that was
/// asked; the query is the request's own without its cursor. `?&cursor=` without other parameters is the shape that
/// Sentry gives and clients take.
pub fn link_value(url_prefix: &str, path: &str, query: &str, previous: Link, next: Link) -> String {
    let url_prefix = url_prefix.trim_end_matches('/');
    let path = utf8_percent_encode(path, NOT_IN_LINK);
    let others = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "cursor");
    let query = Serializer::new(String::new()).extend_pairs(others).finish();
    let entry = |name: &str, link: Link| {
        let Link {
            cursor,
            has_results,
        } = link;
        format!(
            "<{url_prefix}{path}?{query}&cursor={cursor}>; rel=\"{name}\"; results=\"{has_results}\"; cursor=\"{cursor}\""
        )
    };
    format!("{}, {}", entry("previous", previous), entry("next", next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Body, Headers, Method};

    fn read(query: &str) -> Result<Page, PageError> {
        let request = Request {
            method: Method::Get,
            path: "/".to_owned(),
            query: query.to_owned(),
            headers: Headers::default(),
            body: Body::empty(),
            peer: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            received: crate::domain::time::Timestamp::default(),
            id: String::new(),
        };
        Page::read(&request, 10)
    }

    fn cursor(value: i64, offset: i64, is_prev: bool) -> Cursor {
        Cursor {
            value,
            offset,
            is_prev,
        }
    }

    #[test]
    fn a_cursor_is_three_numbers() {
        for (text, expected) in [
            ("100:1:0", cursor(100, 1, false)),
            ("100:-1:1", cursor(100, -1, true)),
            ("-5:0:0", cursor(-5, 0, false)),
        ] {
            assert_eq!(text.parse(), Ok(expected));
            assert_eq!(expected.to_string(), text);
        }
        for text in [
            "",
            "1",
            "1:2",
            "1:2:3:4",
            "a:1:0",
            "1::0",
            "1:2:x",
            "99999999999999999999:0:0",
        ] {
            assert_eq!(
                text.parse::<Cursor>(),
                Err(PageError::InvalidCursor),
                "{text}"
            );
        }
    }

    #[test]
    fn parameters_are_optional_and_checked() {
        let page = |cursor, per_page| Ok(Page { cursor, per_page });
        assert_eq!(read(""), page(None, 10));
        assert_eq!(read("cursor=&per_page=100"), page(None, 100));
        assert_eq!(
            read("cursor=1%3A2%3A0"),
            page(Some(cursor(1, 2, false)), 10)
        );
        assert_eq!(read("cursor=x"), Err(PageError::InvalidCursor));
        for text in ["", "x", "1.5", "-", "1e1"] {
            assert_eq!(
                read(&format!("per_page={text}")),
                Err(PageError::InvalidPerPage),
                "{text}"
            );
        }
        for text in ["0", "101", "-1", "99999999999999999999"] {
            assert_eq!(
                read(&format!("per_page={text}")),
                Err(PageError::PerPageOutOfRange),
                "{text}"
            );
        }
    }

    #[test]
    fn the_link_field_has_the_shape_that_clients_parse() {
        let previous = Link {
            cursor: cursor(100, -1, true),
            has_results: false,
        };
        let next = Link {
            cursor: cursor(100, 1, false),
            has_results: true,
        };
        let value = |path: &str, query: &str| {
            link_value("http://errors.example.test/", path, query, previous, next)
        };
        assert_eq!(
            value("/api/0/organizations/acme/projects/", "cursor="),
            "<http://errors.example.test/api/0/organizations/acme/projects/?&cursor=100:-1:1>; rel=\"previous\"; results=\"false\"; cursor=\"100:-1:1\", <http://errors.example.test/api/0/organizations/acme/projects/?&cursor=100:1:0>; rel=\"next\"; results=\"true\"; cursor=\"100:1:0\""
        );
        assert!(
            value("/a>b/", "q=a+b%3E&cursor=1:2:0&per_page=5").starts_with(
                "<http://errors.example.test/a%3Eb/?q=a+b%3E&per_page=5&cursor=100:-1:1>; "
            )
        );
    }
}
