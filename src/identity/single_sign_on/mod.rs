//! Single sign-on: from a click to a session, with an identity provider in between, of OpenID Connect or of SAML.
//!
//! Invariants: an answer counts only in the browser that asked for it, once, and for the provider that was asked. A user
//! who is here already is signed in by a provider only if they were linked before: by themselves, with their password,
//! or because the operator trusts the provider with the domain of their address ([`Trust`]). A superuser is only ever
//! linked by themselves. Nobody takes an address of such a domain who does not come from there. What a provider says of
//! roles never touches who may come in without it.
//!
//! [`Trust`]: crate::domain::single_sign_on::Trust

mod calls;
mod oidc;
mod pending;
mod saml;

use openidconnect::RedirectUrl;
use ureq::http::Request;

use super::throttle::Subject;
use super::{Begun, Identity, NotSignedIn, Try, Visitor};
use crate::domain::actor::{Actor, Who};
use crate::domain::id::{OrganizationId, ProviderId, UserId};
use crate::domain::scope::OrganizationRole;
use crate::domain::secret::Secret;
use crate::domain::session::Session;
use crate::domain::single_sign_on::{
    Claims, IdentityProvider, Oidc, Protocol, RoleRules, SamlSession, Vouched,
};
use crate::domain::time::Timestamp;
use crate::domain::{Error, FieldErrors, Result, email};
use crate::outbound::http::Client;
use crate::store::users::User;
use crate::store::writer::Unit;
use crate::store::{identity_providers as providers, members, users};
use calls::{CallRight, Calls};
use oidc::{About, Answer, Providers, Trouble};
use pending::{Flow, Flows, Offer, Offers, Parked, Question, Word};
pub(crate) use saml::{Left, fingerprint, pem, read_metadata, urls as saml_urls};

/// The state of all sign-ins that go through a provider.
pub(crate) struct SingleSignOn {
    http: Client,
    prefix: String,
    providers: Providers,
    flows: Flows,
    offers: Offers,
    parked: Parked,
    calls: Calls,
}

/// Somebody on the way to a provider.
pub(crate) struct Departure {
    /// The provider's page.
    pub(crate) url: String,
    /// What the browser keeps meanwhile.
    pub(crate) browser: Secret,
}

/// Somebody whose session is over here, and what the browser and the session knew of the one at the provider.
pub(crate) struct Leaving<'a> {
    pub(crate) provider: &'a IdentityProvider,
    /// The slug.
    pub(crate) organization: &'a str,
    pub(crate) id_token: Option<&'a str>,
    pub(crate) saml: Option<SamlSession>,
    /// What the browser keeps of an earlier way to a provider.
    pub(crate) browser: Option<Secret>,
}

/// What somebody brings back from a provider.
pub(crate) struct Return<'a> {
    pub(crate) state: &'a str,
    pub(crate) code: Option<&'a str>,
    /// Why there is no code, in the protocol's words.
    pub(crate) error: Option<&'a str>,
    /// Whose provider the way back is of that it came on.
    pub(crate) organization: Option<OrganizationId>,
    /// Which provider it says that it is from, if it says.
    pub(crate) issuer: Option<&'a str>,
    /// The browser's cookie.
    pub(crate) browser: Option<&'a Secret>,
}

/// Where a provider's word led.
pub(crate) enum Arrival {
    SignedIn {
        /// A user with a second factor here is asked for its code.
        begun: Begun,
        next: String,
        /// The browser keeps it, to sign out at the provider.
        id_token: Option<String>,
    },
    /// Nobody here is known to the provider by this name; whoever is signed in may say that it is them.
    MayLink {
        offer: Secret,
        provider: String,
        known_as: String,
    },
    /// There is an account with this address, and the provider's word for it is not enough.
    HasAccount {
        organization: OrganizationId,
        provider: String,
        email: String,
    },
}

/// Why nobody is signed in.
#[derive(Debug)]
pub(crate) enum NotArrived {
    /// Nothing is known of such a sign-in, in this browser: it is over, was begun elsewhere, or is used already.
    Lapsed,
    /// The provider did not sign them in.
    Denied,
    /// The provider cannot be reached.
    Down,
    /// What the provider said is refused. The log says why.
    Refused,
    /// The same, for a reason that is a text for whoever signs in.
    RefusedFor(String),
    /// Too many at once, or too many from one address.
    Busy,
    /// The provider did not tell an address, or has not checked it.
    NoEmail,
    /// Another provider is trusted with the domain of the address.
    OthersEmail,
    /// The account is off.
    Inactive,
    /// The password is wrong, of whoever wants to link an account.
    WrongPassword,
    Failed(Error),
}

