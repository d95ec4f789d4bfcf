//! Reads the file that `sentry export` wrote, or Picket (facts/relocation.md).
//!
//! Rows are read one by one, in whatever order, so that memory holds what Picket keeps of them and not the text. The
//! whole file is checked before anything is done with it: types, targets, and what may stand there once. Models and
//! fields that Picket does not know are counted and told. What belongs to something that is left out is left out with
//! it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::io::{self, BufRead, Read};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::bundle::{
    ASSIGN_COMMITTER, ASSIGN_NOBODY, ASSIGN_OWNER, At, Bundle, Environment, Key, Member,
    Organization, OrganizationToken, Ownership, Person, Project, Team, Totp, User, UserToken,
};
use super::export::{DEFAULT_ROLE, ENHANCED_PRIVACY, SHARED_ISSUES, flag};
use super::fields::{Faults, Fields, Unknown};
use super::notes::Notes;
use super::options::{ALERTS_MEMBER_WRITE, EVENTS_MEMBER_ADMIN, SECURITY_TOKEN, switch};
use crate::domain::access::MemberPolicy;
use crate::domain::email;
use crate::domain::key::{LoaderOptions, PublicKey, RateLimit};
use crate::domain::scope::{OrganizationRole, Scope, ScopeSet, TeamRole};
use crate::domain::time::Timestamp;
use crate::domain::token::{ORGANIZATION_PREFIX, TokenHash, TokenText};
use crate::domain::totp::Seed;

/// Why nothing was taken from a file: sentences, one a line, each with the file's name and where in it.
#[derive(Debug)]
pub(crate) struct NotRead(Vec<String>);

impl NotRead {
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for NotRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// The longest names (facts/management-api.md 1.10 and 7.5, auth-and-tokens.md 2.1).
const NAME_MAX: usize = 64;
const SLUG_MAX: usize = 100;
const LONG_NAME_MAX: usize = 200;
const TOKEN_NAME_MAX: usize = 255;
const EMAIL_MAX: usize = 254;
const TEXT_MAX: usize = 1 << 20;

/// Reads a whole file. `name` is for messages.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(mut input: impl BufRead, name: &str) -> Result<Bundle, NotRead> {
    let failed = |text: String| NotRead(vec![format!("{name}: {text}")]);
    find_array(&mut input).map_err(failed)?;
    let mut reader = Reader::default();
    let mut json = serde_json::Deserializer::from_reader(input);
    let read = Rows(&mut reader)
        .deserialize(&mut json)
        .and_then(|()| json.end());
    read.map_err(|error| failed(explain(&error)))?;
    let (bundle, faults) = reader.resolve();
    if faults.is_empty() {
        Ok(bundle)
    } else {
        let lines = faults.into_lines().into_iter();
        Err(NotRead(
            lines.map(|line| format!("{name}: {line}")).collect(),
        ))
    }
}

fn explain(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    match error.classify() {
        Category::Eof => format!(
            "the file ends in line {} in the middle of a value: it is not whole",
            error.line()
        ),
        Category::Io => format!("it cannot be read: {error}"),
        Category::Syntax if error.to_string().starts_with("trailing characters") => format!(
            "something stands behind the array in line {}; take it out, it may be of a log",
            error.line()
        ),
        Category::Syntax => format!("this is no JSON: {error}"),
        Category::Data => format!("this is no row with model, pk and fields: {error}"),
    }
}

/// Leaves the input at the start of the array.
///
/// # Errors
/// It does not begin with one: why, and what to do about it.
fn find_array(input: &mut impl BufRead) -> Result<(), String> {
    let unreadable = |error: io::Error| format!("it cannot be read: {error}");
    let has_bom = input
        .fill_buf()
        .map_err(unreadable)?
        .starts_with(b"\xef\xbb\xbf");
    input.consume(if has_bom { 3 } else { 0 });
    let head = input.fill_buf().map_err(unreadable)?.trim_ascii_start();
    if head.is_empty() {
        return Err("it is empty".to_owned());
    }
    if head.get(257..262) == Some(b"ustar") {
        return Err(
            "this is an encrypted export, which Picket does not read; decrypt it first: sentry backup decrypt"
                .to_owned(),
        );
    }
    let mut behind = head.iter().skip(1).filter(|b| !b.is_ascii_whitespace());
    if head[0] == b'[' && matches!(behind.next(), None | Some(b'{' | b']')) {
        return Ok(());
    }
    if head[0] == b'{' {
        return Err(
            "it does not begin with an array but with an object; exports of Sentry are arrays"
                .to_owned(),
        );
    }
    // Log lines that were written into the file: where does it begin?
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let limit = 1 << 20;
        let read = input.by_ref().take(limit).read_until(b'\n', &mut line);
        if read.map_err(unreadable)? == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        if number > 1 && (text == "[" || text.starts_with("[{") || text.starts_with("[ {")) {
            return Err(format!(
                "the array begins in line {number}; take out what stands before it, which may be of a log"
            ));
        }
    }
    Err("there is no JSON array in it; exports of Sentry are arrays".to_owned())
}

/// Hands each row of the array on as it is read.
struct Rows<'a>(&'a mut Reader);

impl<'de> DeserializeSeed<'de> for Rows<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        while let Some(row) = rows.next_element::<Row>()? {
            self.0.row(row);
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Row {
    model: String,
    pk: i64,
    fields: Map<String, Value>,
}

/// The rows of one model.
struct Table<T> {
    rows: Vec<(i64, T)>,
    numbers: HashSet<i64>,
}

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table {
            rows: Vec::new(),
            numbers: HashSet::new(),
        }
    }
}

