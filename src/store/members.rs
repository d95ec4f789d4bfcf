//! Members: users in organizations, and whoever was invited and has not come yet.
//!
//! An invitation is a member without a user. It has a role and seats in teams like any other, so that it becomes a
//! full member as it stands; it gives access to nothing until then, because access is looked up by user.

use std::fmt::Write;

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::{Value, json};

use super::audit::{self, Entry};
use super::conflict;
use super::organizations::{self, Organization};
use super::users::{self, User};
use super::writer::Unit;
use crate::domain::access::Membership;
use crate::domain::actor::Actor;
use crate::domain::id::{MemberId, OrganizationId, ProjectId, TeamId, UserId};
use crate::domain::scope::{OrganizationRole, TeamRole};
use crate::domain::slug::{IdOrSlug, Slug};
use crate::domain::time::Timestamp;
use crate::domain::token::TokenHash;
use crate::domain::{Error, Result};

/// A place in an organization, as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) id: MemberId,
    pub(crate) role: OrganizationRole,
    pub(crate) who: Person,
    /// Who invited them, if they were.
    pub(crate) inviter: Option<Inviter>,
    /// Whether the organization's identity provider knows them.
    pub(crate) sso_linked: bool,
    pub(crate) created: Timestamp,
}

/// Whose place it is.
#[derive(Clone, Debug)]
pub(crate) enum Person {
    User(User),
    /// Somebody with this address, as long as the link holds.
    Invited {
        email: String,
        expires: Timestamp,
    },
}

/// A user who invited somebody; the user may be gone from the organization since.
#[derive(Clone, Debug)]
pub(crate) struct Inviter {
    pub(crate) user: UserId,
    pub(crate) email: String,
    pub(crate) name: String,
}

impl Member {
    pub(crate) fn user(&self) -> Option<&User> {
        match &self.who {
            Person::User(user) => Some(user),
            Person::Invited { .. } => None,
        }
    }

    pub(crate) fn email(&self) -> &str {
        match &self.who {
            Person::User(user) => &user.email,
            Person::Invited { email, .. } => email,
        }
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.user().is_none()
    }

    /// Whether it is an invitation whose link holds no longer.
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        matches!(self.who, Person::Invited { expires, .. } if now >= expires)
    }

    pub(crate) fn is_of(&self, user: UserId) -> bool {
        self.user().is_some_and(|own| own.id == user)
    }

    pub(crate) fn was_invited_by(&self, user: UserId) -> bool {
        self.inviter
            .as_ref()
            .is_some_and(|inviter| inviter.user == user)
    }
}

/// A member's place in a team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) team: TeamId,
    pub(crate) slug: Slug,
    /// None: the default role.
    pub(crate) role: Option<TeamRole>,
}

/// Columns of a member, of its user and of its inviter. They are named apart, because two of the three are users.
pub(super) fn columns() -> String {
    format!(
        "member.id AS member_id, member.role, member.email AS invited_email, member.invite_expires_us,
         member.created_us AS member_created_us, {},
         inviter.id AS inviter_id, inviter.email AS inviter_email, inviter.name AS inviter_name,
         {IS_LINKED} AS sso_linked",
        users::COLUMNS
    )
}

pub(super) const TABLES: &str = "member LEFT JOIN user ON user.id = member.user_id
                      LEFT JOIN user AS inviter ON inviter.id = member.inviter_user_id";

/// Whether the organization's identity provider knows a member.
const IS_LINKED: &str =
    "EXISTS (SELECT 1 FROM identity JOIN identity_provider ON identity_provider.id = provider_id
                                 WHERE identity.user_id = member.user_id
                                   AND identity_provider.organization_id = member.organization_id)";

/// Leaves out the members whose accounts are off.
const IS_SHOWN: &str =
    "(member.user_id IS NULL OR member.user_id NOT IN (SELECT id FROM user WHERE active = 0))";

