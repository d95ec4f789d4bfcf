//! Cookies that keep a session (facts/ingestion.md 9.2). Whoever has one is logged in.

/// Names of session cookies, in lower case.
const SESSION_COOKIES: [&str; 23] = [
    "sentrysid",
    "sudo",
    "su",
    "session",
    "__session",
    "sessionid",
    "user_session",
    "symfony",
    "phpsessid",
    "fasthttpsessionid",
    "mysession",
    "irissessionid",
    "_vercel_jwt",
    "csrf",
    "xsrf",
    "_xsrf",
    "_csrf",
    "csrf-token",
    "csrf_token",
    "xsrf-token",
    "xsrf_token",
    "fastcsrf",
    "_iris_csrf",
];

/// Whether a cookie keeps a session.
pub(super) fn is_session(name: &str) -> bool {
    SESSION_COOKIES
        .iter()
        .any(|cookie| name.eq_ignore_ascii_case(cookie))
}

/// Whether a header brings or sets cookies. The plural is what people name a field for them.
pub(super) fn is_header(name: &str) -> bool {
    let singular = match name.as_bytes() {
        [.., b's' | b'S'] => &name[..name.len() - 1],
        _ => name,
    };
    ["cookie", "set-cookie", "set_cookie", "http_cookie"]
        .iter()
        .any(|header| singular.eq_ignore_ascii_case(header))
}
