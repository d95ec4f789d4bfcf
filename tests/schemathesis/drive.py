"""Runs schemathesis against a server with a small world.

What it looks for: no answer of 5xx, no status, type or body that the document does not know. Generated names would
find nothing, so the paths are filled with what is there, by number, which no change of a slug takes away. What an
operation removes is there for it alone.

Usage: drive.py BINARY SCHEMATHESIS [ARGUMENT...]
"""

import json
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "clients"))
from server import OWNER_TOKEN, Server, environment_without  # noqa: E402

RUN_SECS_MAX = 8 * 60
EXAMPLES = 30
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
]
KEY = f"{1:032x}"
LOST_KEY = f"{2:032x}"
EVENT = "a" * 32

WORLD = f"""
[[organization]]
slug = "acme"

  [[organization.team]]
  slug = "core"

  [[organization.team]]
  slug = "lost"

  [[organization.project]]
  slug = "web"
  id = 31
  teams = ["core"]

    [[organization.project.key]]
    public = "{KEY}"

    [[organization.project.key]]
    name = "Lost"
    public = "{LOST_KEY}"

  [[organization.project]]
  slug = "lost"
  id = 32
  teams = ["core"]

[[organization]]
slug = "lost"

[[user]]
email = "ann@example.test"
roles = {{ acme = "owner", lost = "owner" }}
teams = {{ acme = ["core"] }}

  [[user.token]]
  token = "{OWNER_TOKEN}"
  scopes = ["org:admin", "project:admin", "team:admin", "event:admin", "member:admin"]

[[user]]
email = "bob@example.test"
roles = {{ acme = "member" }}
teams = {{ acme = ["core"] }}

[[user]]
email = "lost@example.test"
roles = {{ acme = "member" }}
"""


class Api:
    def __init__(self, url):
        self.url = url

    def get(self, path):
        """The JSON at a path; None if nothing is there."""
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {OWNER_TOKEN}"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def find(self, path, **fields):
        """The id of the one in a list that has these fields."""
        for row in self.get(path) or []:
            if fields.items() <= row.items():
                return row["id"]
        return None

    def send_event(self):
        """An error with an attachment."""
        event = json.dumps({"message": "lost it", "environment": "production"})
        items = [({"type": "event"}, event), ({"type": "attachment", "filename": "a.txt"}, "a")]
        lines = [json.dumps({"event_id": EVENT})]
        for header, payload in items:
            lines += [json.dumps(header | {"length": len(payload)}), payload]
        target = f"{self.url}/api/31/envelope/?sentry_key={KEY}"
        with urllib.request.urlopen(target, "\n".join(lines).encode(), timeout=10):
            pass


def configuration(api):
    """Schemathesis's own, in TOML: what the segments of paths are, and for which operations they are others."""
    organizations = "/api/0/organizations/"
    organization = api.find(organizations, slug="acme")
    teams = f"{organizations}{organization}/teams/"
    members = f"{organizations}{organization}/members/"
    events = f"/api/0/projects/{organization}/31/events/{EVENT}/attachments/"
    parameters = {
        "org": organization,
        "project": "31",
        "team": api.find(teams, slug="core"),
        "member": api.find(members, email="bob@example.test"),
        "key": KEY,
        "event": EVENT,
        "attachment": api.find(events),
        "item": api.find(f"/api/0/projects/{organization}/31/items/?type=event"),
        "environment": "production",
    }
    others = {
        "deleteOrganization": {"org": api.find(organizations, slug="lost")},
        "deleteProject": {"project": "32"},
        "deleteTeam": {"team": api.find(teams, slug="lost")},
        "deleteKey": {"key": LOST_KEY},
        "removeMember": {"member": api.find(members, email="lost@example.test")},
    }
    lines = ["[parameters]", *assignments(parameters)]
    known = {
        operation["operationId"]
        for methods in api.get("/api/0/openapi.json")["paths"].values()
        for operation in methods.values()
        if isinstance(operation, dict)
    }
    for operation, segments in others.items():
        if operation in known:
            lines += ["[[operations]]", f'include-operation-id = "{operation}"']
            lines += ["[operations.parameters]", *assignments(segments)]
    return "\n".join(lines)


def assignments(segments):
    return [f'"path.{name}" = {json.dumps(value)}' for name, value in segments.items() if value]


def main():
    binary, schemathesis, *arguments = sys.argv[1:]
    # Ended from outside, it still ends the server and removes its file.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # The limits would answer most of it.
        server = Server(binary, folder, WORLD, "--api-rate-limits", "off")
        try:
            api = Api("http://{}:{}".format(*server.address))
            api.send_event()
            settings = folder / "schemathesis.toml"
            settings.write_text(configuration(api))
            command = [schemathesis, "--config-file", str(settings), "run", f"{api.url}/api/0/openapi.json"]
            command += ["--header", f"Authorization: Bearer {OWNER_TOKEN}"]
            command += ["--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing"]
            command += ["--max-examples", str(EXAMPLES), "--no-color", "--generation-database", "none"]
            command += arguments
            run = subprocess.run(
                command,
                cwd=folder,
                env=environment_without("SCHEMATHESIS_", "HTTP_PROXY", "ALL_PROXY"),
                stdin=subprocess.DEVNULL,
                timeout=RUN_SECS_MAX,
            )
            code, secs = server.stop()
        finally:
            server.kill()
        print(f"the server stopped with exit code {code} after {secs:.1f} s")
        if run.returncode != 0 or code != 0:
            print(f"the server's log:\n{server.log.read_text(errors='replace')[-20_000:]}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
