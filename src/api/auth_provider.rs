//! `O/auth-provider/`: who vouches for the members of an organization (facts/auth-and-tokens.md 9.4; how it is set up
//! is ours).

use std::collections::BTreeMap;

use serde::Serialize;

use super::body::{Fields, Given, Null};
use super::error::Result;
use super::{Api, Call, InOrganization};
use crate::domain::scope::OrganizationRole;
use crate::domain::single_sign_on::{
    ClientSecret, IdentityProvider, Oidc, Protocol, ProviderConfig, RoleRules, Saml, Trust,
};
use crate::domain::time::Timestamp;
use crate::domain::{Error, FieldErrors};
use crate::http::Response;
use crate::identity::single_sign_on::{
    callback_url, login_path, pem, read_metadata, saml_urls, signed_out_url,
};
use crate::store::organizations::Organization;
use crate::store::{Connection, identity_providers, users};

/// A provider as the API shows it. The secret is never shown again.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProviderBody {
    id: String,
    provider: &'static str,
    name: String,
    #[serde(flatten)]
    protocol: ProtocolBody,
    required: bool,
    default_role: &'static str,
    groups_claim: String,
    group_roles: BTreeMap<String, &'static str>,
    domain_roles: BTreeMap<String, &'static str>,
    trusted_domains: Vec<String>,
    trust_unmarked_emails: bool,
    /// Addresses of the owners who may come in with a password alone.
    break_glass: Vec<String>,
    /// Where members sign in.
    login_url: String,
    date_created: Timestamp,
}

