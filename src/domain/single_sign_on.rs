//! Single sign-on: whom an organization lets vouch for its members, and what follows from what it says
//! (facts/auth-and-tokens.md 9.4 to 9.6).

use super::error::FieldErrors;
use super::id::{MemberId, OrganizationId, ProviderId};
use super::scope::OrganizationRole;
use super::time::Timestamp;

/// An organization's identity provider.
#[derive(Clone, Debug)]
pub(crate) struct IdentityProvider {
    pub(crate) id: ProviderId,
    pub(crate) organization: OrganizationId,
    pub(crate) config: ProviderConfig,
    pub(crate) created: Timestamp,
}

/// How to ask a provider, and what to make of its answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProviderConfig {
    /// What the button says.
    pub(crate) name: String,
    /// Whether members must come through the provider.
    pub(crate) required: bool,
    pub(crate) trust: Trust,
    pub(crate) roles: RoleRules,
    pub(crate) protocol: Protocol,
}

/// How a provider is spoken with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Oidc(Oidc),
    Saml(Saml),
}

impl Protocol {
    /// As the API and the file name it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Protocol::Oidc(_) => "oidc",
            Protocol::Saml(_) => "saml",
        }
    }

    /// What the provider calls itself.
    pub(crate) fn authority(&self) -> &str {
        match self {
            Protocol::Oidc(oidc) => &oidc.issuer,
            Protocol::Saml(saml) => &saml.entity_id,
        }
    }

    /// Whether it is still the provider that the old configuration was of: else what that one said of people says
    /// nothing here, and the operator's trust in it is no trust in this one. An issuer proves by TLS that it is itself.
    /// A SAML provider is whoever has the keys, and says what it pleases in any attribute, so new ones of those make
    /// another provider; unless the operator names them, who may trust anybody.
    pub(crate) fn is_still(&self, old: &Protocol, by_operator: bool) -> bool {
        match (self, old) {
            (Protocol::Oidc(new), Protocol::Oidc(old)) => new.issuer == old.issuer,
            (Protocol::Saml(new), Protocol::Saml(old)) => {
                let (given, had) = (&new.attributes, &old.attributes);
                new.entity_id == old.entity_id
                    && (by_operator
                        || given.identifier == had.identifier
                            && given.user_email == had.user_email
                            && new
                                .certificates
                                .iter()
                                .all(|one| old.certificates.contains(one)))
            }
            (Protocol::Oidc(_) | Protocol::Saml(_), _) => false,
        }
    }
}

/// How to ask a SAML 2.0 provider, and what it calls what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Saml {
    pub(crate) entity_id: String,
    /// Where sign-in begins.
    pub(crate) sso_url: String,
    /// Where single logout goes, if the provider has that.
    pub(crate) slo_url: Option<String>,
    /// Whose keys sign: each certificate's DER in base64.
    pub(crate) certificates: Vec<String>,
    pub(crate) attributes: SamlAttributes,
    /// Whether an answer counts that was not asked for. Whoever has an account at the provider can then sign somebody
    /// else's browser in as themselves.
    pub(crate) provider_may_begin: bool,
}

/// In which attributes a SAML provider says what; `NameID` stands for the name of the subject. That of the groups is
/// [`RoleRules::groups_claim`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SamlAttributes {
    /// What never changes of a person.
    pub(crate) identifier: String,
    pub(crate) user_email: String,
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
}

impl Saml {
    /// What a new one begins with, before it is described.
    pub(crate) fn new() -> Saml {
        Saml {
            entity_id: String::new(),
            sso_url: String::new(),
            slo_url: None,
            certificates: Vec::new(),
            attributes: SamlAttributes::default(),
            provider_may_begin: false,
        }
    }

    /// Takes over what the provider's own document says.
    pub(crate) fn describe(&mut self, read: Saml) {
        *self = Saml {
            attributes: std::mem::take(&mut self.attributes),
            provider_may_begin: self.provider_may_begin,
            ..read
        };
    }
}

impl Default for SamlAttributes {
    fn default() -> SamlAttributes {
        SamlAttributes {
            identifier: "NameID".to_owned(),
            user_email: "email".to_owned(),
            first_name: None,
            last_name: None,
        }
    }
}

/// The session of somebody at a SAML provider: single logout names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SamlSession {
    pub(crate) name: NameId,
    pub(crate) index: Option<String>,
}

