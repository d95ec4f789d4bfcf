//! Sessions over the API: how they begin and end, what they may do, and the second factor of who is in one
//! (facts/auth-and-tokens.md 5, 6.3, 7 and 9).

mod authenticators;
mod callers;
mod require_2fa;
mod sign_in;

use super::*;
use crate::support::{Session, totp};

const ANN: &str = "ann@example.test";
const PASSWORD: &str = "correct horse battery staple";

#[track_caller]
fn sign_in(server: &Server, email: &str) -> Session {
    Session::sign_in(server, email, PASSWORD)
}

/// Lets Bob, who has no password in [`WORLD`], sign in with that of Ann.
fn give_bob_a_password(server: &Server) {
    server
        .database()
        .execute(
            "UPDATE user SET password_hash = (SELECT password_hash FROM user WHERE name = 'Ann') WHERE name = 'Bob'",
            [],
        )
        .expect("an update");
}

/// Sets up a second factor for whoever is signed in; its secret. The code of this moment is used up.
#[track_caller]
fn enroll(server: &Server, session: &Session) -> String {
    let client = session.client(server);
    let target = "/api/0/users/me/authenticators/totp/enroll/";
    let secret = ok(&client.get(target))["secret"]
        .as_str()
        .expect("a secret")
        .to_owned();
    let otp = totp::code(&secret, server.clock.now());
    let answer = client.post_json(target, &serde_json::json!({"secret": secret, "otp": otp}));
    assert_eq!((answer.status, answer.text()), (204, ""));
    secret
}
