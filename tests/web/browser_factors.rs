//! A browser as far as pages without script need one: keeps cookies, and fills in and sends forms.

use std::collections::BTreeMap;

use crate::support::{Answer, Client};

/// A browser with cookies of its own.
#[derive(Clone)]
pub(crate) struct Browser {
    client: Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// A browser that has never been here. The client says to which server it goes, and adds its own fields.
    pub(crate) fn new(client: Client) -> Browser {
        Browser {
            client,
            cookies: BTreeMap::new(),
        }
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    pub(crate) fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    /// A client that sends the cookies and nothing else of this browser.
    pub(crate) fn client(&self) -> Client {
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

    pub(crate) fn get(&mut self, target: &str) -> Answer {
        let answer = self.client().get(target);
        self.keep(&answer);
        answer
    }

    /// Sends the form of a page that goes to `action`, with its hidden fields and these.
    #[track_caller]
    pub(crate) fn submit(
        &mut self,
        page: &Answer,
        action: &str,
        fields: &[(&str, &str)],
    ) -> Answer {
        let hidden = hidden_fields(page.text(), action)
            .unwrap_or_else(|| panic!("no form to {action} in {}", page.text()));
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &hidden {
            if !fields.iter().any(|(given, _)| given == name) {
                form.append_pair(name, value);
            }
        }
        form.extend_pairs(fields);
        self.post(action, &form.finish())
    }

    /// Sends a form that no page has.
    pub(crate) fn post(&mut self, target: &str, form: &str) -> Answer {
        let answer = self
            .client()
            .with_header("Content-Type", "application/x-www-form-urlencoded")
            .post(target, form.as_bytes());
        self.keep(&answer);
        answer
    }

    /// Gives name and password; what comes after that.
    #[track_caller]
    pub(crate) fn sign_in(&mut self, email: &str, password: &str) -> Answer {
        let page = self.get("/auth/login/");
        let fields = [("email", email), ("password", password)];
        self.submit(&page, "/auth/login/", &fields)
    }

    fn keep(&mut self, answer: &Answer) {
        for (name, value) in &answer.headers {
            if !name.eq_ignore_ascii_case("Set-Cookie") {
                continue;
            }
            let mut parts = value.split("; ");
            let (cookie, value) = parts
                .next()
                .and_then(|pair| pair.split_once('='))
                .expect("a cookie");
            if parts.any(|part| part == "Max-Age=0") {
                self.cookies.remove(cookie);
            } else {
                self.set_cookie(cookie, value);
            }
        }
    }
}

/// Names and values of the hidden fields of the form that goes to `action`.
fn hidden_fields(html: &str, action: &str) -> Option<Vec<(String, String)>> {
    let start = html.find(&format!("action=\"{action}\""))?;
    let form = html[start..].split("</form>").next()?;
    let attribute = |tag: &str, name: &str| {
        let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
        tag[start..].split('"').next().map(unescape)
    };
    let hidden = form
        .split("<input ")
        .filter(|tag| tag.starts_with("type=\"hidden\""))
        .map(|tag| {
            let tag = format!(" {tag}");
            let name = attribute(&tag, "name").expect("a name");
            (name, attribute(&tag, "value").unwrap_or_default())
        });
    Some(hidden.collect())
}

fn unescape(text: &str) -> String {
    text.replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#38;", "&")
}