impl<T> Table<T> {
    fn add(&mut self, fields: Fields<'_>, row: T, unknown: &mut Unknown) {
        let pk = fields.pk;
        if self.numbers.insert(pk) {
            self.rows.push((pk, row));
        } else {
            fields
                .faults
                .add(fields.model, pk, "", "this number stands twice");
        }
        fields.finish(unknown);
    }
}

/// Rows that name others by their numbers.
#[derive(Default)]
struct Reader {
    organizations: Table<(Organization, i64)>,
    organization_options: Table<(i64, String, Value)>,
    teams: Table<(Team, i64, i64)>,
    users: Table<RawUser>,
    emails: Table<(i64, String, bool)>,
    authenticators: Table<RawAuthenticator>,
    user_tokens: Table<RawToken>,
    projects: Table<(Project, i64, i64)>,
    project_teams: Table<(i64, i64)>,
    redirects: Table<(i64, i64, String)>,
    ownerships: Table<(i64, Ownership)>,
    project_options: Table<(i64, String, Value)>,
    keys: Table<RawKey>,
    environments: Table<(i64, String, Timestamp)>,
    project_environments: Table<(i64, i64, bool)>,
    members: Table<RawMember>,
    seats: Table<(i64, i64, bool, Option<TeamRole>)>,
    organization_tokens: Table<RawOrganizationToken>,
    others: BTreeMap<String, u64>,
    unknown: Unknown,
    faults: Faults,
    notes: Notes,
}

struct RawUser {
    user: User,
    username: String,
    is_app: bool,
}

struct RawAuthenticator {
    user: i64,
    kind: i64,
    config: Value,
    created: Timestamp,
    last_used: Option<Timestamp>,
}

struct RawToken {
    user: i64,
    of_application: bool,
    of_organization: bool,
    token: Option<TokenText>,
    name: String,
    scopes: Vec<String>,
    created: Timestamp,
    expires: Option<Timestamp>,
}

struct RawKey {
    project: i64,
    label: Option<String>,
    public: Option<String>,
    secret: Option<String>,
    stores: bool,
    status: i64,
    created: Timestamp,
    count: Option<i64>,
    window: Option<i64>,
    data: Value,
    use_case: String,
}

struct RawMember {
    organization: i64,
    user: Option<i64>,
    email: Option<String>,
    role: String,
    token: Option<String>,
    token_expires: Option<Timestamp>,
    created: Timestamp,
    inviter: Option<i64>,
    invite_status: i64,
}

struct RawOrganizationToken {
    organization: i64,
    hash: String,
    last_characters: String,
    name: String,
    scopes: Vec<String>,
    created: Timestamp,
    last_used: Option<Timestamp>,
    last_project: Option<i64>,
    is_off: bool,
}

impl Reader {
    fn row(&mut self, row: Row) {
        let Row { model, pk, fields } = row;
        let fields = Fields::new(&model, pk, fields, &mut self.faults);
        let unknown = &mut self.unknown;
        match model.as_str() {
            "sentry.organization" => {
                read_organization(fields, &mut self.organizations, unknown);
            }
            "sentry.organizationoption" => {
                read_option(
                    fields,
                    "organization",
                    &mut self.organization_options,
                    unknown,
                );
            }
            "sentry.team" => read_team(fields, &mut self.teams, unknown),
            "sentry.user" => read_user(fields, &mut self.users, unknown),
            "sentry.useremail" => read_email(fields, &mut self.emails, unknown),
            "sentry.authenticator" => {
                read_authenticator(fields, &mut self.authenticators, unknown);
            }
            "sentry.apitoken" => read_token(fields, &mut self.user_tokens, unknown),
            "sentry.project" => read_project(fields, &mut self.projects, unknown),
            "sentry.projectteam" => read_project_team(fields, &mut self.project_teams, unknown),
            "sentry.projectredirect" => read_redirect(fields, &mut self.redirects, unknown),
            "sentry.projectownership" => read_ownership(fields, &mut self.ownerships, unknown),
            "sentry.projectoption" => {
                read_option(fields, "project", &mut self.project_options, unknown);
            }
            "sentry.projectkey" => read_key(fields, &mut self.keys, unknown),
            "sentry.environment" => read_environment(fields, &mut self.environments, unknown),
            "sentry.environmentproject" => {
                read_project_environment(fields, &mut self.project_environments, unknown);
            }
            "sentry.organizationmember" => read_member(fields, &mut self.members, unknown),
            "sentry.organizationmemberteam" => read_seat(fields, &mut self.seats, unknown),
            "sentry.orgauthtoken" => {
                read_organization_token(fields, &mut self.organization_tokens, unknown);
            }
            // The addresses alone, which stand with their users as well.
            "sentry.email" => {}
            _ => *self.others.entry(model).or_default() += 1,
        }
    }
}