/// What only one kind of provider has. URLs of ours are what the provider is to be told.
#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum ProtocolBody {
    Oidc {
        issuer: String,
        client_id: String,
        has_client_secret: bool,
        scopes: Vec<String>,
        /// Where it sends browsers back to, and where after a sign-out.
        callback_url: String,
        signed_out_url: String,
    },
    Saml {
        entity_id: String,
        sso_url: String,
        slo_url: Option<String>,
        /// PEM.
        certificates: Vec<String>,
        attributes: AttributesBody,
        provider_may_begin: bool,
        /// Where our metadata is, which is our entity id too; where answers are posted; where single logout arrives.
        metadata_url: String,
        acs_url: String,
        sls_url: String,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttributesBody {
    identifier: String,
    user_email: String,
    first_name: Option<String>,
    last_name: Option<String>,
}

impl ProtocolBody {
    fn of(api: &Api, organization: &Organization, protocol: &Protocol) -> ProtocolBody {
        match protocol.clone() {
            Protocol::Oidc(oidc) => ProtocolBody::Oidc {
                has_client_secret: oidc.client_secret.is_some(),
                issuer: oidc.issuer,
                client_id: oidc.client_id,
                scopes: oidc.scopes,
                callback_url: callback_url(api.prefix.as_str(), organization.id),
                signed_out_url: signed_out_url(api.prefix.as_str(), organization.slug.as_str()),
            },
            Protocol::Saml(saml) => {
                let [metadata_url, acs_url, sls_url] = saml_urls(&api.prefix, &organization.slug);
                ProtocolBody::Saml {
                    entity_id: saml.entity_id,
                    sso_url: saml.sso_url,
                    slo_url: saml.slo_url,
                    certificates: saml.certificates.iter().map(|one| pem(one)).collect(),
                    attributes: AttributesBody {
                        identifier: saml.attributes.identifier,
                        user_email: saml.attributes.user_email,
                        first_name: saml.attributes.first_name,
                        last_name: saml.attributes.last_name,
                    },
                    provider_may_begin: saml.provider_may_begin,
                    metadata_url,
                    acs_url,
                    sls_url,
                }
            }
        }
    }
}

impl ProviderBody {
    fn of(
        api: &Api,
        connection: &Connection,
        organization: &Organization,
        provider: &IdentityProvider,
    ) -> Result<ProviderBody> {
        let (config, slug) = (&provider.config, organization.slug.as_str());
        let roles = |rules: &[(String, OrganizationRole)]| {
            let entry = |(key, role): &(String, OrganizationRole)| (key.clone(), role.as_str());
            rules.iter().map(entry).collect()
        };
        let break_glass = identity_providers::list_break_glass(connection, organization.id)?;
        Ok(ProviderBody {
            id: provider.id.to_string(),
            provider: config.protocol.kind(),
            name: config.name.clone(),
            protocol: ProtocolBody::of(api, organization, &config.protocol),
            required: config.required,
            default_role: config.roles.default.as_str(),
            groups_claim: config.roles.groups_claim.clone(),
            group_roles: roles(&config.roles.by_group),
            domain_roles: roles(&config.roles.by_domain),
            trusted_domains: config.trust.domains.clone(),
            trust_unmarked_emails: config.trust.unmarked_emails,
            break_glass: break_glass.into_iter().map(|member| member.email).collect(),
            login_url: format!("{}{}", api.prefix, login_path(slug)),
            date_created: provider.created,
        })
    }
}

/// `GET O/auth-provider/`: 204 where there is none.
pub(super) fn get(api: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let organization = &context.organization;
    match identity_providers::find_of(&call.connection, organization.id)? {
        None => Ok(Response::empty(204)),
        Some(provider) => {
            let body = ProviderBody::of(api, &call.connection, organization, &provider)?;
            Ok(Response::json(200, &body))
        }
    }
}

/// `PUT O/auth-provider/`: sets it up, or changes the fields that the body has. Whose addresses the provider vouches
/// for is the operator's to say: a superuser's here, or the command line's.
pub(super) fn update(api: &Api, mut call: Call<'_>, context: InOrganization) -> Result<Response> {
    let organization = context.organization.id;
    let old = identity_providers::find_of(&call.connection, organization)?;
    let old = old.map(|provider| provider.config);
    let is_operator = match call.caller.user() {
        Some(user) => users::find(&call.connection, user)?.is_some_and(|user| user.superuser),
        None => false,
    };
    let mut fields = call.body()?;
    let mut config = read(&mut fields, old.as_ref());
    let sso = &api.identity.single_sign_on;
    match sso.checked(config.protocol.clone(), &config.roles) {
        Ok(protocol) => config.protocol = protocol,
        // What a document would have said is not missing.
        Err(_) if fields.is_wrong("metadata") => {}
        Err(errors) => refuse_rest(&mut fields, errors),
    }
    read_trust(&mut fields, old.as_ref(), is_operator, &mut config);
    refuse_rest(&mut fields, config.faults());
    // Another provider decides anew who gets the roles, so it counts as other rules.
    let is_changed = old.as_ref().is_none_or(|old| {
        old.roles != config.roles || !config.protocol.is_still(&old.protocol, is_operator)
    });
    let highest = config.roles.highest();
    // Everybody who may set this up may let plain members in.
    let is_free = highest == OrganizationRole::Member;
    if is_changed && !is_free && !context.access.assigns(highest) {
        fields.refuse(
            "defaultRole",
            "You may give no role that is higher than your own.",
        );
    }
    let break_glass = fields.texts("breakGlass", Null::Refused).value();
    fields.finish()?;
    let actor = call.actor()?;
    api.store.write(move |unit| {
        identity_providers::save(unit, &actor, organization, &config, break_glass.as_deref())
    })?;
    get(api, call, context)
}

/// Adds what is wrong with fields of which nothing is known to be wrong yet.
fn refuse_rest(fields: &mut Fields, errors: FieldErrors) {
    for (field, faults) in errors.fields {
        if !fields.is_wrong(&field) {
            fields.refuse_parts(&field, faults);
        }
    }
}

/// The configuration that a body asks for, but for the trust. What it leaves out stays as it is, or begins as written here.
fn read(fields: &mut Fields, old: Option<&ProviderConfig>) -> ProviderConfig {
    let kind = fields.choice("provider", &["oidc", "saml"], Null::Refused, false);
    let kind = kind.value();
    let mut config = match old {
        Some(old)
            if kind
                .as_deref()
                .is_none_or(|kind| kind == old.protocol.kind()) =>
        {
            old.clone()
        }
        _ => ProviderConfig::new(match kind.as_deref() {
            Some("saml") => new_saml(fields),
            _ => new_oidc(fields),
        }),
    };
    read_text(fields, "name", &mut config.name);
    read_text(fields, "groupsClaim", &mut config.roles.groups_claim);
    match &mut config.protocol {
        Protocol::Oidc(oidc) => read_oidc(fields, old, oidc),
        Protocol::Saml(saml) => read_saml(fields, saml),
    }
    if let Given::Value(required) = fields.boolean("required", Null::Refused) {
        config.required = required;
    }
    let words: Vec<&str> = OrganizationRole::ALL
        .iter()
        .map(|role| role.as_str())
        .collect();
    let role = fields.choice("defaultRole", &words, Null::Refused, false);
    if let Some(role) = role.value().as_deref().and_then(OrganizationRole::parse) {
        config.roles.default = role;
    }
    read_rules(fields, "groupRoles", &mut config.roles, |roles| {
        &mut roles.by_group
    });
    read_rules(fields, "domainRoles", &mut config.roles, |roles| {
        &mut roles.by_domain
    });
    for (domain, _) in &mut config.roles.by_domain {
        domain.make_ascii_lowercase();
    }
    config
}

fn new_oidc(fields: &mut Fields) -> Protocol {
    for name in ["issuer", "clientId"] {
        fields.refuse_missing(name);
    }
    Protocol::Oidc(Oidc::new(String::new(), String::new()))
}

/// The provider's own document says all that is needed.
fn new_saml(fields: &mut Fields) -> Protocol {
    if !fields.has("metadata") {
        for name in ["entityId", "ssoUrl", "certificates"] {
            fields.refuse_missing(name);
        }
    }
    Protocol::Saml(Saml::new())
}

fn read_text(fields: &mut Fields, name: &str, into: &mut String) {
    if let Given::Value(text) = fields.filled_text(name, usize::MAX, Null::Refused) {
        *into = text;
    }
}

fn read_oidc(fields: &mut Fields, old: Option<&ProviderConfig>, oidc: &mut Oidc) {
    read_text(fields, "issuer", &mut oidc.issuer);
    read_text(fields, "clientId", &mut oidc.client_id);
    let is_same = old.is_some_and(|old| old.protocol.authority() == oidc.issuer);
    match fields.filled_text("clientSecret", usize::MAX, Null::Allowed) {
        Given::Value(secret) => oidc.client_secret = Some(ClientSecret::new(secret)),
        Given::Null => oidc.client_secret = None,
        // A secret goes to whom it was given for, and to nobody else.
        Given::Absent if !is_same => oidc.client_secret = None,
        Given::Absent => {}
    }
    if let Given::Value(scopes) = fields.texts("scopes", Null::Refused) {
        oidc.scopes = scopes;
    }
}

/// A field that is given counts more than what the document says.
fn read_saml(fields: &mut Fields, saml: &mut Saml) {
    if let Given::Value(xml) = fields.filled_text("metadata", usize::MAX, Null::Refused) {
        match read_metadata(&xml) {
            Ok(read) => saml.describe(read),
            Err(Error::Invalid(errors)) => refuse_rest(fields, errors),
            Err(other) => fields.refuse("metadata", other.to_string()),
        }
    }
    read_text(fields, "entityId", &mut saml.entity_id);
    read_text(fields, "ssoUrl", &mut saml.sso_url);
    read_optional(fields, "sloUrl", &mut saml.slo_url);
    if let Given::Value(certificates) = fields.texts("certificates", Null::Refused) {
        saml.certificates = certificates;
    }
    if let Given::Value(mut inner) = fields.object("attributes", Null::Refused) {
        let attributes = &mut saml.attributes;
        read_text(&mut inner, "identifier", &mut attributes.identifier);
        read_text(&mut inner, "userEmail", &mut attributes.user_email);
        read_optional(&mut inner, "firstName", &mut attributes.first_name);
        read_optional(&mut inner, "lastName", &mut attributes.last_name);
        fields.nest("attributes", inner);
    }
    if let Given::Value(may) = fields.boolean("providerMayBegin", Null::Refused) {
        saml.provider_may_begin = may;
    }
}

fn read_optional(fields: &mut Fields, name: &str, into: &mut Option<String>) {
    match fields.text(name, usize::MAX, Null::Allowed) {
        Given::Value(text) => *into = Some(text).filter(|text| !text.is_empty()),
        Given::Null => *into = None,
        Given::Absent => {}
    }
}

fn read_rules(
    fields: &mut Fields,
    name: &str,
    roles: &mut RoleRules,
    which: fn(&mut RoleRules) -> &mut Vec<(String, OrganizationRole)>,
) {
    let Given::Value(map) = fields.map(name, Null::Refused) else {
        return;
    };
    let mut rules = Vec::with_capacity(map.len());
    for (key, word) in map {
        match word.as_str().and_then(OrganizationRole::parse) {
            Some(role) => rules.push((key, role)),
            None => return fields.refuse(name, format!("{key}: {word} is no role.")),
        }
    }
    *which(roles) = rules;
}

fn read_trust(
    fields: &mut Fields,
    old: Option<&ProviderConfig>,
    is_operator: bool,
    config: &mut ProviderConfig,
) {
    const NOT_YOURS: &str = "Only a superuser, or the command picket sso set, says whose addresses a provider vouches for.";
    let domains = fields.texts("trustedDomains", Null::Refused).value();
    let unmarked = fields.boolean("trustUnmarkedEmails", Null::Refused).value();
    // Another provider has not been trusted by anybody yet.
    let before = match old {
        Some(old) if config.protocol.is_still(&old.protocol, is_operator) => old.trust.clone(),
        _ => Trust::default(),
    };
    let wanted = Trust {
        domains: domains.map_or(before.domains.clone(), |domains| {
            domains
                .iter()
                .map(|domain| domain.to_ascii_lowercase())
                .collect()
        }),
        unmarked_emails: unmarked.unwrap_or(before.unmarked_emails),
    };
    if !is_operator && wanted.domains != before.domains {
        fields.refuse("trustedDomains", NOT_YOURS);
    }
    if !is_operator && wanted.unmarked_emails != before.unmarked_emails {
        fields.refuse("trustUnmarkedEmails", NOT_YOURS);
    }
    config.trust = wanted;
}

/// `DELETE O/auth-provider/`: 204, also where there was none.
pub(super) fn delete(api: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let (actor, organization) = (call.actor()?, context.organization.id);
    api.store
        .write(move |unit| identity_providers::delete(unit, &actor, organization))?;
    Ok(Response::empty(204))
}
