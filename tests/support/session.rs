//! Callers who sign in as a browser does.

use super::{Answer, Client, Server};

/// The cookies of somebody who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) cookie: String,
    pub(crate) csrf: String,
}

impl Session {
    /// What an answer that signs somebody in sets.
    #[track_caller]
    pub(crate) fn of(answer: &Answer) -> Session {
        Session {
            cookie: set_cookie(answer, "sentrysid").expect("a session"),
            csrf: set_cookie(answer, "sc").expect("a CSRF token"),
        }
    }

    /// Signs in over the API.
    #[track_caller]
    pub(crate) fn sign_in(server: &Server, email: &str, password: &str) -> Session {
        let body = serde_json::json!({ "username": email, "password": password });
        let answer = server.client().post_json("/api/0/auth/login/", &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        Session::of(&answer)
    }

    /// A client that sends the cookie and proves that it may change things.
    pub(crate) fn client(&self, server: &Server) -> Client {
        self.reader(server).with_header("X-CSRFToken", &self.csrf)
    }

    /// A client that sends the cookie alone.
    pub(crate) fn reader(&self, server: &Server) -> Client {
        server
            .client()
            .with_header("Cookie", &format!("sentrysid={}", self.cookie))
    }
}

/// The value of a cookie that an answer sets; none if it sets none, or takes it away.
pub(crate) fn set_cookie(answer: &Answer, name: &str) -> Option<String> {
    let start = format!("{name}=");
    answer
        .headers
        .iter()
        .filter(|(field, _)| field.eq_ignore_ascii_case("Set-Cookie"))
        .find_map(|(_, value)| value.strip_prefix(&start))
        .and_then(|rest| rest.split(';').next())
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
}
