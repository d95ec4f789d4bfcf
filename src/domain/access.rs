//! Who is asking, and what that caller may do in one organization.
//!
//! An [`Access`] is made once per request, from the caller and the organization that the path names, and is
//! the only thing that decides between allowed and 403 (design 6, facts/auth-and-tokens.md 6.3 and 6.4).

use std::sync::Arc;

use super::id::{OrganizationId, ProjectId, SessionId, TeamId, TokenId, UserId};
use super::scope::{OrganizationRole, Scope, ScopeSet, TeamRole};

/// Whoever the credentials of a request stand for.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    Anonymous,
    /// A user through one of the user's own tokens.
    UserToken {
        user: UserId,
        token: TokenId,
        scopes: ScopeSet,
        /// The only projects that the token is for; empty for all.
        projects: Arc<[ProjectId]>,
    },
    /// A user in a browser that is signed in: the roles alone decide.
    Session {
        user: UserId,
        session: SessionId,
    },
    /// An organization's own token: no user stands behind it.
    OrganizationToken {
        organization: OrganizationId,
        token: TokenId,
        scopes: ScopeSet,
        /// The only projects that the token is for; empty for all.
        projects: Arc<[ProjectId]>,
    },
}

impl Caller {
    /// The scopes of the token itself, before any role cuts them; a session has no such limit.
    pub(crate) fn token_scopes(&self) -> ScopeSet {
        match self {
            Caller::Anonymous => ScopeSet::NONE,
            Caller::Session { .. } => ScopeSet::ALL,
            Caller::UserToken { scopes, .. } | Caller::OrganizationToken { scopes, .. } => *scopes,
        }
    }

    pub(crate) fn token(&self) -> Option<TokenId> {
        match self {
            Caller::UserToken { token, .. } | Caller::OrganizationToken { token, .. } => {
                Some(*token)
            }
            Caller::Anonymous | Caller::Session { .. } => None,
        }
    }

    /// The only projects that the caller's token is for; none for all.
    pub(crate) fn only_projects(&self) -> Option<&[ProjectId]> {
        match self {
            Caller::UserToken { projects, .. } | Caller::OrganizationToken { projects, .. } => {
                Some(&**projects).filter(|projects| !projects.is_empty())
            }
            Caller::Anonymous | Caller::Session { .. } => None,
        }
    }

    pub(crate) fn user(&self) -> Option<UserId> {
        match self {
            Caller::UserToken { user, .. } | Caller::Session { user, .. } => Some(*user),
            Caller::Anonymous | Caller::OrganizationToken { .. } => None,
        }
    }
}

/// A user's place in an organization.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    pub(crate) role: OrganizationRole,
    /// The teams that the member is in; a role where one was given.
    pub(crate) teams: Vec<(TeamId, Option<TeamRole>)>,
    /// The teams that the member has asked to join.
    pub(crate) asked: Vec<TeamId>,
}

/// What an organization lets its plain members do beside what their role says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemberPolicy {
    /// See every team and project, and join teams by themselves.
    pub(crate) open_membership: bool,
    /// Invite others.
    pub(crate) invite: bool,
    /// Make projects.
    pub(crate) create_projects: bool,
    /// Delete events and issues.
    pub(crate) admin_events: bool,
    /// Change alerts.
    pub(crate) write_alerts: bool,
}

impl MemberPolicy {
    /// Of a new organization.
    pub(crate) const DEFAULT: MemberPolicy = MemberPolicy {
        open_membership: true,
        invite: true,
        create_projects: true,
        admin_events: true,
        write_alerts: true,
    };

    /// The scopes of a role here: settings take some away from plain members (facts/auth-and-tokens.md 6.1).
    fn scopes_of(self, role: OrganizationRole) -> ScopeSet {
        let mut scopes = role.scopes();
        if role == OrganizationRole::Member {
            for (allowed, scope) in [
                (self.invite, Scope::MemberInvite),
                (self.admin_events, Scope::EventAdmin),
                (self.write_alerts, Scope::AlertsWrite),
            ] {
                if !allowed {
                    scopes = scopes.without(scope);
                }
            }
        }
        scopes
    }
}