fn read_organization(
    mut fields: Fields<'_>,
    table: &mut Table<(Organization, i64)>,
    unknown: &mut Unknown,
) {
    let flags = fields.bits("flags", flag::ALLOW_JOINLEAVE);
    let has = |bit: u64| flags & bit != 0;
    let mut options = Vec::new();
    if has(flag::ENHANCED_PRIVACY) {
        options.push((ENHANCED_PRIVACY.to_owned(), Value::Bool(true)));
    }
    if has(flag::DISABLE_SHARED_ISSUES) {
        options.push((SHARED_ISSUES.to_owned(), Value::Bool(false)));
    }
    let role = fields.text("default_role", 32);
    if let Some(role) = role.filter(|role| role != OrganizationRole::Member.as_str()) {
        options.push((DEFAULT_ROLE.to_owned(), Value::String(role)));
    }
    let row = Organization {
        id: Some(fields.pk),
        slug: fields.needed_text("slug", SLUG_MAX),
        name: fields.needed_text("name", NAME_MAX),
        policy: MemberPolicy {
            open_membership: has(flag::ALLOW_JOINLEAVE),
            invite: !has(flag::DISABLE_MEMBER_INVITE),
            create_projects: !has(flag::DISABLE_MEMBER_PROJECT_CREATION),
            admin_events: true,
            write_alerts: true,
        },
        early_adopter: has(flag::EARLY_ADOPTER),
        superuser_access: !has(flag::PREVENT_SUPERUSER_ACCESS),
        require_2fa: has(flag::REQUIRE_2FA),
        created: fields.needed_date("date_added"),
        options,
    };
    let status = fields.number("status").unwrap_or(0);
    fields.ignore(&["is_test"]);
    table.add(fields, (row, status), unknown);
}

fn read_option(
    mut fields: Fields<'_>,
    owner: &str,
    table: &mut Table<(i64, String, Value)>,
    unknown: &mut Unknown,
) {
    let target = fields.target(owner);
    let name = fields.needed_text("key", NAME_MAX);
    let value = fields.unpickled("value");
    table.add(fields, (target, name, value), unknown);
}

fn read_team(mut fields: Fields<'_>, table: &mut Table<(Team, i64, i64)>, unknown: &mut Unknown) {
    let organization = fields.target("organization");
    let row = Team {
        id: Some(fields.pk),
        organization: 0,
        slug: fields.needed_text("slug", SLUG_MAX),
        name: fields.needed_text("name", NAME_MAX),
        created: fields.needed_date("date_added"),
    };
    let status = fields.number("status").unwrap_or(0);
    fields.ignore(&["idp_provisioned", "actor", "org_role"]);
    table.add(fields, (row, organization, status), unknown);
}

fn read_user(mut fields: Fields<'_>, table: &mut Table<RawUser>, unknown: &mut Unknown) {
    let password = fields.text("password", 255).filter(|text| !text.is_empty());
    let username = fields.needed_text("username", EMAIL_MAX);
    let row = RawUser {
        user: User {
            id: Some(fields.pk),
            email: fields.text("email", EMAIL_MAX).unwrap_or_default(),
            name: fields.text("name", LONG_NAME_MAX).unwrap_or_default(),
            password: password
                .filter(|_| !fields.has("is_unclaimed") || !fields.switch("is_unclaimed", false)),
            active: fields.switch("is_active", true),
            superuser: fields.switch("is_superuser", false),
            created: fields.date("date_joined").unwrap_or_default(),
            last_login: fields.date("last_login"),
            last_active: fields.date("last_active"),
            totp: None,
            tokens: Vec::new(),
        },
        username,
        is_app: fields.switch("is_sentry_app", false),
    };
    fields.ignore(&[
        "is_unclaimed",
        "is_staff",
        "is_managed",
        "is_password_expired",
        "last_password_change",
        "flags",
        "session_nonce",
        "avatar_type",
        "avatar_url",
        "email_unique",
    ]);
    table.add(fields, row, unknown);
}

fn read_email(
    mut fields: Fields<'_>,
    table: &mut Table<(i64, String, bool)>,
    unknown: &mut Unknown,
) {
    let user = fields.target("user");
    let email = fields.needed_text("email", EMAIL_MAX);
    let is_verified = fields.switch("is_verified", false);
    fields.ignore(&["validation_hash", "date_hash_added"]);
    table.add(fields, (user, email, is_verified), unknown);
}

fn read_authenticator(
    mut fields: Fields<'_>,
    table: &mut Table<RawAuthenticator>,
    unknown: &mut Unknown,
) {
    let row = RawAuthenticator {
        user: fields.target("user"),
        kind: fields.number("type").unwrap_or(-1),
        config: fields.unpickled("config"),
        created: fields.date("created_at").unwrap_or_default(),
        last_used: fields.date("last_used_at"),
    };
    table.add(fields, row, unknown);
}

fn read_token(mut fields: Fields<'_>, table: &mut Table<RawToken>, unknown: &mut Unknown) {
    let text = fields.text("token", 4096);
    let row = RawToken {
        user: fields.target("user"),
        of_application: fields.number("application").is_some(),
        of_organization: fields.number("scoping_organization_id").is_some(),
        token: text
            .as_deref()
            .filter(|text| !text.starts_with(ORGANIZATION_PREFIX))
            .and_then(TokenText::given),
        name: fields.text("name", TOKEN_NAME_MAX).unwrap_or_default(),
        scopes: fields.words("scope_list"),
        created: fields.date("date_added").unwrap_or_default(),
        expires: fields.date("expires_at"),
    };
    fields.ignore(&[
        "hashed_token",
        "token_type",
        "token_last_characters",
        "refresh_token",
        "hashed_refresh_token",
        "scopes",
        "scoping_organization",
    ]);
    table.add(fields, row, unknown);
}

fn read_project(
    mut fields: Fields<'_>,
    table: &mut Table<(Project, i64, i64)>,
    unknown: &mut Unknown,
) {
    let organization = fields.target("organization");
    let name = fields.needed_text("name", LONG_NAME_MAX);
    let row = Project {
        id: Some(fields.pk),
        organization: 0,
        slug: fields
            .text("slug", SLUG_MAX)
            .unwrap_or_else(|| name.clone()),
        name,
        platform: fields
            .text("platform", NAME_MAX)
            .filter(|text| !text.is_empty()),
        first_event: fields.date("first_event"),
        created: fields.needed_date("date_added"),
        security_token: None,
        options: Vec::new(),
        teams: Vec::new(),
        old_slugs: Vec::new(),
        ownership: None,
        environments: Vec::new(),
    };
    let status = fields.number("status").unwrap_or(0);
    fields.ignore(&["forced_color", "public", "flags", "template", "external_id"]);
    table.add(fields, (row, organization, status), unknown);
}

