//! QR codes, as pictures in a page itself: no policy of a page has to let another picture in.

use std::fmt::Write;

use qrcodegen::{QrCode, QrCodeEcc};

/// Modules of paper around a code, as readers expect.
const BORDER: i32 = 4;

/// A text as an SVG element; none if it is longer than a code can hold, some 2,300 bytes. Black on white whatever the
/// page looks like, because many readers know nothing else.
pub(super) fn svg(text: &str, label: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let size = code.size() + 2 * BORDER;
    let mut path = String::new();
    for y in 0..code.size() {
        for x in 0..code.size() {
            if code.get_module(x, y) {
                // Writing to a String cannot fail.
                let _ = write!(path, "M{} {}h1v1h-1z", x + BORDER, y + BORDER);
            }
        }
    }
    let label = label.replace('&', "&amp;").replace('"', "&quot;");
    Some(format!(
        "<svg class=\"qr\" role=\"img\" aria-label=\"{label}\" viewBox=\"0 0 {size} {size}\" width=\"240\" height=\"240\" \
         shape-rendering=\"crispEdges\"><rect width=\"{size}\" height=\"{size}\" fill=\"#fff\"/>\
         <path fill=\"#000\" d=\"{path}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_finder_patterns_inside_a_border() {
        let svg = svg("otpauth://totp/a?secret=AAAA", "a \"code\"").unwrap();
        assert!(svg.contains("aria-label=\"a &quot;code&quot;\""));
        // The outer ring of the first pattern, and nothing in the border.
        for x in 4..11 {
            assert!(svg.contains(&format!("M{x} 4h")) && svg.contains(&format!("M4 {x}h")));
        }
        assert!(!svg.contains("M3 ") && !svg.contains(" 3h"));
        assert!(super::svg(&"x".repeat(3000), "").is_none());
    }
}
