//! The notation in which the fragments describe JSON, and the JSON Schema (in OpenAPI 3.0's dialect) that it stands
//! for. It is short so that a shape can be compared with the struct that is written, field by field:
//!
//! | shape | means |
//! |---|---|
//! | `"string"`, `"integer"`, `"number"`, `"boolean"` | just that |
//! | `"string(1..64)"`, `"integer(0..)"` | with a least and a greatest length or value, either may be left out |
//! | `"date"`, `"id"`, `"binary"`, `"any"` | a moment in UTC, a number in a string, bytes, whatever |
//! | `"'a'\|'b'"` | one of these words |
//! | `"Team\|null"` | the shape of this name, or null |
//! | `["Team"]` | a list of such |
//! | `{"id": "id", "stats?": "Points"}` | an object with these fields and no others; those with `?` may be absent |
//! | `{"...": "Team", "more": "string"}` | all fields of the shape `Team` (or of a list of shapes), and these |
//! | `{"*": "string"}` | an object whose other fields, whatever their names, hold this |
//! | `{"$anyOf": [..]}` | one of these shapes |
//! | `{"$": {..}}` | a schema as it is |

use serde_json::{Map, Value, json};

/// All shapes that have a name.
pub(super) struct Shapes(Map<String, Value>);

impl Shapes {
    pub(super) fn new(named: Map<String, Value>) -> Shapes {
        Shapes(named)
    }

    pub(super) fn named(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter()
    }

    /// The schema of a shape.
    pub(super) fn schema(&self, shape: &Value) -> Value {
        match shape {
            Value::String(words) => words_schema(words),
            Value::Array(items) => {
                json!({"type": "array", "items": items.first().map(|item| self.schema(item))})
            }
            Value::Object(fields) => match (fields.get("$"), fields.get("$anyOf")) {
                (Some(schema), _) => schema.clone(),
                (None, Some(Value::Array(shapes))) => self.any_of(shapes),
                (None, _) => self.object(fields),
            },
            other => other.clone(),
        }
    }

    fn any_of(&self, shapes: &[Value]) -> Value {
        let nullable = shapes.iter().any(|shape| shape == "null");
        let mut schemas: Vec<Value> = shapes
            .iter()
            .filter(|shape| *shape != "null")
            .map(|shape| self.schema(shape))
            .collect();
        let mut schema = match schemas.len() {
            1 => schemas.remove(0),
            _ => json!({ "anyOf": schemas }),
        };
        if nullable {
            schema["nullable"] = json!(true);
        }
        schema
    }

    fn object(&self, fields: &Map<String, Value>) -> Value {
        let (fields, others) = self.fields(fields);
        let required: Vec<&str> = fields
            .iter()
            .filter(|(_, field)| field.required)
            .map(|(name, _)| name.as_str())
            .collect();
        let properties: Map<String, Value> = fields
            .iter()
            .map(|(name, field)| (name.clone(), self.schema(field.shape)))
            .collect();
        let others = others.map_or(json!(false), |shape| self.schema(shape));
        let mut schema = json!({"type": "object"});
        // An empty list of these is no valid schema.
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        schema["properties"] = Value::Object(properties);
        schema["additionalProperties"] = others;
        schema
    }

    /// The fields of an object with those that it takes from others, and the shape of what else it may hold. A later
    /// field of the same name replaces an earlier one.
    fn fields<'a>(
        &'a self,
        fields: &'a Map<String, Value>,
    ) -> (Vec<(String, Field<'a>)>, Option<&'a Value>) {
        let mut found: Vec<(String, Field<'a>)> = Vec::new();
        let mut others = None;
        for (name, shape) in fields {
            match name.as_str() {
                "..." => {
                    let names = match shape {
                        Value::Array(names) => names.as_slice(),
                        name => std::slice::from_ref(name),
                    };
                    for name in names {
                        if let Some(Value::Object(inner)) = self.find(name) {
                            found.extend(self.fields(inner).0);
                        }
                    }
                }
                "*" => others = Some(shape),
                _ => {
                    let required = !name.ends_with('?');
                    let name = name.trim_end_matches('?');
                    found.retain(|(known, _)| known != name);
                    found.push((name.to_owned(), Field { shape, required }));
                }
            }
        }
        (found, others)
    }

    fn find(&self, name: &Value) -> Option<&Value> {
        self.0.get(name.as_str()?)
    }

    /// The schema of what is said about a body of this shape that breaks rules (facts/management-api.md 1.7): a list
    /// of texts for each field, nested as the fields are, and list items by their index.
    pub(super) fn errors(&self, shape: &Value) -> Value {
        match shape {
            Value::String(words) => words
                .split('|')
                .find_map(|name| self.0.get(name))
                .map_or_else(texts, |named| self.errors(named)),
            Value::Array(items) => {
                let item = items.first().map_or_else(texts, |item| self.errors(item));
                json!({"anyOf": [texts(), {"type": "object", "minProperties": 1, "additionalProperties": item}]})
            }
            Value::Object(fields) => match fields.get("$anyOf") {
                Some(Value::Array(shapes)) => shapes
                    .first()
                    .map_or_else(texts, |shape| self.errors(shape)),
                _ if fields.contains_key("$") => texts(),
                _ => json!({"anyOf": [texts(), self.object_errors(fields)]}),
            },
            _ => texts(),
        }
    }

    /// The same for a whole body.
    pub(super) fn body_errors(&self, name: &str) -> Value {
        match self.0.get(name) {
            Some(Value::Object(fields)) => self.object_errors(fields),
            _ => texts(),
        }
    }

    fn object_errors(&self, fields: &Map<String, Value>) -> Value {
        let (fields, others) = self.fields(fields);
        let mut properties: Map<String, Value> = fields
            .into_iter()
            .map(|(name, field)| (name, self.errors(field.shape)))
            .collect();
        properties.insert("non_field_errors".to_owned(), texts());
        let others = others.map_or(json!(false), |shape| self.errors(shape));
        json!({
            "type": "object",
            "minProperties": 1,
            "properties": properties,
            "additionalProperties": others,
        })
    }
}

struct Field<'a> {
    shape: &'a Value,
    required: bool,
}

