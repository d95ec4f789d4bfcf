//! Who may do what: every line of the API against every kind of caller, and what every line refuses whoever asks.
//!
//! [`LINES`], [`ROLES`] and the rest are written down from facts/management-api.md 1.5 and facts/auth-and-tokens.md 6
//! once more, by hand, so that a slip in the product's own tables shows. The published document says which lines
//! there are; one that is not here fails.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::*;
use crate::support::Session;

/// What is looked up before the caller's scopes are, and where they are effective.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// Nobody has to say who is asking.
    Open,
    /// Whoever is known.
    LoggedIn,
    /// A browser that is signed in, and no token.
    Browser,
    /// Nothing: the token's scopes are enough.
    Anywhere,
    Organization,
    Team,
    /// A team, and its members may without the scope.
    OwnTeam,
    Project,
}
use Place::{Anywhere, Browser, LoggedIn, Open, OwnTeam, Project, Team};

/// A line: method, path, place, the scopes of which one is enough, and what it answers to who may. A line with a body
/// is sent one that is no object, so that it changes nothing and says 400 after all checks of access.
struct Line(
    &'static str,
    &'static str,
    Place,
    &'static str,
    &'static [u16],
);

const ORG_R: &str = "org:read org:write org:admin";
const MEMBER_R: &str = "member:read member:write member:admin";
const TEAM_R: &str = "team:read team:write team:admin";
const PROJECT_R: &str = "project:read project:write project:admin";
const PROJECT_W: &str = "project:write project:admin";
const EVENT_R: &str = "project:read project:write project:admin event:read event:write event:admin";

