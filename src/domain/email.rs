//! Email addresses, as far as a server that has not written to one can judge.

/// The longest address that mail servers exchange (RFC 5321).
const CHARACTERS_MAX: usize = 254;

/// Whether a text can be an address: something, one `@`, something, and no white space. More would refuse
/// addresses that work: whether one does, only a message to it tells.
pub(crate) fn is_plausible(text: &str) -> bool {
    let shaped = |(local, domain): (&str, &str)| {
        !local.is_empty() && !domain.is_empty() && !domain.contains('@')
    };
    let odd = |c: char| c.is_whitespace() || c.is_control();
    text.split_once('@').is_some_and(shaped)
        && !text.contains(odd)
        && text.chars().count() <= CHARACTERS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_two_sides() {
        for good in ["ann@example.test", "admin@localhost", "ä+b@c"] {
            assert!(is_plausible(good), "{good}");
        }
        let long = format!("{}@example.test", "a".repeat(250));
        for wrong in ["", "ann", "@b", "a@", "a@b@c", "a b@c", "a@b\n", &long] {
            assert!(!is_plausible(wrong), "{wrong}");
        }
    }
}
