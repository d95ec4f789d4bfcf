//! Which kinds of data a project has had, as all answers about it tell.

use serde_json::Value;

use super::super::*;

/// The flags that are set, of those that tell of data.
fn flags(project: &Value) -> Vec<&str> {
    let fields = project.as_object().expect("an object");
    let mut set: Vec<&str> = fields
        .iter()
        .filter(|(name, value)| {
            let tells = name.starts_with("has") || *name == "firstTransactionEvent";
            tells && *name != "hasAccess" && **value == true
        })
        .map(|(name, _)| name.as_str())
        .collect();
    set.sort_unstable();
    set
}

#[test]
fn each_kind_of_data_sets_its_own_flags() {
    let server = world();
    let ann = ann(&server);
    for (kind, expected) in [
        (0, vec![]),
        (2, vec!["firstTransactionEvent"]),
        (3, vec!["hasFeedbacks", "hasNewFeedbacks"]),
        (10, vec!["hasSessions"]),
        (11, vec!["hasSessions"]),
        (13, vec!["hasReplays"]),
        (14, vec!["hasReplays"]),
        (15, vec!["hasReplays"]),
        (16, vec!["hasProfiles"]),
        (17, vec!["hasProfiles"]),
        (18, vec!["hasMonitors"]),
        (19, vec!["hasLogs"]),
        (20, vec!["hasTraceMetrics"]),
    ] {
        see(&server, 1 << kind);
        let detail = ok(&ann.get("/api/0/projects/acme/web/"));
        assert_eq!(flags(&detail), expected, "{kind}");
        let list = ok(&ann.get("/api/0/organizations/acme/projects/?query=slug:web"));
        assert_eq!(flags(&list[0]), expected, "{kind}");
    }
    // User reports are told of in lists only.
    see(&server, 1 << 12);
    let list = ok(&ann.get("/api/0/organizations/acme/projects/?query=slug:web"));
    assert_eq!(flags(&list[0]), ["hasUserReports"]);
    see(&server, 1 << 2 | 1 << 19);
    let detail = ok(&ann.get("/api/0/projects/acme/web/"));
    assert_eq!(flags(&detail), ["firstTransactionEvent", "hasLogs"]);
}

fn see(server: &Server, kinds: i64) {
    server
        .database()
        .execute("UPDATE project SET seen_kinds = ?1 WHERE id = 31", [kinds])
        .expect("an update");
}
