//! Ownership rules: who owns which part of a project (facts/management-api.md 10). One a line: a matcher, then owners.
//!
//! `path:src/* #web ann@example.test`. Matchers are `path:`, `module:`, `url:` and `tags.<name>:`; a pattern without any
//! of these is a path's. A pattern may stand in quotes. Owners are addresses of members and slugs of teams behind a
//! `#`. Lines that begin with `#`, and what follows a `#` that stands alone, are comments.

/// A rule as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) matcher: Matcher,
    pub(crate) owners: Vec<Owner>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Matcher {
    /// `path`, `module`, `url`, `tags.<name>` or `codeowners`.
    pub(crate) kind: String,
    pub(crate) pattern: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// By address.
    User(String),
    /// By slug.
    Team(String),
}

/// As it is written in a rule.
impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Owner::User(email) => f.write_str(email),
            Owner::Team(slug) => write!(f, "#{slug}"),
        }
    }
}

/// What is wrong with a text, and where: `a rule has no owner (line 2, column 7)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParseError {
    what: &'static str,
    /// Both from 1 on, in characters.
    line: usize,
    column: usize,
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ParseError { what, line, column } = self;
        write!(f, "{what} (line {line}, column {column})")
    }
}

/// # Errors
/// The first thing that is no rule.
pub(crate) fn parse(text: &str) -> Result<Vec<Rule>, ParseError> {
    let mut rules = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let rest = line.trim_start();
        if rest.is_empty() || rest.starts_with('#') {
            continue;
        }
        let rule = rule(rest).map_err(|(what, behind)| ParseError {
            what,
            line: index + 1,
            column: line[..line.len() - behind.len()].chars().count() + 1,
        })?;
        rules.push(rule);
    }
    Ok(rules)
}

/// What is wrong, and the rest of the line from there on.
type Fault<'a> = (&'static str, &'a str);

fn rule(line: &str) -> Result<Rule, Fault<'_>> {
    let (matcher, rest) = matcher(line)?;
    let owners: Vec<Owner> = rest
        .split_whitespace()
        // A comment up to the end of the line.
        .take_while(|word| *word != "#")
        .map(|word| match word.strip_prefix('#') {
            Some(slug) => Owner::Team(slug.to_owned()),
            None => Owner::User(word.to_owned()),
        })
        .collect();
    match owners.is_empty() {
        true => Err(("a rule has no owner", rest)),
        false => Ok(Rule { matcher, owners }),
    }
}

/// The matcher, and what is behind it.
fn matcher(line: &str) -> Result<(Matcher, &str), Fault<'_>> {
    let (kind, behind) = match line.split_once(':') {
        Some((kind, behind)) if is_kind(kind) => (kind, behind),
        _ => ("path", line),
    };
    let (pattern, rest) = match behind.strip_prefix('"') {
        Some(quoted) => unquote(quoted).ok_or(("a quote is not closed", behind))?,
        None => {
            let end = behind.find(char::is_whitespace).unwrap_or(behind.len());
            (behind[..end].to_owned(), &behind[end..])
        }
    };
    if pattern.is_empty() {
        return Err(("a matcher has no pattern", behind));
    }
    let kind = kind.to_owned();
    Ok((Matcher { kind, pattern }, rest))
}

fn is_kind(kind: &str) -> bool {
    let is_tag = |name: &str| !name.is_empty() && !name.contains(char::is_whitespace);
    ["path", "module", "url", "codeowners"].contains(&kind)
        || kind.strip_prefix("tags.").is_some_and(is_tag)
}

/// The text up to a quote that no backslash stands before, and what is behind that; none without one. A backslash
/// stands for whatever follows it, if that is a quote or another backslash.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut characters = quoted.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((text, &quoted[at + 1..])),
            '\\' => match characters.next_if(|(_, next)| matches!(next, '"' | '\\')) {
                Some((_, escaped)) => text.push(escaped),
                None => text.push(character),
            },
            other => text.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kind, pattern and owners of each rule.
    fn rules(text: &str) -> Vec<(String, String, Vec<String>)> {
        let rules = parse(text).unwrap();
        let shown = |rule: Rule| {
            let owners = rule.owners.iter().map(Owner::to_string).collect();
            (rule.matcher.kind, rule.matcher.pattern, owners)
        };
        rules.into_iter().map(shown).collect()
    }

    #[test]
    fn a_rule_is_a_matcher_and_owners() {
        for (line, kind, pattern, owners) in [
            (
                "path:src/* #web ann@example.test",
                "path",
                "src/*",
                vec!["#web", "ann@example.test"],
            ),
            ("  *.js\t#web  ", "path", "*.js", vec!["#web"]),
            ("colour:red #web", "path", "colour:red", vec!["#web"]),
            ("module:shop.* a@b.c", "module", "shop.*", vec!["a@b.c"]),
            (
                "url:https://a.test/* #web",
                "url",
                "https://a.test/*",
                vec!["#web"],
            ),
            ("codeowners:/docs #web", "codeowners", "/docs", vec!["#web"]),
            (
                "tags.area:\"check out\" #shop",
                "tags.area",
                "check out",
                vec!["#shop"],
            ),
            ("\"a b\"#web", "path", "a b", vec!["#web"]),
            (
                r#"path:"a \"b\" \\c \d" #web"#,
                "path",
                r#"a "b" \c \d"#,
                vec!["#web"],
            ),
            (
                "path:a somebody # not #these",
                "path",
                "a",
                vec!["somebody"],
            ),
        ] {
            let owners = owners.into_iter().map(str::to_owned).collect();
            let expected = [(kind.to_owned(), pattern.to_owned(), owners)];
            assert_eq!(rules(line), expected, "{line}");
        }
    }

    #[test]
    fn comments_and_empty_lines_are_no_rules() {
        assert_eq!(
            rules("# everything\r\n\r\n   #web\npath:a #web\n\n").len(),
            1
        );
        assert_eq!(rules(""), []);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, expected) in [
            (
                "path:a #x\n path:b",
                "a rule has no owner (line 2, column 8)",
            ),
            ("path:é # x", "a rule has no owner (line 1, column 7)"),
            ("path:\"a #web", "a quote is not closed (line 1, column 6)"),
            ("path: #web", "a matcher has no pattern (line 1, column 6)"),
            (
                "url:\"\" #web",
                "a matcher has no pattern (line 1, column 5)",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text}");
        }
    }
}
