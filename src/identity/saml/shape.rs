//! Which signed documents are looked at further: those that can be read in one way only.
//!
//! The standard lets a signature lie anywhere, point anywhere (also at files), and have programs run over what it
//! points at (XPath, XSLT), and the library does all that before it knows who signed. So this comes first, and leaves
//! what SAML itself allows (SAML core 5.4: one reference, to the element that holds the signature, by its ID; no
//! transforms but two), and less: one assertion, in its place, and signatures on it, on the whole answer, or on both.
//! Every known way to wrap a signed element into a forged document needs something that is refused here.

use std::collections::HashSet;

use gamlastan::crypto::C14nMode;
use gamlastan::xml::uppsala::{Document, NodeId, NodeKind};

use super::refusal::{Reason, Refusal};
use super::xml::{
    ASSERTION, PROTOCOL, SIGNATURE, all_elements, attribute, children, elements, is, name, text,
};

const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const INCLUSIVE: &str = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";
const CANONICAL_FORMS: [&str; 2] = [EXCLUSIVE, INCLUSIVE];
const SIGNATURE_ALGORITHMS: [&str; 6] = [
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512",
];

/// How a digest is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Digest {
    Sha256,
    Sha384,
    Sha512,
}

const DIGESTS: [(&str, Digest); 3] = [
    ("http://www.w3.org/2001/04/xmlenc#sha256", Digest::Sha256),
    (
        "http://www.w3.org/2001/04/xmldsig-more#sha384",
        Digest::Sha384,
    ),
    ("http://www.w3.org/2001/04/xmlenc#sha512", Digest::Sha512),
];

/// Elements that hold a text and nothing else: the library reads the first piece of it.
const TEXTS: [&str; 15] = [
    "Audience",
    "AuthenticatingAuthority",
    "AuthnContextClassRef",
    "AuthnContextDeclRef",
    "DigestValue",
    "Issuer",
    "KeyName",
    "NameID",
    "SessionIndex",
    "SignatureValue",
    "StatusMessage",
    "X509Certificate",
    "X509IssuerName",
    "X509SerialNumber",
    "X509SubjectName",
];

/// The names of attributes that are an element's ID for whoever follows a reference.
const IDS: [&str; 4] = ["ID", "Id", "id", "AssertionID"];
const ID_BYTES_MAX: usize = 256;

/// An answer whose shape is good.
pub(super) struct Shape {
    pub(super) assertion: NodeId,
    /// One or two, no two of the same element.
    pub(super) signatures: Vec<SignatureShape>,
}

/// A signature, and what it claims to cover.
pub(super) struct SignatureShape {
    pub(super) signature: NodeId,
    /// The element around it, which it claims to cover but for itself: the answer or the assertion.
    pub(super) signed: NodeId,
    pub(super) form: C14nMode,
    /// The prefixes that the exclusive form keeps.
    pub(super) prefixes: Vec<String>,
    pub(super) digest: Digest,
    /// In base64.
    pub(super) digest_value: String,
}

type Checked<T> = Result<T, Refusal>;

fn wrong(detail: impl std::fmt::Display) -> Refusal {
    Refusal::new(Reason::Shape, detail)
}

/// Checks the shape of an answer to a sign-in.
///
/// # Errors
/// [`Reason::Encrypted`], [`Reason::Unsigned`], [`Reason::Algorithm`] and [`Reason::Shape`].
pub(super) fn check(document: &Document<'_>) -> Checked<Shape> {
    let root = document
        .document_element()
        .ok_or_else(|| wrong("there is no element"))?;
    let all = all_elements(document, root);
    check_plain(document, &all)?;

    let encrypted = |node: &&NodeId| name(document, **node).starts_with("Encrypted");
    if let Some(node) = all.iter().find(encrypted) {
        return Err(Refusal::new(
            Reason::Encrypted,
            format!("there is an {}", name(document, *node)),
        ));
    }

    let named = |wanted: &str| -> Vec<NodeId> {
        let wanted = |node: &&NodeId| name(document, **node) == wanted;
        all.iter().filter(wanted).copied().collect()
    };
    if named("Response") != [root] {
        return Err(wrong("there is more than one Response"));
    }
    let assertions = named("Assertion");
    let assertion = match children(document, root, ASSERTION, "Assertion")[..] {
        [only] if assertions == [only] => only,
        _ => {
            return Err(wrong(format!(
                "not one Assertion right below the Response: {} in all",
                assertions.len()
            )));
        }
    };

    let mut signatures: Vec<SignatureShape> = Vec::new();
    for signature in named("Signature") {
        if !is(document, signature, SIGNATURE, "Signature") {
            return Err(wrong("there is a Signature of another namespace"));
        }
        let found = check_signature(document, signature)?;
        let in_place = found.signed == root || found.signed == assertion;
        if !in_place || signatures.iter().any(|other| other.signed == found.signed) {
            return Err(wrong(
                "there is a Signature that is not the one of the Response or the Assertion",
            ));
        }
        signatures.push(found);
    }
    if signatures.is_empty() {
        return Err(Refusal::new(Reason::Unsigned, "there is no Signature"));
    }
    Ok(Shape {
        assertion,
        signatures,
    })
}

