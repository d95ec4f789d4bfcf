//! A small browser: keeps cookies, follows redirects, and sends the forms that pages have, with their hidden fields.

use std::collections::BTreeMap;

use crate::support::Server;
use crate::support::client::Answer;

pub(super) struct Browser<'a> {
    server: &'a Server,
    cookies: BTreeMap<String, String>,
}

/// A page that was shown.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: u16,
    /// After all redirects.
    pub(super) path: String,
    pub(super) html: String,
}

impl<'a> Browser<'a> {
    pub(super) fn new(server: &'a Server) -> Browser<'a> {
        Browser {
            server,
            cookies: BTreeMap::new(),
        }
    }

    /// One in which a user signed in just now.
    pub(super) fn signed_in(server: &'a Server, email: &str) -> Browser<'a> {
        let mut browser = Browser::new(server);
        let (cookie, _) = server.sign_in(email);
        let (name, value) = cookie.split_once('=').expect("a cookie");
        browser.cookies.insert(name.to_owned(), value.to_owned());
        browser
    }

    pub(super) fn get(&mut self, path: &str) -> Page {
        let answer = self.send("GET", path, None);
        self.follow(path, answer)
    }

    /// Sends the form of a page that goes to `action`, with these fields beside its hidden ones.
    pub(super) fn submit(&mut self, page: &Page, action: &str, fields: &[(&str, &str)]) -> Page {
        let form = page.form(action);
        let mut all = form.hidden();
        all.extend(
            fields
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned())),
        );
        self.post(action, &all)
    }

    /// Sends fields that no page asked for.
    pub(super) fn post(&mut self, path: &str, fields: &[(String, String)]) -> Page {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let answer = self.send("POST", path, Some(&body));
        self.follow(path, answer)
    }

    fn follow(&mut self, path: &str, answer: Answer) -> Page {
        let (mut path, mut answer) = (path.to_owned(), answer);
        for _ in 0..5 {
            let Some(location) = answer.header("Location").map(str::to_owned) else {
                return Page {
                    status: answer.status,
                    path,
                    html: answer.text().to_owned(),
                };
            };
            assert_eq!(answer.status, 303, "{path}");
            answer = self.send("GET", &location, None);
            path = location;
        }
        panic!("too many redirects, the last to {path}");
    }

    fn send(&mut self, method: &str, path: &str, body: Option<&str>) -> Answer {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        let mut client = self.server.client();
        if !cookies.is_empty() {
            client = client.with_header("Cookie", &cookies.join("; "));
        }
        if body.is_some() {
            client = client.with_header("Content-Type", "application/x-www-form-urlencoded");
        }
        let answer = client.send(method, path, body.map(str::as_bytes));
        for (name, value) in &answer.headers {
            if name.eq_ignore_ascii_case("Set-Cookie") {
                let pair = value.split(';').next().unwrap_or_default();
                let (name, value) = pair.split_once('=').expect("a cookie");
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }
}

impl Page {
    /// The form that goes to `action`.
    fn form(&self, action: &str) -> Form<'_> {
        let start = format!("action=\"{action}\"");
        let at = self.html.find(&start);
        let at = at.unwrap_or_else(|| panic!("no form to {action} in {}", self.html));
        let rest = &self.html[at..];
        Form(&rest[..rest.find("</form>").expect("the end of a form")])
    }

    /// The text between two others.
    pub(super) fn between(&self, start: &str, end: &str) -> &str {
        let at = self.html.find(start);
        let rest =
            &self.html[at.unwrap_or_else(|| panic!("no {start} in {}", self.html)) + start.len()..];
        &rest[..rest.find(end).expect("an end")]
    }

    #[track_caller]
    pub(super) fn expect(&self, status: u16, texts: &[&str]) {
        assert_eq!(self.status, status, "{}", self.html);
        for text in texts {
            assert!(self.html.contains(text), "no {text:?} in {}", self.html);
        }
    }
}

struct Form<'a>(&'a str);

impl Form<'_> {
    fn hidden(&self) -> Vec<(String, String)> {
        self.0
            .split("<input type=\"hidden\" name=\"")
            .skip(1)
            .map(|rest| {
                let (name, rest) = rest.split_once("\" value=\"").expect("a value");
                let value = rest.split('"').next().unwrap_or_default();
                (name.to_owned(), value.to_owned())
            })
            .collect()
    }
}
