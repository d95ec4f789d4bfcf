//! Makes JSON of what is nearly JSON: one bad character must not lose an event (facts/ingestion.md 5.1).
//!
//! Good payloads never come here: a payload is repaired after it could not be parsed, and parsed again. What is
//! repaired and who writes it:
//!
//! | in the payload | becomes | written by |
//! |---|---|---|
//! | half of a surrogate pair, as an escape | U+FFFD | `JSON.stringify` of a text that was cut |
//! | bytes that are not UTF-8 | U+FFFD | languages whose texts are bytes |
//! | a control character in a string | its escape | hand-made JSON |
//! | a number beyond the range of floats | null | languages with big numbers |
//! | `NaN`, `Infinity`, `-Infinity` | null | Python (facts/ingestion.md 1.3) |
//! | a byte order mark in front | nothing | .NET |
//!
//! Everything else stays, and time and size are linear to the payload.

const WORDS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
const BYTE_ORDER_MARK: char = '\u{feff}';
/// How U+FFFD is written as an escape.
const REPLACEMENT: &[u8] = b"\\ufffd";

/// A payload without the faults that can be helped; none if it has no such fault.
pub(super) fn repaired(payload: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(payload);
    let body = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
    let mut repair = Repair {
        text: body.as_bytes(),
        at: 0,
        copied: 0,
        written: Vec::new(),
    };
    repair.run();
    let changed = repair.copied > 0 || body.as_bytes() != payload;
    let Repair {
        text,
        copied,
        mut written,
        ..
    } = repair;
    changed.then(|| {
        written.extend_from_slice(&text[copied..]);
        written
    })
}

struct Repair<'t> {
    text: &'t [u8],
    at: usize,
    /// How much of the text is written, as it was or repaired.
    copied: usize,
    written: Vec<u8>,
}

impl Repair<'_> {
    fn run(&mut self) {
        let mut in_string = false;
        while let Some(&byte) = self.text.get(self.at) {
            match byte {
                b'"' => {
                    in_string = !in_string;
                    self.at += 1;
                }
                b'\\' if in_string => self.escape(),
                0..b' ' if in_string => {
                    self.replace(1, format!("\\u{byte:04x}").as_bytes());
                }
                b'-' | b'0'..=b'9' | b'I' | b'N' if !in_string => self.number(),
                _ => self.at += 1,
            }
        }
    }

    /// Goes over an escape, and over its pair.
    fn escape(&mut self) {
        match self.surrogate(self.at) {
            Some(0xd800..0xdc00) if matches!(self.surrogate(self.at + 6), Some(0xdc00..)) => {
                self.at += 12;
            }
            Some(_) => self.replace(6, REPLACEMENT),
            None => self.at += 2,
        }
    }

    /// The half of a surrogate pair that is escaped here.
    fn surrogate(&self, at: usize) -> Option<u16> {
        let digits = self.text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let unit = u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        matches!(unit, 0xd800..=0xdfff).then_some(unit)
    }

    /// Goes over a number or a word that stands for one.
    fn number(&mut self) {
        let rest = &self.text[self.at..];
        if let Some(word) = WORDS.iter().find(|word| rest.starts_with(word)) {
            return self.replace(word.len(), b"null");
        }
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        let len = rest.iter().take_while(|byte| is_part(byte)).count();
        let number = std::str::from_utf8(&rest[..len]).unwrap_or_default();
        if number.parse::<f64>().is_ok_and(f64::is_infinite) {
            self.replace(len, b"null");
        } else {
            self.at += len.max(1);
        }
    }

    fn replace(&mut self, len: usize, by: &[u8]) {
        self.written
            .extend_from_slice(&self.text[self.copied..self.at]);
        self.written.extend_from_slice(by);
        self.at += len;
        self.copied = self.at;
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::Map;
    use super::*;

    /// What is read of a value that had to be repaired.
    fn value(sent: &[u8]) -> String {
        let payload = [br#"{"a":"#, sent, b"}"].concat();
        assert_eq!(Map::parse(&payload), None, "{}", sent.escape_ascii());
        let repaired = repaired(&payload).unwrap();
        let map = Map::parse(&repaired);
        let map = map.unwrap_or_else(|| panic!("{}", repaired.escape_ascii()));
        map.get("a").unwrap().to_json()
    }

    #[test]
    fn what_is_nearly_json_becomes_json() {
        let cases: [(&[u8], &str); 20] = [
            (br#""a\ud83d""#, "\"a\u{fffd}\""),
            (br#""\uDE00b""#, "\"\u{fffd}b\""),
            (br#""\ud83d\ud83d\ude00""#, "\"\u{fffd}😀\""),
            (br#""\ud83d\u0041""#, "\"\u{fffd}A\""),
            (br#""\ud83d\n\\ud83d""#, "\"\u{fffd}\\n\\\\ud83d\""),
            (b"\"a\xffb\"", "\"a\u{fffd}b\""),
            (b"\"\xed\xa0\x80\"", "\"\u{fffd}\u{fffd}\u{fffd}\""),
            (b"\"\xf0\x9f\x98\"", "\"\u{fffd}\""),
            (b"\"a\tb\nc\x01\x00\"", r#""a\tb\nc\u0001\u0000""#),
            (b"1e999", "null"),
            (b"-1.5E+400", "null"),
            (b"[1e999,2,-3e-999]", "[null,2,-0.0]"),
            (b"NaN", "null"),
            (b"[-Infinity,Infinity]", "[null,null]"),
            (
                br#"{"b":NaN,"c":"NaN \" Infinity 1e999"}"#,
                r#"{"b":null,"c":"NaN \" Infinity 1e999"}"#,
            ),
            (b"{\"\\ud83d\":1}", "{\"\u{fffd}\":1}"),
            (b"\"\\ud83d", ""),
            (b"{", ""),
            (b"\"\\", ""),
            (b"\"\\x\t\"", ""),
        ];
        for (sent, expected) in cases.iter().filter(|(_, expected)| !expected.is_empty()) {
            assert_eq!(value(sent), *expected, "{}", sent.escape_ascii());
        }
        // What cannot be helped is no JSON afterwards either.
        for (sent, _) in cases.iter().filter(|(_, expected)| expected.is_empty()) {
            let repaired = repaired(sent).unwrap_or_default();
            assert!(Map::parse(&repaired).is_none(), "{}", sent.escape_ascii());
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert_eq!(
            repaired(b"\xef\xbb\xbf{\"a\":1}").as_deref(),
            Some(br#"{"a":1}"#.as_slice())
        );
        assert_eq!(
            repaired(b"\xef\xbb\xbf{\"a\":NaN}").as_deref(),
            Some(br#"{"a":null}"#.as_slice())
        );
    }

    #[test]
    fn what_has_no_such_fault_is_left_alone() {
        for payload in [
            r#"{"a":"\ud83d\ude00 \\ud83d é NaN","b":[-1.5e3,0]}"#,
            "{\n\t\"a\": null\n}",
            r#"{"a":Nope,"b":-}"#,
            "",
        ] {
            assert_eq!(repaired(payload.as_bytes()), None, "{payload}");
        }
    }

    #[test]
    fn every_payload_is_repaired_in_bounded_time() {
        for part in [
            "\\", "\"", "\\u", "\\ud83d", "1", "-", "1e9", "I", "Infinity", "\t", "[", "é",
        ] {
            for start in ["", "\""] {
                let payload = format!("{start}{}", part.repeat((1 << 20) / part.len()));
                let len = repaired(payload.as_bytes()).map_or(0, |repaired| repaired.len());
                assert!(len <= 6 * payload.len() + 4);
            }
        }
    }
}
