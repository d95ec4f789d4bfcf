//! Who it happened to (facts/ingestion.md 5.2 and 5.7).

use std::net::IpAddr;

use super::super::json::{Map, Node};
use super::super::meta::{Meta, Path};
use super::{Surroundings, value};

/// What SDKs write for the address that the server sees.
const AUTO: &str = "{{auto}}";
/// Their SDKs run where the user is, so that the client's address is the user's.
const CLIENT_PLATFORMS: [&str; 3] = ["javascript", "cocoa", "objc"];
const DATA_BYTES_MAX: usize = 8192;

/// Brings the user into its form; one of whom nothing is known becomes null.
pub(super) fn field(node: &mut Node<'_>, peer: IpAddr, path: &Path<'_>, meta: &mut Meta) {
    let Some(user) = value::object(node, path, meta) else {
        return;
    };
    let mut has_unknown = false;
    for (key, node) in user.iter_mut() {
        let path = path.key(key);
        match key {
            "id" | "email" | "username" | "name" | "segment" => {
                value::text(node, value::UNLIMITED, &path, meta);
            }
            "ip_address" => address(node, peer, &path, meta),
            "geo" | "data" => {
                value::object(node, &path, meta);
            }
            _ => has_unknown = true,
        }
    }
    if has_unknown {
        move_unknown(user);
    }
    if let Some(data) = user.get_mut("data") {
        value::bounded_object(data, DATA_BYTES_MAX, &path.key("data"), meta);
    }
    value::drop_nulls(user);
    if user.is_empty() {
        node.take();
    }
}

/// An address that can be read; `{{auto}}` is the client's.
pub(super) fn address(node: &mut Node<'_>, peer: IpAddr, path: &Path<'_>, meta: &mut Meta) {
    match node {
        Node::Null => {}
        Node::Text(text) if text.trim() == AUTO => *node = Node::text(peer.to_string()),
        Node::Text(text) if text.trim().is_empty() => *node = Node::Null,
        Node::Text(text) if text.trim().parse::<IpAddr>().is_ok() => {
            super::trim::white_space(text);
        }
        _ => value::refuse(node, "expected an IP address", path, meta),
    }
}

/// The client's address in the place of `{{auto}}`, anything else as it is.
pub(super) fn resolve_auto(node: &mut Node<'_>, peer: IpAddr) {
    if node.as_str() == Some(AUTO) {
        *node = Node::text(peer.to_string());
    }
}

/// Gives a user without an address the one that the program's server saw, else the client's if the program
/// runs at the user's. An SDK can ask not to be looked at (`sdk.settings.infer_ip`, JavaScript SDK 9).
pub(super) fn infer_address(event: &mut Map<'_>, around: &Surroundings) {
    let known = event.map("user").and_then(|user| user.get("ip_address"));
    if known.is_some() {
        return;
    }
    let seen = event
        .map("request")
        .and_then(|request| request.map("env"))
        .and_then(|env| env.str("REMOTE_ADDR"))
        .filter(|text| text.parse::<IpAddr>().is_ok())
        .map(str::to_owned);
    let address = match seen {
        Some(seen) => seen,
        None if is_at_the_user(event) => around.peer.to_string(),
        None => return,
    };
    let user = event.entry("user");
    if user.is_null() {
        *user = Node::Map(Map::new());
    }
    if let Node::Map(user) = user {
        *user.entry("ip_address") = Node::text(address);
    }
}

fn is_at_the_user(event: &Map<'_>) -> bool {
    let wish = event
        .map("sdk")
        .and_then(|sdk| sdk.map("settings"))
        .and_then(|settings| settings.str("infer_ip"));
    wish != Some("never")
        && event
            .str("platform")
            .is_some_and(|platform| CLIENT_PLATFORMS.contains(&platform))
}

fn move_unknown(user: &mut Map<'_>) {
    const KNOWN: [&str; 8] = [
        "id",
        "email",
        "username",
        "name",
        "segment",
        "ip_address",
        "geo",
        "data",
    ];
    let (known, mut unknown): (Vec<_>, Vec<_>) = user
        .take_entries()
        .into_iter()
        .partition(|(key, _)| KNOWN.contains(&&**key));
    *user = known.into_iter().collect();
    unknown.retain(|(_, value)| !value.is_null());
    if unknown.is_empty() {
        return;
    }
    // What the SDK put into `data` itself counts more.
    if let Some(data) = user.map_mut("data") {
        unknown.extend(data.take_entries());
    }
    *user.entry("data") = Node::Map(unknown.into_iter().collect());
}

#[cfg(test)]
mod tests {
    use super::super::tests::{EVENT, event, one_field};
    use super::*;

    fn plain(node: &mut Node<'_>, path: &Path<'_>, meta: &mut Meta) {
        field(node, EVENT.peer, path, meta);
    }

    #[test]
    fn ids_are_texts_and_the_unknown_goes_to_data() {
        assert_eq!(
            one_field(
                r#"{"id":5,"plan":"pro","ip_address":"::1","data":{"a":1,"plan":"own"},"email":null,"x":null}"#,
                plain
            ),
            r#"{"id":"5","ip_address":"::1","data":{"plan":"own","a":1}}"#
        );
    }

    #[test]
    fn nobody_is_null() {
        for sent in [
            "null",
            "{}",
            r#""bob""#,
            "[]",
            r#"{"id":null,"ip_address":"x","data":5}"#,
            r#"{"x":null}"#,
        ] {
            assert_eq!(one_field(sent, plain), "null", "{sent}");
        }
    }

    fn address_of(sent: &str) -> Option<String> {
        let (out, _) = event(sent);
        Some(out.map("user")?.str("ip_address")?.to_owned())
    }

    #[test]
    fn the_address_is_the_sent_one_then_the_seen_one_then_the_clients() {
        let peer = Some(EVENT.peer.to_string());
        let remote = r#""request":{"env":{"REMOTE_ADDR":"192.0.2.1"}}"#;
        for (sent, expected) in [
            (
                r#"{"user":{"ip_address":"{{auto}}"}}"#.to_owned(),
                peer.clone(),
            ),
            (
                r#"{"request":{"env":{"REMOTE_ADDR":"{{auto}}"}}}"#.to_owned(),
                peer.clone(),
            ),
            (
                format!(r#"{{"user":{{"ip_address":"192.0.2.9"}},{remote}}}"#),
                Some("192.0.2.9".into()),
            ),
            (
                format!(r#"{{"platform":"javascript",{remote}}}"#),
                Some("192.0.2.1".into()),
            ),
            (r#"{"platform":"javascript"}"#.to_owned(), peer.clone()),
            (
                r#"{"platform":"cocoa","user":{"ip_address":"bad"}}"#.to_owned(),
                peer.clone(),
            ),
            (
                r#"{"platform":"javascript","sdk":{"settings":{"infer_ip":"never"}}}"#.to_owned(),
                None,
            ),
            (r#"{"platform":"python","user":{"id":1}}"#.to_owned(), None),
        ] {
            assert_eq!(address_of(&sent), expected, "{sent}");
        }
    }

    #[test]
    fn a_hundred_thousand_unknown_keys_are_moved_at_once() {
        let keys: String = (0..100_000).map(|n| format!(r#""k{n}":1,"#)).collect();
        let out = one_field(&format!("{{{}}}", keys.trim_end_matches(',')), plain);
        assert!(out.len() < DATA_BYTES_MAX);
    }
}
