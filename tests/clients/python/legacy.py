"""Reports an exception and a message with the SDK's forerunner; the DSN is in SENTRY_DSN."""

import raven
from raven.transport.http import HTTPTransport

# Its usual transport sends from a thread that need not be done when the program ends.
client = raven.Client(
    transport=HTTPTransport, release="shop@1.2.3", environment="checks", tags={"shop": "north"}
)
try:
    1 / 0
except ZeroDivisionError:
    # The event's id: what raven returns belongs to the frames that it was called from.
    print(client.get_ident(client.captureException(extra={"basket": {"items": 3}})))
print(client.get_ident(client.captureMessage("Grüße ☃", level="warning")))
