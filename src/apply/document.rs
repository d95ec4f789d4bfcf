//! Reads the apply file: from TOML to checked values, each with the line that it stands in.
//!
//! Everything that a value alone can get wrong is reported here. A wrong value is replaced by something
//! harmless and reading goes on, so that one run reports all; a document with faults is never applied.

use std::collections::BTreeSet;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Faults;
use crate::domain::id::{CHOSEN_ID_MAX, ProjectId};
use crate::domain::key::{PublicKey, RateLimit, is_hex_32};
use crate::domain::scope::{OrganizationRole, ScopeSet, TeamRole};
use crate::domain::slug::{Slug, SlugKind};
use crate::domain::time::Timestamp;
use crate::domain::token::{ORGANIZATION_PREFIX, TokenText};
use crate::domain::{email, option, password, platform};

/// The longest names, in characters (facts/management-api.md 1.10 and 7.5, auth-and-tokens.md 2.1). A
/// project's is the one for updates: it is the longer one, and this file does both.
const NAME_MAX: usize = 64;
const PROJECT_NAME_MAX: usize = 200;
const TOKEN_NAME_MAX: usize = 255;
const USER_NAME_MAX: usize = 200;

/// The name of a key or token that was given none. Terraform looks for a key of exactly this name.
pub(super) const DEFAULT_NAME: &str = "Default";

/// A value and the line that it stands in.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) line: usize,
    pub(super) value: T,
}

/// What a file describes.
#[derive(Default)]
pub(super) struct Document {
    pub(super) organizations: Vec<Organization>,
    pub(super) users: Vec<User>,
}

pub(super) struct Organization {
    pub(super) slug: At<Slug>,
    pub(super) name: Option<String>,
    /// Those given, each with its value as it is stored.
    pub(super) options: Vec<(&'static str, Json)>,
    pub(super) teams: Vec<Team>,
    pub(super) projects: Vec<Project>,
    pub(super) tokens: Vec<Token>,
}

pub(super) struct Team {
    pub(super) slug: At<Slug>,
    pub(super) name: Option<String>,
}

pub(super) struct Project {
    pub(super) slug: At<Slug>,
    pub(super) name: Option<String>,
    pub(super) id: Option<At<ProjectId>>,
    pub(super) platform: Option<String>,
    pub(super) teams: Vec<At<Slug>>,
    /// Names that are enforced, with the values as they are stored.
    pub(super) options: Vec<(&'static str, Json)>,
    pub(super) keys: Vec<Key>,
}

pub(super) struct Key {
    pub(super) line: usize,
    pub(super) name: Option<String>,
    pub(super) public: Option<At<PublicKey>>,
    pub(super) secret: Option<String>,
    pub(super) rate_limit: Option<RateLimit>,
}

impl Key {
    pub(super) fn name_or_default(&self) -> &str {
        self.name.as_deref().unwrap_or(DEFAULT_NAME)
    }
}

/// Whether some of the keys has this public half.
pub(super) fn lists(keys: &[Key], public: PublicKey) -> bool {
    keys.iter()
        .any(|key| key.public.as_ref().is_some_and(|p| p.value == public))
}

pub(super) struct Token {
    pub(super) name: At<String>,
    /// Given, so that clients keep theirs; else a random one.
    pub(super) text: Option<At<TokenText>>,
    pub(super) scopes: Option<ScopeSet>,
    pub(super) expires: Option<Timestamp>,
}

pub(super) struct User {
    pub(super) email: At<String>,
    pub(super) name: Option<String>,
    pub(super) password: Option<At<String>>,
    pub(super) roles: Vec<At<(Slug, OrganizationRole)>>,
    pub(super) teams: Vec<At<Seat>>,
    pub(super) tokens: Vec<Token>,
}

/// A user's place in a team.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) organization: Slug,
    pub(super) team: Slug,
    /// None: as it is, or the default.
    pub(super) role: Option<TeamRole>,
}

/// Reads a text; none if it is no TOML, because nothing can be said of its contents then.
pub(super) fn read(text: &str, faults: &mut Faults) -> Option<Document> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { text, faults };
    if !errors.is_empty() {
        for error in errors {
            let line = reader.line(error.span().map_or(0, |span| span.start));
            reader.faults.add(line, "", error.message());
        }
        return None;
    }
    let mut fields = Fields::new(String::new(), 1, table.get_ref());
    let document = Document {
        organizations: reader.tables(&mut fields, "organization", Reader::organization),
        users: reader.tables(&mut fields, "user", Reader::user),
    };
    reader.finish(fields);
    Some(document)
}

