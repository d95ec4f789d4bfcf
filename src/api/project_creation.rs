//! New projects: of a team, or of an organization with a team of their own (facts/management-api.md 4.3 to 4.5).
//!
//! Everything that a project begins with is written in one transaction: its team, the key named `Default`, the filters
//! of its platform. Sentry's default alert is not made: there are no alerts yet.

use rand::RngExt;
use serde::Serialize;
use serde_json::{Value, json};

use super::body::{Fields, Null};
use super::error::{self, Result};
use super::projects::{ProjectSummaryBody, Series};
use super::{Api, Call, InOrganization, InTeam};
use crate::domain::Error;
use crate::domain::access::Access;
use crate::domain::actor::Actor;
use crate::domain::id::{CHOSEN_ID_MAX, OrganizationId, ProjectId, TeamId};
use crate::domain::option::{self, LEGACY_BROWSERS_TODAY};
use crate::domain::platform;
use crate::domain::scope::{OrganizationRole, Scope, TeamRole};
use crate::domain::slug::{self, IdOrSlug, Slug, SlugKind};
use crate::http::Response;
use crate::store::client_keys::{self, NewClientKey};
use crate::store::organizations::{self, Organization};
use crate::store::projects::{self, NewProject, Project};
use crate::store::teams;
use crate::store::writer::Unit;
use crate::store::{Connection, members, users};

const NAME_CHARS_MAX: usize = 50;

/// How long the words may be that the audit log keeps.
const ORIGIN_CHARS_MAX: usize = 200;

/// The body of both POSTs. `default_rules` is checked and has no effect: there are no alerts yet.
struct NewProjectBody {
    name: String,
    /// None: made of the name.
    slug: Option<Slug>,
    platform: Option<String>,
    /// Ours: the number at the end of DSNs, so that an application can keep its own.
    id: Option<ProjectId>,
    /// For the audit log.
    origin: Option<String>,
}

impl NewProjectBody {
    fn read(call: &mut Call<'_>, organization: &Organization) -> Result<NewProjectBody> {
        let mut fields = call.body()?;
        fields.refuse_missing("name");
        let name = fields.filled_text("name", NAME_CHARS_MAX, Null::Refused);
        let name = name.value().unwrap_or_default();
        if slug::is_reserved(SlugKind::Project, &name) {
            let text = format!("The name \"{name}\" is reserved and not allowed.");
            fields.refuse("name", text);
        }
        let slug = fields
            .slug("slug", SlugKind::NewProject, Null::Allowed)
            .value();
        let platform = read_platform(&mut fields, &call.connection, organization)?;
        fields.boolean("default_rules", Null::Refused);
        let id = fields.integer("id", 1, CHOSEN_ID_MAX).value();
        let origin = fields.text("origin", ORIGIN_CHARS_MAX, Null::Allowed);
        fields.finish()?;
        Ok(NewProjectBody {
            name,
            slug,
            platform,
            id: id.map(ProjectId),
            origin: origin.value().filter(|text| !text.is_empty()),
        })
    }

    /// Makes the project, with all that it begins with.
    ///
    /// # Errors
    /// `Conflict`: slug or id are taken. `NotFound`: the organization went meanwhile.
    fn make(
        &self,
        unit: &mut Unit<'_>,
        actor: &Actor,
        organization: OrganizationId,
        team: TeamId,
    ) -> Result<Project, Error> {
        if !organizations::is_there(unit, organization)? {
            return Err(Error::NotFound);
        }
        let slug = match &self.slug {
            Some(slug) => slug.clone(),
            None => Slug::derive(SlugKind::Project, &self.name, |slug| {
                let segment = IdOrSlug::Slug(slug.to_string());
                Ok::<_, Error>(projects::find(unit, organization, &segment)?.is_some())
            })?,
        };
        let new = NewProject {
            organization,
            id: self.id,
            slug,
            name: self.name.clone(),
            platform: self.platform.clone(),
            origin: self.origin.clone(),
        };
        let id = projects::create(unit, actor, &new)?;
        projects::add_team(unit, actor, organization, id, team)?;
        let key = NewClientKey {
            organization,
            project: id,
            public: None,
            secret: None,
            label: "Default".to_owned(),
            rate_limit: None,
        };
        client_keys::create(unit, actor, &key)?;
        for (name, value) in filters_of(self.platform.as_deref().unwrap_or_default()) {
            projects::set_first_option(unit, id, name, &value)?;
        }
        projects::find(unit, organization, &IdOrSlug::Id(id.0))?
            .ok_or_else(|| Error::internal("a project that was just made is not there"))
    }
}