/// What keeps two readers from seeing different things in the same document.
fn check_plain(document: &Document<'_>, all: &[NodeId]) -> Checked<()> {
    let mut ids = HashSet::new();
    for node in all {
        let Some(element) = document.element(*node) else {
            continue;
        };
        let mut names = HashSet::new();
        for attribute in &element.attributes {
            let local = &*attribute.name.local_name;
            if !names.insert(local) {
                return Err(wrong(format!("there are two attributes {local:?}")));
            }
            if IDS.contains(&local) {
                if attribute.name.namespace_uri.is_some() {
                    return Err(wrong(format!(
                        "there is an ID {:?} in a namespace",
                        attribute.value
                    )));
                }
                if !ids.insert(&*attribute.value) {
                    return Err(wrong(format!("there are two IDs {:?}", attribute.value)));
                }
            }
        }
        if TEXTS.contains(&name(document, *node)) && text(document, *node).is_none() {
            return Err(wrong(format!(
                "{} is more than a text",
                name(document, *node)
            )));
        }
        let mut last_was_text = false;
        for child in document.children_iter(*node) {
            let is_text = matches!(document.node_kind(child), Some(NodeKind::Text(_)));
            if is_text && last_was_text {
                return Err(wrong(format!(
                    "the text of {} is in pieces",
                    name(document, *node)
                )));
            }
            last_was_text = is_text;
        }
    }
    Ok(())
}

fn check_signature(document: &Document<'_>, signature: NodeId) -> Checked<SignatureShape> {
    let signed = document
        .parent(signature)
        .filter(|parent| {
            is(document, *parent, ASSERTION, "Assertion")
                || is(document, *parent, PROTOCOL, "Response")
        })
        .ok_or_else(|| wrong("there is a Signature outside of Response and Assertion"))?;
    let id = attribute(document, signed, "ID")
        .filter(|id| is_id(id))
        .ok_or_else(|| wrong("what is signed has no good ID"))?;

    for node in all_elements(document, signature) {
        check_signature_part(document, node)?;
    }
    let [signed_info, value] = match expect(
        document,
        signature,
        &["SignedInfo", "SignatureValue", "KeyInfo"],
    ) {
        Ok(parts) => [parts[0], parts[1]],
        Err(_) => expect(document, signature, &["SignedInfo", "SignatureValue"])?,
    };
    let [method, algorithm, reference] = expect(
        document,
        signed_info,
        &["CanonicalizationMethod", "SignatureMethod", "Reference"],
    )?;
    canonical_form(document, method)?;
    if !SIGNATURE_ALGORITHMS.contains(&algorithm_of(document, algorithm)) {
        return Err(forbidden(document, algorithm));
    }
    expect::<0>(document, algorithm, &[])?;
    if text(document, value).is_none_or(str::is_empty) {
        return Err(Refusal::new(
            Reason::Unsigned,
            "the SignatureValue is empty",
        ));
    }

    if attribute(document, reference, "URI").and_then(|uri| uri.strip_prefix('#')) != Some(id) {
        return Err(wrong(format!(
            "the Reference to {:?} is not to the element around it, {id:?}",
            attribute(document, reference, "URI")
        )));
    }
    let [transforms, digest_method, digest_value] = expect(
        document,
        reference,
        &["Transforms", "DigestMethod", "DigestValue"],
    )?;
    let (form, prefixes) = check_transforms(document, transforms)?;
    let digest = DIGESTS
        .iter()
        .find(|(algorithm, _)| *algorithm == algorithm_of(document, digest_method))
        .map(|(_, digest)| *digest)
        .ok_or_else(|| forbidden(document, digest_method))?;
    expect::<0>(document, digest_method, &[])?;
    let digest_value = text(document, digest_value).unwrap_or_default();
    Ok(SignatureShape {
        signature,
        signed,
        form,
        prefixes,
        digest,
        digest_value: digest_value.to_owned(),
    })
}

