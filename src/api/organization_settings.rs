//! What makes, changes and removes organizations (facts/management-api.md 3.3, 3.5 and 3.6).

use serde_json::{Value, json};

use super::body::{Fields, Given, Null};
use super::error::{self, Result};
use super::keys::{LimitChange, read_limit};
use super::organizations::{OrganizationBody, detail};
use super::{Api, Call, InOrganization};
use crate::domain::access::MemberPolicy;
use crate::domain::id::UserId;
use crate::domain::option::{self, KEPT_ORGANIZATION_SETTINGS, KeptValue};
use crate::domain::scope::{OrganizationRole, Scope};
use crate::domain::slug::{IdOrSlug, Slug, SlugKind};
use crate::domain::{Error, FieldErrors};
use crate::http::Response;
use crate::store::organizations::{self, OptionChange, Organization, OrganizationChange};
use crate::store::{Connection, members, second_factors, teams};

const NAME_CHARS_MAX: usize = 64;

/// `POST /api/0/organizations/`: 201 with the organization; the caller is its owner.
pub(super) fn create(api: &Api, mut call: Call<'_>) -> Result<Response> {
    let Some(user) = call.caller.user() else {
        return Err(Error::Unauthorized("This endpoint requires user info".to_owned()).into());
    };
    let mut fields = call.body()?;
    fields.refuse_missing("name");
    let name = fields.filled_text("name", NAME_CHARS_MAX, Null::Refused);
    let slug = fields
        .slug("slug", SlugKind::Organization, Null::Allowed)
        .value();
    if let Some(slug) = &slug {
        refuse_taken(&mut fields, &call.connection, slug)?;
    }
    let with_team = fields.boolean("defaultTeam", Null::Refused).value();
    fields.boolean("agreeTerms", Null::Refused);
    let consents = fields
        .boolean("aggregatedDataConsent", Null::Allowed)
        .value();
    // A client that asks again is answered by the slug, which is taken then.
    fields.text("idempotencyKey", NAME_CHARS_MAX, Null::Allowed);
    // There is one place: here.
    if let Given::Value(place) = fields.text("dataStorageLocation", 64, Null::Allowed)
        && !["", "local"].contains(&place.as_str())
    {
        let text = format!("Unknown data storage location '{place}'.");
        fields.refuse("dataStorageLocation", text);
    }
    fields.finish()?;
    let name = name.value().unwrap_or_default();
    let actor = call.actor()?;
    let made = api.store.write(move |unit| {
        let slug = match &slug {
            Some(slug) => slug.clone(),
            None => Slug::derive(SlugKind::Organization, &name, |slug| {
                Ok::<_, Error>(organizations::slug_is_taken(unit, slug)?)
            })?,
        };
        let id = organizations::create(unit, &actor, &slug, &name)?;
        let (member, _) = members::set(unit, &actor, id, user, OrganizationRole::Owner)?;
        if consents == Some(true) {
            let name = option::AGGREGATED_DATA_CONSENT;
            organizations::set_option(unit, &actor, id, name, &json!(true))?;
        }
        if with_team == Some(true) {
            let slug = Slug::derive(SlugKind::Team, slug.as_str(), |_| Ok::<_, Error>(false))?;
            let team = teams::create(unit, &actor, id, &slug, &name)?;
            if let Some(team) = teams::find(unit, id, &IdOrSlug::Id(team.0))? {
                teams::set_member(unit, &actor, &team, member, None)?;
            }
        }
        organizations::find(unit, &IdOrSlug::Id(id.0))?
            .ok_or_else(|| Error::internal("an organization that was just made is not there"))
    });
    let organization = match made {
        Err(Error::Conflict(_)) => {
            let text = "An organization with this slug already exists.";
            return Err(Error::Conflict(text.to_owned()).into());
        }
        made => made?,
    };
    answer(api, &call, 201, organization)
}

fn refuse_taken(fields: &mut Fields, connection: &Connection, slug: &Slug) -> Result<()> {
    if organizations::slug_is_taken(connection, slug)? {
        fields.refuse("slug", format!("The slug \"{slug}\" is already in use."));
    }
    Ok(())
}

/// The organization as it is now, in detail.
fn answer(api: &Api, call: &Call<'_>, status: u16, organization: Organization) -> Result<Response> {
    let access = call.access(&organization)?;
    let summary = OrganizationBody::of(&organization, &api.prefix).with_features();
    let context = InOrganization {
        organization,
        access,
    };
    Ok(Response::json(
        status,
        &detail(call, &context, summary, true)?,
    ))
}

/// The body of a PUT: what is absent stays.
struct Change {
    slug: Option<Slug>,
    name: Option<String>,
    policy: PolicyChange,
    early_adopter: Option<bool>,
    superuser_access: Option<bool>,
    require_2fa: Option<bool>,
    options: Vec<OptionChange>,
}