/// What a caller may do in one organization.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    scopes: ScopeSet,
    token_scopes: ScopeSet,
    membership: Option<Membership>,
    /// Sees every team and project: a global role, open membership, or the organization's own token.
    sees_all: bool,
}

impl Access {
    /// For a user: the role's scopes cut by the token's. None at all without a membership.
    pub(crate) fn of_user(
        token_scopes: ScopeSet,
        membership: Option<Membership>,
        policy: MemberPolicy,
    ) -> Access {
        let role = membership.as_ref().map(|m| m.role);
        Access {
            scopes: role.map_or(ScopeSet::NONE, |r| {
                policy.scopes_of(r).intersection(token_scopes)
            }),
            token_scopes,
            sees_all: role.is_some_and(|r| r.is_global() || policy.open_membership),
            membership,
        }
    }

    /// For a token of this very organization: all that the token itself holds, on every team and project.
    /// No role cuts it, so what the route asked of the token is all that there is to ask
    /// (facts/auth-and-tokens.md 6.3).
    pub(crate) fn of_organization(token_scopes: ScopeSet) -> Access {
        Access {
            scopes: token_scopes,
            token_scopes,
            membership: None,
            sees_all: true,
        }
    }

    /// For a caller who has nothing to do with the organization.
    pub(crate) fn none() -> Access {
        Access::of_user(ScopeSet::NONE, None, MemberPolicy::DEFAULT)
    }

    /// The effective scopes in the organization.
    pub(crate) fn scopes(&self) -> ScopeSet {
        self.scopes
    }

    pub(crate) fn role(&self) -> Option<OrganizationRole> {
        self.membership.as_ref().map(|m| m.role)
    }

    pub(crate) fn is_in_team(&self, team: TeamId) -> bool {
        self.teams().any(|(id, _)| id == team)
    }

    /// The member's teams with the effective role in each.
    pub(crate) fn teams(&self) -> impl Iterator<Item = (TeamId, TeamRole)> {
        self.membership.iter().flat_map(|m| {
            let least = m.role.minimum_team_role();
            m.teams
                .iter()
                .map(move |(id, role)| (*id, role.unwrap_or(TeamRole::Contributor).max(least)))
        })
    }

    /// Whether any of `wanted` is held in the organization.
    pub(crate) fn allows(&self, wanted: ScopeSet) -> bool {
        self.scopes.intersects(wanted)
    }

    /// The scopes that the caller has on a project of these teams; empty without access to it.
    pub(crate) fn project_scopes(&self, project_teams: &[TeamId]) -> ScopeSet {
        let own = self
            .teams()
            .filter(|(team, _)| project_teams.contains(team))
            .fold(None, |scopes: Option<ScopeSet>, (_, role)| {
                Some(scopes.unwrap_or_default().union(role.scopes()))
            });
        match own {
            Some(team_scopes) => self
                .scopes
                .union(team_scopes.intersection(self.token_scopes)),
            None if self.sees_all => self.scopes,
            None => ScopeSet::NONE,
        }
    }

    /// Whether the caller is in one of these teams.
    pub(crate) fn is_in_any(&self, teams: &[TeamId]) -> bool {
        self.teams().any(|(team, _)| teams.contains(&team))
    }

    /// Whether the caller has access to a project of these teams, whatever it may do there.
    pub(crate) fn sees_project(&self, project_teams: &[TeamId]) -> bool {
        self.sees_all || self.is_in_any(project_teams)
    }

    /// The scopes that the caller has in a team; empty without access to it. A team's role adds to the
    /// organization's just as it does on the team's projects.
    pub(crate) fn team_scopes(&self, team: TeamId) -> ScopeSet {
        self.project_scopes(&[team])
    }

    /// The caller's effective role in a team that it is in.
    pub(crate) fn team_role(&self, team: TeamId) -> Option<TeamRole> {
        self.teams()
            .find(|(id, _)| *id == team)
            .map(|(_, role)| role)
    }

    /// Whether any of `wanted` is held on a project of these teams.
    pub(crate) fn allows_project(&self, wanted: ScopeSet, project_teams: &[TeamId]) -> bool {
        self.project_scopes(project_teams).intersects(wanted)
    }

    /// Whether the caller has asked to join a team and nobody has let it in yet.
    pub(crate) fn asks_to_join(&self, team: TeamId) -> bool {
        self.membership
            .as_ref()
            .is_some_and(|m| m.asked.contains(&team))
    }