/// The enveloped signature first, and then at most a canonical form; without one it is the inclusive form.
fn check_transforms(
    document: &Document<'_>,
    transforms: NodeId,
) -> Checked<(C14nMode, Vec<String>)> {
    let listed = elements(document, transforms);
    if listed
        .iter()
        .any(|node| name(document, *node) != "Transform")
    {
        return Err(wrong("there is more than Transform in Transforms"));
    }
    let Some((enveloped, rest)) = listed.split_first() else {
        return Err(wrong("there are no transforms"));
    };
    if algorithm_of(document, *enveloped) != ENVELOPED {
        return Err(forbidden_transform(document, *enveloped));
    }
    expect::<0>(document, *enveloped, &[])?;
    match rest {
        [] => Ok((C14nMode::Inclusive, Vec::new())),
        [form] => canonical_form(document, *form),
        _ => Err(wrong("there are more than two transforms")),
    }
}

/// The canonical form that a method or transform names, with the prefixes that it keeps.
fn canonical_form(document: &Document<'_>, node: NodeId) -> Checked<(C14nMode, Vec<String>)> {
    let algorithm = algorithm_of(document, node);
    let form = C14nMode::from_uri(algorithm)
        .filter(|_| CANONICAL_FORMS.contains(&algorithm))
        .ok_or_else(|| forbidden_transform(document, node))?;
    let prefixes = match elements(document, node)[..] {
        [] => Vec::new(),
        [list]
            if algorithm == EXCLUSIVE && is(document, list, EXCLUSIVE, "InclusiveNamespaces") =>
        {
            expect::<0>(document, list, &[])?;
            attribute(document, list, "PrefixList")
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned)
                .collect()
        }
        _ => return Err(wrong("a canonical form has parameters of another kind")),
    };
    Ok((form, prefixes))
}

/// Everything in a signature is of its own namespace, but for the list of prefixes, and has plain attributes; a key
/// is said in one of three ways, of which none leads anywhere.
fn check_signature_part(document: &Document<'_>, node: NodeId) -> Checked<()> {
    let known = is(document, node, EXCLUSIVE, "InclusiveNamespaces")
        || document
            .element(node)
            .is_some_and(|element| element.name.namespace_uri.as_deref() == Some(SIGNATURE));
    let plain = document.element(node).is_some_and(|element| {
        element
            .attributes
            .iter()
            .all(|a| a.name.namespace_uri.is_none())
    });
    if !known || !plain {
        return Err(wrong(format!(
            "there is a foreign {} in a Signature",
            name(document, node)
        )));
    }
    if name(document, node) == "KeyInfo" {
        let known = ["X509Data", "KeyName", "KeyValue"];
        let strange = |node: &NodeId| !known.contains(&name(document, *node));
        if let Some(node) = elements(document, node).into_iter().find(strange) {
            return Err(wrong(format!(
                "there is a {} in a KeyInfo",
                name(document, node)
            )));
        }
    }
    Ok(())
}

/// The elements right below a node, if they are these, in this order, and there is no text between them.
fn expect<const N: usize>(
    document: &Document<'_>,
    node: NodeId,
    names: &[&str; N],
) -> Checked<[NodeId; N]> {
    let found = elements(document, node);
    let found_names: Vec<&str> = found.iter().map(|node| name(document, *node)).collect();
    let blank = document
        .children_iter(node)
        .all(|child| match document.node_kind(child) {
            Some(NodeKind::Text(text)) => text.trim().is_empty(),
            _ => true,
        });
    match found.try_into() {
        Ok(nodes) if found_names == names && blank => Ok(nodes),
        _ => Err(wrong(format!(
            "{} holds {found_names:?}",
            name(document, node)
        ))),
    }
}

fn algorithm_of<'a>(document: &'a Document<'_>, node: NodeId) -> &'a str {
    attribute(document, node, "Algorithm").unwrap_or_default()
}

fn forbidden(document: &Document<'_>, node: NodeId) -> Refusal {
    Refusal::new(
        Reason::Algorithm,
        format!(
            "{} {:?}",
            name(document, node),
            algorithm_of(document, node)
        ),
    )
}

fn forbidden_transform(document: &Document<'_>, node: NodeId) -> Refusal {
    wrong(format!(
        "{} {:?}",
        name(document, node),
        algorithm_of(document, node)
    ))
}

/// Whether a text is an ID that is nothing else too: references also have a language of functions.
fn is_id(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.len() <= ID_BYTES_MAX
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(letter)
}
