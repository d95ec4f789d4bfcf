"""Sends one of everything that is cheap to send, and drops an event itself; the DSN is in SENTRY_DSN."""

import sentry_sdk
from sentry_sdk import crons


def before_send(event, hint):
    return None if event.get("message") == "unwanted" else event


sentry_sdk.init(
    release="shop@1.2.3",
    environment="checks",
    traces_sample_rate=1.0,
    enable_logs=True,
    before_send=before_send,
)
scope = sentry_sdk.get_isolation_scope()
scope.start_session()
scope.set_tag("shop", "north")
scope.add_attachment(bytes=b"0123456789", filename="ten.txt")
with sentry_sdk.start_transaction(name="checkout", op="task"):
    for name in ("reserve", "pay"):
        with sentry_sdk.start_span(op="step", name=name):
            pass
crons.capture_checkin(monitor_slug="nightly", status="ok", duration=1.5)
sentry_sdk.logger.info("a first line")
sentry_sdk.logger.warning("a second line, with {thing}", thing="an attribute")
sentry_sdk.capture_message("unwanted")
print(sentry_sdk.capture_message("Grüße ☃", level="warning"))
try:
    raise KeyError("no such basket")
except KeyError:
    print(sentry_sdk.capture_exception())
scope.end_session()
sentry_sdk.flush(timeout=20)
