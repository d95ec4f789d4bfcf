//! Messages that were made by tests/saml/generate.js with other people's code: every good one is accepted, and every
//! bad one is refused for its own reason.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::logout::{self, Logout};
use super::provider::Fields;
use super::response::{self, Expected, Person};
use super::{AttributeMap, Failure, Provider, Reason, Refusal, ServiceProvider, sign_in_url};
use crate::domain::Error;
use crate::domain::dsn::UrlPrefix;
use crate::domain::single_sign_on::NameId;
use crate::domain::slug::{Slug, SlugKind};
use crate::domain::time::Timestamp;

const EMAIL_FORMAT: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress";

fn vectors() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/saml/vectors")
}

pub(super) fn vector(file: &str) -> String {
    let path = vectors().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The moment for which the messages were made.
fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2030-01-01T00:00:00Z").unwrap()
}

fn service() -> ServiceProvider {
    let prefix = UrlPrefix::parse("https://picket.example.test").unwrap();
    ServiceProvider::new(
        &prefix,
        &Slug::parse(SlugKind::Organization, "acme").unwrap(),
    )
}

pub(super) fn attribute_map() -> AttributeMap {
    AttributeMap {
        identifier: "uid".to_owned(),
        user_email: "email".to_owned(),
        first_name: Some("first".to_owned()),
        last_name: Some("last".to_owned()),
        groups: Some("groups".to_owned()),
    }
}

pub(super) fn fields() -> Fields {
    Fields {
        entity_id: "https://idp.example.test/metadata".to_owned(),
        sso_url: "https://idp.example.test/sso".to_owned(),
        slo_url: "https://idp.example.test/slo?tenant=1".to_owned(),
        certificates: ["idp.crt", "next.crt", "curve.crt"].map(vector).to_vec(),
    }
}

fn provider() -> Provider {
    Provider::new(&fields(), &attribute_map()).unwrap()
}

fn check_with(
    xml: &str,
    provider: &Provider,
    allow_unsolicited: bool,
    now: Timestamp,
) -> Result<Person, Failure> {
    response::check(
        &STANDARD.encode(xml),
        &Expected {
            provider,
            service: &service(),
            requests: &["_request0".to_owned(), "_request1".to_owned()],
            allow_unsolicited,
            now,
        },
        |_| Ok(true),
    )
}

fn check(xml: &str) -> Result<Person, Failure> {
    check_with(xml, &provider(), true, now())
}