#[derive(Clone, Copy)]
struct PolicyChange {
    open_membership: Option<bool>,
    invite: Option<bool>,
    create_projects: Option<bool>,
    admin_events: Option<bool>,
    write_alerts: Option<bool>,
}

impl PolicyChange {
    fn read(fields: &mut Fields) -> PolicyChange {
        let mut flag = |name| fields.boolean(name, Null::Refused).value();
        PolicyChange {
            open_membership: flag("openMembership"),
            invite: flag("allowMemberInvite"),
            create_projects: flag("allowMemberProjectCreation"),
            admin_events: flag("eventsMemberAdmin"),
            write_alerts: flag("alertsMemberWrite"),
        }
    }

    fn apply(self, old: MemberPolicy) -> MemberPolicy {
        MemberPolicy {
            open_membership: self.open_membership.unwrap_or(old.open_membership),
            invite: self.invite.unwrap_or(old.invite),
            create_projects: self.create_projects.unwrap_or(old.create_projects),
            admin_events: self.admin_events.unwrap_or(old.admin_events),
            write_alerts: self.write_alerts.unwrap_or(old.write_alerts),
        }
    }
}

impl Change {
    fn read(mut fields: Fields, call: &Call<'_>, context: &InOrganization) -> Result<Change> {
        let name = fields
            .filled_text("name", NAME_CHARS_MAX, Null::Refused)
            .value();
        let slug = fields
            .slug("slug", SlugKind::Organization, Null::Refused)
            .value();
        // Only the case may be another.
        let own = context.organization.slug.as_str();
        if let Some(slug) = &slug
            && !slug.as_str().eq_ignore_ascii_case(own)
        {
            refuse_taken(&mut fields, &call.connection, slug)?;
        }
        let policy = PolicyChange::read(&mut fields);
        let early_adopter = fields.boolean("isEarlyAdopter", Null::Refused).value();
        let superuser_access = fields
            .boolean("allowSuperuserAccess", Null::Refused)
            .value();
        let require_2fa = fields.boolean("require2FA", Null::Refused).value();
        if require_2fa == Some(true) {
            let (organization, user) = (&context.organization, call.caller.user());
            if let Some(text) = why_not_require(&call.connection, organization, user)? {
                fields.refuse("require2FA", text);
            }
        }
        let mut options = Vec::new();
        read_scrubbing(&mut fields, &mut options);
        read_kept(&mut fields, context, &mut options);
        read_default_limit(&mut fields, &mut options);
        refuse_what_is_not_there(&mut fields);
        fields.finish()?;
        Ok(Change {
            slug,
            name,
            policy,
            early_adopter,
            superuser_access,
            require_2fa,
            options,
        })
    }

    fn apply(&self, old: &Organization) -> OrganizationChange {
        OrganizationChange {
            slug: self.slug.clone().unwrap_or_else(|| old.slug.clone()),
            name: self.name.clone().unwrap_or_else(|| old.name.clone()),
            policy: self.policy.apply(old.policy),
            early_adopter: self.early_adopter.unwrap_or(old.early_adopter),
            superuser_access: self.superuser_access.unwrap_or(old.superuser_access),
            require_2fa: self.require_2fa.unwrap_or(old.require_2fa),
            options: self.options.clone(),
        }
    }
}

fn set(field: &'static str, option: &'static str, value: Value) -> OptionChange {
    OptionChange {
        field,
        option,
        value: Some(value),
    }
}

fn read_scrubbing(fields: &mut Fields, options: &mut Vec<OptionChange>) {
    for (field, name) in [
        ("dataScrubber", option::REQUIRE_SCRUB_DATA),
        ("dataScrubberDefaults", option::REQUIRE_SCRUB_DEFAULTS),
        ("scrubIPAddresses", option::REQUIRE_SCRUB_ADDRESSES),
    ] {
        if let Given::Value(on) = fields.boolean(field, Null::Refused) {
            options.push(set(field, name, json!(on)));
        }
    }
    for (field, name, what) in [
        ("sensitiveFields", option::SENSITIVE_FIELDS, "sensitive"),
        ("safeFields", option::SAFE_FIELDS, "safe"),
    ] {
        if let Given::Value(list) = fields.field_names(field, what, Null::Refused) {
            options.push(set(field, name, json!(list)));
        }
    }
}

