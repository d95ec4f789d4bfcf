//! Texts that are objects: JSON and forms in request bodies, query strings, cookies (facts/ingestion.md 5.7).
//!
//! They are taken apart once, never again inside, so that a secret takes its own field and not the whole body. A
//! part of a form in which something was found is written anew; the others stay as they came, to the byte.

use std::borrow::Cow;

use form_urlencoded::byte_serialize;

use super::super::json::Node;
use super::patterns::FILTERED;
use super::place::Place;
use super::walk::Walk;
use super::zones::Form;

/// What became of a text that could be taken apart: the new one, or none if nothing was found.
type Changed = Option<String>;

impl Walk<'_, '_> {
    /// A request body. None: it is neither JSON nor a form, or it is in a text that was taken apart already.
    pub(super) fn body(&mut self, text: &str, place: &Place<'_>) -> Option<Changed> {
        if place.inside.is_some() {
            None
        } else if text.trim_start().starts_with(['{', '[']) {
            self.json(text, place)
        } else if is_form(text) {
            self.separated(text, '&', Form::Body, place)
        } else {
            None
        }
    }

    /// Is always written anew: of a key that comes twice the tree has one value, and the other may be a secret.
    fn json(&mut self, text: &str, place: &Place<'_>) -> Option<Changed> {
        let mut tree: Node<'_> = serde_json::from_str(text).ok()?;
        self.pairs(&mut tree, Form::Body, &place.taken_apart(text));
        Some(Some(tree.to_json()))
    }

    /// Names and values with `=` between them, and a separator between those. None: there are none.
    pub(super) fn separated(
        &mut self,
        text: &str,
        separator: char,
        form: Form,
        place: &Place<'_>,
    ) -> Option<Changed> {
        if place.inside.is_some() || !text.contains('=') {
            return None;
        }
        let inside = place.taken_apart(text);
        let encoded = separator == '&';
        let mut written: Changed = None;
        let mut done = 0;
        for part in text.split(separator) {
            let start = done;
            done += part.len() + separator.len_utf8();
            let Some(value) = self.part(part, encoded, form, &inside) else {
                if let Some(written) = &mut written {
                    written.push_str(part);
                    written.push(separator);
                }
                continue;
            };
            let written = written.get_or_insert_with(|| text[..start].to_owned());
            if let Some((name, _)) = part.split_once('=') {
                written.push_str(name);
                written.push('=');
            }
            written.push_str(&value);
            written.push(separator);
        }
        if let Some(written) = &mut written {
            written.pop();
        }
        Some(written)
    }

    /// The new value of a part, if something was found in it.
    fn part(&mut self, part: &str, encoded: bool, form: Form, place: &Place<'_>) -> Option<String> {
        let (name, value) = part.split_once('=').unwrap_or(("", part));
        let name = decoded(name.trim_start_matches('?').trim(), encoded);
        let mut node = Node::Text(decoded(value, encoded));
        let before = self.changes();
        self.pair(&name, &mut node, form, &place.key(&name));
        if self.changes() == before {
            return None;
        }
        let value = node.as_str().unwrap_or_default();
        if encoded && value != FILTERED {
            Some(byte_serialize(value.as_bytes()).collect())
        } else {
            Some(value.to_owned())
        }
    }
}

/// Whether a text reads as a form: names and values, without the blanks that a form has none of.
fn is_form(text: &str) -> bool {
    text.contains('=') && text.bytes().all(|byte| byte > b' ' && byte != b'"')
}

/// The text of a form's part; a part that is not valid is taken as it is.
fn decoded(text: &str, encoded: bool) -> Cow<'_, str> {
    if !encoded || !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy();
    Cow::Owned(decoded.into_owned())
}
