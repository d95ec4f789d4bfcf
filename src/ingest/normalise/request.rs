//! The HTTP request that a program was answering, or the page that a browser was on (facts/ingestion.md 5.7).

use std::borrow::Cow;
use std::net::IpAddr;

use super::super::json::{Map, Node};
use super::super::meta::{Meta, Path};
use super::{pairs, trim, user, value};

const URL_CHARS_MAX: usize = 2048;
const FRAGMENT_CHARS_MAX: usize = 1024;
const ENV_BYTES_MAX: usize = 8192;
const DATA_BYTES_MAX: usize = 8192;
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// Brings a request into its form; one of which nothing is known becomes null.
pub(super) fn field(node: &mut Node<'_>, peer: IpAddr, path: &Path<'_>, meta: &mut Meta) {
    let Some(request) = value::object(node, path, meta) else {
        return;
    };
    split_url(request);
    for (key, node) in request.iter_mut() {
        let path = path.key(key);
        match key {
            "url" => value::text(node, URL_CHARS_MAX, &path, meta),
            "method" | "inferred_content_type" => {
                value::text(node, value::UNLIMITED, &path, meta);
            }
            "fragment" => value::text(node, FRAGMENT_CHARS_MAX, &path, meta),
            "query_string" => pairs::field(node, pairs::decode_query, &path, meta),
            "headers" => headers(node, &path, meta),
            "cookies" => pairs::field(node, split_cookies, &path, meta),
            "env" => env(node, peer, &path, meta),
            _ => {}
        }
    }
    take_cookie_header(request, path, meta);
    parse_data(request);
    if let Some(data) = request.get_mut("data") {
        if is_blank(data) {
            data.take();
        }
        trim::bound(data, DATA_BYTES_MAX, &path.key("data"), meta);
    }
    value::drop_nulls(request);
    if request.is_empty() {
        node.take();
    }
}

/// Takes the query and the fragment off the url. They count where they have no field of their own.
fn split_url(request: &mut Map<'_>) {
    let Some(Node::Text(url)) = request.get_mut("url") else {
        return;
    };
    let url = match url {
        Cow::Borrowed(url) if !url.contains(['?', '#']) => return,
        Cow::Owned(url) if !url.contains(['?', '#']) => return,
        url => std::mem::take(url),
    };
    let (url, fragment) = cut_at(url, '#');
    let (url, query) = cut_at(url, '?');
    *request.entry("url") = Node::Text(url);
    for (key, part) in [("query_string", query), ("fragment", fragment)] {
        let own = request.entry(key);
        if is_blank(own) {
            *own = Node::Text(part);
        }
    }
}

/// What stands before a mark, and after it; nothing is after a mark that is not there.
fn cut_at(text: Cow<'_, str>, mark: char) -> (Cow<'_, str>, Cow<'_, str>) {
    let Some(at) = text.find(mark) else {
        return (text, Cow::Borrowed(""));
    };
    match text {
        Cow::Borrowed(text) => (text[..at].into(), text[at + 1..].into()),
        Cow::Owned(mut text) => {
            let after = text.split_off(at + 1);
            text.truncate(at);
            (text.into(), after.into())
        }
    }
}

fn is_blank(node: &Node<'_>) -> bool {
    match node {
        Node::Null => true,
        Node::Text(text) => text.is_empty(),
        Node::List(list) => list.is_empty(),
        Node::Map(map) => map.is_empty(),
        _ => false,
    }
}

/// Header names are title-cased, so that there is one way to look for one.
fn headers(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
    join_values(node);
    pairs::field(node, split_headers, path, meta);
    let Node::List(list) = node else {
        return;
    };
    for pair in list.iter_mut().filter_map(Node::as_list_mut) {
        if let Some(Node::Text(name)) = pair.first_mut() {
            title_case(name);
        }
    }
}

/// PHP and Java SDKs send a list of values for a header.
fn join_values(node: &mut Node<'_>) {
    match node {
        Node::Map(map) => map.iter_mut().for_each(|(_, value)| join_value(value)),
        Node::List(list) => list
            .iter_mut()
            .filter_map(Node::as_list_mut)
            .filter_map(|pair| pair.get_mut(1))
            .for_each(join_value),
        _ => {}
    }
}

fn join_value(value: &mut Node<'_>) {
    let Node::List(values) = value else {
        return;
    };
    *value = match values.as_mut_slice() {
        [only @ Node::Text(_)] => only.take(),
        values => {
            let texts: Vec<&str> = values.iter().filter_map(Node::as_str).collect();
            Node::text(texts.join(","))
        }
    };
}

fn title_case(name: &mut Cow<'_, str>) {
    let mut starts = true;
    let is_fine = name.bytes().all(|b| {
        let fine = if starts {
            !b.is_ascii_lowercase()
        } else {
            !b.is_ascii_uppercase()
        };
        starts = b == b'-';
        fine
    });
    if is_fine {
        return;
    }
    let mut starts = true;
    *name = name
        .chars()
        .map(|c| {
            let cased = if starts {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            };
            starts = c == '-';
            cased
        })
        .collect();
}

