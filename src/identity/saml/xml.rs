//! Reading a message as XML, and what the others ask of the document.

use gamlastan::xml::uppsala::{Document, NodeId, NodeKind};
use gamlastan::xml::{parse_secure, parse_secure_metadata};

use super::refusal::{Reason, Refusal};

pub(super) const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
pub(super) const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
pub(super) const METADATA: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
pub(super) const SIGNATURE: &str = "http://www.w3.org/2000/09/xmldsig#";

/// The parser holds each attribute against all others of its element.
const ATTRIBUTES_MAX: usize = 64;
/// Of elements there are half as many. An answer with a thousand groups has two thousand.
const TAGS_MAX: usize = 10_000;

/// Parses a message that anybody could have sent: without document type, comments, processing instructions and CDATA,
/// which SAML has no use for, and forgers have; and small enough in every way to be looked at for free.
///
/// # Errors
/// [`Reason::Unreadable`], [`Reason::TooLarge`].
pub(super) fn parse(text: &str) -> Result<Document<'_>, Refusal> {
    check_markup(text, &["<!"]).map_err(|text| Refusal::new(Reason::Unreadable, text))?;
    check_size(text).map_err(|text| Refusal::new(Reason::TooLarge, text))?;
    parse_secure(text).map_err(|error| Refusal::new(Reason::Unreadable, error))
}

/// Parses a document that an owner gives; it may have comments between its elements.
///
/// # Errors
/// A plain text.
pub(super) fn parse_metadata(text: &str) -> Result<Document<'_>, String> {
    check_markup(text, &["<!DOCTYPE", "<![CDATA["])?;
    for part in text.split("<!--") {
        check_size(part.split_once("-->").map_or(part, |(_, after)| after))?;
    }
    parse_secure_metadata(text).map_err(|error| error.to_string())
}

/// The library looks for these things when it has read everything.
fn check_markup(text: &str, forbidden: &[&str]) -> Result<(), String> {
    if let Some(at) = forbidden.iter().find_map(|start| text.find(start)) {
        let what = match &text[at + 2..] {
            rest if rest.starts_with("--") => "a comment",
            rest if rest.starts_with("[CDATA[") => "a CDATA section",
            rest if rest.starts_with("DOCTYPE") => "a document type (<!DOCTYPE>)",
            _ => "a declaration",
        };
        return Err(format!("there is {what}"));
    }
    // The declaration at the very beginning is none.
    if text.rfind("<?").is_some_and(|at| at > 0) {
        return Err("there is a processing instruction".to_owned());
    }
    Ok(())
}

/// Counts tags, and the attributes of each, before the parser makes much of them.
fn check_size(text: &str) -> Result<(), String> {
    let (mut tags, mut values, mut in_tag, mut quote) = (0, 0, false, None);
    for byte in text.bytes() {
        match (byte, quote) {
            (_, Some(open)) if byte != open => {}
            (_, Some(_)) => quote = None,
            (b'<', None) => {
                (in_tag, values) = (true, 0);
                tags += 1;
                if tags > TAGS_MAX {
                    return Err("there are too many elements".to_owned());
                }
            }
            (b'>', None) => in_tag = false,
            (b'"' | b'\'', None) if in_tag => {
                quote = Some(byte);
                values += 1;
                if values > ATTRIBUTES_MAX {
                    return Err("there are too many attributes".to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a node is the element of this name in this namespace.
pub(super) fn is(document: &Document<'_>, node: NodeId, namespace: &str, name: &str) -> bool {
    document
        .element(node)
        .is_some_and(|element| element.matches_name_ns(namespace, name))
}

/// The elements right below a node.
pub(super) fn elements(document: &Document<'_>, node: NodeId) -> Vec<NodeId> {
    document
        .children_iter(node)
        .filter(|child| document.element(*child).is_some())
        .collect()
}

/// All elements below a node, at any depth, and the node itself.
pub(super) fn all_elements(document: &Document<'_>, node: NodeId) -> Vec<NodeId> {
    let mut all = vec![node];
    all.extend(document.descendants(node));
    all.retain(|node| document.element(*node).is_some());
    all
}

/// The elements of this name right below a node.
pub(super) fn children(
    document: &Document<'_>,
    node: NodeId,
    namespace: &str,
    name: &str,
) -> Vec<NodeId> {
    document.child_elements_by_name_ns(node, namespace, name)
}

/// The local name of an element, and the empty text for other nodes.
pub(super) fn name<'a>(document: &'a Document<'_>, node: NodeId) -> &'a str {
    document
        .element(node)
        .map_or("", |element| &element.name.local_name)
}

/// An attribute without a namespace. The library looks by local name alone, so that a document could show it another
/// one; [`super::shape`] refuses such documents.
pub(super) fn attribute<'a>(
    document: &'a Document<'_>,
    node: NodeId,
    name: &str,
) -> Option<&'a str> {
    document
        .element(node)?
        .attributes
        .iter()
        .find(|attribute| {
            attribute.name.namespace_uri.is_none() && attribute.name.local_name == name
        })
        .map(|attribute| &*attribute.value)
}

/// The text of an element that holds text only, without white space around it; none if it holds anything else, or
/// text in pieces.
pub(super) fn text<'a>(document: &'a Document<'_>, node: NodeId) -> Option<&'a str> {
    let mut children = document.children_iter(node);
    let text = match children.next() {
        None => "",
        Some(child) => match document.node_kind(child) {
            Some(NodeKind::Text(text)) => text,
            _ => return None,
        },
    };
    children.next().is_none().then(|| text.trim())
}