fn read_project_team(mut fields: Fields<'_>, table: &mut Table<(i64, i64)>, unknown: &mut Unknown) {
    let row = (fields.target("project"), fields.target("team"));
    table.add(fields, row, unknown);
}

fn read_redirect(
    mut fields: Fields<'_>,
    table: &mut Table<(i64, i64, String)>,
    unknown: &mut Unknown,
) {
    let row = (
        fields.target("project"),
        fields.target("organization"),
        fields.needed_text("redirect_slug", SLUG_MAX),
    );
    fields.ignore(&["date_added"]);
    table.add(fields, row, unknown);
}

fn read_ownership(
    mut fields: Fields<'_>,
    table: &mut Table<(i64, Ownership)>,
    unknown: &mut Unknown,
) {
    let project = fields.target("project");
    let assigns = fields.switch("auto_assignment", true);
    let by_commit = fields.switch("suspect_committer_auto_assignment", false);
    let created = fields.date("date_created").unwrap_or_default();
    let row = Ownership {
        raw: fields.text("raw", TEXT_MAX),
        fallthrough: fields.switch("fallthrough", true),
        auto_assignment: match (assigns, by_commit) {
            (true, true) => ASSIGN_COMMITTER,
            (true, false) => ASSIGN_OWNER,
            (false, _) => ASSIGN_NOBODY,
        }
        .to_owned(),
        codeowners_auto_sync: fields.switch("codeowners_auto_sync", true),
        created,
        updated: fields.date("last_updated").unwrap_or(created),
    };
    fields.ignore(&["schema", "is_active"]);
    table.add(fields, (project, row), unknown);
}

fn read_key(mut fields: Fields<'_>, table: &mut Table<RawKey>, unknown: &mut Unknown) {
    let row = RawKey {
        project: fields.target("project"),
        label: fields
            .text("label", NAME_MAX)
            .filter(|text| !text.is_empty()),
        public: fields.text("public_key", NAME_MAX),
        secret: fields.text("secret_key", NAME_MAX),
        stores: fields.bits("roles", 1) & 1 != 0,
        status: fields.number("status").unwrap_or(0),
        created: fields.date("date_added").unwrap_or_default(),
        count: fields.number("rate_limit_count"),
        window: fields.number("rate_limit_window"),
        data: fields.unpickled("data"),
        use_case: fields
            .text("use_case", NAME_MAX)
            .unwrap_or_else(|| "user".to_owned()),
    };
    table.add(fields, row, unknown);
}

fn read_environment(
    mut fields: Fields<'_>,
    table: &mut Table<(i64, String, Timestamp)>,
    unknown: &mut Unknown,
) {
    let row = (
        fields.target("organization_id"),
        fields.needed_text("name", NAME_MAX),
        fields.date("date_added").unwrap_or_default(),
    );
    fields.ignore(&["projects"]);
    table.add(fields, row, unknown);
}

fn read_project_environment(
    mut fields: Fields<'_>,
    table: &mut Table<(i64, i64, bool)>,
    unknown: &mut Unknown,
) {
    let row = (
        fields.target("environment"),
        fields.target("project"),
        fields.switch("is_hidden", false),
    );
    table.add(fields, row, unknown);
}

fn read_member(mut fields: Fields<'_>, table: &mut Table<RawMember>, unknown: &mut Unknown) {
    // Older files call them by the name of the column without its `_id`.
    let user = if fields.has("user_id") {
        "user_id"
    } else {
        "user"
    };
    let inviter = if fields.has("inviter_id") {
        "inviter_id"
    } else {
        "inviter"
    };
    let row = RawMember {
        organization: fields.target("organization"),
        user: fields.number(user),
        email: fields.text("email", EMAIL_MAX),
        role: fields
            .text("role", 32)
            .unwrap_or_else(|| "member".to_owned()),
        token: fields.text("token", 255),
        token_expires: fields.date("token_expires_at"),
        created: fields.needed_date("date_added"),
        inviter: fields.number(inviter),
        invite_status: fields.number("invite_status").unwrap_or(0),
    };
    if row.user.is_none() && row.email.is_none() {
        fields.fault("user_id", "this is missing, and there is no email either");
    }
    fields.ignore(&[
        "user_id",
        "user",
        "inviter_id",
        "inviter",
        "flags",
        "has_global_access",
        "type",
        "user_is_active",
        "user_email",
    ]);
    table.add(fields, row, unknown);
}

fn read_seat(
    mut fields: Fields<'_>,
    table: &mut Table<(i64, i64, bool, Option<TeamRole>)>,
    unknown: &mut Unknown,
) {
    let row = (
        fields.target("organizationmember"),
        fields.target("team"),
        fields.switch("is_active", true),
        fields
            .text("role", 32)
            .and_then(|role| TeamRole::parse(&role)),
    );
    table.add(fields, row, unknown);
}

fn read_organization_token(
    mut fields: Fields<'_>,
    table: &mut Table<RawOrganizationToken>,
    unknown: &mut Unknown,
) {
    let row = RawOrganizationToken {
        organization: fields.target("organization_id"),
        hash: fields.needed_text("token_hashed", 255),
        last_characters: fields.text("token_last_characters", 4).unwrap_or_default(),
        name: fields.needed_text("name", TOKEN_NAME_MAX),
        scopes: fields.words("scope_list"),
        created: fields.date("date_added").unwrap_or_default(),
        last_used: fields.date("date_last_used"),
        last_project: fields.number("project_last_used_id"),
        is_off: fields.date("date_deactivated").is_some(),
    };
    fields.ignore(&["created_by"]);
    table.add(fields, row, unknown);
}