/// A sign-in that came to nothing.
pub(crate) struct Stopped {
    pub(crate) why: NotArrived,
    /// Where it was begun, if that is known.
    pub(crate) organization: Option<OrganizationId>,
}

impl<E: Into<Error>> From<E> for NotArrived {
    fn from(error: E) -> NotArrived {
        NotArrived::Failed(error.into())
    }
}

impl From<NotSignedIn> for NotArrived {
    fn from(error: NotSignedIn) -> NotArrived {
        match error {
            NotSignedIn::Wrong | NotSignedIn::Lapsed => NotArrived::WrongPassword,
            NotSignedIn::Throttled { .. } | NotSignedIn::Busy => NotArrived::Busy,
            NotSignedIn::Failed(error) => NotArrived::Failed(error),
        }
    }
}

/// What an account would be linked to.
pub(crate) struct Offered {
    pub(crate) provider: String,
    pub(crate) known_as: String,
}

impl SingleSignOn {
    /// `prefix`: the server's own address.
    pub(crate) fn new(http: Client, prefix: &str) -> SingleSignOn {
        SingleSignOn {
            http,
            prefix: prefix.to_owned(),
            providers: Providers::default(),
            flows: Flows::default(),
            offers: Offers::default(),
            parked: Parked::default(),
            calls: Calls::default(),
        }
    }

    /// How a provider is spoken with, as it is to be kept: each certificate is written in one way then.
    ///
    /// # Errors
    /// What is wrong with it as far as its text says, by the API's names of the fields.
    pub(crate) fn checked(
        &self,
        protocol: Protocol,
        roles: &RoleRules,
    ) -> std::result::Result<Protocol, FieldErrors> {
        match protocol {
            Protocol::Oidc(oidc) => match self.http.check_url(&oidc.issuer) {
                Ok(()) => Ok(Protocol::Oidc(oidc)),
                Err(text) => {
                    let mut errors = FieldErrors::default();
                    errors.add("issuer", text);
                    Err(errors)
                }
            },
            Protocol::Saml(given) => saml::checked(&given, &roles.groups_claim).map(Protocol::Saml),
        }
    }

    /// Fetches a SAML provider's document about itself.
    ///
    /// # Errors
    /// One sentence.
    pub(crate) fn fetch_metadata(&self, url: &str) -> std::result::Result<String, String> {
        let request = Request::get(url)
            .header(
                "Accept",
                "application/samlmetadata+xml, application/xml, text/xml",
            )
            .body(Vec::new())
            .map_err(|_| "This is no URL.".to_owned())?;
        let (head, body) = self
            .http
            .call(request)
            .map_err(|error| error.to_string())?
            .into_parts();
        if head.status != 200 {
            return Err(format!("It answers with status {}.", head.status.as_u16()));
        }
        String::from_utf8(body).map_err(|_| "Its answer is no text in UTF-8.".to_owned())
    }

    /// Asks a provider about itself.
    ///
    /// # Errors
    /// Why it is of no use, for whoever sets it up.
    pub(crate) fn test(
        &self,
        protocol: &Protocol,
        now: Timestamp,
    ) -> std::result::Result<(), String> {
        let oidc = match protocol {
            Protocol::Oidc(oidc) => oidc,
            Protocol::Saml(_) => {
                return Err(
                    "a SAML provider cannot be asked about itself; sign in to see".to_owned(),
                );
            }
        };
        self.http.check_url(&oidc.issuer)?;
        match self.providers.about(&self.http, oidc, now) {
            Ok(_) => Ok(()),
            Err(Trouble::Down(text) | Trouble::Refused(text)) => Err(text),
        }
    }

    fn call_right(&self) -> std::result::Result<CallRight<'_>, NotArrived> {
        self.calls.begin().ok_or(NotArrived::Busy)
    }

    /// What a provider says about itself, which seldom has to be asked for.
    fn about(
        &self,
        provider: &IdentityProvider,
        oidc: &Oidc,
        now: Timestamp,
    ) -> std::result::Result<About, NotArrived> {
        if let Some(about) = self.providers.known_about(oidc, now) {
            return Ok(about);
        }
        let _right = self.call_right()?;
        self.providers
            .about(&self.http, oidc, now)
            .map_err(|trouble| told(provider, trouble))
    }

    fn callback(&self, of: OrganizationId) -> std::result::Result<RedirectUrl, NotArrived> {
        RedirectUrl::new(callback_url(&self.prefix, of))
            .map_err(|_| NotArrived::Failed(Error::internal("the server's own address is no URL")))
    }
}

