//! Compares a value with a schema, in what the documents that the tests know use of JSON Schema, in the dialect of
//! OpenAPI 3.0.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use regex::Regex;
use serde_json::Value;

/// What a value and its schema disagree about: the place and the complaint.
pub(crate) fn compare(document: &Value, schema: &Value, value: &Value) -> Vec<(String, String)> {
    let mut check = Check {
        document,
        findings: Vec::new(),
    };
    check.value("$", value, schema);
    check.findings
}

/// A walk through a value and its schema.
struct Check<'a> {
    document: &'a Value,
    findings: Vec<(String, String)>,
}

impl Check<'_> {
    fn value(&mut self, place: &str, value: &Value, schema: &Value) {
        if let Some(reference) = schema["$ref"].as_str() {
            let pointer = reference.strip_prefix('#').expect("a local reference");
            let target = self.document.pointer(pointer).expect("a target").clone();
            return self.value(place, value, &target);
        }
        if value.is_null() && schema["nullable"] == true {
            return;
        }
        for part in list(&schema["allOf"]) {
            self.value(place, value, part);
        }
        let alternatives = [list(&schema["anyOf"]), list(&schema["oneOf"])].concat();
        if !alternatives.is_empty() && !alternatives.iter().any(|a| self.fits(place, value, a)) {
            self.find(place, "fits no alternative");
        }
        if value.is_null() {
            if schema["type"].is_string() {
                self.find(place, "is null");
            }
            return;
        }
        if let Some(expected) = schema["type"].as_str() {
            let actual = type_name(value);
            if actual != expected && !(actual == "integer" && expected == "number") {
                self.find(
                    place,
                    &format!(
                        "is {}, not {}",
                        with_article(actual),
                        with_article(expected)
                    ),
                );
                return;
            }
        }
        if let Some(words) = schema["enum"].as_array()
            && !words.contains(value)
        {
            self.find(place, "is not among the words");
        }
        if schema["format"] == "date-time" && !value.as_str().is_some_and(is_utc_date) {
            self.find(place, "is no date in UTC");
        }
        self.limits(place, value, schema);
        match value {
            Value::Array(items) if schema["items"].is_object() => {
                for item in items {
                    self.value(&format!("{place}[]"), item, &schema["items"]);
                }
            }
            Value::Object(fields) => self.object(place, fields, schema),
            _ => {}
        }
    }

    /// Lengths, greatest and least values, patterns.
    fn limits(&mut self, place: &str, value: &Value, schema: &Value) {
        let (least, greatest, size) = match value {
            Value::String(text) => ("minLength", "maxLength", Some(text.chars().count() as f64)),
            Value::Array(items) => ("minItems", "maxItems", Some(items.len() as f64)),
            Value::Object(fields) => ("minProperties", "maxProperties", Some(fields.len() as f64)),
            other => ("minimum", "maximum", other.as_f64()),
        };
        let Some(size) = size else {
            return;
        };
        if schema[least].as_f64().is_some_and(|least| size < least) {
            self.find(place, "is too little");
        }
        if schema[greatest].as_f64().is_some_and(|most| size > most) {
            self.find(place, "is too much");
        }
        if let (Some(text), Some(pattern)) = (value.as_str(), schema["pattern"].as_str())
            && !is_match(pattern, text)
        {
            self.find(place, "does not match the pattern");
        }
    }

    fn object(&mut self, place: &str, fields: &serde_json::Map<String, Value>, schema: &Value) {
        for name in list(&schema["required"]) {
            let name = name.as_str().expect("a name");
            if !fields.contains_key(name) {
                self.find(&format!("{place}.{name}"), "is missing");
            }
        }
        for (name, value) in fields {
            let known = &schema["properties"][name];
            if known.is_object() {
                self.value(&format!("{place}.{name}"), value, known);
            } else if schema["additionalProperties"].is_object() {
                self.value(
                    &format!("{place}.*"),
                    value,
                    &schema["additionalProperties"],
                );
            } else if schema["properties"].is_object() || schema["additionalProperties"] == false {
                self.find(&format!("{place}.{name}"), "is not in the schema");
            }
        }
    }

    fn fits(&self, place: &str, value: &Value, schema: &Value) -> bool {
        let mut check = Check {
            document: self.document,
            findings: Vec::new(),
        };
        check.value(place, value, schema);
        check.findings.is_empty()
    }

    fn find(&mut self, place: &str, text: &str) {
        self.findings.push((place.to_owned(), text.to_owned()));
    }
}