#[rustfmt::skip]
const LINES: &[Line] = &[
    Line("GET", "/api/0/", Open, "", &[200]),
    Line("GET", "/api/0/auth/", Open, "", &[200]),
    Line("POST", "/api/0/auth/", Open, "", &[400]),
    Line("PUT", "/api/0/auth/", Open, "", &[400]),
    Line("DELETE", "/api/0/auth/", Open, "", &[204]),
    Line("GET", "/api/0/auth/config/", Open, "", &[200]),
    Line("POST", "/api/0/auth/login/", Open, "", &[400]),
    Line("GET", "/api/0/users/{user}/authenticators/", Browser, "", &[200]),
    Line("GET", "/api/0/users/{user}/authenticators/{method}/enroll/", Browser, "", &[200]),
    Line("POST", "/api/0/users/{user}/authenticators/{method}/enroll/", Browser, "", &[400]),
    // Nobody has one: 404.
    Line("GET", "/api/0/users/{user}/authenticators/{authenticator}/", Browser, "", &[404]),
    Line("PUT", "/api/0/users/{user}/authenticators/{authenticator}/", Browser, "", &[404]),
    Line("DELETE", "/api/0/users/{user}/authenticators/{authenticator}/", Browser, "", &[404]),
    Line("GET", "/api/0/users/me/", LoggedIn, "", &[200]),
    Line("GET", "/api/0/users/me/regions/", Open, "", &[200]),
    Line("GET", "/api/0/internal/health/", LoggedIn, "", &[200]),
    Line("GET", "/api/0/openapi.json", Open, "", &[200]),
    Line("GET", "/api/0/organizations/", Anywhere, ORG_R, &[200]),
    Line("POST", "/api/0/organizations/", Anywhere, "org:write org:admin", &[400]),
    Line("GET", "/api/0/organizations/{org}/", Place::Organization, ORG_R, &[200]),
    Line("PUT", "/api/0/organizations/{org}/", Place::Organization, "org:write org:admin", &[400]),
    Line("DELETE", "/api/0/organizations/{org}/", Place::Organization, "org:admin", &[202]),
    Line("GET", "/api/0/organizations/{org}/projects/", Place::Organization, ORG_R, &[200]),
    Line("POST", "/api/0/organizations/{org}/projects/", Place::Organization, PROJECT_R, &[400]),
    Line("GET", "/api/0/organizations/{org}/teams/", Place::Organization, ORG_R, &[200]),
    Line("POST", "/api/0/organizations/{org}/teams/", Place::Organization, "org:write org:admin team:write", &[400]),
    Line("GET", "/api/0/organizations/{org}/user-teams/", Place::Organization, ORG_R, &[200]),
    Line("GET", "/api/0/organizations/{org}/project-keys/", Place::Organization, ORG_R, &[200]),
    Line("GET", "/api/0/organizations/{org}/stats_v2/?field=sum(quantity)&category=error", Place::Organization, ORG_R, &[200]),
    // No project of the caller's: 400.
    Line("GET", "/api/0/organizations/{org}/stats-summary/?field=sum(quantity)", Place::Organization, ORG_R, &[200, 400]),
    Line("GET", "/api/0/organizations/{org}/auth-provider/", Place::Organization, "org:read", &[204]),
    Line("PUT", "/api/0/organizations/{org}/auth-provider/", Place::Organization, "org:admin", &[400]),
    Line("DELETE", "/api/0/organizations/{org}/auth-provider/", Place::Organization, "org:admin", &[204]),
    Line("GET", "/api/0/organizations/{org}/members/", Place::Organization, MEMBER_R, &[200]),
    Line("POST", "/api/0/organizations/{org}/members/", Place::Organization, "member:write member:admin member:invite", &[400]),
    Line("GET", "/api/0/organizations/{org}/members/{member}/", Place::Organization, MEMBER_R, &[200]),
    Line("PUT", "/api/0/organizations/{org}/members/{member}/", Place::Organization, "member:invite member:write member:admin", &[400]),
    // Without the scope to remove others: 400.
    Line("DELETE", "/api/0/organizations/{org}/members/{member}/", Place::Organization, MEMBER_R, &[204, 400]),
    // Whoever may not add others asks for it: 202.
    Line("POST", "/api/0/organizations/{org}/members/{member}/teams/{team}/", Place::Organization, "org:read org:write team:write", &[201, 202]),
    Line("PUT", "/api/0/organizations/{org}/members/{member}/teams/{ops}/", Place::Organization, "org:read org:write org:admin member:read member:write member:admin team:admin team:write", &[400]),
    // Whoever may not remove others: 400.
    Line("DELETE", "/api/0/organizations/{org}/members/{member}/teams/{ops}/", Place::Organization, "org:read org:write org:admin team:admin", &[200, 400]),
    Line("GET", "/api/0/organizations/{org}/audit-logs/", Place::Organization, "org:write", &[200]),
    Line("GET", "/api/0/teams/{org}/{team}/", Team, TEAM_R, &[200]),
    Line("PUT", "/api/0/teams/{org}/{team}/", Team, "team:write team:admin", &[400]),
    Line("DELETE", "/api/0/teams/{org}/{team}/", Team, "team:admin", &[204]),
    Line("GET", "/api/0/teams/{org}/{team}/projects/", Team, PROJECT_R, &[200]),
    Line("POST", "/api/0/teams/{org}/{team}/projects/", OwnTeam, "project:write project:admin org:write org:admin", &[400]),
    Line("GET", "/api/0/teams/{org}/{team}/members/", Team, TEAM_R, &[200]),
    Line("GET", "/api/0/projects/", Anywhere, PROJECT_R, &[200]),
    // No link: 400; it is for users: 401.
    Line("GET", "/api/0/accept-transfer/", Anywhere, "org:admin project:admin", &[400, 401]),
    Line("POST", "/api/0/accept-transfer/", Anywhere, "org:admin project:admin", &[400]),
    Line("POST", "/api/0/projects/{org}/{project}/transfer/", Project, "project:admin", &[400]),
    Line("GET", "/api/0/projects/{org}/{project}/", Project, PROJECT_R, &[200]),
    Line("PUT", "/api/0/projects/{org}/{project}/", Project, PROJECT_R, &[400]),
    Line("DELETE", "/api/0/projects/{org}/{project}/", Project, "project:admin", &[204]),
    Line("GET", "/api/0/projects/{org}/{project}/teams/", Project, PROJECT_R, &[200]),
    Line("POST", "/api/0/projects/{org}/{project}/teams/{team}/", Project, PROJECT_W, &[201]),
    Line("DELETE", "/api/0/projects/{org}/{project}/teams/{team}/", Project, PROJECT_W, &[200]),
    Line("GET", "/api/0/projects/{org}/{project}/members/", Project, PROJECT_R, &[200]),
    Line("GET", "/api/0/projects/{org}/{project}/environments/", Project, PROJECT_R, &[200]),
    Line("PUT", "/api/0/projects/{org}/{project}/environments/", Project, PROJECT_W, &[400]),
    Line("GET", "/api/0/projects/{org}/{project}/environments/{environment}/", Project, PROJECT_R, &[200]),
    Line("PUT", "/api/0/projects/{org}/{project}/environments/{environment}/", Project, PROJECT_W, &[400]),
    Line("GET", "/api/0/projects/{org}/{project}/filters/", Project, PROJECT_R, &[200]),
    Line("PUT", "/api/0/projects/{org}/{project}/filters/{filter}/", Project, PROJECT_W, &[400]),
    Line("GET", "/api/0/projects/{org}/{project}/ownership/", Project, PROJECT_R, &[200]),
    Line("PUT", "/api/0/projects/{org}/{project}/ownership/", Project, PROJECT_R, &[400]),
    Line("GET", "/api/0/projects/{org}/{project}/events/", Project, EVENT_R, &[200]),
    Line("GET", "/api/0/projects/{org}/{project}/events/{event}/", Project, EVENT_R, &[200]),
    Line("GET", "/api/0/projects/{org}/{project}/events/{event}/attachments/", Project, EVENT_R, &[200]),
    Line("GET", "/api/0/projects/{org}/{project}/events/{event}/attachments/{attachment}/", Project, EVENT_R, &[200]),
    Line("GET", "/api/0/projects/{org}/{project}/items/?type=event", Project, EVENT_R, &[200]),
    Line("GET", "/api/0/projects/{org}/{project}/items/{item}/?type=event", Project, EVENT_R, &[200]),
    Line("GET", "/api/0/projects/{org}/{project}/keys/", Project, PROJECT_R, &[200]),
    Line("POST", "/api/0/projects/{org}/{project}/keys/", Project, PROJECT_W, &[400]),
    Line("GET", "/api/0/projects/{org}/{project}/keys/{key}/", Project, PROJECT_R, &[200]),
    Line("PUT", "/api/0/projects/{org}/{project}/keys/{key}/", Project, PROJECT_W, &[400]),
    Line("DELETE", "/api/0/projects/{org}/{project}/keys/{key}/", Project, "project:admin", &[204]),
    Line("GET", "/api/0/projects/{org}/{project}/keys/{key}/stats/", Project, PROJECT_R, &[200]),
    Line("GET", "/api/0/projects/{org}/{project}/stats/", Project, PROJECT_R, &[200]),
    Line("POST", "/api/0/projects/{org}/{project}/keys/{key}/rotate/", Project, PROJECT_W, &[400]),
    Line("GET", "/api/0/projects/{org}/{project}/keys/{key}/clients/", Project, PROJECT_R, &[200]),
    // Tokens.
    Line("GET", "/api/0/api-tokens/", Browser, "", &[200]),
    Line("POST", "/api/0/api-tokens/", Browser, "", &[400]),
    Line("DELETE", "/api/0/api-tokens/", Browser, "", &[400]),
    Line("GET", "/api/0/api-tokens/{own}/", Browser, "", &[200]),
    Line("PUT", "/api/0/api-tokens/{own}/", Browser, "", &[400]),
    Line("DELETE", "/api/0/api-tokens/{own}/", Browser, "", &[400]),
    Line("POST", "/api/0/api-tokens/{own}/rotate/", Browser, "", &[400]),
    Line("GET", "/api/0/api-tokens/{own}/usage/", Browser, "", &[200]),
    Line("GET", "/api/0/organizations/{org}/org-auth-tokens/", Place::Organization, ORG_R, &[200]),
    Line("POST", "/api/0/organizations/{org}/org-auth-tokens/", Place::Organization, ORG_R, &[400]),
    Line("GET", "/api/0/organizations/{org}/org-auth-tokens/{token}/", Place::Organization, ORG_R, &[200]),
    Line("PUT", "/api/0/organizations/{org}/org-auth-tokens/{token}/", Place::Organization, ORG_R, &[400]),
    Line("DELETE", "/api/0/organizations/{org}/org-auth-tokens/{token}/", Place::Organization, "org:write org:admin", &[204]),
    Line("POST", "/api/0/organizations/{org}/org-auth-tokens/{token}/rotate/", Place::Organization, "org:write org:admin", &[400]),
    Line("GET", "/api/0/organizations/{org}/org-auth-tokens/{token}/usage/", Place::Organization, ORG_R, &[200]),
    Line("GET", "/api/0/organizations/{org}/api-keys/", Place::Organization, "org:admin", &[200]),
    Line("GET", "/api/0/organizations/{org}/api-keys/{api_key}/", Place::Organization, "org:admin", &[200]),
    Line("PUT", "/api/0/organizations/{org}/api-keys/{api_key}/", Place::Organization, "org:admin", &[400]),
    Line("DELETE", "/api/0/organizations/{org}/api-keys/{api_key}/", Place::Organization, "org:admin", &[204]),
    Line("GET", "/api/0/organizations/{org}/api-keys/{api_key}/usage/", Place::Organization, "org:admin", &[200]),
];