/// Where the provider of an organization sends browsers back to. Each has a way of its own, so that a code of one is never
/// taken for another's, which would be shown it then, whatever that other one made of the sign-in (RFC 9700, 4.4). The
/// number, because slugs change.
pub(crate) fn callback_url(prefix: &str, organization: OrganizationId) -> String {
    format!("{prefix}/auth/sso/{organization}/")
}

/// Where providers send browsers after a sign-out.
pub(crate) fn signed_out_url(prefix: &str, organization: &str) -> String {
    format!("{prefix}/auth/login/{organization}/")
}

/// The page where members of an organization sign in.
pub(crate) fn login_path(organization: &str) -> String {
    format!("/auth/login/{organization}/")
}

/// Writes down why a provider was of no use, and says what is told of it.
fn told(provider: &IdentityProvider, trouble: Trouble) -> NotArrived {
    let organization = provider.organization;
    match trouble {
        Trouble::Down(text) => {
            log::warn!(
                "the identity provider of organization {organization} is of no use now: {text}"
            );
            NotArrived::Down
        }
        Trouble::Refused(text) => {
            log::warn!(
                "an answer of the identity provider of organization {organization} is refused: {text}"
            );
            NotArrived::Refused
        }
    }
}

impl Identity {
    /// Begins a sign-in at a provider. `browser`: what the browser keeps of an earlier one.
    ///
    /// # Errors
    /// `Down`, `Busy` or `Failed`.
    pub(crate) fn depart(
        &self,
        provider: &IdentityProvider,
        visitor: &Visitor,
        browser: Option<Secret>,
        next: &str,
    ) -> std::result::Result<Departure, NotArrived> {
        let sso = &self.single_sign_on;
        let now = visitor.now;
        self.refuse_busy_address(visitor)?;
        let (state, url, question) = match &provider.config.protocol {
            Protocol::Oidc(oidc) => {
                let about = sso.about(provider, oidc, now)?;
                let callback = sso.callback(provider.organization)?;
                let asked = oidc::ask(&about, oidc, &callback)
                    .map_err(|trouble| told(provider, trouble))?;
                let question = Question::Oidc {
                    nonce: asked.nonce,
                    pkce_verifier: asked.pkce_verifier,
                };
                (asked.state, asked.url, question)
            }
            Protocol::Saml(config) => {
                let (id, url) = self.saml_sign_in_url(provider, config, now)?;
                (id, url, Question::SamlSignIn)
            }
        };
        let browser = browser.unwrap_or_else(Secret::random);
        let flow = Flow {
            state,
            provider: provider.id,
            browser: browser.hash(),
            question,
            next: next.to_owned(),
        };
        sso.flows.add(flow, now);
        Ok(Departure { url, browser })
    }

    /// Finishes a sign-in. `signed_in`: the user of the browser's session.
    ///
    /// # Errors
    /// See [`NotArrived`].
    pub(crate) fn arrive(
        &self,
        back: &Return<'_>,
        visitor: &Visitor,
        signed_in: Option<UserId>,
    ) -> std::result::Result<Arrival, Stopped> {
        let stopped = |organization| move |why| Stopped { why, organization };
        let (flow, provider) = self.find_flow(back, visitor).map_err(stopped(None))?;
        let organization = Some(provider.organization);
        let word = self
            .hear(&provider, flow, back, visitor)
            .map_err(stopped(organization))?;
        self.welcome(provider, word, visitor, signed_in)
            .map_err(stopped(organization))
    }

    /// What was begun in this browser, and with whom.
    fn find_flow(
        &self,
        back: &Return<'_>,
        visitor: &Visitor,
    ) -> std::result::Result<(Flow, IdentityProvider), NotArrived> {
        self.refuse_busy_address(visitor)?;
        let browser = back.browser.ok_or(NotArrived::Lapsed)?;
        let flows = &self.single_sign_on.flows;
        let flow = flows.take(back.state, browser.hash(), visitor.now);
        let flow = flow.ok_or(NotArrived::Lapsed)?;
        let connection = self.store.read()?;
        let provider = providers::find(&connection, flow.provider)?;
        Ok((flow, provider.ok_or(NotArrived::Lapsed)?))
    }