/// The name of a subject. All of it is needed to say whom one means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NameId {
    pub(crate) value: String,
    pub(crate) format: Option<String>,
    pub(crate) name_qualifier: Option<String>,
    pub(crate) sp_name_qualifier: Option<String>,
}

/// Who vouches for the user of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vouched {
    pub(crate) provider: ProviderId,
    pub(crate) saml: Option<SamlSession>,
    /// When the provider wants the session ended at the latest.
    pub(crate) until: Option<Timestamp>,
}

/// How to ask an OpenID Connect provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Oidc {
    /// The provider's own name: an URL whose `.well-known/openid-configuration` tells the rest.
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    /// None for a client that proves itself by PKCE alone.
    pub(crate) client_secret: Option<ClientSecret>,
    /// What is asked for beside `openid`.
    pub(crate) scopes: Vec<String>,
}

/// The secret that the provider knows this server by. Kept readable, because it is sent to the provider; has no
/// `Debug` output.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ClientSecret(String);

impl ClientSecret {
    pub(crate) fn new(text: String) -> ClientSecret {
        ClientSecret(text)
    }

    /// The secret itself, for the provider and the file.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientSecret")
    }
}

/// For which addresses the provider's word is enough to sign in as a user who is here already. Whoever may change
/// this can become any of these users, so only the operator of the server may: an organization's owner cannot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trust {
    /// In lower case.
    pub(crate) domains: Vec<String>,
    /// Whether an address of these domains counts as checked where the provider does not say. Some never do.
    pub(crate) unmarked_emails: bool,
}

/// Which role somebody gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoleRules {
    /// Where no rule applies.
    pub(crate) default: OrganizationRole,
    /// The claim that lists somebody's groups.
    pub(crate) groups_claim: String,
    pub(crate) by_group: Vec<(String, OrganizationRole)>,
    /// Domains of checked addresses, in lower case.
    pub(crate) by_domain: Vec<(String, OrganizationRole)>,
}

/// What a provider says of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    /// What the provider calls them; it never changes there.
    pub(crate) subject: String,
    pub(crate) email: Option<String>,
    /// Whether the provider has checked the address, if it says.
    pub(crate) email_verified: Option<bool>,
    pub(crate) name: Option<String>,
    pub(crate) groups: Vec<String>,
}

/// An owner who may come with a password alone while single sign-on is required, so that a broken provider locks
/// nobody out for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BreakGlass {
    pub(crate) member: MemberId,
    pub(crate) email: String,
}

impl RoleRules {
    /// Whether roles follow what the provider says at every sign-in.
    pub(crate) fn are_given(&self) -> bool {
        !self.by_group.is_empty() || !self.by_domain.is_empty()
    }

    /// The highest role of the rules that apply; the default where none does. An address counts only if it is checked.
    pub(crate) fn role_of(&self, claims: &Claims, checked_email: Option<&str>) -> OrganizationRole {
        let of_groups = self
            .by_group
            .iter()
            .filter(|(group, _)| claims.groups.contains(group))
            .map(|(_, role)| *role);
        let domain = checked_email.and_then(domain_of);
        let of_domain = self
            .by_domain
            .iter()
            .filter(|(own, _)| domain.as_deref() == Some(own))
            .map(|(_, role)| *role);
        of_groups.chain(of_domain).max().unwrap_or(self.default)
    }

    /// The highest role that anybody can get.
    pub(crate) fn highest(&self) -> OrganizationRole {
        let all = self.by_group.iter().chain(&self.by_domain);
        all.map(|(_, role)| *role)
            .max()
            .map_or(self.default, |role| role.max(self.default))
    }
}

impl Trust {
    /// The address of the claims, if the provider is trusted with its domain and has checked it: whoever has it here
    /// is who signs in.
    pub(crate) fn vouched_email<'a>(&self, claims: &'a Claims) -> Option<&'a str> {
        let email = claims.email.as_deref()?;
        let is_checked = claims.email_verified.unwrap_or(self.unmarked_emails);
        let domain = domain_of(email)?;
        (is_checked && self.domains.contains(&domain)).then_some(email)
    }

    /// What an address of a SAML provider is worth, which never says whether it has checked one: the operator does, by
    /// trusting it with the domain.
    pub(crate) fn saml_email_verified(&self, email: &str) -> Option<bool> {
        domain_of(email)
            .is_some_and(|domain| self.domains.contains(&domain))
            .then_some(true)
    }

    /// The address of the claims, if the provider has checked it, whoever's domain it is.
    pub(crate) fn checked_email<'a>(&self, claims: &'a Claims) -> Option<&'a str> {
        match claims.email_verified {
            Some(true) => claims.email.as_deref(),
            Some(false) => None,
            None => self.vouched_email(claims),
        }
    }
}

