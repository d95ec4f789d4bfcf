//! The crash-report dialog (facts/ingestion.md 1.14): the script that opens it in a page, and what its form sends.
//!
//! Both are one URL, `/api/embed/error-page/`, whose query names the key by its DSN and the event. Who asks is
//! checked in this order: the event's id, the key, the origin. The caller finds the key; the answers are here.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::super::auth::Dsn;
use super::super::items::Kind;
use super::super::parcel::{Item, Parcel};
use super::super::source::Payload;
use super::{call, javascript};
use crate::domain::dsn::UrlPrefix;
use crate::domain::email;
use crate::domain::event_id::EventId;
use crate::domain::key::PublicKey;
use crate::http::{Request, Response};

pub(super) const DIALOG: &str = include_str!("dialog.js");
const STYLE: &str = include_str!("dialog.css");

/// The texts of the dialog, each of which a page can set in the query.
const TEXTS: [(&str, &str); 11] = [
    ("title", "Something went wrong."),
    ("subtitle", "The people in charge have been told."),
    ("subtitle2", "You can help by saying what happened."),
    ("labelName", "Name"),
    ("labelEmail", "Email"),
    ("labelComments", "What happened?"),
    ("labelClose", "Close"),
    ("labelSubmit", "Send report"),
    (
        "errorGeneric",
        "The report could not be sent. Please try again.",
    ),
    (
        "errorFormEntry",
        "Some fields are not right. Please correct them and try again.",
    ),
    ("successMessage", "Your report has been sent. Thank you!"),
];

/// What the page can fill in for its user.
const VALUES: [&str; 2] = ["name", "email"];

/// The fields of the form with the most characters that each may have.
const FIELDS: [(&str, usize); 3] = [("name", 128), ("email", 75), ("comments", 4096)];

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ingest) enum Refused {
    EventId,
    /// No DSN, or one that no active key has.
    Dsn,
    Origin,
    /// By field, what is wrong with the form.
    Form(Vec<(&'static str, String)>),
}

/// Of a form, in bytes; what is behind that is not read.
pub(in crate::ingest) const BODY_BYTES_MAX: u64 = 64 << 10;

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ingest) struct Subject {
    pub(in crate::ingest) event: EventId,
    pub(in crate::ingest) public: PublicKey,
    /// The project that the DSN names; a key of another is not meant.
    pub(in crate::ingest) project: u64,
}

/// Reads whom and what a request speaks of.
///
/// # Errors
/// `EventId`, `Dsn`.
pub(in crate::ingest) fn subject(request: &Request) -> Result<Subject, Refused> {
    let event = request
        .query_value("eventId")
        .and_then(|text| EventId::parse(&text))
        .ok_or(Refused::EventId)?;
    let dsn = request.query_value("dsn").ok_or(Refused::Dsn)?;
    let dsn = Dsn::parse(&dsn).ok_or(Refused::Dsn)?;
    Ok(Subject {
        event,
        public: PublicKey::parse(dsn.public).ok_or(Refused::Dsn)?,
        project: dsn.project,
    })
}

/// The script that opens the dialog.
pub(in crate::ingest) fn open(request: &Request, prefix: &UrlPrefix) -> Response {
    let given: Vec<(String, String)> = request.query_pairs().collect();
    let find = |name: &str| given.iter().find(|(n, _)| n == name).map(|(_, v)| &**v);
    let texts: Map<String, Value> = TEXTS
        .iter()
        .map(|(name, default)| ((*name).to_owned(), find(name).unwrap_or(default).into()))
        .collect();
    let values: Map<String, Value> = VALUES
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), find(name)?.into())))
        .collect();
    // Where the script came from is where its form goes.
    let endpoint = format!("{}{}?{}", prefix.as_str(), PATH, request.query);
    let arguments = [json!(endpoint), texts.into(), values.into(), json!(STYLE)];
    expose(javascript(call(DIALOG, &arguments)), request)
}

