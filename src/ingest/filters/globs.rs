//! Patterns over whole texts (facts/ingestion.md 8): `*` for anything, `?` for one character, `{a,b}` for either.
//! Everything else means itself, and so do the braces of a pattern in which they do not pair up. Case does not
//! count, in any script.
//!
//! A list becomes one regular expression and not a `RegexSet`: which pattern fits does not matter, and one
//! expression skips to the letters that fitting texts must have, ten times faster than a set. A text is matched in
//! time linear in its length, whatever it holds. What the automaton remembers while it matches is bounded for each
//! worker, and kept from one text to the next.

use regex::{Regex, RegexBuilder};

/// How much all patterns of a list may weigh: a character weighs 1, a wildcard [`WILDCARD_WEIGHT`]. An automaton
/// grows with it to 8 MiB at most.
const WEIGHT_MAX: usize = 32 << 10;
const WILDCARD_WEIGHT: usize = 16;
/// One automaton; a list that needs more becomes several.
const AUTOMATON_BYTES_MAX: usize = 4 << 20;
/// What one worker may remember of an automaton's states.
const CACHE_BYTES_MAX: usize = 256 << 10;
/// How much of a pattern the log shows.
const SHOWN_CHARS_MAX: usize = 80;

/// A list of patterns.
#[derive(Debug, Default)]
pub(super) struct Globs {
    /// One, as a rule; none for an empty list.
    alternatives: Vec<Regex>,
}

impl Globs {
    /// Patterns that are too large, alone or with those before them, are left out, and the log says so.
    pub(super) fn compile<'p>(patterns: impl IntoIterator<Item = &'p str>) -> Globs {
        let mut weight_left = WEIGHT_MAX;
        let mut translated = Vec::new();
        for pattern in patterns {
            match weight_left.checked_sub(weight(pattern)) {
                Some(left) => weight_left = left,
                None => {
                    skip(pattern, "the list is too large");
                    continue;
                }
            }
            translated.push((pattern, translate(pattern)));
        }
        let mut globs = Globs::default();
        globs.add(&translated);
        globs
    }

    /// Whether one of the patterns fits the whole text.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.alternatives.iter().any(|any| any.is_match(text))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.alternatives.is_empty()
    }

    /// Halves what makes no automaton, until only the pattern is left that is to blame.
    fn add(&mut self, translated: &[(&str, String)]) {
        if translated.is_empty() {
            return;
        }
        let regexes: Vec<&str> = translated.iter().map(|(_, regex)| regex.as_str()).collect();
        let any = RegexBuilder::new(&regexes.join("|"))
            .case_insensitive(true)
            .dot_matches_new_line(true)
            .size_limit(AUTOMATON_BYTES_MAX)
            .dfa_size_limit(CACHE_BYTES_MAX)
            .build();
        match (any, translated) {
            (Ok(any), _) => self.alternatives.push(any),
            (Err(error), [(pattern, _)]) => skip(pattern, &error.to_string()),
            (Err(_), _) => {
                let (first, second) = translated.split_at(translated.len() / 2);
                self.add(first);
                self.add(second);
            }
        }
    }
}

fn skip(pattern: &str, why: &str) {
    let shown: String = pattern.chars().take(SHOWN_CHARS_MAX).collect();
    log::warn!("an inbound filter's pattern is left out: {shown:?}: {why}");
}

fn weight(pattern: &str) -> usize {
    let of = |c: char| match c {
        '*' | '?' => WILDCARD_WEIGHT,
        _ => 1,
    };
    pattern.chars().map(of).sum()
}

