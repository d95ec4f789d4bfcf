//! The OpenAPI document of what Picket serves, at `GET /api/0/openapi.json`.
//!
//! It is made from the route table, so that it cannot name what is not served: a line gives method, path and scopes.
//! The files beside this one add to each line what only a person knows, in the notation of [`shape`]: summary, query,
//! body, and the answers that are the endpoint's own. What every endpoint answers (who is asking, what may they, is it
//! there) is added here, once. Tests hold every answer against the document, and every documented answer against the
//! tests: see `tests/support/contract.rs` and `tests/served.rs`.
//!
//! A file has `operations` by method and path, each with
//! `id`, `summary`, `query` (name to `[shape, meaning]`, with `?` for what may be absent; a list is a parameter that
//! may be repeated), `paged` (rows of a page unless asked otherwise), `body` (the name of a shape), `example`, and `answers` (status to shape; null for
//! no body, `"empty"` for one that may be missing, `{"$content": {type: shape}}` for other types than JSON); and
//! `schemas`, the shapes with a name.

mod shape;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::error::Result;
use super::{Api, Call, Permission, Target, routes};
use crate::http::router::Route;
use crate::http::{Method, Response};
use shape::Shapes;

const FRAGMENTS: &[&str] = &[
    include_str!("common.json"),
    include_str!("auth_provider.json"),
    include_str!("identity.json"),
    include_str!("tokens.json"),
    include_str!("organizations.json"),
    include_str!("projects.json"),
    include_str!("teams.json"),
    include_str!("members.json"),
    include_str!("keys.json"),
    include_str!("stats.json"),
    include_str!("events.json"),
    include_str!("admin.json"),
];

const DESCRIPTION: &str = "The management API of Picket, which is that of Sentry. Bodies are JSON objects; \
    `application/x-www-form-urlencoded` and `multipart/form-data` are taken as well. Unknown fields are ignored. \
    `x-required-scopes` names the scopes of which a token needs one. Every answer that is not listed with an operation \
    and can be given to any request is in `components/responses` with its `x-status`. \
    `HEAD` is answered as `GET` without the body, and `OPTIONS` by 200 without one.";

/// A `{name}` segment of a path.
const SEGMENTS: &[(&str, &str)] = &[
    ("org", "The organization's slug or number."),
    ("project", "The project's slug or number."),
    ("team", "The team's slug or number."),
    ("member", "The member's number, or `me`."),
    ("key", "The public half of the key."),
    ("filter", "The filter's id."),
    ("environment", "The environment's name."),
    ("event", "The event's id: 32 hex digits."),
    ("attachment", "The attachment's number."),
    ("item", "The item's number."),
    ("token", "The token's number."),
    ("api_key", "The API key's number."),
    ("user", "`me`, or the number of the user who is signed in."),
    ("method", "The word of a method: `totp`."),
    ("authenticator", "The method's `authId`."),
];

/// The answers that are the same for all endpoints: name in the document, status, meaning, shape of the body.
const SHARED: &[(&str, u16, &str, &str)] = &[
    (
        "Moved",
        302,
        "The project was renamed; `Location` says where it is.",
        "MovedProject",
    ),
    (
        "BadRequest",
        400,
        "Something about the request is wrong.",
        "Detail|InvalidOrigin",
    ),
    (
        "Unauthorized",
        401,
        "There are no credentials, or wrong ones; an object in `detail` says what else is asked of a session.",
        "Detail|CodedDetail",
    ),
    (
        "Forbidden",
        403,
        "The token or its owner's role does not allow it, or it is not the caller's.",
        "Detail",
    ),
    ("NotFound", 404, "There is no such thing.", "Detail"),
    (
        "NotAcceptable",
        406,
        "The client does not take JSON.",
        "Detail",
    ),
    ("BodyTooLarge", 413, "The body is too large.", "Detail"),
    (
        "UnsupportedMediaType",
        415,
        "The body is of a type that is not read.",
        "Detail",
    ),
    (
        "TooManyRequests",
        429,
        "The caller asks too often; `Retry-After` says when to ask again.",
        "Detail",
    ),
    (
        "Unavailable",
        503,
        "The server cannot take the request now; `Retry-After` says when.",
        "Detail",
    ),
    (
        "MethodNotAllowed",
        405,
        "The path has no such method.",
        "Detail",
    ),
    (
        "Timeout",
        408,
        "The request did not arrive in time.",
        "Detail",
    ),
    (
        "ExpectationFailed",
        417,
        "The request expects what this server does not do.",
        "Detail",
    ),
    (
        "HeadTooLarge",
        431,
        "The request's head is too large.",
        "Detail",
    ),
    (
        "InternalError",
        500,
        "A fault of the server; `errorId` stands in its log.",
        "InternalError",
    ),
    (
        "NotImplemented",
        501,
        "The request uses what this server does not do.",
        "Detail",
    ),
    (
        "BrokenLane",
        502,
        "The request could not be handed on.",
        "Detail",
    ),
    (
        "VersionNotSupported",
        505,
        "The request is of another version of HTTP.",
        "Detail",
    ),
];