impl Line {
    /// As the document names it.
    fn pattern(&self) -> String {
        let path = self.1.split('?').next().unwrap_or_default();
        path.replace("{ops}", "{team}").replace("{own}", "{token}")
    }

    fn name(&self) -> String {
        format!("{} {}", self.0, self.pattern())
    }

    /// Whether it changes something although it has no body.
    fn is_change(&self) -> bool {
        self.0 != "GET" && self.4 != [400]
    }

    fn body(&self) -> Option<&'static [u8]> {
        // All that this one reads is the `Authorization` field.
        let has_none = self.name() == "POST /api/0/auth/";
        (self.4 == [400] && !has_none).then_some(b"[1]")
    }
}

const ALL_SCOPES: &str = "org:read org:write org:admin org:integrations org:ci member:read member:write member:admin \
     member:invite team:read team:write team:admin project:read project:write project:admin project:releases \
     project:distribution event:read event:write event:admin alerts:read alerts:write openid profile email";

/// What a scope of a token also grants.
const IMPLIED: [(&str, &str); 12] = [
    ("org:write", "org:read"),
    ("org:admin", "org:read org:write org:integrations"),
    ("member:invite", "member:read"),
    ("member:write", "member:read member:invite"),
    ("member:admin", "member:read member:invite member:write"),
    ("team:write", "team:read"),
    ("team:admin", "team:read team:write"),
    ("project:write", "project:read"),
    ("project:admin", "project:read project:write"),
    ("event:write", "event:read"),
    ("event:admin", "event:read event:write"),
    ("alerts:write", "alerts:read"),
];

/// The scopes of the roles in an organization.
const ROLES: [(&str, &str); 4] = [
    (
        "member",
        "org:read member:read member:invite team:read project:read project:releases event:read event:write \
         event:admin alerts:read alerts:write",
    ),
    (
        "admin",
        "org:read org:integrations member:read member:invite team:read team:write team:admin project:read \
         project:write project:admin project:releases event:read event:write event:admin alerts:read alerts:write",
    ),
    (
        "manager",
        "org:read org:write org:integrations member:read member:invite member:write member:admin team:read \
         team:write team:admin project:read project:write project:admin project:releases event:read event:write \
         event:admin alerts:read alerts:write",
    ),
    (
        "owner",
        "org:read org:write org:admin org:integrations member:read member:invite member:write member:admin team:read \
         team:write team:admin project:read project:write project:admin project:releases event:read event:write \
         event:admin alerts:read alerts:write",
    ),
];

/// The scopes of the roles in a team, on its projects.
const TEAM_ROLES: [(&str, &str); 2] = [
    (
        "contributor",
        "event:read event:write project:releases project:read org:read member:read team:read alerts:read",
    ),
    (
        "admin",
        "event:read event:write project:releases project:read org:read member:read team:read alerts:read event:admin \
         project:write project:admin team:write team:admin org:integrations alerts:write",
    ),
];

fn set(words: &str) -> BTreeSet<&str> {
    words.split_whitespace().collect()
}

fn of_role<'a>(table: &[(&str, &'a str)], role: &str) -> BTreeSet<&'a str> {
    table
        .iter()
        .find(|(name, _)| *name == role)
        .map(|(_, scopes)| set(scopes))
        .unwrap_or_default()
}

/// Whose token it is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Owner {
    Nobody,
    /// Of `acme`: the role, and the role in team `core` for who is there.
    Member(&'static str, Option<&'static str>),
    /// A member of `beta` only.
    Stranger,
    /// The organization `acme` itself.
    Organization,
    OtherOrganization,
    /// A token that is revoked or has expired.
    Dead,
}

/// How a caller says who it is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Token,
    /// The cookie of a session, and the proof that the request comes from a page of ours.
    Session,
    /// The cookie alone.
    Cookie,
}

#[derive(Clone, Debug)]
struct Who {
    name: String,
    way: Way,
    token: String,
    scopes: BTreeSet<&'static str>,
    owner: Owner,
}

