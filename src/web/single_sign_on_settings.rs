//! `/settings/{org}/auth/`: single sign-on as an organization's owner sets it up. What the fields mean is
//! [`crate::domain::single_sign_on`]'s; `PUT O/auth-provider/` and `picket sso set` do the same.

use askama::Template;

use super::errors::{Failure, Result};
use super::form::{Form, redirect};
use super::layout::{self, Head};
use super::{Visit, Web};
use crate::domain::error::{Error, FieldErrors};
use crate::domain::scope::{OrganizationRole, Scope, ScopeSet};
use crate::domain::single_sign_on::{
    ClientSecret, Oidc, Protocol, ProviderConfig, Saml, SamlAttributes, Trust, parse_rule,
};
use crate::http::Response;
use crate::identity::single_sign_on::{
    SingleSignOn, callback_url, fingerprint, pem, read_metadata, saml_urls, signed_out_url,
};
use crate::store::identity_providers;
use crate::store::organizations::Organization;

#[derive(Template)]
#[template(path = "single_sign_on_settings.html", config = "src/web/askama.toml")]
struct Page<'a> {
    head: Head<'a>,
    organization: &'a Organization,
    /// Whether there is a provider yet.
    is_set_up: bool,
    has_secret: bool,
    /// May say whose addresses the provider vouches for.
    is_operator: bool,
    shown: &'a Shown,
    roles: [&'static str; 4],
    callback_url: String,
    signed_out_url: String,
    /// Our metadata, and where answers and single logout of SAML arrive.
    saml_urls: [String; 3],
    /// Of the certificates that are kept.
    fingerprints: Vec<String>,
    problems: Vec<String>,
}

/// What the fields of the form hold; lists have a line for each entry.
#[derive(Default)]
struct Shown {
    is_saml: bool,
    name: String,
    issuer: String,
    client_id: String,
    scopes: String,
    saml: SamlShown,
    required: bool,
    break_glass: String,
    default_role: String,
    groups_claim: String,
    group_roles: String,
    domain_roles: String,
    trusted_domains: String,
    trust_unmarked_emails: bool,
}

#[derive(Default)]
struct SamlShown {
    metadata: String,
    entity_id: String,
    sso_url: String,
    slo_url: String,
    /// PEM.
    certificates: String,
    identifier: String,
    user_email: String,
    first_name: String,
    last_name: String,
    provider_may_begin: bool,
}

impl SamlShown {
    fn of_config(saml: &Saml) -> SamlShown {
        let optional = |text: &Option<String>| text.clone().unwrap_or_default();
        SamlShown {
            metadata: String::new(),
            entity_id: saml.entity_id.clone(),
            sso_url: saml.sso_url.clone(),
            slo_url: optional(&saml.slo_url),
            certificates: saml.certificates.iter().map(|one| pem(one)).collect(),
            identifier: saml.attributes.identifier.clone(),
            user_email: saml.attributes.user_email.clone(),
            first_name: optional(&saml.attributes.first_name),
            last_name: optional(&saml.attributes.last_name),
            provider_may_begin: saml.provider_may_begin,
        }
    }

    fn of_form(form: &Form) -> SamlShown {
        let text = |name: &str| form.text(name).trim().to_owned();
        SamlShown {
            metadata: text("metadata"),
            entity_id: text("entity_id"),
            sso_url: text("sso_url"),
            slo_url: text("slo_url"),
            certificates: text("certificates"),
            identifier: text("identifier"),
            user_email: text("user_email"),
            first_name: text("first_name"),
            last_name: text("last_name"),
            provider_may_begin: !form.text("provider_may_begin").is_empty(),
        }
    }

