//! A small browser: keeps cookies, reads forms and sends them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::support::client::{Answer, Client};
use crate::support::{Server, Session};

/// Somebody at a browser. It follows no redirect by itself.
#[derive(Clone)]
pub(crate) struct Browser {
    client: Client,
    cookies: BTreeMap<String, Cookie>,
}

#[derive(Clone)]
struct Cookie {
    value: String,
    path: String,
}

impl Browser {
    /// A browser that has never been here. The client says to which server it goes, and adds its own fields.
    pub(crate) fn new(client: Client) -> Browser {
        Browser {
            client,
            cookies: BTreeMap::new(),
        }
    }

    pub(crate) fn at(address: &str) -> Browser {
        let address: SocketAddr = address.parse().expect("an address");
        Browser::new(Client::new(address))
    }

    /// One in which a user signed in just now, in whatever way.
    pub(crate) fn of(server: &Server, email: &str) -> Browser {
        let mut browser = Browser::new(server.client());
        browser.set_cookie("sentrysid", &Session::begin(server, email).cookie);
        browser
    }

    /// Sends this field with every request from here on.
    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Browser {
        self.client = self.client.with_header(name, value);
        self
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(|cookie| cookie.value.as_str())
    }

    /// The values of all cookies.
    pub(crate) fn cookies(&self) -> impl Iterator<Item = &String> {
        self.cookies.values().map(|cookie| &cookie.value)
    }

    pub(crate) fn set_cookie(&mut self, name: &str, value: &str) {
        self.keep_cookie(name, value, "/");
    }

    fn keep_cookie(&mut self, name: &str, value: &str, path: &str) {
        let cookie = Cookie {
            value: value.to_owned(),
            path: path.to_owned(),
        };
        self.cookies.insert(name.to_owned(), cookie);
    }

    /// A client that sends the cookies and nothing else of this browser.
    pub(crate) fn client(&self) -> Client {
        self.client_for("/")
    }

    fn client_for(&self, target: &str) -> Client {
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .filter(|(_, cookie)| target.starts_with(&cookie.path))
            .map(|(name, cookie)| format!("{name}={}", cookie.value))
            .collect();
        match pairs.is_empty() {
            true => self.client.clone(),
            false => self.client.clone().with_header("Cookie", &pairs.join("; ")),
        }
    }

    pub(crate) fn get(&mut self, target: &str) -> Answer {
        let answer = self.client_for(target).get(target);
        self.keep(&answer);
        answer
    }

    /// Sends these fields and no others.
    pub(crate) fn post(&mut self, target: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let answer = self
            .client_for(target)
            .with_header("Content-Type", "application/x-www-form-urlencoded")
            .post(target, body.as_bytes());
        self.keep(&answer);
        answer
    }

    /// Opens a page and sends its form of this action, with its hidden fields and these.
    #[track_caller]
    pub(crate) fn submit_at(
        &mut self,
        target: &str,
        action: &str,
        fields: &[(&str, &str)],
    ) -> Answer {
        let page = self.get(target);
        assert_eq!(page.status, 200, "{target}: {page:?}");
        self.submit(&page, action, fields)
    }

    /// Sends a form of a page that is open.
    #[track_caller]
    pub(crate) fn submit(
        &mut self,
        page: &Answer,
        action: &str,
        fields: &[(&str, &str)],
    ) -> Answer {
        let hidden = hidden_fields(page.text(), action);
        let hidden = hidden.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        let own = |name: &str| fields.iter().any(|(field, _)| *field == name);
        let all: Vec<(&str, &str)> = hidden
            .filter(|(name, _)| !own(name))
            .chain(fields.iter().copied())
            .collect();
        self.post(action, &all)
    }

    /// Sends a form that a page does not have, with the proof of those that it has.
    #[track_caller]
    pub(crate) fn forge(&mut self, page: &Answer, action: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = hidden(page, "csrf");
        self.post(action, &[&[("csrf", csrf.as_str())], fields].concat())
    }

    /// Goes where an answer leads.
    #[track_caller]
    pub(crate) fn follow(&mut self, answer: &Answer) -> Answer {
        self.get(location(answer))
    }

    /// Tries to sign in.
    #[track_caller]
    pub(crate) fn sign_in(&mut self, email: &str, password: &str) -> Answer {
        let fields = [("email", email), ("password", password)];
        self.submit_at("/auth/login/", "/auth/login/", &fields)
    }