/// The fields of one table, and which of them were asked for.
struct Fields<'t, 'i> {
    path: String,
    /// Of the table's head.
    line: usize,
    table: &'t DeTable<'i>,
    known: BTreeSet<&'static str>,
}

impl<'t, 'i> Fields<'t, 'i> {
    fn new(path: String, line: usize, table: &'t DeTable<'i>) -> Fields<'t, 'i> {
        Fields {
            path,
            line,
            table,
            known: BTreeSet::new(),
        }
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    fn take(&mut self, name: &'static str) -> Option<&'t Spanned<DeValue<'i>>> {
        self.known.insert(name);
        self.table.get(name)
    }
}

struct Reader<'a> {
    text: &'a str,
    faults: &'a mut Faults,
}

impl Reader<'_> {
    fn organization(&mut self, fields: &mut Fields<'_, '_>) -> Organization {
        Organization {
            slug: self.slug(fields, SlugKind::Organization),
            name: self.name(fields, NAME_MAX),
            options: self.options(fields, option::ORGANIZATION_OPTIONS),
            teams: self.tables(fields, "team", Reader::team),
            projects: self.tables(fields, "project", Reader::project),
            tokens: self.tables(fields, "token", Reader::organization_token),
        }
    }

    fn team(&mut self, fields: &mut Fields<'_, '_>) -> Team {
        Team {
            slug: self.slug(fields, SlugKind::Team),
            name: self.name(fields, NAME_MAX),
        }
    }

    fn project(&mut self, fields: &mut Fields<'_, '_>) -> Project {
        Project {
            slug: self.slug(fields, SlugKind::Project),
            name: self.name(fields, PROJECT_NAME_MAX),
            id: self.integer(fields, "id", 1..=CHOSEN_ID_MAX).map(|at| At {
                line: at.line,
                value: ProjectId(at.value),
            }),
            platform: self.platform(fields),
            teams: self.team_slugs(fields),
            options: self.options(fields, option::PROJECT_OPTIONS),
            keys: self.tables(fields, "key", Reader::key),
        }
    }

    fn platform(&mut self, fields: &mut Fields<'_, '_>) -> Option<String> {
        let found = self.string(fields, "platform")?;
        if !platform::is_allowed(&found.value) {
            let text = format!("{:?} is no known platform", found.value);
            self.faults
                .add(found.line, &fields.path_of("platform"), text);
        }
        Some(found.value)
    }

    fn team_slugs(&mut self, fields: &mut Fields<'_, '_>) -> Vec<At<Slug>> {
        let path = fields.path_of("teams");
        let Some(value) = fields.take("teams") else {
            return Vec::new();
        };
        self.strings(&path, value)
            .into_iter()
            .map(|found| self.slug_value(&path, SlugKind::Team, found))
            .collect()
    }

    /// Only options with an effect: whatever is set must be enforced (design 1.3).
    fn options(
        &mut self,
        fields: &mut Fields<'_, '_>,
        known: &[(&'static str, option::Kind)],
    ) -> Vec<(&'static str, Json)> {
        let Some(mut fields) = self.table(fields, "options") else {
            return Vec::new();
        };
        let mut options = Vec::new();
        for (name, kind) in known {
            let Some(value) = fields.take(name) else {
                continue;
            };
            let path = fields.path_of(name);
            if *name == option::ORIGINS {
                let patterns = self.origins(&path, value);
                options.push((*name, Json::String(patterns.join("\n"))));
                continue;
            }
            match kind.check(&json(value.get_ref())) {
                Ok(value) => options.push((*name, value)),
                Err(text) => self.faults.add(self.line(value.span().start), &path, text),
            }
        }
        for (name, value) in fields.table {
            if !fields.known.contains(name.get_ref().as_ref()) {
                let path = fields.path_of(name.get_ref());
                let line = self.line(value.span().start);
                self.faults
                    .add(line, &path, "this version does not enforce this option");
            }
        }
        options
    }

    /// The allowed domains: a list, or one text with a pattern on each line. Blank ones are dropped, as the
    /// API drops them.
    fn origins(&mut self, path: &str, value: &Spanned<DeValue<'_>>) -> Vec<String> {
        let faults_before = self.faults.len();
        let found = match value.get_ref() {
            DeValue::String(lines) => {
                let line = self.line(value.span().start);
                let at = |pattern: &str| At {
                    line,
                    value: pattern.to_owned(),
                };
                lines.lines().map(at).collect()
            }
            _ => self.strings(path, value),
        };
        let mut patterns = Vec::new();
        for pattern in found {
            let trimmed = pattern.value.trim();
            if trimmed.contains(char::is_whitespace) {
                let text = format!("{trimmed:?} is no single pattern");
                self.faults.add(pattern.line, path, text);
            } else if !trimmed.is_empty() {
                patterns.push(trimmed.to_owned());
            }
        }
        if patterns.is_empty() && self.faults.len() == faults_before {
            let text = "Empty value will block all requests, use * to accept from all domains";
            self.faults.add(self.line(value.span().start), path, text);
        }
        patterns
    }

    fn key(&mut self, fields: &mut Fields<'_, '_>) -> Key {
        Key {
            line: fields.line,
            name: self.name(fields, NAME_MAX),
            public: self.hex(fields, "public").and_then(|found| {
                Some(At {
                    line: found.line,
                    value: PublicKey::parse(&found.value)?,
                })
            }),
            secret: self.hex(fields, "secret").map(|found| found.value),
            rate_limit: self.rate_limit(fields),
        }
    }

    /// A chosen half of a key. The server would live with any 32 characters; this asks for what Sentry
    /// issues and its API takes (facts/management-api.md 7.5), so that a slip is found here and not in the
    /// applications that carry the DSN.
    fn hex(&mut self, fields: &mut Fields<'_, '_>, name: &'static str) -> Option<At<String>> {
        let found = self.string(fields, name)?;
        if !is_hex_32(&found.value) {
            let text = "this must be 32 lower-case hexadecimal digits";
            self.faults.add(found.line, &fields.path_of(name), text);
            return None;
        }
        Some(found)
    }

    fn rate_limit(&mut self, fields: &mut Fields<'_, '_>) -> Option<RateLimit> {
        let mut fields = self.table(fields, "rate_limit")?;
        let count = self.required(&mut fields, "count", 1..=i64::MAX);
        let window = self.required(&mut fields, "window", 1..=RateLimit::WINDOW_SECS_MAX);
        self.finish(fields);
        RateLimit::from_parts(Some(count?), Some(window?))
    }

    fn required(
        &mut self,
        fields: &mut Fields<'_, '_>,
        name: &'static str,
        within: std::ops::RangeInclusive<i64>,
    ) -> Option<i64> {
        if !fields.table.contains_key(name) {
            self.missing(fields, name);
        }
        self.integer(fields, name, within).map(|found| found.value)
    }

    fn organization_token(&mut self, fields: &mut Fields<'_, '_>) -> Token {
        self.token(fields, true)
    }

    fn user_token(&mut self, fields: &mut Fields<'_, '_>) -> Token {
        self.token(fields, false)
    }

    fn token(&mut self, fields: &mut Fields<'_, '_>, of_organization: bool) -> Token {
        Token {
            name: match self.bounded(fields, "name", TOKEN_NAME_MAX) {
                Some(name) => name,
                None => At {
                    line: fields.line,
                    value: DEFAULT_NAME.to_owned(),
                },
            },
            text: self.token_text(fields, of_organization),
            scopes: self.scopes(fields),
            expires: self.expires(fields),
        }
    }

    /// The prefix decides where a token is looked up (facts/auth-and-tokens.md 1), so one with the prefix of
    /// the other kind could never be used.
    fn token_text(
        &mut self,
        fields: &mut Fields<'_, '_>,
        of_organization: bool,
    ) -> Option<At<TokenText>> {
        let found = self.string(fields, "token")?;
        let path = fields.path_of("token");
        let has_prefix = found.value.starts_with(ORGANIZATION_PREFIX);
        if has_prefix != of_organization {
            let text = if of_organization {
                "a token of an organization must start with sntrys_"
            } else {
                "a token of a user must not start with sntrys_"
            };
            self.faults.add(found.line, &path, text);
            return None;
        }
        let text = TokenText::given(&found.value);
        if text.is_none() {
            self.faults.add(
                found.line,
                &path,
                "a token has 40 to 2048 characters of ASCII, without white space",
            );
        }
        Some(At {
            line: found.line,
            value: text?,
        })
    }

    fn scopes(&mut self, fields: &mut Fields<'_, '_>) -> Option<ScopeSet> {
        let path = fields.path_of("scopes");
        let value = fields.take("scopes")?;
        let mut scopes = ScopeSet::NONE;
        let names = self.strings(&path, value);
        if names.is_empty() && matches!(value.get_ref(), DeValue::Array(array) if array.is_empty())
        {
            let line = self.line(value.span().start);
            self.faults.add(line, &path, "a token needs a scope");
        }
        for name in names {
            match ScopeSet::parse(&name.value) {
                Ok(more) if !more.is_empty() => scopes = scopes.union(more),
                _ => {
                    let text = format!("{:?} is no scope", name.value);
                    self.faults.add(name.line, &path, text);
                }
            }
        }
        Some(scopes)
    }

    fn expires(&mut self, fields: &mut Fields<'_, '_>) -> Option<Timestamp> {
        let value = fields.take("expires")?;
        let text = match value.get_ref() {
            DeValue::Datetime(moment) => moment.to_string(),
            DeValue::String(text) => text.clone().into_owned(),
            other => {
                self.wrong_type(&fields.path_of("expires"), value, "a date and time", other);
                return None;
            }
        };
        let moment = Timestamp::parse_rfc3339(&text);
        if moment.is_none() {
            let line = self.line(value.span().start);
            let wrong = "this must be a date and time with a zone, such as 2027-01-01T00:00:00Z";
            self.faults.add(line, &fields.path_of("expires"), wrong);
        }
        moment
    }

    fn user(&mut self, fields: &mut Fields<'_, '_>) -> User {
        let email = self.email(fields);
        let name = self.name(fields, USER_NAME_MAX);
        User {
            password: self.password(fields, &email.value, name.as_deref()),
            email,
            name,
            roles: self.roles(fields),
            teams: self.seats(fields),
            tokens: self.tables(fields, "token", Reader::user_token),
        }
    }

    fn email(&mut self, fields: &mut Fields<'_, '_>) -> At<String> {
        if !fields.table.contains_key("email") {
            self.missing(fields, "email");
        }
        let Some(found) = self.string(fields, "email") else {
            return At {
                line: fields.line,
                value: String::new(),
            };
        };
        if !email::is_plausible(&found.value) {
            let text = format!("{:?} is no email address", found.value);
            self.faults.add(found.line, &fields.path_of("email"), text);
        }
        found
    }

    /// The policy is asked about the names that the file gives; about a name that is only in the database, when the file
    /// is held against that.
    fn password(
        &mut self,
        fields: &mut Fields<'_, '_>,
        email: &str,
        name: Option<&str>,
    ) -> Option<At<String>> {
        let found = self.string(fields, "password")?;
        for weakness in password::weaknesses(&found.value, email, name.unwrap_or_default()) {
            self.faults.add(
                found.line,
                &fields.path_of("password"),
                weakness.to_string(),
            );
        }
        Some(found)
    }

    fn roles(&mut self, fields: &mut Fields<'_, '_>) -> Vec<At<(Slug, OrganizationRole)>> {
        let mut roles = Vec::new();
        for (organization, path, value) in self.by_organization(fields, "roles") {
            let Some(found) = self.string_value(&path, value) else {
                continue;
            };
            match OrganizationRole::parse(&found.value) {
                Some(role) => roles.push(At {
                    line: found.line,
                    value: (organization, role),
                }),
                None => {
                    let known = OrganizationRole::ALL
                        .map(OrganizationRole::as_str)
                        .join(", ");
                    let text = format!("{:?} is no role; there are {known}", found.value);
                    self.faults.add(found.line, &path, text);
                }
            }
        }
        roles
    }

    fn seats(&mut self, fields: &mut Fields<'_, '_>) -> Vec<At<Seat>> {
        let mut seats = Vec::new();
        for (organization, path, value) in self.by_organization(fields, "teams") {
            for found in self.strings(&path, value) {
                let (team, role) = match found.value.split_once(':') {
                    Some((team, role)) => (team.to_owned(), Some(role.to_owned())),
                    None => (found.value.clone(), None),
                };
                let role = role.and_then(|role| {
                    let parsed = TeamRole::parse(&role);
                    if parsed.is_none() {
                        let known = TeamRole::ALL.map(TeamRole::as_str).join(", ");
                        let text = format!("{role:?} is no role in a team; there are {known}");
                        self.faults.add(found.line, &path, text);
                    }
                    parsed
                });
                let team = At {
                    line: found.line,
                    value: team,
                };
                let team = self.slug_value(&path, SlugKind::Team, team);
                seats.push(At {
                    line: found.line,
                    value: Seat {
                        organization: organization.clone(),
                        team: team.value,
                        role,
                    },
                });
            }
        }
        seats
    }

    /// The entries of a table whose keys are slugs of organizations.
    fn by_organization<'t, 'i>(
        &mut self,
        fields: &mut Fields<'t, 'i>,
        name: &'static str,
    ) -> Vec<(Slug, String, &'t Spanned<DeValue<'i>>)> {
        let Some(fields) = self.table(fields, name) else {
            return Vec::new();
        };
        let entry = |(slug, value): (&Spanned<_>, &'t Spanned<DeValue<'i>>)| {
            let slug: &std::borrow::Cow<'_, str> = slug.get_ref();
            let path = fields.path_of(slug);
            // Whether there is such an organization is asked later; a wrong shape is one that is not there.
            (Slug::stored(slug.clone().into_owned()), path, value)
        };
        fields.table.iter().map(entry).collect()
    }

    fn slug(&mut self, fields: &mut Fields<'_, '_>, kind: SlugKind) -> At<Slug> {
        if !fields.table.contains_key("slug") {
            self.missing(fields, "slug");
        }
        match self.string(fields, "slug") {
            Some(found) => self.slug_value(&fields.path_of("slug"), kind, found),
            None => At {
                line: fields.line,
                value: Slug::stored(String::new()),
            },
        }
    }

    fn slug_value(&mut self, path: &str, kind: SlugKind, found: At<String>) -> At<Slug> {
        let value = Slug::parse(kind, &found.value).unwrap_or_else(|texts| {
            for text in texts {
                self.faults.add(found.line, path, text);
            }
            Slug::stored(found.value)
        });
        At {
            line: found.line,
            value,
        }
    }

    fn name(&mut self, fields: &mut Fields<'_, '_>, longest: usize) -> Option<String> {
        self.bounded(fields, "name", longest)
            .map(|found| found.value)
    }

    fn bounded(
        &mut self,
        fields: &mut Fields<'_, '_>,
        name: &'static str,
        longest: usize,
    ) -> Option<At<String>> {
        let found = self.string(fields, name)?;
        let path = fields.path_of(name);
        if found.value.trim().is_empty() {
            self.faults
                .add(found.line, &path, "this field may not be blank");
        }
        if found.value.chars().count() > longest {
            let text = format!("this field has no more than {longest} characters");
            self.faults.add(found.line, &path, text);
        }
        Some(found)
    }

    fn integer(
        &mut self,
        fields: &mut Fields<'_, '_>,
        name: &'static str,
        within: std::ops::RangeInclusive<i64>,
    ) -> Option<At<i64>> {
        let value = fields.take(name)?;
        let path = fields.path_of(name);
        let DeValue::Integer(digits) = value.get_ref() else {
            self.wrong_type(&path, value, "an integer", value.get_ref());
            return None;
        };
        let line = self.line(value.span().start);
        let number = i64::from_str_radix(digits.as_str(), digits.radix())
            .ok()
            .filter(|number| within.contains(number));
        if number.is_none() {
            let text = if *within.end() == i64::MAX {
                format!("this must be at least {}", within.start())
            } else {
                format!("this must be from {} to {}", within.start(), within.end())
            };
            self.faults.add(line, &path, text);
        }
        Some(At {
            line,
            value: number?,
        })
    }

    fn string(&mut self, fields: &mut Fields<'_, '_>, name: &'static str) -> Option<At<String>> {
        let value = fields.take(name)?;
        self.string_value(&fields.path_of(name), value)
    }

    fn string_value(&mut self, path: &str, value: &Spanned<DeValue<'_>>) -> Option<At<String>> {
        match value.get_ref() {
            DeValue::String(text) => Some(At {
                line: self.line(value.span().start),
                value: text.clone().into_owned(),
            }),
            other => {
                self.wrong_type(path, value, "a string", other);
                None
            }
        }
    }

    fn strings(&mut self, path: &str, value: &Spanned<DeValue<'_>>) -> Vec<At<String>> {
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong_type(path, value, "an array of strings", value.get_ref());
            return Vec::new();
        };
        array
            .iter()
            .filter_map(|item| self.string_value(path, item))
            .collect()
    }

    fn table<'t, 'i>(
        &mut self,
        fields: &mut Fields<'t, 'i>,
        name: &'static str,
    ) -> Option<Fields<'t, 'i>> {
        let value = fields.take(name)?;
        let path = fields.path_of(name);
        match value.get_ref() {
            DeValue::Table(table) => Some(Fields::new(path, self.line(value.span().start), table)),
            other => {
                self.wrong_type(&path, value, "a table", other);
                None
            }
        }
    }

    /// An array of tables, each read by `read` and then searched for fields that it does not know.
    fn tables<T>(
        &mut self,
        fields: &mut Fields<'_, '_>,
        name: &'static str,
        read: impl Fn(&mut Self, &mut Fields<'_, '_>) -> T,
    ) -> Vec<T> {
        let Some(value) = fields.take(name) else {
            return Vec::new();
        };
        let path = fields.path_of(name);
        let DeValue::Array(array) = value.get_ref() else {
            let text = format!("this must be written as [[{path}]]");
            let line = self.line(value.span().start);
            self.faults.add(line, &path, text);
            return Vec::new();
        };
        let mut all = Vec::new();
        for item in array.iter() {
            match item.get_ref() {
                DeValue::Table(table) => {
                    let line = self.line(item.span().start);
                    let mut fields = Fields::new(path.clone(), line, table);
                    all.push(read(self, &mut fields));
                    self.finish(fields);
                }
                other => self.wrong_type(&path, item, "a table", other),
            }
        }
        all
    }

    /// Reports the fields that nobody asked for.
    fn finish(&mut self, fields: Fields<'_, '_>) {
        for (name, _) in fields.table {
            if !fields.known.contains(name.get_ref().as_ref()) {
                let line = self.line(name.span().start);
                let known: Vec<_> = fields.known.iter().copied().collect();
                let text = format!("unknown field; there are {}", known.join(", "));
                self.faults.add(line, &fields.path_of(name.get_ref()), text);
            }
        }
    }

    fn missing(&mut self, fields: &Fields<'_, '_>, name: &str) {
        self.faults
            .add(fields.line, &fields.path_of(name), "this field is required");
    }

    fn wrong_type(
        &mut self,
        path: &str,
        value: &Spanned<DeValue<'_>>,
        wanted: &str,
        got: &DeValue<'_>,
    ) {
        let line = self.line(value.span().start);
        let text = format!("this must be {wanted}, not of type {}", got.type_str());
        self.faults.add(line, path, text);
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        1 + memchr::memchr_iter(b'\n', before).count()
    }
}

/// A TOML value as JSON; null for what JSON has not, which no option takes.
fn json(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => Json::String(text.to_string()),
        DeValue::Boolean(on) => Json::Bool(*on),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Json::Null, Json::from)
        }
        DeValue::Array(values) => values.iter().map(|value| json(value.get_ref())).collect(),
        DeValue::Table(table) => table
            .iter()
            .map(|(name, value)| (name.get_ref().to_string(), json(value.get_ref())))
            .collect(),
        DeValue::Float(_) | DeValue::Datetime(_) => Json::Null,
    }
}
