//! Slugs: the short names in URLs (facts/management-api.md 1.10).

use std::fmt;

use rand::RngExt;
use unicode_normalization::UnicodeNormalization;

/// A checked slug of an organization, team or project.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slug(String);

/// What a slug names; the rules differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlugKind {
    Organization,
    Team,
    Project,
    /// Of a project that is about to be made: there it is the name that must not be a reserved word
    /// (facts/management-api.md 1.10).
    NewProject,
}

const RESERVED_ORGANIZATIONS: &str = "404 500 _admin _experiment _static about accept access account \
    accountspayable acl admin answers ap api app at au1 auth authentication avatar billing blog branding careers \
    client clients community contact corp customers de debug devinfra docs enterprise eu events expenses ext \
    extension extensions features finance for from get-cli github-deployment-gate guide help ingest ingest-beta \
    integration-platform integrations invoice invoices ja jobs legal login logout lp mail manage my onboarding \
    organization-avatar organizations out payment payments platforms plugins policy pricing privacy \
    project-avatar projects receipt receipts referrals register remote resources sa1 sales security sentry-apps \
    settings signup sponsorship ssh sso staff subscribe support syntax syntaxfm team-avatar teams terms thanks \
    themonitor trust us vs welcome";

const RESERVED_PROJECTS: &str = "$all api-keys audit-log auth members projects rate-limits repos settings teams \
    billing payments legal subscription support integrations developer-settings usage";

impl Slug {
    /// Checks the pattern, the length and the reserved words of its kind.
    ///
    /// # Errors
    /// The texts that Sentry gives for this field; a value that breaks two rules reports both, length first.
    pub(crate) fn parse(kind: SlugKind, text: &str) -> Result<Slug, Vec<String>> {
        let mut wrong = Vec::new();
        if text.is_empty() {
            return Err(vec!["This field may not be blank.".to_owned()]);
        }
        let longest = match kind {
            SlugKind::Organization | SlugKind::Team => 50,
            SlugKind::Project | SlugKind::NewProject => 100,
        };
        if text.chars().count() > longest {
            wrong.push(format!(
                "Ensure this field has no more than {longest} characters."
            ));
        }
        let numeric = text.bytes().all(|b| b.is_ascii_digit());
        match kind {
            SlugKind::Organization => {
                let shaped = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                    && !text.starts_with('-')
                    && !text.ends_with('-');
                if numeric || !shaped {
                    wrong.push("Enter a valid slug consisting of letters, numbers, or hyphens. It cannot be entirely numeric.".to_owned());
                } else if text.len() < 3 {
                    wrong.push(format!(
                        "This slug \"{text}\" is too short. Minimum of 3 characters."
                    ));
                } else if is_reserved(kind, text) {
                    wrong.push(format!("This slug \"{text}\" is reserved and not allowed."));
                }
            }
            SlugKind::Team | SlugKind::Project | SlugKind::NewProject => {
                let shaped = text.bytes().all(|b| {
                    b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-'
                });
                if numeric || !shaped {
                    wrong.push("Enter a valid slug consisting of lowercase letters, numbers, underscores or hyphens. It cannot be entirely numeric.".to_owned());
                } else if is_reserved(kind, text) {
                    wrong.push(format!("The slug \"{text}\" is reserved and not allowed."));
                }
            }
        }
        if wrong.is_empty() {
            Ok(Slug(text.to_owned()))
        } else {
            Err(wrong)
        }
    }

    /// Makes a slug out of a name: its letters and digits without accents, a hyphen between words, cut to what the
    /// kind allows. One that would be taken, a number, or nothing at all gets a random end.
    ///
    /// # Errors
    /// Those of `is_taken`, which says whether the organization (for organizations: the server) has such a slug.
    pub(crate) fn derive<E>(
        kind: SlugKind,
        name: &str,
        mut is_taken: impl FnMut(&Slug) -> Result<bool, E>,
    ) -> Result<Slug, E> {
        let longest = match kind {
            SlugKind::Organization | SlugKind::Team => 30,
            SlugKind::Project | SlugKind::NewProject => 50,
        };
        let mut base = slugify(kind, name);
        base.truncate(longest);
        // A cut may leave a hyphen, which an organization's slug must not end in.
        base.truncate(base.trim_end_matches(['-', '_']).len());
        if base.is_empty() || is_reserved(kind, &base) {
            base = random_text(HEX, 12);
        }
        let is_good = |text: &str| Slug::parse(kind, text).is_ok();
        let mut candidate = base.clone();
        for suffix in [2, 3, 3, 3, 3, 3].into_iter().chain([5; 20]).chain([12]) {
            if is_good(&candidate) && !is_taken(&Slug(candidate.clone()))? {
                return Ok(Slug(candidate));
            }
            let room = base.len().min(longest - suffix - 1);
            candidate = format!("{}-{}", &base[..room], random_text(ALPHANUMERIC, suffix));
        }
        // Twelve random characters are free.
        Ok(Slug(candidate))
    }

