//! The two rule languages about grouping, as far as their form goes: which lines are rules at all. What they do comes
//! with grouping itself.
//!
//! A line is blank, a comment (`#`), or matchers and what follows from them: `type:KeyError -> keys` for
//! fingerprints, `path:vendor/* -app` for enhancements. A pattern may stand in quotes.

/// A line that is no rule: its number from 1 on, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WrongLine {
    pub(crate) number: usize,
    pub(crate) text: &'static str,
}

/// `matchers -> fingerprint`.
///
/// # Errors
/// The first line that is no rule.
pub(crate) fn check_fingerprinting(text: &str) -> Result<(), WrongLine> {
    each_rule(text, |line| {
        let (matchers, fingerprint) = line.split_once("->").ok_or("there is no \"->\"")?;
        check_matchers(&words(matchers)?)?;
        match fingerprint.trim() {
            "" => Err("there is no fingerprint behind \"->\""),
            _ => words(fingerprint).map(drop),
        }
    })
}

/// `matchers actions`; matchers in brackets with a bar beside them speak of frames around.
///
/// # Errors
/// The first line that is no rule.
pub(crate) fn check_enhancements(text: &str) -> Result<(), WrongLine> {
    each_rule(text, |line| {
        let plain: String = line
            .chars()
            .map(|c| if matches!(c, '[' | ']' | '|') { ' ' } else { c })
            .collect();
        let words = words(&plain)?;
        let first_action = words.iter().position(|word| is_action(word));
        let (matchers, actions) = words.split_at(first_action.unwrap_or(words.len()));
        check_matchers(matchers)?;
        match actions {
            [] => Err("there is no action, such as +app"),
            actions if actions.iter().all(|word| is_action(word)) => Ok(()),
            _ => Err("there is a matcher behind an action"),
        }
    })
}

fn each_rule(
    text: &str,
    check: impl Fn(&str) -> Result<(), &'static str>,
) -> Result<(), WrongLine> {
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        check(line).map_err(|text| WrongLine {
            number: index + 1,
            text,
        })?;
    }
    Ok(())
}

fn check_matchers(words: &[String]) -> Result<(), &'static str> {
    if words.is_empty() {
        return Err("there is no matcher");
    }
    let is_matcher = |word: &String| {
        let word = word.strip_prefix('!').unwrap_or(word);
        word.split_once(':').is_some_and(|(key, pattern)| {
            let is_key = !key.is_empty()
                && key
                    .chars()
                    .all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'));
            is_key && !pattern.is_empty()
        })
    };
    match words.iter().all(is_matcher) {
        true => Ok(()),
        false => Err("a matcher is a key, a colon and a pattern"),
    }
}

/// `+app`, `-group`, `^-app`, `v+group`, `max-frames=3`, `category=io`.
fn is_action(word: &str) -> bool {
    const NUMBERS: [&str; 4] = ["max-frames", "min-frames", "category", "invert-stacktrace"];
    if let Some((name, value)) = word.split_once('=') {
        return NUMBERS.contains(&name) && !value.is_empty();
    }
    let flag = word.strip_prefix(['^', 'v']).unwrap_or(word);
    flag.strip_prefix(['+', '-'])
        .is_some_and(|name| ["app", "group", "prefix", "sentinel"].contains(&name))
}

/// Splits at white space outside quotes, which stay.
fn words(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    let mut escaped = false;
    for c in text.chars() {
        let is_quote = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        quoted ^= is_quote;
        if c.is_whitespace() && !quoted {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
        } else {
            word.push(c);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    match quoted {
        true => Err("a quote is not closed"),
        false => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_and_comments_are_read() {
        for text in [
            "",
            "# a comment\n\n  type:KeyError   ->  keys",
            "error.type:\"Key Error\" !value:*x* tags.a-b:1 -> {{ default }}, other",
        ] {
            assert_eq!(check_fingerprinting(text), Ok(()), "{text}");
        }
        for text in [
            "path:vendor/* -app",
            "family:native max-frames=3\n[ function:a ] | function:b ^+group v-app",
        ] {
            assert_eq!(check_enhancements(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn the_first_wrong_line_is_told_by_its_number() {
        for (text, number) in [
            ("type:a -> b\ntype:a", 2),
            ("-> b", 1),
            ("type:a ->", 1),
            ("type -> b", 1),
            ("type:\"a -> b", 1),
            ("ty pe: -> b", 1),
        ] {
            let wrong = check_fingerprinting(text).unwrap_err();
            assert_eq!(wrong.number, number, "{text}");
        }
        for text in [
            "+app",
            "path:a",
            "path:a +ap",
            "+app path:a",
            "path:a +app path:b",
        ] {
            assert_eq!(check_enhancements(text).unwrap_err().number, 1, "{text}");
        }
    }
}
