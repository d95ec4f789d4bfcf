//! Finds the line of a route table that a method and a path mean.
//!
//! Patterns are literal segments and `{name}` segments (one non-empty segment each, percent-decoded).
//! A pattern says itself whether it ends in `/`; what a missing slash means is the front's business.
//! A literal segment wins over a `{name}` at the same place, so the order of lines does not matter.

use percent_encoding::percent_decode_str;

use super::Method;

/// One line of a front's table. `T` is what the front keeps with it (permission, handler).
#[derive(Clone, Copy, Debug)]
pub struct Route<T> {
    pub method: &'static str,
    pub path: &'static str,
    pub target: T,
}

/// The values of a pattern's `{name}` segments, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(&'static str, String)>);

impl Params {
    /// The value of `{name}`, if the pattern has such a segment.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v.as_str())
    }

    /// The value of `{name}`.
    ///
    /// # Panics
    /// If the route's pattern has no such segment: a mistake in the table that the first request shows.
    pub fn get(&self, name: &str) -> &str {
        self.find(name)
            .unwrap_or_else(|| panic!("the route has no segment {{{name}}}"))
    }
}

/// What a look-up found.
#[derive(Debug)]
pub enum Found<'a, T> {
    Route(&'a Route<T>, Params),
    /// The path exists with these methods only, in the table's order (`HEAD` is served by `GET`).
    OtherMethods(Vec<&'static str>),
    Nothing,
}

/// A table of routes.
#[derive(Debug)]
pub struct Router<T: 'static> {
    routes: Vec<Route<T>>,
    /// The path of each route, in the same order. Every event goes past the whole table, so nothing is made anew for each
    /// line.
    patterns: Vec<Vec<Segment>>,
}

/// What a segment of a path must be.
#[derive(Clone, Copy, Debug)]
enum Segment {
    Literal(&'static str),
    Name(&'static str),
}

impl Segment {
    fn parse(text: &'static str) -> Segment {
        match text
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
        {
            Some(name) => Segment::Name(name),
            None => Segment::Literal(text),
        }
    }

    fn takes(self, actual: &str) -> bool {
        match self {
            Segment::Literal(text) => text == actual,
            Segment::Name(_) => {
                !actual.is_empty() && (!actual.contains('%') || decoded(actual).is_some())
            }
        }
    }
}

fn decoded(segment: &str) -> Option<String> {
    let text = percent_decode_str(segment).decode_utf8().ok()?;
    Some(text.into_owned())
}

impl<T> Router<T> {
    pub fn new(routes: Vec<Route<T>>) -> Router<T> {
        let pattern = |route: &Route<T>| route.path.split('/').map(Segment::parse).collect();
        let patterns = routes.iter().map(pattern).collect();
        Router { routes, patterns }
    }

    pub fn routes(&self) -> &[Route<T>] {
        &self.routes
    }

    pub fn find(&self, method: &Method, path: &str) -> Found<'_, T> {
        let wanted = match method {
            Method::Head => "GET",
            other => other.as_str(),
        };
        let path: Vec<&str> = path.split('/').collect();
        let best = self
            .matching(&path)
            .filter(|(route, _)| route.method == wanted)
            .min_by_key(|(_, pattern)| names(pattern));
        if let Some((route, pattern)) = best {
            return Found::Route(route, params(pattern, &path));
        }
        let methods: Vec<_> = self
            .matching(&path)
            .map(|(route, _)| route.method)
            .collect();
        if methods.is_empty() {
            Found::Nothing
        } else {
            Found::OtherMethods(methods)
        }
    }

    /// The methods that this path has, in the table's order.
    pub fn methods(&self, path: &str) -> Vec<&'static str> {
        let path: Vec<&str> = path.split('/').collect();
        self.matching(&path)
            .map(|(route, _)| route.method)
            .collect()
    }

    fn matching<'a, 'p>(
        &'a self,
        path: &'p [&'p str],
    ) -> impl Iterator<Item = (&'a Route<T>, &'a [Segment])> + use<'a, 'p, T> {
        let lines = self
            .routes
            .iter()
            .zip(self.patterns.iter().map(Vec::as_slice));
        lines.filter(move |(_, pattern)| {
            let mut segments = pattern.iter().zip(path);
            pattern.len() == path.len() && segments.all(|(segment, actual)| segment.takes(actual))
        })
    }
}

fn names(pattern: &[Segment]) -> usize {
    let is_name = |segment: &&Segment| matches!(segment, Segment::Name(_));
    pattern.iter().filter(is_name).count()
}

/// The values of a pattern's names in a path that it matches.
fn params(pattern: &[Segment], path: &[&str]) -> Params {
    let value = |(segment, actual): (&Segment, &&str)| match segment {
        Segment::Name(name) => Some((*name, decoded(actual)?)),
        Segment::Literal(_) => None,
    };
    Params(pattern.iter().zip(path).filter_map(value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Router<u8> {
        let route = |method, path, target| Route {
            method,
            path,
            target,
        };
        Router::new(vec![
            route("GET", "/p/{org}/{project}/", 1),
            route("PUT", "/p/{org}/{project}/", 2),
            route("GET", "/p/{org}/all/", 3),
        ])
    }

    #[test]
    fn a_literal_segment_wins_over_a_name() {
        let table = table();
        let Found::Route(route, params) = table.find(&Method::Get, "/p/acme/all/") else {
            panic!("nothing found");
        };
        assert_eq!((route.target, params.get("org")), (3, "acme"));
    }

    #[test]
    fn segments_are_decoded_and_never_empty() {
        let table = table();
        let Found::Route(_, params) = table.find(&Method::Head, "/p/a%20b/c/") else {
            panic!("nothing found");
        };
        assert_eq!(params.get("org"), "a b");
        assert!(matches!(table.find(&Method::Get, "/p//c/"), Found::Nothing));
        assert!(matches!(table.find(&Method::Get, "/p/a/c"), Found::Nothing));
        // Bytes that are no text.
        assert!(matches!(
            table.find(&Method::Get, "/p/%ff/c/"),
            Found::Nothing
        ));
        assert_eq!(table.methods("/p/%ff/c/"), [""; 0]);
    }

    #[test]
    fn another_method_is_told_from_an_unknown_path() {
        let table = table();
        let Found::OtherMethods(methods) = table.find(&Method::Delete, "/p/a/b/") else {
            panic!("should know the path");
        };
        assert_eq!(methods, ["GET", "PUT"]);
    }
}