/// Blank is none.
fn read_platform(
    fields: &mut Fields,
    connection: &Connection,
    organization: &Organization,
) -> Result<Option<String>> {
    const NAME: &str = "platform";
    // A text that is too long for any platform is no platform.
    let given = fields.text(NAME, usize::MAX, Null::Allowed).value();
    let Some(platform) = given.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if !platform::is_allowed(&platform) {
        fields.refuse(NAME, "Invalid platform");
    } else if platform::is_console(&platform) {
        let options = organizations::list_options(connection, organization.id)?;
        if !option::allows_console(&options, &platform) {
            let text =
                format!("Console platform '{platform}' is not enabled for this organization");
            fields.refuse(NAME, text);
        }
    }
    Ok(Some(platform))
}

/// The filters that are on from the beginning, beside those that are on for every project.
fn filters_of(platform: &str) -> Vec<(&'static str, Value)> {
    if !platform.starts_with("javascript") {
        return Vec::new();
    }
    let mut browsers = LEGACY_BROWSERS_TODAY;
    browsers.sort_unstable();
    vec![
        (option::FILTER_BROWSER_EXTENSIONS, json!(true)),
        (option::FILTER_WEB_CRAWLERS, json!(true)),
        (option::FILTER_LEGACY_BROWSERS, json!(browsers)),
    ]
}

/// # Errors
/// 403: the organization does not let its plain members make projects, and the caller is one.
fn refuse_plain_member(
    organization: &Organization,
    access: &Access,
    team: Option<TeamId>,
) -> Result<()> {
    let is_team_admin = team.and_then(|team| access.team_role(team)) == Some(TeamRole::Admin);
    let is_plain = access.role() == Some(OrganizationRole::Member) && !is_team_admin;
    if organization.policy.create_projects || !is_plain || access.scopes().contains(Scope::OrgWrite)
    {
        return Ok(());
    }
    let text = "Your organization has disabled this feature for members.";
    Err(error::detail(403, text).into())
}

/// A new project, as the lists show it.
fn summary(
    call: &Call<'_>,
    organization: &Organization,
    project: Project,
) -> Result<ProjectSummaryBody> {
    // With what the caller has become by it.
    let access = call.access(organization)?;
    let bodies = ProjectSummaryBody::of_all(call, &access, vec![project], &Series::default())?;
    let body = bodies.into_iter().next();
    Ok(body.ok_or_else(|| Error::internal("a project has no summary"))?)
}

/// `POST T/projects/`: 201; whoever is in the team may.
pub(super) fn of_team(api: &Api, mut call: Call<'_>, context: InTeam) -> Result<Response> {
    let InTeam {
        organization,
        team,
        access,
    } = &context;
    refuse_plain_member(organization, access, Some(team.id))?;
    let body = NewProjectBody::read(&mut call, organization)?;
    let actor = call.actor()?;
    let (organization_id, team) = (organization.id, team.id);
    let project = api.store.write(move |unit| {
        // Gone since it was looked up.
        if teams::find(unit, organization_id, &IdOrSlug::Id(team.0))?.is_none() {
            return Err(Error::NotFound);
        }
        body.make(unit, &actor, organization_id, team)
    })?;
    let body = summary(&call, organization, project)?;
    Ok(Response::json(201, &body))
}

/// A project with the slug of the team that was made for it.
#[derive(Serialize)]
struct WithTeamBody {
    #[serde(flatten)]
    project: ProjectSummaryBody,
    team_slug: String,
}