/// Members in the order of their addresses.
const BY_EMAIL: &str = "coalesce(user.email, member.email) COLLATE NOCASE, member.id";

pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Member> {
    let role: String = row.get("role")?;
    // The table's CHECK says that a row without an address has a user.
    let who = match row.get::<_, Option<String>>("invited_email")? {
        None => Person::User(users::from_row(row)?),
        Some(email) => Person::Invited {
            email,
            expires: Timestamp::from_us(
                row.get::<_, Option<i64>>("invite_expires_us")?.unwrap_or(0),
            ),
        },
    };
    let inviter = match row.get::<_, Option<i64>>("inviter_id")? {
        None => None,
        Some(id) => Some(Inviter {
            user: UserId(id),
            email: row.get("inviter_email")?,
            name: row.get("inviter_name")?,
        }),
    };
    Ok(Member {
        id: MemberId(row.get("member_id")?),
        role: parse_role(&role),
        who,
        inviter,
        sso_linked: row.get("sso_linked")?,
        created: Timestamp::from_us(row.get("member_created_us")?),
    })
}

/// The column's CHECK lets no other word in; the least role would be the answer to one.
fn parse_role(text: &str) -> OrganizationRole {
    OrganizationRole::parse(text).unwrap_or(OrganizationRole::Member)
}

pub(crate) fn find(
    connection: &Connection,
    organization: OrganizationId,
    user: UserId,
) -> rusqlite::Result<Option<Member>> {
    connection
        .prepare_cached(&format!(
            "SELECT {} FROM {TABLES}
             WHERE member.organization_id = :organization AND member.user_id = :user",
            columns()
        ))?
        .query_row(
            named_params! { ":organization": organization.0, ":user": user.0 },
            from_row,
        )
        .optional()
}

/// A member whose account is not off, or an invitation.
pub(crate) fn find_by_id(
    connection: &Connection,
    organization: OrganizationId,
    member: MemberId,
) -> rusqlite::Result<Option<Member>> {
    connection
        .prepare_cached(&format!(
            "SELECT {} FROM {TABLES}
             WHERE member.id = :member AND member.organization_id = :organization AND {IS_SHOWN}",
            columns()
        ))?
        .query_row(
            named_params! { ":organization": organization.0, ":member": member.0 },
            from_row,
        )
        .optional()
}

/// The member or the invitation that has this address, compared without case.
pub(crate) fn find_by_email(
    connection: &Connection,
    organization: OrganizationId,
    email: &str,
) -> rusqlite::Result<Option<Member>> {
    connection
        .prepare_cached(&format!(
            "SELECT {} FROM {TABLES}
             WHERE member.id = coalesce(
                 (SELECT member.id FROM user JOIN member ON member.user_id = user.id
                  WHERE user.email = :email AND member.organization_id = :organization),
                 (SELECT member.id FROM member WHERE organization_id = :organization AND email = :email))",
            columns()
        ))?
        .query_row(
            named_params! { ":organization": organization.0, ":email": email },
            from_row,
        )
        .optional()
}