fn texts() -> Value {
    json!({"type": "array", "minItems": 1, "items": {"type": "string"}})
}

/// The schema of a shape in words: literals, names, null, in any mixture.
fn words_schema(words: &str) -> Value {
    let (mut literals, mut schemas, mut nullable) = (Vec::new(), Vec::new(), false);
    for word in words.split('|') {
        match word.strip_prefix('\'').and_then(|w| w.strip_suffix('\'')) {
            Some(literal) => literals.push(json!(literal)),
            None if word == "null" => nullable = true,
            None => schemas.push(word_schema(word)),
        }
    }
    if !literals.is_empty() {
        if nullable {
            literals.push(Value::Null);
        }
        schemas.push(json!({"type": "string", "enum": literals}));
    }
    let mut schema = match schemas.len() {
        1 => schemas.remove(0),
        _ => json!({ "anyOf": schemas }),
    };
    if nullable {
        // Nothing may stand beside a reference.
        if schema.get("$ref").is_some() {
            schema = json!({ "allOf": [schema] });
        }
        schema["nullable"] = json!(true);
    }
    schema
}

fn word_schema(word: &str) -> Value {
    let (name, limits) = match word.strip_suffix(')').and_then(|w| w.split_once('(')) {
        Some((name, limits)) => (name, limits.split_once("..")),
        None => (word, None),
    };
    let mut schema = match name {
        "string" | "integer" | "number" | "boolean" => json!({ "type": name }),
        "date" => json!({"type": "string", "format": "date-time"}),
        "id" => json!({"type": "string", "pattern": "^[0-9]+$"}),
        "binary" => json!({"type": "string", "format": "binary"}),
        "any" => json!({}),
        name => return json!({"$ref": format!("#/components/schemas/{name}")}),
    };
    let (least, greatest) = match name {
        "string" => ("minLength", "maxLength"),
        _ => ("minimum", "maximum"),
    };
    if let Some((from, to)) = limits {
        for (keyword, number) in [(least, from), (greatest, to)] {
            if let Ok(number) = number.parse::<i64>() {
                schema[keyword] = json!(number);
            }
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes() -> Shapes {
        let Value::Object(named) = json!({
            "Pet": {"id": "id", "name?": "string(1..9)"},
            "Dog": {"...": "Pet", "name": "string", "*": "boolean"},
            "Kind": "'cat'|'dog'",
        }) else {
            unreachable!("an object was written");
        };
        Shapes::new(named)
    }

    #[test]
    fn words_stand_for_schemas() {
        for (words, schema) in [
            (
                "string(..64)|null",
                json!({"type": "string", "maxLength": 64, "nullable": true}),
            ),
            (
                "integer(-1..100)",
                json!({"type": "integer", "minimum": -1, "maximum": 100}),
            ),
            (
                "'a'|''|null",
                json!({"type": "string", "enum": ["a", "", null], "nullable": true}),
            ),
            (
                "Pet|null",
                json!({"allOf": [{"$ref": "#/components/schemas/Pet"}], "nullable": true}),
            ),
            (
                "Pet|boolean",
                json!({"anyOf": [{"$ref": "#/components/schemas/Pet"}, {"type": "boolean"}]}),
            ),
            ("any", json!({})),
        ] {
            assert_eq!(shapes().schema(&json!(words)), schema, "{words}");
        }
    }

    #[test]
    fn an_object_has_its_fields_and_those_it_takes_over_and_no_others() {
        let id = json!({"type": "string", "pattern": "^[0-9]+$"});
        assert_eq!(
            shapes().schema(&json!({"...": "Pet"})),
            json!({
                "type": "object",
                "required": ["id"],
                "properties": {"id": id, "name": {"type": "string", "minLength": 1, "maxLength": 9}},
                "additionalProperties": false,
            })
        );
        let dog = shapes().0["Dog"].clone();
        assert_eq!(
            shapes().schema(&dog),
            json!({
                "type": "object",
                "required": ["id", "name"],
                "properties": {"id": id, "name": {"type": "string"}},
                "additionalProperties": {"type": "boolean"},
            })
        );
    }

    #[test]
    fn errors_are_nested_as_the_fields_are() {
        let errors = shapes().errors(&json!(["Pet|null"]));
        let of_item = &errors["anyOf"][1]["additionalProperties"];
        let of_pet = &of_item["anyOf"][1]["properties"];
        assert_eq!(of_pet["name"], texts());
        assert_eq!(of_pet["non_field_errors"], texts());
        assert_eq!(shapes().errors(&json!("Kind")), texts());
    }
}
