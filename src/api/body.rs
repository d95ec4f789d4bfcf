//! Reads request bodies the way Sentry's framework does: what counts as an object, how values are coerced,
//! and what a client is told of a wrong one (facts/management-api.md 1.2, 1.7 and 1.8).

use serde_json::{Map, Value};

use crate::domain::slug::{Slug, SlugKind};
use crate::domain::time::Timestamp;
use crate::domain::{Error, FieldErrors};
use crate::http::multipart::{self, FormError, Parts};
use crate::http::{Body, Headers};

use super::error::{self, Result};

const MAY_NOT_BE_NULL: &str = "This field may not be null.";
const BLANK: &str = "This field may not be blank.";
const NOT_A_STRING: &str = "Not a valid string.";
const REQUIRED: &str = "This field is required.";

/// A field of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Given<T> {
    Absent,
    Null,
    Value(T),
}

impl<T> Given<T> {
    pub(super) fn value(self) -> Option<T> {
        match self {
            Given::Value(value) => Some(value),
            Given::Absent | Given::Null => None,
        }
    }
}

/// Whether `null` is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Null {
    Allowed,
    Refused,
}

/// An object from a body, field by field, with what was found wrong so far. A wrong field reads as absent, so
/// that one answer can name all errors; [`Fields::finish`] must be asked before anything is done.
#[derive(Debug, Default)]
pub(super) struct Fields {
    values: Map<String, Value>,
    errors: FieldErrors,
}

