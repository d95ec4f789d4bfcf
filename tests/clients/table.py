"""The table in the README of what was sent and stored."""

from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"
BEGIN, END = "<!-- clients:begin -->\n", "<!-- clients:end -->\n"
COLUMNS = {
    "error": {"event"},
    "transaction": {"transaction"},
    "spans": {"span"},
    "log": {"log"},
    "session": {"session", "sessions"},
    "check-in": {"check_in"},
    "attachment": {"attachment"},
    "feedback": {"feedback", "user_report"},
    "replay": {"replay_event"},
}


def table(stored):
    """The table for the stored types of items by line."""
    lines = [["", *COLUMNS], ["---"] * (1 + len(COLUMNS))]
    for name, types in stored.items():
        lines.append([name, *("yes" if types & column else "–" for column in COLUMNS.values())])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def in_readme():
    """The table that the README has."""
    return _parts()[1]


def write(table):
    before, _, after = _parts()
    README.write_text(before + BEGIN + table + END + after)


def _parts():
    before, begin, rest = README.read_text().partition(BEGIN)
    table, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"the README has no place for the table between {BEGIN!r} and {END!r}")
    return before, table, after
