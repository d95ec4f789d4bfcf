//! What an audit log may speak of, and the sentence about each.

use serde_json::Value;

/// An event's name, and sentences of which the first holds whose `{fields}` the entry's data has. `{changes}` are all
/// fields but those that say what it is about. Events that Picket never writes have none.
struct Event(&'static str, &'static [&'static str]);

/// Every name that Sentry's log knows, by its number there, then the one that only Picket writes.
#[rustfmt::skip]
const EVENTS: [Event; 81] = [
    Event("member.invite", &["invited {email} as {role}"]),
    Event("member.add", &["added {email} as {role}"]),
    Event("member.accept-invite", &["{email} came by the invitation"]),
    Event("member.edit", &[
        "gave {email} the role {team_role} in team {team_slug}",
        "gave {email} the usual role in team {team_slug}",
        "changed {email}: role {role}, teams {teams_slugs}",
    ]),
    Event("member.remove", &["removed {email}"]),
    Event("member.join-team", &["put {email} into team {team_slug}"]),
    Event("member.leave-team", &["took {email} out of team {team_slug}"]),
    Event("member.pending", &["asked for {email} to be let into team {team_slug}", "waits for {email}"]),
    Event("org.create", &["created organization {slug}"]),
    Event("org.edit", &["edited the organization: {changes}"]),
    Event("org.remove", &["removed organization {slug}"]),
    Event("org.restore", &["brought organization {slug} back"]),
    Event("team.create", &["created team {slug}"]),
    Event("team.edit", &[
        "changed team {old_slug} ({old_name}) to {slug} ({name})",
        "changed the name of a team from {old_name} to {name}",
    ]),
    Event("team.remove", &["removed team {slug}"]),
    Event("project.create", &["created project {slug}"]),
    Event("project.edit", &[
        "changed a project's slug from {old_slug} to {new_slug}",
        "copied settings from project {copy_from_project}",
        "edited a project's settings: {changes}",
    ]),
    Event("project.remove", &["removed project {slug}"]),
    Event("project.remove-with-origin", &[]),
    Event("project.request-transfer", &["offered project {project_slug} to {email}"]),
    Event("project.accept-transfer", &["moved project {project_slug} from {old_organization_slug} to {new_organization_slug}"]),
    Event("project.enable", &["switched on the inbound filter {state} of project {slug}"]),
    Event("project.disable", &["switched off the inbound filter {state} of project {slug}"]),
    Event("tagkey.remove", &[]),
    Event("projectkey.create", &["added client key {public_key}"]),
    Event("projectkey.edit", &["edited client key {public_key}: {changes}"]),
    Event("projectkey.remove", &["removed client key {public_key}"]),
    Event("projectkey.change", &[]),
    Event("sso.enable", &["switched on single sign-on by {provider}", "switched on single sign-on"]),
    Event("sso.disable", &["switched off single sign-on by {provider}", "switched off single sign-on"]),
    Event("sso.edit", &["edited single sign-on: {changes}", "edited single sign-on"]),
    Event("sso-identity.link", &["linked {email} with the identity provider", "linked an account with the identity provider"]),
    Event("api-key.create", &["added API key {name}"]),
    Event("api-key.edit", &["edited API key {name}"]),
    Event("api-key.remove", &["removed API key {name}"]),
    Event("rule.create", &[]),
    Event("rule.edit", &[]),
    Event("rule.remove", &[]),
    Event("rule.mute", &[]),
    Event("rule.disable", &[]),
    Event("servicehook.create", &[]),
    Event("servicehook.edit", &[]),
    Event("servicehook.remove", &[]),
    Event("integration.disable", &[]),
    Event("integration.upgrade", &[]),
    Event("integration.add", &[]),
    Event("integration.edit", &[]),
    Event("integration.remove", &[]),
    Event("sentry-app.add", &[]),
    Event("sentry-app.remove", &[]),
    Event("sentry-app.install", &[]),
    Event("sentry-app.uninstall", &[]),
    Event("monitor.add", &[]),
    Event("monitor.edit", &[]),
    Event("monitor.remove", &[]),
    Event("internal-integration.create", &[]),
    Event("internal-integration.add-token", &[]),
    Event("internal-integration.remove-token", &[]),
    Event("invite-request.create", &[]),
    Event("invite-request.remove", &[]),
    Event("invite.remove", &["took back the invitation of {email}"]),
    Event("alertrule.create", &[]),
    Event("alertrule.edit", &[]),
    Event("alertrule.remove", &[]),
    Event("alertrule.mute", &[]),
    Event("team-and-project.created", &["created project {slug} with team {team_slug}"]),
    Event("org-auth-token.create", &["added organization token {name}"]),
    Event("org-auth-token.remove", &["removed organization token {name}"]),
    Event("project.ownership-rule.edit", &["edited the ownership rules of project {slug}"]),
    Event("project-team.remove", &["took project {project_slug} from team {team_slug}"]),
    Event("project-team.add", &["gave project {project_slug} to team {team_slug}"]),
    Event("issue.delete", &[]),
    Event("member.reinvite", &["sent the invitation of {email} again"]),
    Event("detector.add", &[]),
    Event("detector.edit", &[]),
    Event("detector.remove", &[]),
    Event("workflow.add", &[]),
    Event("workflow.edit", &[]),
    Event("workflow.remove", &[]),
    Event("project.create-with-origin", &["created project {slug} ({origin})"]),
    Event("org-auth-token.edit", &["edited organization token {name}"]),
];

/// Fields that say what an entry is about.
const SUBJECTS: [&str; 4] = ["public_key", "slug", "provider", "email"];

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    EVENTS.iter().map(|event| event.0)
}

/// A sentence about an entry; empty if its data does not say enough.
pub(super) fn note(event: &str, data: &Value) -> String {
    let known = EVENTS.iter().find(|known| known.0 == event);
    let sentences = known.map_or(&[][..], |known| known.1);
    sentences
        .iter()
        .find_map(|sentence| fill(sentence, data))
        .unwrap_or_default()
}

fn fill(sentence: &str, data: &Value) -> Option<String> {
    let mut text = String::new();
    let mut rest = sentence;
    while let Some((before, behind)) = rest.split_once('{') {
        let (field, behind) = behind.split_once('}')?;
        text.push_str(before);
        text.push_str(&match field {
            "changes" => changes(data)?,
            field => shown(&data[field])?,
        });
        rest = behind;
    }
    text.push_str(rest);
    Some(text)
}

fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Object(_) => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) if items.is_empty() => Some("none".to_owned()),
        Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(shown).collect();
            Some(items?.join(", "))
        }
        other => Some(other.to_string()),
    }
}