impl Fields {
    /// Reads a whole body. An empty one is an object without fields, whatever its type.
    ///
    /// # Errors
    /// 400 for what is not well-formed or no object; 415 for a type that is not read. No endpoint takes a file: one in
    /// a form is an error of its field.
    pub(super) fn read(headers: &Headers, body: Body) -> Result<Fields> {
        let bytes = body.into_vec().map_err(Error::internal)?;
        if bytes.is_empty() {
            return Ok(Fields::default());
        }
        let content_type = headers.get("Content-Type").unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let value = if media_type.eq_ignore_ascii_case("application/json") {
            parse_json(&bytes)?
        } else if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Value::Object(nested(form_urlencoded::parse(&bytes).into_owned()))
        } else if media_type.eq_ignore_ascii_case("multipart/form-data") {
            return read_multipart(content_type, &bytes);
        } else {
            return Err(error::unsupported_media_type(content_type).into());
        };
        match value {
            Value::Object(values) => Ok(Fields {
                values,
                errors: FieldErrors::default(),
            }),
            other => {
                let text = match other {
                    Value::Null => "No data provided".to_owned(),
                    other => not_an_object(&other),
                };
                let mut errors = FieldErrors::default();
                errors.texts.push(text);
                Err(Error::Invalid(errors).into())
            }
        }
    }

    /// A text, without the white space around it; at most so many characters. May be empty.
    pub(super) fn text(&mut self, name: &str, chars_max: usize, null: Null) -> Given<String> {
        self.read_with(name, null, |value| {
            let text = to_text(value)?;
            if text.contains('\0') {
                return Err("Null characters are not allowed.".to_owned());
            }
            if text.chars().count() > chars_max {
                return Err(format!(
                    "Ensure this field has no more than {chars_max} characters."
                ));
            }
            Ok(text)
        })
    }

    /// A text as it is, like a password, and not empty.
    pub(super) fn secret(&mut self, name: &str) -> Given<String> {
        self.read_with(name, Null::Refused, |value| match value {
            Value::String(text) if text.is_empty() => Err(BLANK.to_owned()),
            Value::String(text) => Ok(text.clone()),
            _ => Err(NOT_A_STRING.to_owned()),
        })
    }

    /// A text as [`Fields::text`] reads it, and not empty.
    pub(super) fn filled_text(
        &mut self,
        name: &str,
        chars_max: usize,
        null: Null,
    ) -> Given<String> {
        match self.text(name, chars_max, null) {
            Given::Value(text) if text.is_empty() => {
                self.errors.add(name, BLANK);
                Given::Absent
            }
            other => other,
        }
    }

    /// A text that is not empty and passes `is_shaped`.
    pub(super) fn pattern(
        &mut self,
        name: &str,
        null: Null,
        is_shaped: impl FnOnce(&str) -> bool,
    ) -> Given<String> {
        self.read_with(name, null, |value| {
            let text = to_text(value)?;
            if text.is_empty() {
                Err(BLANK.to_owned())
            } else if !is_shaped(&text) {
                Err("This value does not match the required pattern.".to_owned())
            } else {
                Ok(text)
            }
        })
    }

    pub(super) fn boolean(&mut self, name: &str, null: Null) -> Given<bool> {
        self.read_with(name, null, |value| {
            to_boolean(value).ok_or_else(|| "Must be a valid boolean.".to_owned())
        })
    }

    /// An integer within these bounds. Null and the empty string are both null.
    pub(super) fn integer(&mut self, name: &str, min: i64, max: i64) -> Given<i64> {
        if self.values.get(name).is_some_and(|value| value == "") {
            return Given::Null;
        }
        self.read_with(name, Null::Allowed, |value| {
            let number = to_integer(value).ok_or("A valid integer is required.")?;
            if number < i128::from(min) {
                return Err(format!(
                    "Ensure this value is greater than or equal to {min}."
                ));
            }
            i64::try_from(number)
                .ok()
                .filter(|number| *number <= max)
                .ok_or_else(|| format!("Ensure this value is less than or equal to {max}."))
        })
    }

    /// One of a list of words. With `blank_allowed` the empty string is null.
    pub(super) fn choice(
        &mut self,
        name: &str,
        choices: &[&str],
        null: Null,
        blank_allowed: bool,
    ) -> Given<String> {
        if blank_allowed && self.values.get(name).is_some_and(|value| value == "") {
            return Given::Null;
        }
        self.read_with(name, null, |value| {
            // Words as Sentry's own language writes them.
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Bool(true) => "True".to_owned(),
                Value::Bool(false) => "False".to_owned(),
                other => other.to_string(),
            };
            if choices.contains(&text.as_str()) {
                Ok(text)
            } else {
                Err(format!("\"{text}\" is not a valid choice."))
            }
        })
    }

    /// A slug that keeps the rules of its kind (facts/management-api.md 1.10).
    pub(super) fn slug(&mut self, name: &str, kind: SlugKind, null: Null) -> Given<Slug> {
        let text = match self.read_with(name, null, to_text) {
            Given::Value(text) => text,
            Given::Null => return Given::Null,
            Given::Absent => return Given::Absent,
        };
        match Slug::parse(kind, &text) {
            Ok(slug) => Given::Value(slug),
            Err(texts) => {
                for text in texts {
                    self.errors.add(name, text);
                }
                Given::Absent
            }
        }
    }

    /// A list of texts, each without the white space around it. What is wrong with one stands under its index.
    pub(super) fn texts(&mut self, name: &str, null: Null) -> Given<Vec<String>> {
        let items = match self.list(name, null) {
            Given::Value(items) => items,
            Given::Null => return Given::Null,
            Given::Absent => return Given::Absent,
        };
        let mut wrong = FieldErrors::default();
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item {
                Value::Null => wrong.add(&index.to_string(), MAY_NOT_BE_NULL),
                item => match to_text(item) {
                    Ok(text) => texts.push(text),
                    Err(text) => wrong.add(&index.to_string(), text),
                },
            }
        }
        if wrong.is_empty() {
            Given::Value(texts)
        } else {
            self.errors.nest(name, wrong);
            Given::Absent
        }
    }

    /// A list of names of fields, as the scrubber takes it: one a line, without blank ones. `what` they are is part of
    /// the refusal of one that is too long.
    pub(super) fn field_names(&mut self, name: &str, what: &str, null: Null) -> Given<String> {
        const CHARS_MAX: usize = 4000;
        let list = match self.texts(name, null) {
            Given::Value(list) => list,
            Given::Null => return Given::Null,
            Given::Absent => return Given::Absent,
        };
        if list
            .iter()
            .map(|entry| entry.chars().count())
            .sum::<usize>()
            > CHARS_MAX
        {
            self.errors
                .add(name, format!("List of {what} fields is too long."));
            return Given::Absent;
        }
        let list: Vec<String> = list.into_iter().filter(|entry| !entry.is_empty()).collect();
        Given::Value(list.join("\n"))
    }

    /// A list, as it came.
    pub(super) fn list(&mut self, name: &str, null: Null) -> Given<Vec<Value>> {
        self.read_with(name, null, |value| match value {
            Value::Array(items) => Ok(items.clone()),
            other => Err(format!(
                "Expected a list of items but got type \"{}\".",
                type_name(other)
            )),
        })
    }

    /// A field as it came.
    pub(super) fn raw(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Whether the body has the field, whatever its value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// A nested object, as it came.
    pub(super) fn map(&mut self, name: &str, null: Null) -> Given<Map<String, Value>> {
        self.read_with(name, null, |value| match value {
            Value::Object(map) => Ok(map.clone()),
            other => Err(format!(
                "Expected a dictionary of items but got type \"{}\".",
                type_name(other)
            )),
        })
    }

    /// Whether the body has the field with a value that the original's language takes for true.
    pub(super) fn is_truthy(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(is_truthy)
    }

    /// Whether something was found wrong with a field.
    pub(super) fn is_wrong(&self, name: &str) -> bool {
        self.errors.fields.contains_key(name)
    }

    /// Adds what the caller found wrong inside a field.
    pub(super) fn refuse_parts(&mut self, name: &str, errors: FieldErrors) {
        self.errors.nest(name, errors);
    }

    /// Adds a text about the whole object.
    pub(super) fn refuse_whole(&mut self, text: &str) {
        self.errors.texts.push(text.to_owned());
    }

    /// The names of all fields.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Adds a text of the caller's to a field.
    pub(super) fn refuse(&mut self, name: &str, text: impl Into<String>) {
        self.errors.add(name, text);
    }

    /// A date that lies ahead, or is the one that is there already. The empty text is null.
    pub(super) fn moment_ahead(
        &mut self,
        name: &str,
        now: Timestamp,
        there: Option<Timestamp>,
    ) -> Given<Timestamp> {
        if self.values.get(name).is_some_and(|value| value == "") {
            return Given::Null;
        }
        self.read_with(name, Null::Allowed, |value| {
            let moment = Timestamp::parse_iso(&to_text(value)?).ok_or(
                "Datetime has wrong format. Use one of these formats instead: \
                 YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].",
            )?;
            match there == Some(moment) || moment > now && moment <= Timestamp::LAST {
                true => Ok(moment),
                false => Err("This must be a moment that lies ahead.".to_owned()),
            }
        })
    }

    /// A nested object. Its errors come back through [`Fields::nest`].
    pub(super) fn object(&mut self, name: &str, null: Null) -> Given<Fields> {
        match self.values.get(name) {
            Some(Value::Object(values)) => Given::Value(Fields {
                values: values.clone(),
                errors: FieldErrors::default(),
            }),
            Some(
                value @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)),
            ) => {
                let mut inner = FieldErrors::default();
                inner.add("non_field_errors", not_an_object(value));
                self.errors.nest(name, inner);
                Given::Absent
            }
            Some(Value::Null) | None => {
                self.read_with(name, null, |_| Err::<Fields, _>(String::new()))
            }
        }
    }

    /// Takes over what was found wrong in a nested object.
    pub(super) fn nest(&mut self, name: &str, inner: Fields) {
        self.errors.nest(name, inner.errors);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(super) fn refuse_missing(&mut self, name: &str) {
        if !self.values.contains_key(name) {
            self.errors.add(name, REQUIRED);
        }
    }

    /// Everything that was found wrong, for an answer in a shape of its own.
    pub(super) fn into_errors(self) -> FieldErrors {
        self.errors
    }

    /// # Errors
    /// `Invalid` with everything that was found wrong.
    pub(super) fn finish(self) -> Result<()> {
        Ok(self.errors.into_result()?)
    }

    fn read_with<T>(
        &mut self,
        name: &str,
        null: Null,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Given<T> {
        let problem = match self.values.get(name) {
            None => return Given::Absent,
            Some(Value::Null) if null == Null::Allowed => return Given::Null,
            Some(Value::Null) => MAY_NOT_BE_NULL.to_owned(),
            Some(value) => match read(value) {
                Ok(value) => return Given::Value(value),
                Err(problem) => problem,
            },
        };
        self.errors.add(name, problem);
        Given::Absent
    }
}

/// Whether the original's language takes a value for true.
pub(super) fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

fn parse_json(bytes: &[u8]) -> Result<Value> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let position = error.valid_up_to();
        let byte = bytes.get(position).copied().unwrap_or_default();
        let reason = match (error.error_len(), byte) {
            (None, _) => "unexpected end of data",
            (_, 0x80..=0xc1 | 0xf5..) => "invalid start byte",
            _ => "invalid continuation byte",
        };
        parse_error(&format!(
            "'utf-8' codec can't decode byte 0x{byte:02x} in position {position}: {reason}"
        ))
    })?;
    Ok(serde_json::from_str(text).map_err(|error| parse_error(&error.to_string()))?)
}

