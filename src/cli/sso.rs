//! `picket sso set`, `show`, `test` and `remove`: single sign-on of an organization.

use serde_json::{Value, json};

use super::{Argument, Command, Failure, Flag, Invocation, JSON, print, print_json};
use crate::domain::actor::Actor;
use crate::domain::scope::OrganizationRole;
use crate::domain::single_sign_on::{
    ClientSecret, IdentityProvider, Oidc, Protocol, ProviderConfig, Saml, Trust, parse_rule,
};
use crate::domain::slug::IdOrSlug;
use crate::identity::single_sign_on::{
    SingleSignOn, callback_url, fingerprint, login_path, read_metadata, saml_urls, signed_out_url,
};
use crate::outbound::http::Client;
use crate::store::organizations::Organization;
use crate::store::{Connection, Store, identity_providers, organizations};

const ORGANIZATION: &[Argument] = &[Argument {
    name: "ORG",
    meaning: "the slug or id of the organization",
}];

pub(super) const SET: Command = Command {
    name: "sso set",
    summary: "set up single sign-on of an organization",
    about: "Lets an identity provider vouch for the members of an organization, or changes what is set up: \
            what is left out stays as it is. The provider must know this server; picket sso show prints the addresses \
            to tell it. An OpenID Connect provider is named by --issuer and --client-id; a SAML 2.0 provider by the \
            document in which it describes itself, --metadata-file or --metadata-url.\n\
            Whoever the provider vouches for becomes a member. An account that is here already is signed in only \
            if its user linked it, with the password, or if --trusted-domains names the domain of its address and \
            the provider says that it has checked the address (a SAML provider never says, and need not). Whoever runs the provider can then sign in as any \
            of these users.",
    arguments: ORGANIZATION,
    options: &[
        Flag {
            name: "issuer",
            hint: Some("URL"),
            meaning: "the provider's own name; its .well-known/openid-configuration tells the rest. Another issuer is \
                      another provider: links to accounts, trust and secret of the old one are gone",
        },
        Flag {
            name: "client-id",
            hint: Some("ID"),
            meaning: "how the provider knows this server",
        },
        Flag {
            name: "client-secret-file",
            hint: Some("FILE"),
            meaning: "a file with the secret that belongs to the client id; an empty file takes the secret away",
        },
        Flag {
            name: "metadata-file",
            hint: Some("FILE"),
            meaning: "a file with a SAML provider's own document (XML): who it is, where sign-in begins, whose keys sign",
        },
        Flag {
            name: "metadata-url",
            hint: Some("URL"),
            meaning: "where to fetch that document from, once, now",
        },
        Flag {
            name: "identifier-attribute",
            hint: Some("NAME"),
            meaning: "the SAML attribute that never changes of a person; NameID is the subject's name (default: NameID)",
        },
        Flag {
            name: "email-attribute",
            hint: Some("NAME"),
            meaning: "the one with the email address (default: email)",
        },
        Flag {
            name: "first-name-attribute",
            hint: Some("NAME"),
            meaning: "the one with the first name; an empty text for none",
        },
        Flag {
            name: "last-name-attribute",
            hint: Some("NAME"),
            meaning: "the one with the last name; an empty text for none",
        },
        Flag {
            name: "provider-may-begin",
            hint: Some("yes|no"),
            meaning: "whether sign-in may begin at the SAML provider; whoever has an account there can then sign \
                      somebody else's browser in as themselves (default: no)",
        },
        Flag {
            name: "name",
            hint: Some("NAME"),
            meaning: "what the button says (default: single sign-on)",
        },
        Flag {
            name: "required",
            hint: Some("yes|no"),
            meaning: "whether members must come through the provider (default: yes)",
        },
        Flag {
            name: "break-glass",
            hint: Some("EMAILS"),
            meaning: "the owners who may come in with a password all the same; at least one where the provider is \
                      required",
        },
        Flag {
            name: "default-role",
            hint: Some("ROLE"),
            meaning: "what members become where no rule says otherwise (default: member)",
        },
        Flag {
            name: "groups-claim",
            hint: Some("NAME"),
            meaning: "the claim, or SAML attribute, that lists somebody's groups (default: groups)",
        },
        Flag {
            name: "group-roles",
            hint: Some("GROUP=ROLE,..."),
            meaning: "roles by group; the highest counts, at every sign-in",
        },
        Flag {
            name: "domain-roles",
            hint: Some("DOMAIN=ROLE,..."),
            meaning: "roles by the domain of a checked address",
        },
        Flag {
            name: "scopes",
            hint: Some("SCOPES"),
            meaning: "what is asked for beside openid (default: profile,email)",
        },
        Flag {
            name: "trusted-domains",
            hint: Some("DOMAINS"),
            meaning: "for which addresses the provider's word is enough to sign in as a user who is here already",
        },
        Flag {
            name: "trust-unmarked-emails",
            hint: Some("yes|no"),
            meaning: "whether an address of these domains counts as checked where the provider does not say \
                      (default: no)",
        },
        JSON,
    ],
    serves: false,
    run: set,
};

