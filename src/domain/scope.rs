//! Scopes and the roles that grant them (facts/auth-and-tokens.md 6).

use std::fmt;

macro_rules! scopes {
    ($($name:ident $text:literal)*) => {
        /// One permission that a token can hold.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Scope { $($name),* }

        impl Scope {
            /// Every scope, in the alphabetical order of their names.
            pub(crate) const ALL: &'static [Scope] = &[$(Scope::$name),*];

            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Scope::$name => $text),* }
            }
        }
    };
}

scopes! {
    AlertsRead "alerts:read"
    AlertsWrite "alerts:write"
    Email "email"
    EventAdmin "event:admin"
    EventRead "event:read"
    EventWrite "event:write"
    MemberAdmin "member:admin"
    MemberInvite "member:invite"
    MemberRead "member:read"
    MemberWrite "member:write"
    Openid "openid"
    OrgAdmin "org:admin"
    OrgCi "org:ci"
    OrgIntegrations "org:integrations"
    OrgRead "org:read"
    OrgWrite "org:write"
    Profile "profile"
    ProjectAdmin "project:admin"
    ProjectDistribution "project:distribution"
    ProjectRead "project:read"
    ProjectReleases "project:releases"
    ProjectWrite "project:write"
    TeamAdmin "team:admin"
    TeamRead "team:read"
    TeamWrite "team:write"
}

impl Scope {
    /// Scopes that no path of the management API asks for yet. Tokens may have them all the same, because tools ask for
    /// them; a test of the route table keeps the list true.
    pub(crate) const OPEN_NOTHING: ScopeSet = ScopeSet::of(&[
        Scope::AlertsRead,
        Scope::AlertsWrite,
        Scope::Email,
        Scope::Openid,
        Scope::OrgCi,
        Scope::OrgIntegrations,
        Scope::Profile,
        Scope::ProjectDistribution,
        Scope::ProjectReleases,
    ]);

    pub(crate) fn parse(text: &str) -> Option<Scope> {
        Scope::ALL.iter().copied().find(|s| s.as_str() == text)
    }

    /// What this scope also grants.
    fn implied(self) -> ScopeSet {
        use Scope::*;
        match self {
            OrgWrite => ScopeSet::of(&[OrgRead]),
            OrgAdmin => ScopeSet::of(&[OrgRead, OrgWrite, OrgIntegrations]),
            MemberInvite => ScopeSet::of(&[MemberRead]),
            MemberWrite => ScopeSet::of(&[MemberRead, MemberInvite]),
            MemberAdmin => ScopeSet::of(&[MemberRead, MemberInvite, MemberWrite]),
            TeamWrite => ScopeSet::of(&[TeamRead]),
            TeamAdmin => ScopeSet::of(&[TeamRead, TeamWrite]),
            ProjectWrite => ScopeSet::of(&[ProjectRead]),
            ProjectAdmin => ScopeSet::of(&[ProjectRead, ProjectWrite]),
            EventWrite => ScopeSet::of(&[EventRead]),
            EventAdmin => ScopeSet::of(&[EventRead, EventWrite]),
            AlertsWrite => ScopeSet::of(&[AlertsRead]),
            _ => ScopeSet::NONE,
        }
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScopeSet(u32);

impl ScopeSet {
    pub(crate) const NONE: ScopeSet = ScopeSet(0);
    pub(crate) const ALL: ScopeSet = ScopeSet::of(Scope::ALL);

    pub(crate) const fn of(scopes: &[Scope]) -> ScopeSet {
        let mut bits = 0;
        let mut at = 0;
        while at < scopes.len() {
            bits |= 1 << scopes[at] as u32;
            at += 1;
        }
        ScopeSet(bits)
    }

    /// Reads names separated by white space or commas, and adds what they imply.
    ///
    /// # Errors
    /// The first name that is no scope.
    pub(crate) fn parse(text: &str) -> Result<ScopeSet, String> {
        text.split(|c: char| c.is_whitespace() || c == ',')
            .filter(|name| !name.is_empty())
            .try_fold(ScopeSet::NONE, |set, name| {
                let scope = Scope::parse(name).ok_or_else(|| name.to_owned())?;
                Ok(set.union(ScopeSet::of(&[scope])))
            })
            .map(ScopeSet::with_implied)
    }

    /// The set and everything that its members also grant.
    pub(crate) fn with_implied(self) -> ScopeSet {
        self.iter().fold(self, |set, s| set.union(s.implied()))
    }

    pub(crate) const fn union(self, other: ScopeSet) -> ScopeSet {
        ScopeSet(self.0 | other.0)
    }

    pub(crate) const fn intersection(self, other: ScopeSet) -> ScopeSet {
        ScopeSet(self.0 & other.0)
    }

    pub(crate) const fn without(self, scope: Scope) -> ScopeSet {
        ScopeSet(self.0 & !(1 << scope as u32))
    }

    pub(crate) const fn intersects(self, other: ScopeSet) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) const fn contains(self, scope: Scope) -> bool {
        self.0 & 1 << scope as u32 != 0
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In alphabetical order.
    pub(crate) fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL
            .iter()
            .copied()
            .filter(move |s| self.contains(*s))
    }
}

/// Names separated by one space, in alphabetical order: the form in which the database holds a set.
impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, scope) in self.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

