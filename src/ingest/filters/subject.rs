//! What the filters look at in a normalised event. Nothing is copied. The shapes that SDKs send are read too.

use crate::ingest::json::{Map, Node};

#[derive(Clone, Copy)]
pub(super) struct Subject<'e>(&'e Map<'e>);

impl<'e> Subject<'e> {
    pub(super) fn new(event: &'e Map<'e>) -> Subject<'e> {
        Subject(event)
    }

    pub(super) fn release(self) -> Option<&'e str> {
        self.0.str("release")
    }

    pub(super) fn transaction(self) -> Option<&'e str> {
        self.0.str("transaction")
    }

    /// The message as it was formatted, else as it was written.
    pub(super) fn message(self) -> Option<&'e str> {
        let entry = self.0.map("logentry")?;
        entry.str("formatted").or_else(|| entry.str("message"))
    }

    pub(super) fn exceptions(self) -> impl Iterator<Item = Exception<'e>> {
        let node = self.0.get("exception");
        let list = match node {
            Some(Node::Map(map)) => map.list("values"),
            Some(Node::List(list)) => Some(list.as_slice()),
            _ => None,
        };
        let alone = node
            .filter(|_| list.is_none())
            .map(std::slice::from_ref)
            .unwrap_or_default();
        list.unwrap_or(alone)
            .iter()
            .filter_map(Node::as_map)
            .map(Exception)
    }

    pub(super) fn csp(self) -> Option<&'e Map<'e>> {
        self.0.map("csp")
    }

    pub(super) fn user_address(self) -> Option<&'e str> {
        self.0.map("user")?.str("ip_address")
    }

    /// The page's URL.
    pub(super) fn url(self) -> Option<&'e str> {
        self.0.map("request")?.str("url")
    }

    pub(super) fn user_agent(self) -> Option<&'e str> {
        self.header("User-Agent")
    }

    /// A header of the page's request; not of the request that brought the event.
    pub(super) fn header(self, name: &str) -> Option<&'e str> {
        match self.0.map("request")?.get("headers")? {
            Node::List(pairs) => pairs.iter().find_map(|pair| match pair.as_list()? {
                [key, value] if is_text(key, name) => value.as_str(),
                _ => None,
            }),
            Node::Map(map) => map
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .and_then(|(_, value)| value.as_str()),
            _ => None,
        }
    }
}

fn is_text(node: &Node<'_>, text: &str) -> bool {
    node.as_str()
        .is_some_and(|own| own.eq_ignore_ascii_case(text))
}

#[derive(Clone, Copy)]
pub(super) struct Exception<'e>(&'e Map<'e>);

impl<'e> Exception<'e> {
    pub(super) fn kind(self) -> Option<&'e str> {
        self.0.str("type").filter(|text| !text.is_empty())
    }

    pub(super) fn value(self) -> Option<&'e str> {
        self.0.str("value").filter(|text| !text.is_empty())
    }

    /// Where the exception was thrown: the path of the last frame that has a place in a file.
    pub(super) fn source(self) -> Option<&'e str> {
        self.0
            .map("stacktrace")?
            .list("frames")?
            .iter()
            .rev()
            .filter_map(|frame| frame.as_map()?.str("abs_path"))
            .find(|path| !matches!(*path, "<anonymous>" | "[native code]"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_exceptions_is_read() {
        for text in [
            r#"{"exception":{"values":[{"type":"A"}]}}"#,
            r#"{"exception":[{"type":"A"},null,5]}"#,
            r#"{"exception":{"type":"A"}}"#,
        ] {
            let event = Map::parse(text.as_bytes()).unwrap();
            let kinds: Vec<_> = Subject::new(&event)
                .exceptions()
                .map(|e| e.kind())
                .collect();
            assert_eq!(kinds, [Some("A")], "{text}");
        }
        for text in ["{}", r#"{"exception":null}"#, r#"{"exception":"A"}"#] {
            let event = Map::parse(text.as_bytes()).unwrap();
            assert_eq!(Subject::new(&event).exceptions().count(), 0, "{text}");
        }
    }

    #[test]
    fn headers_are_found_without_case_in_either_shape() {
        for text in [
            r#"{"request":{"headers":[["Accept"],["Host",1,2],["User-Agent","x"]]}}"#,
            r#"{"request":{"headers":{"user-agent":"x"}}}"#,
        ] {
            let event = Map::parse(text.as_bytes()).unwrap();
            assert_eq!(Subject::new(&event).user_agent(), Some("x"), "{text}");
            assert_eq!(Subject::new(&event).header("host"), None, "{text}");
        }
    }

    #[test]
    fn the_source_is_the_last_frame_with_a_place_in_a_file() {
        let event = Map::parse(
            br#"{"exception":[{"stacktrace":{"frames":[{"abs_path":"a.js"},{"abs_path":"b.js"},
                {"abs_path":"<anonymous>"},{"abs_path":"[native code]"},{},null]}}]}"#,
        )
        .unwrap();
        let source = Subject::new(&event).exceptions().next().unwrap().source();
        assert_eq!(source, Some("b.js"));
    }
}
