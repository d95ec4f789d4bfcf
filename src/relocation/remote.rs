//! Asks another server's management API (facts/management-api.md): Sentry's, or that of another Picket.
//!
//! It only ever reads. A page follows another by the cursor in `Link`, and not by the address there, so the token goes
//! to the server that was named and to no other. An answer that says wait is waited for, and what fails for the moment
//! is asked again. What the API does not tell (passwords, tokens, second factors, who invited whom) is told first.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::bundle::{
    ASSIGN_OWNER, At, Bundle, Environment, Key, Member, Organization, Ownership, Person, Project,
    Team, User,
};
use super::file::loader;
use super::notes::Notes;
use crate::domain::access::MemberPolicy;
use crate::domain::email;
use crate::domain::key::{PublicKey, RateLimit};
use crate::domain::option::{self as known, KEPT_ORGANIZATION_SETTINGS, KeptValue};
use crate::domain::outbound::OutboundSettings;
use crate::domain::project_setting as setting;
use crate::domain::scope::{OrganizationRole, TeamRole};
use crate::domain::time::{Clock, Timestamp};
use crate::outbound::http::{Bounds, Client, Request, Response};

/// A page of a hundred projects with all that Sentry says of each is some hundred KiB.
const BOUNDS: Bounds = Bounds {
    time: Duration::from_secs(30),
    body_bytes: 16 << 20,
};

/// How often something is asked that fails for the moment, and how often an answer may say wait.
const TRIES: u32 = 6;
const WAITS_MAX: u32 = 50;
const WAIT_SECS_MAX: i64 = 600;

/// No list has more pages of a hundred.
const PAGES_MAX: usize = 100_000;

/// The names that are taken over have at most so many characters.
const NAME_MAX: usize = 64;
const LONG_NAME_MAX: usize = 200;

/// Why a server could not be read.
#[derive(Debug)]
pub(crate) struct NotRead {
    /// One sentence.
    pub(crate) text: String,
    /// Whether it is there for others, or not at all; what else there is can be read.
    is_denied: bool,
}

impl From<String> for NotRead {
    fn from(text: String) -> NotRead {
        NotRead {
            text,
            is_denied: false,
        }
    }
}

type Result<T, E = NotRead> = std::result::Result<T, E>;

/// A server, and the token that it is asked with.
pub(crate) struct Server {
    client: Client,
    /// Without a slash at the end.
    base: String,
    token: String,
    clock: Clock,
}