    /// What the provider says of whoever comes back from it.
    fn hear(
        &self,
        provider: &IdentityProvider,
        flow: Flow,
        back: &Return<'_>,
        visitor: &Visitor,
    ) -> std::result::Result<Word, NotArrived> {
        let sso = &self.single_sign_on;
        let now = visitor.now;
        let Protocol::Oidc(oidc) = &provider.config.protocol else {
            return Err(NotArrived::Lapsed);
        };
        let Question::Oidc {
            nonce,
            pkce_verifier,
        } = flow.question
        else {
            return Err(NotArrived::Lapsed);
        };
        let is_other_way = back.organization != Some(provider.organization);
        if is_other_way || back.issuer.is_some_and(|issuer| issuer != oidc.issuer) {
            let text = "it comes from another provider than was asked".to_owned();
            return Err(told(provider, Trouble::Refused(text)));
        }
        let Some(code) = back.code.filter(|_| back.error.is_none()) else {
            let error: String = back.error.unwrap_or("no code").chars().take(100).collect();
            if error != "access_denied" {
                let organization = provider.organization;
                let error = error.escape_debug();
                log::warn!(
                    "the identity provider of organization {organization} signs nobody in: {error}"
                );
            }
            return Err(NotArrived::Denied);
        };
        let proven = {
            let _right = sso.call_right()?;
            let answer = Answer {
                code,
                nonce,
                pkce_verifier,
            };
            sso.providers
                .prove(
                    &sso.http,
                    oidc,
                    &provider.config.roles,
                    &sso.callback(provider.organization)?,
                    answer,
                    now,
                )
                .map_err(|trouble| {
                    // Whose provider is down tries again, and is not to blame.
                    if matches!(trouble, Trouble::Refused(_)) {
                        let address = Subject::address(visitor.address);
                        self.throttle.count_failure(address, now);
                    }
                    told(provider, trouble)
                })?
        };
        Ok(Word {
            claims: proven.claims,
            id_token: Some(proven.id_token),
            saml: None,
            until: None,
            next: flow.next,
        })
    }

    /// What follows from a provider's word, of whatever kind the provider is.
    ///
    /// # Errors
    /// See [`NotArrived`].
    fn welcome(
        &self,
        provider: IdentityProvider,
        word: Word,
        visitor: &Visitor,
        signed_in: Option<UserId>,
    ) -> std::result::Result<Arrival, NotArrived> {
        match self.admit(&provider, &word.claims, visitor, signed_in)? {
            Admitted::User(user) => self.let_in(user, visitor, provider.id, word),
            Admitted::MayLink(user) => {
                let known_as = known_as(&word.claims);
                let offer = Offer {
                    provider: provider.id,
                    user,
                    word,
                };
                let offers = &self.single_sign_on.offers;
                Ok(Arrival::MayLink {
                    offer: offers.add(offer, visitor.now),
                    provider: provider.config.name,
                    known_as,
                })
            }
            Admitted::HasAccount(email) => Ok(Arrival::HasAccount {
                organization: provider.organization,
                provider: provider.config.name,
                email,
            }),
            Admitted::NoEmail => Err(NotArrived::NoEmail),
            Admitted::OthersEmail => Err(NotArrived::OthersEmail),
            Admitted::Inactive => Err(NotArrived::Inactive),
        }
    }

    /// # Errors
    /// `Busy`: too many answers from there were of no use.
    fn refuse_busy_address(&self, visitor: &Visitor) -> std::result::Result<(), NotArrived> {
        let address = Subject::address(visitor.address);
        match self.throttle.wait_secs(&address, visitor.now) {
            Some(_) => Err(NotArrived::Busy),
            None => Ok(()),
        }
    }