    /// What is meant by it. A document that was pasted counts more than the fields that it would fill.
    fn read(&self) -> std::result::Result<Saml, Error> {
        let optional = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let mut saml = Saml {
            entity_id: self.entity_id.clone(),
            sso_url: self.sso_url.clone(),
            slo_url: optional(&self.slo_url),
            certificates: vec![self.certificates.clone()],
            attributes: SamlAttributes {
                identifier: self.identifier.clone(),
                user_email: self.user_email.clone(),
                first_name: optional(&self.first_name),
                last_name: optional(&self.last_name),
            },
            provider_may_begin: self.provider_may_begin,
        };
        if !self.metadata.is_empty() {
            saml.describe(read_metadata(&self.metadata)?);
        }
        Ok(saml)
    }
}

impl Shown {
    fn of_config(config: &ProviderConfig, break_glass: &[String]) -> Shown {
        let unused = Oidc::new(String::new(), String::new());
        let (oidc, saml) = match &config.protocol {
            Protocol::Oidc(oidc) => (oidc, SamlShown::of_config(&Saml::new())),
            Protocol::Saml(saml) => (&unused, SamlShown::of_config(saml)),
        };
        let rules = |rules: &[(String, OrganizationRole)]| {
            let line =
                |(key, role): &(String, OrganizationRole)| format!("{key}={}", role.as_str());
            rules.iter().map(line).collect::<Vec<_>>().join("\n")
        };
        Shown {
            is_saml: matches!(config.protocol, Protocol::Saml(_)),
            saml,
            name: config.name.clone(),
            issuer: oidc.issuer.clone(),
            client_id: oidc.client_id.clone(),
            scopes: oidc.scopes.join(" "),
            required: config.required,
            break_glass: break_glass.join("\n"),
            default_role: config.roles.default.as_str().to_owned(),
            groups_claim: config.roles.groups_claim.clone(),
            group_roles: rules(&config.roles.by_group),
            domain_roles: rules(&config.roles.by_domain),
            trusted_domains: config.trust.domains.join("\n"),
            trust_unmarked_emails: config.trust.unmarked_emails,
        }
    }

    /// As it was typed, so that nobody types it again because of one mistake.
    fn of_form(form: &Form) -> Shown {
        let text = |name: &str| form.text(name).trim().to_owned();
        let is_ticked = |name: &str| !form.text(name).is_empty();
        Shown {
            is_saml: form.text("kind") == "saml",
            saml: SamlShown::of_form(form),
            name: text("name"),
            issuer: text("issuer"),
            client_id: text("client_id"),
            scopes: text("scopes"),
            required: is_ticked("required"),
            break_glass: text("break_glass"),
            default_role: text("default_role"),
            groups_claim: text("groups_claim"),
            group_roles: text("group_roles"),
            domain_roles: text("domain_roles"),
            trusted_domains: text("trusted_domains"),
            trust_unmarked_emails: is_ticked("trust_unmarked_emails"),
        }
    }