fn refusal<T: std::fmt::Debug>(found: Result<T, Failure>) -> Refusal {
    match found {
        Err(Failure::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

fn ann() -> Person {
    Person {
        request: Some("_request1".to_owned()),
        name_id: Some(NameId {
            value: "ann@example.test".to_owned(),
            format: Some(EMAIL_FORMAT.to_owned()),
            name_qualifier: None,
            sp_name_qualifier: None,
        }),
        session_index: Some("_session1".to_owned()),
        session_ends: None,
        identifier: "u-17".to_owned(),
        email: "ann@example.test".to_owned(),
        first_name: Some("Ann".to_owned()),
        last_name: Some("Example".to_owned()),
        groups: vec!["dev".to_owned(), "ops".to_owned()],
    }
}

#[test]
fn what_is_signed_signs_in() {
    for name in [
        "good_assertion_signed",
        "good_response_signed",
        "good_both_signed",
        "good_inclusive_form",
        "good_response_inclusive_form",
        "good_kept_prefixes",
        "good_sha512",
        "good_ecdsa",
        "good_next_key",
        "good_without_key_info",
        "good_default_namespaces",
        "good_samlp_assertion",
        "good_samlp_response",
        "good_samlp_both",
        "good_samlp_prefixes",
    ] {
        assert_eq!(
            check(&vector(&format!("{name}.xml"))).unwrap(),
            ann(),
            "{name}"
        );
    }
}

#[test]
fn texts_are_read_whole() {
    let escaped = check(&vector("good_escaped_text.xml")).unwrap();
    assert_eq!(escaped.email, "a&b'c@example.test");
    let reference = check(&vector("good_character_reference.xml")).unwrap();
    assert_eq!(reference.email, "ann@example.test.evil.test");
    assert_eq!(
        reference.name_id.unwrap().value,
        "ann@example.test.evil.test"
    );
}

#[test]
fn a_session_may_have_an_end() {
    let person = check(&vector("good_session_end.xml")).unwrap();
    assert_eq!(person.session_ends, Some(now().plus_secs(3600)));
}

#[test]
fn the_name_of_the_subject_can_be_the_identifier_if_it_lasts() {
    let mut map = attribute_map();
    map.identifier = "NameID".to_owned();
    map.user_email = "NameID".to_owned();
    let provider = Provider::new(&fields(), &map).unwrap();
    let found = |name| check_with(&vector(name), &provider, false, now());
    let person = found("good_name_id_alone.xml").unwrap();
    assert_eq!(
        (&*person.identifier, &*person.email),
        ("ann@example.test", "ann@example.test")
    );
    for name in ["good_transient_name_id.xml", "good_without_name_id.xml"] {
        let reason = refusal(found(name)).reason;
        assert!(
            matches!(reason, Reason::Attributes { .. }),
            "{name}: {reason:?}"
        );
        // Who is found by attributes needs no name.
        assert_eq!(check(&vector(name)).unwrap().identifier, "u-17");
    }
}

#[test]
fn sign_in_begins_at_the_provider_only_where_that_is_allowed() {
    let xml = vector("good_unsolicited.xml");
    let begun = check_with(&xml, &provider(), true, now()).unwrap();
    assert_eq!(begun.request, None);
    let refused = refusal(check_with(&xml, &provider(), false, now()));
    assert_eq!(refused.reason, Reason::Unsolicited);
}

/// Every bad answer, the reason for which it is refused, and a part of what the log says.
const BAD: &[(&str, Reason, &str)] = &[
    ("algorithm_absent", Reason::Algorithm, "SignatureMethod"),
    ("algorithm_none", Reason::Algorithm, "none"),
    ("assertion_issuer", Reason::Issuer, "Issuer matches IdP"),
    ("assertion_version", Reason::Unexpected, "another version"),
    ("audience", Reason::Audience, "not in any audience"),
    ("audience_longer", Reason::Audience, "not in any audience"),
    ("base64_transform", Reason::Shape, "base64"),
    ("changed_attribute", Reason::Signature, "digest"),
    ("changed_both", Reason::Signature, "digest"),
    ("changed_digest", Reason::Signature, "digest"),
    ("changed_name", Reason::Signature, "digest"),
    ("changed_name_response", Reason::Signature, "digest"),
    ("changed_response_only", Reason::Signature, "digest"),
    ("comment_in_digest", Reason::Unreadable, "a comment"),
    ("comment_in_name", Reason::Unreadable, "a comment"),
    (
        "confirmation_expired",
        Reason::Expired,
        "SubjectConfirmationData",
    ),
    ("confirmation_method", Reason::Confirmation, "No bearer"),
    (
        "confirmation_not_before",
        Reason::Confirmation,
        "NotBefore MUST NOT",
    ),
    ("cut_by_cdata", Reason::Unreadable, "CDATA"),
    ("cut_by_comment", Reason::Unreadable, "a comment"),
    (
        "cut_by_element",
        Reason::Shape,
        "NameID is more than a text",
    ),
    (
        "cut_by_instruction",
        Reason::Unreadable,
        "a processing instruction",
    ),
    ("date", Reason::Unexpected, "today"),
    ("denied", Reason::Denied, "status:AuthnFailed"),
    ("denied_signed", Reason::Denied, "status:Requester"),
    ("destination", Reason::Destination, "other.example.test"),
    ("document_type", Reason::Unreadable, "a document type"),
    ("email", Reason::Email, "no address"),
    (
        "empty_signature_value",
        Reason::Unsigned,
        "SignatureValue is empty",
    ),
    ("encrypted", Reason::Encrypted, "EncryptedAssertion"),
    ("encrypted_name", Reason::Encrypted, "EncryptedID"),
    ("entity", Reason::Unreadable, "a document type"),
    ("expired", Reason::Expired, "at/after NotOnOrAfter"),
    ("external_entity", Reason::Unreadable, "a document type"),
    ("form_with_comments", Reason::Shape, "WithComments"),
    ("from_the_future", Reason::NotYet, "in the future"),
    ("hmac_certificate", Reason::Algorithm, "hmac-sha1"),
    ("hmac_public_key", Reason::Algorithm, "hmac-sha1"),
    ("hmac_sha256_certificate", Reason::Algorithm, "hmac-sha256"),
    ("hmac_sha256_public_key", Reason::Algorithm, "hmac-sha256"),
    ("key_info_elsewhere", Reason::Shape, "RetrievalMethod"),
    (
        "key_value",
        Reason::Signature,
        "signature value verification failed",
    ),
    ("many_attributes", Reason::TooLarge, "too many attributes"),
    ("md5", Reason::Algorithm, "rsa-md5"),
    (
        "namespaced_algorithm",
        Reason::Shape,
        "foreign SignatureMethod",
    ),
    ("namespaced_id", Reason::Shape, "in a namespace"),
    ("no_assertion", Reason::Shape, "0 in all"),
    ("no_audience", Reason::Audience, "no AudienceRestriction"),
    ("no_conditions", Reason::Audience, "no Conditions"),
    ("no_statement", Reason::NoSignIn, "No AuthnStatement"),
    ("no_status", Reason::Unexpected, "no StatusCode"),
    ("no_transforms", Reason::Shape, "Reference holds"),
    ("not_a_response", Reason::Unexpected, "not a Response"),
    ("not_xml", Reason::Unreadable, "outside of root"),
    ("not_yet", Reason::NotYet, "before NotBefore"),
    ("old", Reason::Old, "max age"),
    (
        "other_key",
        Reason::Signature,
        "signature value verification failed",
    ),
    (
        "other_key_in_key_info",
        Reason::Signature,
        "signature value verification failed",
    ),
    (
        "other_key_inner",
        Reason::Signature,
        "signature value verification failed",
    ),
    (
        "other_key_outer",
        Reason::Signature,
        "signature value verification failed",
    ),
    ("recipient", Reason::Recipient, "other.example.test"),
    ("reference_absent", Reason::Shape, "the Reference to None"),
    (
        "reference_to_all",
        Reason::Shape,
        "the Reference to Some(\"\")",
    ),
    (
        "reference_to_attachment",
        Reason::Shape,
        "the Reference to Some(\"cid:x\")",
    ),
    (
        "reference_to_file",
        Reason::Shape,
        "the Reference to Some(\"Cargo.toml\")",
    ),
    (
        "reference_to_pointer",
        Reason::Shape,
        "the Reference to Some(\"#xpointer",
    ),
    (
        "reference_to_response",
        Reason::Shape,
        "the Reference to Some(\"#_response1\")",
    ),
    ("reference_to_root", Reason::Shape, "no good ID"),
    (
        "reference_to_url",
        Reason::Shape,
        "the Reference to Some(\"http:",
    ),
    ("request", Reason::Request, "it answers \"_request2\""),
    (
        "request_in_assertion",
        Reason::Request,
        "Expected '_request1', got '_request2'",
    ),
    (
        "request_stripped",
        Reason::Request,
        "no matching outstanding request",
    ),
    ("response_issuer", Reason::Issuer, "the Response is of"),
    ("samlp_encrypted", Reason::Encrypted, "EncryptedAssertion"),
    ("session_over", Reason::Expired, "Session expired"),
    ("sha1_digest", Reason::Algorithm, "DigestMethod"),
    ("sha1_signature", Reason::Algorithm, "SignatureMethod"),
    (
        "signature_in_status",
        Reason::Shape,
        "outside of Response and Assertion",
    ),
    (
        "signature_namespace",
        Reason::Shape,
        "Signature of another namespace",
    ),
    (
        "signature_nested",
        Reason::Shape,
        "outside of Response and Assertion",
    ),
    ("signature_object", Reason::Shape, "foreign x"),
    ("signature_text", Reason::Shape, "Signature holds"),
    (
        "two_algorithm_attributes",
        Reason::Shape,
        "two attributes \"Algorithm\"",
    ),
    ("two_assertions", Reason::Shape, "2 in all"),
    ("two_digests", Reason::Shape, "Reference holds"),
    ("two_ids", Reason::Shape, "two IDs"),
    ("two_ids_by_case", Reason::Shape, "two IDs"),
    ("two_references", Reason::Shape, "SignedInfo holds"),
    ("two_roots", Reason::Unreadable, "Only one root"),
    (
        "two_signatures",
        Reason::Shape,
        "not the one of the Response or the Assertion",
    ),
    ("two_signed_infos", Reason::Shape, "Signature holds"),
    ("unsigned", Reason::Unsigned, "no Signature"),
    ("version", Reason::Unexpected, "another version"),
    ("wrap_1", Reason::Shape, "more than one Response"),
    ("wrap_1_object", Reason::Shape, "more than one Response"),
    ("wrap_2", Reason::Shape, "more than one Response"),
    ("wrap_3", Reason::Shape, "2 in all"),
    ("wrap_3_after", Reason::Shape, "2 in all"),
    ("wrap_3_same_id", Reason::Shape, "two IDs"),
    ("wrap_4", Reason::Shape, "2 in all"),
    ("wrap_5", Reason::Shape, "2 in all"),
    ("wrap_5_same_id", Reason::Shape, "two IDs"),
    ("wrap_6", Reason::Shape, "2 in all"),
    ("wrap_7", Reason::Shape, "2 in all"),
    ("wrap_7_same_id", Reason::Shape, "two IDs"),
    ("wrap_8", Reason::Shape, "2 in all"),
    ("wrap_advice", Reason::Shape, "2 in all"),
    ("wrap_attribute_value", Reason::Shape, "2 in all"),
    ("wrap_encrypted", Reason::Encrypted, "EncryptedAssertion"),
    ("wrap_other_namespace", Reason::Shape, "2 in all"),
    (
        "wrap_request",
        Reason::Unexpected,
        "AuthnRequest element is not allowed",
    ),
    ("wrap_sibling", Reason::Shape, "2 in all"),
    (
        "wrap_whole_response",
        Reason::Shape,
        "more than one Response",
    ),
    ("xml_id", Reason::Shape, "in a namespace"),
    ("xpath", Reason::Shape, "more than two transforms"),
    ("xpath_alone", Reason::Shape, "xmldsig-filter2"),
    ("xslt", Reason::Shape, "foreign stylesheet"),
    ("xslt_alone", Reason::Shape, "xslt"),
];

#[test]
fn what_is_not_good_is_refused_for_its_own_reason() {
    for (name, reason, part) in BAD {
        let refused = refusal(check(&vector(&format!("bad_{name}.xml"))));
        assert_eq!(refused.reason, *reason, "{name}: {}", refused.detail);
        assert!(refused.detail.contains(part), "{name}: {}", refused.detail);
    }
}

#[test]
fn missing_values_are_told_with_the_names_that_came() {
    for (name, missing, received) in [
        (
            "bad_no_attributes.xml",
            &["uid", "email"][..],
            &["mail"][..],
        ),
        (
            "bad_empty_email.xml",
            &["email"],
            &["uid", "email", "first", "last", "groups"],
        ),
    ] {
        let refused = refusal(check(&vector(name)));
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let expected = Reason::Attributes {
            missing: owned(missing),
            received: owned(received),
        };
        assert_eq!(refused.reason, expected);
        let text = refused.reason.to_string();
        assert!(
            text.contains(&missing.join(", ")) && text.contains(&received.join(", ")),
            "{text}"
        );
    }
}

#[test]
fn no_message_is_left_out() {
    let files = std::fs::read_dir(vectors()).unwrap();
    let there: BTreeSet<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| Some(name.strip_suffix(".xml")?.strip_prefix("bad_")?.to_owned()))
        .collect();
    let tested = BAD.iter().map(|(name, ..)| (*name).to_owned());
    let elsewhere = ["no_attributes", "empty_email"].map(str::to_owned);
    assert_eq!(tested.chain(elsewhere).collect::<BTreeSet<_>>(), there);
}

#[test]
fn an_answer_signs_in_once() {
    let seen = Cell::new(Vec::new());
    let sign_in = |new: bool| {
        response::check(
            &STANDARD.encode(vector("good_both_signed.xml")),
            &Expected {
                provider: &provider(),
                service: &service(),
                requests: &["_request1".to_owned()],
                allow_unsolicited: false,
                now: now(),
            },
            |message| {
                let mut messages = seen.take();
                messages.push((message.id, message.keep_until));
                seen.set(messages);
                Ok(new)
            },
        )
    };
    assert_eq!(sign_in(true).unwrap(), ann());
    assert_eq!(refusal(sign_in(false)).reason, Reason::Replayed);
    let seen = seen.take();
    assert_eq!(seen[0].0, "assertion _assertion1");
    assert_eq!(seen[0], seen[1]);
    // As long as it is remembered it would be good but for that, and after that it is not.
    let after = check_with(
        &vector("good_both_signed.xml"),
        &provider(),
        false,
        seen[0].1,
    );
    assert!(matches!(
        refusal(after).reason,
        Reason::Expired | Reason::Old
    ));
}

#[test]
fn a_bad_answer_is_not_remembered() {
    for (name, ..) in BAD {
        let found = response::check(
            &STANDARD.encode(vector(&format!("bad_{name}.xml"))),
            &Expected {
                provider: &provider(),
                service: &service(),
                requests: &["_request1".to_owned()],
                allow_unsolicited: false,
                now: now(),
            },
            |message| panic!("{name} is remembered as {}", message.id),
        );
        assert!(matches!(found, Err(Failure::Refused(_))), "{name}");
    }
}

#[test]
fn an_answer_that_cannot_be_remembered_is_not_taken() {
    let found = response::check(
        &STANDARD.encode(vector("good_both_signed.xml")),
        &Expected {
            provider: &provider(),
            service: &service(),
            requests: &["_request1".to_owned()],
            allow_unsolicited: false,
            now: now(),
        },
        |_| {
            Err(Error::Unavailable {
                retry_after_secs: 1,
            })
        },
    );
    assert!(
        matches!(found, Err(Failure::Failed(Error::Unavailable { .. }))),
        "{found:?}"
    );
}

#[test]
fn the_clock_has_a_minute_to_differ() {
    let xml = vector("good_assertion_signed.xml");
    let at = |secs| check_with(&xml, &provider(), false, now().plus_secs(secs));
    // It is valid from 30 seconds before to 240 seconds after, and was made one second before.
    for secs in [-61, 0, 298] {
        assert!(at(secs).is_ok(), "{secs}");
    }
    for (secs, reason) in [
        (-62, Reason::NotYet),
        (-91, Reason::NotYet),
        (300, Reason::Expired),
        (301, Reason::Expired),
    ] {
        assert_eq!(refusal(at(secs)).reason, reason, "{secs}");
    }
}

#[test]
fn a_certificate_that_is_taken_away_no_longer_signs() {
    let mut fields = fields();
    fields.certificates.truncate(1);
    let provider = Provider::new(&fields, &attribute_map()).unwrap();
    let found = |name| check_with(&vector(name), &provider, false, now());
    assert!(found("good_assertion_signed.xml").is_ok());
    for name in ["good_next_key.xml", "good_ecdsa.xml"] {
        assert_eq!(refusal(found(name)).reason, Reason::Signature, "{name}");
    }
}

#[test]
fn answers_to_others_are_refused() {
    let xml = vector("good_assertion_signed.xml");
    let check = |service: &ServiceProvider, requests: &[&str]| {
        let requests: Vec<String> = requests.iter().map(|id| (*id).to_owned()).collect();
        let provider = provider();
        response::check(
            &STANDARD.encode(&xml),
            &Expected {
                provider: &provider,
                service,
                requests: &requests,
                allow_unsolicited: true,
                now: now(),
            },
            |_| Ok(true),
        )
    };
    assert!(check(&service(), &["_request1"]).is_ok());
    // An answer to a request is not unsolicited.
    assert_eq!(refusal(check(&service(), &[])).reason, Reason::Request);
    let mut other = service();
    other.entity_id = "https://picket.example.test/saml/metadata/other/".to_owned();
    assert_eq!(
        refusal(check(&other, &["_request1"])).reason,
        Reason::Audience
    );
    let mut other = service();
    other.acs_url = "https://picket.example.test/saml/acs/other/".to_owned();
    assert_eq!(
        refusal(check(&other, &["_request1"])).reason,
        Reason::Destination
    );
}

#[test]
fn what_is_posted_is_bounded_and_may_have_lines() {
    let expected = |value: &str| {
        response::check(
            value,
            &Expected {
                provider: &provider(),
                service: &service(),
                requests: &["_request1".to_owned()],
                allow_unsolicited: false,
                now: now(),
            },
            |_| Ok(true),
        )
    };
    let base64 = STANDARD.encode(vector("good_assertion_signed.xml"));
    let mut lines = String::new();
    for (at, c) in base64.chars().enumerate() {
        lines.push(c);
        if at % 76 == 75 {
            lines.push_str("\r\n");
        }
    }
    assert_eq!(expected(&lines).unwrap(), ann());
    assert_eq!(
        refusal(expected(&"A".repeat(256 * 1024 + 4))).reason,
        Reason::TooLarge
    );
    for wrong in ["", "=", "ä", &base64[1..], &STANDARD.encode([0xff, 0xfe])] {
        let reason = refusal(expected(wrong)).reason;
        assert!(
            matches!(reason, Reason::Unreadable | Reason::Unexpected),
            "{wrong:?}: {reason:?}"
        );
    }
}

/// A small generator that gives the same numbers on every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

#[test]
fn a_changed_answer_says_the_same_or_nothing() {
    let pieces: [&[u8]; 12] = [
        b"<x/>",
        b"&#46;",
        b" ",
        b"\n",
        b"<!---->",
        b"&lt;",
        b"\"",
        b"xmlns=''",
        b"<saml:NameID>root</saml:NameID>",
        b"ID=\"_x\"",
        b"]]>",
        b"\0",
    ];
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut fields = fields();
    fields.certificates.truncate(1);
    let provider = Provider::new(&fields, &attribute_map()).unwrap();
    let mut accepted = 0;
    for name in [
        "good_assertion_signed.xml",
        "good_both_signed.xml",
        "good_response_inclusive_form.xml",
    ] {
        let good = vector(name).into_bytes();
        for _ in 0..1000 {
            let mut changed = good.clone();
            for _ in 0..=numbers.below(2) {
                let at = numbers.below(changed.len());
                match numbers.below(4) {
                    0 => changed[at] ^= 1 << numbers.below(7),
                    1 => {
                        let end = (at + 1 + numbers.below(40)).min(changed.len());
                        changed.drain(at..end);
                    }
                    2 => {
                        let piece = pieces[numbers.below(pieces.len())];
                        changed.splice(at..at, piece.iter().copied());
                    }
                    // A part again, somewhere else: the beginning of every wrapping.
                    _ => {
                        let from = numbers.below(changed.len());
                        let to = (from + numbers.below(600)).min(changed.len());
                        let part = changed[from..to].to_vec();
                        changed.splice(at..at, part);
                    }
                }
            }
            let Ok(changed) = String::from_utf8(changed) else {
                continue;
            };
            match check_with(&changed, &provider, false, now()) {
                Ok(person) => {
                    accepted += 1;
                    assert_eq!(person, ann(), "{changed}");
                }
                Err(Failure::Refused(_)) => {}
                Err(Failure::Failed(error)) => panic!("{error}"),
            }
        }
    }
    // Changes of what is not signed (the answer around an assertion) go through, so the test can see one that should
    // not.
    assert!(accepted > 0);
}

/// Documents that would be slow if anything looked at each part once per part.
#[test]
fn hostile_documents_are_refused_in_time() {
    let good = vector("good_assertion_signed.xml");
    let within = |what: String| {
        good.replace(
            "<samlp:Status>",
            &format!("<samlp:Extensions>{what}</samlp:Extensions><samlp:Status>"),
        )
    };
    let many =
        |count: usize, part: &dyn Fn(usize) -> String| (0..count).map(part).collect::<String>();
    for (name, xml, reason) in [
        (
            "attributes",
            within(format!("<x {}/>", many(15_000, &|n| format!("a{n}='' ")))),
            Some(Reason::TooLarge),
        ),
        (
            "namespaces",
            within(format!(
                "<x {}/>",
                many(8_000, &|n| format!("xmlns:a{n}='u' "))
            )),
            Some(Reason::TooLarge),
        ),
        (
            "hidden attributes",
            within(format!(
                "<y>'</y><x {}/>",
                many(15_000, &|n| format!("a{n}='' "))
            )),
            Some(Reason::TooLarge),
        ),
        (
            "elements",
            within("<x/>".repeat(45_000)),
            Some(Reason::TooLarge),
        ),
        (
            "ids",
            within(many(4_000, &|n| format!("<x ID='i{n}'/>"))),
            None,
        ),
        (
            "depth",
            within("<x>".repeat(9_000)),
            Some(Reason::Unreadable),
        ),
        (
            "depth allowed",
            within(format!("{}{}", "<x>".repeat(100), "</x>".repeat(100))),
            None,
        ),
        ("references", within("&#65;".repeat(35_000)), None),
        (
            "signatures",
            within("<Signature xmlns='http://www.w3.org/2000/09/xmldsig#'/>".repeat(3_000)),
            Some(Reason::Shape),
        ),
    ] {
        let begun = std::time::Instant::now();
        match (check(&xml), reason) {
            (Ok(person), None) => assert_eq!(person, ann(), "{name}"),
            (found, reason) => assert_eq!(Some(refusal(found).reason), reason, "{name}"),
        }
        // Some milliseconds when optimized; far from what a mistake here takes.
        assert!(
            begun.elapsed().as_secs() < 5,
            "{name}: {:?}",
            begun.elapsed()
        );
    }
}

fn logouts() -> BTreeMap<String, String> {
    vector("logout.txt")
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, query)| (name.to_owned(), query.to_owned()))
        .collect()
}

