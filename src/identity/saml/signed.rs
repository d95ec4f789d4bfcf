//! What was signed, and by whom.
//!
//! After the library found every signature good, the canonical bytes of what it covers are made once more, held
//! against the digest that was signed, and handed on as the only thing to read: whatever a document showed to one
//! part of the program and hid from another, the claims are those that the provider put its name to.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bergshamra_xml::NodeSet;
use gamlastan::crypto::bergshamra_c14n::canonicalize_doc;
use gamlastan::crypto::keys::loader;
use gamlastan::crypto::{Key, KeyUsage, KeysManager, SamlVerifier, VerifyResult};
use gamlastan::xml::uppsala::{Document, NodeId};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::provider::Certificate;
use super::refusal::{Reason, Refusal};
use super::shape::{Digest, Shape, SignatureShape};
use super::xml::attribute;

/// What the signatures of an answer cover, without the signatures themselves: XML.
#[derive(Default)]
pub(super) struct Signed {
    pub(super) response: Option<String>,
    pub(super) assertion: Option<String>,
}

/// One verifier per certificate, since the library asks only one key at a time. It trusts no key but the one that it
/// is given.
pub(super) fn verifiers(certificates: &[Certificate]) -> Vec<SamlVerifier> {
    let keys = certificates.iter().filter_map(Certificate::key);
    keys.map(|key| {
        let mut keys = KeysManager::new();
        keys.add_key(Key::new(key.data, KeyUsage::Verify));
        SamlVerifier::new(keys)
    })
    .collect()
}

/// Reads a certificate's key; none if it is no certificate or its key no key.
pub(super) fn key_of(der: &[u8]) -> Option<Key> {
    loader::load_x509_cert_der(der).ok()
}

/// Verifies all signatures of an answer, which must all be by one of the certificates.
///
/// # Errors
/// [`Reason::Signature`].
pub(super) fn verify(
    xml: &str,
    document: &Document<'_>,
    shape: &Shape,
    certificates: &[Certificate],
) -> Result<Signed, Refusal> {
    let refused = |detail: String| Refusal::new(Reason::Signature, detail);
    let claimed: Vec<String> = shape
        .signatures
        .iter()
        .map(|signature| reference(document, signature))
        .collect();
    let mut whys: Vec<String> = Vec::new();
    let good = verifiers(certificates).iter().any(|verifier| {
        let why = match verified_ids(xml, verifier) {
            Ok(ids) if ids == claimed => return true,
            Ok(ids) => format!("the library verified {ids:?}"),
            Err(why) => why,
        };
        if !whys.contains(&why) {
            whys.push(why);
        }
        false
    });
    if !good {
        return Err(refused(whys.join("; ")));
    }

    let mut signed = Signed::default();
    for signature in &shape.signatures {
        let bytes = canonical(document, signature).map_err(|error| refused(error.to_string()))?;
        if STANDARD.decode(without_space(&signature.digest_value))
            != Ok(digest(signature.digest, &bytes))
        {
            return Err(refused("the digest is another on second look".to_owned()));
        }
        let text = String::from_utf8(bytes).map_err(|error| refused(error.to_string()))?;
        if signature.signed == shape.assertion {
            signed.assertion = Some(text);
        } else {
            signed.response = Some(text);
        }
    }
    Ok(signed)
}

/// The references of all signatures, in the order of the document; why not, if one is not good.
fn verified_ids(xml: &str, verifier: &SamlVerifier) -> Result<Vec<String>, String> {
    let results = verifier
        .verify_all_enveloped(xml)
        .map_err(|error| error.to_string())?;
    let mut ids = Vec::new();
    for result in results {
        match result {
            VerifyResult::Valid { references, .. } => match &references[..] {
                [only] if only.digest_verified => ids.push(only.uri.clone()),
                _ => return Err(format!("{} references", references.len())),
            },
            VerifyResult::Invalid { reason } => return Err(reason),
        }
    }
    Ok(ids)
}

fn reference(document: &Document<'_>, signature: &SignatureShape) -> String {
    format!(
        "#{}",
        attribute(document, signature.signed, "ID").unwrap_or_default()
    )
}

/// The canonical form of what a signature covers.
fn canonical(
    document: &Document<'_>,
    signature: &SignatureShape,
) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let mut nodes = NodeSet::tree_without_comments(signature.signed, document);
    let mut without = |node: NodeId| nodes.remove_id(node);
    without(signature.signature);
    document
        .descendants(signature.signature)
        .into_iter()
        .for_each(without);
    Ok(canonicalize_doc(
        document,
        signature.form,
        Some(&nodes),
        &signature.prefixes,
    )?)
}

fn digest(digest: Digest, bytes: &[u8]) -> Vec<u8> {
    match digest {
        Digest::Sha256 => Sha256::digest(bytes).to_vec(),
        Digest::Sha384 => Sha384::digest(bytes).to_vec(),
        Digest::Sha512 => Sha512::digest(bytes).to_vec(),
    }
}

/// Base64 as XML writes it may have lines.
pub(super) fn without_space(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_whitespace()).collect()
}