    /// What is meant by it; the names in the errors are the API's. Only the operator says whom to trust: for others it
    /// stays as it was, or as with any provider whom nobody has trusted yet.
    fn read(
        &mut self,
        sso: &SingleSignOn,
        old: Option<&ProviderConfig>,
        secret: &str,
        is_operator: bool,
    ) -> Result<ProviderConfig, FieldErrors> {
        let mut errors = FieldErrors::default();
        let mut rules = |field: &str, text: &str| {
            let mut found = Vec::new();
            for line in lines(text) {
                match parse_rule(&line) {
                    Ok(rule) => found.push(rule),
                    Err(problem) => errors.add(field, problem),
                }
            }
            found
        };
        let lower = |list: Vec<String>| list.iter().map(|word| word.to_ascii_lowercase()).collect();
        let protocol = match self.is_saml {
            false => {
                let mut oidc = Oidc::new(self.issuer.clone(), self.client_id.clone());
                oidc.scopes = self.scopes.split_whitespace().map(str::to_owned).collect();
                let is_same = old.is_some_and(|old| old.protocol.authority() == self.issuer);
                oidc.client_secret = match (old.map(|old| &old.protocol), secret) {
                    (Some(Protocol::Oidc(old)), "") if is_same => old.client_secret.clone(),
                    (_, "") => None,
                    (_, secret) => Some(ClientSecret::new(secret.to_owned())),
                };
                Ok(Protocol::Oidc(oidc))
            }
            true => self.saml.read().map(Protocol::Saml),
        };
        let mut config = ProviderConfig::new(Protocol::Saml(Saml::new()));
        config.name = self.name.clone();
        config.required = self.required;
        config.roles.groups_claim = self.groups_claim.clone();
        config.roles.by_group = rules("groupRoles", &self.group_roles);
        config.roles.by_domain = rules("domainRoles", &self.domain_roles);
        for (domain, _) in &mut config.roles.by_domain {
            domain.make_ascii_lowercase();
        }
        match OrganizationRole::parse(&self.default_role) {
            Some(role) => config.roles.default = role,
            None => errors.add("defaultRole", "There is no such role."),
        }
        let checked = protocol.and_then(|protocol| {
            config.protocol = protocol.clone();
            sso.checked(protocol, &config.roles).map_err(Error::Invalid)
        });
        let mut unreadable = FieldErrors::default();
        match checked {
            Ok(protocol) => config.protocol = protocol,
            Err(Error::Invalid(faults)) => unreadable = faults,
            Err(other) => errors.add("provider", other.to_string()),
        }
        if !is_operator {
            let trust = match old {
                Some(old) if config.protocol.is_still(&old.protocol, false) => old.trust.clone(),
                _ => Trust::default(),
            };
            self.trusted_domains = trust.domains.join("\n");
            self.trust_unmarked_emails = trust.unmarked_emails;
        }
        config.trust = Trust {
            domains: lower(lines(&self.trusted_domains)),
            unmarked_emails: self.trust_unmarked_emails,
        };
        for (field, faults) in config.faults().fields.into_iter().chain(unreadable.fields) {
            errors.fields.entry(field).or_insert(faults);
        }
        if errors.is_empty() {
            Ok(config)
        } else {
            Err(errors)
        }
    }
}

/// The lines of a text that are not blank.
fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The organization of the path, for somebody who may set it up.
fn find(visit: &Visit<'_>) -> Result<Organization> {
    let (organization, access) = visit.organization()?;
    match access.allows(ScopeSet::of(&[Scope::OrgAdmin])) {
        true => Ok(organization),
        // Whether there is such an organization is not for others to learn here.
        false => Err(Failure::NotFound),
    }
}

fn page(
    web: &Web,
    visit: &Visit<'_>,
    status: u16,
    organization: &Organization,
    shown: &Shown,
    problems: Vec<String>,
) -> Result<Response> {
    let provider = identity_providers::find_of(&visit.connection, organization.id)?;
    let (has_secret, fingerprints) =
        match provider.as_ref().map(|provider| &provider.config.protocol) {
            Some(Protocol::Oidc(oidc)) => (oidc.client_secret.is_some(), Vec::new()),
            Some(Protocol::Saml(saml)) => {
                let fingerprints = saml.certificates.iter().map(|one| fingerprint(one));
                (false, fingerprints.collect())
            }
            None => (false, Vec::new()),
        };
    let page = Page {
        head: Head::of(visit),
        organization,
        is_set_up: provider.is_some(),
        has_secret,
        is_operator: visit.signed_in()?.user.superuser,
        shown,
        roles: OrganizationRole::ALL.map(OrganizationRole::as_str),
        callback_url: callback_url(web.prefix.as_str(), organization.id),
        signed_out_url: signed_out_url(web.prefix.as_str(), organization.slug.as_str()),
        saml_urls: saml_urls(&web.prefix, &organization.slug),
        fingerprints,
        problems,
    };
    Ok(layout::page(status, &page))
}