fn check_logout(query: &str) -> Result<Logout, Failure> {
    let requests = ["_logout0".to_owned(), "_logout2".to_owned()];
    logout::check(query, &provider(), &service(), &requests, now(), |_| {
        Ok(true)
    })
}

#[test]
fn a_provider_asks_to_sign_out_and_answers() {
    let all = logouts();
    let asked = |relay_state: Option<&str>| Logout::Asked {
        id: "_logout1".to_owned(),
        name_id: ann().name_id.unwrap(),
        session_indexes: vec!["_session1".to_owned()],
        relay_state: relay_state.map(str::to_owned),
    };
    let answered = |complete| Logout::Answered {
        request: "_logout2".to_owned(),
        complete,
    };
    for (name, expected) in [
        ("good_request", asked(Some("state-1"))),
        ("good_request_without_state", asked(None)),
        ("good_request_next_key", asked(Some("state-1"))),
        ("good_answer", answered(true)),
        ("good_partial_answer", answered(false)),
        ("good_failed_answer", answered(false)),
    ] {
        assert_eq!(check_logout(&all[name]).unwrap(), expected, "{name}");
    }
}

#[test]
fn samlp_asks_to_sign_out() {
    match check_logout(&logouts()["good_samlp_request"]).unwrap() {
        Logout::Asked {
            name_id,
            session_indexes,
            relay_state,
            ..
        } => {
            assert_eq!(Some(name_id), ann().name_id);
            assert_eq!(session_indexes, ["_session1"]);
            assert_eq!(relay_state.map(|state| state.len()), Some(16));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_not_good_signs_nobody_out() {
    let mut all = logouts();
    for (name, reason, part) in [
        (
            "other_key",
            Reason::Signature,
            "signature value verification failed",
        ),
        ("sha1", Reason::Algorithm, "rsa-sha1"),
        ("hmac", Reason::Algorithm, "hmac-sha256"),
        ("none", Reason::Algorithm, "none"),
        (
            "changed_state",
            Reason::Signature,
            "signature value verification failed",
        ),
        (
            "state_taken",
            Reason::Signature,
            "signature value verification failed",
        ),
        (
            "changed_request",
            Reason::Signature,
            "signature value verification failed",
        ),
        (
            "other_encoding",
            Reason::Signature,
            "signature value verification failed",
        ),
        ("unsigned", Reason::Unsigned, "no SigAlg"),
        ("without_signature", Reason::Unsigned, "no Signature"),
        ("twice", Reason::Unreadable, "duplicate"),
        ("both", Reason::Unreadable, "both"),
        ("bomb", Reason::TooLarge, ""),
        ("not_packed", Reason::Unreadable, "DEFLATE"),
        ("document_type", Reason::Unreadable, "a document type"),
        ("comment", Reason::Unreadable, "a comment"),
        ("destination", Reason::Destination, "other.example.test"),
        ("no_destination", Reason::Destination, "None"),
        ("issuer", Reason::Issuer, "other.example.test"),
        ("version", Reason::Unexpected, "another version"),
        ("old", Reason::Old, "2029-12-31T23:53:59Z"),
        ("expired", Reason::Expired, "NotOnOrAfter"),
        ("from_the_future", Reason::NotYet, "2030-01-01T00:01:01Z"),
        ("nobody", Reason::Unexpected, ""),
        ("encrypted_name", Reason::Encrypted, "EncryptedID"),
        ("other_message", Reason::Unexpected, "LogoutRequest"),
        ("answer_as_request", Reason::Unexpected, "LogoutRequest"),
        ("answer_request", Reason::Request, "_logout9"),
        ("answer_issuer", Reason::Issuer, "other.example.test"),
        (
            "answer_destination",
            Reason::Destination,
            "other.example.test",
        ),
        ("answer_old", Reason::Old, "2029-12-31T23:53:59Z"),
        ("answer_unsigned", Reason::Unsigned, "no SigAlg"),
    ] {
        let query = all.remove(&format!("bad_{name}")).unwrap();
        let found = logout::check(
            &query,
            &provider(),
            &service(),
            &["_logout2".to_owned()],
            now(),
            |message| panic!("{name} is remembered as {}", message.id),
        );
        let refused = refusal(found);
        assert_eq!(refused.reason, reason, "{name}: {}", refused.detail);
        assert!(refused.detail.contains(part), "{name}: {}", refused.detail);
    }
    all.retain(|name, _| name.starts_with("bad_"));
    assert!(all.is_empty(), "{:?}", all.keys());
    for wrong in [
        "",
        "SAMLRequest",
        "SAMLRequest=",
        "SAMLRequest=%",
        "SAMLRequest=%ff%fe",
        "x=y",
    ] {
        let reason = refusal(check_logout(wrong)).reason;
        assert!(
            matches!(reason, Reason::Unreadable | Reason::Unsigned),
            "{wrong:?}: {reason:?}"
        );
    }
    assert_eq!(
        refusal(check_logout(&"a".repeat(256 * 1024 + 1))).reason,
        Reason::TooLarge
    );
}

#[test]
fn a_request_to_sign_out_is_taken_once() {
    let query = &logouts()["good_request"];
    let found = logout::check(query, &provider(), &service(), &[], now(), |message| {
        assert_eq!(message.id, "logout _logout1");
        Ok(false)
    });
    assert_eq!(refusal(found).reason, Reason::Replayed);
}

/// The message of a URL of ours, and the other parameters.
fn unpack(url: &str, at: &str) -> (String, Vec<(String, String)>) {
    let query = url.strip_prefix(at).unwrap_or_else(|| panic!("{url}"));
    let mut parameters: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let packed = STANDARD.decode(parameters.remove(0).1).unwrap();
    let mut xml = String::new();
    let mut unpacker = flate2::read::DeflateDecoder::new(&packed[..]);
    std::io::Read::read_to_string(&mut unpacker, &mut xml).unwrap();
    (xml, parameters)
}

#[test]
fn a_browser_is_sent_to_sign_in() {
    let (id, url) = sign_in_url(&provider(), &service(), now()).unwrap();
    let (xml, others) = unpack(&url, "https://idp.example.test/sso?");
    assert_eq!(others, []);
    let (other, _) = sign_in_url(&provider(), &service(), now()).unwrap();
    assert!(id.len() == 33 && id.starts_with('_') && id != other, "{id}");
    assert_eq!(
        xml,
        format!(
            "<samlp:AuthnRequest xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
             xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"{id}\" Version=\"2.0\" \
             IssueInstant=\"2030-01-01T00:00:00Z\" Destination=\"https://idp.example.test/sso\" \
             AssertionConsumerServiceURL=\"https://picket.example.test/saml/acs/acme/\" \
             ProtocolBinding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\">\
             <saml:Issuer>https://picket.example.test/saml/metadata/acme/</saml:Issuer>\
             <samlp:NameIDPolicy AllowCreate=\"true\"/></samlp:AuthnRequest>"
        )
    );
}

#[test]
fn a_browser_is_sent_to_sign_out_and_back() {
    let mut name = ann().name_id.unwrap();
    name.value = "<ann & co>".to_owned();
    name.sp_name_qualifier = Some("\"us\"".to_owned());
    let asked = logout::request_url(&provider(), &service(), &name, Some("_session1"), now());
    let (id, url) = asked.unwrap().unwrap();
    let (xml, others) = unpack(&url, "https://idp.example.test/slo?tenant=1&");
    assert_eq!(others, []);
    assert_eq!(
        xml,
        format!(
            "<samlp:LogoutRequest xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
             xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"{id}\" Version=\"2.0\" \
             IssueInstant=\"2030-01-01T00:00:00Z\" Destination=\"https://idp.example.test/slo?tenant=1\" \
             NotOnOrAfter=\"2030-01-01T00:05:00Z\" Reason=\"urn:oasis:names:tc:SAML:2.0:logout:user\">\
             <saml:Issuer>https://picket.example.test/saml/metadata/acme/</saml:Issuer>\
             <saml:NameID Format=\"{EMAIL_FORMAT}\" SPNameQualifier=\"&quot;us&quot;\">&lt;ann &amp; co&gt;</saml:NameID>\
             <samlp:SessionIndex>_session1</samlp:SessionIndex></samlp:LogoutRequest>"
        )
    );

    let answer = logout::answer_url(
        &provider(),
        &service(),
        "_logout1",
        Some("a b&c=\"d"),
        now(),
    );
    let url = answer.unwrap().unwrap();
    let (xml, others) = unpack(&url, "https://idp.example.test/slo?tenant=1&");
    assert_eq!(others, [("RelayState".to_owned(), "a b&c=\"d".to_owned())]);
    let (start, rest) = xml.split_once(" ID=\"_").unwrap();
    assert_eq!(
        format!("{start}{}", &rest[33..]),
        "<samlp:LogoutResponse xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
         xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" Version=\"2.0\" IssueInstant=\"2030-01-01T00:00:00Z\" \
         Destination=\"https://idp.example.test/slo?tenant=1\" InResponseTo=\"_logout1\">\
         <saml:Issuer>https://picket.example.test/saml/metadata/acme/</saml:Issuer><samlp:Status>\
         <samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/></samlp:Status></samlp:LogoutResponse>"
    );
}

#[test]
fn a_provider_without_single_logout_is_not_sent_to() {
    let mut fields = fields();
    fields.slo_url = String::new();
    let provider = Provider::new(&fields, &attribute_map()).unwrap();
    let name = ann().name_id.unwrap();
    assert_eq!(
        logout::request_url(&provider, &service(), &name, None, now()).unwrap(),
        None
    );
    assert_eq!(
        logout::answer_url(&provider, &service(), "_logout1", None, now()).unwrap(),
        None
    );
}

mod configured {
    use super::super::metadata;
    use super::super::provider::Certificate;
    use super::*;

    fn texts(found: crate::domain::Result<impl std::fmt::Debug>) -> String {
        match found {
            Err(Error::Invalid(errors)) => errors.to_string(),
            other => panic!("not refused: {other:?}"),
        }
    }

    /// A provider's own document; `role` stands in it.
    fn document(role: &str) -> String {
        format!(
            "<?xml version='1.0'?>\n<!-- ours -->\n<md:EntityDescriptor \
             xmlns:md='urn:oasis:names:tc:SAML:2.0:metadata' entityID='https://idp.example.test/metadata'>\
             <md:IDPSSODescriptor protocolSupportEnumeration='urn:oasis:names:tc:SAML:2.0:protocol'>{role}\
             </md:IDPSSODescriptor></md:EntityDescriptor>"
        )
    }

    fn key(usage: &str, file: &str) -> String {
        let pem = vector(file);
        let base64 = pem
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect::<Vec<_>>()
            .join("\n");
        format!(
            "<md:KeyDescriptor {usage}><ds:KeyInfo xmlns:ds='http://www.w3.org/2000/09/xmldsig#'><ds:X509Data>\
             <ds:X509Certificate>\n{base64}\n</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
        )
    }

    fn endpoint(service: &str, binding: &str, url: &str) -> String {
        format!(
            "<md:{service} Binding='urn:oasis:names:tc:SAML:2.0:bindings:{binding}' Location='{url}'/>"
        )
    }

    #[test]
    fn a_provider_is_read_from_its_own_document() {
        let role = [
            key("use='encryption'", "mallory.crt"),
            key("use='signing'", "idp.crt"),
            key("", "next.crt"),
            key("use='signing'", "curve.crt"),
            key("use='signing'", "idp.crt"),
            endpoint(
                "SingleLogoutService",
                "SOAP",
                "https://idp.example.test/soap",
            ),
            endpoint(
                "SingleLogoutService",
                "HTTP-Redirect",
                "https://idp.example.test/slo?tenant=1",
            ),
            endpoint(
                "SingleSignOnService",
                "HTTP-POST",
                "https://idp.example.test/post",
            ),
            endpoint(
                "SingleSignOnService",
                "HTTP-Redirect",
                "https://idp.example.test/sso",
            ),
        ];
        let read = metadata::read(&document(&role.concat())).unwrap();
        assert_eq!(Provider::new(&read, &attribute_map()).unwrap(), provider());
    }

    #[test]
    fn a_provider_is_read_from_what_samlp_says_of_itself() {
        let read = metadata::read(&vector("metadata_samlp.xml")).unwrap();
        let mut expected = fields();
        expected.slo_url = "https://idp.example.test/slo".to_owned();
        expected.certificates.truncate(1);
        assert_eq!(
            Provider::new(&read, &attribute_map()).unwrap(),
            Provider::new(&expected, &attribute_map()).unwrap()
        );
    }

    #[test]
    fn a_document_that_does_not_do_is_refused_with_the_reason() {
        let sso = endpoint(
            "SingleSignOnService",
            "HTTP-Redirect",
            "https://idp.example.test/sso",
        );
        let good = document(&sso);
        assert!(metadata::read(&good).is_ok());
        assert!(metadata::read(&format!("\n  {good}")).is_ok());
        let several = |count: usize| {
            let one = good.split_once("-->").unwrap().1.repeat(count);
            format!(
                "<md:EntitiesDescriptor xmlns:md='urn:oasis:names:tc:SAML:2.0:metadata'>{one}</md:EntitiesDescriptor>"
            )
        };
        assert!(metadata::read(&several(1)).is_ok());
        for (xml, part) in [
            ("", "metadata: This cannot be read as XML"),
            ("<html/>", "does not begin with an EntityDescriptor"),
            ("{\"a\": 1}", "This cannot be read as XML"),
            (
                &format!("<!DOCTYPE x [<!ENTITY a 'b'>]>{good}"),
                "a document type (<!DOCTYPE>)",
            ),
            (
                &good.replace("<md:IDP", "<![CDATA[x]]><md:IDP"),
                "a CDATA section",
            ),
            (
                &good.replace("<md:IDP", "<?x ' ?><md:IDP"),
                "a processing instruction",
            ),
            (
                &good.replace(
                    "<md:IDP",
                    &format!("<!-- ' --><x {}/><md:IDP", "a='' ".repeat(70)),
                ),
                "too many attributes",
            ),
            (&several(2), "describes 2 entities"),
            (&several(0), "describes 0 entities"),
            (
                &good.replace("IDPSSO", "SPSSO"),
                "no SAML 2.0 identity provider",
            ),
            (
                &good.replace("SAML:2.0:protocol", "SAML:1.1:protocol"),
                "no SAML 2.0 identity provider",
            ),
            (
                &good.replace("HTTP-Redirect", "HTTP-POST"),
                "no sign-in over HTTP-Redirect",
            ),
            (&" ".repeat(1024 * 1024 + 1), "larger than 1 MiB"),
        ] {
            let text = texts(metadata::read(xml));
            assert!(text.contains(part), "{part}: {text}");
        }
        // The rest is for the fields to say: there is no certificate.
        let text = texts(Provider::new(
            &metadata::read(&good).unwrap(),
            &attribute_map(),
        ));
        assert!(
            text.starts_with("x509_certificates: At least one"),
            "{text}"
        );
    }

    #[test]
    fn fields_are_refused_with_the_reason() {
        let with = |change: &dyn Fn(&mut Fields, &mut AttributeMap)| {
            let (mut fields, mut map) = (fields(), attribute_map());
            change(&mut fields, &mut map);
            texts(Provider::new(&fields, &map))
        };
        let url = |url: &str| with(&|fields, _| fields.sso_url = url.to_owned());
        for (found, part) in [
            (
                with(&|fields, _| fields.entity_id = " ".to_owned()),
                "entity_id: This field may not be blank.",
            ),
            (
                with(&|fields, _| fields.entity_id = "a\nb".to_owned()),
                "entity_id: This field may not have line breaks",
            ),
            (
                with(&|fields, _| fields.entity_id = "a".repeat(1025)),
                "entity_id: This field may have 1024 characters",
            ),
            (url(""), "sso_url: This field may not be blank."),
            (
                url("idp.example.test"),
                "sso_url: This URL must start with https://.",
            ),
            (
                url("http://idp.example.test"),
                "sso_url: This URL must start with https://: over http",
            ),
            (
                url("http://127.0.0.1.example.test/"),
                "sso_url: This URL must start with https://: over http",
            ),
            (url("https://"), "sso_url: This is not a URL"),
            (url("https://a b/"), "sso_url: This is not a URL"),
            (
                url("https://ann@idp.example.test/"),
                "sso_url: This is not a URL",
            ),
            (
                url("https://idp.example.test/#x"),
                "sso_url: This is not a URL",
            ),
            (
                url("javascript:alert(1)"),
                "sso_url: This URL must start with https://.",
            ),
            (
                with(&|fields, _| fields.slo_url = "ftp://x".to_owned()),
                "slo_url: This URL must start with https://.",
            ),
            (
                with(&|fields, _| fields.certificates.clear()),
                "x509_certificates: At least one certificate",
            ),
            (
                with(&|fields, _| fields.certificates.push("x".to_owned())),
                "x509_certificates: This is not a certificate",
            ),
            (
                with(&|fields, _| fields.certificates.push("AAAA".to_owned())),
                "x509_certificates: This is not an X.509",
            ),
            (
                with(&|fields, _| {
                    fields.certificates.push(
                        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----".to_owned(),
                    )
                }),
                "x509_certificates: This is not a certificate",
            ),
            (
                with(&|fields, _| fields.certificates.push("A".repeat(20_000))),
                "x509_certificates: A certificate is too long",
            ),
            (
                with(&|fields, _| fields.certificates.push(vector("short.crt"))),
                "x509_certificates: The certificate's RSA key is shorter than 2048 bits.",
            ),
            (
                with(&|fields, _| fields.certificates.push(vector("edwards.crt"))),
                "x509_certificates: ",
            ),
            (
                with(&|_, map| map.identifier = String::new()),
                "attributes.identifier: This field may not be blank.",
            ),
            (
                with(&|_, map| map.user_email = " ".to_owned()),
                "attributes.user_email: This field may not be blank.",
            ),
            (
                with(&|_, map| map.groups = Some("\u{0}".to_owned())),
                "attributes.groups: This field may not have",
            ),
        ] {
            assert!(found.starts_with(part), "{part}: {found}");
        }
        let several = with(&|fields, map| {
            fields.sso_url.clear();
            map.identifier.clear();
        });
        assert_eq!(
            several,
            "attributes.identifier: This field may not be blank., sso_url: This field may not be blank."
        );
    }

    #[test]
    fn http_is_for_this_machine() {
        for url in [
            "http://127.0.0.1:7000/sso",
            "http://localhost/sso?a=b",
            "http://[::1]:80",
        ] {
            let mut fields = fields();
            fields.sso_url = format!("  {url} ");
            assert_eq!(
                Provider::new(&fields, &attribute_map()).unwrap().sso_url(),
                url
            );
        }
    }

    #[test]
    fn certificates_come_in_every_common_form() {
        let [idp, next] = ["idp.crt", "next.crt"].map(vector);
        let bare = |pem: &str| {
            pem.lines()
                .filter(|line| !line.starts_with('-'))
                .collect::<String>()
        };
        for given in [
            vec![idp.clone(), next.clone()],
            vec![format!("{idp}\n{next}{idp}")],
            vec![bare(&idp), format!(" {}\r\n", bare(&next))],
        ] {
            let mut fields = fields();
            fields.certificates = given;
            let provider = Provider::new(&fields, &attribute_map()).unwrap();
            let pems: Vec<String> = provider
                .certificates()
                .iter()
                .map(Certificate::pem)
                .collect();
            assert_eq!(pems, [idp.clone(), next.clone()]);
            let fingerprint = provider.certificates()[0].fingerprint();
            assert_eq!(
                (fingerprint.len(), fingerprint.matches(':').count()),
                (95, 31),
                "{fingerprint}"
            );
        }
    }

    #[test]
    fn a_provider_is_kept_as_json_and_checked_again() {
        let json = serde_json::to_string(&provider()).unwrap();
        assert_eq!(serde_json::from_str::<Provider>(&json).unwrap(), provider());
        let start = "{\"entity_id\":\"https://idp.example.test/metadata\",\"sso_url\":\"https://idp.example.test/sso\",\
                     \"slo_url\":\"https://idp.example.test/slo?tenant=1\",\"x509_certificates\":[\"MII";
        assert!(json.starts_with(start), "{json}");
        let end = "],\"attributes\":{\"identifier\":\"uid\",\"user_email\":\"email\",\"first_name\":\"first\",\
                   \"last_name\":\"last\",\"groups\":\"groups\"}}";
        assert!(json.ends_with(end), "{json}");
        for (from, to) in [
            ("https://idp.example.test/sso", "http://evil.test/"),
            ("\"uid\"", "\"\""),
            ("MII", "AAA"),
        ] {
            assert!(
                serde_json::from_str::<Provider>(&json.replace(from, to)).is_err(),
                "{to}"
            );
        }
    }

    #[test]
    fn our_metadata_says_where_we_are() {
        let xml = metadata::write(&service()).unwrap();
        for part in [
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<md:EntityDescriptor ",
            " entityID=\"https://picket.example.test/saml/metadata/acme/\"><md:SPSSODescriptor ",
            " AuthnRequestsSigned=\"false\" WantAssertionsSigned=\"true\">\
             <md:SingleLogoutService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" \
             Location=\"https://picket.example.test/saml/sls/acme/\"/>\
             <md:AssertionConsumerService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\" \
             Location=\"https://picket.example.test/saml/acs/acme/\" index=\"0\" isDefault=\"true\"/>\
             </md:SPSSODescriptor></md:EntityDescriptor>\n",
        ] {
            assert!(xml.contains(part), "{xml}");
        }
    }
}