pub(super) const SHOW: Command = Command {
    name: "sso show",
    summary: "show single sign-on of an organization",
    about: "Shows how single sign-on is set up, and what to tell the provider. The secret is not shown.",
    arguments: ORGANIZATION,
    options: &[JSON],
    serves: false,
    run: show,
};

pub(super) const TEST: Command = Command {
    name: "sso test",
    summary: "ask an organization's identity provider about itself",
    about: "Asks the provider for its description and its keys, as a sign-in does, and says what is wrong.",
    arguments: ORGANIZATION,
    options: &[],
    serves: false,
    run: test,
};

pub(super) const REMOVE: Command = Command {
    name: "sso remove",
    summary: "end single sign-on of an organization",
    about: "Ends single sign-on: members sign in with passwords again. Links to accounts are forgotten; accounts and \
            memberships stay.",
    arguments: ORGANIZATION,
    options: &[JSON],
    serves: false,
    run: remove,
};

/// What the options ask for; none leaves a thing as it is.
struct Wanted {
    issuer: Option<String>,
    client_id: Option<String>,
    client_secret: Option<Option<ClientSecret>>,
    metadata: Option<Metadata>,
    identifier: Option<String>,
    user_email: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    provider_may_begin: Option<bool>,
    name: Option<String>,
    required: Option<bool>,
    break_glass: Option<Vec<String>>,
    default_role: Option<OrganizationRole>,
    groups_claim: Option<String>,
    group_roles: Option<Vec<(String, OrganizationRole)>>,
    domain_roles: Option<Vec<(String, OrganizationRole)>>,
    scopes: Option<Vec<String>>,
    trusted_domains: Option<Vec<String>>,
    trust_unmarked_emails: Option<bool>,
}

/// Where a SAML provider's document is.
enum Metadata {
    File(String),
    Url(String),
}

/// Options that only one kind of provider has.
const OF_OIDC: [&str; 4] = ["issuer", "client-id", "client-secret-file", "scopes"];
const OF_SAML: [&str; 7] = [
    "metadata-file",
    "metadata-url",
    "identifier-attribute",
    "email-attribute",
    "first-name-attribute",
    "last-name-attribute",
    "provider-may-begin",
];

impl Wanted {
    fn read(invocation: &Invocation) -> Result<Wanted, Failure> {
        let text = |name: &str| invocation.option(name).map(str::to_owned);
        let list = |name: &str| invocation.option(name).map(words);
        let yes_or_no = |name: &str| match invocation.option(name) {
            None => Ok(None),
            Some("yes") => Ok(Some(true)),
            Some("no") => Ok(Some(false)),
            Some(other) => Err(Failure::Usage(format!(
                "--{name}: {other:?} is neither yes nor no"
            ))),
        };
        let rules = |name: &str| match invocation.option(name) {
            None => Ok(None),
            Some(text) => words(text)
                .iter()
                .map(|rule| {
                    parse_rule(rule).map_err(|text| Failure::Usage(format!("--{name}: {text}")))
                })
                .collect::<Result<Vec<_>, Failure>>()
                .map(Some),
        };
        let lower = |list: Vec<String>| list.iter().map(|word| word.to_ascii_lowercase()).collect();
        let domain_roles = rules("domain-roles")?.map(|rules| {
            let lower = |(domain, role): (String, _)| (domain.to_ascii_lowercase(), role);
            rules.into_iter().map(lower).collect()
        });
        Ok(Wanted {
            issuer: text("issuer"),
            client_id: text("client-id"),
            client_secret: invocation
                .option("client-secret-file")
                .map(read_secret)
                .transpose()?,
            metadata: match (text("metadata-file"), text("metadata-url")) {
                (Some(_), Some(_)) => {
                    let text = "--metadata-file and --metadata-url exclude each other";
                    return Err(Failure::Usage(text.to_owned()));
                }
                (Some(file), None) => Some(Metadata::File(file)),
                (None, Some(url)) => Some(Metadata::Url(url)),
                (None, None) => None,
            },
            identifier: text("identifier-attribute"),
            user_email: text("email-attribute"),
            first_name: text("first-name-attribute"),
            last_name: text("last-name-attribute"),
            provider_may_begin: yes_or_no("provider-may-begin")?,
            name: text("name"),
            required: yes_or_no("required")?,
            break_glass: list("break-glass"),
            default_role: invocation
                .option("default-role")
                .map(|word| role("default-role", word))
                .transpose()?,
            groups_claim: text("groups-claim"),
            group_roles: rules("group-roles")?,
            domain_roles,
            scopes: list("scopes"),
            trusted_domains: list("trusted-domains").map(lower),
            trust_unmarked_emails: yes_or_no("trust-unmarked-emails")?,
        })
    }

