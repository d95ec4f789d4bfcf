"""The clients, and what each must leave behind."""

import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The first project's id; a client has its project for itself.
PROJECT_MIN = 101


@dataclass
class Client:
    name: str
    # The line of the table that it belongs to.
    sdk: str
    command: list
    # The types of items that it must have sent, so that a client that falls silent is noticed.
    sends: set
    # Of each event that the client reports, in its order: a path in the payload, and what stands there.
    events: list = field(default_factory=list)
    # The same of the first item of other types, which no client reports.
    others: dict = field(default_factory=dict)
    # Texts that must stand in what is stored for a type, where its shape is not the one that was sent.
    texts: dict = field(default_factory=dict)
    # The requests it must have made: method, path below the project's, status. It makes no others.
    requests: set = field(default_factory=lambda: {("POST", "envelope/", 200)})
    # The content encoding that some of its requests must have.
    encoding: str = ""
    # Filled in later.
    project: int = 0
    event_ids: list = field(default_factory=list)

    @property
    def key(self):
        return f"{self.project:032}"


def clients(work, rust_client):
    """All of them, with what `run` installed in the folder `work`, and the built Rust example."""

    def python(environment, script, *arguments):
        interpreter = work / environment / "bin" / "python"
        return [str(interpreter), "-W", "ignore", str(HERE / script), *map(str, arguments)]

    def node(script):
        return ["node", str(work / "node" / script)]

    def browser(*scenario):
        bundle = work / "node" / "bundle.js"
        return python("checks", "browser/visit.py", work / "chromium", bundle, *scenario)

    basket = {"extra.basket.items": 3, "tags.shop": "north"}
    warning = {"level": "warning", "release": "shop@1.2.3", "environment": "checks", "tags.shop": "north"}
    greeting = warning | {"logentry.formatted": "Grüße ☃"}
    error = warning | {"level": "error"}
    transaction = {
        "type": "transaction",
        "transaction": "checkout",
        "contexts.trace.op": "task",
        "spans.0.description": "reserve",
        "spans.1.description": "pay",
    }
    feedback = {
        "type": "feedback",
        "contexts.feedback.message": "The till is closed",
        "contexts.feedback.contact_email": "ann@example.test",
    }

    check_in = {"monitor_slug": "nightly", "status": "ok", "duration": 1.5}
    replay = {"type": "replay_event", "segment_id": 0, "environment": "checks"}

    division = basket | exception("python", "ZeroDivisionError", "division by zero")
    no_basket = error | exception("python", "KeyError", "'no such basket'")
    no_price = basket | exception(
        "node", "TypeError", "Cannot read properties of null (reading 'price')"
    )
    telemetry = {"event", "attachment", "session", "check_in", "log", "client_report"}
    otlp = {"span": ["checkout", "reserve", "pay"], "log": ["a first line", "a second line"]}
    otlp_requests = {
        ("POST", f"integration/otlp/v1/{signal}", 202) for signal in ("traces", "logs")
    }

    everything_in_python = {
        "command": python("python", "python/telemetry.py"),
        "sends": telemetry | {"transaction"},
        "events": [greeting | {"platform": "python"}, no_basket],
        "others": {"transaction": transaction, "check_in": check_in},
        "encoding": "gzip",
    }
    sdks = versions()
    python_sdk = f"Python `sentry-sdk` {sdks['sentry-sdk']}"
    node_sdk = f"Node `@sentry/node` {sdks['@sentry/node']}"
    browser_sdk = f"browser `@sentry/browser` {sdks['@sentry/browser']}, in Chromium"
    opentelemetry = sdks["opentelemetry-exporter-otlp-proto-http"]
    node_opentelemetry = sdks["@opentelemetry/exporter-trace-otlp-http"]
    found = [
        Client(
            "python",
            python_sdk,
            python("python", "python/exception.py"),
            {"event"},
            [division],
            encoding="gzip",
        ),
        Client("python-telemetry", python_sdk, **everything_in_python),
        Client(
            "python-brotli",
            f"{python_sdk}, with `brotli`",
            **everything_in_python
            | {"command": python("python-brotli", "python/telemetry.py"), "encoding": "br"},
        ),
        Client(
            "python-legacy",
            f"Python `raven` {sdks['raven']}",
            python("python-legacy", "python/legacy.py"),
            {"event"},
            [
                # It sends extras in Python's notation.
                error
                | {"extra.basket.'items'": "3"}
                | exception("python", "ZeroDivisionError", "division by zero"),
                greeting | {"platform": "python"},
            ],
            requests={("POST", "store/", 200)},
            encoding="deflate",
        ),
        Client("node", node_sdk, node("exception.js"), {"event"}, [no_price]),
        Client(
            "node-telemetry",
            node_sdk,
            node("telemetry.js"),
            # Since its version 11 the SDK streams spans and sends no transactions unless asked to.
            telemetry | {"span", "feedback"},
            [
                greeting | {"platform": "node"},
                error | exception("node", "RangeError", "no such basket"),
                {"platform": "node", "logentry.formatted": "long"},
            ],
            {"feedback": feedback, "check_in": check_in},
            encoding="gzip",
        ),
        Client(
            "node-transaction",
            node_sdk,
            node("transaction.js"),
            {"transaction"},
            others={"transaction": transaction},
        ),
        Client(
            "browser",
            browser_sdk,
            browser(),
            {"event", "attachment", "session", "transaction", "log", "feedback"}
            | {"replay_event", "replay_recording"},
            [
                error
                | basket
                | exception(
                    "javascript", "TypeError", "Cannot read properties of null (reading 'price')"
                )
            ],
            {"transaction": transaction, "feedback": feedback, "replay_event": replay},
        ),
        Client(
            "browser-preflight",
            browser_sdk,
            browser("preflight"),
            {"event"},
            [basket | {"platform": "javascript", "exception.values.-1.type": "TypeError"}],
            requests={("OPTIONS", "envelope/", 200), ("POST", "envelope/", 200)},
        ),
        Client(
            "rust",
            f"Rust `sentry` {sdks['sentry']}",
            [str(rust_client)],
            telemetry | {"transaction"},
            [
                greeting | {"platform": "native"},
                error
                | basket
                | exception("native", "ParseIntError", "invalid digit found in string"),
            ],
            {"transaction": transaction, "check_in": check_in},
        ),
        Client(
            "otlp-python",
            f"Python OpenTelemetry {opentelemetry}, protobuf",
            python("otlp", "python/otlp.py"),
            {"span", "log"},
            texts=otlp,
            requests=otlp_requests,
            encoding="gzip",
        ),
        Client(
            "otlp-node",
            f"Node OpenTelemetry {node_opentelemetry}, JSON",
            node("otlp.js"),
            {"span", "log"},
            texts=otlp,
            requests=otlp_requests,
        ),
        Client(
            "sentry-cli",
            f"`sentry-cli` {sdks['@sentry/cli']}",
            [str(HERE / "cli" / "send"), str(work / "node" / "node_modules" / ".bin" / "sentry-cli")],
            {"event", "transaction", "session", "check_in", "log", "attachment", "feedback"},
            [
                greeting | {"platform": "native"},
                {"logentry.formatted": "from a file", "platform": "other"},
            ],
            {
                "transaction": transaction,
                "feedback": feedback,
                "check_in": {"monitor_slug": "nightly", "status": "in_progress"},
            },
        ),
    ]
    for project, client in enumerate(found, PROJECT_MIN):
        client.project = project
    return found


def exception(platform, type, value):
    return {
        "platform": platform,
        "exception.values.-1.type": type,
        "exception.values.-1.value": value,
    }


def versions():
    """What the lists of packages say, by the package's name."""
    found = json.loads((HERE / "node" / "package.json").read_text())["dependencies"]
    for path in HERE.glob("python/*.txt"):
        found |= dict(re.findall(r"^(\S+)==(\S+)$", path.read_text(), re.MULTILINE))
    lock = tomllib.loads((HERE.parent.parent / "Cargo.lock").read_text())
    found |= {p["name"]: p["version"] for p in lock["package"] if p["name"] == "sentry"}
    return found
