//! What became of an organization's data: counts by outcome, category, reason, project and key
//! (facts/management-api.md 8.2).
//!
//! The ledger is all that is read, one range of it per project. [`Selection`] is what this and the summary
//! ([`super::stats_summary`]) have in common: which rows are counted, over which intervals.

use std::collections::BTreeMap;
use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::error::{self, Result};
use super::period::{DAY_SECS, HOUR_SECS, MINUTE_SECS, Period, parse_duration_secs};
use super::projects::{self, AskedProjects};
use super::{Api, Call, InOrganization};
use crate::domain::category::Category;
use crate::domain::id::KeyId;
use crate::domain::key::PublicKey;
use crate::domain::outcome::Outcome;
use crate::domain::slug::IdOrSlug;
use crate::domain::time::Timestamp;
use crate::http::{Request, Response};
use crate::store::ledger::{self, LedgerColumns, LedgerFilter, LedgerRange, LedgerSum};
use crate::store::projects::{Project, ProjectFilter};
use crate::store::{Connection, client_keys, projects as stored_projects};

/// The most intervals of an answer: ninety days of hours and some more. What limit the original has today is not
/// known; an older one was less than its own default range needs.
const INTERVALS_MAX: i64 = 5000;
/// The most numbers in the series of all groups together. Reasons come from clients, so there may be any number of
/// groups.
const POINTS_MAX: usize = 1_000_000;

/// The range of a request that names none.
const PERIOD_SECS: i64 = 90 * DAY_SECS;

/// A number that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Quantity,
    TimesSeen,
}

impl Field {
    fn parse(text: &str) -> Option<Field> {
        [Field::Quantity, Field::TimesSeen]
            .into_iter()
            .find(|field| field.name() == text)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Field::Quantity => "sum(quantity)",
            Field::TimesSeen => "sum(times_seen)",
        }
    }

    pub(super) fn of(self, sum: &LedgerSum) -> u64 {
        match self {
            Field::Quantity => sum.quantity,
            Field::TimesSeen => sum.times_seen,
        }
    }
}

/// What the answer is told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dimension {
    Outcome,
    Category,
    Reason,
    Project,
    Key,
}

impl Dimension {
    fn parse(text: &str) -> Option<Dimension> {
        use Dimension::{Category, Key, Outcome, Project, Reason};
        [Outcome, Category, Reason, Project, Key]
            .into_iter()
            .find(|dimension| dimension.name() == text)
    }

    fn name(self) -> &'static str {
        match self {
            Dimension::Outcome => "outcome",
            Dimension::Category => "category",
            Dimension::Reason => "reason",
            Dimension::Project => "project",
            Dimension::Key => "key_id",
        }
    }
}

/// Which rows of the ledger a request is about, and what it wants to know of them.
pub(super) struct Selection {
    /// Without repetitions, in the order of the request.
    pub(super) fields: Vec<Field>,
    pub(super) intervals: Intervals,
    pub(super) filter: LedgerFilter,
}

impl Selection {
    /// # Errors
    /// 400: a parameter that cannot be read, or none of `field`.
    pub(super) fn read(call: &Call<'_>, context: &InOrganization) -> Result<Selection> {
        let request = &call.request;
        let fields = read_fields(request)?;
        let mut outcomes = read_all(request, "outcome", Outcome::parse)?;
        outcomes.sort();
        outcomes.dedup();
        let intervals = Intervals::read(request)?;
        let filter = LedgerFilter {
            keys: read_keys(call, context)?,
            categories: read_categories(request)?,
            outcomes,
            reasons: request
                .query_values("reason")
                .iter()
                .map(|text| stored_reason(text))
                .collect(),
        };
        Ok(Selection {
            fields,
            intervals,
            filter,
        })
    }
}

fn read_fields(request: &Request) -> Result<Vec<Field>> {
    let mut fields = read_all(request, "field", Field::parse)?;
    if fields.is_empty() {
        return Err(error::detail(400, "At least one \"field\" is required.").into());
    }
    fields.sort_by_key(|field| *field as u8);
    fields.dedup();
    Ok(fields)
}

/// The values of a repeatable parameter.
///
/// # Errors
/// 400: one that `parse` does not know, in the words that all of these parameters share.
fn read_all<T>(request: &Request, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
    let read = |text: &String| {
        let invalid = || error::detail(400, &format!("Invalid {name}: \"{text}\""));
        Ok(parse(text).ok_or_else(invalid)?)
    };
    request.query_values(name).iter().map(read).collect()
}

