//! Reads who says to be asking. Knows no token and no resource: whether a credential is any good, and what its
//! absence means, is the front's business.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Headers;

/// What the `Authorization` field holds. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// There is no such field, or it is empty.
    None,
    Bearer(String),
    /// The word `Bearer` with nothing after it, which is an error of its own to clients.
    BearerEmpty,
    /// More than one word after `Bearer`.
    BearerWithSpaces,
    /// RFC 7617. A missing colon means an empty password.
    Basic {
        user: String,
        password: String,
    },
    /// Another scheme, or `Basic` that cannot be decoded.
    Other,
}

impl Credentials {
    /// Reads the first `Authorization` field. Words are split at any white space, and the scheme compares without
    /// case, as Sentry does it.
    pub fn read(headers: &Headers) -> Credentials {
        let mut words = headers
            .get("Authorization")
            .unwrap_or_default()
            .split_ascii_whitespace();
        let Some(scheme) = words.next() else {
            return Credentials::None;
        };
        let (first, second) = (words.next(), words.next());
        if scheme.eq_ignore_ascii_case("Bearer") {
            return match (first, second) {
                (None, _) => Credentials::BearerEmpty,
                (Some(token), None) => Credentials::Bearer(token.to_owned()),
                (Some(_), Some(_)) => Credentials::BearerWithSpaces,
            };
        }
        if scheme.eq_ignore_ascii_case("Basic")
            && let (Some(encoded), None) = (first, second)
        {
            return basic(encoded).unwrap_or(Credentials::Other);
        }
        Credentials::Other
    }
}

fn basic(encoded: &str) -> Option<Credentials> {
    let bytes = STANDARD.decode(encoded).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':').unwrap_or((&text, ""));
    Some(Credentials::Basic {
        user: user.to_owned(),
        password: password.to_owned(),
    })
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::None => "None",
            Credentials::Bearer(_) => "Bearer(..)",
            Credentials::BearerEmpty => "BearerEmpty",
            Credentials::BearerWithSpaces => "BearerWithSpaces",
            Credentials::Basic { .. } => "Basic(..)",
            Credentials::Other => "Other",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Credentials {
        let mut headers = Headers::default();
        headers.push("authorization", value);
        Credentials::read(&headers)
    }

    fn basic(user: &str, password: &str) -> Credentials {
        Credentials::Basic {
            user: user.to_owned(),
            password: password.to_owned(),
        }
    }

    #[test]
    fn a_bearer_token_is_one_word() {
        assert_eq!(read("Bearer abc"), Credentials::Bearer("abc".to_owned()));
        assert_eq!(read("bEARER  abc "), Credentials::Bearer("abc".to_owned()));
        assert_eq!(read("Bearer"), Credentials::BearerEmpty);
        assert_eq!(read("bearer "), Credentials::BearerEmpty);
        assert_eq!(read("Bearer a b"), Credentials::BearerWithSpaces);
    }

    #[test]
    fn basic_is_decoded() {
        // "key:", "key", "a:b:c"
        assert_eq!(read("basic a2V5Og=="), basic("key", ""));
        assert_eq!(read("Basic a2V5"), basic("key", ""));
        assert_eq!(read("Basic YTpiOmM="), basic("a", "b:c"));
        for value in ["Basic", "Basic ???", "Basic /w==", "Basic a2V5 a2V5"] {
            assert_eq!(read(value), Credentials::Other, "{value}");
        }
    }

    #[test]
    fn anything_else_is_told_from_nothing() {
        assert_eq!(read("Token abc"), Credentials::Other);
        assert_eq!(read("Bearerabc"), Credentials::Other);
        assert_eq!(read(""), Credentials::None);
        assert_eq!(Credentials::read(&Headers::default()), Credentials::None);
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", read("Bearer abc")), "Bearer(..)");
    }
}
