//! `picket man`.

use crate::support::process::Binary;

#[test]
fn the_manual_page_is_printed_also_when_a_setting_is_wrong() {
    let mut picket = Binary::new();
    picket.set("PICKET_LISTEN", "nowhere");
    let page = picket.succeed(&["man"]);
    assert!(page.starts_with(".TH PICKET 1 "), "{page}");
    for expected in [
        "\n.SH NAME\npicket \\- a Sentry\\-compatible server",
        "\n.SS \"picket org create SLUG\"\n",
        "\n.TP\n.B \"\\-\\-listen ADDRESS:PORT\"\n",
        "PICKET_SMTP_URL (serve)\n",
        "\n.SH EXIT STATUS\n",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
    assert_eq!(picket.run(&["man", "serve"]).code, Some(2));
    assert!(
        picket
            .succeed(&["help", "man"])
            .starts_with("Usage: picket man\n")
    );
}
