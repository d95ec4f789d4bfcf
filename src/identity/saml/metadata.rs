//! The documents in which providers describe themselves: theirs, which is read, and ours.

use gamlastan::core::constants::{BINDING_HTTP_POST, BINDING_HTTP_REDIRECT};
use gamlastan::metadata::types::endpoint::{Endpoint, IndexedEndpoint};
use gamlastan::metadata::types::entity_descriptor::{EntityDescriptor, EntityRoles};
use gamlastan::metadata::types::role_descriptor::{RoleDescriptorBase, SsoDescriptorBase};
use gamlastan::metadata::types::sp::SpSsoDescriptor;
use gamlastan::xml::SamlSerialize;
use gamlastan::xml::uppsala::{Document, NodeId};

use super::ServiceProvider;
use super::provider::Fields;
use super::xml::{
    METADATA, PROTOCOL, SIGNATURE, all_elements, attribute, children, is, parse_metadata, text,
};
use crate::domain::{Error, FieldErrors, Result};

/// Documents of federations have many MiB, but those are of many providers.
const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;

/// Reads a provider's document; [`super::Provider::new`] checks what it says. Whether it is signed makes no
/// difference: an owner of the organization vouches for it.
///
/// # Errors
/// [`Error::Invalid`] with a text for `metadata`.
pub(crate) fn read(xml: &str) -> Result<Fields> {
    read_document(xml).map_err(|text| {
        let mut errors = FieldErrors::default();
        errors.add("metadata", text);
        Error::Invalid(errors)
    })
}

fn read_document(xml: &str) -> std::result::Result<Fields, String> {
    if xml.len() > DOCUMENT_BYTES_MAX {
        return Err(
            "The document is larger than 1 MiB. Give the metadata of one provider.".to_owned(),
        );
    }
    // White space before the declaration, as pasting leaves it, is not XML.
    let document = parse_metadata(xml.trim_start())
        .map_err(|why| format!("This cannot be read as XML: {why}."))?;
    let root = document
        .document_element()
        .ok_or("The document is empty.")?;
    if !is(&document, root, METADATA, "EntityDescriptor")
        && !is(&document, root, METADATA, "EntitiesDescriptor")
    {
        return Err(
            "This is not SAML metadata: it does not begin with an EntityDescriptor.".to_owned(),
        );
    }
    let mut entities = all_elements(&document, root);
    entities.retain(|node| is(&document, *node, METADATA, "EntityDescriptor"));
    let entity = match entities[..] {
        [only] => only,
        _ => {
            return Err(format!(
                "The document describes {} entities. Give one that describes just the identity provider.",
                entities.len()
            ));
        }
    };
    let entity_id = attribute(&document, entity, "entityID").unwrap_or_default();
    let role = children(&document, entity, METADATA, "IDPSSODescriptor")
        .into_iter()
        .find(|role| {
            let protocols = attribute(&document, *role, "protocolSupportEnumeration");
            protocols.is_some_and(|list| list.split_whitespace().any(|one| one == PROTOCOL))
        })
        .ok_or(
            "The document describes no SAML 2.0 identity provider (it has no IDPSSODescriptor).",
        )?;
    let sso_url = location(&document, role, "SingleSignOnService").ok_or(
        "The identity provider offers no sign-in over HTTP-Redirect, the only binding for requests that works here.",
    )?;
    Ok(Fields {
        entity_id: entity_id.to_owned(),
        sso_url: sso_url.to_owned(),
        slo_url: location(&document, role, "SingleLogoutService")
            .unwrap_or_default()
            .to_owned(),
        certificates: certificates(&document, role),
    })
}

/// Where a service is, over the one binding that we speak.
fn location<'a>(document: &'a Document<'_>, role: NodeId, service: &str) -> Option<&'a str> {
    children(document, role, METADATA, service)
        .into_iter()
        .find(|node| attribute(document, *node, "Binding") == Some(BINDING_HTTP_REDIRECT))
        .and_then(|node| attribute(document, node, "Location"))
}

/// The certificates of a role, but for those that are for encryption alone.
fn certificates(document: &Document<'_>, role: NodeId) -> Vec<String> {
    let mut found = Vec::new();
    for key in children(document, role, METADATA, "KeyDescriptor") {
        if attribute(document, key, "use") == Some("encryption") {
            continue;
        }
        let certificates = all_elements(document, key);
        let texts = certificates
            .into_iter()
            .filter(|node| is(document, *node, SIGNATURE, "X509Certificate"))
            .filter_map(|node| text(document, node));
        found.extend(texts.map(str::to_owned));
    }
    found
}

/// Our own document, the same with and without a configured provider.
///
/// # Errors
/// [`Error::Internal`].
pub(crate) fn write(service: &ServiceProvider) -> Result<String> {
    let mut sso_base = SsoDescriptorBase {
        base: RoleDescriptorBase::new(vec![PROTOCOL.to_owned()]),
        artifact_resolution_services: Vec::new(),
        single_logout_services: Vec::new(),
        manage_name_id_services: Vec::new(),
        name_id_formats: Vec::new(),
    };
    sso_base.single_logout_services = vec![Endpoint::new(BINDING_HTTP_REDIRECT, &service.sls_url)];
    let acs = Endpoint::new(BINDING_HTTP_POST, &service.acs_url);
    let role = SpSsoDescriptor {
        sso_base,
        authn_requests_signed: Some(false),
        want_assertions_signed: Some(true),
        assertion_consumer_services: vec![IndexedEndpoint::new_default(acs, 0)],
        attribute_consuming_services: Vec::new(),
    };
    let entity = EntityDescriptor {
        entity_id: service.entity_id.clone(),
        id: None,
        valid_until: None,
        cache_duration: None,
        has_signature: false,
        extensions: None,
        roles: EntityRoles::Roles {
            idp_sso: Vec::new(),
            sp_sso: vec![role],
            authn_authority: Vec::new(),
            attr_authority: Vec::new(),
            pdp: Vec::new(),
        },
        organization: None,
        contact_persons: Vec::new(),
        additional_metadata_locations: Vec::new(),
    };
    let xml = entity
        .to_xml_string()
        .map_err(|error| Error::internal(error.to_string()))?;
    Ok(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{xml}\n"
    ))
}