/// A pattern is made once for all tests.
fn is_match(pattern: &str, text: &str) -> bool {
    static MADE: LazyLock<Mutex<HashMap<String, Regex>>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().expect("no test panics here");
    let regex = made
        .entry(pattern.to_owned())
        .or_insert_with(|| Regex::new(pattern).expect("a pattern"));
    regex.is_match(text)
}

fn list(value: &Value) -> Vec<&Value> {
    value
        .as_array()
        .map(|list| list.iter().collect())
        .unwrap_or_default()
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn with_article(name: &str) -> String {
    let article = if name.starts_with(['a', 'i', 'o']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {name}")
}

/// The one form that all clients read (facts/management-api.md 1.3).
fn is_utc_date(text: &str) -> bool {
    text.ends_with('Z') && picket::Timestamp::parse_rfc3339(text).is_some()
}

#[test]
fn the_checker_finds_what_is_wrong() {
    use serde_json::json;

    let schema = json!({
        "type": "object",
        "required": ["id", "when"],
        "properties": {
            "id": {"type": "string"},
            "when": {"type": "string", "format": "date-time"},
            "limit": {"type": "object", "required": ["count"], "properties": {"count": {"type": "integer"}}, "nullable": true},
            "words": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}},
            "map": {"type": "object", "additionalProperties": {"anyOf": [{"type": "string"}, {"type": "boolean"}]}},
            "other": {"$ref": "#/components/schemas/Other"},
            "maybe": {"allOf": [{"$ref": "#/components/schemas/Other"}], "nullable": true},
            "hex": {"type": "string", "pattern": "^[0-9a-f]+$", "maxLength": 3},
        },
    });
    let document = json!({"components": {"schemas": {"Other": {"type": "number"}}}});
    let findings = |value: Value| compare(&document, &schema, &value);
    let good = json!({
        "id": "1", "when": "2026-01-02T00:00:00Z", "limit": null, "words": ["a"], "map": {"x": true, "y": "z"},
        "other": 1.5, "maybe": null, "hex": "0af",
    });
    assert_eq!(findings(good.clone()), []);
    for (field, value, place, text) in [
        ("id", json!(1), "$.id", "is an integer, not a string"),
        ("id", Value::Null, "$.id", "is null"),
        (
            "when",
            json!("2026-01-02T00:00:00+00:00"),
            "$.when",
            "is no date in UTC",
        ),
        ("limit", json!({}), "$.limit.count", "is missing"),
        (
            "limit",
            json!({"count": 1.5}),
            "$.limit.count",
            "is a number, not an integer",
        ),
        (
            "words",
            json!(["a", "c"]),
            "$.words[]",
            "is not among the words",
        ),
        ("map", json!({"x": 1}), "$.map.*", "fits no alternative"),
        ("other", json!("x"), "$.other", "is a string, not a number"),
        ("maybe", json!("x"), "$.maybe", "is a string, not a number"),
        ("hex", json!("0x"), "$.hex", "does not match the pattern"),
        ("hex", json!("0000"), "$.hex", "is too much"),
        ("more", json!(1), "$.more", "is not in the schema"),
    ] {
        let mut value_with = good.clone();
        value_with[field] = value;
        assert_eq!(
            findings(value_with),
            [(place.to_owned(), text.to_owned())],
            "{field}"
        );
    }
}
