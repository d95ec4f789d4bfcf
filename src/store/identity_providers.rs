//! Who vouches for the members of an organization, and as whom each user is known there.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::audit::{self, Entry};
use super::writer::Unit;
use super::{organizations, users};
use crate::domain::actor::{Actor, Who};
use crate::domain::id::{MemberId, OrganizationId, ProviderId, SessionId, UserId};
use crate::domain::scope::OrganizationRole;
use crate::domain::session::VOUCHED_SECS;
use crate::domain::single_sign_on::{
    BreakGlass, ClientSecret, IdentityProvider, Oidc, Protocol, ProviderConfig, RoleRules, Saml,
    SamlAttributes, Trust, domain_of,
};
use crate::domain::time::Timestamp;
use crate::domain::{Error, FieldErrors, Result};

/// What the column `config` holds.
#[derive(Serialize, Deserialize)]
struct StoredConfig {
    name: String,
    trusted_domains: Vec<String>,
    trust_unmarked_emails: bool,
    default_role: String,
    groups_claim: String,
    group_roles: Vec<(String, String)>,
    domain_roles: Vec<(String, String)>,
    #[serde(flatten)]
    protocol: StoredProtocol,
}

/// The fields of the protocol that the column `kind` names.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredProtocol {
    Oidc {
        issuer: String,
        client_id: String,
        client_secret: Option<String>,
        scopes: Vec<String>,
    },
    Saml {
        entity_id: String,
        sso_url: String,
        slo_url: Option<String>,
        x509_certificates: Vec<String>,
        attributes: StoredAttributes,
        provider_may_begin: bool,
    },
}

#[derive(Serialize, Deserialize)]
struct StoredAttributes {
    identifier: String,
    user_email: String,
    first_name: Option<String>,
    last_name: Option<String>,
}

impl StoredProtocol {
    fn of(protocol: &Protocol) -> StoredProtocol {
        match protocol.clone() {
            Protocol::Oidc(oidc) => StoredProtocol::Oidc {
                issuer: oidc.issuer,
                client_id: oidc.client_id,
                client_secret: oidc.client_secret.map(|secret| secret.reveal().to_owned()),
                scopes: oidc.scopes,
            },
            Protocol::Saml(saml) => StoredProtocol::Saml {
                entity_id: saml.entity_id,
                sso_url: saml.sso_url,
                slo_url: saml.slo_url,
                x509_certificates: saml.certificates,
                attributes: StoredAttributes {
                    identifier: saml.attributes.identifier,
                    user_email: saml.attributes.user_email,
                    first_name: saml.attributes.first_name,
                    last_name: saml.attributes.last_name,
                },
                provider_may_begin: saml.provider_may_begin,
            },
        }
    }

    fn into_protocol(self) -> Protocol {
        match self {
            StoredProtocol::Oidc {
                issuer,
                client_id,
                client_secret,
                scopes,
            } => Protocol::Oidc(Oidc {
                issuer,
                client_id,
                client_secret: client_secret.map(ClientSecret::new),
                scopes,
            }),
            StoredProtocol::Saml {
                entity_id,
                sso_url,
                slo_url,
                x509_certificates,
                attributes,
                provider_may_begin,
            } => Protocol::Saml(Saml {
                entity_id,
                sso_url,
                slo_url,
                certificates: x509_certificates,
                attributes: SamlAttributes {
                    identifier: attributes.identifier,
                    user_email: attributes.user_email,
                    first_name: attributes.first_name,
                    last_name: attributes.last_name,
                },
                provider_may_begin,
            }),
        }
    }
}

impl StoredConfig {
    fn of(config: &ProviderConfig) -> StoredConfig {
        let words = |rules: &[(String, OrganizationRole)]| {
            let word =
                |(key, role): &(String, OrganizationRole)| (key.clone(), role.as_str().to_owned());
            rules.iter().map(word).collect()
        };
        StoredConfig {
            name: config.name.clone(),
            trusted_domains: config.trust.domains.clone(),
            trust_unmarked_emails: config.trust.unmarked_emails,
            default_role: config.roles.default.as_str().to_owned(),
            groups_claim: config.roles.groups_claim.clone(),
            group_roles: words(&config.roles.by_group),
            domain_roles: words(&config.roles.by_domain),
            protocol: StoredProtocol::of(&config.protocol),
        }
    }