fn parse_error(text: &str) -> Error {
    Error::Refused(format!("JSON parse error - {text}"))
}

/// A multipart form, all of it in memory: no body of the API is long.
fn read_multipart(content_type: &str, bytes: &[u8]) -> Result<Fields> {
    let broken = |error| match error {
        FormError::Unreadable(error) => Error::internal(error),
        FormError::Broken(cause) => Error::Refused(format!("Multipart form parse error - {cause}")),
    };
    let boundary = multipart::boundary(content_type).map_err(broken)?;
    let mut parts = Parts::new(bytes, &boundary);
    let (mut texts, mut errors) = (Vec::new(), FieldErrors::default());
    while let Some(mut part) = parts.next_part().map_err(broken)? {
        if part.filename().is_some() {
            errors.add(part.name(), NOT_A_STRING);
            continue;
        }
        let mut text = Vec::new();
        while let Some(chunk) = part.next_chunk().map_err(broken)? {
            text.extend_from_slice(&chunk);
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        texts.push((part.name().to_owned(), text));
    }
    Ok(Fields {
        values: nested(texts),
        errors,
    })
}

/// A form as an object of strings. A name with dots nests (`rateLimit.count=5`); of a repeated name the last
/// value counts.
fn nested(fields: impl IntoIterator<Item = (String, String)>) -> Map<String, Value> {
    let mut root = Map::new();
    for (name, value) in fields {
        let value = Value::String(value);
        match name.split_once('.') {
            None => {
                root.insert(name, value);
            }
            Some((outer, inner)) => {
                let nested = root
                    .entry(outer.to_owned())
                    .or_insert_with(|| Value::Object(Map::new()));
                if !nested.is_object() {
                    *nested = Value::Object(Map::new());
                }
                if let Value::Object(nested) = nested {
                    nested.insert(inner.to_owned(), value);
                }
            }
        }
    }
    root
}

/// The text for a value that should have been an object; types are named as the original names them.
fn not_an_object(value: &Value) -> String {
    let name = type_name(value);
    format!("Invalid data. Expected a dictionary, but got {name}.")
}

/// The name of a value's type in the original's language.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

fn to_text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(NOT_A_STRING.to_owned()),
    }
}