/// Where a row went that others name: none if it was left out.
type Index = HashMap<i64, Option<At>>;

/// Finds targets, and writes down those that are not there.
struct Targets<'a> {
    faults: &'a mut Faults,
    model: &'static str,
}

impl Targets<'_> {
    /// None: it is not there, which is a fault, or it was left out.
    fn find(&mut self, index: &Index, pk: i64, field: &str, target: i64, noun: &str) -> Option<At> {
        let found = index.get(&target);
        if found.is_none() {
            let text = format!("there is no {noun} pk {target} in the file");
            self.faults.add(self.model, pk, field, &text);
        }
        found.copied().flatten()
    }
}

impl Reader {
    fn resolve(mut self) -> (Bundle, Faults) {
        let mut faults = std::mem::take(&mut self.faults);
        let mut notes = std::mem::take(&mut self.notes);
        for (model, count) in &self.others {
            let text = "what these hold has no place in Picket";
            notes.add(text, format!("{model}: {count}"));
        }
        for (field, count) in &self.unknown {
            let text = "fields that Picket does not know are left out";
            notes.add(text, format!("{field}: {count}"));
        }
        let mut bundle = Bundle::default();
        let organizations = self.put_organizations(&mut bundle, &mut faults, &mut notes);
        let teams = self.put_teams(&mut bundle, &organizations, &mut faults, &mut notes);
        let users = self.put_users(&mut bundle, &mut faults, &mut notes);
        let projects = self.put_projects(&mut bundle, &organizations, &mut faults, &mut notes);
        self.put_parts(
            &mut bundle,
            (&organizations, &teams, &projects),
            &mut faults,
        );
        self.put_environments(&mut bundle, &organizations, &projects, &mut faults);
        self.put_keys(&mut bundle, &projects, &mut faults, &mut notes);
        self.put_members(
            &mut bundle,
            (&organizations, &teams, &users),
            &mut faults,
            &mut notes,
        );
        self.put_organization_tokens(
            &mut bundle,
            (&organizations, &projects),
            &mut faults,
            &mut notes,
        );
        bundle.notes = notes;
        (bundle, faults)
    }

    fn put_organizations(
        &mut self,
        bundle: &mut Bundle,
        faults: &mut Faults,
        notes: &mut Notes,
    ) -> Index {
        const MODEL: &str = "sentry.organization";
        let mut index = Index::new();
        let mut slugs = HashSet::new();
        for (pk, (organization, status)) in std::mem::take(&mut self.organizations.rows) {
            if status != 0 {
                let text = "these organizations were being deleted, or await approval, and are left out with all that they have";
                notes.add(text, organization.slug.as_str());
                index.insert(pk, None);
                continue;
            }
            if !slugs.insert(organization.slug.clone()) {
                faults.add(MODEL, pk, "slug", "another organization of the file has it");
            }
            index.insert(pk, Some(bundle.organizations.len()));
            bundle.organizations.push(organization);
        }
        let mut targets = Targets {
            faults,
            model: "sentry.organizationoption",
        };
        let mut seen = HashSet::new();
        for (pk, (owner, name, value)) in std::mem::take(&mut self.organization_options.rows) {
            let Some(at) = targets.find(&index, pk, "organization", owner, MODEL) else {
                continue;
            };
            if !seen.insert((at, name.clone())) {
                let text = "the organization has this option twice";
                targets.faults.add(targets.model, pk, "key", text);
            }
            let organization = &mut bundle.organizations[at];
            match (name.as_str(), switch(&value)) {
                (EVENTS_MEMBER_ADMIN, Some(on)) => organization.policy.admin_events = on,
                (ALERTS_MEMBER_WRITE, Some(on)) => organization.policy.write_alerts = on,
                _ => organization.options.push((name, value)),
            }
        }
        index
    }

    fn put_teams(
        &mut self,
        bundle: &mut Bundle,
        organizations: &Index,
        faults: &mut Faults,
        notes: &mut Notes,
    ) -> Index {
        let mut targets = Targets {
            faults,
            model: "sentry.team",
        };
        let mut index = Index::new();
        for (pk, (team, owner, status)) in std::mem::take(&mut self.teams.rows) {
            let at = targets.find(
                organizations,
                pk,
                "organization",
                owner,
                "sentry.organization",
            );
            if status != 0 {
                notes.add(
                    "these teams were being deleted and are left out",
                    team.slug.as_str(),
                );
            }
            index.insert(
                pk,
                match at {
                    Some(organization) if status == 0 => {
                        bundle.teams.push(Team {
                            organization,
                            ..team
                        });
                        Some(bundle.teams.len() - 1)
                    }
                    _ => None,
                },
            );
        }
        index
    }