/// `error` stands for all three error categories. The published document calls two by their plurals as well.
fn read_categories(request: &Request) -> Result<Vec<Category>> {
    let parse = |text: &str| match text {
        "replays" => Some(Category::Replay),
        "profiles" => Some(Category::Profile),
        other => Category::parse(other),
    };
    let mut categories = read_all(request, "category", parse)?;
    if categories.contains(&Category::Error) {
        categories.extend(Category::ERRORS);
    }
    categories.sort();
    categories.dedup();
    // Its quantity is bytes.
    if categories.contains(&Category::Attachment) && categories.len() > 1 {
        let text = "if filtering by attachment no other category may be present";
        return Err(error::detail(400, text).into());
    }
    Ok(categories)
}

/// The keys of `key_id`, which is undocumented. As everywhere in this API a key's id is its public half.
///
/// # Errors
/// 400: a key that is unknown, or of a project that the caller may not see.
fn read_keys(call: &Call<'_>, context: &InOrganization) -> Result<Vec<KeyId>> {
    let read = |text: &String| {
        let key = find_key(call, context, text)?;
        Ok(key.ok_or_else(|| error::detail(400, &format!("Invalid key: \"{text}\"")))?)
    };
    call.request
        .query_values("key_id")
        .iter()
        .map(read)
        .collect()
}

fn find_key(call: &Call<'_>, context: &InOrganization, public: &str) -> Result<Option<KeyId>> {
    let connection = &call.connection;
    let Some(public) = PublicKey::parse(public) else {
        return Ok(None);
    };
    let Some(key) = client_keys::find_by_public(connection, public)? else {
        return Ok(None);
    };
    let segment = IdOrSlug::Id(key.project.0);
    let organization = context.organization.id;
    if stored_projects::find(connection, organization, &segment)?.is_none() {
        return Ok(None);
    }
    let teams = stored_projects::list_team_ids(connection, key.project)?;
    Ok(context.access.sees_project(&teams).then_some(key.id))
}

/// The one reason that has another name outside.
const SPIKE_PROTECTION: (&str, &str) = ("smart_rate_limit", "spike_protection");
/// What no reason is called outside.
const NO_REASON: &str = "none";

fn stored_reason(text: &str) -> String {
    let (stored, shown) = SPIKE_PROTECTION;
    match text {
        NO_REASON => "",
        text if text == shown => stored,
        other => other,
    }
    .to_owned()
}

fn shown_reason(reason: String) -> String {
    let (stored, shown) = SPIKE_PROTECTION;
    match reason.as_str() {
        "" => NO_REASON.to_owned(),
        text if text == stored => shown.to_owned(),
        _ => reason,
    }
}

/// The category as it is shown: the error categories together are `error`.
pub(super) fn shown_category(category: Category) -> Category {
    if Category::ERRORS.contains(&category) {
        Category::Error
    } else {
        category
    }
}

/// The intervals of an answer, oldest first, each `step_secs` long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Intervals {
    pub(super) start: Timestamp,
    /// Exclusive.
    pub(super) end: Timestamp,
    step_secs: i64,
    now: Timestamp,
}

impl Intervals {
    /// From the range's start rounded down to its end rounded up.
    ///
    /// # Errors
    /// 400: a range that cannot be read, an interval that does not divide a day, or too many of them.
    fn read(request: &Request) -> Result<Intervals> {
        let step_secs = read_interval(request)?;
        let now = request.received;
        let period = Period::find(request)?.unwrap_or(Period {
            start: now.plus_secs(-PERIOD_SECS),
            end: now,
        });
        let start = period.start.min(now).floor_to(step_secs);
        let mut end = period.end.floor_to(step_secs);
        if end < period.end {
            end = end.plus_secs(step_secs);
        }
        let intervals = Intervals {
            start,
            end,
            step_secs,
            now,
        };
        if intervals.len() > INTERVALS_MAX {
            return Err(error::too_many_points().into());
        }
        Ok(intervals)
    }

    fn len(self) -> i64 {
        (self.end.secs() - self.start.secs()) / self.step_secs
    }

    fn iter(self) -> impl Iterator<Item = Timestamp> {
        (0..self.len()).map(move |n| self.start.plus_secs(n * self.step_secs))
    }