    /// Whether the caller may give a member this role, or take it from one: it manages members, and its own role is no
    /// lower. A token of the organization has no role; it must hold every scope that the role has beyond those of a
    /// plain member, so that it never makes somebody mightier than itself.
    pub(crate) fn assigns(&self, role: OrganizationRole) -> bool {
        let is_within = match self.role() {
            Some(own) => own >= role,
            None => role
                .scopes()
                .iter()
                .filter(|scope| !OrganizationRole::Member.scopes().contains(*scope))
                .all(|scope| self.scopes.contains(scope)),
        };
        self.scopes.contains(Scope::MemberAdmin) && is_within
    }

    /// Whether the caller may invite somebody as this: everybody who invites may invite plain members.
    pub(crate) fn invites_as(&self, role: OrganizationRole) -> bool {
        role == OrganizationRole::Member || self.assigns(role)
    }

    /// Which of these scopes the caller may not give to a token of the organization. Everybody may make one for build
    /// tools (`org:ci`). Such a token sees every project, so any other scope takes `org:write`, and is one that the
    /// caller has too, as far as people can have it at all.
    pub(crate) fn withheld(&self, scopes: ScopeSet) -> ScopeSet {
        let beyond = scopes.without(Scope::OrgCi);
        if !self.scopes.contains(Scope::OrgWrite) {
            return beyond;
        }
        let of_people = OrganizationRole::Owner.scopes();
        beyond
            .iter()
            .filter(|scope| of_people.contains(*scope) && !self.scopes.contains(*scope))
            .fold(ScopeSet::NONE, |set, scope| {
                set.union(ScopeSet::of(&[scope]))
            })
    }

