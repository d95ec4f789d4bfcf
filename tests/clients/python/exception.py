"""Reports an exception; the DSN is in SENTRY_DSN."""

import sentry_sdk

sentry_sdk.init()
sentry_sdk.set_tag("shop", "north")
sentry_sdk.set_extra("basket", {"items": 3})
try:
    1 / 0
except ZeroDivisionError:
    print(sentry_sdk.capture_exception())
sentry_sdk.flush(timeout=20)