impl Who {
    fn client(&self, server: &Server) -> Client {
        let session = Session {
            cookie: self.token.clone(),
            csrf: csrf(&self.token),
        };
        match self.way {
            Way::Token if self.owner == Owner::Nobody => server.client(),
            Way::Token => server.with_token(&self.token),
            Way::Session => session.client(server),
            Way::Cookie => session.reader(server),
        }
    }

    fn is_user(&self) -> bool {
        matches!(self.owner, Owner::Member(..) | Owner::Stranger)
    }

    fn is_organization(&self) -> bool {
        matches!(self.owner, Owner::Organization | Owner::OtherOrganization)
    }

    /// The scopes that count in the organization `acme`.
    fn in_organization(&self) -> BTreeSet<&'static str> {
        match self.owner {
            Owner::Member(role, _) => self.cut(of_role(&ROLES, role)),
            Owner::Organization => self.scopes.clone(),
            _ => BTreeSet::new(),
        }
    }

    /// The scopes that count in team `core` and on its project `web`; membership is not open.
    fn in_team(&self) -> BTreeSet<&'static str> {
        let organization = self.in_organization();
        match self.owner {
            Owner::Member(role, Some(team_role)) => {
                let team_role = if role == "member" { team_role } else { "admin" };
                let team = self.cut(of_role(&TEAM_ROLES, team_role));
                organization.union(&team).copied().collect()
            }
            Owner::Member("manager" | "owner", None) | Owner::Organization => organization,
            _ => BTreeSet::new(),
        }
    }

    fn cut(&self, scopes: BTreeSet<&'static str>) -> BTreeSet<&'static str> {
        scopes.intersection(&self.scopes).copied().collect()
    }
}

/// The statuses that the facts give a caller on a line.
fn expected(line: &Line, who: &Who) -> Vec<u16> {
    let Line(_, _, place, wanted, done) = line;
    let wanted = set(wanted);
    let may = |held: &BTreeSet<&str>| !wanted.is_disjoint(held);
    if *place == Browser {
        // Of a token nothing is said, not even that it is wrong. What others have is not there for a user.
        let is_here = who.is_user() && who.way != Way::Token;
        let is_proven = who.way == Way::Session || line.0 == "GET";
        return match (is_here && is_proven, who.owner) {
            (false, _) => vec![403],
            (true, Owner::Member("owner", _)) => done.to_vec(),
            (true, _) if line.1.contains("{own}") => vec![400, 404],
            (true, _) => done.to_vec(),
        };
    }
    if who.owner == Owner::Dead {
        return vec![401];
    }
    // Before anything else is looked at.
    if who.way == Way::Cookie && who.owner != Owner::Nobody && line.0 != "GET" {
        return vec![403];
    }
    if who.owner == Owner::Nobody && ![Open, Browser].contains(place) {
        return vec![401];
    }
    let allowed = match place {
        Open | LoggedIn | Browser => true,
        _ if !may(&who.scopes) => false,
        Anywhere => true,
        Place::Organization => may(&who.in_organization()),
        Team | Project => may(&who.in_team()),
        OwnTeam => may(&who.in_team()) || matches!(who.owner, Owner::Member(_, Some(_))),
    };
    if !allowed {
        return vec![403];
    }
    let by_rule = of_rule(line, who);
    if by_rule.is_empty() {
        done.to_vec()
    } else {
        by_rule
    }
}

/// What a line says to callers that it tells apart by more than scopes; nothing for all others.
fn of_rule(line: &Line, who: &Who) -> Vec<u16> {
    let holds = |scope| who.in_organization().contains(scope);
    match line.name().as_str() {
        "GET /api/0/auth/" if !who.is_user() => vec![400],
        "GET /api/0/users/me/" if who.is_organization() => vec![403],
        "POST /api/0/accept-transfer/" if who.is_organization() => vec![401],
        // It is about a session.
        "PUT /api/0/auth/" if who.owner == Owner::Nobody => vec![401],
        "PUT /api/0/auth/" | "DELETE /api/0/auth/"
            if who.way == Way::Token && who.owner != Owner::Nobody =>
        {
            vec![403]
        }
        // They ask for a user.
        "POST /api/0/organizations/" | "DELETE /api/0/organizations/{org}/"
            if who.is_organization() =>
        {
            vec![401]
        }
        "POST /api/0/organizations/{org}/projects/" if who.is_organization() => vec![400, 401],
        "DELETE /api/0/organizations/{org}/members/{member}/" if who.is_organization() => {
            vec![204, 400]
        }
        "DELETE /api/0/organizations/{org}/members/{member}/" => match holds("member:admin") {
            true => vec![204],
            false => vec![400],
        },
        "POST /api/0/organizations/{org}/members/{member}/teams/{team}/"
            if holds("org:write") && who.is_user() =>
        {
            vec![201]
        }
        "DELETE /api/0/organizations/{org}/members/{member}/teams/{team}/"
            if holds("org:admin") && who.is_user() =>
        {
            vec![200]
        }
        _ => Vec::new(),
    }
}

/// A token of the matrix, numbered.
fn token(number: usize) -> String {
    format!("sntryu_{number:064}")
}

fn organization_token(number: usize) -> String {
    format!("sntrys_{number:064}")
}

