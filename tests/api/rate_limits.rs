//! How often the API may be called (facts/management-api.md 1.11).

use super::*;

const KEYS: &str = "/api/0/projects/acme/web/keys/";

/// A server with [`WORLD`] whose limits are on. Its clock stands still until a test turns it.
fn limited() -> Server {
    Server::start_with(WORLD, |settings| settings.api_rate_limits = true)
}

/// Limit, what remains, and when the window ends, as an answer tells.
fn told(answer: &Answer) -> [Option<i64>; 3] {
    ["Limit", "Remaining", "Reset"].map(|name| {
        let value = answer.header(&format!("X-Sentry-Rate-Limit-{name}"))?;
        Some(value.parse().expect("a number"))
    })
}

fn standing(limit: i64, remaining: i64) -> [Option<i64>; 3] {
    [Some(limit), Some(remaining), Some(START.secs() + 1)]
}

#[track_caller]
fn assert_too_frequent(answer: &Answer, limit: i64) {
    let text = format!(
        "{{\"detail\":\"You are attempting to use this endpoint too frequently. \
         Limit is {limit} requests in 1 seconds\"}}"
    );
    assert_answer(answer, 429, &text);
    assert_eq!(answer.header("Retry-After"), Some("1"));
    assert_eq!(told(answer), standing(limit, 0));
}

#[test]
fn a_token_has_so_many_requests_a_second_and_every_answer_tells() {
    let server = limited();
    let ann = ann(&server);
    let key_count = || {
        ok(&server
            .with_token(BOB)
            .get("/api/0/projects/acme/web/keys/?per_page=100"))
    };
    let before = key_count();
    for remaining in (20..40).rev() {
        let answer = ann.get(KEYS);
        assert_eq!(
            (answer.status, told(&answer)),
            (200, standing(40, remaining))
        );
    }
    // Whatever they come to, they count: of one key, of all keys, of another method.
    for (at, (method, path, status)) in [
        ("GET", "/api/0/organizations/acme/project-keys/", 200),
        ("GET", "/api/0/projects/acme/nope/keys/", 404),
        ("GET", "/api/0/projects/beta/hidden/keys/", 403),
        ("POST", "/api/0/organizations/acme/project-keys/", 405),
        (
            "DELETE",
            "/api/0/projects/acme/web/keys/00000000000000000000000000000000/",
            404,
        ),
    ]
    .into_iter()
    .cycle()
    .take(20)
    .enumerate()
    {
        let answer = ann.send(method, path, None);
        let remaining = 19 - i64::try_from(at).expect("few");
        assert_eq!(
            (answer.status, told(&answer)),
            (status, standing(40, remaining)),
            "{method} {path}"
        );
    }
    let refused = ann.post_json(KEYS, &serde_json::json!({ "name": "One too many" }));
    assert_too_frequent(&refused, 40);
    assert_eq!(refused.header("Allow"), Some("GET, POST, HEAD, OPTIONS"));
    assert_eq!(refused.header("Access-Control-Allow-Origin"), Some("*"));
    assert_eq!(key_count(), before);

    // Another of the same user's tokens, and what is counted apart.
    assert_eq!(server.with_token(READER).get(KEYS).status, 200);
    let other = ann.get("/api/0/organizations/acme/");
    assert_eq!((other.status, told(&other)), (200, standing(100, 99)));
    assert_eq!(ann.send("OPTIONS", KEYS, None).status, 200);

    server.advance(1);
    let later = ann.get(KEYS);
    assert_eq!(later.status, 200);
    assert_eq!(told(&later), [Some(40), Some(39), Some(START.secs() + 2)]);
}

#[test]
fn each_class_of_endpoints_has_its_limit() {
    for (path, limit) in [
        (
            "/api/0/projects/acme/web/keys/0123456789abcdef0123456789abcdef/stats/",
            20,
        ),
        (
            "/api/0/organizations/acme/stats_v2/?field=sum(quantity)&category=error",
            20,
        ),
        (
            "/api/0/organizations/acme/stats-summary/?field=sum(quantity)",
            20,
        ),
        ("/api/0/projects/acme/web/stats/", 5),
        ("/api/0/projects/acme/web/", 100),
    ] {
        let server = limited();
        let robot = server.with_token(ORG_ROBOT);
        for remaining in (0..limit).rev() {
            let answer = robot.get(path);
            assert_eq!(
                (answer.status, told(&answer)),
                (200, standing(limit, remaining)),
                "{path}"
            );
        }
        assert_too_frequent(&robot.get(path), limit);
    }
}

#[test]
fn who_has_no_token_is_counted_by_address() {
    let server = limited();
    let anyone = server.client();
    for remaining in (0..100).rev() {
        let answer = anyone.get("/api/0/");
        assert_eq!(
            (answer.status, told(&answer)),
            (200, standing(100, remaining))
        );
    }
    assert_too_frequent(&anyone.get("/api/0/"), 100);
    assert_too_frequent(&anyone.get("/api/0/organizations/"), 100);
    let keys = anyone.get(KEYS);
    assert_eq!((keys.status, told(&keys)), (401, standing(40, 39)));
    assert_eq!(ann(&server).get("/api/0/").status, 200);
    // What is no path of the API costs nothing and is not counted.
    let nowhere = anyone.get("/api/0/nowhere/");
    assert_eq!((nowhere.status, told(&nowhere)), (404, [None; 3]));
}

#[test]
fn no_address_tries_more_than_a_few_tokens_a_second() {
    let server = limited();
    let wrong = ["sntryu_00", "sntrys_00", "x", ""];
    for (remaining, token) in (0..10).rev().zip(wrong.into_iter().cycle()) {
        let answer = server.with_token(token).get(KEYS);
        assert_eq!(
            (answer.status, told(&answer)),
            (401, standing(10, remaining))
        );
    }
    assert_too_frequent(&server.with_token("sntryu_01").get("/api/0/"), 10);
    // Nobody learns whether the next one would have been right.
    assert_too_frequent(&ann(&server).get(KEYS), 10);
    assert_eq!(server.client().get("/api/0/").status, 200);
    server.advance(1);
    assert_eq!(ann(&server).get(KEYS).status, 200);
    assert_eq!(server.with_token("sntryu_01").get(KEYS).status, 401);
}

#[test]
fn switched_off_nothing_is_limited_and_nothing_told() {
    let server = world();
    let ann = ann(&server);
    for _ in 0..10 {
        let answer = ann.get("/api/0/projects/acme/web/stats/");
        assert_eq!((answer.status, told(&answer)), (200, [None; 3]));
    }
}