    /// What comes of a configuration. Another provider has not been trusted by anybody yet, and a secret goes only to
    /// whom it was given for.
    fn change(
        self,
        invocation: &Invocation,
        sso: &SingleSignOn,
        old: Option<ProviderConfig>,
    ) -> Result<ProviderConfig, Failure> {
        let mut config = match old {
            Some(old) if !self.is_of_another_kind(&old.protocol) => old,
            _ => self.begin()?,
        };
        let foreign: &[&str] = match &config.protocol {
            Protocol::Oidc(_) => &OF_SAML,
            Protocol::Saml(_) => &OF_OIDC,
        };
        if let Some(name) = foreign
            .iter()
            .find(|name| invocation.option(name).is_some())
        {
            let kind = config.protocol.kind();
            return Err(Failure::Usage(format!(
                "--{name} has no meaning for a provider of kind {kind}"
            )));
        }
        let before = config.protocol.clone();
        match &mut config.protocol {
            Protocol::Oidc(oidc) => {
                if let Some(issuer) = self.issuer
                    && issuer != oidc.issuer
                {
                    oidc.issuer = issuer;
                    oidc.client_secret = None;
                }
                put(&mut oidc.client_id, self.client_id);
                put(&mut oidc.client_secret, self.client_secret);
                put(&mut oidc.scopes, self.scopes);
            }
            Protocol::Saml(saml) => {
                if let Some(metadata) = &self.metadata {
                    saml.describe(metadata.read(sso)?);
                }
                let optional = |name: String| Some(name).filter(|name| !name.trim().is_empty());
                put(&mut saml.attributes.identifier, self.identifier);
                put(&mut saml.attributes.user_email, self.user_email);
                put(
                    &mut saml.attributes.first_name,
                    self.first_name.map(optional),
                );
                put(&mut saml.attributes.last_name, self.last_name.map(optional));
                put(&mut saml.provider_may_begin, self.provider_may_begin);
            }
        }
        if !config.protocol.is_still(&before, true) {
            config.trust = Trust::default();
        }
        put(&mut config.name, self.name);
        put(&mut config.required, self.required);
        put(&mut config.roles.default, self.default_role);
        put(&mut config.roles.groups_claim, self.groups_claim);
        put(&mut config.roles.by_group, self.group_roles);
        put(&mut config.roles.by_domain, self.domain_roles);
        put(&mut config.trust.domains, self.trusted_domains);
        put(
            &mut config.trust.unmarked_emails,
            self.trust_unmarked_emails,
        );
        Ok(config)
    }

    fn is_of_another_kind(&self, old: &Protocol) -> bool {
        match old {
            Protocol::Oidc(_) => self.metadata.is_some(),
            Protocol::Saml(_) => self.issuer.is_some(),
        }
    }

    /// A new configuration, of the kind whose options are given.
    fn begin(&self) -> Result<ProviderConfig, Failure> {
        let protocol = match (&self.metadata, &self.issuer, &self.client_id) {
            (Some(_), None, None) => Protocol::Saml(Saml::new()),
            (None, Some(issuer), Some(client_id)) => {
                Protocol::Oidc(Oidc::new(issuer.clone(), client_id.clone()))
            }
            (Some(_), _, _) => {
                let text =
                    "the options of an OpenID Connect and of a SAML provider exclude each other";
                return Err(Failure::Usage(text.to_owned()));
            }
            (None, _, _) => {
                let text = "nothing is set up yet, so --issuer and --client-id are needed, or for a SAML provider \
                            --metadata-file or --metadata-url";
                return Err(Failure::Usage(text.to_owned()));
            }
        };
        Ok(ProviderConfig::new(protocol))
    }
}

