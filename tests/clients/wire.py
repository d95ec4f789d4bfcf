"""What went over the wire, and what the ledger must say of it. Written from the protocols, not from the server.

A type that is not known here is an error: a client that begins to send something new shall be noticed.
"""

import json
from collections import Counter
from dataclasses import dataclass

# The protocol's numbers.
ERROR, TRANSACTION, ATTACHMENT, SESSION, REPLAY, MONITOR = 1, 2, 4, 5, 7, 10
TRANSACTION_INDEXED, SPAN, FEEDBACK, SPAN_INDEXED = 9, 12, 14, 16
ATTACHMENT_ITEM, LOG_ITEM, LOG_BYTE, TRACE_METRIC = 22, 23, 24, 33
NUMBERS = {
    "default": 0,
    "error": ERROR,
    "transaction": TRANSACTION,
    "security": 3,
    "attachment": ATTACHMENT,
    "session": SESSION,
    "replay": REPLAY,
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
    type: str
    header: dict
    payload: bytes
    # Of the event that it is or belongs to, without dashes; empty if there is none.
    event_id: str
    # The entries of a container, else 1.
    quantity: int


def items(exchange):
    """The items that a request brings to the server."""
    path = exchange.target.partition("?")[0]
    _, _, _, endpoint = path.split("/", 3)
    body = exchange.body
    if exchange.method == "OPTIONS":
        return []
    match endpoint:
        case "envelope/":
            return _envelope(body)
        case "store/":
            return [Item("event", {}, body, json.loads(body)["event_id"], 1)]
        case "integration/otlp/v1/traces":
            quantity = _otlp_quantity(exchange, "resourceSpans", "scopeSpans", "spans")
            return [Item("span", {}, body, "", quantity)]
        case "integration/otlp/v1/logs":
            quantity = _otlp_quantity(exchange, "resourceLogs", "scopeLogs", "logRecords")
            return [Item("log", {}, body, "", quantity)]
    raise ValueError(f"a request for {path!r}")


def _envelope(body):
    line, _, rest = body.partition(b"\n")
    event_id = json.loads(line).get("event_id", "").replace("-", "")
    found = []
    while rest:
        line, _, rest = rest.partition(b"\n")
        if not line:
            continue
        header = json.loads(line)
        if "length" in header:
            length = header["length"]
            payload, rest = rest[:length], rest[length:]
            if len(payload) < length:
                raise ValueError(f"{header['type']}: {len(payload)} of {length} bytes")
            rest = rest.removeprefix(b"\n")
        else:
            payload, _, rest = rest.partition(b"\n")
        found.append(Item(header["type"], header, payload, event_id, _contained(header, payload)))
    return found


def _contained(header, payload):
    if "item_count" not in header:
        return 1
    count = len(json.loads(payload)["items"])
    if count != header["item_count"]:
        raise ValueError(f"{header['type']}: item_count {header['item_count']}, {count} items")
    return count


def _otlp_quantity(exchange, resources, scopes, entries):
    if exchange.headers["content-type"] == "application/json":
        return sum(
            len(scope[entries])
            for resource in json.loads(exchange.body)[resources]
            for scope in resource[scopes]
        )
    # In protobuf, resources are the request's first field, scopes a resource's second, entries a scope's second.
    return sum(
        len(_fields(scope, 2))
        for resource in _fields(exchange.body, 1)
        for scope in _fields(resource, 2)
    )


def _fields(message, number):
    """The fields of a protobuf message that have this number and a length."""
    found, at = [], 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        match key & 7:
            case 0:
                varint()
            case 1:
                at += 8
            case 2:
                length = varint()
                if key >> 3 == number:
                    found.append(message[at : at + length])
                at += length
            case 5:
                at += 4
            case kind:
                raise ValueError(f"a protobuf field of the kind {kind}")
    return found


def ledger(all_items):
    """The rows of the ledger for these items if all are taken: (category, outcome, reason) to quantity."""
    rows = Counter()
    for item in all_items:
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
        case "replay_event" | "replay_recording":
            return [(REPLAY, 1)]
        case "check_in":
            return [(MONITOR, 1)]
        case "feedback" | "user_report":
            return [(FEEDBACK, 1)]
        case "log":
            return [(LOG_ITEM, item.quantity), (LOG_BYTE, len(item.payload))]
        case "trace_metric":
            return [(TRACE_METRIC, item.quantity)]
        case "span":
            return [(SPAN, item.quantity), (SPAN_INDEXED, item.quantity)]
    raise ValueError(f"an item of the type {item.type!r}")
