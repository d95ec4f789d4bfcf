"""Runs clients as their users do against a real server, and looks at what the server's file says afterwards.

A client is a short program with an SDK nobody changed; all it is given is a DSN. The DSN leads through a
recorder, so that what the client sent is known from the wire and not from the client's own word.

Usage: check.py BINARY WORK, with what `run` installed in the folder WORK.
"""

import json
import os
import queue
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

import envelopes
from recorder import Recorder

HERE = Path(__file__).resolve().parent
START_SECS_MAX = 30
CLIENT_SECS_MAX = 60
STOP_SECS_MAX = 10
# In seconds: the ledger counts everything once at each.
RESOLUTIONS = (10, 3600, 86400)


@dataclass
class Client:
    name: str
    project: int
    command: list
    # Of each event that the client reports, in its order: a path in the payload, and what stands there.
    events: list
    # The types of items that it must have sent, so that a client that falls silent is noticed.
    sends: set
    # The content encoding that some of its requests must have.
    encoding: str = "gzip"
    # Filled by running it.
    event_ids: list = field(default_factory=list)

    @property
    def key(self):
        return f"{self.project:032}"


def clients(work):
    def python(environment, script):
        return [str(work / environment / "bin" / "python"), str(HERE / "python" / script)]

    def node(script):
        return ["node", str(work / "node" / script)]

    division = {
        "platform": "python",
        "level": "error",
        "exception.values.-1.type": "ZeroDivisionError",
        "exception.values.-1.value": "division by zero",
        "extra.basket.items": 3,
        "tags.shop": "north",
    }
    warning = {
        "level": "warning",
        "release": "shop@1.2.3",
        "environment": "checks",
        "tags.shop": "north",
    }
    error = warning | {"level": "error"}
    telemetry = {"event", "attachment", "session", "check_in", "log", "client_report"}
    return [
        Client("python", 101, python("python", "exception.py"), [division], {"event"}),
        Client(
            "python-brotli", 102, python("python-brotli", "exception.py"), [division], {"event"}, "br"
        ),
        Client(
            "python-telemetry",
            103,
            python("python", "telemetry.py"),
            [
                warning | {"platform": "python", "message": "Grüße ☃"},
                error
                | {
                    "platform": "python",
                    "exception.values.-1.type": "KeyError",
                    "exception.values.-1.value": "'no such basket'",
                },
            ],
            telemetry | {"transaction"},
        ),
        Client(
            "node",
            104,
            node("exception.js"),
            [
                {
                    "platform": "node",
                    "exception.values.-1.type": "TypeError",
                    "exception.values.-1.value": "Cannot read properties of null (reading 'price')",
                    "extra.basket.items": 3,
                    "tags.shop": "north",
                }
            ],
            {"event"},
            "",
        ),
        Client(
            "node-telemetry",
            105,
            node("telemetry.js"),
            [
                warning | {"platform": "node", "message": "Grüße ☃"},
                error
                | {
                    "platform": "node",
                    "exception.values.-1.type": "RangeError",
                    "exception.values.-1.value": "no such basket",
                },
                {"platform": "node", "message": "long", "extra.text": "0123456789" * 5_000},
            ],
            # Since its version 11 the SDK streams spans and sends no transactions unless asked to.
            telemetry | {"span"},
        ),
        Client("node-transaction", 106, node("transaction.js"), [], {"transaction"}, ""),
    ]


