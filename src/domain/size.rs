//! Sizes as people write them: a whole number of bytes, or of KiB, MiB, GiB or TiB.

const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];

/// The bytes of a text such as `500MiB`; none if it is no such text, or too many for a file.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let (digits, shift) = UNITS
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))
        .unwrap_or((text, 0));
    if digits.starts_with('+') {
        return None;
    }
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .filter(|bytes| i64::try_from(*bytes).is_ok())
}

/// As people read them: at most one digit behind the point.
pub(crate) fn show(bytes: u64) -> String {
    match UNITS.iter().find(|(_, shift)| bytes >> shift > 0) {
        Some((unit, shift)) => {
            let tenths = u128::from(bytes) * 10 / (1u128 << shift);
            match (tenths / 10, tenths % 10) {
                (whole, 0) => format!("{whole} {unit}"),
                (whole, rest) => format!("{whole}.{rest} {unit}"),
            }
        }
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit_or_none() {
        assert_eq!(parse("0"), Some(0));
        assert_eq!(parse("4096"), Some(4096));
        assert_eq!(parse("10KiB"), Some(10 << 10));
        assert_eq!(parse("1GiB"), Some(1 << 30));
        assert_eq!(parse("2TiB"), Some(2 << 40));
        for wrong in [
            "",
            "GiB",
            "-1",
            "+1",
            "1.5GiB",
            "1GB",
            "1 GiB",
            "8388608TiB",
            "x",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_size_is_shown_in_its_largest_unit() {
        assert_eq!(show(0), "0 bytes");
        assert_eq!(show(1023), "1023 bytes");
        assert_eq!(show(1024), "1 KiB");
        assert_eq!(show((1 << 30) * 3 / 2), "1.5 GiB");
    }
}