impl Server {
    /// # Errors
    /// One sentence about the address or the settings.
    pub(crate) fn new(
        base: &str,
        token: &str,
        outbound: &OutboundSettings,
        clock: Clock,
    ) -> Result<Server, String> {
        let base = base.trim().trim_end_matches('/');
        let host = base
            .strip_prefix("https://")
            .or_else(|| base.strip_prefix("http://"))
            .and_then(|rest| rest.split(['/', '?', '#']).next())
            .unwrap_or_default();
        // Who runs this command may have any server asked, also one of the own network. What is sent without TLS may be
        // read on the way, so that is for this machine alone, unless the setting names the host.
        let mut outbound = outbound.clone();
        if base.starts_with("https://") || is_this_machine(host) {
            let name = host.rsplit_once(':').map_or(host, |(name, port)| {
                if port.bytes().all(|b| b.is_ascii_digit()) {
                    name
                } else {
                    host
                }
            });
            outbound.internal_hosts.push(name.to_owned());
        }
        if base.contains(['?', '#']) || base.contains(char::is_whitespace) {
            return Err(
                "this must be the address of a server, such as https://sentry.example.com"
                    .to_owned(),
            );
        }
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("the token is no token: it must be one word of ASCII".to_owned());
        }
        let client = Client::with_bounds(&outbound, BOUNDS)?;
        client.check_url(base)?;
        Ok(Server {
            client,
            base: base.to_owned(),
            token: token.to_owned(),
            clock,
        })
    }

    /// Asks until there is an answer that says something.
    fn ask(&self, path: &str, query: &str) -> Result<Response<Vec<u8>>> {
        let url = format!("{}{path}{query}", self.base);
        let (mut tries, mut waits) = (0, 0);
        loop {
            let request = Request::get(&url)
                .header("Authorization", format!("Bearer {}", self.token))
                .header("Accept", "application/json")
                .body(Vec::new())
                .map_err(|error| format!("{url}: {error}"))?;
            tries += 1;
            let (why, wait_secs) = match self.client.call(request) {
                Err(error) => (error.to_string(), None),
                Ok(answer) => match answer.status().as_u16() {
                    200 => {
                        self.keep_pace(&answer);
                        return Ok(answer);
                    }
                    429 if waits < WAITS_MAX => {
                        waits += 1;
                        tries -= 1;
                        pause(self.wait_secs(&answer).unwrap_or(1).max(1));
                        continue;
                    }
                    status @ 500.. => {
                        let text = format!("{url} is answered with {status}");
                        (text, self.wait_secs(&answer))
                    }
                    status => return Err(self.refusal(path, status, answer.body())),
                },
            };
            if tries >= TRIES {
                return Err(format!("{why}, and so after {TRIES} tries").into());
            }
            log::warn!("{why}; it is asked again");
            pause(wait_secs.unwrap_or(1 << (tries - 1)));
        }
    }

    fn refusal(&self, path: &str, status: u16, body: &[u8]) -> NotRead {
        let detail = serde_json::from_slice::<Value>(body).ok();
        let detail = detail
            .as_ref()
            .and_then(|body| body.get("detail")?.as_str());
        let detail: String = detail.unwrap_or("no reason").chars().take(200).collect();
        let why = match status {
            401 => "the token is not taken",
            403 => {
                "the token may not read this; it needs org:read, team:read, project:read and member:read"
            }
            404 => "it is not there",
            300..=399 => "it is somewhere else; give the address that the server itself answers at",
            _ => "it is refused",
        };
        NotRead {
            text: format!(
                "{}{path}: {why} ({status}: {})",
                self.base,
                detail.escape_debug()
            ),
            is_denied: matches!(status, 403 | 404),
        }
    }

    /// How long an answer asks to wait.
    fn wait_secs(&self, answer: &Response<Vec<u8>>) -> Option<i64> {
        let number = |name: &str| -> Option<f64> {
            answer
                .headers()
                .get(name)?
                .to_str()
                .ok()?
                .trim()
                .parse()
                .ok()
        };
        let secs = number("Retry-After").or_else(|| {
            let reset = number("X-Sentry-Rate-Limit-Reset")?;
            Some(reset - self.clock.now().secs() as f64)
        })?;
        Some((secs.ceil() as i64).clamp(0, WAIT_SECS_MAX))
    }

    /// Waits before the next request if this one was the last that the window allows.
    fn keep_pace(&self, answer: &Response<Vec<u8>>) {
        let left = answer.headers().get("X-Sentry-Rate-Limit-Remaining");
        if left.is_some_and(|left| left.as_bytes() == b"0")
            && let Some(secs) = self.wait_secs(answer)
        {
            pause(secs);
        }
    }

    fn get(&self, path: &str, query: &str) -> Result<Value> {
        let answer = self.ask(path, query)?;
        serde_json::from_slice(answer.body())
            .map_err(|error| format!("{}{path}: the answer is no JSON: {error}", self.base).into())
    }

    /// Every item of a list, page by page.
    fn list(&self, path: &str, query: &str) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut full = format!("?per_page=100{query}");
            if let Some(cursor) = &cursor {
                full.push_str("&cursor=");
                full.extend(form_urlencoded::byte_serialize(cursor.as_bytes()));
            }
            let answer = self.ask(path, &full)?;
            let page: Vec<Value> = serde_json::from_slice(answer.body())
                .map_err(|error| format!("{}{path}: the answer is no list: {error}", self.base))?;
            items.extend(page);
            let links = answer
                .headers()
                .get("Link")
                .and_then(|link| link.to_str().ok());
            let next = links.and_then(next_cursor);
            if next.is_none() {
                return Ok(items);
            }
            if next == cursor {
                let text = "the next page is the same one again";
                return Err(format!("{}{path}: {text}", self.base).into());
            }
            cursor = next;
        }
        Err(format!("{}{path}: the list has no end", self.base).into())
    }
}

fn pause(secs: i64) {
    std::thread::sleep(Duration::from_secs(u64::try_from(secs).unwrap_or(0)));
}

fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let address: Option<std::net::IpAddr> = name.parse().ok();
    name == "localhost" || address.is_some_and(|address| address.is_loopback())
}

/// The cursor of the next page, if that has anything (facts/management-api.md 1.9).
fn next_cursor(links: &str) -> Option<String> {
    links.split(", <").find_map(|link| {
        let mut parts = link.split(';').map(str::trim).skip(1);
        let (mut is_next, mut has_results, mut cursor) = (false, false, None);
        for (name, value) in parts.by_ref().filter_map(|part| part.split_once('=')) {
            let value = value.trim_matches('"');
            match name {
                "rel" => is_next = value == "next",
                "results" => has_results = value == "true",
                "cursor" => cursor = Some(value.to_owned()),
                _ => {}
            }
        }
        cursor.filter(|_| is_next && has_results)
    })
}

/// What an answer holds, with where it was, for the sentence about what it lacks.
struct Answer<'a> {
    of: &'a str,
    value: &'a Value,
}

impl Answer<'_> {
    fn missing(&self, field: &str) -> NotRead {
        format!("{}: an answer has no {field} that can be read", self.of).into()
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.value.get(field)?.as_str()
    }

    fn needed_text(&self, field: &str) -> Result<&str> {
        self.text(field).ok_or_else(|| self.missing(field))
    }

    fn name(&self, field: &str, chars_max: usize) -> Result<String> {
        Ok(self.needed_text(field)?.chars().take(chars_max).collect())
    }

    /// A number that the API writes as a text.
    fn id(&self) -> Result<i64> {
        let id = self.text("id").and_then(|id| id.parse().ok());
        id.ok_or_else(|| self.missing("id"))
    }

    /// A word that can stand in a path.
    fn slug(&self) -> Result<String> {
        let slug = self.needed_text("slug")?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if slug.is_empty() || slug.len() > 200 || !slug.chars().all(is_plain) {
            return Err(self.missing("slug"));
        }
        Ok(slug.to_owned())
    }

    fn date(&self, field: &str) -> Option<Timestamp> {
        let date = Timestamp::parse_iso(self.text(field)?)?;
        Some(date.max(Timestamp::from_us(0)).min(Timestamp::LAST))
    }

    fn needed_date(&self, field: &str) -> Result<Timestamp> {
        self.date(field).ok_or_else(|| self.missing(field))
    }

    fn switch(&self, field: &str, default: bool) -> bool {
        self.value
            .get(field)
            .and_then(Value::as_bool)
            .unwrap_or(default)
    }
}

/// Reads organizations with all that the API tells of them; all that the token sees, unless some are named. `progress`
/// hears what is being read.
///
/// # Errors
/// One sentence: the server cannot be reached, refuses, or answers what cannot be read.
pub(crate) fn read(
    server: &Server,
    organizations: &[String],
    progress: &mut dyn FnMut(&str),
) -> Result<Bundle> {
    let mut reader = Reader {
        server,
        bundle: Bundle::default(),
        users: HashMap::new(),
        addresses: HashSet::new(),
        notes: Notes::default(),
        progress,
    };
    reader.notes.say(
        "the API tells no passwords, second factors or tokens: users need new ones (picket user reset-password prints a link, \
         picket token create makes a token)",
    );
    reader
        .notes
        .say("the API does not tell who invited whom, and no links of invitations");
    let slugs = match organizations {
        [] => {
            (reader.progress)("organizations");
            let all = server.list("/api/0/organizations/", "")?;
            let slug = |value| {
                Answer {
                    of: "/api/0/organizations/",
                    value,
                }
                .slug()
            };
            all.iter().map(slug).collect::<Result<Vec<_>>>()?
        }
        named => named.to_vec(),
    };
    for slug in slugs {
        reader.organization(&slug)?;
    }
    let Reader {
        mut bundle, notes, ..
    } = reader;
    // Keys have no numbers in the API; lists are in the order of those that they get here.
    bundle.keys.sort_by_key(|key| key.created);
    bundle.notes = notes;
    Ok(bundle)
}

struct Reader<'a> {
    server: &'a Server,
    bundle: Bundle,
    /// By their numbers there.
    users: HashMap<i64, Option<At>>,
    /// In lower case.
    addresses: HashSet<String>,
    notes: Notes,
    progress: &'a mut dyn FnMut(&str),
}

