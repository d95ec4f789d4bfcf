"""What the server's file says of one project."""

import json
import sqlite3
from dataclasses import dataclass

import zstandard

# The numbers of StoredKind, by the type of item that has them.
KINDS = {
    "event": 0,
    "transaction": 2,
    "feedback": 3,
    "session": 10,
    "sessions": 11,
    "user_report": 12,
    "replay_event": 13,
    "replay_recording": 14,
    "check_in": 18,
    "log": 19,
    "trace_metric": 20,
    "span": 21,
}
TYPES = {number: name for name, number in KINDS.items()}
# They have ids, and lie in a table of their own.
EVENT_TYPES = ("event", "transaction", "feedback")


@dataclass
class Item:
    type: str
    payload: bytes
    quantity: int


class File:
    def __init__(self, path):
        self._database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)

    def close(self):
        self._database.close()

    def rows(self, statement, *values):
        return self._database.execute(statement, values).fetchall()

    def events(self, project):
        """By type, the events by their id, in the order in which they were stored."""
        events = {name: {} for name in EVENT_TYPES}
        for kind, event_id, payload in self.rows(
            "SELECT kind, lower(hex(event_id)), payload FROM event WHERE project_id = ? ORDER BY id",
            project,
        ):
            events.setdefault(TYPES.get(kind, kind), {})[event_id] = json.loads(_unpack(payload))
        return events

    def items(self, project):
        return [
            Item(TYPES.get(kind, kind), _unpack(payload), quantity)
            for kind, payload, quantity in self.rows(
                "SELECT kind, payload, quantity FROM item WHERE project_id = ? ORDER BY id", project
            )
        ]

    def attachments(self, project):
        """Their event's id, type, name and content."""
        return [
            (event_id, kind, name, _unpack(payload))
            for event_id, kind, name, payload in self.rows(
                """SELECT lower(hex(event_id)), kind, name, payload FROM attachment
                   WHERE project_id = ? ORDER BY id""",
                project,
            )
        ]

    def ledger(self, project, key, resolution):
        """What was counted for a key: (category, outcome, reason) to quantity."""
        rows = self.rows(
            """SELECT ledger.category, ledger.outcome, ledger.reason, sum(ledger.quantity)
               FROM ledger LEFT JOIN client_key ON client_key.id = ledger.key_id
               WHERE resolution = ? AND ledger.project_id = ? AND client_key.public = ?
               GROUP BY 1, 2, 3 ORDER BY 1, 2, 3""",
            resolution,
            project,
            key,
        )
        return {(category, outcome, reason): sum for category, outcome, reason, sum in rows}


def _unpack(payload):
    """No client here sends a payload so large that it lies in parts."""
    return zstandard.ZstdDecompressor().decompressobj().decompress(payload)
