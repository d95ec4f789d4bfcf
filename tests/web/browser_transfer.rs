//! A small browser: it keeps cookies, and sends the forms that it was shown.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::support::client::{Answer, Client};

pub(super) struct Browser {
    client: Client,
    cookies: RefCell<BTreeMap<String, String>>,
}

impl Browser {
    pub(super) fn new(client: Client) -> Browser {
        Browser {
            client,
            cookies: RefCell::default(),
        }
    }

    /// Asks for a page. Redirects are answers like any other.
    pub(super) fn get(&self, target: &str) -> Answer {
        self.keep(self.with_cookies().get(target))
    }

    /// Sends the form of a page that leads to this path, with what its hidden fields hold and these fields.
    #[track_caller]
    pub(super) fn submit(&self, page: &Answer, action: &str, fields: &[(&str, &str)]) -> Answer {
        let form = form_of(page.text(), action);
        let mut all = hidden_fields(form);
        for (name, value) in fields {
            all.push(((*name).to_owned(), (*value).to_owned()));
        }
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(&all);
        self.post(action, &body.finish())
    }

    /// Sends a form's body as it is.
    pub(super) fn post(&self, target: &str, body: &str) -> Answer {
        let client = self
            .with_cookies()
            .with_header("Content-Type", "application/x-www-form-urlencoded");
        self.keep(client.post(target, body.as_bytes()))
    }

    fn with_cookies(&self) -> Client {
        let cookies = self.cookies.borrow();
        let pairs: Vec<String> = cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
        match pairs.is_empty() {
            true => self.client.clone(),
            false => self.client.clone().with_header("Cookie", &pairs.join("; ")),
        }
    }

    fn keep(&self, answer: Answer) -> Answer {
        for (name, value) in &answer.headers {
            if !name.eq_ignore_ascii_case("Set-Cookie") {
                continue;
            }
            let pair = value.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a cookie");
            let mut cookies = self.cookies.borrow_mut();
            match value {
                "" => cookies.remove(name),
                value => cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }
}

/// What stands between the tags of the form that leads to this path.
#[track_caller]
fn form_of<'a>(html: &'a str, action: &str) -> &'a str {
    let start = html
        .find(&format!("action=\"{action}\""))
        .unwrap_or_else(|| panic!("no form for {action} in {html}"));
    let end = html[start..].find("</form>").expect("the form ends");
    &html[start..start + end]
}

fn hidden_fields(form: &str) -> Vec<(String, String)> {
    form.split("<input ")
        .skip(1)
        .filter_map(|input| {
            let tag = input.split('>').next()?;
            let attribute = |name: &str| {
                let (_, rest) = tag.split_once(&format!("{name}=\""))?;
                rest.split('"').next()
            };
            let is_hidden = attribute("type") == Some("hidden");
            is_hidden.then_some((
                attribute("name")?.to_owned(),
                attribute("value")?.to_owned(),
            ))
        })
        .collect()
}