    fn put_users(&mut self, bundle: &mut Bundle, faults: &mut Faults, notes: &mut Notes) -> Index {
        let mut index = Index::new();
        let mut addresses: HashSet<String> = HashSet::new();
        for (pk, raw) in std::mem::take(&mut self.users.rows) {
            let RawUser {
                mut user,
                username,
                is_app,
            } = raw;
            index.insert(pk, None);
            if is_app {
                let text = "these users stand for applications, which Picket does not have, and are left out";
                notes.add(text, username);
                continue;
            }
            let is_free = |address: &str| {
                email::is_plausible(address) && !addresses.contains(&address.to_lowercase())
            };
            if !is_free(&user.email) {
                if !is_free(&username) {
                    let text = "these users have no address of their own, which they need here, and are left out with their \
                                memberships";
                    notes.add(text, username);
                    continue;
                }
                user.email = username;
            }
            addresses.insert(user.email.to_lowercase());
            index.insert(pk, Some(bundle.users.len()));
            bundle.users.push(user);
        }
        let mut targets = Targets {
            faults,
            model: "sentry.useremail",
        };
        for (pk, (owner, address, is_verified)) in std::mem::take(&mut self.emails.rows) {
            let Some(at) = targets.find(&index, pk, "user", owner, "sentry.user") else {
                continue;
            };
            let user = &bundle.users[at];
            if !user.email.eq_ignore_ascii_case(&address) {
                let text = "users have one address here; these others are left out";
                notes.add(text, format!("{address} of {}", user.email));
            } else if !is_verified {
                let text = "nobody has shown that these addresses are their users'; Picket takes your word for it";
                notes.add(text, address);
            }
        }
        self.put_authenticators(bundle, &index, targets.faults, notes);
        self.put_user_tokens(bundle, &index, targets.faults, notes);
        index
    }

    fn put_authenticators(
        &mut self,
        bundle: &mut Bundle,
        users: &Index,
        faults: &mut Faults,
        notes: &mut Notes,
    ) {
        const TOTP: i64 = 1;
        let mut targets = Targets {
            faults,
            model: "sentry.authenticator",
        };
        for (pk, raw) in std::mem::take(&mut self.authenticators.rows) {
            let Some(at) = targets.find(users, pk, "user", raw.user, "sentry.user") else {
                continue;
            };
            let user = &mut bundle.users[at];
            let secret = raw.config.get("secret").and_then(Value::as_str);
            match secret.and_then(Seed::parse) {
                Some(seed) if raw.kind == TOTP && user.totp.is_none() => {
                    user.totp = Some(Totp {
                        id: pk,
                        seed,
                        created: raw.created,
                        last_used: raw.last_used,
                    });
                }
                _ => {
                    let text = "only codes of an app are taken as a second factor; other ones of these users are left out";
                    notes.add(text, user.email.as_str());
                }
            }
        }
    }

    fn put_user_tokens(
        &mut self,
        bundle: &mut Bundle,
        users: &Index,
        faults: &mut Faults,
        notes: &mut Notes,
    ) {
        let mut targets = Targets {
            faults,
            model: "sentry.apitoken",
        };
        let mut hashes = HashSet::new();
        for (pk, raw) in std::mem::take(&mut self.user_tokens.rows) {
            let Some(at) = targets.find(users, pk, "user", raw.user, "sentry.user") else {
                continue;
            };
            let user = &mut bundle.users[at];
            let shown = format!("{} of {}", raw.name, user.email);
            if raw.of_application || raw.of_organization {
                let text = "these tokens belong to applications, or are for one organization only, and are left out";
                notes.add(text, shown);
                continue;
            }
            let Some(token) = raw.token else {
                let text = "these tokens have no text that a token can have, and are left out";
                notes.add(text, shown);
                continue;
            };
            if !hashes.insert(token.hash()) {
                let text = "another token of the file is the same";
                targets.faults.add(targets.model, pk, "token", text);
                continue;
            }
            let scopes = known_scopes(&raw.scopes, &shown, notes);
            if scopes.is_empty() {
                notes.add("these tokens open nothing and are left out", shown);
                continue;
            }
            user.tokens.push(UserToken {
                id: pk,
                name: raw.name,
                hash: token.hash(),
                last_characters: token.last_characters().to_owned(),
                scopes,
                created: raw.created,
                expires: raw.expires,
            });
        }
    }

    fn put_projects(
        &mut self,
        bundle: &mut Bundle,
        organizations: &Index,
        faults: &mut Faults,
        notes: &mut Notes,
    ) -> Index {
        let mut targets = Targets {
            faults,
            model: "sentry.project",
        };
        let mut index = Index::new();
        for (pk, (project, owner, status)) in std::mem::take(&mut self.projects.rows) {
            let at = targets.find(
                organizations,
                pk,
                "organization",
                owner,
                "sentry.organization",
            );
            if status != 0 && at.is_some() {
                let text = "these projects were being deleted, or were switched off, and are left out with their keys";
                notes.add(text, project.slug.as_str());
            }
            index.insert(
                pk,
                match at {
                    Some(organization) if status == 0 => {
                        bundle.projects.push(Project {
                            organization,
                            ..project
                        });
                        Some(bundle.projects.len() - 1)
                    }
                    _ => None,
                },
            );
        }
        index
    }