impl Reader<'_> {
    fn organization(&mut self, slug: &str) -> Result<()> {
        (self.progress)(slug);
        let path = format!("/api/0/organizations/{slug}/");
        let value = self.server.get(&path, "?detailed=0")?;
        let answer = Answer {
            of: &path,
            value: &value,
        };
        let at = self.bundle.organizations.len();
        self.bundle.organizations.push(Organization {
            id: Some(answer.id()?),
            slug: answer.slug()?,
            name: answer.name("name", NAME_MAX)?,
            policy: MemberPolicy {
                open_membership: answer.switch("openMembership", true),
                invite: answer.switch("allowMemberInvite", true),
                create_projects: answer.switch("allowMemberProjectCreation", true),
                admin_events: answer.switch("eventsMemberAdmin", true),
                write_alerts: answer.switch("alertsMemberWrite", true),
            },
            early_adopter: answer.switch("isEarlyAdopter", false),
            superuser_access: answer.switch("allowSuperuserAccess", true),
            require_2fa: answer.switch("require2FA", false),
            created: answer.needed_date("dateCreated")?,
            options: options_of_organization(&value),
        });
        if answer.switch("require2FA", false) {
            let text =
                "these organizations demand a second factor, which their members must set up anew";
            self.notes.add(text, slug);
        }
        if answer.switch("hasAuthProvider", false) || answer.switch("requiresSso", false) {
            self.notes.add("single sign-on must be set up again", slug);
        }
        let teams = self.teams(slug, at)?;
        self.members(slug, at, &teams)?;
        self.projects(slug, at, &teams)
    }

    /// The teams by slug.
    fn teams(&mut self, organization: &str, owner: At) -> Result<HashMap<String, At>> {
        let path = format!("/api/0/organizations/{organization}/teams/");
        let mut teams = HashMap::new();
        for value in self.server.list(&path, "")? {
            let answer = Answer {
                of: &path,
                value: &value,
            };
            let slug = answer.slug()?;
            teams.insert(slug.clone(), self.bundle.teams.len());
            self.bundle.teams.push(Team {
                id: Some(answer.id()?),
                organization: owner,
                slug,
                name: answer.name("name", NAME_MAX)?,
                created: answer.needed_date("dateCreated")?,
            });
        }
        Ok(teams)
    }

    fn members(
        &mut self,
        organization: &str,
        owner: At,
        teams: &HashMap<String, At>,
    ) -> Result<()> {
        (self.progress)(&format!("{organization}: members"));
        let path = format!("/api/0/organizations/{organization}/members/");
        let mut found: HashMap<i64, At> = HashMap::new();
        for value in self.server.list(&path, "")? {
            let answer = Answer {
                of: &path,
                value: &value,
            };
            if let Some(member) = self.member(&answer, organization, owner)? {
                found.insert(answer.id()?, self.bundle.members.len());
                self.bundle.members.push(member);
            }
        }
        let mut slugs: Vec<_> = teams.iter().collect();
        slugs.sort();
        for (team, at) in slugs {
            let path = format!("/api/0/teams/{organization}/{team}/members/");
            for value in self.server.list(&path, "")? {
                let answer = Answer {
                    of: &path,
                    value: &value,
                };
                let role = answer.text("teamRole").and_then(TeamRole::parse);
                if let Some(member) = found.get(&answer.id()?) {
                    let seats = &mut self.bundle.members[*member].seats;
                    if seats.iter().all(|(known, _)| known != at) {
                        seats.push((*at, role));
                    }
                }
            }
        }
        Ok(())
    }

    fn member(
        &mut self,
        answer: &Answer<'_>,
        organization: &str,
        owner: At,
    ) -> Result<Option<Member>> {
        let address = answer.text("email").unwrap_or_default().to_owned();
        let shown = format!("{address} in {organization}");
        if answer
            .text("inviteStatus")
            .is_some_and(|status| status != "approved")
        {
            let text = "these asked to be let into an organization, which nobody granted, and are left out";
            self.notes.add(text, shown);
            return Ok(None);
        }
        let user = answer.value.get("user").filter(|user| !user.is_null());
        let who = match user {
            Some(user) => match self.user(&Answer {
                of: answer.of,
                value: user,
            })? {
                Some(at) => Person::User(at),
                None => return Ok(None),
            },
            None if email::is_plausible(&address) => Person::Invited {
                email: address,
                link: None,
            },
            None => {
                self.notes
                    .add("these invitations have no address and are left out", shown);
                return Ok(None);
            }
        };
        let role = answer
            .text("orgRole")
            .or_else(|| answer.text("role"))
            .unwrap_or_default();
        let role = OrganizationRole::parse(role).unwrap_or_else(|| {
            let text = "Picket does not know the roles of these, who become plain members";
            self.notes.add(text, format!("{shown}: {role}"));
            OrganizationRole::Member
        });
        Ok(Some(Member {
            id: Some(answer.id()?),
            organization: owner,
            who,
            role,
            inviter: None,
            created: answer.needed_date("dateCreated")?,
            seats: Vec::new(),
        }))
    }

    /// None: there is no address that the user could have here.
    fn user(&mut self, answer: &Answer<'_>) -> Result<Option<At>> {
        let id = answer.id()?;
        if let Some(known) = self.users.get(&id) {
            return Ok(*known);
        }
        let addresses = [answer.text("email"), answer.text("username")];
        let is_free = |address: &&str| {
            email::is_plausible(address) && !self.addresses.contains(&address.to_lowercase())
        };
        let Some(email) = addresses.into_iter().flatten().find(is_free) else {
            let text = "these users have no address of their own, which they need here, and are left out with their memberships";
            self.notes
                .add(text, answer.text("username").unwrap_or_default());
            self.users.insert(id, None);
            return Ok(None);
        };
        if answer.switch("isSuperuser", false) {
            let text = "these users may do everything there, which is not taken over; picket user superuser gives it";
            self.notes.add(text, email);
        }
        let name = answer
            .text("name")
            .filter(|name| *name != email)
            .unwrap_or_default();
        self.addresses.insert(email.to_lowercase());
        let at = self.bundle.users.len();
        self.bundle.users.push(User {
            id: Some(id),
            email: email.to_owned(),
            name: name.chars().take(LONG_NAME_MAX).collect(),
            password: None,
            active: answer.switch("isActive", true),
            superuser: false,
            created: answer.needed_date("dateJoined")?,
            last_login: answer.date("lastLogin"),
            last_active: answer.date("lastActive"),
            totp: None,
            tokens: Vec::new(),
        });
        self.users.insert(id, Some(at));
        Ok(Some(at))
    }

    fn projects(
        &mut self,
        organization: &str,
        owner: At,
        teams: &HashMap<String, At>,
    ) -> Result<()> {
        let path = format!("/api/0/organizations/{organization}/projects/");
        let all = self.server.list(&path, "")?;
        let count = all.len();
        for (number, value) in all.iter().enumerate() {
            (self.progress)(&format!(
                "{organization}: project {} of {count}",
                number + 1
            ));
            let slug = Answer { of: &path, value }.slug()?;
            self.project(organization, owner, &slug, teams)?;
        }
        Ok(())
    }

    fn project(
        &mut self,
        organization: &str,
        owner: At,
        slug: &str,
        teams: &HashMap<String, At>,
    ) -> Result<()> {
        let path = format!("/api/0/projects/{organization}/{slug}/");
        let value = match self.server.get(&path, "?collapse=organization") {
            Err(denied) if denied.is_denied => {
                let text = "these projects may not be read with this token, and are left out";
                self.notes.add(text, format!("{organization}/{slug}"));
                return Ok(());
            }
            found => found?,
        };
        let answer = Answer {
            of: &path,
            value: &value,
        };
        let id = answer.id()?;
        let created = answer.needed_date("dateCreated")?;
        let filters = self.server.get(&format!("{path}filters/"), "")?;
        let of_organization = &self.bundle.organizations[owner].options;
        let options = options_of_project(&value, &filters, of_organization);
        let own_teams = value.get("teams").and_then(Value::as_array);
        let team = |team: &Value| teams.get(team.get("slug")?.as_str()?).copied();
        let project = Project {
            id: Some(id),
            organization: owner,
            slug: answer.slug()?,
            name: answer.name("name", LONG_NAME_MAX)?,
            platform: answer
                .text("platform")
                .filter(|text| !text.is_empty())
                .map(str::to_owned),
            first_event: answer.date("firstEvent"),
            created,
            security_token: answer
                .text("securityToken")
                .map(|text| text.chars().take(255).collect()),
            options,
            teams: own_teams.into_iter().flatten().filter_map(team).collect(),
            old_slugs: Vec::new(),
            ownership: self.ownership(&format!("{path}ownership/"))?,
            environments: self.environments(&format!("{path}environments/"), created)?,
        };
        let at = self.bundle.projects.len();
        self.bundle.projects.push(project);
        self.keys(
            &format!("{path}keys/"),
            at,
            &format!("{organization}/{slug}"),
        )
    }

    fn ownership(&self, path: &str) -> Result<Option<Ownership>> {
        let value = self.server.get(path, "")?;
        let answer = Answer {
            of: path,
            value: &value,
        };
        let Some(created) = answer.date("dateCreated") else {
            return Ok(None);
        };
        let word = answer.text("autoAssignment").unwrap_or(ASSIGN_OWNER);
        Ok(Some(Ownership {
            raw: answer.text("raw").map(str::to_owned),
            fallthrough: answer.switch("fallthrough", true),
            auto_assignment: word.chars().take(NAME_MAX).collect(),
            codeowners_auto_sync: answer.switch("codeownersAutoSync", true),
            created,
            updated: answer.date("lastUpdated").unwrap_or(created),
        }))
    }

    fn environments(&self, path: &str, since: Timestamp) -> Result<Vec<Environment>> {
        let mut environments: Vec<Environment> = Vec::new();
        for value in self.server.list(path, "&visibility=all")? {
            let answer = Answer {
                of: path,
                value: &value,
            };
            let name = answer.name("name", NAME_MAX)?;
            if !name.is_empty() && environments.iter().all(|known| known.name != name) {
                environments.push(Environment {
                    id: answer.id().ok(),
                    name,
                    hidden: answer.switch("isHidden", false),
                    first: since,
                });
            }
        }
        Ok(environments)
    }

    /// Oldest first, so that their order stays.
    fn keys(&mut self, path: &str, project: At, shown: &str) -> Result<()> {
        let mut values = self.server.list(path, "")?;
        values.reverse();
        for value in values {
            let answer = Answer {
                of: path,
                value: &value,
            };
            let label = match answer.text("label").or_else(|| answer.text("name")) {
                Some(label) if !label.is_empty() => label.chars().take(NAME_MAX).collect(),
                _ => "Default".to_owned(),
            };
            let public = answer.text("public").or_else(|| answer.text("id"));
            let Some(public) = public.and_then(PublicKey::parse) else {
                let text = "these keys have no public half of 32 characters and are left out";
                self.notes.add(text, format!("{label} of {shown}"));
                continue;
            };
            if let Some(expires) = answer.text("expiresAt") {
                let text = "these keys were to end, which does not come along; picket key update switches them off";
                self.notes
                    .add(text, format!("{label} {public} of {shown}, at {expires}"));
            }
            let limit = value.get("rateLimit");
            let number = |name: &str| limit?.get(name)?.as_i64();
            let secret = answer.text("secret").filter(|secret| !secret.is_empty());
            let version = answer.text("browserSdkVersion");
            self.bundle.keys.push(Key {
                id: None,
                project,
                public,
                secret: secret.map(|secret| secret.chars().take(NAME_MAX).collect()),
                label,
                active: answer.switch("isActive", true),
                rate_limit: RateLimit::from_parts(number("count"), number("window"))
                    .filter(|limit| i64::from(limit.window_secs) <= RateLimit::WINDOW_SECS_MAX),
                browser_sdk_version: version.map(str::to_owned),
                loader: loader(value.get("dynamicSdkLoaderOptions")),
                created: answer.needed_date("dateCreated")?,
            });
        }
        Ok(())
    }
}

