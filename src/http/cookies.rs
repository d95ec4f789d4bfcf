//! Cookies: read from a request, written into an answer. What they mean is the front's business.

use super::Headers;

/// The value of a cookie. Of a name that is sent twice, as a page of a neighbouring host can arrange, the first counts.
pub fn find<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers
        .iter()
        .filter(|(field, _)| field.eq_ignore_ascii_case("Cookie"))
        .flat_map(|(_, value)| value.split(';'))
        .find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            (key.trim() == name).then(|| value.trim())
        })
}

/// How long a browser keeps a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    Secs(i64),
    /// Until the browser is closed.
    Session,
    /// It is to be forgotten.
    Over,
}

/// A value of `Set-Cookie`: for the whole server, out of reach of scripts, and sent along when somebody follows a link
/// from elsewhere but not with what other sites' pages send. `name` and `value` must be of plain letters and digits.
pub fn set(name: &str, value: &str, lifetime: Lifetime, is_https: bool) -> String {
    format!(
        "{}; HttpOnly",
        set_readable(name, value, lifetime, is_https)
    )
}

/// The same, for what lies below a path only.
pub fn set_below(
    path: &str,
    name: &str,
    value: &str,
    lifetime: Lifetime,
    is_https: bool,
) -> String {
    set(name, value, lifetime, is_https).replacen("; Path=/", &format!("; Path={path}"), 1)
}

/// The same, and scripts of our own pages may read it.
pub fn set_readable(name: &str, value: &str, lifetime: Lifetime, is_https: bool) -> String {
    let age = match lifetime {
        Lifetime::Secs(secs) => format!("; Max-Age={secs}"),
        Lifetime::Session => String::new(),
        Lifetime::Over => "; Max-Age=0".to_owned(),
    };
    let secure = if is_https { "; Secure" } else { "" };
    format!("{name}={value}; Path=/{age}; SameSite=Lax{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let mut headers = Headers::default();
        headers.push("cookie", "asc=1; sc=2;sc=3");
        headers.push("Cookie", " last = 4 ");
        for (name, value) in [("sc", Some("2")), ("last", Some("4")), ("c", None)] {
            assert_eq!(find(&headers, name), value, "{name}");
        }
        assert_eq!(find(&Headers::default(), "sc"), None);
    }

    #[test]
    fn a_cookie_is_out_of_reach_of_scripts_and_other_sites() {
        assert_eq!(
            set("sid", "ab", Lifetime::Secs(60), true),
            "sid=ab; Path=/; Max-Age=60; SameSite=Lax; Secure; HttpOnly"
        );
        assert_eq!(
            set("sid", "", Lifetime::Over, false),
            "sid=; Path=/; Max-Age=0; SameSite=Lax; HttpOnly"
        );
        assert!(!set("sid", "", Lifetime::Session, false).contains("Max-Age"));
        assert_eq!(
            set_below("/a/", "sid", "ab", Lifetime::Session, false),
            "sid=ab; Path=/a/; SameSite=Lax; HttpOnly"
        );
    }
}