/// The fields that changed; of those whose text says how, that too.
fn changes(data: &Value) -> Option<String> {
    let fields = data.as_object()?.iter();
    let changes: Vec<String> = fields
        .filter(|(name, _)| !SUBJECTS.contains(&name.as_str()) && !name.starts_with("prev_"))
        .map(|(name, value)| match value.as_str() {
            Some(text) if text.starts_with("from ") || text.starts_with("to ") => {
                format!("{name} {text}")
            }
            _ => name.clone(),
        })
        .collect();
    // The slug is a subject, and a change where its text says so.
    let slug = data["slug"]
        .as_str()
        .filter(|text| text.starts_with("from "));
    let all: Vec<String> = slug
        .map(|text| format!("slug {text}"))
        .into_iter()
        .chain(changes)
        .collect();
    (!all.is_empty()).then(|| all.join(", "))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn no_name_has_two_lines_and_every_sentence_can_be_filled() {
        let distinct: HashSet<_> = names().collect();
        assert_eq!(distinct.len(), EVENTS.len());
        for Event(name, sentences) in &EVENTS {
            for sentence in *sentences {
                assert_eq!(
                    sentence.matches('{').count(),
                    sentence.matches('}').count(),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn the_first_sentence_holds_whose_fields_are_there() {
        for (event, data, note_) in [
            (
                "member.edit",
                json!({"email": "a@b", "role": "member", "teams_slugs": []}),
                "changed a@b: role member, teams none",
            ),
            (
                "member.edit",
                json!({"email": "a@b", "team_slug": "ops", "team_role": null}),
                "gave a@b the usual role in team ops",
            ),
            (
                "project.enable",
                json!({"state": ["ie9", "opera"], "slug": "web"}),
                "switched on the inbound filter ie9, opera of project web",
            ),
            (
                "org.edit",
                json!({"name": "from A to B", "slug": "from a to b"}),
                "edited the organization: slug from a to b, name from A to B",
            ),
            (
                "projectkey.edit",
                json!({"public_key": "01", "prev_rate_limit_count": 1, "rate_limit_count": 2}),
                "edited client key 01: rate_limit_count",
            ),
            ("team.create", json!({"name": "x"}), ""),
            ("rule.create", json!({"slug": "x"}), ""),
            ("nothing", json!({}), ""),
        ] {
            assert_eq!(note(event, &data), note_, "{event} {data}");
        }
    }
}