class Report:
    """Counts what held and what did not, and says it as it becomes known."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def check(self, what, expected, found):
        if expected == found:
            self.passed += 1
            print(f"ok      {what}", flush=True)
        else:
            self.fail(what, f"expected {_short(expected)}\n        found    {_short(found)}")

    def fail(self, what, why):
        self.failed += 1
        print(f"FAILED  {what}\n        {why}", flush=True)


def _short(value):
    text = repr(value)
    return text if len(text) <= 2_000 else f"{text[:2_000]}… ({len(text)} characters)"


def environment_without(*prefixes):
    """The environment less the settings that could make a run differ from one on another machine."""
    return {
        name: value for name, value in os.environ.items() if not name.upper().startswith(prefixes)
    }


class Server:
    """The binary, on a new file with the projects of world.toml."""

    def __init__(self, binary, folder):
        self.file = folder / "picket.db"
        self.log = folder / "picket.log"
        command = [str(binary), "serve", "--json", "--listen", "127.0.0.1:0"]
        command += ["--data", str(self.file), "--apply", str(HERE / "world.toml")]
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                command,
                env=environment_without("PICKET_"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        try:
            self.address = self._wait()
        except BaseException:
            self.kill()
            raise

    def _wait(self):
        """The address it says that it listens on."""
        lines = queue.Queue()
        stdout = self._process.stdout
        # A thread, because a read of a pipe cannot be given up.
        threading.Thread(
            target=lambda: lines.put(stdout.readline()), daemon=True
        ).start()
        try:
            line = lines.get(timeout=START_SECS_MAX)
            host, _, port = json.loads(line)["listening"].rpartition(":")
        except (queue.Empty, ValueError) as error:
            log = self.log.read_text(errors="replace")
            raise SystemExit(f"the server did not start ({error!r}):\n{log}") from error
        return host, int(port)

    def stop(self):
        """Asks it to stop; its exit code and how long it took. None if it did not stop in time."""
        begun = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_SECS_MAX)
        except subprocess.TimeoutExpired:
            code = None
        return code, time.monotonic() - begun

    def kill(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def run_client(client, port, report):
    environment = environment_without("SENTRY_", "PYTHON", "NODE_", "HTTP_PROXY", "ALL_PROXY")
    environment["SENTRY_DSN"] = f"http://{client.key}@127.0.0.1:{port}/{client.project}"
    what = f"{client.name}: runs to its end and reports {len(client.events)} event(s)"
    try:
        run = subprocess.run(
            client.command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=CLIENT_SECS_MAX,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return report.fail(what, str(error))
    client.event_ids = run.stdout.split()
    if run.returncode != 0 or run.stderr:
        return report.fail(what, f"exit code {run.returncode}, and said:\n{run.stderr}")
    report.check(what, len(client.events), len(client.event_ids))


def check_client(client, exchanges, database, report):
    """Compares what went over the wire for a client's project with what the server's file says of it."""
    own = [e for e in exchanges if e.target.startswith(f"/api/{client.project}/")]
    answers = [(e.method, e.target.partition("?")[0], e.status) for e in own]
    good = ("POST", f"/api/{client.project}/envelope/", 200)
    # At least one, so that a client that sent nothing does not pass.
    report.check(f"{client.name}: every request is taken", [good] * max(len(own), 1), answers)

    items = [item for e in own for item in envelopes.parse(e.body)[1]]
    types = Counter(item.type for item in items)
    print(f"        {client.name} sent {len(own)} envelope(s): {dict(types)}")
    missing = client.sends - types.keys()
    report.check(f"{client.name}: sends what it is here for", set(), missing)
    encodings = {e.headers.get("content-encoding", "") for e in own}
    report.check(f"{client.name}: uses its encoding", True, client.encoding in encodings)

    sent = {
        json.loads(item.payload)["event_id"]: item.payload for item in items if item.type == "event"
    }
    stored = {
        event_id: zstandard.ZstdDecompressor().decompressobj().decompress(payload)
        for event_id, payload in database.execute(
            "SELECT lower(hex(event_id)), payload FROM event WHERE project_id = ?", [client.project]
        )
    }
    report.check(
        f"{client.name}: stores the events that it reports", sorted(client.event_ids), sorted(stored)
    )
    report.check(f"{client.name}: stores them byte for byte", sent, stored)
    for event_id, expected in zip(client.event_ids, client.events):
        payload = json.loads(stored.get(event_id, b"null"))
        expected = {"event_id": event_id} | expected
        found = {path: _at(payload, path) for path in expected}
        report.check(f"{client.name}: event {event_id} says what was meant", expected, found)

    expected = dict(sorted(envelopes.ledger(items).items()))
    for resolution in RESOLUTIONS:
        rows = database.execute(
            """SELECT ledger.category, ledger.outcome, ledger.reason, sum(ledger.quantity)
               FROM ledger LEFT JOIN client_key ON client_key.id = ledger.key_id
               WHERE resolution = ? AND ledger.project_id = ? AND client_key.public = ?
               GROUP BY 1, 2, 3 ORDER BY 1, 2, 3""",
            [resolution, client.project, client.key],
        )
        found = {(category, outcome, reason): sum for category, outcome, reason, sum in rows}
        report.check(f"{client.name}: the ledger by {resolution} s is exact", expected, found)


def _at(value, path):
    """What stands at a path of names and indexes; None if nothing does."""
    for step in path.split("."):
        try:
            value = value[int(step)] if isinstance(value, list) else value[step]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return value


def check_file(all_clients, exchanges, database, report):
    """Nothing is in the file that no client sent."""
    known = {client.project for client in all_clients}
    strangers = [e.target for e in exchanges if e.target.split("/")[2] not in map(str, known)]
    report.check("no request is for another project", [], strangers)
    for table in ("event", "ledger"):
        projects = {id for (id,) in database.execute(f"SELECT project_id FROM {table}")}
        report.check(f"no row of {table} is of another project", set(), projects - known)
    keyless = database.execute(
        "SELECT count(*) FROM ledger WHERE key_id NOT IN (SELECT id FROM client_key)"
    ).fetchone()
    report.check("every row of ledger has its key", (0,), keyless)
    check = database.execute("PRAGMA integrity_check").fetchone()
    report.check("the file is whole", ("ok",), check)


def main():
    binary, work = Path(sys.argv[1]), Path(sys.argv[2])
    # Ended from outside, it still ends the server and removes its file.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    report = Report()
    all_clients = clients(work)
    with tempfile.TemporaryDirectory() as folder:
        server = Server(binary, Path(folder))
        recorder = Recorder(server.address)
        try:
            for client in all_clients:
                run_client(client, recorder.port, report)
            code, secs = server.stop()
            report.check(f"the server stops in order (took {secs:.1f} s)", 0, code)
        finally:
            server.kill()
            recorder.close()
        report.check("the recording is whole", [], recorder.faults)
        exchanges = recorder.exchanges()
        database = sqlite3.connect(f"file:{server.file}?mode=ro", uri=True)
        for client in all_clients:
            try:
                check_client(client, exchanges, database, report)
            except ValueError as error:
                report.fail(f"{client.name}: what it sent can be read", str(error))
        check_file(all_clients, exchanges, database, report)
        database.close()
        if report.failed:
            print(f"the server's log:\n{server.log.read_text(errors='replace')}")
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
