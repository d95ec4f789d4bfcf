//! Transactions that are health checks (facts/ingestion.md 8).

use std::sync::LazyLock;

use super::globs::Globs;
use super::subject::Subject;

const NAMES: [&str; 10] = [
    "*healthcheck*",
    "*heartbeat*",
    "*/health",
    "*/healthy",
    "*/healthz",
    "*/live",
    "*/livez",
    "*/ready",
    "*/readyz",
    "*/ping",
];

pub(super) fn is_health_check(transaction: Subject<'_>) -> bool {
    static GLOBS: LazyLock<Globs> = LazyLock::new(|| Globs::compile(NAMES));
    transaction
        .transaction()
        .is_some_and(|name| GLOBS.matches(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::json::{Map, Node};

    fn is_health_check(name: &str) -> bool {
        let mut event = Map::new();
        event.insert("transaction", Node::text(name));
        super::is_health_check(Subject::new(&event))
    }

    #[test]
    fn health_checks_are_known_by_their_names() {
        for name in [
            "GET /healthcheck",
            "HealthCheckController#show",
            "a.heartbeat.b",
            "/health",
            "GET /api/healthy",
            "/healthz",
            "/LIVE",
            "/livez",
            "POST /ready",
            "/readyz",
            "/a/b/ping",
        ] {
            assert!(is_health_check(name), "{name}");
        }
    }

    #[test]
    fn other_transactions_are_kept() {
        for name in [
            "",
            "health",
            "/health/history",
            "/healthy-food",
            "/alive",
            "/pinging",
            "/liveness",
            "GET /orders",
        ] {
            assert!(!is_health_check(name), "{name}");
        }
        assert!(!super::is_health_check(Subject::new(&Map::new())));
    }
}
