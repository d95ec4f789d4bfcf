//! Options of projects and organizations in Sentry's forms and in ours.
//!
//! Sentry keeps the inbound filters as `"1"` and `"0"`, and lists as lists; Picket keeps switches as such, and lists as
//! lines of a text. What Picket neither enforces nor shows is not taken.

use serde_json::{Value, json};

use crate::domain::option::{
    self, KEPT_ORGANIZATION_SETTINGS, KeptValue, Kind, ORGANIZATION_OPTIONS, PROJECT_OPTIONS,
};
use crate::domain::project_setting as setting;
use crate::domain::scope::OrganizationRole;

/// Options of organizations that Sentry keeps where Picket has a column.
pub(super) const EVENTS_MEMBER_ADMIN: &str = "sentry:events_member_admin";
pub(super) const ALERTS_MEMBER_WRITE: &str = "sentry:alerts_member_write";

/// The project's token for security reports and fetched sources, which is a column here.
pub(super) const SECURITY_TOKEN: &str = "sentry:token";

/// What Sentry writes for itself and nobody misses.
const INTERNAL: [&str; 4] = [
    "sentry:option-epoch",
    "sentry:relay-rev",
    "sentry:relay-rev-lastchange",
    "sentry:onboarding_complete",
];

/// What becomes of an option that comes from elsewhere.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is set to this.
    Set(Value),
    /// It is nothing that anybody would look for here.
    Internal,
    /// Picket does not know it.
    Unknown,
    /// Its value is none that it can have: one sentence.
    Wrong(String),
}

/// What a kept setting looks like.
enum Shape {
    Text(usize),
    Number(i64, i64),
    Switch,
    Words,
    Map,
    /// The text of a list in JSON.
    ListText,
    Lines,
}

fn shape(name: &str) -> Option<Shape> {
    Some(match name {
        setting::SUBJECT_PREFIX | setting::SUBJECT_TEMPLATE => Shape::Text(200),
        setting::SECURITY_TOKEN_HEADER | setting::DEFAULT_ENVIRONMENT => Shape::Text(64),
        setting::DIGESTS_MIN_DELAY | setting::DIGESTS_MAX_DELAY => Shape::Number(60, 3600),
        setting::RESOLVE_AGE => Shape::Number(0, i32::MAX as i64),
        setting::STORE_CRASH_REPORTS => Shape::Number(-1, 100),
        setting::VERIFY_SSL | setting::SCRAPE_JAVASCRIPT | setting::AUTO_RELEASES => Shape::Switch,
        setting::HIGHLIGHT_TAGS | setting::BUILTIN_SYMBOL_SOURCES => Shape::Words,
        setting::HIGHLIGHT_CONTEXT => Shape::Map,
        setting::GROUPING_ENHANCEMENTS | setting::FINGERPRINTING_RULES => Shape::Text(100_000),
        setting::SYMBOL_SOURCES => Shape::ListText,
        setting::DEBUG_FILES_ROLE => Shape::Text(32),
        setting::TOOLBAR_ORIGINS => Shape::Lines,
        _ if setting::KEPT_OPTIONS.contains(&name) => Shape::Switch,
        _ => return None,
    })
}

/// Reads an option of a project.
pub(super) fn take_of_project(name: &str, value: &Value) -> Taken {
    if INTERNAL.contains(&name) || value.is_null() {
        return Taken::Internal;
    }
    if let Some((_, kind)) = PROJECT_OPTIONS.iter().find(|(known, _)| *known == name) {
        return take(*kind, value);
    }
    let Some(shape) = shape(name) else {
        return Taken::Unknown;
    };
    let taken = match shape {
        Shape::Text(longest) => value
            .as_str()
            .filter(|text| text.chars().count() <= longest)
            .map(|text| json!(text)),
        Shape::Number(least, most) => value
            .as_i64()
            .filter(|number| (least..=most).contains(number))
            .map(|number| json!(number)),
        Shape::Switch => switch(value).map(|on| json!(on)),
        Shape::Words => super::value::words(value).map(|words| json!(words)),
        Shape::Map => value.is_object().then(|| value.clone()),
        Shape::ListText => match value {
            Value::Array(_) => Some(json!(value.to_string())),
            Value::String(text) => serde_json::from_str::<Value>(text)
                .is_ok_and(|list| list.is_array())
                .then(|| value.clone()),
            _ => None,
        },
        Shape::Lines => return take(Kind::Lines, value),
    };
    match taken {
        Some(value) => Taken::Set(value),
        None => Taken::Wrong("it has no value that it can have".to_owned()),
    }
}