/// Role and teams of a user in an organization, for deciding access.
pub(crate) fn find_membership(
    connection: &Connection,
    organization: OrganizationId,
    user: UserId,
) -> rusqlite::Result<Option<Membership>> {
    let member = connection
        .prepare_cached(
            "SELECT id, role FROM member WHERE organization_id = :organization AND user_id = :user",
        )?
        .query_row(
            named_params! { ":organization": organization.0, ":user": user.0 },
            |row| {
                let role: String = row.get("role")?;
                Ok((row.get::<_, i64>("id")?, parse_role(&role)))
            },
        )
        .optional()?;
    let Some((member, role)) = member else {
        return Ok(None);
    };
    let teams = connection
        .prepare_cached(
            "SELECT team_id, role FROM team_member JOIN team ON team.id = team_id
             WHERE member_id = :member AND team.deleted_us IS NULL",
        )?
        .query_map([member], |row| {
            let role: Option<String> = row.get("role")?;
            Ok((
                TeamId(row.get("team_id")?),
                role.as_deref().and_then(TeamRole::parse),
            ))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let asked = connection
        .prepare_cached("SELECT team_id FROM team_request WHERE member_id = :member")?
        .query_map([member], |row| row.get(0).map(TeamId))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(Membership { role, teams, asked }))
}

/// Which members a list is of. Lists are alternatives, and `None` means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemberFilter {
    /// Part of the name or address, without case.
    pub(crate) text: Option<String>,
    /// Compared without case.
    pub(crate) emails: Option<Vec<String>>,
    pub(crate) ids: Option<Vec<i64>>,
    pub(crate) users: Option<Vec<i64>>,
    pub(crate) roles: Option<Vec<OrganizationRole>>,
    /// Invitations only, or none.
    pub(crate) invited: Option<bool>,
    /// Those with a second factor only, or those without; invitations are.
    pub(crate) second_factor: Option<bool>,
    /// Those only whom the organization's identity provider knows, or the others.
    pub(crate) sso_linked: Option<bool>,
}

/// A page of the members of an organization in the order of their numbers: at most `limit` after the first `offset`.
///
/// The numbers of the page come from an index alone; the rows themselves are read for the page only. Without a filter
/// the last page costs what the first does, because whole blocks of members are left behind by their counts.
pub(crate) fn list(
    connection: &Connection,
    organization: OrganizationId,
    filter: &MemberFilter,
    offset: i64,
    limit: i64,
) -> Result<Vec<Member>> {
    let (first, offset) = match filter {
        filter if *filter == MemberFilter::default() => {
            find_place(connection, organization, offset)?
        }
        _ => (MemberId(0), offset),
    };
    let mut params: Vec<(&str, &dyn rusqlite::ToSql)> = vec![
        (":organization", &organization.0),
        (":first", &first.0),
        (":offset", &offset),
        (":limit", &limit),
    ];
    let numbers = |list: &Option<Vec<i64>>| list.as_ref().map(|list| json!(list).to_string());
    let emails = filter.emails.as_ref().map(|list| json!(list).to_string());
    let (ids, users) = (numbers(&filter.ids), numbers(&filter.users));
    let roles = filter.roles.as_ref().map(|roles| {
        let words: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        json!(words).to_string()
    });
    let mut conditions = String::new();
    if let Some(text) = &filter.text {
        conditions.push_str(
            " AND (instr(lower(member.email), lower(:text))
                   OR EXISTS (SELECT 1 FROM user WHERE user.id = member.user_id
                              AND (instr(lower(user.email), lower(:text))
                                   OR instr(lower(user.name), lower(:text)))))",
        );
        params.push((":text", text));
    }
    if let Some(emails) = &emails {
        conditions.push_str(
            " AND lower(coalesce(member.email, (SELECT email FROM user WHERE user.id = member.user_id)))
                  IN (SELECT lower(value) FROM json_each(:emails))",
        );
        params.push((":emails", emails));
    }
    for (name, column, values) in [
        (":ids", "id", &ids),
        (":users", "user_id", &users),
        (":roles", "role", &roles),
    ] {
        if let Some(values) = values {
            // Writing to a String cannot fail.
            let _ = write!(
                conditions,
                " AND member.{column} IN (SELECT value FROM json_each({name}))"
            );
            params.push((name, values));
        }
    }
    match filter.invited {
        Some(true) => conditions.push_str(" AND member.user_id IS NULL"),
        Some(false) => conditions.push_str(" AND member.user_id IS NOT NULL"),
        None => {}
    }
    if let Some(with) = filter.second_factor {
        let not = if with { "" } else { "NOT " };
        // Writing to a String cannot fail.
        let _ = write!(
            conditions,
            " AND {not}EXISTS (SELECT 1 FROM authenticator
                               WHERE authenticator.user_id = member.user_id AND authenticator.kind = 'totp')"
        );
    }
    if let Some(is_linked) = filter.sso_linked {
        let not = if is_linked { "" } else { "NOT " };
        // Writing to a String cannot fail.
        let _ = write!(conditions, " AND {not}{IS_LINKED}");
    }
    Ok(connection
        .prepare_cached(&format!(
            "SELECT {} FROM {TABLES} WHERE member.id IN ({}) ORDER BY member.id",
            columns(),
            numbers_sql(&conditions)
        ))?
        .query_map(params.as_slice(), from_row)?
        .collect::<rusqlite::Result<_>>()?)
}

