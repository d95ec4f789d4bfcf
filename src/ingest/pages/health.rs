//! The answer to load balancers and probes (facts/ingestion.md 1.15).

use serde_json::json;

use crate::http::Response;

/// 503 tells a load balancer to send nobody here.
pub(in crate::ingest) fn answer(healthy: bool) -> Response {
    let status = if healthy { 200 } else { 503 };
    Response::json(status, &json!({ "is_healthy": healthy }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_told_by_status_and_body() {
        for (healthy, status, body) in [
            (true, 200, r#"{"is_healthy":true}"#),
            (false, 503, r#"{"is_healthy":false}"#),
        ] {
            let answer = answer(healthy);
            assert_eq!((answer.status, &*answer.body), (status, body.as_bytes()));
        }
    }
}