/// Reads an option of an organization.
pub(super) fn take_of_organization(name: &str, value: &Value) -> Taken {
    if INTERNAL.contains(&name) || value.is_null() {
        return Taken::Internal;
    }
    if let Some((_, kind)) = ORGANIZATION_OPTIONS
        .iter()
        .find(|(known, _)| *known == name)
    {
        return take(*kind, value);
    }
    if name == option::AGGREGATED_DATA_CONSENT {
        return take(Kind::Switch, value);
    }
    let kept = KEPT_ORGANIZATION_SETTINGS
        .iter()
        .find(|kept| kept.option == name);
    let Some(kept) = kept else {
        return Taken::Unknown;
    };
    let taken = match kept.default {
        KeptValue::Switch(_) => switch(value).map(|on| json!(on)),
        KeptValue::Number(_) => value
            .as_i64()
            .filter(|number| (-1..=100).contains(number))
            .map(|number| json!(number)),
        KeptValue::Role(_) => value
            .as_str()
            .filter(|role| OrganizationRole::parse(role).is_some())
            .map(|role| json!(role)),
    };
    match taken {
        Some(value) => Taken::Set(value),
        None => Taken::Wrong("it has no value that it can have".to_owned()),
    }
}

fn take(kind: Kind, value: &Value) -> Taken {
    let value = match (kind, value) {
        (Kind::Switch | Kind::LegacyBrowsers, value) => match switch(value) {
            Some(on) => json!(on),
            None => value.clone(),
        },
        (_, value) => value.clone(),
    };
    match kind.check(&value) {
        Ok(value) => Taken::Set(value),
        Err(text) => Taken::Wrong(text),
    }
}

/// A switch in any of the forms that Sentry has written.
pub(super) fn switch(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(on) => Some(*on),
        Value::Number(number) => match number.as_i64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Value::String(text) => match text.as_str() {
            "1" | "true" | "True" => Some(true),
            "0" | "false" | "False" | "" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// A stored option in the form in which Sentry keeps it.
pub(super) fn for_sentry(name: &str, value: &Value) -> Value {
    let known = PROJECT_OPTIONS.iter().chain(ORGANIZATION_OPTIONS);
    let kind = known.clone().find(|(known, _)| *known == name);
    let is_lines = name == setting::TOOLBAR_ORIGINS;
    match (kind.map(|(_, kind)| *kind), value) {
        (Some(Kind::Lines | Kind::Addresses), Value::String(text)) => lines(text),
        (None, Value::String(text)) if is_lines => lines(text),
        (Some(Kind::Switch | Kind::LegacyBrowsers), Value::Bool(on))
            if name.starts_with("filters:") =>
        {
            json!(if *on { "1" } else { "0" })
        }
        _ => value.clone(),
    }
}

fn lines(text: &str) -> Value {
    text.lines().map(|line| json!(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_of_ours_comes_back_from_sentrys_form() {
        for (name, value) in [
            ("sentry:origins", json!("*.example.test\nshop.test")),
            ("filters:localhost", json!(true)),
            ("filters:chunk-load-error", json!(false)),
            ("filters:legacy-browsers", json!(["chrome", "ie"])),
            ("filters:legacy-browsers", json!(true)),
            ("sentry:scrub_data", json!(false)),
            ("sentry:blacklisted_ips", json!("10.0.0.0/8\n::1")),
            ("sentry:sensitive_fields", json!("")),
            ("sentry:resolve_age", json!(48)),
            ("sentry:highlight_tags", json!(["a", "b"])),
            ("sentry:symbol_sources", json!("[]")),
            ("mail:subject_prefix", json!("[x] ")),
            ("sentry:toolbar_allowed_origins", json!("a.test\nb.test")),
            ("feedback:branding", json!(false)),
        ] {
            let there = for_sentry(name, &value);
            assert_eq!(take_of_project(name, &there), Taken::Set(value), "{name}");
        }
        for (name, value) in [
            (
                "picket:default_rate_limit",
                json!({"count": 5, "window": 60}),
            ),
            ("sentry:require_scrub_data", json!(true)),
            ("sentry:safe_fields", json!("a\nb")),
            ("sentry:attachments_role", json!("owner")),
            ("sentry:store_crash_reports", json!(-1)),
        ] {
            let there = for_sentry(name, &value);
            assert_eq!(
                take_of_organization(name, &there),
                Taken::Set(value),
                "{name}"
            );
        }
        assert_eq!(for_sentry("filters:localhost", &json!(true)), json!("1"));
        assert_eq!(
            for_sentry("sentry:origins", &json!("a\nb")),
            json!(["a", "b"])
        );
    }

    #[test]
    fn what_is_not_enforced_is_not_taken() {
        assert_eq!(
            take_of_project("sentry:dynamic_sampling", &json!({})),
            Taken::Unknown
        );
        assert_eq!(
            take_of_project("sentry:option-epoch", &json!(11)),
            Taken::Internal
        );
        for (name, wrong) in [
            ("sentry:blacklisted_ips", json!(["nowhere"])),
            ("filters:localhost", json!("maybe")),
            ("sentry:resolve_age", json!("soon")),
            ("sentry:highlight_context", json!([])),
            ("sentry:symbol_sources", json!("{}")),
        ] {
            let taken = take_of_project(name, &wrong);
            assert!(matches!(taken, Taken::Wrong(_)), "{name}: {taken:?}");
        }
        assert_eq!(
            take_of_organization("sentry:account-rate-limit", &json!(0)),
            Taken::Unknown
        );
    }
}