    /// Whether the caller has access to teams that it is not in.
    pub(crate) fn sees_all(&self) -> bool {
        self.sees_all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: ScopeSet = ScopeSet::of(&[Scope::ProjectRead]);
    const WRITE: ScopeSet = ScopeSet::of(&[Scope::ProjectWrite]);
    const MINE: TeamId = TeamId(1);
    const OTHER: TeamId = TeamId(2);

    fn member(role: OrganizationRole, team_role: Option<TeamRole>, open: bool) -> Access {
        let membership = Membership {
            role,
            teams: vec![(MINE, team_role)],
            asked: Vec::new(),
        };
        let policy = MemberPolicy {
            open_membership: open,
            ..MemberPolicy::DEFAULT
        };
        Access::of_user(ScopeSet::ALL, Some(membership), policy)
    }

    #[test]
    fn a_member_reads_own_projects_and_with_open_membership_all() {
        let closed = member(OrganizationRole::Member, None, false);
        assert!(closed.allows_project(READ, &[MINE]));
        assert!(!closed.allows_project(READ, &[OTHER]));
        let open = member(OrganizationRole::Member, None, true);
        assert!(open.allows_project(READ, &[OTHER]));
        assert!(!open.allows_project(WRITE, &[OTHER]));
    }

    #[test]
    fn a_team_admin_writes_in_that_team_only() {
        let access = member(OrganizationRole::Member, Some(TeamRole::Admin), true);
        assert!(access.allows_project(WRITE, &[MINE]));
        assert!(!access.allows_project(WRITE, &[OTHER]));
    }

    #[test]
    fn the_token_cuts_roles_of_both_kinds() {
        let membership = Membership {
            role: OrganizationRole::Owner,
            teams: vec![(MINE, Some(TeamRole::Admin))],
            asked: Vec::new(),
        };
        let access = Access::of_user(READ, Some(membership), MemberPolicy::DEFAULT);
        assert!(access.allows_project(READ, &[MINE]));
        assert!(!access.allows_project(WRITE, &[MINE]));
    }

    #[test]
    fn a_policy_takes_scopes_from_plain_members_only() {
        let strict = MemberPolicy {
            invite: false,
            admin_events: false,
            write_alerts: false,
            ..MemberPolicy::DEFAULT
        };
        let scopes = |role| {
            let membership = Membership {
                role,
                teams: Vec::new(),
                asked: Vec::new(),
            };
            Access::of_user(ScopeSet::ALL, Some(membership), strict).scopes()
        };
        let taken = ScopeSet::of(&[Scope::MemberInvite, Scope::EventAdmin, Scope::AlertsWrite]);
        assert!(!scopes(OrganizationRole::Member).intersects(taken));
        assert!(scopes(OrganizationRole::Member).contains(Scope::MemberRead));
        assert_eq!(
            scopes(OrganizationRole::Manager),
            OrganizationRole::Manager.scopes()
        );
    }

    #[test]
    fn nobody_gives_a_role_above_their_own() {
        use OrganizationRole::{Admin, Manager, Member, Owner};
        let given = |access: &Access| -> Vec<OrganizationRole> {
            let all = OrganizationRole::ALL.into_iter();
            all.filter(|role| access.assigns(*role)).collect()
        };
        for (own, expected) in [
            (Member, vec![]),
            (Admin, vec![]),
            (Manager, vec![Member, Admin, Manager]),
            (Owner, vec![Member, Admin, Manager, Owner]),
        ] {
            assert_eq!(given(&member(own, None, true)), expected);
        }
        let token = |role: OrganizationRole| Access::of_organization(role.scopes());
        assert_eq!(given(&token(Manager)), [Member, Admin, Manager]);
        let members_only = ScopeSet::of(&[Scope::MemberAdmin]);
        assert_eq!(given(&Access::of_organization(members_only)), [Member]);
        assert!(member(Member, None, true).invites_as(Member));
        assert!(!member(Member, None, true).invites_as(Manager));
    }

    /// Which scopes a method of a resource asks for, any one of them; written down by hand from facts/auth-and-tokens.md
    /// 6.2. A dash: there is no such method.
    const METHODS: &str = "
        organization | org:read org:write org:admin | org:write org:admin | org:write org:admin | org:admin
        projects | org:read org:write org:admin | project:read project:write project:admin | - | -
        teams | org:read org:write org:admin | org:write org:admin team:write | - | -
        members | member:read member:write member:admin | member:invite member:write member:admin \
            | member:write member:admin | member:read member:write member:admin
        stats | org:read org:write org:admin | - | - | -
        audit-log | org:write | - | - | -
        monitors | org:read org:write org:admin alerts:read | - | - | -
        sso | org:read | org:admin | org:admin | org:admin
        team | team:read team:write team:admin | - | team:write team:admin | team:admin
        project | project:read project:write project:admin | project:write project:admin \
            | project:read project:write project:admin | project:admin
        key | project:read project:write project:admin | project:write project:admin | project:write project:admin \
            | project:admin
        ownership | project:read project:write project:admin | - | project:read project:write project:admin | -
        releases | project:read project:write project:admin project:releases org:ci \
            | project:write project:admin project:releases org:ci | project:write project:admin project:releases org:ci \
            | project:admin project:releases
        issues | event:read event:write event:admin | event:write event:admin | event:write event:admin | event:admin";

    /// What each role may do in the organization: G(ET), P(OST), (P)U(T), D(ELETE). The second column is a plain member
    /// of an organization that takes from its members what it can.
    const IN_ORGANIZATION: &str = "
        resource     | member | strict | admin | manager | owner
        organization | G      | G      | G     | GPU     | GPUD
        projects     | GP     | GP     | GP    | GP      | GP
        teams        | G      | G      | GP    | GP      | GP
        members      | GPD    | GD     | GPD   | GPUD    | GPUD
        stats        | G      | G      | G     | G       | G
        audit-log    |        |        |       | G       | G
        monitors     | G      | G      | G     | G       | G
        sso          | G      | G      | G     | G       | GPUD";

    /// What each role may do with a project (or a team) that the member's team has, as a contributor and as an admin
    /// there, and with one that it has not, with open membership and without.
    const ON_PROJECT: &str = "
        resource  | role    | own  | own, team admin | others', open | others', closed
        team      | member  | G    | GUD             | G             |
        team      | strict  | G    | GUD             | G             |
        team      | admin   | GUD  | GUD             | GUD           |
        team      | manager | GUD  | GUD             | GUD           | GUD
        team      | owner   | GUD  | GUD             | GUD           | GUD
        project   | member  | GU   | GPUD            | GU            |
        project   | strict  | GU   | GPUD            | GU            |
        project   | admin   | GPUD | GPUD            | GPUD          |
        project   | manager | GPUD | GPUD            | GPUD          | GPUD
        project   | owner   | GPUD | GPUD            | GPUD          | GPUD
        key       | member  | G    | GPUD            | G             |
        key       | admin   | GPUD | GPUD            | GPUD          |
        key       | manager | GPUD | GPUD            | GPUD          | GPUD
        key       | owner   | GPUD | GPUD            | GPUD          | GPUD
        ownership | member  | GU   | GU              | GU            |
        ownership | admin   | GU   | GU              | GU            |
        ownership | manager | GU   | GU              | GU            | GU
        ownership | owner   | GU   | GU              | GU            | GU
        releases  | member  | GPUD | GPUD            | GPUD          |
        releases  | admin   | GPUD | GPUD            | GPUD          |
        releases  | manager | GPUD | GPUD            | GPUD          | GPUD
        releases  | owner   | GPUD | GPUD            | GPUD          | GPUD
        issues    | member  | GPUD | GPUD            | GPUD          |
        issues    | strict  | GPU  | GPUD            | GPU           |
        issues    | admin   | GPUD | GPUD            | GPUD          |
        issues    | manager | GPUD | GPUD            | GPUD          | GPUD
        issues    | owner   | GPUD | GPUD            | GPUD          | GPUD";

    /// What is left of that through a token with one scope and what it implies.
    const THROUGH_TOKEN: &str = "
        scope            | role    | organization | members | project, own | project, own, team admin | project, others', open | key, own, team admin | releases, own | issues, own
        org:read         | owner   | G            |         |              |                          |                        |                      |               |
        org:write        | owner   | GPU          |         |              |                          |                        |                      |               |
        org:write        | member  | G            |         |              |                          |                        |                      |               |
        org:admin        | owner   | GPUD         |         |              |                          |                        |                      |               |
        org:admin        | manager | GPU          |         |              |                          |                        |                      |               |
        org:ci           | owner   |              |         |              |                          |                        |                      |               |
        member:admin     | owner   |              | GPUD    |              |                          |                        |                      |               |
        member:admin     | member  |              | GPD     |              |                          |                        |                      |               |
        project:read     | owner   |              |         | GU           | GU                       | GU                     | G                    | G             |
        project:write    | owner   |              |         | GPU          | GPU                      | GPU                    | GPU                  | GPU           |
        project:write    | member  |              |         | GU           | GPU                      | GU                     | GPU                  | G             |
        project:admin    | owner   |              |         | GPUD         | GPUD                     | GPUD                   | GPUD                 | GPUD          |
        project:admin    | member  |              |         | GU           | GPUD                     | GU                     | GPUD                 | G             |
        project:releases | member  |              |         |              |                          |                        |                      | GPUD          |
        event:write      | member  |              |         |              |                          |                        |                      |               | GPU
        event:admin      | strict  |              |         |              |                          |                        |                      |               | GPU";

    /// The lines of a table with its cells.
    fn lines(table: &str) -> Vec<Vec<String>> {
        let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect();
        table.trim().lines().map(cells).collect()
    }

    /// The methods that somebody may use of a resource who holds what `may` says.
    fn methods(resource: &str, may: impl Fn(ScopeSet) -> bool) -> String {
        let all = lines(METHODS);
        let line = all.iter().find(|line| line[0] == resource).unwrap();
        "GPUD"
            .chars()
            .zip(&line[1..])
            .filter(|(_, scopes)| *scopes != "-")
            .filter(|(_, scopes)| {
                let named: Vec<Scope> = scopes
                    .split_whitespace()
                    .map(|name| Scope::parse(name).unwrap())
                    .collect();
                may(ScopeSet::of(&named))
            })
            .map(|(letter, _)| letter)
            .collect()
    }

    /// Somebody of this role (`strict`: a member whom the organization takes all it can), in team `MINE`.
    fn somebody(role: &str, team_role: TeamRole, open: bool, token: ScopeSet) -> Access {
        let is_strict = role == "strict";
        let role = if is_strict { "member" } else { role };
        let membership = Membership {
            role: OrganizationRole::parse(role).unwrap(),
            teams: vec![(MINE, Some(team_role))],
            asked: Vec::new(),
        };
        let policy = MemberPolicy {
            open_membership: open,
            invite: !is_strict,
            create_projects: !is_strict,
            admin_events: !is_strict,
            write_alerts: !is_strict,
        };
        Access::of_user(token, Some(membership), policy)
    }

    /// What somebody may do as a column of a table says.
    fn of_column(resource: &str, role: &str, column: &str, token: ScopeSet) -> String {
        let team_role = match column.contains("team admin") {
            true => TeamRole::Admin,
            false => TeamRole::Contributor,
        };
        let open = column != "others', closed";
        let team = if column.starts_with("own") {
            MINE
        } else {
            OTHER
        };
        let access = somebody(role, team_role, open, token);
        match resource {
            "team" => methods(resource, |wanted| {
                access.team_scopes(team).intersects(wanted)
            }),
            _ => methods(resource, |wanted| access.allows_project(wanted, &[team])),
        }
    }

    #[test]
    fn every_role_may_do_in_the_organization_what_the_table_says() {
        let table = lines(IN_ORGANIZATION);
        for line in &table[1..] {
            for (role, expected) in table[0][1..].iter().zip(&line[1..]) {
                for open in [false, true] {
                    let access = somebody(role, TeamRole::Contributor, open, ScopeSet::ALL);
                    let may = methods(&line[0], |wanted| access.allows(wanted));
                    assert_eq!(may, *expected, "{} {role}", line[0]);
                }
            }
        }
    }

    #[test]
    fn every_role_may_do_with_projects_and_teams_what_the_table_says() {
        let table = lines(ON_PROJECT);
        for line in &table[1..] {
            for (column, expected) in table[0][2..].iter().zip(&line[2..]) {
                let may = of_column(&line[0], &line[1], column, ScopeSet::ALL);
                assert_eq!(may, *expected, "{} {} {column}", line[0], line[1]);
            }
        }
    }

    #[test]
    fn a_token_leaves_what_the_table_says() {
        let table = lines(THROUGH_TOKEN);
        for line in &table[1..] {
            let token = ScopeSet::parse(&line[0]).unwrap();
            for (column, expected) in table[0][2..].iter().zip(&line[2..]) {
                let may = match column.split_once(", ") {
                    Some((resource, column)) => of_column(resource, &line[1], column, token),
                    None => {
                        let access = somebody(&line[1], TeamRole::Contributor, true, token);
                        methods(column, |wanted| access.allows(wanted))
                    }
                };
                assert_eq!(may, *expected, "{} {} {column}", line[0], line[1]);
            }
        }
    }

    #[test]
    fn nobody_gives_a_token_more_than_they_have() {
        use OrganizationRole::{Admin, Manager, Member, Owner};
        let ci = ScopeSet::of(&[Scope::OrgCi]);
        let admin = ScopeSet::of(&[Scope::OrgAdmin]).with_implied();
        let of_nobody = ScopeSet::of(&[Scope::ProjectDistribution, Scope::Openid]);
        for (role, withheld) in [
            (Member, [READ, WRITE, admin, of_nobody]),
            (Admin, [READ, WRITE, admin, of_nobody]),
            (
                Manager,
                [
                    ScopeSet::NONE,
                    ScopeSet::NONE,
                    ScopeSet::of(&[Scope::OrgAdmin]),
                    ScopeSet::NONE,
                ],
            ),
            (Owner, [ScopeSet::NONE; 4]),
        ] {
            let access = member(role, None, true);
            assert!(access.withheld(ci).is_empty());
            assert_eq!(
                [READ, WRITE, admin, of_nobody].map(|s| access.withheld(s)),
                withheld,
                "{role:?}"
            );
        }
        // A token of a user is cut by its own scopes, also where its owner has more.
        let narrow = Access::of_user(
            ScopeSet::of(&[Scope::OrgWrite]).with_implied(),
            Some(Membership {
                role: Owner,
                teams: Vec::new(),
                asked: Vec::new(),
            }),
            MemberPolicy::DEFAULT,
        );
        assert_eq!(narrow.withheld(READ), READ);
    }

    #[test]
    fn a_stranger_may_do_nothing() {
        assert!(!Access::none().allows_project(READ, &[MINE]));
        assert!(Access::of_organization(WRITE).allows_project(WRITE, &[]));
    }
}