    fn into_config(self, required: bool) -> ProviderConfig {
        // A word that is no role gives the least.
        let role = |word: &str| OrganizationRole::parse(word).unwrap_or(OrganizationRole::Member);
        let rules = |words: Vec<(String, String)>| {
            let rule = |(key, word): (String, String)| (key, role(&word));
            words.into_iter().map(rule).collect()
        };
        ProviderConfig {
            name: self.name,
            required,
            trust: Trust {
                domains: self.trusted_domains,
                unmarked_emails: self.trust_unmarked_emails,
            },
            roles: RoleRules {
                default: role(&self.default_role),
                groups_claim: self.groups_claim,
                by_group: rules(self.group_roles),
                by_domain: rules(self.domain_roles),
            },
            protocol: self.protocol.into_protocol(),
        }
    }
}

const COLUMNS: &str = "identity_provider.id, identity_provider.organization_id, identity_provider.required, \
     identity_provider.config, identity_provider.created_us";

fn from_row(row: &Row<'_>) -> rusqlite::Result<IdentityProvider> {
    let text: String = row.get("config")?;
    let stored: StoredConfig = serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into())
    })?;
    Ok(IdentityProvider {
        id: ProviderId(row.get("id")?),
        organization: OrganizationId(row.get("organization_id")?),
        config: stored.into_config(row.get("required")?),
        created: Timestamp::from_us(row.get("created_us")?),
    })
}

/// The provider of an organization.
pub(crate) fn find_of(
    connection: &Connection,
    organization: OrganizationId,
) -> rusqlite::Result<Option<IdentityProvider>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM identity_provider WHERE organization_id = :organization"
        ))?
        .query_row([organization.0], from_row)
        .optional()
}

/// A provider of an organization that is not deleted.
pub(crate) fn find(
    connection: &Connection,
    id: ProviderId,
) -> rusqlite::Result<Option<IdentityProvider>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM identity_provider
             JOIN organization ON organization.id = identity_provider.organization_id
             WHERE identity_provider.id = :id AND organization.deleted_us IS NULL"
        ))?
        .query_row([id.0], from_row)
        .optional()
}

/// Whether the operator trusts some provider with the domain of an address: whoever has it there is to be the one who
/// has it here.
pub(crate) fn vouch_for(connection: &Connection, email: &str) -> Result<bool> {
    let Some(domain) = domain_of(email) else {
        return Ok(false);
    };
    let providers = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM identity_provider
             JOIN organization ON organization.id = identity_provider.organization_id
             WHERE organization.deleted_us IS NULL"
        ))?
        .query_map([], from_row)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(providers
        .iter()
        .any(|provider| provider.config.trust.domains.contains(&domain)))
}

/// Sets the provider of an organization with what belongs to it, as one change. `break_glass`: the addresses of the
/// owners who may come in with a password alone; none leaves them as they are.
///
/// # Errors
/// `Invalid`, by the API's names of the fields: nobody could come in without the provider, or somebody cannot.
pub(crate) fn save(
    unit: &mut Unit<'_>,
    actor: &Actor,
    organization: OrganizationId,
    config: &ProviderConfig,
    break_glass: Option<&[String]>,
) -> Result<()> {
    if let Some(emails) = break_glass {
        set_break_glass(unit, actor, organization, emails)?;
    }
    if config.required && list_break_glass(unit, organization)?.is_empty() {
        return Err(refused(
            "Where single sign-on is required, at least one owner must be able to come in with a password."
                .to_owned(),
        ));
    }
    set(unit, actor, organization, config)
}

fn refused(text: String) -> Error {
    let mut errors = FieldErrors::default();
    errors.add("breakGlass", text);
    Error::Invalid(errors)
}

/// Whether somebody may trust anybody on this server.
fn is_operator(connection: &Connection, actor: &Actor) -> rusqlite::Result<bool> {
    Ok(match actor.who {
        Who::Operator => true,
        Who::User { user, .. } | Who::Session { user, .. } => {
            users::find(connection, user)?.is_some_and(|user| user.superuser)
        }
        Who::Visitor { .. } | Who::Newcomer { .. } | Who::OrganizationToken { .. } => false,
    })
}

