"""Walks through the pages of a new server in a headless browser, by the links that people are given."""

import json
import os
import subprocess
import tempfile
import urllib.request
from pathlib import Path

from server import OWNER_TOKEN, Server, environment_without, world

WALK_SECS_MAX = 180
# It runs as root where CI does, which its sandbox refuses.
FLAGS = ["--no-sandbox", "--no-proxy-server", "--disable-gpu", "--disable-webgl"]


def check(work, binary, report):
    what = "the pages: the walk through them comes to its end"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = Server(binary, Path(folder), world([]))
        try:
            walk = json.dumps(
                {"executable": f"{work}/chromium/chromium", "args": FLAGS} | links(binary, server)
            )
            run = subprocess.run(
                ["node", f"{work}/node/pages.js", walk],
                env=os.environ
                | {
                    "HOME": folder,
                    "LD_LIBRARY_PATH": f"{work}/chromium/lib",
                    "FONTCONFIG_FILE": fonts(work, folder),
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                timeout=WALK_SECS_MAX,
            )
        except (OSError, subprocess.SubprocessError) as error:
            return report.fail(what, str(error))
        finally:
            server.kill()
        for line in run.stdout.splitlines():
            looked_at, expected, found = json.loads(line)
            report.check(f"the pages: {looked_at}", expected, found)
        report.check(what, (0, ""), (run.returncode, run.stderr))


def fonts(work, folder):
    """Where the browser finds the fonts that came with it. Without any it dies of the first field of a form."""
    file = Path(folder) / "fonts.conf"
    file.write_text(
        "<fontconfig>"
        f"<dir>{work}/chromium/fonts</dir><dir>/usr/share/fonts</dir><cachedir>{folder}/fonts</cachedir>"
        "</fontconfig>"
    )
    return str(file)


def links(binary, server):
    """A link for a new user, one for a forgotten password, and one of an invitation."""
    prefix = "http://{}:{}".format(*server.address)

    def link(*command):
        options = ["--data", str(server.file), "--url-prefix", prefix]
        run = subprocess.run(
            [str(binary), "user", *command, *options],
            env=environment_without("PICKET_"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
        return run.stdout.strip()

    request = urllib.request.Request(
        f"{prefix}/api/0/organizations/acme/members/",
        json.dumps({"email": "zed@example.test"}).encode(),
        {"Authorization": f"Bearer {OWNER_TOKEN}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        invitation = json.load(answer)["invite_link"]
    return {
        "link": link("create", "new@example.test"),
        "reset": link("reset-password", "ann@example.test"),
        "invitation": invitation,
    }