    /// Decides whose the claims are, and makes or changes what follows from it, all at once.
    fn admit(
        &self,
        provider: &IdentityProvider,
        claims: &Claims,
        visitor: &Visitor,
        signed_in: Option<UserId>,
    ) -> std::result::Result<Admitted, NotArrived> {
        let (id, claims) = (provider.id, claims.clone());
        let (address, now) = (visitor.address, visitor.now);
        let admitted = self.store.write(move |unit| {
            // As it is now: it may have changed while somebody was there.
            let Some(provider) = providers::find(unit, id)? else {
                return Ok(None);
            };
            let decision = decide(unit, &provider, &claims, signed_in)?;
            let actor = |user: UserId| Actor {
                who: Who::Visitor { user, address },
                at: now,
            };
            let user = match decision {
                Decision::Known(user) => {
                    providers::set_used(unit, id, &claims.subject, now)?;
                    user
                }
                Decision::Vouched(user) => {
                    providers::link(unit, &actor(user), &provider, &claims.subject, user)?;
                    user
                }
                Decision::New(email) => {
                    let newcomer = Actor {
                        who: Who::Newcomer { address },
                        at: now,
                    };
                    let name = claims.name.as_deref().unwrap_or_default();
                    let name: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
                    let user = users::create(unit, &newcomer, &email, &name, None)?;
                    providers::link(unit, &actor(user), &provider, &claims.subject, user)?;
                    user
                }
                Decision::Not(admitted) => return Ok(Some(admitted)),
            };
            set_role(unit, &actor(user), &provider, &claims, user)?;
            let user = users::find(unit, user)?
                .ok_or_else(|| Error::internal("a user that was just found is not there"))?;
            Ok(Some(Admitted::User(user)))
        })?;
        admitted.ok_or(NotArrived::Lapsed)
    }

    /// What somebody may link their account to.
    pub(crate) fn offered(
        &self,
        offer: &Secret,
        user: UserId,
        now: Timestamp,
    ) -> Result<Option<Offered>> {
        let Some(found) = self.single_sign_on.offers.find(offer, user, now) else {
            return Ok(None);
        };
        let connection = self.store.read()?;
        let provider = providers::find(&connection, found.provider)?;
        Ok(provider.map(|provider| Offered {
            provider: provider.config.name,
            known_as: known_as(&found.word.claims),
        }))
    }

    /// Links the account of whoever is signed in, and begins a session that the provider vouches for. They prove with
    /// the password that it is them; who has none must have come just now.
    ///
    /// # Errors
    /// `WrongPassword`, `Lapsed`, `Busy` or `Failed`.
    pub(crate) fn accept_offer(
        &self,
        offer: &Secret,
        user: &users::User,
        session: &Session,
        password: &str,
        visitor: &Visitor,
    ) -> std::result::Result<Arrival, NotArrived> {
        let (email, has_password) = (user.email.as_str(), user.password_hash.is_some());
        let user = user.id;
        let offers = &self.single_sign_on.offers;
        let found = offers
            .find(offer, user, visitor.now)
            .ok_or(NotArrived::Lapsed)?;
        let is_proven = match has_password {
            true => {
                self.check_password(&Try {
                    email,
                    password,
                    visitor,
                })?
                .id == user
            }
            false => session.user == user && session.is_verified(visitor.now),
        };
        if !is_proven {
            return Err(NotArrived::WrongPassword);
        }
        offers.remove(offer);
        let (id, word) = (found.provider, found.word);
        let claims = word.claims.clone();
        let actor = Actor {
            who: Who::Visitor {
                user,
                address: visitor.address,
            },
            at: visitor.now,
        };
        let linked = self.store.write(move |unit| {
            let Some(provider) = providers::find(unit, id)? else {
                return Ok(None);
            };
            // Somebody was faster.
            if providers::find_user(unit, id, &claims.subject)?.is_some_and(|own| own != user) {
                return Ok(None);
            }
            providers::link(unit, &actor, &provider, &claims.subject, user)?;
            set_role(unit, &actor, &provider, &claims, user)?;
            Ok(users::find(unit, user)?)
        })?;
        let linked = linked.ok_or(NotArrived::Lapsed)?;
        self.let_in(linked, visitor, id, word)
    }

    /// # Errors
    /// `Inactive`: the account was switched off.
    fn let_in(
        &self,
        user: User,
        visitor: &Visitor,
        provider: ProviderId,
        word: Word,
    ) -> std::result::Result<Arrival, NotArrived> {
        let vouched = Vouched {
            provider,
            saml: word.saml,
            until: word.until,
        };
        let begun = self.begin(user, visitor, Some(vouched));
        Ok(Arrival::SignedIn {
            begun: begun.map_err(|error| match error {
                NotSignedIn::Wrong => NotArrived::Inactive,
                error => error.into(),
            })?,
            next: word.next,
            id_token: word.id_token,
        })
    }