/// Sets the provider of an organization, or changes it. Another provider ([`Protocol::is_still`]) begins anew:
/// what the old one called somebody says nothing about whom the new one calls so, and its sessions count no longer.
fn set(
    unit: &mut Unit<'_>,
    actor: &Actor,
    organization: OrganizationId,
    config: &ProviderConfig,
) -> Result<()> {
    let old = find_of(unit, organization)?;
    if old.as_ref().is_some_and(|old| old.config == *config) {
        return Ok(());
    }
    let stored = serde_json::to_string(&StoredConfig::of(config)).map_err(Error::internal)?;
    let by_operator = is_operator(unit, actor)?;
    let id = match &old {
        Some(old) if config.protocol.is_still(&old.config.protocol, by_operator) => {
            unit.prepare_cached(
                "UPDATE identity_provider SET required = :required, config = :config WHERE id = :id",
            )?
            .execute(named_params! {
                ":required": config.required,
                ":config": stored,
                ":id": old.id.0,
            })?;
            old.id
        }
        _ => {
            if let Some(old) = &old {
                remove(unit, old.id)?;
            }
            unit.prepare_cached(
                "INSERT INTO identity_provider (organization_id, kind, required, config, created_us)
                 VALUES (:organization, :kind, :required, :config, :now)",
            )?
            .execute(named_params! {
                ":organization": organization.0,
                ":kind": config.protocol.kind(),
                ":required": config.required,
                ":config": stored,
                ":now": actor.at.us(),
            })?;
            ProviderId(unit.last_insert_rowid())
        }
    };
    let (event, data) = match &old {
        None => ("sso.enable", told(&config.protocol)),
        Some(old) => ("sso.edit", Value::Object(changes(&old.config, config))),
    };
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(organization),
            event,
            target: id.0,
            data,
        },
    )?;
    // From now on the provider answers for second factors (facts/auth-and-tokens.md 9.4).
    if old.is_none() {
        organizations::stop_requiring_2fa(unit, actor, organization)?;
    }
    Ok(())
}

fn told(protocol: &Protocol) -> Value {
    json!({ "provider": protocol.kind(), "issuer": protocol.authority() })
}

/// What changed, as `from A to B`; of the secret, and of certificates, which are long, only that they did.
fn changes(old: &ProviderConfig, new: &ProviderConfig) -> Map<String, Value> {
    let shown = |config: &ProviderConfig| {
        let mut stored = serde_json::to_value(StoredConfig::of(config)).unwrap_or_default();
        stored["required"] = json!(config.required);
        stored
    };
    let (old, new) = (shown(old), shown(new));
    let mut changes = Map::new();
    for (name, value) in new.as_object().into_iter().flatten() {
        if old[name] != *value {
            let text = match name.as_str() {
                "client_secret" | "x509_certificates" => "changed".to_owned(),
                _ => format!("from {} to {value}", old[name]),
            };
            changes.insert(name.clone(), json!(text));
        }
    }
    changes
}

fn remove(unit: &Unit<'_>, id: ProviderId) -> rusqlite::Result<()> {
    unit.prepare_cached("DELETE FROM identity WHERE provider_id = :id")?
        .execute([id.0])?;
    unit.prepare_cached("DELETE FROM identity_provider WHERE id = :id")?
        .execute([id.0])
        .map(drop)
}

/// Nobody vouches for the members of an organization any more; whether somebody did. Who is to come in with a password
/// alone is forgotten as well.
pub(crate) fn delete(
    unit: &mut Unit<'_>,
    actor: &Actor,
    organization: OrganizationId,
) -> Result<bool> {
    let Some(old) = find_of(unit, organization)? else {
        return Ok(false);
    };
    remove(unit, old.id)?;
    unit.prepare_cached(
        "UPDATE member SET break_glass = 0 WHERE organization_id = :organization AND break_glass",
    )?
    .execute([organization.0])?;
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(organization),
            event: "sso.disable",
            target: old.id.0,
            data: told(&old.config.protocol),
        },
    )?;
    Ok(true)
}

/// The owners who may come in with a password alone, by address.
pub(crate) fn list_break_glass(
    connection: &Connection,
    organization: OrganizationId,
) -> rusqlite::Result<Vec<BreakGlass>> {
    connection
        .prepare_cached(
            "SELECT member.id, user.email FROM member JOIN user ON user.id = member.user_id
             WHERE member.organization_id = :organization AND member.break_glass AND member.role = 'owner'
               AND user.active AND user.password_hash IS NOT NULL
             ORDER BY user.email",
        )?
        .query_map([organization.0], |row| {
            Ok(BreakGlass {
                member: MemberId(row.get("id")?),
                email: row.get("email")?,
            })
        })?
        .collect()
}