fn put<T>(into: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *into = value;
    }
}

impl Metadata {
    fn read(&self, sso: &SingleSignOn) -> Result<Saml, Failure> {
        let (name, found) = match self {
            Metadata::File(path) => (
                path,
                std::fs::read_to_string(path).map_err(|error| error.to_string()),
            ),
            Metadata::Url(url) => (url, sso.fetch_metadata(url)),
        };
        let failed = |text: String| Failure::Failed(format!("{name}: {text}"));
        read_metadata(&found.map_err(failed)?).map_err(|error| failed(error.to_string()))
    }
}

/// The words of a list; blank ones do not count.
fn words(text: &str) -> Vec<String> {
    let words = text.split(',').map(str::trim);
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn role(option: &str, word: &str) -> Result<OrganizationRole, Failure> {
    OrganizationRole::parse(word).ok_or_else(|| {
        let known = OrganizationRole::ALL
            .map(OrganizationRole::as_str)
            .join(", ");
        Failure::Usage(format!("--{option}: {word:?} is none of {known}"))
    })
}

/// A secret stands in a file, because others on the machine see the arguments of a program.
fn read_secret(path: &str) -> Result<Option<ClientSecret>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Failed(format!("{path}: {error}")))?;
    let secret = text.trim();
    Ok((!secret.is_empty()).then(|| ClientSecret::new(secret.to_owned())))
}

fn single_sign_on(invocation: &Invocation) -> Result<SingleSignOn, Failure> {
    let client = Client::new(&invocation.config.outbound).map_err(Failure::Failed)?;
    let prefix = invocation.config.url_prefix();
    Ok(SingleSignOn::new(client, prefix.as_str()))
}

fn find(connection: &Connection, invocation: &Invocation) -> Result<Organization, Failure> {
    let name = invocation.argument(0);
    organizations::find(connection, &IdOrSlug::parse(name))
        .map_err(crate::domain::Error::from)?
        .ok_or_else(|| Failure::Failed(format!("there is no organization {name}")))
}

/// Runs a command on an organization and its provider, and closes the file in any case.
fn with_organization<T>(
    invocation: &Invocation,
    run: impl FnOnce(&Store, Organization, Option<IdentityProvider>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let store = invocation.open_existing()?;
    let found = store.read().map_err(Failure::from).and_then(|connection| {
        let organization = find(&connection, invocation)?;
        let provider = identity_providers::find_of(&connection, organization.id)
            .map_err(crate::domain::Error::from)?;
        Ok((organization, provider))
    });
    let result = found.and_then(|(organization, provider)| run(&store, organization, provider));
    store.close();
    result
}

fn set(invocation: &Invocation) -> Result<(), Failure> {
    let wanted = Wanted::read(invocation)?;
    let sso = single_sign_on(invocation)?;
    let now = invocation.clock().now();
    with_organization(invocation, |store, organization, old| {
        let break_glass = wanted.break_glass.clone();
        let mut config = wanted.change(invocation, &sso, old.map(|old| old.config))?;
        config.faults().into_result()?;
        config.protocol = sso
            .checked(config.protocol, &config.roles)
            .map_err(crate::domain::Error::Invalid)?;
        let id = organization.id;
        store.write(move |unit| {
            let actor = Actor::operator(now);
            identity_providers::save(unit, &actor, id, &config, break_glass.as_deref())
        })?;
        shown(invocation, store, &organization)
    })
}

fn show(invocation: &Invocation) -> Result<(), Failure> {
    with_organization(invocation, |store, organization, _| {
        shown(invocation, store, &organization)
    })
}

fn missing(organization: &Organization) -> Failure {
    Failure::Failed(format!(
        "{} has no single sign-on; picket sso set sets it up",
        organization.slug
    ))
}

fn shown(
    invocation: &Invocation,
    store: &Store,
    organization: &Organization,
) -> Result<(), Failure> {
    let connection = store.read()?;
    let provider = identity_providers::find_of(&connection, organization.id)
        .map_err(crate::domain::Error::from)?
        .ok_or_else(|| missing(organization))?;
    let break_glass = identity_providers::list_break_glass(&connection, organization.id)
        .map_err(crate::domain::Error::from)?;
    let break_glass: Vec<String> = break_glass.into_iter().map(|member| member.email).collect();
    let value = to_json(invocation, organization, &provider, &break_glass);
    if invocation.json() {
        return print_json(&value);
    }
    let mut text = String::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Bool(is) => if *is { "yes" } else { "no" }.to_owned(),
            Value::Array(list) => {
                let words: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
                words.join(", ")
            }
            Value::Object(rules) => {
                let rule = |(key, role): (&String, &Value)| {
                    format!("{key}={}", role.as_str().unwrap_or_default())
                };
                rules.iter().map(rule).collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        };
        text.push_str(&format!("{name:<22} {value}\n"));
    }
    print(&text)
}

