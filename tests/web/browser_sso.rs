//! A browser that keeps cookies and sends forms, and follows no redirect by itself.

use std::collections::BTreeMap;

use crate::support::{Answer, Client, Server};

/// One person's browser.
pub(crate) struct Browser {
    client: Client,
    /// Value and path by name.
    cookies: BTreeMap<String, (String, String)>,
}

impl Browser {
    pub(crate) fn new(server: &Server) -> Browser {
        Browser {
            client: server.client(),
            cookies: BTreeMap::new(),
        }
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(|(value, _)| value.as_str())
    }

    pub(crate) fn set_cookie(&mut self, name: &str, value: &str) {
        let cookie = (value.to_owned(), "/".to_owned());
        self.cookies.insert(name.to_owned(), cookie);
    }

    pub(crate) fn get(&mut self, target: &str) -> Answer {
        let answer = self.with_cookies(target).get(target);
        self.keep(&answer);
        answer
    }

    /// Sends a form with these fields and the hidden one of the page that it stands on.
    pub(crate) fn submit(
        &mut self,
        page: &Answer,
        target: &str,
        fields: &[(&str, &str)],
    ) -> Answer {
        let csrf = hidden(page, "csrf");
        self.post(target, &[&[("csrf", csrf.as_str())], fields].concat())
    }

    /// Sends a form with just these fields.
    pub(crate) fn post(&mut self, target: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let answer = self
            .with_cookies(target)
            .with_header("Content-Type", "application/x-www-form-urlencoded")
            .post(target, body.as_bytes());
        self.keep(&answer);
        answer
    }

    /// Signs in with a password.
    pub(crate) fn sign_in(&mut self, email: &str, password: &str) {
        let page = self.get("/auth/login/");
        let answer = self.submit(
            &page,
            "/auth/login/",
            &[("email", email), ("password", password)],
        );
        assert_eq!(answer.status, 303, "{}", answer.text());
        assert!(self.cookie("sentrysid").is_some());
    }

    fn with_cookies(&self, target: &str) -> Client {
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .filter(|(_, (_, path))| target.starts_with(path))
            .map(|(name, (value, _))| format!("{name}={value}"))
            .collect();
        match pairs.is_empty() {
            true => self.client.clone(),
            false => self.client.clone().with_header("Cookie", &pairs.join("; ")),
        }
    }

    fn keep(&mut self, answer: &Answer) {
        for (name, value) in &answer.headers {
            if !name.eq_ignore_ascii_case("Set-Cookie") {
                continue;
            }
            let mut parts = value.split("; ");
            let (name, value) = parts
                .next()
                .and_then(|pair| pair.split_once('='))
                .expect("a cookie");
            let parts: Vec<&str> = parts.collect();
            let path = parts.iter().find_map(|part| part.strip_prefix("Path="));
            if parts.contains(&"Max-Age=0") {
                self.cookies.remove(name);
            } else {
                let cookie = (value.to_owned(), path.unwrap_or("/").to_owned());
                self.cookies.insert(name.to_owned(), cookie);
            }
        }
    }
}

/// The value of a page's hidden field.
pub(crate) fn hidden(page: &Answer, name: &str) -> String {
    let start = format!("<input type=\"hidden\" name=\"{name}\" value=\"");
    let rest = page.text().split(&start).nth(1);
    let rest = rest.unwrap_or_else(|| panic!("no field {name} in {}", page.text()));
    rest.split('"').next().expect("an end").to_owned()
}

/// Where an answer sends the browser.
pub(crate) fn location(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303, "{}", answer.text());
    answer.header("Location").expect("a Location")
}
