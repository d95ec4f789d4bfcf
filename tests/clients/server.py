"""The binary, on a new file with what a TOML file describes."""

import json
import os
import queue
import signal
import subprocess
import threading
import time

# Of the owner of the organization.
OWNER_TOKEN = f"sntryu_{1:064}"
START_SECS_MAX = 30
STOP_SECS_MAX = 10


def environment_without(*prefixes):
    """The environment less the settings that could make a run differ from one on another machine."""
    return {
        name: value for name, value in os.environ.items() if not name.upper().startswith(prefixes)
    }


class Server:
    def __init__(self, binary, folder, world, *options):
        self.file = folder / "picket.db"
        self.log = folder / "picket.log"
        apply = folder / "world.toml"
        apply.write_text(world)
        command = [str(binary), "serve", "--json", "--listen", "127.0.0.1:0"]
        command += ["--data", str(self.file), "--apply", str(apply), *options]
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                command,
                env=environment_without("PICKET_"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        try:
            self.address = self._wait()
        except BaseException:
            self.kill()
            raise

    def _wait(self):
        """The address it says that it listens on."""
        lines = queue.Queue()
        stdout = self._process.stdout
        # A thread, because a read of a pipe cannot be given up.
        threading.Thread(target=lambda: lines.put(stdout.readline()), daemon=True).start()
        try:
            line = lines.get(timeout=START_SECS_MAX)
            host, _, port = json.loads(line)["listening"].rpartition(":")
        except (queue.Empty, ValueError) as error:
            log = self.log.read_text(errors="replace")
            raise SystemExit(f"the server did not start ({error!r}):\n{log}") from error
        return host, int(port)

    def stop(self):
        """Asks it to stop; its exit code and how long it took. None if it did not stop in time."""
        begun = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_SECS_MAX)
        except subprocess.TimeoutExpired:
            code = None
        return code, time.monotonic() - begun

    def kill(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def world(clients):
    """An organization with a team and an owner, and a project with a key for each client."""
    lines = ["[[organization]]", 'slug = "acme"', "[[organization.team]]", 'slug = "core"']
    for client in clients:
        lines += ["[[organization.project]]", f'slug = "{client.name}"', f"id = {client.project}"]
        lines += ['teams = ["core"]']
        lines += ["[[organization.project.key]]", f'public = "{client.key}"']
    lines += ["[[user]]", 'email = "ann@example.test"', 'roles = { acme = "owner" }']
    lines += ["[[user.token]]", f'token = "{OWNER_TOKEN}"', 'scopes = ["org:admin", "project:admin", "member:admin"]']
    return "\n".join(lines)
