"""What sentry-cli, and the newer sentry, ask of the management API: who am I, which organizations and projects are
there. With a token of a user, the two kinds that an organization can have, and one that nobody has; and with an
organization's token alone, which tells them the server and the organization."""

import json
import subprocess
import time
import urllib.request

from server import OWNER_TOKEN, environment_without

COMMAND_SECS_MAX = 30
NO_PERMISSION = "You do not have permission to perform this action. (http status: 403)"


def check(programs, binary, server, projects, report):
    url = "http://{}:{}".format(*server.address)

    def run(token, *arguments, program="sentry-cli", where=url):
        """Exit code, and what was printed."""
        environment = environment_without("SENTRY_", "HTTP_PROXY", "ALL_PROXY")
        # Nobody's settings, and no news of what the program does.
        home = server.file.parent / f"home-{program}"
        home.mkdir(exist_ok=True)
        environment |= {"SENTRY_AUTH_TOKEN": token, "HOME": str(home), "SENTRY_CLI_NO_TELEMETRY": "1"}
        if where:
            environment["SENTRY_URL"] = where
        run = subprocess.run(
            [str(programs / program), *arguments],
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECS_MAX,
        )
        return run.returncode, run.stdout, run.stderr

    def organization_token(*options):
        command = [str(binary), "token", "create", "--data", str(server.file), "--url-prefix", url]
        command += ["--organization", "acme", *options]
        made = subprocess.run(
            command, env=environment_without("PICKET_"), capture_output=True, text=True, check=True
        )
        return made.stdout.strip()

    def check_speed():
        """From the command that makes a token to the answer of the first call with it."""
        begun = time.monotonic()
        request = urllib.request.Request(f"{url}/api/0/organizations/")
        request.add_header("Authorization", "Bearer " + organization_token("--scopes", "org:read"))
        with urllib.request.urlopen(request, timeout=10) as answer:
            status = answer.status
        secs = time.monotonic() - begun
        report.check(f"a new token is good at once (took {secs:.2f} s)", (200, True), (status, secs < 1))

    def check_info(who, token, user, scope):
        code, printed, _ = run(token, "info")
        report.check(f"sentry-cli: `info` knows {who}", 0, code)
        lines = [line.strip() for line in printed.splitlines()]
        expected = [f"Sentry Server: {url}", "Method: Auth Token", f"- {scope}"]
        expected += [f"User: {user}"] if user else []
        missing = [line for line in expected if line not in lines]
        report.check(f"sentry-cli: `info` tells server, user and scopes of {who}", [], missing)
        code, printed, _ = run(token, "info", "--config-status-json")
        status = json.loads(printed) if code == 0 else printed
        expected = {"type": "token", "successful": True}
        report.check(f"sentry-cli: {who} is a valid token", (0, expected), (code, status and status["auth"]))

    def check_lists(who, token):
        code, printed, _ = run(token, "organizations", "list")
        slugs = [row[2] for row in table(printed)]
        report.check(f"sentry-cli: `organizations list` with {who}", (0, ["acme"]), (code, slugs))
        code, printed, _ = run(token, "projects", "list", "--org", "acme")
        slugs = {row[1] for row in table(printed)}
        report.check(f"sentry-cli: `projects list` with {who}", (0, projects), (code, slugs))

    check_speed()
    check_info("a user's token", OWNER_TOKEN, "ann@example.test", "org:admin")
    check_lists("a user's token", OWNER_TOKEN)

    able = organization_token("--scopes", "org:read project:read")
    check_info("an organization's token", able, None, "org:read")
    check_lists("an organization's token", able)

    ci = organization_token()
    check_info("a build tool's token", ci, None, "org:ci")
    for arguments in [("organizations", "list"), ("projects", "list", "--org", "acme")]:
        code, _, said = run(ci, *arguments)
        what = f"sentry-cli: `{' '.join(arguments[:2])}` is not for a build tool's token"
        report.check(what, (1, True), (code, NO_PERMISSION in said))

    # With nothing but an organization's token.
    code, printed, _ = run(ci, "info", where=None)
    report.check("sentry-cli: a token alone tells the server", (0, True), (code, f"Sentry Server: {url}" in printed))
    code, printed, _ = run(able, "projects", "list", where=None)
    slugs = {row[1] for row in table(printed)}
    report.check("sentry-cli: a token alone tells the organization", (0, projects), (code, slugs))
    code, _, said = run(ci, "releases", "list", where=None)
    # There are no releases yet, and that is what is said, and not that a token is wrong.
    report.check("sentry-cli: `releases list` finds nothing", (1, True), (code, "organization not found" in said))

    check_newer(run, url, ci, able, projects, report)

    code, _, said = run(f"sntryu_{2:064}", "info")
    what = "sentry-cli: a token that nobody has is not valid"
    report.check(what, (1, True), (code, "Invalid token (http status: 401)" in said))


def check_newer(run, url, ci, able, projects, report):
    """The same of the newer program."""

    def ask(token, *arguments, where=None):
        return run(token, *arguments, program="sentry", where=where)

    code, printed, _ = ask(OWNER_TOKEN, "auth", "whoami", where=url)
    report.check("sentry: `auth whoami` knows a user's token", (0, True), (code, "ann@example.test" in printed))
    code, printed, said = ask(ci, "auth", "whoami")
    missing = [text for text in ("acme", url) if text not in printed + said]
    report.check("sentry: `auth whoami` reads an organization's token", (0, []), (code, missing))
    code, printed, _ = ask(able, "org", "list", "--json")
    slugs = [organization["slug"] for organization in json.loads(printed)] if code == 0 else printed
    report.check("sentry: `org list` with an organization's token alone", (0, ["acme"]), (code, slugs))
    code, printed, _ = ask(able, "project", "list", "acme/", "--json", "--limit", "100")
    slugs = {project["slug"] for project in json.loads(printed)["data"]} if code == 0 else printed
    report.check("sentry: `project list` with an organization's token alone", (0, projects), (code, slugs))
    code, _, said = ask(able, "org", "list", where=url.replace("127.0.0.1", "localhost"))
    report.check("sentry: the token goes to its own server only", True, code != 0 and "Refusing" in said)
    code, _, said = ask(f"sntryu_{2:064}", "auth", "whoami", where=url)
    report.check("sentry: a token that nobody has is not valid", True, code != 0 and "Invalid token" in said)


def table(printed):
    """The cells of the rows below the head."""
    rows = [line for line in printed.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1:]]