/// Names are those of the options, as far as there are such.
fn to_json(
    invocation: &Invocation,
    organization: &Organization,
    provider: &IdentityProvider,
    break_glass: &[String],
) -> Value {
    let (config, slug) = (&provider.config, organization.slug.as_str());
    let url_prefix = invocation.config.url_prefix();
    let prefix = url_prefix.as_str();
    let rules = |rules: &[(String, OrganizationRole)]| -> Value {
        let rule = |(key, role): &(String, OrganizationRole)| (key.clone(), json!(role.as_str()));
        Value::Object(rules.iter().map(rule).collect())
    };
    let mut value = json!({
        "organization": slug,
        "provider": config.protocol.kind(),
        "name": config.name,
    });
    let special = match &config.protocol {
        Protocol::Oidc(oidc) => json!({
            "issuer": oidc.issuer,
            "client-id": oidc.client_id,
            "has-client-secret": oidc.client_secret.is_some(),
            "scopes": oidc.scopes,
            "callback-url": callback_url(prefix, organization.id),
            "signed-out-url": signed_out_url(prefix, slug),
        }),
        Protocol::Saml(saml) => {
            let [metadata_url, acs_url, sls_url] = saml_urls(&url_prefix, &organization.slug);
            let fingerprints: Vec<String> = saml
                .certificates
                .iter()
                .map(|one| fingerprint(one))
                .collect();
            json!({
                "entity-id": saml.entity_id,
                "sso-url": saml.sso_url,
                "slo-url": saml.slo_url.as_deref().unwrap_or_default(),
                "certificates-sha256": fingerprints,
                "identifier-attribute": saml.attributes.identifier,
                "email-attribute": saml.attributes.user_email,
                "first-name-attribute": saml.attributes.first_name.as_deref().unwrap_or_default(),
                "last-name-attribute": saml.attributes.last_name.as_deref().unwrap_or_default(),
                "provider-may-begin": saml.provider_may_begin,
                "own-metadata-url": metadata_url,
                "acs-url": acs_url,
                "sls-url": sls_url,
            })
        }
    };
    let shared = json!({
        "required": config.required,
        "break-glass": break_glass,
        "default-role": config.roles.default.as_str(),
        "groups-claim": config.roles.groups_claim,
        "group-roles": rules(&config.roles.by_group),
        "domain-roles": rules(&config.roles.by_domain),
        "trusted-domains": config.trust.domains,
        "trust-unmarked-emails": config.trust.unmarked_emails,
        "login-url": format!("{prefix}{}", login_path(slug)),
    });
    for part in [special, shared] {
        for (name, part) in part.as_object().into_iter().flatten() {
            value[name] = part.clone();
        }
    }
    value
}

fn test(invocation: &Invocation) -> Result<(), Failure> {
    let sso = single_sign_on(invocation)?;
    let now = invocation.clock().now();
    with_organization(invocation, |_, organization, provider| {
        let provider = provider.ok_or_else(|| missing(&organization))?;
        let (protocol, name) = (
            &provider.config.protocol,
            provider.config.protocol.authority(),
        );
        sso.test(protocol, now)
            .map_err(|text| Failure::Failed(format!("{name}: {text}")))?;
        print(&format!("{name} answers as it should\n"))
    })
}

fn remove(invocation: &Invocation) -> Result<(), Failure> {
    let now = invocation.clock().now();
    with_organization(invocation, |store, organization, provider| {
        let provider = provider.ok_or_else(|| missing(&organization))?;
        store.write(move |unit| {
            identity_providers::delete(unit, &Actor::operator(now), organization.id)
        })?;
        if invocation.json() {
            let issuer = provider.config.protocol.authority();
            return print_json(
                &json!({ "organization": organization.slug.as_str(), "issuer": issuer }),
            );
        }
        print(&format!(
            "members of {} sign in with passwords again\n",
            organization.slug
        ))
    })
}