    fn position(self, bucket: Timestamp) -> usize {
        usize::try_from((bucket.secs() - self.start.secs()) / self.step_secs).unwrap_or(0)
    }

    /// The ledger's range without buckets.
    pub(super) fn as_a_whole(self) -> LedgerRange {
        LedgerRange {
            step_secs: None,
            ..self.in_steps()
        }
    }

    /// Whether only the ledger's days are read.
    fn are_of_days(self) -> bool {
        self.in_steps().resolution_secs == DAY_SECS
    }

    fn in_steps(self) -> LedgerRange {
        LedgerRange::in_steps(self.start, self.end, self.step_secs, self.now)
    }
}

/// An hour, if it cannot be read. The document says that an hour is the least; the code takes minutes.
fn read_interval(request: &Request) -> Result<i64> {
    let text = request.query_value("interval").unwrap_or_default();
    let secs = parse_duration_secs(&text).unwrap_or(HOUR_SECS);
    let wrong = if secs == 0 || secs % MINUTE_SECS != 0 {
        "The interval has to be a multiple of the minimum interval of one minute."
    } else if secs > DAY_SECS {
        "The interval has to be less than one day."
    } else if DAY_SECS % secs != 0 {
        "The interval should divide one day without a remainder."
    } else {
        return Ok(secs);
    };
    Err(error::detail(400, wrong).into())
}

/// The projects that are counted: those that were asked for, else all that the caller has access to; for a total of
/// the whole organization simply all, and in days those that were deleted too: of these the ledger keeps the days, so
/// that totals do not shrink.
///
/// # Errors
/// 400: there are none, or a project that is no number. `Forbidden`: one that is not the caller's.
pub(super) fn projects_of(
    call: &Call<'_>,
    context: &InOrganization,
    in_whole_organization: bool,
    intervals: Intervals,
) -> Result<Vec<Project>> {
    let mut filter = ProjectFilter::default();
    let asked = projects::asked_for(call, context)?;
    let of_all = in_whole_organization && matches!(asked, AskedProjects::Mine);
    match asked {
        AskedProjects::These(ids) => filter.ids = Some(ids.iter().map(|id| id.0).collect()),
        AskedProjects::Mine if of_all => {}
        AskedProjects::Mine | AskedProjects::AllAccessible => {
            if !context.access.sees_all() {
                filter.teams = Some(context.access.teams().map(|(id, _)| id).collect());
            }
        }
    }
    let organization = context.organization.id;
    let mut found = stored_projects::list(&call.connection, organization, &filter, 0, i64::MAX)?;
    if found.is_empty() {
        return Err(error::detail(400, "No projects available").into());
    }
    if of_all && intervals.are_of_days() {
        found.extend(stored_projects::list_deleted(
            &call.connection,
            organization,
        )?);
    }
    Ok(found)
}

/// What the rows of one group have in common: the values of the dimensions that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct GroupKey {
    project: Option<i64>,
    category: Option<Category>,
    outcome: Option<Outcome>,
    reason: Option<String>,
    /// The public half; none also for a key that is gone.
    key: Option<String>,
}

impl GroupKey {
    fn value(&self, dimension: Dimension) -> Value {
        match dimension {
            Dimension::Outcome => json!(self.outcome.map(Outcome::name)),
            Dimension::Category => json!(self.category.map(Category::name)),
            Dimension::Reason => json!(self.reason),
            Dimension::Project => json!(self.project),
            Dimension::Key => json!(self.key),
        }
    }
}

/// Counts of one field, in all and by interval.
#[derive(Default)]
struct Counts {
    total: u64,
    /// Empty where no series is shown.
    series: Vec<u64>,
}

#[derive(Serialize)]
struct StatsBody {
    start: Timestamp,
    end: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    intervals: Option<Vec<Timestamp>>,
    groups: Vec<GroupBody>,
}

/// One group: what it has in common, and its counts by the field's name.
#[derive(Serialize)]
struct GroupBody {
    by: Map<String, Value>,
    totals: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<Map<String, Value>>,
}