/// Fields that say the same as options, each with its default.
type Told = (&'static str, &'static str, fn() -> Value);

/// Only what is set otherwise than by default: the rest says nothing.
fn differing(value: &Value, told: &[Told]) -> Vec<(String, Value)> {
    told.iter()
        .filter_map(|(field, option, default)| {
            let found = value.get(*field).filter(|found| !found.is_null())?;
            (*found != default()).then(|| ((*option).to_owned(), found.clone()))
        })
        .collect()
}

fn options_of_organization(value: &Value) -> Vec<(String, Value)> {
    let told: [Told; 6] = [
        ("dataScrubber", known::REQUIRE_SCRUB_DATA, || json!(false)),
        (
            "dataScrubberDefaults",
            known::REQUIRE_SCRUB_DEFAULTS,
            || json!(false),
        ),
        ("scrubIPAddresses", known::REQUIRE_SCRUB_ADDRESSES, || {
            json!(false)
        }),
        ("sensitiveFields", known::SENSITIVE_FIELDS, || json!([])),
        ("safeFields", known::SAFE_FIELDS, || json!([])),
        (
            "aggregatedDataConsent",
            known::AGGREGATED_DATA_CONSENT,
            || json!(false),
        ),
    ];
    let mut options = differing(value, &told);
    for kept in KEPT_ORGANIZATION_SETTINGS {
        let default = match kept.default {
            KeptValue::Switch(on) => json!(on),
            KeptValue::Number(number) => json!(number),
            KeptValue::Role(role) => json!(role),
        };
        let found = value.get(kept.field).filter(|found| !found.is_null());
        if let Some(found) = found.filter(|found| **found != default) {
            options.push((kept.option.to_owned(), found.clone()));
        }
    }
    if let Some(limit) = value
        .get("defaultRateLimit")
        .filter(|limit| limit.is_object())
    {
        options.push((known::DEFAULT_RATE_LIMIT.to_owned(), limit.clone()));
    }
    options
}

