"""Runs clients as their users do against a real server, and looks at what the server's file says afterwards.

A client is a short program with an SDK nobody changed; all it is given is a DSN. The DSN leads through a
recorder, so that what the client sent is known from the wire and not from the client's own word.

Usage: check.py BINARY RUST_CLIENT WORK [--write-table], with what `run` installed in the folder WORK.
"""

import json
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import management
import matrix
import pages
import stored
import table
import wire
from recorder import Recorder
from report import Report
from server import Server, environment_without, world

CLIENT_SECS_MAX = 60
# In seconds: the ledger counts everything once at each.
RESOLUTIONS = (10, 3600, 86400)
# They keep what they say, but not their shape.
RESHAPED = {"check_in", "replay_event"}


def run_client(client, port, report):
    environment = environment_without("SENTRY_", "OTEL_", "PYTHON", "NODE_", "HTTP_PROXY", "ALL_PROXY")
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


def check_client(client, exchanges, file, report):
    """Compares what went over the wire for a client's project with what the server's file says of it.

    The types of items that are stored for it.
    """
    prefix = f"/api/{client.project}/"
    own = [e for e in exchanges if e.target.startswith(prefix)]
    requests = {
        (e.method, e.target.partition("?")[0].removeprefix(prefix), e.status) for e in own
    }
    report.check(f"{client.name}: every request is taken", client.requests, requests)
    encodings = {e.headers.get("content-encoding", "") for e in own}
    report.check(f"{client.name}: uses its encoding", True, client.encoding in encodings)

    sent = [item for e in own for item in wire.items(e)]
    types = Counter(item.type for item in sent)
    print(f"        {client.name} made {len(own)} request(s): {dict(types)}")
    report.check(f"{client.name}: sends what it is here for", set(), client.sends - types.keys())
    found = check_events(client, sent, file, report)
    found |= check_items(client, sent, file, report)
    found |= check_attachments(client, sent, file, report)

    expected = wire.ledger(sent)
    if "log" in client.texts:
        # Their bytes are counted in the shape that is stored.
        logs = [item for item in file.items(client.project) if item.type == "log"]
        expected[wire.LOG_BYTE, wire.ACCEPTED, ""] = sum(len(item.payload) for item in logs)
    expected = dict(sorted(expected.items()))
    for resolution in RESOLUTIONS:
        rows = file.ledger(client.project, client.key, resolution)
        report.check(f"{client.name}: the ledger by {resolution} s is exact", expected, rows)
    return found


def check_events(client, sent, file, report):
    events = file.events(client.project)
    for type, of_type in events.items():
        ids = sorted(item.event_id for item in sent if item.type == type)
        report.check(f"{client.name}: stores each {type} that it sends", ids, sorted(of_type))
    ids = sorted(client.event_ids)
    report.check(f"{client.name}: stores the events that it reports", ids, sorted(events["event"]))
    expectations = [
        (events["event"].get(event_id), {"event_id": event_id} | expected)
        for event_id, expected in zip(client.event_ids, client.events)
    ]
    for payload, expected in expectations:
        check_meaning(client, "event", payload, expected, report)
    for type in client.others.keys() & events.keys():
        first = next(iter(events[type].values()), None)
        check_meaning(client, type, first, client.others[type], report)
    return {type for type, of_type in events.items() if of_type}


def check_items(client, sent, file, report):
    """Items are stored as they came, in whatever order."""
    items = file.items(client.project)
    kinds = stored.KINDS.keys() - set(stored.EVENT_TYPES)

    def content(items):
        return sorted(
            (
                item.type,
                item.quantity,
                "" if item.type in RESHAPED | client.texts.keys() else _meaning(item.payload),
            )
            for item in items
            if item.type in kinds
        )

    report.check(f"{client.name}: stores each item as it came", content(sent), content(items))
    for type in client.others.keys() & kinds:
        first = next((json.loads(item.payload) for item in items if item.type == type), None)
        check_meaning(client, type, first, client.others[type], report)
    for type, texts in client.texts.items():
        payloads = b"".join(item.payload for item in items if item.type == type)
        missing = [text for text in texts if text.encode() not in payloads]
        report.check(f"{client.name}: each {type} says what was meant", [], missing)
    return {item.type for item in items}


def check_meaning(client, type, payload, expected, report):
    found = {path: _at(payload, path) for path in expected}
    report.check(f"{client.name}: its {type} says what was meant", expected, found)


def check_attachments(client, sent, file, report):
    attachments = file.attachments(client.project)
    expected = [
        (
            item.event_id,
            item.header.get("attachment_type", "event.attachment"),
            item.header["filename"],
            item.payload,
        )
        for item in sent
        if item.type == "attachment"
    ]
    what = f"{client.name}: stores each attachment with its event"
    report.check(what, sorted(expected), sorted(attachments))
    return {"attachment"} if attachments else set()


def _meaning(payload):
    """JSON in one spelling; what is none as it is."""
    try:
        return json.dumps(json.loads(payload), sort_keys=True)
    except ValueError:
        return repr(payload)


def _at(value, path):
    """What stands at a path of names and indexes; None if nothing does. In a list, a name finds the pair that
    begins with it."""
    for step in path.split("."):
        try:
            if not isinstance(value, list):
                value = value[step]
            elif step.lstrip("-").isdigit():
                value = value[int(step)]
            else:
                value = dict(value)[step]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return value


def check_file(all_clients, exchanges, file, report):
    """Nothing is in the file that no client sent."""
    known = {client.project for client in all_clients}
    strangers = [e.target for e in exchanges if e.target.split("/")[2] not in map(str, known)]
    report.check("no request is for another project", [], strangers)
    for name in ("event", "item", "attachment", "ledger"):
        projects = {id for (id,) in file.rows(f"SELECT project_id FROM {name}")}
        report.check(f"no row of {name} is of another project", set(), projects - known)
    keyless = file.rows(
        "SELECT count(*) FROM ledger WHERE key_id NOT IN (SELECT id FROM client_key)"
    )
    report.check("every row of ledger has its key", [(0,)], keyless)
    report.check("the file is whole", [("ok",)], file.rows("PRAGMA integrity_check"))


def main():
    binary, rust_client, work = map(Path, sys.argv[1:4])
    # Ended from outside, it still ends the server and removes its file.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    report = Report()
    all_clients = matrix.clients(work, rust_client)
    found = {client.sdk: set() for client in all_clients}
    with tempfile.TemporaryDirectory() as folder:
        server = Server(binary, Path(folder), world(all_clients))
        recorder = Recorder(server.address)
        try:
            for client in all_clients:
                run_client(client, recorder.port, report)
            programs = work / "node" / "node_modules" / ".bin"
            management.check(programs, binary, server, {c.name for c in all_clients}, report)
            code, secs = server.stop()
            report.check(f"the server stops in order (took {secs:.1f} s)", 0, code)
        finally:
            server.kill()
            recorder.close()
        report.check("the recording is whole", [], recorder.faults)
        exchanges = recorder.exchanges()
        file = stored.File(server.file)
        for client in all_clients:
            try:
                found[client.sdk] |= check_client(client, exchanges, file, report)
            except (KeyError, ValueError) as error:
                report.fail(f"{client.name}: what it sent can be read", repr(error))
        check_file(all_clients, exchanges, file, report)
        file.close()
        if report.failed:
            print(f"the server's log:\n{server.log.read_text(errors='replace')}")
    pages.check(work, binary, report)
    made = table.table(found)
    print(made)
    if "--write-table" in sys.argv:
        table.write(made)
    report.check("the README has this table (tests/clients/run --write-table)", made, table.in_readme())
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
