//! Callers who sign in as a browser does.

use sha2::{Digest, Sha256};

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

    /// A session that began just now, by hand, of whatever user.
    pub(crate) fn begin(server: &Server, email: &str) -> Session {
        let secret = hex(&Sha256::digest(email));
        let now = server.clock.now();
        let made = server
            .database()
            .execute(
                "INSERT INTO session (hash, user_id, created_us, last_used_us, expires_us, address, user_agent, verified_us)
                 SELECT ?1, id, ?2, ?2, ?3, '127.0.0.1', 'test', ?2 FROM user WHERE email = ?4
                 ON CONFLICT DO UPDATE SET verified_us = excluded.verified_us, expires_us = excluded.expires_us",
                rusqlite::params![
                    Sha256::digest(&secret).to_vec(),
                    now.us(),
                    now.plus_secs(86_400).us(),
                    email
                ],
            )
            .expect("a session");
        assert_eq!(made, 1, "{email}");
        Session::with_cookie(secret)
    }

    /// The session of a cookie, and the proof that follows from it.
    pub(crate) fn with_cookie(cookie: String) -> Session {
        let csrf = hex(&Sha256::digest(format!("csrf\0{cookie}")));
        Session { cookie, csrf }
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