/// Settings that are shown as they were set. The role of new members is an owner's business.
fn read_kept(fields: &mut Fields, context: &InOrganization, options: &mut Vec<OptionChange>) {
    const CRASH_REPORTS: (i64, i64) = (-1, 100);
    let roles = OrganizationRole::ALL.map(OrganizationRole::as_str);
    let is_owner = context.access.scopes().contains(Scope::OrgAdmin);
    for setting in KEPT_ORGANIZATION_SETTINGS {
        let field = setting.field;
        let given = match setting.default {
            KeptValue::Switch(_) => fields
                .boolean(field, Null::Refused)
                .value()
                .map(|on| json!(on)),
            KeptValue::Number(_) => match fields.integer(field, CRASH_REPORTS.0, CRASH_REPORTS.1) {
                Given::Value(number) => Some(json!(number)),
                Given::Absent => None,
                // An organization has a number: null is refused here, and an empty text is none.
                Given::Null => {
                    if let Given::Value(_) = fields.text(field, usize::MAX, Null::Refused) {
                        fields.refuse(field, "A valid integer is required.");
                    }
                    None
                }
            },
            KeptValue::Role(_) if field == "defaultRole" && !is_owner => None,
            KeptValue::Role(_) => {
                let role = fields.choice(field, &roles, Null::Refused, false);
                role.value().map(|role| json!(role))
            }
        };
        if let Some(value) = given {
            options.push(set(field, setting.option, value));
        }
    }
}

/// Ours: `defaultRateLimit`, the limit of keys without one of their own.
fn read_default_limit(fields: &mut Fields, options: &mut Vec<OptionChange>) {
    const NAME: &str = "defaultRateLimit";
    if let LimitChange::Set(limit) = read_limit(fields, NAME, Null::Allowed) {
        let value = limit.map(|limit| json!({ "count": limit.count, "window": limit.window_secs }));
        options.push(OptionChange {
            field: NAME,
            option: option::DEFAULT_RATE_LIMIT,
            value,
        });
    }
}

/// Why an organization cannot begin to demand a second factor, if so. Who switches it on must have one, so that
/// nobody locks themselves out; where an identity provider vouches for the members, that is its business.
fn why_not_require(
    connection: &Connection,
    organization: &Organization,
    user: Option<UserId>,
) -> Result<Option<&'static str>, Error> {
    if organization.require_2fa {
        return Ok(None);
    }
    let has_one = match user {
        Some(user) => second_factors::has_one(connection, user)?,
        None => false,
    };
    Ok(if !has_one {
        Some("Set up a second factor for your own account first.")
    } else if organizations::has_provider(connection, organization.id)? {
        Some(
            "Second factors cannot be demanded of members who sign in through an identity provider.",
        )
    } else {
        None
    })
}

/// What Picket does not have must not look as if it were on.
fn refuse_what_is_not_there(fields: &mut Fields) {
    for (field, what) in [
        ("relayPiiConfig", "Advanced data scrubbing rules are"),
        ("relayDsnEndpoint", "A Relay of your own is"),
        ("avatar", "Uploaded avatars are"),
    ] {
        if fields
            .text(field, usize::MAX, Null::Allowed)
            .value()
            .is_some_and(|text| !text.is_empty())
        {
            fields.refuse(field, format!("{what} not supported by this server."));
        }
    }
    if let Given::Value(relays) = fields.list("trustedRelays", Null::Refused)
        && !relays.is_empty()
    {
        fields.refuse(
            "trustedRelays",
            "Trusted relays are not supported by this server.",
        );
    }
    fields.choice("avatarType", &["letter_avatar"], Null::Refused, false);
    // Only one that is being removed could be kept, and that is hidden.
    fields.boolean("cancelDeletion", Null::Refused);
}

/// `PUT O/`: 200 with the organization as it is then, with teams and projects.
pub(super) fn update(api: &Api, mut call: Call<'_>, context: InOrganization) -> Result<Response> {
    let fields = call.body()?;
    let change = Change::read(fields, &call, &context)?;
    let actor = call.actor()?;
    let segment = IdOrSlug::Id(context.organization.id.0);
    let user = call.caller.user();
    let changed = api.store.write(move |unit| {
        let old = organizations::find(unit, &segment)?.ok_or(Error::NotFound)?;
        // Given up since, or a provider came.
        if change.require_2fa == Some(true)
            && let Some(text) = why_not_require(unit, &old, user)?
        {
            let mut errors = FieldErrors::default();
            errors.add("require2FA", text);
            return Err(Error::Invalid(errors));
        }
        organizations::update(unit, &actor, &old, &change.apply(&old))?;
        organizations::find(unit, &segment)?.ok_or(Error::NotFound)
    });
    match changed {
        Ok(organization) => answer(api, &call, 200, organization),
        Err(Error::Conflict(text)) => Err(error::field(400, "slug", &text).into()),
        Err(other) => Err(other.into()),
    }
}

/// `DELETE O/`: 202 with the organization that is going; hidden at once with all that it has, removed in the background.
pub(super) fn delete(api: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    if call.caller.user().is_none() {
        let text = "This request requires an authenticated user.";
        return Err(Error::Unauthorized(text.to_owned()).into());
    }
    let summary = OrganizationBody::of(&context.organization, &api.prefix)
        .with_features()
        .pending_deletion();
    let body = detail(&call, &context, summary, true)?;
    let actor = call.actor()?;
    let organization = context.organization;
    api.store
        .write(move |unit| organizations::delete(unit, &actor, &organization))?;
    Ok(Response::json(202, &body))
}