    /// A slug that the database holds, and so was checked when it came in.
    pub(crate) fn stored(text: String) -> Slug {
        Slug(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a word is one that no organization or project may be called by. For a new project it is the name that
/// counts (facts/management-api.md 1.10).
pub(crate) fn is_reserved(kind: SlugKind, word: &str) -> bool {
    let words = match kind {
        SlugKind::Organization => RESERVED_ORGANIZATIONS,
        SlugKind::Team | SlugKind::NewProject => return false,
        SlugKind::Project => RESERVED_PROJECTS,
    };
    words
        .split_ascii_whitespace()
        .any(|reserved| reserved == word)
}

/// The ASCII of a name in lower case: letters and digits, with one hyphen for each run of white space and hyphens. Not
/// yet a slug: it may be empty, a number or too long.
pub(crate) fn slugify(kind: SlugKind, name: &str) -> String {
    let mut slug = String::new();
    for c in name.nfkd().filter(char::is_ascii) {
        match c.to_ascii_lowercase() {
            '_' if kind != SlugKind::Organization => slug.push('_'),
            c if c.is_ascii_alphanumeric() => slug.push(c),
            c if (c == '-' || c == '_' || c.is_ascii_whitespace()) && !slug.ends_with('-') => {
                slug.push('-');
            }
            _ => {}
        }
    }
    slug.trim_matches(['-', '_']).to_owned()
}

const HEX: &[u8] = b"0123456789abcdef";
const ALPHANUMERIC: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

fn random_text(alphabet: &[u8], length: usize) -> String {
    let mut rng = rand::rng();
    (0..length)
        .map(|_| char::from(alphabet[rng.random_range(0..alphabet.len())]))
        .collect()
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a path names an organization, a team or a project: an all-digit segment is an id, anything else a
/// slug (facts/management-api.md 1.1). Digits that no id can have match nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IdOrSlug {
    Id(i64),
    Slug(String),
}

impl IdOrSlug {
    pub(crate) fn parse(segment: &str) -> IdOrSlug {
        if !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_digit()) {
            IdOrSlug::Id(segment.parse().unwrap_or(0))
        } else {
            IdOrSlug::Slug(segment.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_slug_is_lower_case_and_not_a_number() {
        assert!(Slug::parse(SlugKind::Project, "web_shop-2").is_ok());
        for wrong in ["Web", "42", "a b", "é", "settings", ""] {
            assert!(Slug::parse(SlugKind::Project, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_organization_slug_has_three_characters_and_no_hyphen_at_the_ends() {
        assert!(Slug::parse(SlugKind::Organization, "Acme-2").is_ok());
        for wrong in ["ab", "-abc", "abc-", "a_bc", "123", "login"] {
            assert!(
                Slug::parse(SlugKind::Organization, wrong).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn two_broken_rules_report_both_length_first() {
        let wrong = Slug::parse(SlugKind::Project, &"A".repeat(101)).unwrap_err();
        assert_eq!(wrong.len(), 2);
        assert!(wrong[0].contains("100 characters"));
    }

    #[test]
    fn a_slug_is_made_of_a_name() {
        let derive = |name: &str| {
            Slug::derive(SlugKind::Project, name, |_| Ok::<_, ()>(false))
                .unwrap()
                .to_string()
        };
        for (name, slug) in [
            ("My Project!", "my-project"),
            ("Ünïcode Näme", "unicode-name"),
            ("C++ / Rust & Co.", "c-rust-co"),
            ("__a_b - c--", "a_b-c"),
        ] {
            assert_eq!(derive(name), slug);
        }
        for name in ["日本語", "settings", ""] {
            let slug = derive(name);
            assert_eq!(slug.len(), 12, "{slug}");
        }
        assert!(derive("1234").starts_with("1234-"));
        assert_eq!(derive(&"x".repeat(80)).len(), 50);
        let organization =
            Slug::derive(SlugKind::Organization, "a_b c", |_| Ok::<_, ()>(false)).unwrap();
        assert_eq!(organization.as_str(), "a-b-c");
    }

    #[test]
    fn a_derived_slug_that_is_taken_gets_an_end() {
        let mut asked = 0;
        let slug = Slug::derive(SlugKind::Project, "Web", |slug| {
            asked += 1;
            Ok::<_, ()>(slug.as_str() == "web")
        })
        .unwrap();
        assert!(
            slug.as_str().starts_with("web-") && slug.as_str().len() == 6,
            "{slug}"
        );
        assert_eq!(asked, 2);
    }

    #[test]
    fn a_segment_of_digits_is_an_id() {
        assert_eq!(IdOrSlug::parse("17"), IdOrSlug::Id(17));
        assert_eq!(IdOrSlug::parse("99999999999999999999"), IdOrSlug::Id(0));
        assert_eq!(IdOrSlug::parse("web"), IdOrSlug::Slug("web".to_owned()));
    }
}