fn split_headers(text: Cow<'_, str>) -> Vec<Node<'_>> {
    pairs::split(text, '\n', ':')
}

fn split_cookies(text: Cow<'_, str>) -> Vec<Node<'_>> {
    pairs::split(text, ';', '=')
}

/// Cookies have one place, where they are found when they must be scrubbed.
fn take_cookie_header(request: &mut Map<'_>, path: &Path<'_>, meta: &mut Meta) {
    let is_cookie = |header: &Node<'_>| {
        let name = header.as_list().and_then(|pair| pair.first());
        name.and_then(Node::as_str) == Some("Cookie")
    };
    let Some(Node::List(headers)) = request.get_mut("headers") else {
        return;
    };
    let Some(at) = headers.iter().position(is_cookie) else {
        return;
    };
    let header = headers.remove(at).as_list_mut().and_then(Vec::pop);
    headers.retain(|header| !is_cookie(header));
    if headers.is_empty() {
        request.remove("headers");
    }
    let cookies = request.entry("cookies");
    if let (Node::Null, Some(header)) = (&cookies, header) {
        *cookies = header;
        pairs::field(cookies, split_cookies, &path.key("cookies"), meta);
    }
}

fn env(node: &mut Node<'_>, peer: IpAddr, path: &Path<'_>, meta: &mut Meta) {
    if let Node::List(list) = node {
        // A pair takes more bytes than one.
        list.truncate(ENV_BYTES_MAX);
        *node = Node::Map(list.drain(..).filter_map(pairs::into_entry).collect());
    }
    if let Some(env) = value::object(node, path, meta) {
        if let Some(address) = env.get_mut("REMOTE_ADDR") {
            user::resolve_auto(address, peer);
        }
        trim::bound(node, ENV_BYTES_MAX, path, meta);
    }
}

/// Reads a body that came as text, by the type that its headers say, else by what it looks like.
fn parse_data(request: &mut Map<'_>) {
    let Some(Node::Text(text)) = request.get("data") else {
        return;
    };
    let parsed = match content_type(request) {
        Some(kind) if is_json(kind) => json(text).map(|data| (JSON, data)),
        Some(kind) if kind.eq_ignore_ascii_case(FORM) => Some((FORM, form(text.clone()))),
        Some(_) => None,
        None => json(text)
            .map(|data| (JSON, data))
            .or_else(|| looks_like_form(text).then(|| (FORM, form(text.clone())))),
    };
    if let Some((kind, data)) = parsed {
        *request.entry("data") = data;
        *request.entry("inferred_content_type") = Node::text(kind);
    }
}

fn content_type<'r>(request: &'r Map<'_>) -> Option<&'r str> {
    let header = request
        .list("headers")?
        .iter()
        .filter_map(Node::as_list)
        .find(|pair| pair.first().and_then(Node::as_str) == Some("Content-Type"))?;
    let value = header.get(1)?.as_str()?;
    Some(value.split(';').next().unwrap_or(value).trim())
}

/// Plain JSON, or one of the types that are made of it.
fn is_json(kind: &str) -> bool {
    kind.eq_ignore_ascii_case(JSON) || kind.ends_with("+json")
}

/// An object or a list; a number or a text says more as it was sent.
fn json<'a>(text: &Cow<'a, str>) -> Option<Node<'a>> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    match text {
        Cow::Borrowed(text) => serde_json::from_str(text).ok(),
        Cow::Owned(text) => Some(serde_json::from_str::<Node<'_>>(text).ok()?.to_owned()),
    }
}

