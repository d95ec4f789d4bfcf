//! `O/auth-provider/`: who vouches for the members of an organization (facts/auth-and-tokens.md 9.4; how it is set up
//! is ours).

use std::collections::BTreeMap;

use serde::Serialize;

use super::body::{Fields, Given, Null};
use super::error::Result;
use super::{Api, Call, InOrganization};
use crate::domain::scope::OrganizationRole;
use crate::domain::single_sign_on::{
    ClientSecret, IdentityProvider, Oidc, Protocol, ProviderConfig, RoleRules, Trust,
};
use crate::domain::time::Timestamp;
use crate::http::Response;
use crate::identity::single_sign_on::{callback_url, login_path, signed_out_url};
use crate::store::organizations::Organization;
use crate::store::{Connection, identity_providers, users};

/// A provider as the API shows it. The secret is never shown again.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProviderBody {
    id: String,
    provider: &'static str,
    name: String,
    issuer: String,
    client_id: String,
    has_client_secret: bool,
    scopes: Vec<String>,
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
    /// What the provider is to be told: where it sends browsers back to, and where after a sign-out.
    callback_url: String,
    signed_out_url: String,
    date_created: Timestamp,
}

impl ProviderBody {
    fn of(
        api: &Api,
        connection: &Connection,
        organization: &Organization,
        provider: &IdentityProvider,
    ) -> Result<ProviderBody> {
        let (config, slug) = (&provider.config, organization.slug.as_str());
        let Protocol::Oidc(oidc) = &config.protocol;
        let roles = |rules: &[(String, OrganizationRole)]| {
            let entry = |(key, role): &(String, OrganizationRole)| (key.clone(), role.as_str());
            rules.iter().map(entry).collect()
        };
        let break_glass = identity_providers::list_break_glass(connection, organization.id)?;
        Ok(ProviderBody {
            id: provider.id.to_string(),
            provider: config.protocol.kind(),
            name: config.name.clone(),
            issuer: oidc.issuer.clone(),
            client_id: oidc.client_id.clone(),
            has_client_secret: oidc.client_secret.is_some(),
            scopes: oidc.scopes.clone(),
            required: config.required,
            default_role: config.roles.default.as_str(),
            groups_claim: config.roles.groups_claim.clone(),
            group_roles: roles(&config.roles.by_group),
            domain_roles: roles(&config.roles.by_domain),
            trusted_domains: config.trust.domains.clone(),
            trust_unmarked_emails: config.trust.unmarked_emails,
            break_glass: break_glass.into_iter().map(|member| member.email).collect(),
            login_url: format!("{}{}", api.prefix, login_path(slug)),
            callback_url: callback_url(api.prefix.as_str()),
            signed_out_url: signed_out_url(api.prefix.as_str(), slug),
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
    let config = read(&mut fields, old.as_ref(), is_operator);
    let issuer = config.protocol.authority();
    if let Err(text) = api.identity.single_sign_on.check_issuer(issuer)
        && !issuer.is_empty()
    {
        fields.refuse("issuer", text);
    }
    for (field, faults) in config.faults().fields {
        if !fields.is_wrong(&field) {
            fields.refuse_parts(&field, faults);
        }
    }
    let is_changed = old.as_ref().is_none_or(|old| old.roles != config.roles);
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

/// The configuration that a body asks for. What it leaves out stays as it is, or begins as written here.
fn read(fields: &mut Fields, old: Option<&ProviderConfig>, is_operator: bool) -> ProviderConfig {
    let mut config = match old {
        Some(old) => old.clone(),
        None => {
            for name in ["issuer", "clientId"] {
                fields.refuse_missing(name);
            }
            ProviderConfig::new(Protocol::Oidc(Oidc::new(String::new(), String::new())))
        }
    };
    let text = |fields: &mut Fields, name: &str, into: &mut String| {
        if let Given::Value(text) = fields.filled_text(name, usize::MAX, Null::Refused) {
            *into = text;
        }
    };
    text(fields, "name", &mut config.name);
    text(fields, "groupsClaim", &mut config.roles.groups_claim);
    let Protocol::Oidc(oidc) = &mut config.protocol;
    text(fields, "issuer", &mut oidc.issuer);
    text(fields, "clientId", &mut oidc.client_id);
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
    read_trust(fields, old, is_operator, &mut config);
    config
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
    // Another issuer has not been trusted by anybody yet.
    let before = match old {
        Some(old) if old.protocol.authority() == config.protocol.authority() => old.trust.clone(),
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
