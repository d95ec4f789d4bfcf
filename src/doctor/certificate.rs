//! How long certificates are still good. Reads as much of X.509 (RFC 5280, 4.1) as says that: libraries that speak TLS
//! check dates, but do not tell them.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Report, span};
use crate::domain::time::Timestamp;

/// Warned of so long before its end: whoever renews certificates by themselves does it earlier.
const WARN_SECS: i64 = 14 * 86_400;

/// Looks at the certificate in a PEM file that is over first.
pub(super) fn examine(report: &mut Report, check: &'static str, file: &Path, now: Timestamp) {
    let shown = file.display();
    let found = std::fs::read(file)
        .map_err(|error| error.to_string())
        .and_then(|pem| first_end(&pem).ok_or_else(|| "there is no certificate in it".to_owned()));
    let end = match found {
        Ok(end) => end,
        Err(error) => {
            return report.fault(
                check,
                format!("{shown} cannot be read: {error}"),
                "name a PEM file that the user who runs the server can read",
            );
        }
    };
    let left = end.secs() - now.secs();
    if left < 0 {
        let ago = span(left.unsigned_abs());
        report.fault(
            check,
            format!("a certificate in {shown} has been over for {ago}"),
            "put a new one there",
        );
    } else if left < WARN_SECS {
        let left = span(left.unsigned_abs());
        report.warn(
            check,
            format!("a certificate in {shown} is good for another {left}"),
            "put a new one there in time",
        );
    } else {
        report.ok(
            check,
            format!("the certificates in {shown} are good until {end}"),
        );
    }
}

/// When the certificate that is over first is over.
fn first_end(pem: &[u8]) -> Option<Timestamp> {
    let text = String::from_utf8_lossy(pem);
    let mut ends = Vec::new();
    for part in text.split("-----BEGIN CERTIFICATE-----").skip(1) {
        let (encoded, _) = part.split_once("-----END CERTIFICATE-----")?;
        let encoded: String = encoded.split_ascii_whitespace().collect();
        ends.push(end_of(&STANDARD.decode(encoded).ok()?)?);
    }
    ends.into_iter().min()
}

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// `notAfter` of a certificate in DER.
fn end_of(der: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (mut fields, _) = element(certificate, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        fields = element(fields, VERSION)?.1;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        fields = element(fields, *fields.first()?)?.1;
    }
    let (validity, _) = element(fields, SEQUENCE)?;
    let (_, validity) = element(validity, *validity.first()?)?;
    let tag = *validity.first()?;
    let (text, _) = element(validity, tag)?;
    moment(tag, str::from_utf8(text).ok()?)
}

/// The content of the element that the bytes start with, which must have this tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match *length {
        short @ 0..0x80 => (usize::from(short), rest),
        long => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            let length = digits.iter().try_fold(0usize, |sum, digit| {
                sum.checked_mul(256)?.checked_add(usize::from(*digit))
            })?;
            (length, rest)
        }
    };
    (*first == tag)
        .then(|| rest.split_at_checked(length))
        .flatten()
}

/// `YYMMDDhhmmssZ` of 1950 to 2049, or `YYYYMMDDhhmmssZ`.
fn moment(tag: u8, text: &str) -> Option<Timestamp> {
    let text = match tag {
        UTC_TIME => match text.get(..2)?.parse::<u8>().ok()? {
            0..50 => format!("20{text}"),
            _ => format!("19{text}"),
        },
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| text.get(from..to);
    if text.len() != 15 || !text.ends_with('Z') {
        return None;
    }
    Timestamp::parse_rfc3339(&format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(8, 10)?,
        part(10, 12)?,
        part(12, 14)?
    ))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    /// `openssl req -x509 -newkey ed25519 -nodes -subj /CN=localhost -days 3650`.
    const PEM: &str = include_str!("certificate.pem");
    const END: i64 = 2_111_022_014;

    fn verdict(pem: &str, now: i64) -> (Verdict, String) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.pem");
        std::fs::write(&file, pem).unwrap();
        let mut report = Report::default();
        examine(&mut report, "tls-cert", &file, Timestamp::from_secs(now));
        let finding = report.0.remove(0);
        let text = finding.text.replace(&file.display().to_string(), "a.pem");
        (finding.verdict, text)
    }

    #[test]
    fn the_end_of_a_certificate_is_found() {
        assert_eq!(first_end(PEM.as_bytes()), Some(Timestamp::from_secs(END)));
        for (now, found, text) in [
            (
                END - 400 * 86_400,
                Verdict::Ok,
                "the certificates in a.pem are good until 2036-11-23T03:00:14Z",
            ),
            (
                END - 13 * 86_400,
                Verdict::Warning,
                "a certificate in a.pem is good for another 13 days",
            ),
            (
                END + 3 * 86_400,
                Verdict::Fault,
                "a certificate in a.pem has been over for 3 days",
            ),
        ] {
            assert_eq!(verdict(PEM, now), (found, text.to_owned()));
        }
    }

    #[test]
    fn what_is_no_certificate_is_a_fault_and_no_panic() {
        for text in ["", "-----BEGIN CERTIFICATE-----", "no PEM at all"] {
            assert_eq!(verdict(text, 0).0, Verdict::Fault, "{text}");
        }
        let encoded: String = PEM.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(encoded).unwrap();
        for end in 0..der.len() {
            assert_eq!(end_of(&der[..end]), None);
        }
        for at in 0..der.len() {
            let mut changed = der.clone();
            changed[at] = 0xff;
            let _ = end_of(&changed);
        }
    }

    #[test]
    fn both_kinds_of_moments_are_read() {
        let secs = |tag, text| moment(tag, text).map(Timestamp::secs);
        assert_eq!(secs(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(secs(UTC_TIME, "500101000000Z"), Some(-631_152_000));
        assert_eq!(
            secs(GENERALIZED_TIME, "20500101000000Z"),
            Some(2_524_608_000)
        );
        for wrong in [
            "",
            "20500101000000",
            "2050010100000Z",
            "20501301000000Z",
            "üü50101000000Z",
        ] {
            assert_eq!(secs(GENERALIZED_TIME, wrong), None, "{wrong}");
        }
    }
}
