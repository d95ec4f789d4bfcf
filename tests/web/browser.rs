//! A small browser: keeps cookies, reads forms and sends them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::support::client::{Answer, Client};

/// Somebody at a browser.
#[derive(Clone)]
pub(crate) struct Browser {
    client: Client,
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Browser {
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

    /// Sends this field with every request from here on.
    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Browser {
        self.client = self.client.with_header(name, value);
        self
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        let answer = self.dressed().get(path);
        self.keep(&answer);
        answer
    }

    /// Sends these fields and no others.
    pub(crate) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let answer = self
            .dressed()
            .with_header("Content-Type", "application/x-www-form-urlencoded")
            .post(path, body.as_bytes());
        self.keep(&answer);
        answer
    }

    /// Opens a page and sends its form of this action, with its hidden fields and these.
    #[track_caller]
    pub(crate) fn submit(&mut self, page: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
        let answer = self.get(page);
        assert_eq!(answer.status, 200, "{page}: {answer:?}");
        self.submit_from(&answer, action, fields)
    }

    /// Sends a form of a page that is open.
    #[track_caller]
    pub(crate) fn submit_from(
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

    /// Tries to sign in.
    #[track_caller]
    pub(crate) fn sign_in(&mut self, email: &str, password: &str) -> Answer {
        let fields = [("email", email), ("password", password)];
        self.submit("/auth/login/", "/auth/login/", &fields)
    }

    pub(crate) fn is_signed_in(&mut self) -> bool {
        self.get("/settings/account/").status == 200
    }

    fn dressed(&self) -> Client {
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        match pairs.is_empty() {
            true => self.client.clone(),
            false => self.client.clone().with_header("Cookie", &pairs.join("; ")),
        }
    }

    fn keep(&mut self, answer: &Answer) {
        for text in set_cookies(answer) {
            let mut parts = text.split("; ");
            let (name, value) = parts
                .next()
                .and_then(|p| p.split_once('='))
                .expect("a pair");
            if parts.any(|part| part == "Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
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