/// Where the member is that has so many shown before it: a number, and how many to leave out from there on.
fn find_place(
    connection: &Connection,
    organization: OrganizationId,
    offset: i64,
) -> rusqlite::Result<(MemberId, i64)> {
    let mut statement = connection.prepare_cached(
        "SELECT member_block.block, member_block.members - coalesce(hidden.members, 0)
         FROM member_block
         LEFT JOIN (SELECT member.id >> 8 AS block, count(*) AS members
                    FROM user INDEXED BY user_inactive CROSS JOIN member ON member.user_id = user.id
                    WHERE user.active = 0 AND member.organization_id = :organization
                    GROUP BY 1) AS hidden ON hidden.block = member_block.block
         WHERE member_block.organization_id = :organization ORDER BY member_block.block",
    )?;
    let mut rows = statement.query([organization.0])?;
    let mut rest = offset;
    let mut first = 0;
    while let Some(row) = rows.next()? {
        let (block, members): (i64, i64) = (row.get(0)?, row.get(1)?);
        first = block << 8;
        if rest < members {
            break;
        }
        rest -= members;
        // What comes after this block, if nothing else does.
        first += 1 << 8;
    }
    Ok((MemberId(first), rest))
}

/// The numbers of a page of members.
fn numbers_sql(conditions: &str) -> String {
    format!(
        "SELECT member.id FROM member INDEXED BY member_by_organization
         WHERE member.organization_id = :organization AND member.id >= :first AND {IS_SHOWN}{conditions}
         ORDER BY member.id LIMIT :limit OFFSET :offset"
    )
}

/// A page of those who are in a team, invitations included, each with the role there; by address.
pub(crate) fn list_of_team(
    connection: &Connection,
    team: TeamId,
    offset: i64,
    limit: i64,
) -> rusqlite::Result<Vec<(Member, Option<TeamRole>)>> {
    connection
        .prepare_cached(&format!(
            "SELECT {}, team_member.role AS team_role
             FROM {TABLES} JOIN team_member ON team_member.member_id = member.id
             WHERE team_member.team_id = :team AND {IS_SHOWN}
             ORDER BY {BY_EMAIL} LIMIT :limit OFFSET :offset",
            columns()
        ))?
        .query_map(
            named_params! { ":team": team.0, ":limit": limit, ":offset": offset },
            |row| {
                let role: Option<String> = row.get("team_role")?;
                Ok((from_row(row)?, role.as_deref().and_then(TeamRole::parse)))
            },
        )?
        .collect()
}

/// Every user who is in a team of the project, by address.
pub(crate) fn list_of_project(
    connection: &Connection,
    project: ProjectId,
) -> rusqlite::Result<Vec<Member>> {
    connection
        .prepare_cached(&format!(
            "SELECT {} FROM {TABLES}
             WHERE member.id IN (SELECT team_member.member_id FROM project_team
                                 JOIN team ON team.id = project_team.team_id
                                 JOIN team_member ON team_member.team_id = team.id
                                 WHERE project_team.project_id = :project AND team.deleted_us IS NULL)
               AND user.active
             ORDER BY {BY_EMAIL}",
            columns()
        ))?
        .query_map([project.0], from_row)?
        .collect()
}

