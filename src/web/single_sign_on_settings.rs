//! `/settings/{org}/auth/`: single sign-on as an organization's owner sets it up. What the fields mean is
//! [`crate::domain::single_sign_on`]'s; `PUT O/auth-provider/` and `picket sso set` do the same.

use askama::Template;

use super::errors::{Failure, Result};
use super::form::{Form, redirect, redirect_with_next};
use super::layout::{self, Head};
use super::{Visit, Web};
use crate::domain::access::Access;
use crate::domain::error::{Error, FieldErrors};
use crate::domain::scope::{OrganizationRole, Scope, ScopeSet};
use crate::domain::single_sign_on::{
    ClientSecret, Oidc, Protocol, ProviderConfig, Trust, parse_rule,
};
use crate::domain::slug::IdOrSlug;
use crate::http::Response;
use crate::identity::single_sign_on::{callback_url, login_path, signed_out_url};
use crate::store::organizations::{self, Organization};
use crate::store::{identity_providers, members};

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
    problems: Vec<String>,
}

/// What the fields of the form hold; lists have a line for each entry.
#[derive(Default)]
struct Shown {
    name: String,
    issuer: String,
    client_id: String,
    scopes: String,
    required: bool,
    break_glass: String,
    default_role: String,
    groups_claim: String,
    group_roles: String,
    domain_roles: String,
    trusted_domains: String,
    trust_unmarked_emails: bool,
}

