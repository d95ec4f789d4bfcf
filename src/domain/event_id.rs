//! Event ids: 128 bits, written as 32 lower-case hex digits.

use std::fmt;

use rand::RngExt;

/// The id of an event, unique within its project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EventId(pub(crate) [u8; 16]);

impl EventId {
    /// A fresh random id (UUID version 4).
    pub(crate) fn random() -> EventId {
        let mut bytes: [u8; 16] = rand::rng().random();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        EventId(bytes)
    }

    /// Reads every form that SDKs send: 32 hex digits, dashed, `urn:uuid:` and braced, in any case
    /// (facts/ingestion.md 4.2).
    pub(crate) fn parse(text: &str) -> Option<EventId> {
        let text = text.strip_prefix("urn:uuid:").unwrap_or(text);
        let text = text
            .strip_prefix('{')
            .and_then(|inner| inner.strip_suffix('}'))
            .unwrap_or(text);
        let dashed = text.len() == 36;
        let mut bytes = [0u8; 16];
        let mut digits = 0;
        for (at, byte) in text.bytes().enumerate() {
            if dashed && matches!(at, 8 | 13 | 18 | 23) {
                if byte != b'-' {
                    return None;
                }
                continue;
            }
            let digit = (byte as char).to_digit(16)? as u8;
            let place = bytes.get_mut(digits / 2)?;
            *place = *place << 4 | digit;
            digits += 1;
        }
        (digits == 32).then_some(EventId(bytes))
    }

    /// As crash reporters show it: `aaaaaaaa-bbbb-4ccc-dddd-eeeeeeeeeeee`.
    pub(crate) fn dashed(self) -> String {
        let digits = self.to_string();
        let [a, b, c, d, e] = [0..8, 8..12, 12..16, 16..20, 20..32].map(|group| &digits[group]);
        format!("{a}-{b}-{c}-{d}-{e}")
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_means_the_same_id() {
        let plain = "aaaaaaaabbbb4cccddddeeeeeeeeeeee";
        for text in [
            plain,
            "AAAAAAAABBBB4CCCDDDDEEEEEEEEEEEE",
            "aaaaaaaa-bbbb-4ccc-dddd-eeeeeeeeeeee",
            "urn:uuid:aaaaaaaa-bbbb-4ccc-dddd-eeeeeeeeeeee",
            "{aaaaaaaa-bbbb-4ccc-dddd-eeeeeeeeeeee}",
        ] {
            let id = EventId::parse(text).map(|id| id.to_string());
            assert_eq!(id.as_deref(), Some(plain), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_id() {
        for text in [
            "",
            "a",
            "g".repeat(32).as_str(),
            "a".repeat(33).as_str(),
            "é-bbbb",
            "a-".repeat(18).as_str(),
        ] {
            assert_eq!(EventId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_dashed_id_is_read_again() {
        let text = "aaaaaaaa-bbbb-4ccc-dddd-eeeeeeeeeeee";
        let id = EventId::parse(text).map(EventId::dashed);
        assert_eq!(id.as_deref(), Some(text));
    }

    #[test]
    fn a_random_id_is_a_version_4_uuid() {
        let text = EventId::random().to_string();
        assert_eq!((text.len(), &text[12..13]), (32, "4"));
    }
}
