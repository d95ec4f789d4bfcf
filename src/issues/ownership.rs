//! Ownership rules: who owns which part of a project (facts/management-api.md 10). One a line: a matcher, then owners.
//!
//! `path:src/* #web ann@example.test`. Matchers are `path:`, `module:`, `url:` and `tags.<name>:`, with a pattern that
//! may stand in quotes; owners are addresses of members and slugs of teams behind a `#`. What is behind a ` #` that
//! is no team's, and lines that begin with `#`, are comments.

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

/// # Errors
/// One sentence about the first line that is no rule, with its number.
pub(crate) fn parse(text: &str) -> Result<Vec<Rule>, String> {
    let mut rules = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let rule = rule(line).map_err(|why| format!("{why} in line {}", index + 1))?;
        rules.push(rule);
    }
    Ok(rules)
}

fn rule(line: &str) -> Result<Rule, &'static str> {
    let (matcher, rest) = matcher(line)?;
    let mut owners = Vec::new();
    for word in rest.split_whitespace() {
        match word.strip_prefix('#') {
            // A comment up to the end of the line.
            Some("") => break,
            Some(slug) => owners.push(Owner::Team(slug.to_owned())),
            None if word.contains('@') => owners.push(Owner::User(word.to_owned())),
            None => return Err("an owner is an address or a team such as #web"),
        }
    }
    match owners.is_empty() {
        true => Err("a rule has no owner"),
        false => Ok(Rule { matcher, owners }),
    }
}

/// The matcher, and what is behind it.
fn matcher(line: &str) -> Result<(Matcher, &str), &'static str> {
    const WRONG: &str = "a rule begins with path:, module:, url: or tags.<name>:";
    let (kind, behind) = line.split_once(':').ok_or(WRONG)?;
    let is_tag = kind.strip_prefix("tags.").is_some_and(|name| {
        let name = name.trim_matches('"');
        !name.is_empty() && !name.contains(char::is_whitespace)
    });
    if !is_tag && !["path", "module", "url", "codeowners"].contains(&kind) {
        return Err(WRONG);
    }
    let (pattern, rest) = match behind.strip_prefix('"') {
        Some(quoted) => {
            let (pattern, rest) = quoted.split_once('"').ok_or("a quote is not closed")?;
            (pattern, rest)
        }
        None => behind
            .split_once(char::is_whitespace)
            .unwrap_or((behind, "")),
    };
    if pattern.is_empty() {
        return Err("a matcher has no pattern");
    }
    let matcher = Matcher {
        kind: kind.to_owned(),
        pattern: pattern.to_owned(),
    };
    Ok((matcher, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_a_matcher_and_owners() {
        let text = "# everything\n\npath:src/* #web ann@example.test # and a comment\n\
                    tags.area:\"check out\" #shop\n";
        let rules = parse(text).unwrap();
        assert_eq!(rules.len(), 2);
        assert_eq!(
            (
                rules[0].matcher.kind.as_str(),
                rules[0].matcher.pattern.as_str()
            ),
            ("path", "src/*")
        );
        assert_eq!(
            rules[0].owners,
            [
                Owner::Team("web".to_owned()),
                Owner::User("ann@example.test".to_owned())
            ]
        );
        assert_eq!(rules[1].matcher.kind, "tags.area");
        assert_eq!(rules[1].matcher.pattern, "check out");
    }

    #[test]
    fn the_first_wrong_line_is_told_by_its_number() {
        for (text, line) in [
            ("path:a #x\npath:b", "line 2"),
            ("src/* #web", "line 1"),
            ("colour:red #web", "line 1"),
            ("path:\"a #web", "line 1"),
            ("path: #web", "line 1"),
            ("tags.:a #web", "line 1"),
            ("path:a web", "line 1"),
        ] {
            let wrong = parse(text).unwrap_err();
            assert!(wrong.ends_with(line), "{text}: {wrong}");
        }
    }
}