fn options_of_project(
    value: &Value,
    filters: &Value,
    of_organization: &[(String, Value)],
) -> Vec<(String, Value)> {
    let told: [Told; 24] = [
        ("allowedDomains", known::ORIGINS, || json!(["*"])),
        ("dataScrubber", known::SCRUB_DATA, || json!(true)),
        ("dataScrubberDefaults", known::SCRUB_DEFAULTS, || {
            json!(true)
        }),
        ("scrubIPAddresses", known::SCRUB_ADDRESSES, || json!(false)),
        ("sensitiveFields", known::SENSITIVE_FIELDS, || json!([])),
        ("safeFields", known::SAFE_FIELDS, || json!([])),
        ("subjectPrefix", setting::SUBJECT_PREFIX, || {
            json!("[Sentry] ")
        }),
        ("subjectTemplate", setting::SUBJECT_TEMPLATE, || {
            json!("$shortID - $title")
        }),
        ("digestsMinDelay", setting::DIGESTS_MIN_DELAY, || {
            json!(setting::DIGESTS_DELAY_SECS.0)
        }),
        ("digestsMaxDelay", setting::DIGESTS_MAX_DELAY, || {
            json!(setting::DIGESTS_DELAY_SECS.1)
        }),
        ("resolveAge", setting::RESOLVE_AGE, || json!(0)),
        ("storeCrashReports", setting::STORE_CRASH_REPORTS, || {
            Value::Null
        }),
        (
            "securityTokenHeader",
            setting::SECURITY_TOKEN_HEADER,
            || Value::Null,
        ),
        ("verifySSL", setting::VERIFY_SSL, || json!(false)),
        ("scrapeJavaScript", setting::SCRAPE_JAVASCRIPT, || {
            json!(true)
        }),
        ("enableAutoReleaseCreation", setting::AUTO_RELEASES, || {
            json!(true)
        }),
        ("defaultEnvironment", setting::DEFAULT_ENVIRONMENT, || {
            Value::Null
        }),
        ("highlightTags", setting::HIGHLIGHT_TAGS, || json!([])),
        ("highlightContext", setting::HIGHLIGHT_CONTEXT, || json!({})),
        (
            "groupingEnhancements",
            setting::GROUPING_ENHANCEMENTS,
            || json!(""),
        ),
        ("fingerprintingRules", setting::FINGERPRINTING_RULES, || {
            json!("")
        }),
        (
            "builtinSymbolSources",
            setting::BUILTIN_SYMBOL_SOURCES,
            || json!([]),
        ),
        ("symbolSources", setting::SYMBOL_SOURCES, || json!("[]")),
        ("debugFilesRole", setting::DEBUG_FILES_ROLE, || Value::Null),
    ];
    let mut options: Map<String, Value> = differing(value, &told).into_iter().collect();
    // The list of a project is shown with what its organization adds to it.
    for name in [known::SENSITIVE_FIELDS, known::SAFE_FIELDS] {
        let added = of_organization.iter().find(|(known, _)| known == name);
        let added = added.and_then(|(_, value)| value.as_array());
        if let (Some(added), Some(Value::Array(own))) = (added, options.get_mut(name)) {
            own.retain(|field| !added.contains(field));
            if own.is_empty() {
                options.remove(name);
            }
        }
    }
    let in_map = value.get("options").and_then(Value::as_object);
    for (name, value) in in_map.into_iter().flatten() {
        let (name, is_default) = match name.as_str() {
            "filters:blacklisted_ips" => (known::BLOCKED_ADDRESSES, value == ""),
            "filters:releases" => (known::BLOCKED_RELEASES, value == ""),
            "filters:error_messages" => (known::BLOCKED_ERROR_MESSAGES, value == ""),
            "filters:log_messages" => (known::BLOCKED_LOG_MESSAGES, value == ""),
            "filters:trace_metric_names" => (known::BLOCKED_METRIC_NAMES, value == ""),
            known::CSP_SOURCES => (known::CSP_SOURCES, value == ""),
            name @ (known::FILTER_REACT_HYDRATION
            | known::FILTER_CHUNK_LOAD
            | known::CSP_DEFAULT_SOURCES
            | "feedback:branding") => (name, *value == json!(true)),
            name => (name, value.is_null()),
        };
        if !is_default && !options.contains_key(name) {
            options.insert(name.to_owned(), value.clone());
        }
    }
    let told: [(&str, &str, bool); 5] = [
        (
            "browser-extensions",
            known::FILTER_BROWSER_EXTENSIONS,
            false,
        ),
        ("filtered-transaction", known::FILTER_TRANSACTIONS, true),
        ("legacy-browsers", known::FILTER_LEGACY_BROWSERS, false),
        ("localhost", known::FILTER_LOCALHOST, false),
        ("web-crawlers", known::FILTER_WEB_CRAWLERS, false),
    ];
    for filter in filters.as_array().into_iter().flatten() {
        let active = filter.get("active");
        let known = told
            .iter()
            .find(|(id, ..)| filter.get("id") == Some(&json!(id)));
        if let (Some((_, name, default)), Some(active)) = (known, active)
            && *active != json!(default)
        {
            options.insert((*name).to_owned(), active.clone());
        }
    }
    options.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_told_by_its_cursor() {
        let links = "<https://a.test/api/0/x/?&cursor=0:0:1>; rel=\"previous\"; results=\"false\"; cursor=\"0:0:1\", \
                     <https://a.test/api/0/x/?&cursor=0:100:0>; rel=\"next\"; results=\"true\"; cursor=\"0:100:0\"";
        assert_eq!(next_cursor(links), Some("0:100:0".to_owned()));
        assert_eq!(next_cursor(&links.replace("\"true\"", "\"false\"")), None);
        assert_eq!(
            next_cursor("<https://a.test/>; rel=\"next\"; results=\"true\""),
            None
        );
        assert_eq!(next_cursor(""), None);
    }

    #[test]
    fn a_token_goes_over_tls_or_stays_on_this_machine() {
        let none = OutboundSettings::default();
        let clock = Clock::system();
        let new =
            |base: &str| Server::new(base, "sntryu_abc", &none, clock.clone()).map(|s| s.base);
        for (base, expected) in [
            ("https://sentry.example.com/", "https://sentry.example.com"),
            ("https://10.0.0.5:8443", "https://10.0.0.5:8443"),
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("http://localhost:9000", "http://localhost:9000"),
            ("http://[::1]:9000", "http://[::1]:9000"),
        ] {
            assert_eq!(new(base).as_deref(), Ok(expected), "{base}");
        }
        for wrong in [
            "http://sentry.example.com",
            "http://127.0.0.1.example.com",
            "http://127.0.0.1@example.com",
            "https://user:secret@sentry.example.com",
            "https://sentry.example.com?x=1",
            "sentry.example.com",
            "ftp://sentry.example.com",
            "",
        ] {
            assert!(new(wrong).is_err(), "{wrong}");
        }
        assert!(Server::new("https://a.test", "two words", &none, clock).is_err());
    }
}