/// The teams that a member is in, by slug.
pub(crate) fn list_seats(connection: &Connection, member: MemberId) -> rusqlite::Result<Vec<Seat>> {
    connection
        .prepare_cached(
            "SELECT team.id, team.slug, team_member.role FROM team_member JOIN team ON team.id = team_id
             WHERE member_id = :member AND team.deleted_us IS NULL ORDER BY team.slug",
        )?
        .query_map([member.0], |row| {
            let role: Option<String> = row.get("role")?;
            Ok(Seat {
                team: TeamId(row.get("id")?),
                slug: Slug::stored(row.get("slug")?),
                role: role.as_deref().and_then(TeamRole::parse),
            })
        })?
        .collect()
}

/// Whether nobody would own the organization without this member.
pub(crate) fn is_only_owner(
    connection: &Connection,
    organization: OrganizationId,
    member: &Member,
) -> rusqlite::Result<bool> {
    if member.role != OrganizationRole::Owner || member.is_pending() {
        return Ok(false);
    }
    let has_others = connection
        .prepare_cached(
            "SELECT 1 FROM member JOIN user ON user.id = member.user_id
             WHERE member.organization_id = :organization AND member.role = 'owner' AND user.active
               AND member.id <> :member",
        )?
        .exists(named_params! { ":organization": organization.0, ":member": member.id.0 })?;
    Ok(!has_others)
}

/// How many of the invitations that wait now were made since then.
pub(crate) fn count_invited_since(
    connection: &Connection,
    organization: OrganizationId,
    since: Timestamp,
) -> rusqlite::Result<u32> {
    connection
        .prepare_cached(
            "SELECT count(*) FROM member
             WHERE organization_id = :organization AND user_id IS NULL AND created_us >= :since",
        )?
        .query_row(
            named_params! { ":organization": organization.0, ":since": since.us() },
            |row| row.get(0),
        )
}

/// Makes a user a member, or changes the role; the member, and whether anything changed. One who was invited comes by
/// that: the invitation becomes theirs, with its seats in teams.
pub(crate) fn set(
    unit: &mut Unit<'_>,
    actor: &Actor,
    organization: OrganizationId,
    user: UserId,
    role: OrganizationRole,
) -> Result<(MemberId, bool)> {
    let before = find(unit, organization, user)?;
    if let Some(member) = before.as_ref().filter(|member| member.role == role) {
        return Ok((member.id, false));
    }
    let accepted = unit
        .prepare_cached(
            "UPDATE member SET user_id = :user, email = NULL, invite_hash = NULL, invite_expires_us = NULL,
                               role = :role
             WHERE organization_id = :organization AND email = (SELECT email FROM user WHERE id = :user)",
        )?
        .execute(named_params! {
            ":organization": organization.0,
            ":user": user.0,
            ":role": role.as_str(),
        })?;
    if accepted == 0 {
        unit.prepare_cached(
            "INSERT INTO member (organization_id, user_id, role, created_us)
             VALUES (:organization, :user, :role, :created)
             ON CONFLICT DO UPDATE SET role = excluded.role",
        )?
        .execute(named_params! {
            ":organization": organization.0,
            ":user": user.0,
            ":role": role.as_str(),
            ":created": actor.at.us(),
        })?;
    }
    let member = find(unit, organization, user)?
        .ok_or_else(|| Error::internal("a member that was just written is not there"))?;
    let seats = list_seats(unit, member.id)?;
    let mut data = audit_data(member.email(), Some(user), role, &seats);
    let event = match &before {
        Some(before) => {
            data["old_role"] = json!(before.role.as_str());
            "member.edit"
        }
        None => "member.add",
    };
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(organization),
            event,
            target: member.id.0,
            data,
        },
    )?;
    Ok((member.id, true))
}

/// What an invitation's row holds of its link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InviteLink {
    pub(crate) hash: TokenHash,
    pub(crate) expires: Timestamp,
}