static DOCUMENT: LazyLock<Vec<u8>> = LazyLock::new(|| document(&routes()).to_string().into_bytes());

/// `GET /api/0/openapi.json`: to everybody.
pub(super) fn get(_: &Api, _: Call<'_>) -> Result<Response> {
    Ok(Response::json_bytes(200, DOCUMENT.as_slice()))
}

/// What the files say of all operations, those without a line included.
struct Fragments {
    /// By method and path, with the name of its file's resource.
    operations: Map<String, Value>,
    shapes: Shapes,
}

impl Fragments {
    /// # Panics
    /// If a file is no JSON: a mistake in the program that its tests show.
    fn read() -> Fragments {
        let (mut operations, mut named) = (Map::new(), Map::new());
        for text in FRAGMENTS {
            let mut fragment: Value = serde_json::from_str(text).expect("a fragment is JSON");
            if let Value::Object(some) = fragment["operations"].take() {
                operations.extend(some);
            }
            if let Value::Object(some) = fragment["schemas"].take() {
                named.extend(some);
            }
        }
        Fragments {
            operations,
            shapes: Shapes::new(named),
        }
    }
}

/// The document of a route table. A line that no file describes has no operation; the tests find it.
fn document(lines: &[Route<Target>]) -> Value {
    let fragments = Fragments::read();
    // A project leaves its old slug behind only where it can be given another.
    let with_moved = lines
        .iter()
        .any(|line| line.method == "PUT" && line.path == "/api/0/projects/{org}/{project}/");
    let mut paths = Map::new();
    for line in lines {
        let name = format!("{} {}", line.method, line.path);
        if let Some(described) = fragments.operations.get(&name) {
            let operation = Operation {
                line,
                described,
                shapes: &fragments.shapes,
                with_moved,
            };
            let path = paths
                .entry(line.path)
                .or_insert_with(|| json!({"parameters": path_parameters(line.path)}));
            path[line.method.to_ascii_lowercase()] = operation.write();
        }
    }
    let responses: Map<String, Value> = SHARED
        .iter()
        .map(|(name, status, meaning, shape)| {
            let mut response = json!({"description": meaning, "x-status": status});
            response["content"] = json_content(fragments.shapes.schema(&json!(shape)));
            ((*name).to_owned(), response)
        })
        .collect();
    let mut document = json!({
        "openapi": "3.0.3",
        "info": {"title": "Picket", "version": env!("CARGO_PKG_VERSION"), "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "responses": responses,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "sentrysid"},
                "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRFToken"},
            },
        },
    });
    document["components"]["schemas"] = used_schemas(&document, &fragments.shapes);
    document
}

/// The named schemas that the document refers to, and those that they refer to.
fn used_schemas(document: &Value, shapes: &Shapes) -> Value {
    let all: Map<String, Value> = shapes
        .named()
        .map(|(name, shape)| (name.clone(), shapes.schema(shape)))
        .collect();
    let mut used = BTreeSet::new();
    let mut pending = references(document);
    while let Some(name) = pending.pop() {
        if let Some(schema) = all.get(&name)
            && used.insert(name)
        {
            pending.extend(references(schema));
        }
    }
    all.into_iter()
        .filter(|(name, _)| used.contains(name))
        .collect()
}