/// `GET /settings/{org}/auth/`: as it is set up; with `kind`, the fields for a new provider of that kind.
pub(super) fn show(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let organization = find(visit)?;
    let provider = identity_providers::find_of(&visit.connection, organization.id)?;
    let kind = visit.request.query_value("kind");
    let is_saml = kind.as_deref() == Some("saml");
    let shown = match provider {
        Some(provider)
            if kind
                .as_deref()
                .is_none_or(|kind| kind == provider.config.protocol.kind()) =>
        {
            let owners = identity_providers::list_break_glass(&visit.connection, organization.id)?;
            let emails: Vec<String> = owners.into_iter().map(|owner| owner.email).collect();
            Shown::of_config(&provider.config, &emails)
        }
        // Whoever sets it up is likely to stay able to come in.
        _ => {
            let new = ProviderConfig::new(match is_saml {
                true => Protocol::Saml(Saml::new()),
                false => Protocol::Oidc(Oidc::new(String::new(), String::new())),
            });
            Shown::of_config(&new, &[visit.signed_in()?.user.email.clone()])
        }
    };
    page(web, visit, 200, &organization, &shown, Vec::new())
}

/// `POST /settings/{org}/auth/`: back to the page.
pub(super) fn submit(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let organization = find(visit)?;
    let signed_in = visit.signed_in()?;
    let old = identity_providers::find_of(&visit.connection, organization.id)?;
    let old = old.map(|provider| provider.config);
    let is_operator = signed_in.user.superuser;
    let mut shown = Shown::of_form(&visit.form);
    let secret = visit.form.text("client_secret").trim();
    let sso = &web.identity.single_sign_on;
    let saved = shown
        .read(sso, old.as_ref(), secret, is_operator)
        .map_err(Error::Invalid)
        .and_then(|config| {
            let (actor, id) = (signed_in.actor(visit.request), organization.id);
            let emails = lines(&shown.break_glass);
            web.store.write(move |unit| {
                identity_providers::save(unit, &actor, id, &config, Some(&emails))
            })
        });
    match saved {
        Ok(()) => Ok(redirect(path(&organization))),
        Err(Error::Invalid(errors)) => {
            page(web, visit, 400, &organization, &shown, sentences(&errors))
        }
        Err(other) => Err(other.into()),
    }
}

fn path(organization: &Organization) -> String {
    format!("/settings/{}/auth/", organization.slug)
}

/// What is wrong, with the names that the fields have on the page.
fn sentences(errors: &FieldErrors) -> Vec<String> {
    let label = |field: &str| match field {
        "name" => "Name",
        "issuer" => "Issuer",
        "clientId" => "Client id",
        "clientSecret" => "Client secret",
        "scopes" => "Scopes",
        "breakGlass" => "Owners who may sign in with a password",
        "defaultRole" => "Role",
        "groupsClaim" => "Claim with the groups",
        "groupRoles" => "Roles by group",
        "domainRoles" => "Roles by domain",
        "trustedDomains" => "Trusted domains",
        "trustUnmarkedEmails" => "Trust",
        "metadata" => "Metadata",
        "entityId" => "Entity ID",
        "ssoUrl" => "Sign-in URL",
        "sloUrl" => "Sign-out URL",
        "certificates" => "Certificates",
        "identifier" => "Attribute with the identifier",
        "userEmail" => "Attribute with the email address",
        "firstName" => "Attribute with the first name",
        "lastName" => "Attribute with the last name",
        _ => "Settings",
    };
    // Those of a SAML provider's attributes are a level below.
    let all = errors.fields.iter().flat_map(|(field, inner)| {
        let below = inner.fields.iter().filter(move |_| field == "attributes");
        std::iter::once((field, inner)).chain(below)
    });
    all.flat_map(|(field, inner)| inner.texts.iter().map(move |text| (field, text)))
        .map(|(field, text)| format!("{}: {text}", label(field)))
        .collect()
}

/// `POST /settings/{org}/auth/remove/`.
pub(super) fn remove(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let organization = find(visit)?;
    let (actor, id) = (visit.signed_in()?.actor(visit.request), organization.id);
    web.store
        .write(move |unit| identity_providers::delete(unit, &actor, id))?;
    Ok(redirect(path(&organization)))
}