impl Shown {
    fn of_config(config: &ProviderConfig, break_glass: &[String]) -> Shown {
        let Protocol::Oidc(oidc) = &config.protocol;
        let rules = |rules: &[(String, OrganizationRole)]| {
            let line =
                |(key, role): &(String, OrganizationRole)| format!("{key}={}", role.as_str());
            rules.iter().map(line).collect::<Vec<_>>().join("\n")
        };
        Shown {
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
    fn of_form(form: &Form, trust: &Trust, is_operator: bool) -> Shown {
        let text = |name: &str| form.text(name).trim().to_owned();
        let is_ticked = |name: &str| !form.text(name).is_empty();
        Shown {
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
            trusted_domains: match is_operator {
                true => text("trusted_domains"),
                false => trust.domains.join("\n"),
            },
            trust_unmarked_emails: match is_operator {
                true => is_ticked("trust_unmarked_emails"),
                false => trust.unmarked_emails,
            },
        }
    }

    /// What is meant by it; the names in the errors are the API's.
    fn read(
        &self,
        old: Option<&ProviderConfig>,
        secret: &str,
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
        let mut config = ProviderConfig::new(Protocol::Oidc(Oidc {
            scopes: self.scopes.split_whitespace().map(str::to_owned).collect(),
            ..Oidc::new(self.issuer.clone(), self.client_id.clone())
        }));
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
        config.trust = Trust {
            domains: lower(lines(&self.trusted_domains)),
            unmarked_emails: self.trust_unmarked_emails,
        };
        let is_same = old.is_some_and(|old| old.protocol.authority() == self.issuer);
        let Protocol::Oidc(oidc) = &mut config.protocol;
        oidc.client_secret = match (old.map(|old| &old.protocol), secret) {
            (Some(Protocol::Oidc(old)), "") if is_same => old.client_secret.clone(),
            (_, "") => None,
            (_, secret) => Some(ClientSecret::new(secret.to_owned())),
        };
        for (field, faults) in config.faults().fields {
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

/// The organization of the path for somebody who may set it up, or where to go first.
fn find(visit: &Visit<'_>) -> Result<std::result::Result<Organization, Response>> {
    let segment = IdOrSlug::parse(visit.params.get("org"));
    let organization =
        organizations::find(&visit.connection, &segment)?.ok_or(Failure::NotFound)?;
    let signed_in = visit.signed_in()?;
    let (user, session) = (signed_in.user.id, signed_in.session.id);
    let id = organization.id;
    let connection = &visit.connection;
    if identity_providers::must_vouch(connection, id, user, session, visit.now())? {
        let page = login_path(organization.slug.as_str());
        return Ok(Err(redirect_with_next(&page, visit.request)));
    }
    let membership = members::find_membership(connection, id, user)?;
    let access = Access::of_user(ScopeSet::ALL, membership, organization.policy);
    if !access.allows(ScopeSet::of(&[Scope::OrgAdmin])) {
        // Whether there is such an organization is not for others to learn here.
        return Err(Failure::NotFound);
    }
    Ok(Ok(organization))
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
    let has_secret = provider.as_ref().is_some_and(|provider| {
        let Protocol::Oidc(oidc) = &provider.config.protocol;
        oidc.client_secret.is_some()
    });
    let page = Page {
        head: Head::of(visit),
        organization,
        is_set_up: provider.is_some(),
        has_secret,
        is_operator: visit.signed_in()?.user.superuser,
        shown,
        roles: OrganizationRole::ALL.map(OrganizationRole::as_str),
        callback_url: callback_url(web.prefix.as_str()),
        signed_out_url: signed_out_url(web.prefix.as_str(), organization.slug.as_str()),
        problems,
    };
    Ok(layout::page(status, &page))
}

/// `GET /settings/{org}/auth/`.
pub(super) fn show(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let organization = match find(visit)? {
        Ok(organization) => organization,
        Err(response) => return Ok(response),
    };
    let provider = identity_providers::find_of(&visit.connection, organization.id)?;
    let shown = match provider {
        Some(provider) => {
            let owners = identity_providers::list_break_glass(&visit.connection, organization.id)?;
            let emails: Vec<String> = owners.into_iter().map(|owner| owner.email).collect();
            Shown::of_config(&provider.config, &emails)
        }
        // Whoever sets it up is likely to stay able to come in.
        None => {
            let new = ProviderConfig::new(Protocol::Oidc(Oidc::new(String::new(), String::new())));
            Shown::of_config(&new, &[visit.signed_in()?.user.email.clone()])
        }
    };
    page(web, visit, 200, &organization, &shown, Vec::new())
}

/// `POST /settings/{org}/auth/`: back to the page.
pub(super) fn submit(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let organization = match find(visit)? {
        Ok(organization) => organization,
        Err(response) => return Ok(response),
    };
    let signed_in = visit.signed_in()?;
    let old = identity_providers::find_of(&visit.connection, organization.id)?;
    let old = old.map(|provider| provider.config);
    let is_operator = signed_in.user.superuser;
    // Another issuer has not been trusted by anybody yet.
    let issuer = visit.form.text("issuer").trim();
    let trust = match &old {
        Some(old) if old.protocol.authority() == issuer => old.trust.clone(),
        _ => Trust::default(),
    };
    let shown = Shown::of_form(&visit.form, &trust, is_operator);
    let saved = shown
        .read(old.as_ref(), visit.form.text("client_secret").trim())
        .and_then(|config| {
            let sso = &web.identity.single_sign_on;
            match sso.check_issuer(config.protocol.authority()) {
                Ok(()) => Ok(config),
                Err(text) => {
                    let mut errors = FieldErrors::default();
                    errors.add("issuer", text);
                    Err(errors)
                }
            }
        })
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
        _ => "Settings",
    };
    errors
        .fields
        .iter()
        .flat_map(|(field, inner)| inner.texts.iter().map(move |text| (field, text)))
        .map(|(field, text)| format!("{}: {text}", label(field)))
        .collect()
}

/// `POST /settings/{org}/auth/remove/`.
pub(super) fn remove(web: &Web, visit: &Visit<'_>) -> Result<Response> {
    let organization = match find(visit)? {
        Ok(organization) => organization,
        Err(response) => return Ok(response),
    };
    let (actor, id) = (visit.signed_in()?.actor(visit.request), organization.id);
    web.store
        .write(move |unit| identity_providers::delete(unit, &actor, id))?;
    Ok(redirect(path(&organization)))
}