    fn put_parts(
        &mut self,
        bundle: &mut Bundle,
        (organizations, teams, projects): (&Index, &Index, &Index),
        faults: &mut Faults,
    ) {
        const PROJECT: &str = "sentry.project";
        let mut targets = Targets {
            faults,
            model: "sentry.projectteam",
        };
        for (pk, (project, team)) in std::mem::take(&mut self.project_teams.rows) {
            let project = targets.find(projects, pk, "project", project, PROJECT);
            let team = targets.find(teams, pk, "team", team, "sentry.team");
            if let (Some(project), Some(team)) = (project, team) {
                if bundle.teams[team].organization != bundle.projects[project].organization {
                    let text = "the team is of another organization than the project";
                    targets.faults.add(targets.model, pk, "team", text);
                }
                bundle.projects[project].teams.push(team);
            }
        }
        targets.model = "sentry.projectredirect";
        for (pk, (project, organization, slug)) in std::mem::take(&mut self.redirects.rows) {
            let project = targets.find(projects, pk, "project", project, PROJECT);
            let organization = targets.find(
                organizations,
                pk,
                "organization",
                organization,
                "sentry.organization",
            );
            if let (Some(at), Some(organization)) = (project, organization) {
                let project = &mut bundle.projects[at];
                // Where a project was before it went to another organization leads nowhere here.
                if project.organization == organization {
                    project.old_slugs.push(slug);
                }
            }
        }
        targets.model = "sentry.projectownership";
        for (pk, (project, ownership)) in std::mem::take(&mut self.ownerships.rows) {
            let Some(at) = targets.find(projects, pk, "project", project, PROJECT) else {
                continue;
            };
            if bundle.projects[at].ownership.replace(ownership).is_some() {
                let text = "the project has ownership rules already";
                targets.faults.add(targets.model, pk, "project", text);
            }
        }
        targets.model = "sentry.projectoption";
        let mut seen = HashSet::new();
        for (pk, (project, name, value)) in std::mem::take(&mut self.project_options.rows) {
            let Some(at) = targets.find(projects, pk, "project", project, PROJECT) else {
                continue;
            };
            if !seen.insert((at, name.clone())) {
                let text = "the project has this option twice";
                targets.faults.add(targets.model, pk, "key", text);
            }
            let project = &mut bundle.projects[at];
            match (name.as_str(), value) {
                (SECURITY_TOKEN, Value::String(token)) if token.chars().count() <= 255 => {
                    project.security_token = Some(token);
                }
                (_, value) => project.options.push((name, value)),
            }
        }
    }

    fn put_environments(
        &mut self,
        bundle: &mut Bundle,
        organizations: &Index,
        projects: &Index,
        faults: &mut Faults,
    ) {
        let mut targets = Targets {
            faults,
            model: "sentry.environment",
        };
        let mut index = Index::new();
        let environments = std::mem::take(&mut self.environments.rows);
        for (at, (pk, (owner, ..))) in environments.iter().enumerate() {
            let organization = targets.find(
                organizations,
                *pk,
                "organization_id",
                *owner,
                "sentry.organization",
            );
            index.insert(*pk, organization.map(|_| at));
        }
        targets.model = "sentry.environmentproject";
        let mut seen = HashSet::new();
        for (pk, (environment, project, hidden)) in
            std::mem::take(&mut self.project_environments.rows)
        {
            let found = targets.find(&index, pk, "environment", environment, "sentry.environment");
            let project = targets.find(projects, pk, "project", project, "sentry.project");
            let (Some(found), Some(project)) = (found, project) else {
                continue;
            };
            let (_, (_, name, first)) = &environments[found];
            // Sentry's word for events without one.
            if name.is_empty() || !seen.insert((project, name)) {
                continue;
            }
            bundle.projects[project].environments.push(Environment {
                id: Some(pk),
                name: name.clone(),
                hidden,
                first: *first,
            });
        }
    }

    fn put_keys(
        &mut self,
        bundle: &mut Bundle,
        projects: &Index,
        faults: &mut Faults,
        notes: &mut Notes,
    ) {
        let mut targets = Targets {
            faults,
            model: "sentry.projectkey",
        };
        let mut publics = HashSet::new();
        for (pk, raw) in std::mem::take(&mut self.keys.rows) {
            let Some(project) =
                targets.find(projects, pk, "project", raw.project, "sentry.project")
            else {
                continue;
            };
            let shown = format!(
                "{} of {}",
                raw.label.as_deref().unwrap_or("a key"),
                bundle.projects[project].slug
            );
            if !matches!(raw.status, 0 | 1) || raw.use_case != "user" {
                let text = "these keys were being deleted, or are Sentry's own, and are left out";
                notes.add(text, shown);
                continue;
            }
            let Some(public) = raw.public.as_deref().and_then(PublicKey::parse) else {
                let text = "these keys have no public half of 32 characters and are left out";
                notes.add(text, shown);
                continue;
            };
            if !publics.insert(public) {
                let text = "another key of the file has it";
                targets.faults.add(targets.model, pk, "public_key", text);
                continue;
            }
            if !raw.stores {
                notes.add(
                    "these keys were not for events, so they come switched off",
                    shown.as_str(),
                );
            }
            let rate_limit = RateLimit::from_parts(raw.count, raw.window)
                .filter(|limit| i64::from(limit.window_secs) <= RateLimit::WINDOW_SECS_MAX);
            if rate_limit.is_none() && raw.count.is_some_and(|count| count > 0) {
                let text =
                    "these rate limits have no window, or one of more than a day, and are left out";
                notes.add(text, shown);
            }
            bundle.keys.push(Key {
                id: Some(pk),
                project,
                public,
                secret: raw.secret.filter(|secret| !secret.is_empty()),
                label: raw.label.unwrap_or_else(|| "Default".to_owned()),
                active: raw.status == 0 && raw.stores,
                rate_limit,
                browser_sdk_version: raw
                    .data
                    .get("browserSdkVersion")
                    .and_then(Value::as_str)
                    .map(str::to_owned),
                loader: loader(raw.data.get("dynamicSdkLoaderOptions")),
                created: raw.created,
            });
        }
    }

