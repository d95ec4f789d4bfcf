//! What a new database starts with, so that the first event can be sent at once: an organization, a team, a
//! project with a key, and an owner with a token and a link to sign in with for the first time.

use crate::domain::Result;
use crate::domain::actor::Actor;
use crate::domain::dsn::UrlPrefix;
use crate::domain::id::{OrganizationId, ProjectId, TeamId, UserId};
use crate::domain::key::PublicKey;
use crate::domain::scope::OrganizationRole;
use crate::domain::secret::Secret;
use crate::domain::slug::{IdOrSlug, Slug};
use crate::domain::time::Timestamp;
use crate::domain::token::{TokenOwner, TokenText};
use crate::store::client_keys::NewClientKey;
use crate::store::projects::NewProject;
use crate::store::tokens::NewToken;
use crate::store::user_links::LinkKind;
use crate::store::writer::Unit;
use crate::store::{Store, client_keys, members, organizations, projects, teams, tokens, users};

/// The slug of the organization, the team and the project.
const SLUG: &str = "default";
const NAME: &str = "Default";

/// An address that needs no domain and reaches nobody else. Who wants a real one adds a user of their own.
const EMAIL: &str = "admin@localhost";

/// What was made. Token and link are nowhere else.
pub(crate) struct FirstStart {
    pub(crate) organization: Slug,
    pub(crate) project: Slug,
    pub(crate) project_id: ProjectId,
    pub(crate) public: PublicKey,
    pub(crate) dsn: String,
    pub(crate) user_email: &'static str,
    pub(crate) token: TokenText,
    /// Lets its holder choose how the owner signs in, once.
    pub(crate) link: Secret,
}

/// Fills a database that has neither an organization nor a user; any other is left alone.
///
/// # Errors
/// The database could not be written; it is as before then.
pub(crate) fn run(
    store: &Store,
    url_prefix: &UrlPrefix,
    now: Timestamp,
) -> Result<Option<FirstStart>> {
    let url_prefix = url_prefix.clone();
    store.write(move |unit| {
        if organizations::exist(unit)? || users::exist(unit)? {
            return Ok(None);
        }
        fill(unit, &url_prefix, &Actor::operator(now)).map(Some)
    })
}

fn fill(unit: &mut Unit<'_>, url_prefix: &UrlPrefix, actor: &Actor) -> Result<FirstStart> {
    let slug = Slug::stored(SLUG.to_owned());
    let organization = organizations::create(unit, actor, &slug, NAME)?;
    let team = teams::create(unit, actor, organization, &slug, NAME)?;
    let (project, public) = project(unit, actor, organization, team, &slug)?;
    let (user, token) = owner(unit, actor, organization)?;
    let link = Secret::random();
    users::make_link(unit, actor, user, LinkKind::SignIn, link.hash())?;
    Ok(FirstStart {
        organization: slug.clone(),
        project: slug,
        project_id: project,
        public,
        dsn: url_prefix.public_dsn(public, project),
        user_email: EMAIL,
        token,
        link,
    })
}

fn project(
    unit: &mut Unit<'_>,
    actor: &Actor,
    organization: OrganizationId,
    team: TeamId,
    slug: &Slug,
) -> Result<(ProjectId, PublicKey)> {
    let new = NewProject {
        organization,
        id: None,
        slug: slug.clone(),
        name: NAME.to_owned(),
        platform: None,
        origin: None,
    };
    let project = projects::create(unit, actor, &new)?;
    projects::add_team(unit, actor, organization, project, team)?;
    let public = PublicKey::random();
    let key = NewClientKey {
        organization,
        project,
        public: Some(public),
        secret: None,
        label: NAME.to_owned(),
        rate_limit: None,
    };
    client_keys::create(unit, actor, &key)?;
    Ok((project, public))
}

/// Makes the owner, a member of the team, and a token with all that an owner may do.
fn owner(
    unit: &mut Unit<'_>,
    actor: &Actor,
    organization: OrganizationId,
) -> Result<(UserId, TokenText)> {
    let user = users::create(unit, actor, EMAIL, "Admin", None)?;
    let (member, _) = members::set(unit, actor, organization, user, OrganizationRole::Owner)?;
    if let Some(team) = teams::find(unit, organization, &IdOrSlug::Slug(SLUG.to_owned()))? {
        teams::set_member(unit, actor, &team, member, None)?;
    }
    let owner = TokenOwner::User(user);
    let text = TokenText::random_user();
    let new = NewToken {
        owner,
        name: "First start".to_owned(),
        text: text.clone(),
        scopes: owner.default_scopes(),
        expires: None,
        projects: Vec::new(),
    };
    tokens::create(unit, actor, &new)?;
    Ok((user, text))
}