/// A rule as people write it: `operations=manager`. The key may hold more of the signs.
///
/// # Errors
/// One sentence.
pub(crate) fn parse_rule(text: &str) -> Result<(String, OrganizationRole), String> {
    let (key, word) = text
        .rsplit_once('=')
        .ok_or_else(|| format!("{text:?} has no =ROLE at its end"))?;
    let role = OrganizationRole::parse(word.trim()).ok_or_else(|| {
        let known = OrganizationRole::ALL
            .map(OrganizationRole::as_str)
            .join(", ");
        format!("{:?} is none of {known}", word.trim())
    })?;
    Ok((key.trim().to_owned(), role))
}

/// The part of an address behind its one `@`, in lower case.
pub(crate) fn domain_of(email: &str) -> Option<String> {
    let (local, domain) = email.split_once('@')?;
    let is_plain = !local.is_empty() && !domain.is_empty() && !domain.contains('@');
    is_plain.then(|| domain.to_ascii_lowercase())
}

/// A configuration's limits.
const NAME_CHARS_MAX: usize = 100;
const TEXT_CHARS_MAX: usize = 1_000;
const ENTRIES_MAX: usize = 100;

impl Oidc {
    /// What a new one begins with.
    pub(crate) fn new(issuer: String, client_id: String) -> Oidc {
        Oidc {
            issuer,
            client_id,
            client_secret: None,
            scopes: vec!["profile".to_owned(), "email".to_owned()],
        }
    }

    fn check(&self, check: &mut impl FnMut(&str, bool, &str)) {
        check(
            "issuer",
            is_between(&self.issuer, TEXT_CHARS_MAX) && !self.issuer.contains(['?', '#']),
            "An issuer is a URL without ? and #, of up to 1000 characters.",
        );
        check(
            "clientId",
            is_between(&self.client_id, TEXT_CHARS_MAX),
            "A client id has 1 to 1000 characters.",
        );
        let secret = self.client_secret.as_ref().map(ClientSecret::reveal);
        check(
            "clientSecret",
            secret.is_none_or(|secret| is_between(secret, TEXT_CHARS_MAX)),
            "A client secret has 1 to 1000 characters.",
        );
        let is_scope =
            |scope: &String| !scope.is_empty() && scope.bytes().all(|b| b.is_ascii_graphic());
        check(
            "scopes",
            self.scopes.len() <= ENTRIES_MAX && self.scopes.iter().all(is_scope),
            "Each scope is a word; there are at most 100.",
        );
    }
}

impl ProviderConfig {
    /// What a new one begins with: members must come through it, and everybody becomes a plain member.
    pub(crate) fn new(protocol: Protocol) -> ProviderConfig {
        ProviderConfig {
            name: "single sign-on".to_owned(),
            required: true,
            trust: Trust::default(),
            roles: RoleRules {
                default: OrganizationRole::Member,
                groups_claim: "groups".to_owned(),
                by_group: Vec::new(),
                by_domain: Vec::new(),
            },
            protocol,
        }
    }

    /// What is wrong with the parts that do not depend on the network, field by field as the API names them.
    pub(crate) fn faults(&self) -> FieldErrors {
        let mut errors = FieldErrors::default();
        let mut check = |field: &str, is_good: bool, text: &str| {
            if !is_good {
                errors.add(field, text);
            }
        };
        check(
            "name",
            is_between(&self.name, NAME_CHARS_MAX),
            "A name has 1 to 100 characters.",
        );
        match &self.protocol {
            Protocol::Oidc(oidc) => oidc.check(&mut check),
            // The rest of it is checked where it is read.
            Protocol::Saml(_) => check(
                "trustUnmarkedEmails",
                !self.trust.unmarked_emails,
                "A SAML provider says of no address whether it is checked; those of trusted domains count as checked.",
            ),
        }
        check(
            "trustedDomains",
            self.trust.domains.len() <= ENTRIES_MAX
                && self.trust.domains.iter().all(|d| is_domain(d)),
            "Each domain is a name such as example.com; there are at most 100.",
        );
        check(
            "groupsClaim",
            is_between(&self.roles.groups_claim, TEXT_CHARS_MAX),
            "The claim's name has 1 to 1000 characters.",
        );
        check(
            "groupRoles",
            self.roles.by_group.len() <= ENTRIES_MAX
                && self
                    .roles
                    .by_group
                    .iter()
                    .all(|(group, _)| is_between(group, TEXT_CHARS_MAX)),
            "Each group has 1 to 1000 characters; there are at most 100.",
        );
        check(
            "domainRoles",
            self.roles.by_domain.len() <= ENTRIES_MAX
                && self
                    .roles
                    .by_domain
                    .iter()
                    .all(|(domain, _)| is_domain(domain)),
            "Each domain is a name such as example.com; there are at most 100.",
        );
        errors
    }
}

