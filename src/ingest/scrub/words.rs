//! Words that give a secret away: the default ones and those of the settings, found in keys and in values.
//!
//! Every text of an event passes here, so a text is read once: one pass over its bytes looks for all words and
//! for the signs of the patterns (`patterns`), and most texts are done with then.

use std::sync::LazyLock;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::dfa::DFA;
use aho_corasick::{AhoCorasick, Anchored};

/// Words of which one is enough, in a key or in a value (facts/ingestion.md 9.2).
const SECRETS: [&str; 12] = [
    "password",
    "secret",
    "passwd",
    "api-key",
    "api_key",
    "apikey",
    "auth",
    "credentials",
    "mysql_pwd",
    "privatekey",
    "private-key",
    "private_key",
];
/// Names that are secrets when they are all there is.
const WHOLE_SECRETS: [&str; 3] = ["otp", "two-factor", "two_factor"];
const TOKEN: &str = "token";
const BEARER: &str = "bearer";
const PEM: &str = "-----begin";
const SCHEME: &str = "://";

/// What one pass over a text has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signs {
    pub(super) secret: bool,
    pub(super) token: bool,
    pub(super) bearer: bool,
    pub(super) pem: bool,
    pub(super) scheme: bool,
    /// How many decimal digits there are.
    pub(super) digits: usize,
    /// The length of the longest run of ASCII letters and digits.
    pub(super) longest_run: usize,
    seen: u8,
}

const DIGIT: u8 = 1;
const LETTER: u8 = 2;
const HYPHEN: u8 = 4;
const AT: u8 = 8;
const DOT: u8 = 16;
const COLON: u8 = 32;

/// What each byte is, as a set of the bits above.
static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'z' | b'A'..=b'Z' => LETTER,
            b'-' => HYPHEN,
            b'@' => AT,
            b'.' => DOT,
            b':' => COLON,
            _ => 0,
        };
        byte += 1;
    }
    classes
}

impl Signs {
    pub(super) fn hyphen(&self) -> bool {
        self.seen & HYPHEN != 0
    }

    pub(super) fn at(&self) -> bool {
        self.seen & AT != 0
    }

    /// Whether there may be an address of the Internet protocol.
    pub(super) fn address(&self) -> bool {
        self.seen & COLON != 0 || (self.digits >= 4 && self.seen & DOT != 0)
    }
}

/// The words of the default set.
pub(super) struct Defaults {
    dfa: DFA,
    start: StateID,
}

/// The automaton is a table of some ten kilobytes, the same for every project.
pub(super) static DEFAULTS: LazyLock<Defaults> = LazyLock::new(|| {
    let words = SECRETS.iter().chain(&[TOKEN, BEARER, PEM, SCHEME]);
    let dfa = DFA::builder()
        .ascii_case_insensitive(true)
        .prefilter(false)
        .build(words)
        .expect("a few constant words make a small automaton");
    let start = dfa
        .start_state(Anchored::No)
        .expect("searches that are not anchored are always supported");
    Defaults { dfa, start }
});

impl Defaults {
    /// Whether a key names a secret, and by which rule.
    pub(super) fn key(&self, key: &str) -> Option<KeyRule> {
        let mut state = self.start;
        let mut signs = Signs::default();
        for &byte in key.as_bytes() {
            state = self.step(state, byte, &mut signs);
        }
        if signs.secret || is_whole_secret(key) {
            Some(KeyRule::Password)
        } else if signs.token {
            Some(KeyRule::Token)
        } else {
            None
        }
    }

    /// Reads a text once.
    pub(super) fn read(&self, text: &str) -> Signs {
        let mut state = self.start;
        let mut signs = Signs::default();
        let mut run = 0;
        for &byte in text.as_bytes() {
            state = self.step(state, byte, &mut signs);
            let class = CLASSES[usize::from(byte)];
            signs.seen |= class;
            signs.digits += usize::from(class & DIGIT);
            run = if class & (DIGIT | LETTER) == 0 {
                0
            } else {
                run + 1
            };
            signs.longest_run = signs.longest_run.max(run);
        }
        signs
    }

    fn step(&self, state: StateID, byte: u8, signs: &mut Signs) -> StateID {
        let state = self.dfa.next_state(Anchored::No, state, byte);
        if self.dfa.is_special(state) && self.dfa.is_match(state) {
            for nth in 0..self.dfa.match_len(state) {
                let found = self.dfa.match_pattern(state, nth).as_usize();
                match found.checked_sub(SECRETS.len()) {
                    None => signs.secret = true,
                    Some(0) => signs.token = true,
                    Some(1) => signs.bearer = true,
                    Some(2) => signs.pem = true,
                    Some(_) => signs.scheme = true,
                }
            }
        }
        state
    }
}

/// The rule by which a key names a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyRule {
    Password,
    Token,
}

/// Whether a text with these signs is a secret as a whole (facts/ingestion.md 9.2, the password rule).
pub(super) fn is_secret(text: &str, signs: &Signs) -> bool {
    signs.secret || (signs.token && assigns_token(text)) || is_whole_secret(text)
}

fn is_whole_secret(text: &str) -> bool {
    WHOLE_SECRETS
        .iter()
        .any(|secret| text.eq_ignore_ascii_case(secret))
}

/// Whether a line says `token`, and a colon or an equals sign after it.
fn assigns_token(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.as_bytes();
        line.windows(TOKEN.len())
            .position(|window| window.eq_ignore_ascii_case(TOKEN.as_bytes()))
            .is_some_and(|at| memchr::memchr2(b':', b'=', &line[at + TOKEN.len()..]).is_some())
    })
}

/// The words of the setting `sensitiveFields`: parts of keys or values, without case.
#[derive(Debug)]
pub(super) struct Sensitive {
    /// None only for so many words that the automaton cannot be numbered.
    ascii: Option<AhoCorasick>,
    /// Words with other letters, in lower case. They are looked for in the lower case of texts with such letters.
    others: Vec<String>,
}

impl Sensitive {
    /// None: there are no words.
    pub(super) fn compile(words: &[String]) -> Option<Sensitive> {
        let words = words.iter().map(|word| word.trim());
        let (ascii, others): (Vec<&str>, Vec<&str>) = words
            .filter(|word| !word.is_empty())
            .partition(|word| word.is_ascii());
        if ascii.is_empty() && others.is_empty() {
            return None;
        }
        Some(Sensitive {
            ascii: AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .build(&ascii)
                .ok(),
            others: others.iter().map(|word| word.to_lowercase()).collect(),
        })
    }

    pub(super) fn is_in(&self, text: &str) -> bool {
        if self
            .ascii
            .as_ref()
            .is_some_and(|words| words.is_match(text))
        {
            return true;
        }
        if self.others.is_empty() || text.is_ascii() {
            return false;
        }
        let text = text.to_lowercase();
        self.others.iter().any(|word| text.contains(word))
    }
}