/// Of a name that comes more than once the last value counts.
fn form(text: Cow<'_, str>) -> Node<'_> {
    Node::Map(
        pairs::decode_query(text)
            .into_iter()
            .filter_map(pairs::into_entry)
            .collect(),
    )
}

/// Whether a short text is all `name=value`, without the white space and the marks that other texts have.
fn looks_like_form(text: &str) -> bool {
    text.len() <= DATA_BYTES_MAX
        && !text.contains(|c: char| c.is_whitespace() || matches!(c, '<' | '{' | '"'))
        && text.split('&').all(|part| {
            part.split_once('=')
                .is_some_and(|(name, _)| !name.is_empty())
        })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{EVENT, one_field};
    use super::*;

    fn plain(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
        field(node, EVENT.peer, path, meta);
    }

    fn normalised(sent: &str) -> String {
        let once = one_field(sent, plain);
        assert_eq!(one_field(&once, plain), once, "{sent}");
        once
    }

    #[test]
    fn headers_become_pairs_with_one_spelling() {
        let expected = r#"{"headers":[["User-Agent","x"],["X-Request-Id","1"]]}"#;
        for sent in [
            r#"{"headers":{"user-agent":"x","X-Request-ID":1}}"#,
            r#"{"headers":[["USER-AGENT","x"],["x-request-id","1"],null]}"#,
            r#"{"headers":{"User-Agent":["x"],"X-Request-Id":["1"]}}"#,
            r#"{"headers":"user-agent: x\r\nx-request-id:1"}"#,
        ] {
            assert_eq!(normalised(sent), expected, "{sent}");
        }
        assert_eq!(
            normalised(r#"{"headers":{"accept":["a","b"],"":"x","é-a":null}}"#),
            r#"{"headers":[["Accept","a,b"],["é-A",""]]}"#
        );
    }

    #[test]
    fn cookies_become_pairs_and_have_one_place() {
        let expected = r#"{"cookies":[["a","1"],["b",""]]}"#;
        for sent in [
            r#"{"cookies":"a=1; b"}"#,
            r#"{"cookies":{"a":1,"b":null}}"#,
            r#"{"cookies":[["a","1"],["b"]]}"#,
            r#"{"headers":{"cookie":"a=1;b="},"cookies":null}"#,
            r#"{"headers":{"cookie":"c=2"},"cookies":"a=1;b="}"#,
        ] {
            assert_eq!(normalised(sent), expected, "{sent}");
        }
    }

    #[test]
    fn a_query_is_decoded() {
        let expected = r#"{"query_string":[["a","1 2"],["b","[1]"],["a","ü"]]}"#;
        for sent in [
            r#"{"query_string":"?a=1+2&b=%5B1%5D&a=%C3%BC"}"#,
            r#"{"query_string":[["a","1 2"],["b",[1]],["a","ü"]]}"#,
        ] {
            assert_eq!(normalised(sent), expected, "{sent}");
        }
        assert_eq!(
            normalised(r#"{"query_string":{"a":{"b":1}}}"#),
            r#"{"query_string":[["a","{\"b\":1}"]]}"#
        );
    }

    #[test]
    fn a_url_gives_its_query_and_fragment_away() {
        assert_eq!(
            normalised(r#"{"url":"https://a.example/b?c=d#e?f"}"#),
            r#"{"url":"https://a.example/b","query_string":[["c","d"]],"fragment":"e?f"}"#
        );
        assert_eq!(
            normalised(r#"{"url":"https://a.example/b?c=d","query_string":"x=y"}"#),
            r#"{"url":"https://a.example/b","query_string":[["x","y"]]}"#
        );
        let long = normalised(&format!(r#"{{"url":"{}"}}"#, "é".repeat(3000)));
        assert_eq!(long.chars().count(), URL_CHARS_MAX + 10);
    }

    #[test]
    fn a_body_that_is_text_is_read() {
        for (sent, expected) in [
            (
                r#"{"data":"{\"a\":[1]}"}"#,
                r#"{"data":{"a":[1]},"inferred_content_type":"application/json"}"#,
            ),
            (
                r#"{"data":"a=1&b=%20"}"#,
                r#"{"data":{"a":"1","b":" "},"inferred_content_type":"application/x-www-form-urlencoded"}"#,
            ),
            (r#"{"data":"x = 1"}"#, r#"{"data":"x = 1"}"#),
            (
                r#"{"data":"[1]","headers":[["Content-Type","application/vnd.api+json"]]}"#,
                r#"{"data":[1],"headers":[["Content-Type","application/vnd.api+json"]],"inferred_content_type":"application/json"}"#,
            ),
            (r#"{"data":"{bad"}"#, r#"{"data":"{bad"}"#),
            (r#"{"data":{"a":1}}"#, r#"{"data":{"a":1}}"#),
            (
                r#"{"data":"a=1","headers":{"content-type":"text/plain; x"}}"#,
                r#"{"data":"a=1","headers":[["Content-Type","text/plain; x"]]}"#,
            ),
        ] {
            assert_eq!(normalised(sent), expected, "{sent}");
        }
    }

    #[test]
    fn the_environment_of_a_request_is_an_object() {
        let expected = format!(r#"{{"env":{{"REMOTE_ADDR":"{}"}}}}"#, EVENT.peer);
        assert_eq!(
            normalised(r#"{"env":{"REMOTE_ADDR":"{{auto}}"}}"#),
            expected
        );
        assert_eq!(
            normalised(r#"{"env":[["REMOTE_ADDR","{{auto}}"],5]}"#),
            expected
        );
    }

    #[test]
    fn a_request_of_which_nothing_is_known_is_null() {
        for sent in [
            "null",
            "{}",
            "5",
            r#""x""#,
            r#"{"url":"","headers":[],"cookies":"","query_string":{},"data":""}"#,
            r#"{"url":[],"headers":5,"cookies":true,"query_string":1.5,"env":"x"}"#,
        ] {
            assert_eq!(normalised(sent), "null", "{sent}");
        }
    }

    #[test]
    fn hostile_requests_stay_small() {
        let pairs = vec!["a"; 300_000];
        for field in ["query_string", "cookies", "headers", "data"] {
            for separator in ["&", ";", "\\n"] {
                let sent = format!(r#"{{"{field}":"{}"}}"#, pairs.join(separator));
                assert!(normalised(&sent).len() < 20_000, "{field}");
            }
        }
        let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
        normalised(&format!(r#"{{"data":"{deep}"}}"#));
        normalised(&format!(r#"{{"data":{deep}}}"#));
    }
}