/// An invitation to be made.
pub(crate) struct NewInvitation<'a> {
    pub(crate) organization: OrganizationId,
    pub(crate) email: &'a str,
    pub(crate) role: OrganizationRole,
    pub(crate) seats: &'a [Seat],
    pub(crate) inviter: Option<UserId>,
    pub(crate) link: InviteLink,
}

/// # Errors
/// `Conflict`: the address has been invited already.
pub(crate) fn invite(
    unit: &mut Unit<'_>,
    actor: &Actor,
    new: &NewInvitation<'_>,
) -> Result<MemberId> {
    unit.prepare_cached(
        "INSERT INTO member (organization_id, role, created_us, email, inviter_user_id, invite_hash,
                             invite_expires_us)
         VALUES (:organization, :role, :created, :email, :inviter, :hash, :expires)",
    )?
    .execute(named_params! {
        ":organization": new.organization.0,
        ":role": new.role.as_str(),
        ":created": actor.at.us(),
        ":email": new.email,
        ":inviter": new.inviter.map(|user| user.0),
        ":hash": new.link.hash.0,
        ":expires": new.link.expires.us(),
    })
    .map_err(|error| {
        conflict(error, || {
            format!("The user {} has already been invited", new.email)
        })
    })?;
    let id = MemberId(unit.last_insert_rowid());
    for seat in new.seats {
        put_into_team(unit, id, seat)?;
    }
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(new.organization),
            event: "member.invite",
            target: id.0,
            data: audit_data(new.email, None, new.role, new.seats),
        },
    )?;
    Ok(id)
}

/// Gives an invitation another link; the old one is worth nothing from now on.
pub(crate) fn invite_again(
    unit: &mut Unit<'_>,
    actor: &Actor,
    organization: OrganizationId,
    member: &Member,
    link: InviteLink,
) -> Result<()> {
    set_link(unit, member.id, link)?;
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(organization),
            event: "member.reinvite",
            target: member.id.0,
            data: json!({ "email": member.email(), "role": member.role.as_str() }),
        },
    )?;
    Ok(())
}

/// The invitation that a link leads to; none if there is no such link, if it was used or has expired, or if the
/// organization is gone.
pub(crate) fn find_invitation(
    connection: &Connection,
    member: MemberId,
    hash: TokenHash,
    now: Timestamp,
) -> rusqlite::Result<Option<(Member, Organization)>> {
    let found = connection
        .prepare_cached(&format!(
            "SELECT {}, member.organization_id FROM {TABLES}
             WHERE member.id = :member AND member.invite_hash = :hash AND member.invite_expires_us > :now
               AND member.user_id IS NULL",
            columns()
        ))?
        .query_row(
            named_params! { ":member": member.0, ":hash": hash.0, ":now": now.us() },
            |row| Ok((from_row(row)?, row.get::<_, i64>("organization_id")?)),
        )
        .optional()?;
    let Some((member, organization)) = found else {
        return Ok(None);
    };
    let organization = organizations::find(connection, &IdOrSlug::Id(organization))?;
    Ok(organization.map(|organization| (member, organization)))
}

/// Makes an invitation a user's place, with its role and its seats in teams. Its link is good for nothing from then on.
///
/// # Errors
/// `Conflict`: the user is a member already.
pub(crate) fn accept(
    unit: &mut Unit<'_>,
    actor: &Actor,
    organization: OrganizationId,
    invitation: &Member,
    user: UserId,
) -> Result<()> {
    let seats = list_seats(unit, invitation.id)?;
    unit.prepare_cached(
        "UPDATE member SET user_id = :user, email = NULL, invite_hash = NULL, invite_expires_us = NULL
         WHERE id = :id AND user_id IS NULL",
    )?
    .execute(named_params! { ":user": user.0, ":id": invitation.id.0 })
    .map_err(|error| {
        conflict(error, || {
            "You are a member of this organization already.".to_owned()
        })
    })?;
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(organization),
            event: "member.accept-invite",
            target: invitation.id.0,
            data: audit_data(invitation.email(), Some(user), invitation.role, &seats),
        },
    )?;
    Ok(())
}

