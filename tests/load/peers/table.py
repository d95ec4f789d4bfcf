"""What was found, in Markdown, and its place in the README."""

import statistics
from pathlib import Path

from servers import Kent, Picket

README = Path(__file__).resolve().parents[3] / "README.md"
BEGIN, END = "<!-- peers:begin -->\n", "<!-- peers:end -->\n"


def facts(servers):
    lines = [["", "version", "runs as", "keeps events in", "on the disk when it answers"]]
    lines += [[server.name, *server.facts()] for server in servers]
    return _table(lines)


def turns(by_size):
    """For each size, the turns by number of connections and server, in the order of the rounds."""
    lines = [["events", "connections", "", "acknowledged/s", "to Picket", "stored/s", "refused", "failed"]]
    lines[0] += ["p50", "p99", "CPU per event"]
    for size, found in by_size.items():
        for (connections, name), own in found.items():
            pairs = zip(own, found[connections, Picket.name])
            ratio = statistics.median(a.per_sec() / b.per_sec() for a, b in pairs)
            stored = statistics.median(turn.stored_per_sec() for turn in own)
            line = [size, connections, name, f"{statistics.median(turn.per_sec() for turn in own):.0f}"]
            line += [f"{ratio:.3f}", "–" if name == Kent.name else f"{stored:.0f}"]
            line += [sum(turn.refused for turn in own), sum(turn.failed for turn in own)]
            line += [f"{statistics.median(turn.p50_ms for turn in own):.1f} ms"]
            line += [f"{statistics.median(turn.p99_ms for turn in own):.1f} ms"]
            line += [f"{statistics.median(turn.cpu_ms() for turn in own):.2f} ms"]
            lines.append(line)
    return _table(lines)


def kept(by_size):
    lines = [["events", "", "acknowledged", "of them stored", "missing", "waited until stored", "memory"]]
    lines[0] += ["disk per event", ""]
    for size, by_server in by_size.items():
        for name, found in by_server.items():
            disk = f"{found.disk_bytes / max(len(found.stored), 1):.0f} B" if found.disk_bytes else "–"
            line = [size, name, *_counts(found), f"{found.settle_secs:.1f} s"]
            line += [f"{found.memory_bytes / 1e6:.0f} MB", disk, found.remarks]
            lines.append(line)
    return _table(lines)


def crashes(by_server, count):
    times = "once" if count == 1 else f"{count} times"
    lines = [[f"killed {times} under load", "acknowledged", "of them stored", "missing"]]
    lines[0] += ["stored, not acknowledged", ""]
    for name, found in by_server.items():
        lines.append([name, *_counts(found), len(found.stored - found.acknowledged), found.remarks])
    return _table(lines)


def write(tables):
    before, begin, rest = README.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"the README has no place for the tables between {BEGIN!r} and {END!r}")
    README.write_text(before + BEGIN + tables + END + after)


def _counts(found):
    return len(found.acknowledged), len(found.acknowledged & found.stored), len(found.missing())


def _table(lines):
    rule = ["---"] * len(lines[0])
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in [lines[0], rule, *lines[1:]])
