"""Runs schemathesis against a server with a small world: with a token, and then, what is for browsers alone, with a
session of somebody whose tokens nothing else needs.

What it looks for: no answer of 5xx, no status, type or body that the document does not know. Generated names would
find nothing, so the paths are filled with what is there, by number, which no change of a slug takes away. What an
operation removes is there for it alone.

Usage: drive.py BINARY SCHEMATHESIS [ARGUMENT...]
"""

import http.cookiejar
import json
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
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
PASSWORD = "correct horse battery staple"
FOR_BROWSERS = "^/api/0/(api-tokens|users/[^/]+/authenticators)/"
# Its refusal may have no body, which a document cannot say of one that may have one.
MAY_BE_EMPTY = "signInWithBasic"

WORLD = f"""
[[organization]]
slug = "acme"

  [[organization.token]]
  name = "ci"

  [[organization.token]]
  name = "lost"

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
email = "sid@example.test"
password = "{PASSWORD}"

  [[user.token]]
  name = "laptop"
  scopes = ["org:read"]

[[user]]
email = "lost@example.test"
roles = {{ acme = "member" }}
"""


class Api:
    def __init__(self, url):
        self.url = url

    def get(self, path, headers=None):
        """The JSON at a path; None if nothing is there."""
        headers = headers or {"Authorization": f"Bearer {OWNER_TOKEN}"}
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def find(self, path, headers=None, **fields):
        """The id of the one in a list that has these fields."""
        for row in self.get(path, headers) or []:
            if fields.items() <= row.items():
                return row["id"]
        return None

    def sign_in(self, email):
        """What a browser sends after it signed in: its cookie, and the proof that a page of ours asks."""
        jar = http.cookiejar.CookieJar()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        login = f"{self.url}/auth/login/"
        page = browser.open(login, timeout=10).read().decode()
        csrf = page.partition('name="csrf" value="')[2].partition('"')[0]
        form = {"csrf": csrf, "email": email, "password": PASSWORD}
        browser.open(login, urllib.parse.urlencode(form).encode(), timeout=10).read()
        cookies = {cookie.name: cookie.value for cookie in jar}
        return {"Cookie": f"sentrysid={cookies['sentrysid']}", "X-CSRFToken": cookies["sc"]}

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


def make_api_key(binary, server, name):
    """Only the command line makes one."""
    command = [binary, "token", "create", "--data", str(server.file), "--organization", "acme", "--api-key"]
    subprocess.run([*command, "--name", name], env=environment_without("PICKET_"), check=True, capture_output=True)


def configuration(api, token=None):
    """Schemathesis's own, in TOML: what the segments of paths are, and for which operations they are others."""
    organizations = "/api/0/organizations/"
    organization = api.find(organizations, slug="acme")
    teams = f"{organizations}{organization}/teams/"
    members = f"{organizations}{organization}/members/"
    tokens = f"{organizations}{organization}/org-auth-tokens/"
    api_keys = f"{organizations}{organization}/api-keys/"
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
        "token": token or api.find(tokens, name="ci"),
        "api_key": api.find(api_keys, label="old"),
        "user": "me",
        "method": "totp",
        "authenticator": "1",
    }
    others = {
        "deleteOrganization": {"org": api.find(organizations, slug="lost")},
        "deleteProject": {"project": "32"},
        "deleteTeam": {"team": api.find(teams, slug="lost")},
        "deleteKey": {"key": LOST_KEY},
        "removeMember": {"member": api.find(members, email="lost@example.test")},
        "deleteOrganizationToken": {"token": api.find(tokens, name="lost")},
        "deleteApiKey": {"api_key": api.find(api_keys, label="lost")},
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


def run(schemathesis, api, settings, headers, *arguments, checks=CHECKS):
    """Whether anything was found."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "schemathesis.toml"
        file.write_text(settings)
        command = [schemathesis, "--config-file", str(file), "run", f"{api.url}/api/0/openapi.json"]
        for header, value in headers.items():
            command += ["--header", f"{header}: {value}"]
        command += ["--checks", ",".join(checks), "--phases", "examples,coverage,fuzzing"]
        command += ["--max-examples", str(EXAMPLES), "--no-color", "--generation-database", "none"]
        ended = subprocess.run(
            [*command, *arguments],
            cwd=name,
            env=environment_without("SCHEMATHESIS_", "HTTP_PROXY", "ALL_PROXY"),
            stdin=subprocess.DEVNULL,
            timeout=RUN_SECS_MAX,
        )
        return ended.returncode != 0


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
            for name in ("old", "lost"):
                make_api_key(binary, server, name)
            token = {"Authorization": f"Bearer {OWNER_TOKEN}"}
            session = api.sign_in("sid@example.test")
            own = api.find("/api/0/api-tokens/", headers=session, name="laptop")
            settings = configuration(api)
            others = ["--exclude-path-regex", FOR_BROWSERS, "--exclude-operation-id", MAY_BE_EMPTY]
            failed = run(schemathesis, api, settings, token, *others, *arguments)
            bodiless = ["--include-operation-id", MAY_BE_EMPTY]
            failed |= run(schemathesis, api, settings, token, *bodiless, *arguments, checks=CHECKS[:2])
            settings = configuration(api, own)
            failed |= run(schemathesis, api, settings, session, "--include-path-regex", FOR_BROWSERS, *arguments)
            code, secs = server.stop()
        finally:
            server.kill()
        print(f"the server stopped with exit code {code} after {secs:.1f} s")
        if failed or code != 0:
            print(f"the server's log:\n{server.log.read_text(errors='replace')[-20_000:]}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