    pub(crate) fn is_signed_in(&mut self) -> bool {
        self.get("/settings/account/").status == 200
    }

    fn keep(&mut self, answer: &Answer) {
        for text in set_cookies(answer) {
            let mut parts = text.split("; ");
            let (name, value) = parts
                .next()
                .and_then(|p| p.split_once('='))
                .expect("a pair");
            let parts: Vec<&str> = parts.collect();
            if parts.contains(&"Max-Age=0") {
                self.cookies.remove(name);
            } else {
                let path = parts.iter().find_map(|part| part.strip_prefix("Path="));
                self.keep_cookie(name, value, path.unwrap_or("/"));
            }
        }
    }
}

/// The values of `Set-Cookie`.
pub(crate) fn set_cookies(answer: &Answer) -> impl Iterator<Item = &str> {
    answer
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("Set-Cookie"))
        .map(|(_, value)| value.as_str())
}

/// Where an answer sends the browser.
#[track_caller]
pub(crate) fn location(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303, "{answer:?}");
    answer.header("Location").expect("a place to go to")
}

/// The value of a page's hidden field.
#[track_caller]
pub(crate) fn hidden(page: &Answer, name: &str) -> String {
    let start = format!("type=\"hidden\" name=\"{name}\" value=\"");
    unescape(between(page, &start, "\""))
}

/// The text of a page between two others, the first time that they are there.
#[track_caller]
pub(crate) fn between<'a>(page: &'a Answer, start: &str, end: &str) -> &'a str {
    let rest = page.text().split_once(start);
    let (_, rest) = rest.unwrap_or_else(|| panic!("no {start} in {}", page.text()));
    rest.split_once(end).expect("an end").0
}

/// That a page has this status and holds these texts.
#[track_caller]
pub(crate) fn assert_page(page: &Answer, status: u16, texts: &[&str]) {
    assert_eq!(page.status, status, "{}", page.text());
    for text in texts {
        assert!(page.text().contains(text), "no {text:?} in {}", page.text());
    }
}

/// That a page has this status and says that this is wrong.
#[track_caller]
pub(crate) fn assert_problem(page: &Answer, status: u16, text: &str) {
    assert_eq!(page.status, status, "{}", page.text());
    let problem = problem(page);
    assert!(problem.contains(text), "{problem}");
}

/// What a page says is wrong.
#[track_caller]
pub(crate) fn problem(answer: &Answer) -> String {
    let html = answer.text();
    let start = html
        .find("role=\"alert\"")
        .unwrap_or_else(|| panic!("no problem in {html}"));
    let inner = &html[start..];
    let inner = &inner[inner.find('>').expect("a tag") + 1..];
    let end = inner.find("</div>").or_else(|| inner.find("</p>"));
    let mut text = String::new();
    let mut in_tag = false;
    for c in inner[..end.expect("an end")].chars() {
        match c {
            '<' => in_tag = true,
            '>' => {
                in_tag = false;
                text.push(' ');
            }
            c if !in_tag => text.push(c),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A page without what is new each time.
pub(crate) fn without_proof(answer: &Answer) -> String {
    let mut text = answer.text().to_owned();
    while let Some(start) = text.find("name=\"csrf\" value=\"") {
        let end = start + text[start..].find('>').expect("a tag");
        text.replace_range(start..=end, "");
    }
    text
}

#[track_caller]
fn hidden_fields(html: &str, action: &str) -> Vec<(String, String)> {
    let start = html
        .find(&format!("action=\"{action}\""))
        .unwrap_or_else(|| panic!("no form for {action} in {html}"));
    let form = &html[start..];
    let form = &form[..form.find("</form>").expect("the form's end")];
    form.split("<input ")
        .skip(1)
        .filter(|input| input.starts_with("type=\"hidden\""))
        .map(|input| (attribute(input, "name"), attribute(input, "value")))
        .collect()
}

fn attribute(tag: &str, name: &str) -> String {
    let start = format!(" {name}=\"");
    let rest = tag.split_once(&start).map_or("", |(_, rest)| rest);
    unescape(rest.split('"').next().unwrap_or_default())
}

fn unescape(text: &str) -> String {
    [
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#38;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}