fn with_implied(scopes: &'static str) -> BTreeSet<&'static str> {
    let own = set(scopes);
    let mut all = own.clone();
    for scope in own {
        all.extend(of_role(&IMPLIED, scope));
    }
    all
}

/// The cookie of a session of the matrix, numbered.
fn cookie(number: usize) -> String {
    format!("{number:064}")
}

/// What goes with a session's cookie.
fn csrf(cookie: &str) -> String {
    use sha2::Digest;
    let hash = sha2::Sha256::digest(format!("csrf\0{cookie}"));
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Who has sessions: number of the cookie, name of the user, and the user's place.
const SESSIONS: [(usize, &str, Owner); 7] = [
    (1, "mia", Owner::Member("member", None)),
    (2, "cem", Owner::Member("member", Some("contributor"))),
    (3, "tom", Owner::Member("member", Some("admin"))),
    (4, "ada", Owner::Member("admin", Some("contributor"))),
    (5, "max", Owner::Member("manager", None)),
    (6, "ann", Owner::Member("owner", None)),
    (7, "eve", Owner::Stranger),
];

/// A session of Ann's that has expired.
const EXPIRED: usize = 8;

/// Everybody who asks in a browser. A session that is over, or never was, is nobody.
fn everybody_in_browsers() -> Vec<Who> {
    let who = |number: usize, name: &str, way, owner| Who {
        name: format!("{name} by {way:?}"),
        way,
        token: cookie(number),
        scopes: set(ALL_SCOPES),
        owner,
    };
    let sessions = SESSIONS.into_iter();
    let mut all: Vec<Who> = sessions
        .map(|(number, name, owner)| who(number, name, Way::Session, owner))
        .collect();
    all.extend([
        who(6, "ann", Way::Cookie, Owner::Member("owner", None)),
        who(EXPIRED, "expired", Way::Session, Owner::Nobody),
        who(9, "unknown", Way::Session, Owner::Nobody),
    ]);
    all
}

/// Everybody who asks: one caller of each kind, and one with a token of each single scope, whose owner has all.
fn everybody() -> Vec<Who> {
    let who = |name: &str, token: String, scopes, owner| Who {
        name: name.to_owned(),
        way: Way::Token,
        token,
        scopes: with_implied(scopes),
        owner,
    };
    let mut all = vec![
        who("anonymous", String::new(), "", Owner::Nobody),
        who(
            "member without team",
            token(1),
            ALL_SCOPES,
            Owner::Member("member", None),
        ),
        who(
            "contributor",
            token(2),
            ALL_SCOPES,
            Owner::Member("member", Some("contributor")),
        ),
        who(
            "team admin",
            token(3),
            ALL_SCOPES,
            Owner::Member("member", Some("admin")),
        ),
        who(
            "admin",
            token(4),
            ALL_SCOPES,
            Owner::Member("admin", Some("contributor")),
        ),
        who(
            "manager",
            token(5),
            ALL_SCOPES,
            Owner::Member("manager", None),
        ),
        who("owner", token(6), ALL_SCOPES, Owner::Member("owner", None)),
        who("stranger", token(7), ALL_SCOPES, Owner::Stranger),
        who("revoked", token(8), ALL_SCOPES, Owner::Dead),
        who("expired", token(9), ALL_SCOPES, Owner::Dead),
        who("unknown", token(10), ALL_SCOPES, Owner::Dead),
        who(
            "organization token",
            organization_token(1),
            "org:ci",
            Owner::Organization,
        ),
        who(
            "able organization token",
            organization_token(2),
            ALL_SCOPES,
            Owner::Organization,
        ),
        who(
            "other organization's token",
            organization_token(3),
            ALL_SCOPES,
            Owner::OtherOrganization,
        ),
    ];
    for (number, scope) in ALL_SCOPES.split_whitespace().enumerate() {
        let owner = Owner::Member("owner", None);
        all.push(who(scope, token(100 + number), scope, owner));
    }
    all.extend(everybody_in_browsers());
    all
}

fn apply_text() -> String {
    let list = |scopes: &str| {
        let quoted: Vec<String> = scopes
            .split_whitespace()
            .map(|s| format!("{s:?}"))
            .collect();
        quoted.join(", ")
    };
    let all = list(ALL_SCOPES);
    let organization = |slug: &str, tokens: &[(usize, &str)]| {
        let mut text = format!("[[organization]]\nslug = \"{slug}\"\n");
        for (number, scopes) in tokens {
            text += &format!(
                "[[organization.token]]\nname = \"{number}\"\ntoken = \"{}\"\nscopes = [{}]\n",
                organization_token(*number),
                list(scopes)
            );
        }
        text
    };
    let user = |name: &str, seat: &str, numbers: &[usize]| {
        let mut text = format!("[[user]]\nemail = \"{name}@example.test\"\n{seat}\n");
        for number in numbers {
            text += &format!(
                "[[user.token]]\nname = \"{number}\"\ntoken = \"{}\"\nscopes = [{all}]\n",
                token(*number)
            );
        }
        text
    };
    let mut text = organization("acme", &[(1, "org:ci"), (2, ALL_SCOPES)])
        + r#"
[[organization.team]]
slug = "core"
[[organization.team]]
slug = "ops"
[[organization.project]]
slug = "web"
id = 31
teams = ["core"]
[[organization.project.key]]
public = "0123456789abcdef0123456789abcdef"
[[organization.project]]
slug = "shop"
id = 32
teams = ["ops"]
[[organization.project.key]]
public = "11111111111111111111111111111111"
"#;
    text += &organization("beta", &[(3, ALL_SCOPES)]);
    text += r#"
[[organization.team]]
slug = "team-b"
[[organization.project]]
slug = "hidden"
id = 41
teams = ["team-b"]
[[organization.project.key]]
public = "33333333333333333333333333333333"
"#;
    text += &user("mia", r#"roles = { acme = "member" }"#, &[1]);
    let seat = |role: &str, team: &str| {
        format!("roles = {{ acme = \"{role}\" }}\nteams = {{ acme = [\"{team}\"] }}")
    };
    text += &user("cem", &seat("member", "core"), &[2]);
    text += &user("tom", &seat("member", "core:admin"), &[3]);
    text += &user("ada", &seat("admin", "core"), &[4]);
    text += &user("max", r#"roles = { acme = "manager" }"#, &[5]);
    text += &user("eve", r#"roles = { beta = "owner" }"#, &[7]);
    text += &user("vic", &seat("member", "ops"), &[]);
    text += &user("ann", r#"roles = { acme = "owner" }"#, &[6, 8]);
    for (number, scope) in ALL_SCOPES.split_whitespace().enumerate() {
        text += &format!(
            "[[user.token]]\nname = \"{scope}\"\ntoken = \"{}\"\nscopes = [\"{scope}\"]\n",
            token(100 + number)
        );
    }
    text + &format!(
        "[[user.token]]\nname = \"9\"\ntoken = \"{}\"\nscopes = [{all}]\nexpires = 2026-01-01T00:00:00Z\n",
        token(9)
    )
}

/// A server with all of them, and what the lines look up.
struct Ground {
    server: Server,
    /// The segments of the paths, by their names.
    segments: Vec<(&'static str, String)>,
}

const EVENT: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

impl Ground {
    fn new() -> Ground {
        Ground::on(Server::start(&apply_text()))
    }

    fn on(server: Server) -> Ground {
        insert_event(&server, 31, 0, EVENT, br#"{"message":"x"}"#);
        let attachment = attach(&server, EVENT, "a.txt", None, b"a", None);
        let database = server.database();
        let hash = |token: &str| {
            use sha2::Digest;
            sha2::Sha256::digest(token.as_bytes()).to_vec()
        };
        let revoked = database.execute(
            "UPDATE auth_token SET revoked_us = ?1 WHERE hash = ?2",
            rusqlite::params![START.us(), hash(&token(8))],
        );
        assert_eq!(revoked.expect("a token"), 1);
        let number = |sql: &str| -> i64 {
            database
                .query_row(sql, [], |row| row.get(0))
                .expect("a number")
        };
        database
            .execute_batch(
                "UPDATE organization SET open_membership = 0;
                 INSERT INTO environment (project_id, name, first_us) VALUES (31, 'production', 0);",
            )
            .expect("a change");
        for (cookie_number, name, _) in SESSIONS.into_iter().chain([(EXPIRED, "ann", Owner::Dead)])
        {
            let expires = match cookie_number {
                EXPIRED => START,
                _ => START.plus_secs(60),
            };
            database
                .execute(
                    "INSERT INTO session (hash, user_id, created_us, last_used_us, expires_us, address, user_agent,
                                          verified_us)
                     SELECT ?1, id, ?2, ?2, ?3, '', '', ?2 FROM user WHERE email = ?4",
                    rusqlite::params![
                        hash(&cookie(cookie_number)),
                        START.us(),
                        expires.us(),
                        format!("{name}@example.test")
                    ],
                )
                .expect("a session");
        }
        let member = number(
            "SELECT member.id FROM member JOIN user ON user.id = user_id WHERE user.email = 'vic@example.test'",
        );
        let item = number("SELECT id FROM event");
        database
            .execute_batch(
                "INSERT INTO auth_token (kind, organization_id, name, hash, last_characters, scopes, created_us)
                 SELECT 'api-key', id, 'old', x'00', '0000', 'org:read', 0 FROM organization WHERE slug = 'acme'",
            )
            .expect("an API key");
        let of_kind = |kind: &str, name: &str| {
            number(&format!(
                "SELECT id FROM auth_token WHERE kind = '{kind}' AND name = '{name}'"
            ))
        };
        let segments = vec![
            ("{org}", "acme".to_owned()),
            ("{project}", "web".to_owned()),
            ("{team}", "core".to_owned()),
            ("{ops}", "ops".to_owned()),
            ("{member}", member.to_string()),
            ("{key}", KEY.to_owned()),
            ("{filter}", "localhost".to_owned()),
            ("{environment}", "production".to_owned()),
            ("{event}", EVENT.to_owned()),
            ("{attachment}", attachment.to_string()),
            ("{item}", item.to_string()),
            ("{own}", of_kind("user", "6").to_string()),
            ("{token}", of_kind("organization", "1").to_string()),
            ("{api_key}", of_kind("api-key", "old").to_string()),
            ("{user}", "me".to_owned()),
            ("{method}", "totp".to_owned()),
            ("{authenticator}", "1".to_owned()),
        ];
        Ground { server, segments }
    }

    fn target(&self, line: &Line) -> String {
        self.target_with(line, "", "")
    }

    /// The path with one of its segments replaced.
    fn target_with(&self, line: &Line, name: &str, other: &str) -> String {
        let mut target = line.1.to_owned();
        for (segment, value) in &self.segments {
            let value = if *segment == name { other } else { value };
            target = target.replace(segment, value);
        }
        target
    }

    fn owner(&self) -> Client {
        self.server.with_token(&token(6))
    }

    /// The owner as somebody who may ask this: by a session where no token may.
    fn able(&self, line: &Line) -> Client {
        if line.2 != Browser && line.name() != "PUT /api/0/auth/" {
            return self.owner();
        }
        self.owner_in_a_browser()
    }

    fn owner_in_a_browser(&self) -> Client {
        let cookie = cookie(6);
        let csrf = csrf(&cookie);
        Session { cookie, csrf }.client(&self.server)
    }

    fn ask(&self, line: &Line, who: &Who) -> Answer {
        let client = who
            .client(&self.server)
            .with_header("Content-Type", "application/json");
        client.send(line.0, &self.target(line), line.body())
    }
}

/// The published document's operations, and whether each takes a body.
fn operations(server: &Server) -> Vec<(String, bool)> {
    let document = ok(&server.client().get("/api/0/openapi.json"));
    let paths = document["paths"].as_object().expect("paths");
    let mut operations = Vec::new();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().expect("methods") {
            if method != "parameters" {
                let name = format!("{} {path}", method.to_ascii_uppercase());
                operations.push((name, operation["requestBody"].is_object()));
            }
        }
    }
    operations
}

/// The lines that are served.
fn served(server: &Server) -> Vec<&'static Line> {
    let known: BTreeSet<String> = operations(server)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    LINES
        .iter()
        .filter(|line| known.contains(&line.name()))
        .collect()
}

#[test]
fn every_operation_is_in_the_matrix() {
    let server = Server::start("");
    let lines: BTreeSet<String> = LINES.iter().map(Line::name).collect();
    assert_eq!(lines.len(), LINES.len());
    for (name, has_body) in operations(&server) {
        let line = LINES.iter().find(|line| line.name() == name);
        let line = line.unwrap_or_else(|| panic!("{name} is not in the matrix"));
        assert_eq!(line.body().is_some(), has_body, "{name}");
    }
}

#[test]
fn every_caller_gets_what_the_facts_say() {
    let ground = Ground::new();
    let everybody = everybody();
    let mut wrong = Vec::new();
    let mut changes = Vec::new();
    for line in served(&ground.server) {
        for who in &everybody {
            let expected = expected(line, who);
            // Whoever may change something has a world of their own.
            if line.is_change() && expected != [401] && expected != [403] {
                changes.push((line, who, expected));
                continue;
            }
            let status = ground.ask(line, who).status;
            if !expected.contains(&status) {
                wrong.push((line.name(), who.name.clone(), expected, status));
            }
        }
    }
    wrong.extend(change(&changes));
    assert!(
        wrong.is_empty(),
        "line, caller, expected, answered: {wrong:#?}"
    );
}

type Difference = (String, String, Vec<u16>, u16);

/// Asks for changes, each on new ground, some at a time.
fn change(changes: &[(&Line, &Who, Vec<u16>)]) -> Vec<Difference> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut wrong = Vec::new();
        while let Some((line, who, expected)) = changes.get(next.fetch_add(1, Ordering::Relaxed)) {
            let status = Ground::new().ask(line, who).status;
            if !expected.contains(&status) {
                wrong.push((line.name(), who.name.clone(), expected.clone(), status));
            }
        }
        wrong
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Vec<Difference>>| {
            thread.join().expect("no thread panics")
        };
        threads.into_iter().flat_map(join).collect()
    })
}

#[test]
fn what_is_not_there_or_elsewhere_is_not_found_on_any_line() {
    let ground = Ground::new();
    let elsewhere = [
        ("{org}", ["nowhere", "999999"]),
        ("{project}", ["nothing", "hidden"]),
        ("{project}", ["999999", "41"]),
        ("{team}", ["nothing", "team-b"]),
        ("{ops}", ["nothing", "team-b"]),
        ("{member}", ["999999", "nobody"]),
        ("{key}", ["11111111111111111111111111111111", "nothing"]),
        ("{filter}", ["nothing", "legacy-browser"]),
        ("{environment}", ["nowhere", "%20"]),
        ("{event}", ["bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "nothing"]),
        ("{attachment}", ["999999", "nothing"]),
        ("{item}", ["999999", "nothing"]),
        ("{own}", ["999999", "nothing"]),
        ("{token}", ["999999", "nothing"]),
        ("{api_key}", ["999999", "nothing"]),
        ("{user}", ["999999", "nobody"]),
        ("{method}", ["sms", "nothing"]),
        ("{authenticator}", ["999999", "nothing"]),
    ];
    for line in served(&ground.server) {
        for (segment, others) in elsewhere {
            if !line.1.contains(segment) {
                continue;
            }
            for other in others {
                let target = ground.target_with(line, segment, other);
                let client = ground
                    .able(line)
                    .with_header("Content-Type", "application/json");
                // A user's tokens are looked for once it is known whose, which the body may say.
                let body = line.body().map(|body| match line.2 {
                    Browser => b"{}".as_slice(),
                    _ => body,
                });
                let answer = client.send(line.0, &target, body);
                assert_eq!(answer.status, 404, "{} {target}: {}", line.0, answer.text());
            }
        }
    }
}

/// The existence of an organization, a team or a project is no secret; what is in them is.
#[test]
fn strangers_are_told_what_is_not_there() {
    let ground = Ground::new();
    let stranger = ground.server.with_token(&token(7));
    for line in served(&ground.server) {
        let segment = match line.2 {
            Place::Organization => "{org}",
            Team | OwnTeam => "{team}",
            Project => "{project}",
            Open | LoggedIn | Browser | Anywhere => continue,
        };
        let target = ground.target_with(line, segment, "nothing");
        let answer = stranger.send(line.0, &target, line.body());
        assert_answer(&answer, 404, NOT_FOUND);
        let answer = stranger.send(line.0, &ground.target(line), line.body());
        assert_answer(&answer, 403, NO_PERMISSION);
    }
}

#[test]
fn a_method_without_a_line_is_refused_on_every_path() {
    let ground = Ground::new();
    let served = served(&ground.server);
    for line in &served {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            let is_served = served
                .iter()
                .any(|other| other.0 == method && other.pattern() == line.pattern());
            if is_served {
                continue;
            }
            let answer = ground.able(line).send(method, &ground.target(line), None);
            let refusal = format!(r#"{{"detail":"Method \"{method}\" not allowed."}}"#);
            match line.2 {
                Open | LoggedIn => assert_answer(&answer, 405, &refusal),
                Browser => assert_eq!(answer.status, 403),
                // Where no scope opens the method, that is said first.
                _ if answer.status == 403 => assert_answer(&answer, 403, NO_PERMISSION),
                _ => assert_answer(&answer, 405, &refusal),
            }
            let allow = answer.header("Allow").unwrap_or_default();
            assert!(allow.contains(line.0) && !allow.contains(method), "{allow}");
        }
    }
}

/// Before anything is looked up, whatever the line does.
#[test]
fn what_a_client_does_not_take_and_who_it_is_not_from_is_refused_on_every_line() {
    let ground = Ground::new();
    for line in served(&ground.server) {
        let owner = ground.able(line);
        let page = owner
            .clone()
            .with_header("Origin", "https://elsewhere.test");
        let picky = owner.with_header("Accept", "text/html");
        let target = ground.target(line);
        assert_answer(
            &page.send(line.0, &target, line.body()),
            400,
            r#""Invalid origin: https://elsewhere.test""#,
        );
        assert_answer(
            &picky.send(line.0, &target, line.body()),
            406,
            r#"{"detail":"Could not satisfy the request Accept header."}"#,
        );
    }
}

#[test]
fn a_body_of_another_type_or_without_end_is_refused_on_every_line_that_reads_one() {
    let ground = Ground::new();
    for line in served(&ground.server) {
        if line.body().is_none() {
            continue;
        }
        let owner = ground.able(line);
        let target = ground.target(line);
        let text = owner.clone().with_header("Content-Type", "text/plain");
        assert_answer(
            &text.send(line.0, &target, Some(b"x")),
            415,
            r#"{"detail":"Unsupported media type \"text/plain\" in request."}"#,
        );
        let endless = owner
            .clone()
            .with_header("Content-Length", "99999999999999");
        let answer = endless.send(line.0, &target, None);
        assert_answer(
            &answer,
            413,
            r#"{"detail":"The request body is too large"}"#,
        );
        let json = owner
            .clone()
            .with_header("Content-Type", "application/json");
        let answer = json.send(line.0, &target, Some(b"{"));
        assert_eq!(answer.status, 400, "{}", line.name());
        let detail = answer.json()["detail"].clone();
        let text = detail.as_str().unwrap_or_default();
        assert!(
            text.starts_with("JSON parse error - "),
            "{}: {text}",
            line.name()
        );
    }
}

#[test]
fn an_old_slug_of_a_project_leads_to_the_new_one_on_every_line() {
    let ground = Ground::new();
    let served = served(&ground.server);
    let project = "/api/0/projects/acme/web/";
    ok(&ground
        .owner()
        .put_json(project, &json!({"slug": "web-new"})));
    for line in served.into_iter().filter(|line| line.2 == Project) {
        let answer = ground
            .owner()
            .send(line.0, &ground.target(line), line.body());
        let url = ground.target_with(line, "{project}", "web-new");
        assert_answer(
            &answer,
            302,
            &json!({"slug": "web-new", "detail": {"extra": {"url": url, "slug": "web-new"}}})
                .to_string(),
        );
        assert_eq!(
            answer.header("Location"),
            Some(url.as_str()),
            "{}",
            line.name()
        );
    }
}

#[test]
fn every_line_is_limited() {
    let server = Server::start_with(&apply_text(), |settings| settings.api_rate_limits = true);
    let ground = Ground::on(server);
    // The clock stands still, so a second's requests are soon used up in each class.
    for path in [
        "/api/0/",
        "/api/0/projects/acme/web/keys/",
        "/api/0/organizations/acme/members/",
        "/api/0/organizations/acme/stats_v2/",
        "/api/0/projects/acme/web/stats/",
        &format!("/api/0/projects/acme/web/keys/{KEY}/stats/"),
    ] {
        for owner in [ground.owner(), ground.owner_in_a_browser()] {
            let mut requests = 0;
            while owner.get(path).status != 429 {
                requests += 1;
                assert!(requests <= 100, "{path} is not limited");
            }
        }
    }
    for line in served(&Ground::new().server) {
        let answer = ground
            .able(line)
            .send(line.0, &ground.target(line), line.body());
        assert_eq!(answer.status, 429, "{} {}", line.0, line.1);
    }
}

#[test]
fn a_token_has_what_its_scopes_imply_in_order() {
    let ground = Ground::new();
    let browser = ground.owner_in_a_browser();
    for scope in ALL_SCOPES.split_whitespace() {
        let made = browser.post_json("/api/0/api-tokens/", &json!({"scopes": [scope]}));
        assert_eq!(made.status, 201, "{scope}: {}", made.text());
        let expected = with_implied(scope);
        assert_eq!(made.json()["scopes"], json!(expected), "{scope}");
        // What the token says of itself is the same.
        let token = made.json()["token"].as_str().expect("a token").to_owned();
        let root = ok(&ground.server.with_token(&token).get("/api/0/"));
        assert_eq!(root["auth"]["scopes"], json!(expected), "{scope}");
    }
}

/// The scopes that no line asks for are the ones of which the README says so.
#[test]
fn the_readme_names_the_scopes_that_open_nothing() {
    let asked: BTreeSet<&str> = LINES.iter().flat_map(|line| set(line.3)).collect();
    let nothing: Vec<&str> = set(ALL_SCOPES)
        .into_iter()
        .filter(|scope| !asked.contains(scope))
        .collect();
    let readme = include_str!("../../README.md").split_whitespace();
    let readme = readme.collect::<Vec<_>>().join(" ");
    let listed = format!("these open nothing yet: `{}`.", nothing.join("`, `"));
    assert!(readme.contains(&listed), "{listed}");
}

/// Every role against every scope, as the organization's detail tells what the caller may do there: in a browser, and
/// with a token of each single scope.
#[test]
fn a_role_has_its_scopes_and_a_token_has_no_more() {
    let ground = Ground::new();
    let organization = "/api/0/organizations/acme/";
    for (role, email) in [
        ("member", "mia@example.test"),
        ("admin", "ada@example.test"),
        ("manager", "max@example.test"),
        ("owner", "ann@example.test"),
    ] {
        let browser = ground.server.signed_in(email);
        let own = of_role(&ROLES, role);
        assert_eq!(
            ok(&browser.get(organization))["access"],
            json!(own),
            "{role}"
        );
        for scope in ALL_SCOPES.split_whitespace() {
            // So that the detail may be looked at.
            let scopes = json!([scope, "org:read"]);
            let made = browser.post_json("/api/0/api-tokens/", &json!({"scopes": scopes}));
            let token = made.json()["token"].as_str().expect("a token").to_owned();
            let mut held = with_implied(scope);
            held.insert("org:read");
            let expected: BTreeSet<&str> = own.intersection(&held).copied().collect();
            let body = ok(&ground.server.with_token(&token).get(organization));
            assert_eq!(body["access"], json!(expected), "{role} with {scope}");
        }
    }
}