/// `GET O/stats_v2/`: one group for each combination that has data. Grouped by project there are totals only.
pub(super) fn get(_: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let dimensions = read_dimensions(&call.request)?;
    let selection = Selection::read(&call, &context)?;
    if selection.filter.categories.is_empty() && !dimensions.contains(&Dimension::Category) {
        let text = "Query must have category as groupby or filter";
        return Err(error::detail(400, text).into());
    }
    let by_project = dimensions.contains(&Dimension::Project);
    // A key tells its project.
    let of_all = !by_project && !dimensions.contains(&Dimension::Key);
    let projects = projects_of(
        &call,
        &context,
        of_all && selection.filter.keys.is_empty(),
        selection.intervals,
    )?;
    let groups = group(&call.connection, &projects, &selection, &dimensions)?;
    let intervals = selection.intervals;
    let body = StatsBody {
        start: intervals.start,
        end: intervals.end,
        intervals: (!by_project).then(|| intervals.iter().collect()),
        groups: groups
            .into_iter()
            .map(|(key, counts)| group_body(&key, counts, &selection.fields, &dimensions))
            .collect(),
    };
    Ok(Response::json(200, &body))
}

fn read_dimensions(request: &Request) -> Result<Vec<Dimension>> {
    let mut dimensions = Vec::new();
    for dimension in read_all(request, "groupBy", Dimension::parse)? {
        if !dimensions.contains(&dimension) {
            dimensions.push(dimension);
        }
    }
    Ok(dimensions)
}

/// The counts of every group, in the order of the selection's fields.
fn group(
    connection: &Connection,
    projects: &[Project],
    selection: &Selection,
    dimensions: &[Dimension],
) -> Result<BTreeMap<GroupKey, Vec<Counts>>> {
    let columns = LedgerColumns {
        key: dimensions.contains(&Dimension::Key),
        category: dimensions.contains(&Dimension::Category),
        outcome: dimensions.contains(&Dimension::Outcome),
        reason: dimensions.contains(&Dimension::Reason),
    };
    let by_project = dimensions.contains(&Dimension::Project);
    let (range, length) = match by_project {
        true => (selection.intervals.as_a_whole(), 0),
        false => {
            let length = usize::try_from(selection.intervals.len()).unwrap_or(0);
            (selection.intervals.in_steps(), length)
        }
    };
    let mut groups: BTreeMap<GroupKey, Vec<Counts>> = BTreeMap::new();
    for project in projects {
        let public_keys = match columns.key {
            true => public_keys(connection, project)?,
            false => HashMap::new(),
        };
        for sum in ledger::sums(connection, project.id, range, columns, &selection.filter)? {
            let key = GroupKey {
                project: by_project.then_some(project.id.0),
                category: sum.category.map(shown_category),
                outcome: sum.outcome,
                reason: columns.reason.then(|| shown_reason(sum.reason.clone())),
                key: sum.key.and_then(|key| public_keys.get(&key).cloned()),
            };
            let counts = groups.entry(key).or_insert_with(|| {
                let empty = || Counts {
                    total: 0,
                    series: vec![0; length],
                };
                selection.fields.iter().map(|_| empty()).collect()
            });
            for (counts, field) in counts.iter_mut().zip(&selection.fields) {
                let count = field.of(&sum);
                counts.total = counts.total.saturating_add(count);
                let at = selection.intervals.position(sum.bucket);
                if let Some(point) = counts.series.get_mut(at) {
                    *point = point.saturating_add(count);
                }
            }
            if groups.len() * length.max(1) * selection.fields.len() > POINTS_MAX {
                return Err(error::too_many_points().into());
            }
        }
    }
    Ok(groups)
}

fn public_keys(connection: &Connection, project: &Project) -> Result<HashMap<KeyId, String>> {
    let keys = client_keys::list_of_project(connection, project.id)?;
    Ok(keys
        .into_iter()
        .map(|key| (key.id, key.public.to_string()))
        .collect())
}

fn group_body(
    key: &GroupKey,
    counts: Vec<Counts>,
    fields: &[Field],
    dimensions: &[Dimension],
) -> GroupBody {
    let by = dimensions
        .iter()
        .map(|dimension| (dimension.name().to_owned(), key.value(*dimension)))
        .collect();
    let with_series = !dimensions.contains(&Dimension::Project);
    let (mut totals, mut series) = (Map::new(), Map::new());
    for (field, counts) in fields.iter().zip(counts) {
        totals.insert(field.name().to_owned(), json!(counts.total));
        series.insert(field.name().to_owned(), json!(counts.series));
    }
    GroupBody {
        by,
        totals,
        series: with_series.then_some(series),
    }
}
