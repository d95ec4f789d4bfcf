"""Measures Picket beside other servers, and what each has really stored of what it acknowledged.

All run at once, each with its own files; one after the other has its turn of load, by the same client with the same
events, and is waited for until it has nothing left to do, so that no server works while another is measured. The speed
of a machine drifts, so ratios are taken within a round of turns, and what is printed is the median over the rounds. At
last each server is killed in the middle of load, several times.

Usage: compare.py BINARY CLIENT WORK [--short] [--write-table], with what `run` installed in the folder WORK. Prints
tables in Markdown, and with --write-table puts them into the README. Fails if Picket does not keep its word: every
acknowledged event is stored, and its ledger says so.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import table
from servers import Bugsink, Kent, Picket

ID_BYTES = 16
WARM_UP_SECS = 0.5
CLIENT_SECS_MAX = 60
SIZES = {"1 KB": 1024, "4 KB": 4096}
CRASH_CONNECTIONS = 16
CRASH_AFTER_SECS = 1.5


@dataclass
class Plan:
    connections: tuple
    rounds: int
    turn_secs: float
    crashes: int


LONG = Plan(connections=(1, 16, 64), rounds=5, turn_secs=3, crashes=3)
SHORT = Plan(connections=(1, 16), rounds=1, turn_secs=2, crashes=1)


@dataclass
class Turn:
    """What one turn of load gave."""

    secs: float
    acknowledged: int
    refused: int
    failed: int
    p50_ms: float
    p99_ms: float
    # From the end of the load until all of it is stored.
    settle_secs: float = 0
    # Until all of it is stored, too.
    cpu_secs: float = 0

    def per_sec(self):
        return self.acknowledged / self.secs

    def stored_per_sec(self):
        return self.acknowledged / (self.secs + self.settle_secs)

    def cpu_ms(self):
        return 1000 * self.cpu_secs / max(self.acknowledged, 1)


@dataclass
class Kept:
    """What a server was found to have after a phase, beside what it had acknowledged."""

    acknowledged: set = field(default_factory=set)
    stored: set = field(default_factory=set)
    settle_secs: float = 0
    memory_bytes: int = 0
    disk_bytes: int = 0
    # By its own ledger; None if it has none.
    counted: int | None = None
    remarks: str = ""

    def missing(self):
        return self.acknowledged - self.stored


class Client:
    """The program that all the load comes from."""

    def __init__(self, program, folder):
        self._program = program
        self._file = folder / "acknowledged"

    def start(self, dsn, size, connections, secs):
        self._file.unlink(missing_ok=True)
        command = [self._program, dsn, str(size), str(connections), str(secs), self._file]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def finish(self, process):
        """The turn that it measured, and the ids of what was acknowledged."""
        try:
            output, _ = process.communicate(timeout=CLIENT_SECS_MAX)
        finally:
            process.kill()
        if process.returncode != 0:
            raise SystemExit(f"the client ended with {process.returncode}")
        said = dict(line.split() for line in output.splitlines())
        ids = self._file.read_bytes()
        turn = Turn(
            secs=float(said["seconds"]),
            acknowledged=int(said["acknowledged"]),
            refused=sum(int(count) for name, count in said.items() if name.startswith("refused_")),
            failed=int(said["failed"]),
            p50_ms=float(said["p50_ms"]),
            p99_ms=float(said["p99_ms"]),
        )
        return turn, {ids[at : at + ID_BYTES] for at in range(0, len(ids), ID_BYTES)}

    def run(self, *args):
        return self.finish(self.start(*args))


def turn_of(server, client, size, connections, secs, kept):
    """One turn of load, until the server has nothing left to do."""
    cpu_before = server.cpu_secs()
    turn, ids = client.run(server.dsn, size, connections, secs)
    begun = time.monotonic()
    server.settle()
    turn.settle_secs = time.monotonic() - begun
    turn.cpu_secs = server.cpu_secs() - cpu_before
    kept.acknowledged |= ids
    kept.settle_secs = max(kept.settle_secs, turn.settle_secs)
    return turn


def measure(servers, client, plan, size):
    """The turns by number of connections and server, and what each server had kept in the end."""
    turns = {}
    kept = {server.name: Kept() for server in servers}
    for server in servers:
        server.fresh()
        turn_of(server, client, size, 1, WARM_UP_SECS, kept[server.name])
    for connections in plan.connections:
        say(f"{size} bytes, {connections} connections")
        for round in range(plan.rounds):
            first = round % len(servers)
            for server in servers[first:] + servers[:first]:
                turn = turn_of(server, client, size, connections, plan.turn_secs, kept[server.name])
                turns.setdefault((connections, server.name), []).append(turn)
    for server in servers:
        look(server, kept[server.name])
        server.stop()
        if (after := server.disk_bytes()) is not None:
            kept[server.name].disk_bytes = after - server.empty_bytes
    return turns, kept


def look(server, kept):
    kept.stored = server.stored()
    kept.counted = server.counted()
    kept.remarks = server.remarks()
    kept.memory_bytes = server.memory_bytes()


def crash(server, client, times):
    """Kills a server in the middle of load, and starts it again; what it has then."""
    kept = Kept()
    server.fresh()
    turn_of(server, client, SIZES["1 KB"], 1, WARM_UP_SECS, kept)
    for _ in range(times):
        process = client.start(server.dsn, SIZES["1 KB"], CRASH_CONNECTIONS, 2 * CRASH_AFTER_SECS)
        time.sleep(CRASH_AFTER_SECS)
        server.kill()
        _, ids = client.finish(process)
        kept.acknowledged |= ids
        server.start()
        server.settle()
    look(server, kept)
    server.stop()
    return kept


def say(text):
    print(text, file=sys.stderr, flush=True)


def compare(servers, client, plan):
    """Everything as Markdown, and what Picket was found to have in each phase."""
    all_turns, all_kept = {}, {}
    for size, size_bytes in SIZES.items():
        all_turns[size], all_kept[size] = measure(servers, client, plan, size_bytes)
    say("killing each under load")
    crashed = {server.name: crash(server, client, plan.crashes) for server in servers}
    parts = [
        table.facts(servers),
        table.turns(all_turns),
        table.kept(all_kept),
        table.crashes(crashed, plan.crashes),
    ]
    phases = [*(by_server[Picket.name] for by_server in all_kept.values()), crashed[Picket.name]]
    return "\n".join(parts), phases


def check(picket):
    """Fails if Picket has not done what it says that it does."""
    if picket.missing() or picket.counted != len(picket.stored):
        raise SystemExit(
            f"Picket: {len(picket.missing())} acknowledged events are missing; "
            f"{len(picket.stored)} are stored, and its ledger says {picket.counted}"
        )


def sync_micros(folder):
    """The median time of a sync after 4 KiB were written."""
    times = []
    with open(folder / "sync", "wb", buffering=0) as file:
        for _ in range(200):
            file.write(bytes(4096))
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - begun)
    return 1e6 * statistics.median(times)


def main():
    binary, program, work, *options = sys.argv[1:]
    if unknown := set(options) - {"--short", "--write-table"}:
        raise SystemExit(f"unknown: {' '.join(unknown)}")
    plan = SHORT if "--short" in options else LONG
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(dir=work, prefix="run-") as name:
        folder, work = Path(name), Path(work)
        client = Client(program, folder)
        sync = f"A sync of the disk takes {sync_micros(folder):.0f} µs.\n"
        servers = []
        try:
            servers += [Picket(folder / "picket", binary)]
            servers += [Bugsink(folder / "bugsink", work / "bugsink"), Kent(folder / "kent", work / "kent")]
            tables, pickets = compare(servers, client, plan)
            tables = f"{sync}\n{tables}"
        finally:
            for server in servers:
                server.kill()
    say(f"took {time.monotonic() - begun:.0f} s")
    print(tables)
    for picket in pickets:
        check(picket)
    if "--write-table" in options:
        table.write(tables)


main()