/// How often another slug is tried for a personal team.
const TEAM_SLUG_TRIES: usize = 5;

/// `POST O/projects/`: 201; with a team of the caller's own, which the caller administers.
pub(super) fn of_organization(
    api: &Api,
    mut call: Call<'_>,
    context: InOrganization,
) -> Result<Response> {
    let InOrganization {
        organization,
        access,
    } = &context;
    let Some(user) = call.caller.user() else {
        return Err(Error::Unauthorized("User is not authenticated".to_owned()).into());
    };
    refuse_plain_member(organization, access, None)?;
    let body = NewProjectBody::read(&mut call, organization)?;
    let actor = call.actor()?;
    let id = organization.id;
    let made = api.store.write(move |unit| {
        let member = members::find(unit, id, user)?;
        let user = users::find(unit, user)?;
        let (Some(member), Some(user)) = (member, user) else {
            return Ok(Err(NotMade::NoMember));
        };
        let Some(slug) = personal_team_slug(unit, id, &user.email)? else {
            return Ok(Err(NotMade::NoTeamSlug));
        };
        if let Some(chosen) = body.id {
            match projects::refuse_taken_id(unit, chosen) {
                Err(Error::Conflict(text)) => return Ok(Err(NotMade::TakenId(text))),
                checked => checked?,
            }
        }
        let team = teams::create(unit, &actor, id, &slug, slug.as_str())?;
        let team = teams::find(unit, id, &IdOrSlug::Id(team.0))?
            .ok_or_else(|| Error::internal("a team that was just made is not there"))?;
        teams::set_member(unit, &actor, &team, member.id, Some(TeamRole::Admin))?;
        let project = body.make(unit, &actor, id, team.id)?;
        projects::record_with_team(unit, &actor, &project, &team)?;
        Ok(Ok((project, slug)))
    });
    let (project, team_slug) = match made {
        // A project's slug too, as in the original.
        Err(Error::Conflict(_)) => return Err(error::team_conflict().into()),
        made => made?.map_err(NotMade::answer)?,
    };
    let body = WithTeamBody {
        project: summary(&call, organization, project)?,
        team_slug: team_slug.to_string(),
    };
    Ok(Response::json(201, &body))
}

/// Why there is no project with a team of its own.
enum NotMade {
    NoMember,
    NoTeamSlug,
    /// Another project has the chosen id, in so many words. A conflict of slugs is not told from one of teams.
    TakenId(String),
}

impl NotMade {
    fn answer(self) -> Response {
        match self {
            NotMade::NoMember => error::detail(
                403,
                "You must be a member of the organization to join a new team as a Team Admin",
            ),
            NotMade::NoTeamSlug => error::detail(
                409,
                "Unable to create a default team for this user. Please try again.",
            ),
            NotMade::TakenId(text) => error::detail(409, &text),
        }
    }
}

/// `team-ann` for `ann@example.test`, with three random letters behind it where that is taken; none if those are too.
fn personal_team_slug(
    connection: &Connection,
    organization: OrganizationId,
    email: &str,
) -> Result<Option<Slug>, Error> {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
    const BASE_CHARS_MAX: usize = 50 - "-abc".len();
    let local = email.split('@').next().unwrap_or_default();
    let mut base = format!("team-{}", slug::slugify(SlugKind::Team, local));
    base.truncate(BASE_CHARS_MAX);
    base.truncate(base.trim_end_matches('-').len());
    let mut candidate = base.clone();
    for _ in 0..=TEAM_SLUG_TRIES {
        let is_taken =
            teams::find(connection, organization, &IdOrSlug::Slug(candidate.clone()))?.is_some();
        if !is_taken && let Ok(slug) = Slug::parse(SlugKind::Team, &candidate) {
            return Ok(Some(slug));
        }
        let mut rng = rand::rng();
        let letters: String = (0..3)
            .map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())]))
            .collect();
        candidate = format!("{base}-{letters}");
    }
    Ok(None)
}