fn to_boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::Number(number) => match number.as_f64()? {
            1.0 => Some(true),
            0.0 => Some(false),
            _ => None,
        },
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
            "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// A whole number, also as a string or with zeros after a point. One that no column can hold comes back
/// clamped, so that the bounds refuse it.
fn to_integer(value: &Value) -> Option<i128> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    let whole = match text.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|b| b == b'0') => whole,
        Some(_) => return None,
        None => &text,
    };
    let digits = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let beyond = if whole.starts_with('-') {
        i128::MIN
    } else {
        i128::MAX
    };
    Some(whole.parse().unwrap_or(beyond))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::error::Failure;
    use super::*;

    fn read(content_type: &str, body: &[u8]) -> Result<Fields> {
        let mut headers = Headers::default();
        headers.push("Content-Type", content_type);
        Fields::read(&headers, Body::Memory(body.to_vec()))
    }

    fn refusal(content_type: &str, body: &[u8]) -> (u16, String) {
        let failure: Failure = read(content_type, body).unwrap_err();
        let response = error::answer(failure, "", "");
        let text = String::from_utf8(response.body.into_owned()).unwrap();
        (response.status, text)
    }

    fn fields(value: Value) -> Fields {
        read("application/json", value.to_string().as_bytes()).unwrap()
    }

    fn errors(fields: Fields) -> Value {
        let response = error::answer(fields.finish().unwrap_err(), "", "");
        serde_json::from_slice(&response.body).unwrap()
    }

    #[test]
    fn an_empty_body_is_an_empty_object_of_any_type() {
        for content_type in ["", "text/plain", "application/json"] {
            assert!(read(content_type, b"").unwrap().is_empty());
        }
    }

    const MULTIPART: &str = "multipart/form-data; boundary=edge";

    /// A form of these parts: what stands behind `form-data; `, and the content.
    fn multipart(parts: &[(&str, &str)]) -> Vec<u8> {
        let mut body = String::new();
        for (disposition, content) in parts {
            body.push_str(&format!(
                "--edge\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n"
            ));
        }
        (body + "--edge--\r\n").into_bytes()
    }

    #[test]
    fn a_multipart_form_reads_like_any_form() {
        let body = multipart(&[
            ("name=\"name\"", " K\u{e4}y \r\n"),
            ("name=rateLimit.count", "5"),
            ("name=rateLimit.window", "60"),
            ("name=name2", "one"),
            ("name=name2", "two"),
        ]);
        let mut form = read(MULTIPART, &body).unwrap();
        let text = |form: &mut Fields, name| form.text(name, 64, Null::Refused).value();
        assert_eq!(text(&mut form, "name").as_deref(), Some("K\u{e4}y"));
        assert_eq!(text(&mut form, "name2").as_deref(), Some("two"));
        let mut limit = form.object("rateLimit", Null::Refused).value().unwrap();
        assert_eq!(limit.integer("count", 0, 9), Given::Value(5));
        assert_eq!(limit.integer("window", 0, 99), Given::Value(60));
        form.finish().unwrap();
    }

    #[test]
    fn a_file_in_a_form_is_an_error_of_its_field_beside_the_others() {
        let body = multipart(&[
            ("name=name; filename=a.txt", "content"),
            ("name=isActive", "perhaps"),
        ]);
        let mut form = read(MULTIPART, &body).unwrap();
        form.boolean("isActive", Null::Refused);
        assert_eq!(
            errors(form),
            json!({ "isActive": ["Must be a valid boolean."], "name": ["Not a valid string."] })
        );
    }

    #[test]
    fn a_broken_multipart_form_is_refused() {
        let whole = multipart(&[("name=a", "text")]);
        for (content_type, body) in [
            ("multipart/form-data", &whole[..]),
            (MULTIPART, b"nothing of the kind"),
            (MULTIPART, &whole[..whole.len() - 8]),
            (MULTIPART, b"--edge\r\nno head"),
        ] {
            let (status, text) = refusal(content_type, body);
            assert_eq!(status, 400, "{text}");
            assert!(
                text.starts_with("{\"detail\":\"Multipart form parse error - "),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_object_is_refused_in_the_frameworks_words() {
        for (body, expected) in [
            (
                "[]",
                r#"{"non_field_errors":["Invalid data. Expected a dictionary, but got list."]}"#,
            ),
            (
                "\"x\"",
                r#"{"non_field_errors":["Invalid data. Expected a dictionary, but got str."]}"#,
            ),
            (
                "5",
                r#"{"non_field_errors":["Invalid data. Expected a dictionary, but got int."]}"#,
            ),
            ("null", r#"{"non_field_errors":["No data provided"]}"#),
        ] {
            let got = refusal("application/json; charset=utf-8", body.as_bytes());
            assert_eq!(got, (400, expected.to_owned()));
        }
        assert_eq!(
            refusal("text/plain", b"x"),
            (
                415,
                r#"{"detail":"Unsupported media type \"text/plain\" in request."}"#.to_owned()
            )
        );
        assert_eq!(
            refusal("application/json", b"\xff{}").1,
            r#"{"detail":"JSON parse error - 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"}"#
        );
        assert!(
            refusal("application/json", b"{,")
                .1
                .starts_with(r#"{"detail":"JSON parse error - "#)
        );
    }

    #[test]
    fn a_form_nests_by_dots() {
        let mut form = read(
            "application/x-www-form-urlencoded",
            b"name=a+b&rateLimit.count=5&rateLimit.window=60",
        )
        .unwrap();
        assert_eq!(
            form.text("name", 64, Null::Allowed),
            Given::Value("a b".to_owned())
        );
        let mut limit = form.object("rateLimit", Null::Refused).value().unwrap();
        assert_eq!(limit.integer("count", 0, 9), Given::Value(5));
    }

    #[test]
    fn values_are_coerced() {
        let mut body = fields(json!({
            "n": 5, "s": "  x ", "b": true, "yes": "YES", "one": 1, "i": "10", "f": 60.0, "z": "60.00",
            "half": 1.5, "word": "x", "empty": "",
        }));
        assert_eq!(body.text("n", 9, Null::Refused), Given::Value("5".into()));
        assert_eq!(body.text("s", 9, Null::Refused), Given::Value("x".into()));
        for name in ["b", "yes", "one"] {
            assert_eq!(body.boolean(name, Null::Refused), Given::Value(true));
        }
        for (name, expected) in [("i", 10), ("f", 60), ("z", 60)] {
            assert_eq!(body.integer(name, 0, 99), Given::Value(expected));
        }
        assert_eq!(body.integer("empty", 0, 9), Given::Null);
        for name in ["half", "word", "b"] {
            assert_eq!(body.integer(name, 0, 9), Given::Absent);
        }
        assert_eq!(
            errors(body),
            json!({
                "half": ["A valid integer is required."],
                "word": ["A valid integer is required."],
                "b": ["A valid integer is required."],
            })
        );
    }

    #[test]
    fn wrong_fields_are_all_named() {
        let mut body = fields(json!({
            "long": "xxx", "bool": true, "null": null, "flag": "maybe", "low": -1, "high": 1e3, "huge": "9".repeat(60),
            "word": "nope", "object": 5, "hex": "zz", "blank": " ",
        }));
        body.text("long", 2, Null::Allowed);
        body.text("bool", 2, Null::Allowed);
        body.text("null", 2, Null::Refused);
        body.boolean("flag", Null::Refused);
        body.integer("low", 0, 9);
        body.integer("high", 0, 9);
        body.integer("huge", 0, 9);
        body.choice("word", &["yes"], Null::Refused, false);
        body.object("object", Null::Refused);
        body.pattern("hex", Null::Allowed, |text| text == "aa");
        body.pattern("blank", Null::Allowed, |text| text == "aa");
        assert_eq!(
            errors(body),
            json!({
                "long": ["Ensure this field has no more than 2 characters."],
                "bool": ["Not a valid string."],
                "null": ["This field may not be null."],
                "flag": ["Must be a valid boolean."],
                "low": ["Ensure this value is greater than or equal to 0."],
                "high": ["Ensure this value is less than or equal to 9."],
                "huge": ["Ensure this value is less than or equal to 9."],
                "word": ["\"nope\" is not a valid choice."],
                "object": {"non_field_errors": ["Invalid data. Expected a dictionary, but got int."]},
                "hex": ["This value does not match the required pattern."],
                "blank": ["This field may not be blank."],
            })
        );
    }
}
