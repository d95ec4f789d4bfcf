//! Content-Security-Policy, level 2 and 3 and by the Reporting API: one set of fields with several spellings.

use super::{Report, bare, host};
use crate::ingest::endpoints::map;
use crate::ingest::json::{Map, Node};

/// The directives of the policy's levels 1 to 3 and the drafts that browsers ship. Sorted.
const DIRECTIVES: [&str; 32] = [
    "base-uri",
    "block-all-mixed-content",
    "child-src",
    "connect-src",
    "default-src",
    "fenced-frame-src",
    "font-src",
    "form-action",
    "frame-ancestors",
    "frame-src",
    "img-src",
    "manifest-src",
    "media-src",
    "navigate-to",
    "object-src",
    "plugin-types",
    "prefetch-src",
    "referrer",
    "report-to",
    "report-uri",
    "require-sri-for",
    "require-trusted-types-for",
    "sandbox",
    "script-src",
    "script-src-attr",
    "script-src-elem",
    "style-src",
    "style-src-attr",
    "style-src-elem",
    "trusted-types",
    "upgrade-insecure-requests",
    "worker-src",
];

/// None if it names no known directive.
pub(super) fn read(body: &Map<'_>) -> Option<Report> {
    let violated = text(
        body,
        &[
            "violated-directive",
            "violatedDirective",
            "violated_directive",
        ],
    )
    .unwrap_or_default();
    let effective = text(
        body,
        &[
            "effective-directive",
            "effectiveDirective",
            "effective_directive",
        ],
    )
    .filter(|directive| !directive.trim().is_empty())
    .unwrap_or(violated);
    let directive = known_directive(effective)?;
    let blocked = text(
        body,
        &["blocked-uri", "blockedURL", "blockedURI", "blocked_uri"],
    )
    .filter(|uri| !uri.is_empty())
    .unwrap_or("self");
    let blocked = without_secrets(blocked);
    let document = text(
        body,
        &["document-uri", "documentURL", "documentURI", "document_uri"],
    );
    let referrer = text(body, &["referrer"]);
    let bare_blocked = bare(blocked);
    let blocked_host = host(&bare_blocked).unwrap_or(&bare_blocked);
    Some(Report {
        kind: "csp",
        message: message(directive, violated, &bare_blocked),
        culprit: culprit(
            if violated.is_empty() {
                directive
            } else {
                violated
            },
            document,
        ),
        tags: map([
            ("effective-directive", Node::text(directive)),
            ("blocked-host", Node::text(blocked_host.to_owned())),
            ("blocked-uri", Node::text(bare_blocked)),
        ]),
        fields: fields(body, directive, violated, blocked, document),
        url: document.map(str::to_owned),
        referrer: referrer.map(str::to_owned),
        user_agent: None,
    })
}

fn fields(
    body: &Map<'_>,
    directive: &'static str,
    violated: &str,
    blocked: &str,
    document: Option<&str>,
) -> Map<'static> {
    let kept = |names: &[&str]| match text(body, names) {
        Some(text) => Node::text(text.to_owned()),
        None => Node::Null,
    };
    map([
        ("effective_directive", Node::text(directive)),
        ("violated_directive", Node::text(violated.to_owned())),
        ("blocked_uri", Node::text(blocked.to_owned())),
        ("document_uri", super::text_or_null(document)),
        (
            "original_policy",
            kept(&["original-policy", "originalPolicy", "original_policy"]),
        ),
        ("referrer", kept(&["referrer"])),
        ("disposition", kept(&["disposition"])),
        (
            "status_code",
            number(body, &["status-code", "statusCode", "status_code"]),
        ),
        (
            "line_number",
            number(body, &["line-number", "lineNumber", "line_number"]),
        ),
        (
            "column_number",
            number(body, &["column-number", "columnNumber", "column_number"]),
        ),
        (
            "source_file",
            kept(&["source-file", "sourceFile", "source_file"]),
        ),
        (
            "script_sample",
            kept(&["script-sample", "scriptSample", "script_sample", "sample"]),
        ),
    ])
}

fn text<'m>(body: &'m Map<'_>, names: &[&str]) -> Option<&'m str> {
    names.iter().find_map(|name| body.str(name))
}

