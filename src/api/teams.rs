//! Teams, as far as organizations and projects show them (facts/management-api.md 5.1).

use serde::Serialize;
use serde_json::json;

use super::users::AvatarBody;
use crate::domain::access::Access;
use crate::domain::scope::ScopeSet;
use crate::domain::time::Timestamp;
use crate::store::teams::Team;

/// A team as the caller sees it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TeamBody {
    id: String,
    slug: String,
    name: String,
    date_created: Timestamp,
    is_member: bool,
    /// The caller's; null for one who is not in the team.
    team_role: Option<&'static str>,
    flags: serde_json::Value,
    access: ScopeSet,
    has_access: bool,
    is_pending: bool,
    member_count: u32,
    avatar: AvatarBody,
}

impl TeamBody {
    pub(super) fn of(team: &Team, member_count: u32, access: &Access) -> TeamBody {
        TeamBody {
            id: team.id.to_string(),
            slug: team.slug.to_string(),
            name: team.name.clone(),
            date_created: team.created,
            is_member: access.is_in_team(team.id),
            team_role: access.team_role(team.id).map(|role| role.as_str()),
            flags: json!({ "idp:provisioned": false }),
            access: access.team_scopes(team.id),
            has_access: access.sees_project(&[team.id]),
            is_pending: access.asks_to_join(team.id),
            member_count,
            avatar: AvatarBody::LETTER,
        }
    }
}

/// A team as its projects name it.
#[derive(Serialize)]
pub(super) struct TeamReference {
    id: String,
    name: String,
    slug: String,
}

impl TeamReference {
    pub(super) fn of(team: &Team) -> TeamReference {
        TeamReference {
            id: team.id.to_string(),
            name: team.name.clone(),
            slug: team.slug.to_string(),
        }
    }
}