fn is_between(text: &str, most: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= most
}

fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(email: &str, verified: Option<bool>, groups: &[&str]) -> Claims {
        Claims {
            subject: "1".to_owned(),
            email: Some(email.to_owned()),
            email_verified: verified,
            name: None,
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        }
    }

    #[test]
    fn an_address_is_vouched_for_only_when_checked_and_of_a_trusted_domain() {
        let trust = |unmarked_emails| Trust {
            domains: vec!["example.test".to_owned()],
            unmarked_emails,
        };
        for (email, verified, unmarked, vouched) in [
            ("ann@example.test", Some(true), false, true),
            ("ann@EXAMPLE.test", Some(true), false, true),
            ("ann@example.test", Some(false), true, false),
            ("ann@example.test", None, false, false),
            ("ann@example.test", None, true, true),
            ("ann@other.test", Some(true), true, false),
            ("ann@sub.example.test", Some(true), true, false),
            ("ann@evil@example.test", Some(true), true, false),
            ("@example.test", Some(true), true, false),
        ] {
            let claims = claims(email, verified, &[]);
            let found = trust(unmarked).vouched_email(&claims).is_some();
            assert_eq!(found, vouched, "{email} {verified:?} {unmarked}");
        }
    }

    #[test]
    fn whoever_changes_keys_or_names_of_a_saml_provider_makes_another_one_but_the_operator() {
        let saml = |change: fn(&mut Saml)| {
            let mut saml = Saml {
                entity_id: "https://id.test".to_owned(),
                sso_url: "https://id.test/sso".to_owned(),
                slo_url: None,
                certificates: vec!["AA".to_owned(), "BB".to_owned()],
                attributes: SamlAttributes::default(),
                provider_may_begin: false,
            };
            change(&mut saml);
            Protocol::Saml(saml)
        };
        let old = saml(|_| {});
        for (change, by_owner, by_operator) in [
            (saml(|_| {}), true, true),
            (saml(|saml| drop(saml.certificates.pop())), true, true),
            (saml(|saml| saml.sso_url.push('2')), true, true),
            (
                saml(|saml| saml.attributes.first_name = Some("f".to_owned())),
                true,
                true,
            ),
            (
                saml(|saml| saml.certificates.push("CC".to_owned())),
                false,
                true,
            ),
            (
                saml(|saml| saml.attributes.user_email.push('2')),
                false,
                true,
            ),
            (
                saml(|saml| saml.attributes.identifier.push('2')),
                false,
                true,
            ),
            (saml(|saml| saml.entity_id.push('2')), false, false),
        ] {
            assert_eq!(change.is_still(&old, false), by_owner, "{change:?}");
            assert_eq!(change.is_still(&old, true), by_operator, "{change:?}");
        }
        let oidc = Protocol::Oidc(Oidc::new("https://id.test".to_owned(), "a".to_owned()));
        assert!(!oidc.is_still(&old, true) && !old.is_still(&oidc, true));
        assert!(oidc.is_still(&oidc, false));
    }

    #[test]
    fn the_highest_rule_that_applies_counts() {
        use OrganizationRole::{Manager, Member, Owner};
        let rules = RoleRules {
            default: Member,
            groups_claim: "groups".to_owned(),
            by_group: vec![("ops".to_owned(), Manager), ("board".to_owned(), Owner)],
            by_domain: vec![("example.test".to_owned(), Manager)],
        };
        let role = |groups: &[&str], email: Option<&str>| {
            rules.role_of(&claims("x@y.test", None, groups), email)
        };
        assert_eq!(role(&[], None), Member);
        assert_eq!(role(&["ops"], None), Manager);
        assert_eq!(role(&["ops", "board"], None), Owner);
        assert_eq!(role(&["Board", "boards"], None), Member);
        assert_eq!(role(&[], Some("ann@Example.test")), Manager);
        assert_eq!(role(&[], Some("ann@evil.test")), Member);
        assert_eq!(rules.highest(), Owner);
    }
}
