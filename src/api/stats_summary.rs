//! What became of each project's data, category by category (facts/management-api.md 8.3).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::error::Result;
use super::stats_v2::{Selection, projects_of, shown_category};
use super::{Api, Call, InOrganization};
use crate::domain::category::Category;
use crate::domain::outcome::Outcome;
use crate::domain::time::Timestamp;
use crate::http::Response;
use crate::store::ledger::{self, LedgerColumns};
use crate::store::projects::Project;

/// The outcomes that the summary adds up as `dropped`: the published example's number is that of the limited ones.
const DROPPING: [Outcome; 2] = [Outcome::RateLimited, Outcome::CardinalityLimited];

#[derive(Serialize)]
struct SummaryBody {
    start: Timestamp,
    end: Timestamp,
    projects: Vec<ProjectSummary>,
}

/// A project that has data.
#[derive(Serialize)]
struct ProjectSummary {
    /// A number, whatever the document says.
    id: i64,
    slug: String,
    stats: Vec<CategorySummary>,
}

#[derive(Serialize)]
struct CategorySummary {
    category: &'static str,
    /// By the names of the outcomes that were asked for, zeros included.
    outcomes: Map<String, Value>,
    /// `dropped`, where an outcome that drops was asked for, and the fields.
    totals: Map<String, Value>,
}

/// `GET O/stats-summary/`: projects by id, each with its categories by number; as a table in CSV with `download`.
pub(super) fn get(_: &Api, call: Call<'_>, context: InOrganization) -> Result<Response> {
    let selection = Selection::read(&call, &context)?;
    let mut projects = projects_of(&call, &context, false, selection.intervals)?;
    projects.sort_by_key(|project| project.id);
    let outcomes = match selection.filter.outcomes.as_slice() {
        [] => Outcome::ALL,
        some => some,
    };
    let mut summaries = Vec::new();
    for project in &projects {
        let stats = summarize(&call, project, &selection, outcomes)?;
        if !stats.is_empty() {
            summaries.push(ProjectSummary {
                id: project.id.0,
                slug: project.slug.to_string(),
                stats,
            });
        }
    }
    if call.is_asked("download") {
        return Ok(csv(&summaries, &selection, outcomes));
    }
    let body = SummaryBody {
        start: selection.intervals.start,
        end: selection.intervals.end,
        projects: summaries,
    };
    Ok(Response::json(200, &body))
}

fn summarize(
    call: &Call<'_>,
    project: &Project,
    selection: &Selection,
    outcomes: &[Outcome],
) -> Result<Vec<CategorySummary>> {
    let columns = LedgerColumns {
        category: true,
        outcome: true,
        ..LedgerColumns::default()
    };
    let range = selection.intervals.as_a_whole();
    let sums = ledger::sums(
        &call.connection,
        project.id,
        range,
        columns,
        &selection.filter,
    )?;
    let mut categories: BTreeMap<Category, BTreeMap<Outcome, Vec<u64>>> = BTreeMap::new();
    for sum in &sums {
        let (Some(category), Some(outcome)) = (sum.category, sum.outcome) else {
            continue;
        };
        let counts = categories
            .entry(shown_category(category))
            .or_default()
            .entry(outcome)
            .or_insert_with(|| vec![0; selection.fields.len()]);
        for (count, field) in counts.iter_mut().zip(&selection.fields) {
            *count = count.saturating_add(field.of(sum));
        }
    }
    Ok(categories
        .iter()
        .map(|(category, counts)| summary_of(*category, counts, selection, outcomes))
        .collect())
}

/// The counts by outcome and what drops are in the first field.
fn summary_of(
    category: Category,
    counts: &BTreeMap<Outcome, Vec<u64>>,
    selection: &Selection,
    outcomes: &[Outcome],
) -> CategorySummary {
    let of = |outcome: &Outcome, at: usize| {
        counts
            .get(outcome)
            .and_then(|counts| counts.get(at))
            .copied()
            .unwrap_or(0)
    };
    let total = |outcomes: &[Outcome], at| {
        outcomes
            .iter()
            .fold(0u64, |sum, outcome| sum.saturating_add(of(outcome, at)))
    };
    let mut totals = Map::new();
    if outcomes.iter().any(|outcome| DROPPING.contains(outcome)) {
        totals.insert("dropped".to_owned(), json!(total(&DROPPING, 0)));
    }
    for (at, field) in selection.fields.iter().enumerate() {
        totals.insert(field.name().to_owned(), json!(total(outcomes, at)));
    }
    CategorySummary {
        category: category.name(),
        outcomes: outcomes
            .iter()
            .map(|outcome| (outcome.name().to_owned(), json!(of(outcome, 0))))
            .collect(),
        totals,
    }
}

/// One line for each category of each project. Slugs and names need no quotes.
fn csv(projects: &[ProjectSummary], selection: &Selection, outcomes: &[Outcome]) -> Response {
    let mut head = vec!["project_id", "project_slug", "category"];
    head.extend(outcomes.iter().map(|outcome| outcome.name()));
    if outcomes.iter().any(|outcome| DROPPING.contains(outcome)) {
        head.push("dropped");
    }
    head.extend(selection.fields.iter().map(|field| field.name()));
    let mut text = head.join(",") + "\r\n";
    for project in projects {
        for stats in &project.stats {
            let start = [
                project.id.to_string(),
                project.slug.clone(),
                stats.category.to_owned(),
            ];
            let numbers = stats.outcomes.values().chain(stats.totals.values());
            let cells: Vec<String> = start
                .into_iter()
                .chain(numbers.map(Value::to_string))
                .collect();
            text.push_str(&cells.join(","));
            text.push_str("\r\n");
        }
    }
    Response::bytes(200, "text/csv", text.into_bytes()).with_header(
        "Content-Disposition",
        "attachment; filename=\"stats_summary.csv\"",
    )
}