    /// Where to send somebody to sign out at the provider of their session as well; none if there is no such page, or
    /// it cannot be found out just now.
    pub(crate) fn sign_out_there(
        &self,
        leaving: Leaving<'_>,
        now: Timestamp,
    ) -> Result<Option<Departure>> {
        let sso = &self.single_sign_on;
        let provider = leaving.provider;
        let browser = leaving.browser.unwrap_or_else(Secret::random);
        let url = match &provider.config.protocol {
            Protocol::Oidc(oidc) => {
                let back = signed_out_url(&sso.prefix, leaving.organization);
                let about = sso.about(provider, oidc, now).ok();
                about.and_then(|about| oidc::logout_url(&about, oidc, leaving.id_token, &back))
            }
            Protocol::Saml(config) => match &leaving.saml {
                Some(session) => {
                    self.saml_sign_out_url(provider, config, session, &browser, now)?
                }
                None => None,
            },
        };
        Ok(url.map(|url| Departure { url, browser }))
    }
}

/// How a provider calls somebody, for people to read.
fn known_as(claims: &Claims) -> String {
    claims
        .email
        .clone()
        .or_else(|| claims.name.clone())
        .unwrap_or_else(|| claims.subject.clone())
}

/// What became of claims.
enum Admitted {
    User(users::User),
    MayLink(UserId),
    HasAccount(String),
    NoEmail,
    OthersEmail,
    Inactive,
}

enum Decision {
    /// Linked before.
    Known(UserId),
    /// Here before, and the operator trusts the provider with the address.
    Vouched(UserId),
    /// Not here yet.
    New(String),
    Not(Admitted),
}

fn decide(
    unit: &Unit<'_>,
    provider: &IdentityProvider,
    claims: &Claims,
    signed_in: Option<UserId>,
) -> Result<Decision> {
    let is_active = |user: UserId| -> Result<bool> {
        Ok(users::find(unit, user)?.is_some_and(|user| user.active))
    };
    if let Some(user) = providers::find_user(unit, provider.id, &claims.subject)? {
        return Ok(match is_active(user)? {
            true => Decision::Known(user),
            false => Decision::Not(Admitted::Inactive),
        });
    }
    let trust = &provider.config.trust;
    if let Some(vouched) = trust.vouched_email(claims)
        && let Some(user) = users::find_by_email(unit, vouched)?
        && !user.superuser
    {
        return Ok(match user.active {
            true => Decision::Vouched(user.id),
            false => Decision::Not(Admitted::Inactive),
        });
    }
    if let Some(user) = signed_in {
        return Ok(Decision::Not(Admitted::MayLink(user)));
    }
    let email = trust
        .checked_email(claims)
        .filter(|text| email::is_plausible(text));
    let Some(email) = email else {
        return Ok(Decision::Not(Admitted::NoEmail));
    };
    Ok(match users::find_by_email(unit, email)? {
        Some(_) => Decision::Not(Admitted::HasAccount(email.to_owned())),
        None if trust.vouched_email(claims).is_none() && providers::vouch_for(unit, email)? => {
            Decision::Not(Admitted::OthersEmail)
        }
        None => Decision::New(email.to_owned()),
    })
}

/// Makes a user a member, with the role that the rules give. Without rules a member keeps their role, and who was
/// invited gets that of the invitation. Who may come in without the provider, and the last owner, keep theirs.
fn set_role(
    unit: &mut Unit<'_>,
    actor: &Actor,
    provider: &IdentityProvider,
    claims: &Claims,
    user: UserId,
) -> Result<()> {
    let organization = provider.organization;
    let (rules, trust) = (&provider.config.roles, &provider.config.trust);
    let given = rules.role_of(claims, trust.checked_email(claims));
    let role: OrganizationRole = match members::find(unit, organization, user)? {
        Some(_) if !rules.are_given() => return Ok(()),
        Some(member)
            if providers::is_break_glass(unit, organization, user)?
                || given < member.role && members::is_only_owner(unit, organization, &member)? =>
        {
            return Ok(());
        }
        Some(_) => given,
        None if rules.are_given() => given,
        None => {
            let email = users::find(unit, user)?
                .map(|user| user.email)
                .unwrap_or_default();
            let invitation = members::find_by_email(unit, organization, &email)?;
            let is_good = |member: &members::Member| !member.is_expired(actor.at);
            invitation
                .filter(is_good)
                .map_or(given, |invitation| invitation.role)
        }
    };
    members::set(unit, actor, organization, user, role)?;
    Ok(())
}