const PATH: &str = "/api/embed/error-page/";

/// What the form says, as the item that older SDKs send in an envelope. `body` is the form, url-encoded.
///
/// # Errors
/// `Form`.
pub(in crate::ingest) fn parcel(event: EventId, body: &[u8]) -> Result<Parcel<'static>, Refused> {
    let form: Vec<(Cow<'_, str>, Cow<'_, str>)> = form_urlencoded::parse(body).collect();
    let mut report = Map::new();
    let mut errors = Vec::new();
    report.insert("event_id".to_owned(), event.to_string().into());
    for (name, chars_max) in FIELDS {
        let value = form.iter().find(|(n, _)| n == name).map(|(_, v)| v.trim());
        match check(name, value.unwrap_or_default(), chars_max) {
            Ok(value) => {
                report.insert(name.to_owned(), value.into());
            }
            Err(error) => errors.push((name, error)),
        }
    }
    if !errors.is_empty() {
        return Err(Refused::Form(errors));
    }
    let payload = Value::Object(report).to_string().into_bytes();
    Ok(Parcel {
        id: Some(event),
        sent_us: None,
        items: vec![Item::new(Kind::UserReport, Payload::owned(payload))],
    })
}

fn check<'v>(name: &str, value: &'v str, chars_max: usize) -> Result<&'v str, String> {
    let chars = value.chars().count();
    if chars == 0 {
        Err("This field is required.".to_owned())
    } else if chars > chars_max {
        Err(format!(
            "Ensure this value has at most {chars_max} characters (it has {chars})."
        ))
    } else if name == "email" && !email::is_plausible(value) {
        Err("Enter a valid email address.".to_owned())
    } else {
        Ok(value)
    }
}

/// The answer to a report that was taken.
pub(in crate::ingest) fn thanks(request: &Request) -> Response {
    answer(200, &json!({}), request)
}

/// The answer to a page that asks whether it may ask.
pub(in crate::ingest) fn preflight(request: &Request) -> Response {
    answer(200, &json!({}), request)
}

impl Refused {
    pub(in crate::ingest) fn answer(&self, request: &Request) -> Response {
        const PARAMETER: &str = "Missing or invalid parameter.";
        match self {
            Refused::EventId => answer(400, &json!({ "eventId": PARAMETER }), request),
            Refused::Dsn => answer(404, &json!({ "dsn": PARAMETER }), request),
            Refused::Origin => answer(403, &json!({}), request),
            Refused::Form(errors) => {
                let errors: Map<String, Value> = errors
                    .iter()
                    .map(|(name, error)| ((*name).to_owned(), json!([error])))
                    .collect();
                answer(400, &json!({ "errors": errors }), request)
            }
        }
    }
}

/// A page that loads this URL as a script would run what is in the body, so to that the JSON goes in a header.
fn answer(status: u16, value: &Value, request: &Request) -> Response {
    let accept = request.headers.get("accept").unwrap_or_default();
    let response = if accept.contains("text/javascript") {
        let response = Response::empty(status).with_header("Content-Type", "text/javascript");
        if value == &json!({}) {
            response
        } else {
            response.with_header("X-Sentry-Context", value.to_string())
        }
    } else {
        Response::json(status, value)
    };
    expose(response, request)
}

