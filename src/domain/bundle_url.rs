//! Where the JavaScript loader of a client key finds the SDK.

/// A URL with up to two blanks: `{version}` and `{modifiers}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleUrl(String);

impl BundleUrl {
    const VERSION: &str = "{version}";
    const MODIFIERS: &str = "{modifiers}";

    /// # Errors
    /// One plain sentence.
    pub fn parse(text: &str) -> Result<BundleUrl, String> {
        let rest = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"))
            .ok_or_else(|| {
                format!("the bundle URL {text:?} must start with http:// or https://")
            })?;
        let rest = rest.replace(Self::VERSION, "").replace(Self::MODIFIERS, "");
        if rest.contains(['{', '}']) {
            return Err(format!(
                "the bundle URL {text:?} has a blank that is neither {{version}} nor {{modifiers}}"
            ));
        }
        let odd = |c: char| !c.is_ascii_graphic() || matches!(c, '"' | '\'' | '<' | '>' | '\\');
        if rest.is_empty() || rest.starts_with('/') || rest.contains(odd) {
            return Err(format!("the bundle URL {text:?} is no URL"));
        }
        Ok(BundleUrl(text.to_owned()))
    }

    /// `version` is a key's, such as `10.x`; `modifiers` are the parts of a bundle's name, such as `.replay`.
    pub(crate) fn fill(&self, version: &str, modifiers: &str) -> String {
        self.0
            .replace(Self::VERSION, version)
            .replace(Self::MODIFIERS, modifiers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blanks_are_filled() {
        for (url, expected) in [
            (
                "https://cdn.example.test/{version}/bundle{modifiers}.min.js",
                "https://cdn.example.test/10.x/bundle.tracing.min.js",
            ),
            (
                "http://localhost:8000/sdk.js?v={version}",
                "http://localhost:8000/sdk.js?v=10.x",
            ),
            ("https://h/a.js", "https://h/a.js"),
        ] {
            let bundle = BundleUrl::parse(url).unwrap();
            assert_eq!(bundle.fill("10.x", ".tracing"), expected);
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for (url, expected) in [
            ("", "must start with"),
            ("//cdn/a.js", "must start with"),
            ("javascript:alert(1)", "must start with"),
            ("https://", "is no URL"),
            ("https:///a.js", "is no URL"),
            ("https://h/a b.js", "is no URL"),
            ("https://h/a.js\"", "is no URL"),
            ("https://h/{Version}/a.js", "has a blank"),
        ] {
            let error = BundleUrl::parse(url).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