    fn put_members(
        &mut self,
        bundle: &mut Bundle,
        (organizations, teams, users): (&Index, &Index, &Index),
        faults: &mut Faults,
        notes: &mut Notes,
    ) {
        let mut targets = Targets {
            faults,
            model: "sentry.organizationmember",
        };
        let mut index = Index::new();
        let mut seen = HashSet::new();
        for (pk, raw) in std::mem::take(&mut self.members.rows) {
            index.insert(pk, None);
            let organization = targets.find(
                organizations,
                pk,
                "organization",
                raw.organization,
                "sentry.organization",
            );
            let user = match raw.user {
                Some(user) => match targets.find(users, pk, "user_id", user, "sentry.user") {
                    Some(at) => Some(at),
                    None => continue,
                },
                None => None,
            };
            let Some(organization) = organization else {
                continue;
            };
            let slug = &bundle.organizations[organization].slug;
            let email = raw.email.unwrap_or_default();
            let (who, shown) = match user {
                Some(user) => (Person::User(user), bundle.users[user].email.clone()),
                None => {
                    let link = raw
                        .token
                        .as_deref()
                        .map(TokenHash::of)
                        .zip(raw.token_expires);
                    let shown = email.clone();
                    (Person::Invited { email, link }, shown)
                }
            };
            let named = format!("{shown} in {slug}");
            if raw.invite_status != 0 {
                let text = "these asked to be let into an organization, which nobody granted, and are left out";
                notes.add(text, named);
                continue;
            }
            if user.is_none() && !email::is_plausible(&shown) {
                notes.add("these invitations have no address and are left out", named);
                continue;
            }
            if !seen.insert((organization, user, shown.to_lowercase())) {
                let text = "another row makes the same person a member of the organization";
                targets.faults.add(targets.model, pk, "", text);
                continue;
            }
            let role = OrganizationRole::parse(&raw.role).unwrap_or_else(|| {
                let text = "Picket does not know the roles of these, who become plain members";
                notes.add(text, format!("{named}: {}", raw.role));
                OrganizationRole::Member
            });
            index.insert(pk, Some(bundle.members.len()));
            bundle.members.push(Member {
                id: Some(pk),
                organization,
                who,
                role,
                inviter: raw
                    .inviter
                    .and_then(|user| users.get(&user).copied().flatten()),
                created: raw.created,
                seats: Vec::new(),
            });
        }
        targets.model = "sentry.organizationmemberteam";
        let mut seen = HashSet::new();
        for (pk, (member, team, is_active, role)) in std::mem::take(&mut self.seats.rows) {
            let member = targets.find(
                &index,
                pk,
                "organizationmember",
                member,
                "sentry.organizationmember",
            );
            let team = targets.find(teams, pk, "team", team, "sentry.team");
            let (Some(member), Some(team), true) = (member, team, is_active) else {
                continue;
            };
            if bundle.teams[team].organization != bundle.members[member].organization {
                let text = "the team is of another organization than the member";
                targets.faults.add(targets.model, pk, "team", text);
            }
            if !seen.insert((member, team)) {
                let text = "the member is in this team already";
                targets.faults.add(targets.model, pk, "team", text);
                continue;
            }
            bundle.members[member].seats.push((team, role));
        }
    }

    fn put_organization_tokens(
        &mut self,
        bundle: &mut Bundle,
        (organizations, projects): (&Index, &Index),
        faults: &mut Faults,
        notes: &mut Notes,
    ) {
        let mut targets = Targets {
            faults,
            model: "sentry.orgauthtoken",
        };
        let mut hashes = HashSet::new();
        for (pk, raw) in std::mem::take(&mut self.organization_tokens.rows) {
            let owner = targets.find(
                organizations,
                pk,
                "organization_id",
                raw.organization,
                "sentry.organization",
            );
            let Some(organization) = owner else { continue };
            if raw.is_off {
                continue;
            }
            let shown = format!(
                "{} of {}",
                raw.name, bundle.organizations[organization].slug
            );
            let Some(hash) = hash(&raw.hash) else {
                let text = "this must be a SHA-256 in 64 hexadecimal digits";
                targets.faults.add(targets.model, pk, "token_hashed", text);
                continue;
            };
            if !hashes.insert(hash) {
                let text = "another token of the file is the same";
                targets.faults.add(targets.model, pk, "token_hashed", text);
                continue;
            }
            let scopes = known_scopes(&raw.scopes, &shown, notes);
            if scopes.is_empty() {
                notes.add("these tokens open nothing and are left out", shown);
                continue;
            }
            bundle.tokens.push(OrganizationToken {
                id: Some(pk),
                organization,
                name: raw.name,
                hash,
                last_characters: raw.last_characters,
                scopes,
                created: raw.created,
                last_used: raw.last_used,
                last_project: raw
                    .last_project
                    .and_then(|project| projects.get(&project).copied().flatten()),
            });
        }
    }
}

/// The scopes that there are; the others are told.
fn known_scopes(names: &[String], token: &str, notes: &mut Notes) -> ScopeSet {
    let mut scopes = ScopeSet::NONE;
    for name in names {
        match Scope::parse(name) {
            Some(scope) => scopes = scopes.union(ScopeSet::of(&[scope])),
            None => {
                let text = "Picket does not know these scopes, which tokens lose";
                notes.add(text, format!("{name} of {token}"));
            }
        }
    }
    scopes.with_implied()
}

fn hash(hex: &str) -> Option<TokenHash> {
    if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(TokenHash(bytes))
}

/// What a key's loader switches on; what is not said has its default.
pub(super) fn loader(options: Option<&Value>) -> LoaderOptions {
    let default = LoaderOptions::default();
    let on = |name: &str, default: bool| {
        let found = options.and_then(|options| options.get(name));
        found.and_then(Value::as_bool).unwrap_or(default)
    };
    LoaderOptions {
        has_replay: on("hasReplay", default.has_replay),
        has_performance: on("hasPerformance", default.has_performance),
        has_debug: on("hasDebug", default.has_debug),
        has_feedback: on("hasFeedback", default.has_feedback),
        has_logs_and_metrics: on("hasLogsAndMetrics", default.has_logs_and_metrics),
    }
}
