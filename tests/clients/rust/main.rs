//! Sends one of everything that the SDK can send, and drops an event itself; the DSN is in `SENTRY_DSN`.

use std::time::Duration;

use sentry::protocol::{Attachment, EnvelopeItem, MonitorCheckIn, MonitorCheckInStatus};
use sentry::types::random_uuid;
use sentry::{ClientOptions, Envelope, Hub, Level, TransactionContext};

fn main() {
    let options = ClientOptions::new()
        .release("shop@1.2.3")
        .environment("checks")
        .traces_sample_rate(1.0)
        .before_send(|event| (event.message.as_deref() != Some("unwanted")).then_some(event));
    // Its `Drop` sends what is left, but does not say whether it could.
    let sdk = sentry::init(options);
    sentry::configure_scope(|scope| {
        scope.set_tag("shop", "north");
        scope.set_extra("basket", serde_json::json!({ "items": 3 }));
        scope.add_attachment(Attachment {
            buffer: b"0123456789".to_vec(),
            filename: "ten.txt".to_owned(),
            ..Attachment::default()
        });
    });
    sentry::start_session();

    let transaction = sentry::start_transaction(TransactionContext::new("checkout", "task"));
    for name in ["reserve", "pay"] {
        transaction.start_child("step", name).finish();
    }
    transaction.finish();
    check_in();
    sentry::logger_info!("a first line");
    sentry::logger_warn!(thing = "an attribute", "a second line");
    sentry::capture_message("unwanted", Level::Info);
    let message = sentry::capture_message("Grüße ☃", Level::Warning);
    let broken = "three".parse::<i32>().expect_err("no number");
    let error = sentry::capture_error(&broken);
    println!("{}\n{}", message.simple(), error.simple());

    sentry::end_session();
    assert!(
        sdk.close(Some(Duration::from_secs(20))),
        "the SDK still had something to send"
    );
}

/// The SDK knows check-ins, but has no function that sends one.
fn check_in() {
    let mut envelope = Envelope::new();
    envelope.add_item(EnvelopeItem::MonitorCheckIn(MonitorCheckIn {
        check_in_id: random_uuid(),
        monitor_slug: "nightly".to_owned(),
        status: MonitorCheckInStatus::Ok,
        environment: None,
        duration: Some(1.5),
        monitor_config: None,
    }));
    Hub::current()
        .client()
        .expect("a client")
        .send_envelope(envelope);
}
