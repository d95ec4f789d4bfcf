"""What sentry-cli asks of the management API: who am I, which organizations and projects are there. With a token of
a user, the two kinds that an organization can have, and one that nobody has."""

import json
import subprocess

from server import OWNER_TOKEN, environment_without

COMMAND_SECS_MAX = 30
NO_PERMISSION = "You do not have permission to perform this action. (http status: 403)"


def check(cli, binary, server, projects, report):
    url = "http://{}:{}".format(*server.address)

    def run(token, *arguments):
        """Exit code, and what was printed."""
        environment = environment_without("SENTRY_", "HTTP_PROXY", "ALL_PROXY")
        # Nobody's settings.
        environment |= {"SENTRY_URL": url, "SENTRY_AUTH_TOKEN": token, "HOME": str(server.file.parent)}
        run = subprocess.run(
            [str(cli), *arguments],
            env=environment,
            cwd=server.file.parent,
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

    code, _, said = run(f"sntryu_{2:064}", "info")
    what = "sentry-cli: a token that nobody has is not valid"
    report.check(what, (1, True), (code, "Invalid token (http status: 401)" in said))


def table(printed):
    """The cells of the rows below the head."""
    rows = [line for line in printed.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1:]]