/// Lets the page read the answer; unlike what SDKs send to, it is told to the asking origin alone.
fn expose(response: Response, request: &Request) -> Response {
    let response = match request.headers.get("origin") {
        // A value from one header goes into another: whatever is no part of an origin stays behind.
        Some(origin) => {
            let origin: String = origin.chars().filter(char::is_ascii_graphic).collect();
            response.with_header("Access-Control-Allow-Origin", origin)
        }
        None => response,
    };
    response
        .with_header("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
        .with_header("Access-Control-Max-Age", "1000")
        .with_header(
            "Access-Control-Allow-Headers",
            "Content-Type, Authorization, X-Requested-With",
        )
        .with_header("Vary", "Accept, Origin")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;
    use crate::http::{Body, Headers, Method};

    const ID: &str = "aaaaaaaabbbb4ccc8dddeeeeeeeeeeee";
    const DSN: &str = "https%3A%2F%2F0123456789abcdef0123456789abcdef@errors.example.test%2F42";

    fn request(query: &str, headers: &[(&str, &str)]) -> Request {
        let mut list = Headers::default();
        for (name, value) in headers {
            list.push(*name, *value);
        }
        Request {
            method: Method::Get,
            path: PATH.to_owned(),
            query: query.to_owned(),
            headers: list,
            body: Body::empty(),
            peer: [127, 0, 0, 1].into(),
            received: Timestamp::default(),
            id: String::new(),
        }
    }

    fn event() -> EventId {
        EventId::parse(ID).unwrap()
    }

    fn script(query: &str) -> String {
        let prefix = UrlPrefix::parse("https://errors.example.test").unwrap();
        let response = open(&request(query, &[]), &prefix);
        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-type"), Some("text/javascript"));
        String::from_utf8(response.body.into_owned()).unwrap()
    }

    #[test]
    fn a_request_names_event_and_key() {
        let subject = subject(&request(&format!("eventId={ID}&dsn={DSN}"), &[])).unwrap();
        assert_eq!(subject.event, event());
        assert_eq!(subject.public.as_str(), "0123456789abcdef0123456789abcdef");
        assert_eq!(subject.project, 42);
    }

    #[test]
    fn what_a_request_does_not_name_is_refused() {
        for (query, expected) in [
            (String::new(), Refused::EventId),
            (format!("dsn={DSN}"), Refused::EventId),
            (format!("dsn={DSN}&eventId=1"), Refused::EventId),
            (format!("eventId={ID}"), Refused::Dsn),
            (format!("eventId={ID}&dsn=x"), Refused::Dsn),
            (format!("eventId={ID}&dsn=https://short@h/42"), Refused::Dsn),
            (format!("eventId={ID}&dsn={DSN}web"), Refused::Dsn),
        ] {
            assert_eq!(subject(&request(&query, &[])), Err(expected), "{query}");
        }
    }

    #[test]
    fn the_script_has_the_pages_texts_and_values() {
        let query = format!(
            "eventId={ID}&dsn={DSN}&title=Oh+no&successMessage=&name=Ann&email=a%40b&other=x"
        );
        let script = script(&query);
        for part in [
            &*format!("\n}})(\"https://errors.example.test/api/embed/error-page/?{query}\", {{"),
            "\"title\":\"Oh no\"",
            "\"successMessage\":\"\"",
            "\"labelClose\":\"Close\"",
            "{\"name\":\"Ann\",\"email\":\"a@b\"}",
        ] {
            assert!(script.contains(part), "{part}");
        }
        assert!(!script.contains("\"other\""));
    }

    #[test]
    fn every_option_can_be_set() {
        let query: String = TEXTS
            .iter()
            .map(|(name, _)| format!("{name}=own+{name}&"))
            .collect();
        let script = script(&query);
        for (name, default) in TEXTS {
            assert!(
                script.contains(&format!("\"{name}\":\"own {name}\"")),
                "{name}"
            );
            assert!(!script.contains(&format!("\"{default}\"")), "{default}");
            assert!(DIALOG.contains(&format!("texts.{name}")), "{name}");
        }
    }

    #[test]
    fn a_text_stays_a_text() {
        let hostile = "%22%29%3Balert%281%29%3B%2F%2F%3C%2Fscript%3E%3Cscript%3E%E2%80%A8";
        let script = script(&format!("title={hostile}&name={hostile}&\"+alert(1)+\"<b>"));
        let arguments = &script[DIALOG.trim_end().len()..];
        assert!(!arguments.contains('<') && !arguments.contains('\u{2028}'));
        assert!(
            arguments.contains(r#""title":"\");alert(1);//\u003c/script>\u003cscript>\u2028""#)
        );
        assert!(arguments.contains(r#"&\"+alert(1)+\"\u003cb>", {"#));
        for markup in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!DIALOG.contains(markup), "{markup}");
        }
    }

    #[test]
    fn a_form_becomes_a_user_report() {
        let body =
            b"name=+Ann+%C3%84&email=ann%40example.test&comments=It+broke%0D%0Atwice&other=1";
        let parcel = parcel(event(), body).unwrap();
        assert_eq!(parcel.id, Some(event()));
        assert_eq!(parcel.items[0].kind, Kind::UserReport);
        let payload = parcel.items[0].payload.bytes().unwrap();
        let report: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(
            report,
            json!({
                "event_id": ID,
                "name": "Ann \u{c4}",
                "email": "ann@example.test",
                "comments": "It broke\r\ntwice",
            })
        );
    }

    #[test]
    fn a_wrong_form_says_what_is_wrong() {
        let long = format!(
            "name={}&email=a@b&comments={}",
            "n".repeat(129),
            "c".repeat(4097)
        );
        for (body, expected) in [
            (
                "",
                json!({
                    "name": ["This field is required."],
                    "email": ["This field is required."],
                    "comments": ["This field is required."],
                }),
            ),
            (
                "name=Ann&email=ann&comments=+",
                json!({
                    "email": ["Enter a valid email address."],
                    "comments": ["This field is required."],
                }),
            ),
            (
                &long,
                json!({
                    "name": ["Ensure this value has at most 128 characters (it has 129)."],
                    "comments": ["Ensure this value has at most 4096 characters (it has 4097)."],
                }),
            ),
        ] {
            let refused = parcel(event(), body.as_bytes()).unwrap_err();
            let answer = refused.answer(&request("", &[]));
            let answered: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(answer.status, 400);
            assert_eq!(answered, json!({ "errors": expected }));
        }
    }

    #[test]
    fn answers_are_json_or_for_a_script_a_header() {
        for (answer_to, status, text) in [
            (
                Some(Refused::EventId),
                400,
                r#"{"eventId":"Missing or invalid parameter."}"#,
            ),
            (
                Some(Refused::Dsn),
                404,
                r#"{"dsn":"Missing or invalid parameter."}"#,
            ),
            (Some(Refused::Origin), 403, "{}"),
            (None, 200, "{}"),
        ] {
            let answer = |request: &Request| match &answer_to {
                Some(refused) => refused.answer(request),
                None => thanks(request),
            };
            let plain = answer(&request("", &[("Accept", "*/*")]));
            assert_eq!((plain.status, &*plain.body), (status, text.as_bytes()));
            assert_eq!(plain.header("content-type"), Some("application/json"));
            let script = answer(&request("", &[("Accept", "text/javascript, */*")]));
            assert_eq!((script.status, &*script.body), (status, &b""[..]));
            let context = Some(text).filter(|text| *text != "{}");
            assert_eq!(script.header("x-sentry-context"), context);
        }
    }

    #[test]
    fn the_asking_origin_may_read_the_answer() {
        let asked = request("", &[("Origin", "https://shop.example.test")]);
        for response in [
            preflight(&asked),
            thanks(&asked),
            Refused::Dsn.answer(&asked),
        ] {
            for (name, value) in [
                ("access-control-allow-origin", "https://shop.example.test"),
                ("access-control-allow-methods", "GET, POST, OPTIONS"),
                (
                    "access-control-allow-headers",
                    "Content-Type, Authorization, X-Requested-With",
                ),
                ("access-control-max-age", "1000"),
                ("vary", "Accept, Origin"),
            ] {
                assert_eq!(response.header(name), Some(value));
            }
        }
    }
}