/// The names of the schemas that a value refers to, at whatever depth.
fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Object(fields) => {
            let own = fields
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|target| target.strip_prefix("#/components/schemas/"))
                .map(str::to_owned);
            own.into_iter()
                .chain(fields.values().flat_map(references))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn path_parameters(path: &str) -> Vec<Value> {
    SEGMENTS
        .iter()
        .filter(|(name, _)| path.contains(&format!("{{{name}}}")))
        .map(|(name, meaning)| {
            json!({
                "name": name, "in": "path", "required": true, "description": meaning,
                "schema": {"type": "string", "minLength": 1},
            })
        })
        .collect()
}

fn json_content(schema: Value) -> Value {
    json!({"application/json": {"schema": schema}})
}

fn reference(response: &str) -> Value {
    json!({"$ref": format!("#/components/responses/{response}")})
}

/// A line with what a file says of it.
struct Operation<'a> {
    line: &'a Route<Target>,
    described: &'a Value,
    shapes: &'a Shapes,
    /// Whether projects may have moved.
    with_moved: bool,
}

impl Operation<'_> {
    fn write(&self) -> Value {
        let described = self.described;
        let mut operation = json!({
            "operationId": described["id"],
            "summary": described["summary"],
            "security": match self.line.target.permission {
                Permission::Open => json!([{}, {"token": []}, {"session": [], "csrf": []}]),
                Permission::Browser => json!([{"session": [], "csrf": []}]),
                Permission::LoggedIn | Permission::Scopes { .. } => {
                    json!([{"token": []}, {"session": [], "csrf": []}])
                }
            },
            "parameters": self.query_parameters(),
        });
        if let Permission::Scopes { .. } = self.line.target.permission {
            operation["x-required-scopes"] = json!(self.scopes());
        }
        if let Some(body) = described["body"].as_str() {
            operation["requestBody"] = json!({
                "content": {"application/json": {
                    "schema": self.shapes.schema(&json!(body)),
                    "example": described["example"],
                }},
            });
        }
        operation["responses"] = Value::Object(self.responses());
        operation
    }

    fn scopes(&self) -> Vec<&'static str> {
        let method = Method::parse(self.line.method);
        let wanted = self.line.target.permission.wanted(&method);
        wanted.iter().map(|scope| scope.as_str()).collect()
    }

    fn query_parameters(&self) -> Vec<Value> {
        let mut parameters: Vec<Value> = self.described["query"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, about)| {
                json!({
                    "name": name.trim_end_matches('?'), "in": "query", "required": !name.ends_with('?'),
                    "description": about[1], "schema": self.shapes.schema(&about[0]),
                })
            })
            .collect();
        if let Some(rows) = self.described["paged"].as_u64() {
            parameters.push(json!({
                "name": "cursor", "in": "query", "description": "Where the page begins, from `Link`.",
                "schema": {"type": "string"},
            }));
            parameters.push(json!({
                "name": "per_page", "in": "query", "description": "The most rows of the page.",
                "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": rows},
            }));
        }
        parameters
    }

    /// The answers of all endpoints and the endpoint's own, by status.
    fn responses(&self) -> Map<String, Value> {
        let mut responses = Map::new();
        let own = self.described["answers"].as_object();
        for (status, shape) in own.into_iter().flatten() {
            if status.starts_with('2') {
                responses.insert(status.clone(), self.success(shape));
            }
        }
        let has_body = self.described["body"].is_string();
        let is_in = |segment: &str| self.line.path.contains(segment);
        let permission = self.line.target.permission;
        let asks_for_scopes = matches!(permission, Permission::Scopes { .. });
        // Who is not signed in there has no credentials that could be wrong.
        let is_for_browsers = permission == Permission::Browser;
        for (name, status, meaning, shape) in SHARED {
            let applies = match status {
                302 => self.with_moved && is_in("{project}"),
                401 => !is_for_browsers,
                403 => asks_for_scopes || is_for_browsers,
                404 => is_in("{"),
                413 | 415 => has_body,
                400 | 406 | 429 | 503 => true,
                _ => false,
            };
            let status = status.to_string();
            let also = own.and_then(|answers| answers.get(&status));
            let with_fields = status == "400" && has_body;
            let response = match (applies, also) {
                (true, None) if !with_fields => reference(name),
                (false, None) => continue,
                (applies, also) => {
                    let generic = applies.then(|| json!(shape));
                    self.refusal(meaning, generic, with_fields, also)
                }
            };
            responses.insert(status, response);
        }
        for (status, shape) in own.into_iter().flatten() {
            if !responses.contains_key(status) {
                let response =
                    self.refusal("It clashes with what exists.", None, false, Some(shape));
                responses.insert(status.clone(), response);
            }
        }
        responses
    }

    fn success(&self, shape: &Value) -> Value {
        let mut response = json!({"description": "Done."});
        match shape {
            Value::Null => {}
            Value::Object(fields) if fields.contains_key("$content") => {
                for (media_type, shape) in fields["$content"].as_object().into_iter().flatten() {
                    response["content"][media_type]["schema"] = self.shapes.schema(shape);
                }
            }
            shape if shape == "empty" => {}
            shape => response["content"] = json_content(self.shapes.schema(shape)),
        }
        if self.described["paged"].is_u64() {
            response["headers"] = json!({"Link": {
                "description": "The pages before and after this one.",
                "schema": {"type": "string"},
            }});
        }
        response
    }

    /// A refusal whose body has one of several shapes: the one of all endpoints, errors by field, the endpoint's own,
    /// which may be of another type than JSON.
    fn refusal(
        &self,
        meaning: &str,
        generic: Option<Value>,
        with_fields: bool,
        own: Option<&Value>,
    ) -> Value {
        let may_be_empty = own.is_some_and(|shape| shape == "empty");
        let others = own.and_then(|shape| shape["$content"].as_object());
        let own = own.filter(|shape| *shape != "empty" && others.is_none());
        let mut schemas: Vec<Value> = generic
            .iter()
            .chain(own)
            .map(|shape| self.shapes.schema(shape))
            .collect();
        if let (true, Some(body)) = (with_fields, self.described["body"].as_str()) {
            schemas.push(self.shapes.body_errors(body));
        }
        let schema = match schemas.len() {
            1 => schemas.remove(0),
            _ => json!({ "anyOf": schemas }),
        };
        let mut response = json!({"description": meaning, "content": json_content(schema)});
        for (media_type, shape) in others.into_iter().flatten() {
            response["content"][media_type]["schema"] = self.shapes.schema(shape);
        }
        if may_be_empty {
            response["x-may-be-empty"] = json!(true);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Value {
        document(&routes())
    }

    fn operations(document: &Value) -> Vec<(String, String, Value)> {
        let paths = document["paths"].as_object().expect("paths");
        paths
            .iter()
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().expect("an object");
                methods
                    .iter()
                    .filter(|(method, _)| *method != "parameters")
                    .map(|(method, operation)| {
                        (method.to_ascii_uppercase(), path.clone(), operation.clone())
                    })
            })
            .collect()
    }

    #[test]
    fn every_line_has_an_operation_and_every_operation_a_line() {
        let described: BTreeSet<String> = Fragments::read().operations.keys().cloned().collect();
        let lines: BTreeSet<String> = routes()
            .iter()
            .map(|line| format!("{} {}", line.method, line.path))
            .collect();
        let undescribed: Vec<_> = lines.difference(&described).collect();
        assert!(undescribed.is_empty(), "not described: {undescribed:#?}");
        let unserved: Vec<_> = described.difference(&lines).collect();
        assert!(
            unserved.is_empty(),
            "described, but not served: {unserved:#?}"
        );
        let written: BTreeSet<String> = operations(&written())
            .into_iter()
            .map(|(method, path, _)| format!("{method} {path}"))
            .collect();
        assert_eq!(written, lines);
    }

    #[test]
    fn operations_name_the_segments_and_the_scopes_of_their_line() {
        let document = written();
        for (method, path, operation) in operations(&document) {
            let named: Vec<String> = path
                .split('/')
                .filter(|segment| segment.starts_with('{'))
                .map(|segment| segment.trim_matches(['{', '}']).to_owned())
                .collect();
            let parameters = document["paths"][&path]["parameters"].as_array();
            let parameters: BTreeSet<&str> = parameters
                .into_iter()
                .flatten()
                .filter_map(|parameter| parameter["name"].as_str())
                .collect();
            assert_eq!(
                parameters,
                named.iter().map(String::as_str).collect(),
                "{path}"
            );

            let all = routes();
            let line = all
                .iter()
                .find(|line| line.method == method && line.path == path)
                .expect("a line");
            let is_optional = operation["security"][0] == json!({});
            match line.target.permission {
                Permission::Open => assert!(is_optional, "{method} {path}"),
                Permission::LoggedIn | Permission::Browser => {
                    assert!(!is_optional && operation["x-required-scopes"].is_null());
                }
                Permission::Scopes { .. } => {
                    let wanted = line.target.permission.wanted(&Method::parse(&method));
                    let wanted: Vec<_> = wanted.iter().map(|scope| scope.as_str()).collect();
                    assert!(!is_optional, "{method} {path}");
                    assert_eq!(
                        operation["x-required-scopes"],
                        json!(wanted),
                        "{method} {path}"
                    );
                }
            }
        }
    }

    #[test]
    fn ids_are_unique_and_all_is_said_that_must_be() {
        let mut ids = BTreeSet::new();
        for (method, path, operation) in operations(&written()) {
            let id = operation["operationId"].as_str().expect("an id").to_owned();
            assert!(ids.insert(id), "{method} {path}");
            assert!(
                operation["summary"]
                    .as_str()
                    .is_some_and(|text| text.ends_with('.'))
            );
            let responses = operation["responses"].as_object().expect("answers");
            assert!(
                responses.keys().any(|status| status.starts_with('2')),
                "{method} {path}"
            );
            assert!(!responses.contains_key("default"), "{method} {path}");
            let body = &operation["requestBody"]["content"]["application/json"];
            assert!(
                body.is_null() || body["example"].is_object(),
                "{method} {path}"
            );
        }
    }

    #[test]
    fn every_reference_has_a_target_and_every_object_is_closed() {
        let document = written();
        for name in references(&document) {
            let schema = &document["components"]["schemas"][&name];
            assert!(schema.is_object(), "there is no schema {name}");
        }
        let used: BTreeSet<String> = references(&document).into_iter().collect();
        let schemas = document["components"]["schemas"]
            .as_object()
            .expect("schemas");
        assert_eq!(used, schemas.keys().cloned().collect());
        let mut open = Vec::new();
        find_open("", &document["components"]["schemas"], &mut open);
        find_open("", &document["paths"], &mut open);
        assert_eq!(open, Vec::<String>::new());
    }

    /// Also what is described before it is served, which the document leaves out.
    #[test]
    fn every_shape_that_a_file_names_is_there() {
        let fragments = Fragments::read();
        let named: BTreeSet<&String> = fragments.shapes.named().map(|(name, _)| name).collect();
        let mut shapes: Vec<&Value> = fragments.shapes.named().map(|(_, shape)| shape).collect();
        for operation in fragments.operations.values() {
            let fields = |name: &str| operation[name].as_object().into_iter().flatten();
            shapes.extend(fields("query").map(|(_, about)| &about[0]));
            shapes.push(&operation["body"]);
            for (_, shape) in fields("answers").filter(|(_, shape)| *shape != "empty") {
                match shape["$content"].as_object() {
                    Some(content) => shapes.extend(content.values()),
                    None => shapes.push(shape),
                }
            }
        }
        for shape in shapes {
            for name in references(&fragments.shapes.schema(shape)) {
                assert!(named.contains(&name), "there is no shape {name}");
            }
            for name in shape.get("...").into_iter().filter_map(Value::as_str) {
                assert!(named.contains(&name.to_owned()), "there is no shape {name}");
            }
        }
    }

    /// Objects that do not say what else they may hold.
    fn find_open(place: &str, value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| find_open(place, item, found)),
            Value::Object(fields) => {
                if fields.get("type") == Some(&json!("object"))
                    && !fields.contains_key("additionalProperties")
                {
                    found.push(place.to_owned());
                }
                for (name, inner) in fields {
                    find_open(&format!("{place}/{name}"), inner, found);
                }
            }
            _ => {}
        }
    }
}
