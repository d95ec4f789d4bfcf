"""What an envelope holds, and what the ledger must say of it. Written from the protocol, not from the server.

A type that is not known here is an error: a client that begins to send something new shall be noticed.
"""

import json
from collections import Counter
from dataclasses import dataclass

# The protocol's numbers.
ERROR, TRANSACTION, ATTACHMENT, SESSION, MONITOR = 1, 2, 4, 5, 10
TRANSACTION_INDEXED, SPAN, FEEDBACK, SPAN_INDEXED = 9, 12, 14, 16
ATTACHMENT_ITEM, LOG_ITEM, LOG_BYTE, TRACE_METRIC = 22, 23, 24, 33
NUMBERS = {
    "default": 0,
    "error": ERROR,
    "transaction": TRANSACTION,
    "security": 3,
    "attachment": ATTACHMENT,
    "session": SESSION,
    "monitor": MONITOR,
    "span": SPAN,
    "feedback": FEEDBACK,
    "log_item": LOG_ITEM,
    "log_byte": LOG_BYTE,
    "trace_metric": TRACE_METRIC,
}
ACCEPTED, CLIENT_DISCARD = 0, 5


@dataclass
class Item:
    header: dict
    payload: bytes

    @property
    def type(self):
        return self.header["type"]


def parse(body):
    """The header and the items of an envelope."""
    line, _, rest = body.partition(b"\n")
    header = json.loads(line)
    items = []
    while rest:
        line, _, rest = rest.partition(b"\n")
        if not line:
            continue
        item = json.loads(line)
        if "length" in item:
            length = item["length"]
            payload, rest = rest[:length], rest[length:]
            if len(payload) < length:
                raise ValueError(f"{item['type']}: {len(payload)} of {length} bytes")
            rest = rest.removeprefix(b"\n")
        else:
            payload, _, rest = rest.partition(b"\n")
        items.append(Item(item, payload))
    return header, items


def ledger(items):
    """The rows of the ledger for these items if all are taken: (category, outcome, reason) to quantity."""
    rows = Counter()
    for item in items:
        if item.type == "client_report":
            for dropped in json.loads(item.payload)["discarded_events"]:
                category = NUMBERS[dropped["category"]]
                rows[category, CLIENT_DISCARD, dropped["reason"]] += dropped["quantity"]
        else:
            for category, quantity in _categories(item):
                rows[category, ACCEPTED, ""] += quantity
    return rows


def _categories(item):
    match item.type:
        case "event":
            return [(ERROR, 1)]
        case "transaction":
            spans = 1 + len(json.loads(item.payload).get("spans") or [])
            indexed = [(TRANSACTION_INDEXED, 1), (SPAN_INDEXED, spans)]
            return [(TRANSACTION, 1), (SPAN, spans), *indexed]
        case "attachment":
            return [(ATTACHMENT, len(item.payload)), (ATTACHMENT_ITEM, 1)]
        case "session" | "sessions":
            return [(SESSION, 1)]
        case "check_in":
            return [(MONITOR, 1)]
        case "feedback" | "user_report":
            return [(FEEDBACK, 1)]
        case "log":
            return [(LOG_ITEM, _contained(item)), (LOG_BYTE, len(item.payload))]
        case "trace_metric":
            return [(TRACE_METRIC, _contained(item))]
        case "span":
            spans = _contained(item)
            return [(SPAN, spans), (SPAN_INDEXED, spans)]
    raise ValueError(f"an item of the type {item.type!r}")


def _contained(item):
    if "item_count" not in item.header:
        return 1
    count = len(json.loads(item.payload)["items"])
    if count != item.header["item_count"]:
        raise ValueError(f"{item.type}: item_count {item.header['item_count']}, {count} items")
    return count