/// The regular expression of a pattern. An asterisk at an end is an anchor left out there, so that the search for
/// what is between need not begin with "anything".
fn translate(pattern: &str) -> String {
    let body = pattern.trim_matches('*');
    let braces = braces_pair_up(body);
    let mut regex = String::with_capacity(body.len() + 8);
    if !pattern.starts_with('*') {
        regex.push_str(r"\A");
    }
    let mut depth = 0;
    let mut before = '\0';
    for c in body.chars() {
        match c {
            '*' if before == '*' => {}
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '{' if braces => {
                depth += 1;
                regex.push_str("(?:");
            }
            '}' if braces => {
                depth -= 1;
                regex.push(')');
            }
            ',' if depth > 0 => regex.push('|'),
            _ => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
        before = c;
    }
    if !pattern.ends_with('*') {
        regex.push_str(r"\z");
    }
    regex
}

fn braces_pair_up(pattern: &str) -> bool {
    let mut open = 0_usize;
    for c in pattern.chars() {
        match c {
            '{' => open += 1,
            '}' if open == 0 => return false,
            '}' => open -= 1,
            _ => {}
        }
    }
    open == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Globs::compile([pattern]).matches(text)
    }

    #[test]
    fn a_pattern_fits_the_whole_text() {
        for (pattern, text) in [
            ("plain", "plain"),
            ("*", ""),
            ("**", "anything\nat all"),
            ("*end", "the end"),
            ("start*", "start of it"),
            ("*mid*", "in the middle"),
            ("a*z", "az"),
            ("a**z", "a\n\nz"),
            ("a?c", "abc"),
            ("a?c", "a\nc"),
            ("?", "\u{e9}"),
            ("{a,b}c", "bc"),
            ("x{,s}", "x"),
            ("{a*,b}c", "aaac"),
            ("{a,{b,c}}", "c"),
            ("a,b", "a,b"),
        ] {
            assert!(matches(pattern, text), "{pattern:?} {text:?}");
        }
        for (pattern, text) in [
            ("plain", "plainer"),
            ("plain", "a plain"),
            ("*end", "ended"),
            ("start*", "a start"),
            ("a?c", "ac"),
            ("?", ""),
            ("?", "ab"),
            ("{a,b}c", "abc"),
            ("", "a"),
        ] {
            assert!(!matches(pattern, text), "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn case_does_not_count_in_any_script() {
        assert!(matches("*Fehler*", "ein FEHLER"));
        assert!(matches("\u{e4}\u{3c3}\u{436}", "\u{c4}\u{3a3}\u{416}"));
        assert!(!matches("\u{e4}", "a"));
    }

    #[test]
    fn everything_else_means_itself() {
        for text in [
            r"[a-z]",
            r"a\d+",
            r"C:\x",
            "a.c",
            "(a|b)",
            "^a$",
            "a+b",
            "a<b>c",
            "# x",
            "Unexpected token {",
            "a} {b",
        ] {
            assert!(matches(text, text), "{text}");
        }
        assert!(!matches("[a-z]", "b"));
        assert!(!matches("a.c", "abc"));
        assert!(!matches(r"\*", "*a"));
        assert!(matches(r"\*", r"\a"));
        assert!(matches("{*", "{ anything"));
    }

    #[test]
    fn one_of_a_list_suffices() {
        let globs = Globs::compile(["a*", "*z"]);
        assert!(globs.matches("az") && globs.matches("zz") && globs.matches("aa"));
        assert!(!globs.matches("za"));
        assert!(Globs::compile([]).is_empty() && !Globs::compile([]).matches(""));
    }

    #[test]
    fn a_pattern_that_is_too_large_is_left_out_alone() {
        let huge = "x".repeat(WEIGHT_MAX + 1);
        let stars = "?".repeat(WEIGHT_MAX);
        let deep = format!("{}{}", "{a,".repeat(5_000), "}".repeat(5_000));
        let globs = Globs::compile([huge.as_str(), "first", &deep, &stars, "last"]);
        assert!(globs.matches("first") && globs.matches("last"));
        assert!(!globs.matches(&huge));
    }

    #[test]
    fn a_list_of_the_greatest_weight_is_compiled() {
        let wildcards = "?a*".repeat(WEIGHT_MAX / (2 * WILDCARD_WEIGHT + 1));
        assert!(!Globs::compile([wildcards.as_str()]).is_empty());
        let names: Vec<String> = (0..700).map(|n| format!("*name{n}*")).collect();
        let globs = Globs::compile(names.iter().map(String::as_str));
        assert!(globs.matches("a name1 b") && !globs.matches("a name b"));
    }
}