/// What a member is to become.
pub(crate) struct MemberUpdate {
    pub(crate) role: OrganizationRole,
    /// All of them: others are left.
    pub(crate) seats: Vec<Seat>,
    /// Another link for an invitation.
    pub(crate) link: Option<InviteLink>,
}

/// Changes role and teams; nothing is written when both are as they were.
pub(crate) fn update(
    unit: &mut Unit<'_>,
    actor: &Actor,
    organization: OrganizationId,
    old: &Member,
    new: &MemberUpdate,
) -> Result<()> {
    let old_seats = list_seats(unit, old.id)?;
    if let Some(link) = new.link {
        set_link(unit, old.id, link)?;
    }
    let mut seats = new.seats.clone();
    seats.sort_by(|a, b| a.slug.as_str().cmp(b.slug.as_str()));
    if old.role == new.role && old_seats == seats {
        return Ok(());
    }
    unit.prepare_cached("UPDATE member SET role = :role WHERE id = :id")?
        .execute(named_params! { ":role": new.role.as_str(), ":id": old.id.0 })?;
    let kept: Vec<i64> = seats.iter().map(|seat| seat.team.0).collect();
    unit.prepare_cached(
        "DELETE FROM team_member
         WHERE member_id = :member AND team_id NOT IN (SELECT value FROM json_each(:kept))",
    )?
    .execute(named_params! { ":member": old.id.0, ":kept": json!(kept).to_string() })?;
    for seat in &seats {
        put_into_team(unit, old.id, seat)?;
    }
    let user = old.user().map(|user| user.id);
    let mut data = audit_data(old.email(), user, new.role, &seats);
    data["old_role"] = json!(old.role.as_str());
    data["old_teams_slugs"] = slugs(&old_seats);
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(organization),
            event: "member.edit",
            target: old.id.0,
            data,
        },
    )?;
    Ok(())
}

/// Removes a member or an invitation, with its seats in teams; false, and nothing is done, if nobody else owns the
/// organization.
pub(crate) fn delete(
    unit: &mut Unit<'_>,
    actor: &Actor,
    organization: OrganizationId,
    member: &Member,
) -> Result<bool> {
    if is_only_owner(unit, organization, member)? {
        return Ok(false);
    }
    let seats = list_seats(unit, member.id)?;
    unit.prepare_cached("DELETE FROM team_member WHERE member_id = :member")?
        .execute([member.id.0])?;
    // Requests to join teams go with the row.
    unit.prepare_cached("DELETE FROM member WHERE id = :id")?
        .execute([member.id.0])?;
    let user = member.user().map(|user| user.id);
    audit::record(
        unit,
        actor,
        Entry {
            organization: Some(organization),
            event: match member.is_pending() {
                true => "invite.remove",
                false => "member.remove",
            },
            target: member.id.0,
            data: audit_data(member.email(), user, member.role, &seats),
        },
    )?;
    Ok(true)
}

fn set_link(unit: &Unit<'_>, member: MemberId, link: InviteLink) -> rusqlite::Result<()> {
    unit.prepare_cached(
        "UPDATE member SET invite_hash = :hash, invite_expires_us = :expires WHERE id = :id",
    )?
    .execute(named_params! {
        ":hash": link.hash.0,
        ":expires": link.expires.us(),
        ":id": member.0,
    })
    .map(drop)
}

/// The role there is exactly the seat's.
pub(super) fn put_into_team(
    unit: &Unit<'_>,
    member: MemberId,
    seat: &Seat,
) -> rusqlite::Result<()> {
    unit.prepare_cached(
        "INSERT INTO team_member (team_id, member_id, role) VALUES (:team, :member, :role)
         ON CONFLICT DO UPDATE SET role = excluded.role",
    )?
    .execute(named_params! {
        ":team": seat.team.0,
        ":member": member.0,
        ":role": seat.role.map(TeamRole::as_str),
    })?;
    unit.prepare_cached("DELETE FROM team_request WHERE team_id = :team AND member_id = :member")?
        .execute(named_params! { ":team": seat.team.0, ":member": member.0 })
        .map(drop)
}

