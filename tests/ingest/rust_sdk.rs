//! The Rust SDK, unchanged, sends to a server in this process.

use std::sync::Arc;
use std::time::Duration;

use sentry::protocol::SpanStatus;
use sentry::{Client, ClientOptions, Hub, Level, Scope, TransactionContext};
use serde_json::Value;

use crate::support::{KEY, Server, WORLD};

/// Runs what an application would with the SDK set up for [`WORLD`]'s project, and waits until all of it was
/// sent. The SDK's own `init` would set it up for the whole process, and so for every other test.
fn with_sdk<T>(
    server: &Server,
    change: impl FnOnce(ClientOptions) -> ClientOptions,
    application: impl FnOnce() -> T,
) -> T {
    let dsn = server
        .url_prefix()
        .replace("http://", &format!("http://{KEY}@"))
        + "/31";
    let options = sentry::apply_defaults(change(ClientOptions::new().dsn(&dsn)));
    let client = Arc::new(Client::from_config(options));
    let hub = Arc::new(Hub::new(
        Some(Arc::clone(&client)),
        Arc::new(Scope::default()),
    ));
    let result = Hub::run(hub, application);
    assert!(
        client.close(Some(Duration::from_secs(20))),
        "the SDK still had something to send"
    );
    result
}

fn stored(server: &Server, event_id: sentry::types::Uuid) -> Value {
    server.event(&event_id.simple().to_string())
}

#[test]
fn an_error_and_a_message_are_stored_and_counted() {
    let server = Server::start(WORLD);
    let (error, message) = with_sdk(
        &server,
        |options| options,
        || {
            sentry::configure_scope(|scope| {
                scope.set_tag("shop", "north");
                scope.set_extra("basket", 3.into());
            });
            let broken = "three".parse::<i32>().expect_err("no number");
            (
                sentry::capture_error(&broken),
                sentry::capture_message("Grüße ☃", Level::Warning),
            )
        },
    );

    let event = stored(&server, error);
    assert_eq!(event["event_id"], error.simple().to_string());
    assert_eq!(event["exception"]["values"][0]["type"], "ParseIntError");
    assert_eq!(
        event["exception"]["values"][0]["value"],
        "invalid digit found in string"
    );
    let tags = event["tags"].as_array().expect("a list of pairs");
    assert!(
        tags.contains(&serde_json::json!(["shop", "north"])),
        "{tags:?}"
    );
    assert_eq!(event["extra"]["basket"], 3);
    let event = stored(&server, message);
    assert_eq!(event["logentry"]["formatted"], "Grüße ☃");
    assert_eq!(event["level"], "warning");
    assert_eq!(server.event_count(), 2);
    assert_eq!(server.ledger(), [(1, 0, String::new(), 2)]);
}

#[test]
fn sessions_transactions_and_what_the_sdk_drops_are_counted() {
    let server = Server::start(WORLD);
    with_sdk(
        &server,
        |options| {
            options
                .release("shop@1.2.3")
                .traces_sample_rate(1.0)
                .before_send(|event| {
                    (event.message.as_deref() != Some("unwanted")).then_some(event)
                })
        },
        || {
            sentry::start_session();
            sentry::capture_message("unwanted", Level::Info);
            let transaction =
                sentry::start_transaction(TransactionContext::new("checkout", "task"));
            let span = transaction.start_child("step", "pay");
            span.set_status(SpanStatus::Ok);
            span.finish();
            transaction.finish();
            sentry::capture_message("wanted", Level::Info);
            sentry::end_session();
        },
    );

    let accepted = |category, quantity| (category, 0, String::new(), quantity);
    assert_eq!(
        server.ledger(),
        [
            accepted(1, 1),
            // The SDK puts its report into the envelope that it sends next.
            (1, 5, "before_send".to_owned(), 1),
            accepted(2, 1),
            // The session begins in the envelope of its first event, and its end is an item of its own.
            accepted(5, 2),
            accepted(9, 1),
            accepted(12, 2),
            accepted(16, 2),
        ]
    );
    assert_eq!((server.count_of_kind(0), server.count_of_kind(2)), (1, 1));
}
