//! What pages of other sites load from this server: the script that loads the JavaScript SDK, the dialog in which a
//! page's user tells what happened, and the answer that probes read (facts/ingestion.md 1.13 to 1.15).
//!
//! The scripts run in pages that are not ours. So nothing in them is put together from text: they are functions
//! that stand in files of their own and are called with JSON.

pub(super) mod dialog;
pub(super) mod health;
pub(super) mod loader;

use serde_json::Value;

use crate::http::Response;

/// A script that calls a function with arguments.
fn call(function: &str, arguments: &[Value]) -> String {
    let arguments: Vec<String> = arguments.iter().map(literal).collect();
    format!("{}({});\n", function.trim_end(), arguments.join(", "))
}

/// JSON as an expression of JavaScript: also of old ones, in which a line and with it a string ends at U+2028, and
/// also where a page copies the script into its HTML.
fn literal(value: &Value) -> String {
    value
        .to_string()
        .replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

fn javascript(script: String) -> Response {
    Response::bytes(200, "text/javascript", script.into_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_cannot_leave_their_place() {
        let script = call(
            "(function (a, b) {})\n",
            &[json!("\"</script>\u{2028}'\\"), json!({"a": [1, null]})],
        );
        assert_eq!(
            script,
            "(function (a, b) {})(\"\\\"\\u003c/script>\\u2028'\\\\\", {\"a\":[1,null]});\n"
        );
    }

    /// An argument list can follow only an expression.
    #[test]
    fn each_script_is_one_function() {
        for script in [loader::LOADER, loader::NOTHING, dialog::DIALOG] {
            let code = script
                .lines()
                .skip_while(|line| line.starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            assert!(code.starts_with("(function ("), "{code}");
            assert!(code.ends_with("\n})"), "{code}");
        }
    }
}
