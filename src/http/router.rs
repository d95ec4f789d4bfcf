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
}

impl<T> Router<T> {
    pub fn new(routes: Vec<Route<T>>) -> Router<T> {
        Router { routes }
    }

    pub fn routes(&self) -> &[Route<T>] {
        &self.routes
    }

    pub fn find(&self, method: &Method, path: &str) -> Found<'_, T> {
        let wanted = match method {
            Method::Head => "GET",
            other => other.as_str(),
        };
        let mut best: Option<(usize, &Route<T>, Params)> = None;
        for route in self.routes.iter().filter(|r| r.method == wanted) {
            if let Some(params) = matches(route.path, path) {
                let names = params.0.len();
                if best.as_ref().is_none_or(|(fewest, ..)| names < *fewest) {
                    best = Some((names, route, params));
                }
            }
        }
        if let Some((_, route, params)) = best {
            return Found::Route(route, params);
        }
        let methods = self.methods(path);
        if methods.is_empty() {
            Found::Nothing
        } else {
            Found::OtherMethods(methods)
        }
    }

    /// The methods that this path has, in the table's order.
    pub fn methods(&self, path: &str) -> Vec<&'static str> {
        self.routes
            .iter()
            .filter(|r| matches(r.path, path).is_some())
            .map(|r| r.method)
            .collect()
    }
}

fn matches(pattern: &'static str, path: &str) -> Option<Params> {
    let mut params = Params::default();
    let mut actual = path.split('/');
    for expected in pattern.split('/') {
        let segment = actual.next()?;
        match expected
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
        {
            Some(_) if segment.is_empty() => return None,
            Some(name) => {
                let value = percent_decode_str(segment).decode_utf8().ok()?;
                params.0.push((name, value.into_owned()));
            }
            None if expected == segment => {}
            None => return None,
        }
    }
    actual.next().is_none().then_some(params)
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