/// Says which owners may come in with a password alone; others no longer may.
///
/// # Errors
/// `Invalid`: one of the addresses is not that of an owner with an account and a password.
fn set_break_glass(
    unit: &mut Unit<'_>,
    actor: &Actor,
    organization: OrganizationId,
    emails: &[String],
) -> Result<()> {
    let old = list_break_glass(unit, organization)?;
    unit.prepare_cached(
        "UPDATE member SET break_glass = 0 WHERE organization_id = :organization AND break_glass",
    )?
    .execute([organization.0])?;
    for email in emails {
        let changed = unit
            .prepare_cached(
                "UPDATE member SET break_glass = 1
                 WHERE organization_id = :organization AND role = 'owner' AND user_id =
                     (SELECT id FROM user WHERE email = :email AND active AND password_hash IS NOT NULL)",
            )?
            .execute(named_params! { ":organization": organization.0, ":email": email })?;
        if changed == 0 {
            return Err(refused(format!(
                "{email} is no owner of the organization who can sign in with a password."
            )));
        }
    }
    let new = list_break_glass(unit, organization)?;
    let ended = old.iter().filter(|member| !new.contains(member));
    let begun = new.iter().filter(|member| !old.contains(member));
    let changes = ended
        .map(|member| (member, false))
        .chain(begun.map(|member| (member, true)));
    for (member, is_break_glass) in changes {
        audit::record(
            unit,
            actor,
            Entry {
                organization: Some(organization),
                event: "member.edit",
                target: member.member.0,
                data: json!({ "email": member.email, "break_glass": is_break_glass }),
            },
        )?;
    }
    Ok(())
}

/// Whether a member may come in with a password alone.
pub(crate) fn is_break_glass(
    connection: &Connection,
    organization: OrganizationId,
    user: UserId,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM member WHERE organization_id = :organization AND user_id = :user
               AND break_glass AND role = 'owner'",
        )?
        .exists(named_params! { ":organization": organization.0, ":user": user.0 })
}

/// Whether a member's session is of no use in an organization until its provider vouches for the user. False for who
/// is no member.
pub(crate) fn must_vouch(
    connection: &Connection,
    organization: OrganizationId,
    user: UserId,
    session: SessionId,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM identity_provider
             JOIN member ON member.organization_id = identity_provider.organization_id
             WHERE identity_provider.organization_id = :organization AND identity_provider.required
               AND member.user_id = :user AND NOT (member.break_glass AND member.role = 'owner')
               AND NOT EXISTS (SELECT 1 FROM session
                               WHERE session.id = :session AND session.user_id = :user
                                 AND session.provider_id = identity_provider.id
                                 AND session.created_us > :since)",
        )?
        .exists(named_params! {
            ":organization": organization.0,
            ":user": user.0,
            ":session": session.0,
            ":since": now.plus_secs(-VOUCHED_SECS).us(),
        })
}

/// The user whom a provider calls so.
pub(crate) fn find_user(
    connection: &Connection,
    provider: ProviderId,
    subject: &str,
) -> rusqlite::Result<Option<UserId>> {
    connection
        .prepare_cached(
            "SELECT user_id FROM identity WHERE provider_id = :provider AND subject = :subject",
        )?
        .query_row(
            named_params! { ":provider": provider.0, ":subject": subject },
            |row| row.get(0).map(UserId),
        )
        .optional()
}

/// Writes down whom a provider calls so. A user is one person there: another name takes the place of the old one.
pub(crate) fn link(
    unit: &mut Unit<'_>,
    actor: &Actor,
    provider: &IdentityProvider,
    subject: &str,
    user: UserId,
) -> Result<()> {
    unit.prepare_cached("DELETE FROM identity WHERE provider_id = :provider AND user_id = :user")?
        .execute(named_params! { ":provider": provider.id.0, ":user": user.0 })?;
    unit.prepare_cached(
        "INSERT INTO identity (provider_id, subject, user_id, created_us, last_used_us)
         VALUES (:provider, :subject, :user, :now, :now)",
    )?
    .execute(named_params! {
        ":provider": provider.id.0,
        ":subject": subject,
        ":user": user.0,
        ":now": actor.at.us(),
    })?;
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(provider.organization),
            event: "sso-identity.link",
            target: user.0,
            data: json!({ "user_id": user.0, "provider": provider.config.protocol.kind(), "subject": subject }),
        },
    )?;
    Ok(())
}

/// Writes down that a user came through a provider.
pub(crate) fn set_used(
    connection: &Connection,
    provider: ProviderId,
    subject: &str,
    now: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE identity SET last_used_us = :now WHERE provider_id = :provider AND subject = :subject",
        )?
        .execute(named_params! { ":now": now.us(), ":provider": provider.0, ":subject": subject })?;
    Ok(())
}