/// A number, also one that was sent as a text; else null.
fn number(body: &Map<'_>, names: &[&str]) -> Node<'static> {
    let found = names.iter().find_map(|name| body.get(name));
    let number = match found {
        Some(Node::Number(number)) => number.as_u64(),
        Some(Node::Text(text)) => text.trim().parse().ok(),
        _ => None,
    };
    number.map_or(Node::Null, |number: u64| Node::Number(number.into()))
}

/// The directive is the first word: some browsers send its sources after it.
fn known_directive(text: &str) -> Option<&'static str> {
    let word = text.split_ascii_whitespace().next()?.to_ascii_lowercase();
    let at = DIRECTIVES.binary_search(&&*word).ok()?;
    Some(DIRECTIVES[at])
}

/// Stripe's URLs carry what a card's owner typed (facts/ingestion.md 1.6).
fn without_secrets(uri: &str) -> &str {
    if host(uri).is_some_and(|host| host.eq_ignore_ascii_case("api.stripe.com")) {
        uri.split(['?', '#']).next().unwrap_or_default()
    } else {
        uri
    }
}

/// What a person reads first, such as `Blocked 'script' from 'bad.example.test'`.
fn message(directive: &str, violated: &str, blocked: &str) -> String {
    let what = noun(directive);
    let is_inline = blocked == "inline" || violated.contains("'unsafe-inline'");
    let is_eval = matches!(blocked, "eval" | "wasm-eval") || violated.contains("'unsafe-eval'");
    match blocked {
        "inline" | "eval" | "wasm-eval" | "self" | "'self'" if what == "script" => {
            match (is_inline, is_eval) {
                (true, false) => "Blocked unsafe inline 'script'".to_owned(),
                (false, true) => "Blocked unsafe eval 'script'".to_owned(),
                _ => "Blocked unsafe (eval() or inline) 'script'".to_owned(),
            }
        }
        "inline" | "self" | "'self'" => format!("Blocked inline '{what}'"),
        _ if directive == "form-action" => {
            format!(
                "Blocked 'form' action to '{}'",
                host(blocked).unwrap_or(blocked)
            )
        }
        _ => format!(
            "Blocked '{what}' from '{}'",
            host(blocked).unwrap_or(blocked)
        ),
    }
}

/// What a directive is about.
fn noun(directive: &str) -> &str {
    match directive {
        "img-src" => "image",
        "base-uri" => "base",
        "form-action" => "form",
        "frame-ancestors" => "frame",
        "navigate-to" => "navigation",
        _ => match directive.split_once("-src") {
            Some((what, "" | "-elem" | "-attr")) => what,
            _ => directive,
        },
    }
}