pub(super) fn audit_data(
    email: &str,
    user: Option<UserId>,
    role: OrganizationRole,
    seats: &[Seat],
) -> Value {
    let teams: Vec<i64> = seats.iter().map(|seat| seat.team.0).collect();
    json!({
        "email": email, "user_id": user.map(|user| user.0), "role": role.as_str(),
        "teams": teams, "teams_slugs": slugs(seats),
    })
}

fn slugs(seats: &[Seat]) -> Value {
    seats.iter().map(|seat| json!(seat.slug.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::connection;
    use super::*;
    use crate::domain::durability::Durability;

    fn open() -> (tempfile::TempDir, Connection) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("picket.db");
        connection::touch(&path).unwrap();
        let connection = connection::open_for_writing(&path, Durability::Normal).unwrap();
        (directory, connection)
    }

    /// Neither sorted nor read row by row, so that the pages before the last one cost little.
    #[test]
    fn the_numbers_of_a_page_come_from_an_index_alone() {
        let (_directory, connection) = open();
        let sql = format!("EXPLAIN QUERY PLAN {}", numbers_sql(""));
        let mut statement = connection.prepare(&sql).unwrap();
        let plan: Vec<String> = statement
            .raw_query()
            .mapped(|row| row.get("detail"))
            .collect::<rusqlite::Result<_>>()
            .unwrap();
        let expected = "SEARCH member USING COVERING INDEX member_by_organization (organization_id=? AND id>?)";
        assert_eq!(plan[0], expected, "{plan:?}");
        let sorts = |step: &String| step.contains("TEMP B-TREE");
        assert!(!plan.iter().any(sorts), "{plan:?}");
    }

    /// Two organizations take turns for numbers; some members are gone again and some accounts are off.
    #[test]
    fn every_page_is_where_counting_finds_it() {
        let (_directory, connection) = open();
        connection
            .execute_batch(
                "INSERT INTO organization (id, slug, name, created_us) VALUES (1, 'acme', '', 0), (2, 'beta', '', 0);
                 WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 3000)
                 INSERT INTO user (id, email, name, created_us, active)
                 SELECT n, n || '@example.test', '', 0, n % 41 <> 0 FROM number;
                 INSERT INTO member (organization_id, user_id, role, created_us)
                 SELECT 1 + (id % 3 = 0), id, 'member', 0 FROM user;
                 DELETE FROM member WHERE id % 7 = 0 OR id BETWEEN 700 AND 1300;",
            )
            .unwrap();
        for organization in [1, 2] {
            let shown: Vec<i64> = connection
                .prepare(
                    "SELECT member.id FROM member JOIN user ON user.id = user_id
                     WHERE organization_id = ?1 AND active ORDER BY member.id",
                )
                .unwrap()
                .query_map([organization], |row| row.get(0))
                .unwrap()
                .collect::<rusqlite::Result<_>>()
                .unwrap();
            for offset in (0..shown.len() + 20).step_by(7) {
                let filter = MemberFilter::default();
                let page = list(
                    &connection,
                    OrganizationId(organization),
                    &filter,
                    offset as i64,
                    9,
                );
                let ids: Vec<i64> = page.unwrap().iter().map(|member| member.id.0).collect();
                let expected: Vec<i64> = shown.iter().copied().skip(offset).take(9).collect();
                assert_eq!(ids, expected, "{organization} {offset}");
            }
        }
        // A count that is no longer needed is gone.
        connection.execute_batch("DELETE FROM member").unwrap();
        let blocks: i64 = connection
            .query_row("SELECT count(*) FROM member_block", [], |row| row.get(0))
            .unwrap();
        assert_eq!(blocks, 0);
    }
}
