//! OpenTelemetry's attributes as Sentry's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use serde_json::Number;

use crate::ingest::endpoints::attribute;
use crate::ingest::json::Node;

/// Attributes without those that have no value.
pub(super) fn attributes(
    attributes: Vec<KeyValue>,
) -> impl Iterator<Item = (String, Node<'static>)> {
    attributes
        .into_iter()
        .filter_map(|KeyValue { key, value, .. }| Some((key, attribute(&node(value?))?)))
}

/// A value as the protocol's JSON spells its content. Messages are nested a hundred deep at most.
pub(super) fn node(value: AnyValue) -> Node<'static> {
    match value.value {
        Some(Value::StringValue(text)) => Node::text(text),
        Some(Value::BoolValue(value)) => Node::Bool(value),
        Some(Value::IntValue(number)) => Node::Number(number.into()),
        // JSON has no word for infinity.
        Some(Value::DoubleValue(number)) => {
            Number::from_f64(number).map_or_else(|| Node::text(number.to_string()), Node::Number)
        }
        Some(Value::ArrayValue(list)) => Node::List(list.values.into_iter().map(node).collect()),
        Some(Value::KvlistValue(list)) => {
            let entry = |entry: KeyValue| {
                let value = entry.value.map_or(Node::Null, node);
                (entry.key.into(), value)
            };
            Node::Map(list.values.into_iter().map(entry).collect())
        }
        Some(Value::BytesValue(bytes)) => Node::text(STANDARD.encode(bytes)),
        // An index into a table that only profiles have.
        Some(Value::StringValueStrindex(_)) | None => Node::Null,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::KeyValueList;

    use super::*;

    #[test]
    fn every_kind_of_value_has_a_spelling() {
        let any = |value| AnyValue { value: Some(value) };
        let list = KeyValueList {
            values: vec![KeyValue {
                key: "a".to_owned(),
                value: Some(any(Value::IntValue(-1))),
                ..KeyValue::default()
            }],
        };
        for (value, json) in [
            (Value::StringValue("x".to_owned()), r#""x""#),
            (Value::DoubleValue(f64::NAN), r#""NaN""#),
            (Value::DoubleValue(1.0), "1.0"),
            (Value::BytesValue(vec![0, 255]), r#""AP8=""#),
            (Value::KvlistValue(list), r#"{"a":-1}"#),
            (Value::StringValueStrindex(1), "null"),
        ] {
            assert_eq!(node(any(value)).to_json(), json);
        }
    }
}