/// The directive as it was violated, with the document's own origin as `'self'`, so that every page of a site
/// tells the same.
fn culprit(violated: &str, document: Option<&str>) -> String {
    let own = document.and_then(|url| Some((url, host(url)?)));
    let words = violated.split_ascii_whitespace().map(|word| match own {
        Some((url, host)) if is_origin(word, url, host) => "'self'".to_owned(),
        _ if word.contains("://") => bare(word),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Whether a source of a directive is a document's origin, with or without its scheme.
fn is_origin(source: &str, document: &str, document_host: &str) -> bool {
    match source.split_once("://") {
        Some((scheme, _)) => {
            host(source).is_some_and(|host| host.eq_ignore_ascii_case(document_host))
                && document
                    .split_once("://")
                    .is_some_and(|(own, _)| own.eq_ignore_ascii_case(scheme))
                && !source[scheme.len() + 3..]
                    .trim_end_matches('/')
                    .contains('/')
        }
        None => source.eq_ignore_ascii_case(document_host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(body: &str) -> Option<Report> {
        read(&Map::parse(body.as_bytes()).unwrap())
    }

    #[test]
    fn the_message_says_what_was_blocked_and_from_where() {
        for (directive, blocked, violated, expected) in [
            (
                "img-src",
                "https://i.test:8080/x.png",
                "",
                "Blocked 'image' from 'i.test'",
            ),
            (
                "script-src-elem",
                "https://s.test/",
                "",
                "Blocked 'script' from 's.test'",
            ),
            ("script-src", "inline", "", "Blocked unsafe inline 'script'"),
            ("script-src", "eval", "", "Blocked unsafe eval 'script'"),
            (
                "script-src",
                "",
                "script-src 'unsafe-eval'",
                "Blocked unsafe eval 'script'",
            ),
            (
                "script-src",
                "self",
                "script-src x",
                "Blocked unsafe (eval() or inline) 'script'",
            ),
            ("style-src", "inline", "", "Blocked inline 'style'"),
            ("font-src", "data", "", "Blocked 'font' from 'data'"),
            (
                "form-action",
                "https://f.test/x",
                "",
                "Blocked 'form' action to 'f.test'",
            ),
            (
                "trusted-types",
                "trusted-types-policy",
                "",
                "Blocked 'trusted-types' from 'trusted-types-policy'",
            ),
        ] {
            let body = format!(
                r#"{{"effective-directive":"{directive}","blocked-uri":"{blocked}","violated-directive":"{violated}"}}"#
            );
            assert_eq!(report(&body).unwrap().message, expected);
        }
    }

    #[test]
    fn the_documents_own_origin_is_self_in_the_culprit() {
        for (violated, expected) in [
            ("img-src https://a.test b.test", "img-src 'self' b.test"),
            ("img-src a.test", "img-src 'self'"),
            (
                "img-src http://a.test https://a.test/x",
                "img-src http://a.test https://a.test/x",
            ),
            ("img-src", "img-src"),
        ] {
            let body = format!(
                r#"{{"violated-directive":"{violated}","document-uri":"https://a.test/page"}}"#
            );
            assert_eq!(report(&body).unwrap().culprit, expected);
        }
    }

    #[test]
    fn every_spelling_of_a_field_is_read() {
        for body in [
            r#"{"effective-directive":"img-src x","status-code":"7","script-sample":"s","source-file":"f"}"#,
            r#"{"effectiveDirective":"IMG-SRC","statusCode":7,"sample":"s","sourceFile":"f"}"#,
            r#"{"violated_directive":"img-src x","status_code":" 7","script_sample":"s","source_file":"f"}"#,
        ] {
            let fields = report(body).unwrap().fields;
            assert_eq!(fields.str("effective_directive"), Some("img-src"), "{body}");
            assert_eq!(
                fields.get("status_code"),
                Some(&Node::Number(7.into())),
                "{body}"
            );
            assert_eq!(fields.str("script_sample"), Some("s"), "{body}");
            assert_eq!(fields.str("source_file"), Some("f"), "{body}");
            assert_eq!(fields.str("blocked_uri"), Some("self"), "{body}");
        }
    }

    #[test]
    fn a_payment_services_url_loses_what_was_typed() {
        let body = r#"{"violated-directive":"connect-src","blocked-uri":"https://api.stripe.com/v1/tokens?card[number]=4242#x"}"#;
        let report = report(body).unwrap();
        let uri = Some("https://api.stripe.com/v1/tokens");
        assert_eq!(report.fields.str("blocked_uri"), uri);
        assert_eq!(report.tags.str("blocked-uri"), uri);
    }

    #[test]
    fn what_the_default_rules_leave_alone_holds_no_secret_of_a_url() {
        for blocked in [
            "https://u:S3CRET@b.test/c?token=S3CRET#S3CRET",
            "u:S3CRET@b.test?S3CRET",
            "data:text/html,S3CRET",
        ] {
            for directive in ["img-src", "form-action", "script-src"] {
                let body = format!(
                    r#"{{"effective-directive":"{directive}","blocked-uri":"{blocked}","violated-directive":"{directive} https://u:S3CRET@c.test/?S3CRET"}}"#
                );
                let report = report(&body).unwrap();
                let tags = Node::Map(report.tags).to_json();
                for text in [&tags, &report.message, &report.culprit] {
                    assert!(!text.contains("S3CRET"), "{text}");
                }
                assert_eq!(report.fields.str("blocked_uri"), Some(blocked));
                assert_eq!(
                    report.culprit,
                    format!("{directive} https://c.test/"),
                    "{blocked}"
                );
            }
        }
    }

    #[test]
    fn only_a_known_directive_makes_a_report() {
        assert!(DIRECTIVES.is_sorted());
        for body in [
            "{}",
            r#"{"effective-directive":"x-src"}"#,
            r#"{"violated-directive":" "}"#,
        ] {
            assert!(report(body).is_none(), "{body}");
        }
    }
}