/// A list of names, in alphabetical order.
impl serde::Serialize for ScopeSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Scope::as_str))
    }
}

/// A member's role in an organization, lowest to highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OrganizationRole {
    Member,
    /// Retired in Sentry; kept because teams still carry it along.
    Admin,
    Manager,
    Owner,
}

impl OrganizationRole {
    pub(crate) const ALL: [OrganizationRole; 4] = [
        OrganizationRole::Member,
        OrganizationRole::Admin,
        OrganizationRole::Manager,
        OrganizationRole::Owner,
    ];

    pub(crate) fn parse(text: &str) -> Option<OrganizationRole> {
        OrganizationRole::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            OrganizationRole::Member => "member",
            OrganizationRole::Admin => "admin",
            OrganizationRole::Manager => "manager",
            OrganizationRole::Owner => "owner",
        }
    }

    /// Whether the role sees all teams and projects.
    pub(crate) fn is_global(self) -> bool {
        self >= OrganizationRole::Manager
    }

    pub(crate) fn scopes(self) -> ScopeSet {
        use Scope::*;
        const MEMBER: ScopeSet = ScopeSet::of(&[
            EventRead,
            EventWrite,
            EventAdmin,
            ProjectRead,
            ProjectReleases,
            OrgRead,
            MemberRead,
            MemberInvite,
            TeamRead,
            AlertsRead,
            AlertsWrite,
        ]);
        const ADMIN: ScopeSet = MEMBER.union(ScopeSet::of(&[
            ProjectWrite,
            ProjectAdmin,
            TeamWrite,
            TeamAdmin,
            OrgIntegrations,
        ]));
        const MANAGER: ScopeSet = ADMIN.union(ScopeSet::of(&[MemberWrite, MemberAdmin, OrgWrite]));
        const OWNER: ScopeSet = MANAGER.union(ScopeSet::of(&[OrgAdmin]));
        match self {
            OrganizationRole::Member => MEMBER,
            OrganizationRole::Admin => ADMIN,
            OrganizationRole::Manager => MANAGER,
            OrganizationRole::Owner => OWNER,
        }
    }

    /// The least role that a member of this organization role has in its teams.
    pub(crate) fn minimum_team_role(self) -> TeamRole {
        if self >= OrganizationRole::Admin {
            TeamRole::Admin
        } else {
            TeamRole::Contributor
        }
    }
}

/// A member's role in a team.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TeamRole {
    Contributor,
    Admin,
}

impl TeamRole {
    pub(crate) const ALL: [TeamRole; 2] = [TeamRole::Contributor, TeamRole::Admin];

    pub(crate) fn parse(text: &str) -> Option<TeamRole> {
        TeamRole::ALL.into_iter().find(|role| role.as_str() == text)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            TeamRole::Contributor => "contributor",
            TeamRole::Admin => "admin",
        }
    }

    pub(crate) fn scopes(self) -> ScopeSet {
        use Scope::*;
        const CONTRIBUTOR: ScopeSet = ScopeSet::of(&[
            EventRead,
            EventWrite,
            ProjectReleases,
            ProjectRead,
            OrgRead,
            MemberRead,
            TeamRead,
            AlertsRead,
        ]);
        const ADMIN: ScopeSet = CONTRIBUTOR.union(ScopeSet::of(&[
            EventAdmin,
            ProjectWrite,
            ProjectAdmin,
            TeamWrite,
            TeamAdmin,
            OrgIntegrations,
            AlertsWrite,
        ]));
        match self {
            TeamRole::Contributor => CONTRIBUTOR,
            TeamRole::Admin => ADMIN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_scope_brings_the_lower_ones_of_its_family() {
        let set = ScopeSet::parse("project:admin, org:ci").unwrap();
        assert_eq!(
            set.to_string(),
            "org:ci project:admin project:read project:write"
        );
    }

    #[test]
    fn an_unknown_scope_is_named() {
        assert_eq!(ScopeSet::parse("org:read org:rule"), Err("org:rule".into()));
    }

    #[test]
    fn the_names_stand_in_alphabetical_order() {
        assert!(Scope::ALL.windows(2).all(|w| w[0].as_str() < w[1].as_str()));
    }

    #[test]
    fn each_role_has_all_scopes_of_the_one_below() {
        for pair in OrganizationRole::ALL.windows(2) {
            let below = pair[0].scopes();
            assert_eq!(pair[1].scopes().intersection(below), below);
        }
        assert!(!OrganizationRole::Owner.scopes().contains(Scope::OrgCi));
    }
}
