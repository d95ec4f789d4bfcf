//! What goes to stderr.

use serde_json::Value;

use crate::support::Client;
use crate::support::process::{Binary, Output};

/// Starts a server and ends it.
fn serve(picket: &Binary, arguments: &[&str]) -> Output {
    let output = picket.serve(arguments).terminate();
    assert_eq!(output.code, Some(0), "{output:?}");
    output
}

#[test]
fn a_flag_says_how_much_and_wins_over_the_environment() {
    let mut picket = Binary::new();
    assert!(serve(&picket, &[]).stderr.contains("INFO"));
    assert_eq!(serve(&picket, &["--log-level", "warn"]).stderr, "");
    picket.set("RUST_LOG", "off");
    assert_eq!(serve(&picket, &[]).stderr, "");
    assert!(
        serve(&picket, &["--log-level", "info"])
            .stderr
            .contains("stopped")
    );
    picket.set("PICKET_LOG_LEVEL", "debug");
    assert!(serve(&picket, &[]).stderr.contains("stopped"));
    assert_eq!(serve(&picket, &["--log-level", "off"]).stderr, "");
}

#[test]
fn a_wrong_level_or_format_is_wrong_usage_for_every_command() {
    let mut picket = Binary::new();
    let output = picket.run(&["org", "list", "--log-level", "loud"]);
    assert_eq!(
        (output.code, output.stderr.as_str()),
        (
            Some(2),
            "picket: --log-level: \"loud\" is none of off, error, warn, info, debug and trace\n"
        )
    );
    picket.set("PICKET_LOG_FORMAT", "xml");
    let output = picket.run(&["serve"]);
    assert_eq!(
        (output.code, output.stderr.as_str()),
        (
            Some(2),
            "picket: PICKET_LOG_FORMAT: \"xml\" is neither text nor json\n"
        )
    );
}

#[test]
fn a_line_can_be_json() {
    let output = serve(&Binary::new(), &["--log-format", "json"]);
    let lines: Vec<Value> = output
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect();
    let last = lines.last().expect("a line");
    assert_eq!(last["message"], "stopped");
    assert_eq!(last["level"], "info");
    assert_eq!(last["target"], "picket::cli::serve");
    assert!(last["time"].as_str().unwrap().ends_with('Z'));
}

/// What many clients can bring about is not written for each of them.
#[test]
fn the_same_warning_is_written_once_in_a_while() {
    let picket = Binary::new();
    std::fs::create_dir(picket.path("data")).unwrap();
    let server = picket.serve(&["--data", "data/picket.db"]);
    let client = Client::new(server.address().parse().unwrap());
    // Large bodies are spooled beside the database, and now nothing can be put there.
    std::fs::remove_dir_all(picket.path("data")).unwrap();
    let body = vec![b'x'; 2 << 20];
    for _ in 0..5 {
        assert_eq!(client.post("/api/1/envelope/", &body).status, 503);
    }
    let mut server = server;
    server.signal(rustix::process::Signal::TERM);
    let errors = server.wait().stderr;
    assert_eq!(
        errors.matches("could not be spooled").count(),
        1,
        "{errors}"
    );
}
