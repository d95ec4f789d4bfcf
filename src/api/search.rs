//! The `query` parameter of lists: `key:value` tokens and free text (facts/management-api.md 1.12).

/// A query cut into tokens. The values of one key are alternatives, and all keys must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SearchQuery {
    /// What has no key, joined by spaces; none if there is nothing.
    pub(super) text: Option<String>,
    /// In the order of the keys' first appearance.
    pub(super) keys: Vec<(String, Vec<String>)>,
}

impl SearchQuery {
    /// Reads a query. Nothing is an error: what a list makes of an unknown key is its business. Quotes, of
    /// either kind, protect white space and are not part of the value.
    pub(super) fn parse(query: &str) -> SearchQuery {
        let mut parsed = SearchQuery::default();
        let mut words: Vec<String> = Vec::new();
        for token in tokens(query) {
            match key_and_value(&token) {
                Some((key, value)) => parsed.add(key, unquoted(value)),
                None => words.push(unquoted(&token)),
            }
        }
        let text = words.join(" ").trim().to_owned();
        parsed.text = Some(text).filter(|text| !text.is_empty());
        parsed
    }

    fn add(&mut self, key: &str, value: String) {
        match self.keys.iter_mut().find(|(known, _)| known == key) {
            Some((_, values)) => values.push(value),
            None => self.keys.push((key.to_owned(), vec![value])),
        }
    }
}

fn tokens(query: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut token = String::new();
    let mut quote = None;
    for c in query.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c.is_whitespace() => {
                tokens.push(std::mem::take(&mut token));
                continue;
            }
            _ => {}
        }
        token.push(c);
    }
    tokens.push(token);
    tokens.retain(|token| !token.is_empty());
    tokens
}

/// `key:value`, unless the token is quoted, starts with the colon, or doubles it (as in `std::vec`).
fn key_and_value(token: &str) -> Option<(&str, &str)> {
    let (key, value) = token.split_once(':')?;
    let is_plain = !key.is_empty() && !key.contains(['"', '\'']) && !value.starts_with(':');
    is_plain.then_some((key, value))
}

fn unquoted(text: &str) -> String {
    for quote in ['"', '\''] {
        if let Some(inner) = text
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote))
        {
            return inner.to_owned();
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> (Option<String>, Vec<(String, Vec<String>)>) {
        let SearchQuery { text, keys } = SearchQuery::parse(query);
        (text, keys)
    }

    fn keys(pairs: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        pairs
            .iter()
            .map(|(key, values)| {
                let values = values.iter().map(|v| (*v).to_owned()).collect();
                ((*key).to_owned(), values)
            })
            .collect()
    }

    #[test]
    fn words_and_keys_are_told_apart() {
        assert_eq!(
            parse("web slug:a  id:1 shop slug:b"),
            (
                Some("web shop".to_owned()),
                keys(&[("slug", &["a", "b"]), ("id", &["1"])])
            )
        );
        assert_eq!(parse("  "), (None, vec![]));
        assert_eq!(parse("!team:x"), (None, keys(&[("!team", &["x"])])));
    }

    #[test]
    fn quotes_protect_spaces_and_colons() {
        assert_eq!(
            parse(r#"name:"a b" 'c d'"#),
            (Some("c d".to_owned()), keys(&[("name", &["a b"])]))
        );
        assert_eq!(parse(r#""a:b""#), (Some("a:b".to_owned()), vec![]));
        assert_eq!(parse(r#"name:"a b"#), (None, keys(&[("name", &["\"a b"])])));
    }

    #[test]
    fn a_colon_that_is_no_key_is_text() {
        assert_eq!(parse(":x std::vec").0.as_deref(), Some(":x std::vec"));
    }
}
