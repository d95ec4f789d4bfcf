"""The three servers: how each is started, as its own documentation says for production; how it is known that it has
nothing left to do; and what it has stored."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request

from process import Tree, wait_for

START_SECS_MAX = 60
SETTLE_SECS_MAX = 120
# What stays on the list of what is to be done for so long, with nobody working on it, will stay there.
STUCK_SECS = 2
TOKEN = f"sntryu_{1:064}"
KEY = "0123456789abcdef0123456789abcdef"
UNLIMITED = 1_000_000_000


class Server:
    """What is the same for all: processes, a folder, and a port that stays the same when the server starts again."""

    name = None

    def __init__(self, folder):
        self.folder = folder
        self.log = folder / "log"
        self.port = _free_port()
        self.trees = []
        # What it takes on the disk before the first event.
        self.empty_bytes = 0
        folder.mkdir(parents=True)

    def fresh(self):
        """Starts with nothing but a project."""
        raise NotImplementedError

    def start(self):
        raise NotImplementedError

    def settle(self):
        """Waits until everything that was acknowledged is stored, or never will be."""

    def stored(self):
        """The ids of the events that are there, 16 bytes each."""
        raise NotImplementedError

    def counted(self):
        """How many events it says it has accepted, if it keeps a ledger."""
        return None

    def remarks(self):
        """What else there is to say of what it has stored."""
        return ""

    def disk_bytes(self):
        """Of everything that it keeps, when it has stopped; None if it keeps nothing."""
        return None

    def facts(self):
        """Version, what runs, where events are kept, what is on disk when an answer leaves."""
        raise NotImplementedError

    def stop(self):
        for tree in self.trees:
            tree.stop()
        self.trees = []

    def kill(self):
        for tree in self.trees:
            tree.kill()
        self.trees = []

    def cpu_secs(self):
        return sum(tree.cpu_secs() for tree in self.trees)

    def memory_bytes(self):
        return sum(tree.memory_bytes() for tree in self.trees)

    def get(self, path, token=None, body=None):
        """The JSON that a GET, or a POST of the body, is answered with."""
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers=headers,
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def _wait_until_it_answers(self, path):
        def answers():
            if not all(tree.runs() for tree in self.trees):
                raise SystemExit(f"{self.name} did not start:\n{self.log.read_text(errors='replace')}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5):
                    return True
            except urllib.error.HTTPError:
                return True
            except OSError:
                return False

        wait_for(f"{self.name} answers", answers, START_SECS_MAX)


class Picket(Server):
    name = "Picket"

    def __init__(self, folder, binary):
        super().__init__(folder)
        self._binary = binary
        self._file = folder / "picket.db"
        self._apply = folder / "apply.toml"
        self.dsn = f"http://{KEY}@127.0.0.1:{self.port}/1"
        self._apply.write_text(
            f"""[[organization]]
slug = "acme"
[[organization.project]]
slug = "web"
id = 1
[[organization.project.key]]
public = "{KEY}"
[[user]]
email = "ann@example.test"
roles = {{ acme = "owner" }}
[[user.token]]
token = "{TOKEN}"
scopes = ["org:read"]
"""
        )

    def fresh(self):
        for file in self.folder.glob("picket.db*"):
            file.unlink()
        self.start()
        self.empty_bytes = self.disk_bytes()

    def start(self):
        command = [self._binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--data", self._file]
        command += ["--apply", self._apply, "--durability", "full"]
        self.trees = [Tree(command, self.log, env=_environment())]
        self._wait_until_it_answers("/api/0/")

    def stored(self):
        return {row[0] for row in _rows(self._file, "SELECT event_id FROM event")}

    def counted(self):
        query = "field=sum(quantity)&category=error&outcome=accepted&interval=1d&statsPeriod=2d"
        answer = self.get(f"/api/0/organizations/acme/stats_v2/?{query}", TOKEN)
        return sum(group["totals"]["sum(quantity)"] for group in answer["groups"])

    def remarks(self):
        return f"its ledger says {self.counted()} accepted"

    def disk_bytes(self):
        return _size(self.folder.glob("picket.db*"))

    def facts(self):
        version = subprocess.run([self._binary, "--version"], check=True, capture_output=True, text=True)
        [[journal]] = _rows(self._file, "PRAGMA journal_mode")
        return (
            version.stdout.split()[-1],
            "`picket serve --durability full`: one process",
            f"one SQLite file: journal {journal.upper()}, synchronous FULL",
            "the event, synced",
        )


class Bugsink(Server):
    """As its template for a production server on one machine and the command of its container say. There is no proxy
    here, so the settings for one are off, as the template asks. Its outgoing message is off, and what would refuse or
    evict events is out of the way: the quotas of the installation and of the project, and the project's retention."""

    name = "Bugsink"

    def __init__(self, folder, environment):
        super().__init__(folder)
        self._programs = environment / "bin"
        self._pristine = folder / "pristine"
        self._waiting = folder / "ingestion"
        self._file = folder / "db.sqlite3"
        self._queue = folder / "snappea.sqlite3"
        python = {"PYTHONPATH": str(folder), "PYTHONUNBUFFERED": "1"}
        self._options = {"env": _environment() | python, "cwd": folder}
        self._prepare()

    def _prepare(self):
        conf = self.folder / "bugsink_conf.py"
        self._run("bugsink-create-conf", "--template=singleserver", "--host=127.0.0.1", f"--base-dir={self.folder}")
        with open(conf, "a") as file:
            file.write(self._settings())
        self._run("bugsink-manage", "migrate")
        self._run("bugsink-manage", "migrate", "snappea", "--database=snappea")
        self._token = self._run("bugsink-manage", "create_auth_token").split()[-1]
        self._pristine.mkdir()
        for file in self.folder.glob("*.sqlite3"):
            shutil.copy(file, self._pristine)

    def _settings(self):
        """What differs from the template."""
        lines = ["SECURE_PROXY_SSL_HEADER = None", "USE_X_REAL_IP = False"]
        lines += [f'BUGSINK["BASE_URL"] = "http://127.0.0.1:{self.port}"', 'BUGSINK["PHONEHOME"] = False']
        for period in ("5_MINUTES", "HOUR", "MONTH"):
            lines += [f'BUGSINK["MAX_EVENTS_PER_{period}"] = {UNLIMITED}']
            lines += [f'BUGSINK["MAX_EVENTS_PER_PROJECT_PER_{period}"] = {UNLIMITED}']
        return "\n".join(["", *lines, ""])

    def _run(self, program, *args):
        command = [self._programs / program, *args]
        run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, **self._options)
        if run.returncode != 0:
            raise SystemExit(f"{program} {' '.join(args)}:\n{run.stdout}{run.stderr}")
        return run.stdout

    def fresh(self):
        for file in self.folder.glob("*.sqlite3*"):
            file.unlink()
        shutil.rmtree(self._waiting, ignore_errors=True)
        for file in self._pristine.iterdir():
            shutil.copy(file, self.folder)
        self.empty_bytes = _size(self._pristine.iterdir())
        self.start()
        api = "/api/canonical/0"
        team = self.get(f"{api}/teams/", self._token, {"name": "core"})
        project = {"team": team["id"], "name": "web", "retention_max_event_count": UNLIMITED}
        made = self.get(f"{api}/projects/", self._token, project)
        self.dsn = self.get(f"{api}/projects/{made['id']}/", self._token)["dsn"]

    def start(self):
        [conf] = self._programs.parent.glob("lib/python*/site-packages/bugsink/gunicorn.docker.conf.py")
        serve = [self._programs / "gunicorn", "--config", conf, f"--bind=127.0.0.1:{self.port}"]
        serve += ["--access-logfile", "-", "bugsink.wsgi"]
        digest = [self._programs / "bugsink-runsnappea"]
        self.trees = [Tree(command, self.log, **self._options) for command in (serve, digest)]
        self._wait_until_it_answers("/health/ready")
        self._workers = len(self.trees[0].pids()) - 1

    def _queued(self):
        [[count]] = _rows(self._queue, "SELECT count(*) FROM snappea_task")
        return count

    def waiting(self):
        """The files of events that are not digested yet."""
        return os.listdir(self._waiting) if self._waiting.exists() else []

    def settle(self):
        # The folder tells while there is work; a connection of ours to its databases would keep it from checkpoints.
        seen, since = None, time.monotonic()

        def done():
            nonlocal seen, since
            files = len(self.waiting())
            if files != seen:
                seen, since = files, time.monotonic()
            # A file whose task is gone is never read again.
            stuck = files > 0 and time.monotonic() - since > STUCK_SECS
            return (files == 0 or stuck) and self._queued() == 0

        wait_for("Bugsink digests what it has acknowledged", done, SETTLE_SECS_MAX)

    def stored(self):
        return {bytes.fromhex(row[0]) for row in _rows(self._file, "SELECT event_id FROM events_event")}

    def remarks(self):
        [[issues]] = _rows(self._file, "SELECT count(*) FROM issues_issue")
        left = len(self.waiting())
        return f"grouped into {issues} issue{'s' * (issues != 1)}" + f", {left} never digested" * (left > 0)

    def disk_bytes(self):
        for file in (self._file, self._queue):
            _rows(file, "PRAGMA wal_checkpoint(TRUNCATE)", mode="rw")
        return _size([*self.folder.glob("*.sqlite3*"), *(self._waiting / name for name in self.waiting())])

    def facts(self):
        version = self._run("bugsink-show-version").split()[-1]
        # Its own connection says what is in force, which is a matter of the SQLite that its Python has.
        question = (
            "from django.conf import settings; from django.db import connection; cursor = connection.cursor();"
            "ask = lambda name: cursor.execute(f'PRAGMA {name}').fetchone()[0];"
            "print(settings.SNAPPEA['NUM_WORKERS'], ask('journal_mode'), ask('synchronous'))"
        )
        threads, journal, synchronous = self._run("bugsink-manage", "shell", "-c", question).split()[-3:]
        level = ["OFF", "NORMAL", "FULL", "EXTRA"][int(synchronous)]
        return (
            version,
            f"gunicorn with {self._workers} workers, and snappea with {threads}",
            f"a file each, then SQLite: journal {journal.upper()}, synchronous {level}",
            "its file, not synced, and a row in the queue of what is to be digested",
        )


class Kent(Server):
    """As its readme says; it has one way to run."""

    name = "Kent"

    def __init__(self, folder, environment):
        super().__init__(folder)
        self._programs = environment / "bin"
        self.dsn = f"http://public@127.0.0.1:{self.port}/1"

    def fresh(self):
        self.start()

    def start(self):
        command = [self._programs / "kent-server", "run", "-h", "127.0.0.1", "-p", self.port]
        self.trees = [Tree(command, self.log, env=_environment())]
        self._wait_until_it_answers("/api/eventlist/")

    def stored(self):
        events = self.get("/api/eventlist/")["events"]
        bodies = (self.get(f"/api/event/{event['event_id']}")["payload"]["body"] for event in events)
        return {bytes.fromhex(body["event_id"]) for body in bodies}

    def remarks(self):
        return "keeps the last 100"

    def facts(self):
        [found] = self._programs.parent.glob("lib/python*/site-packages/kent-*.dist-info")
        version = found.name.removeprefix("kent-").removesuffix(".dist-info")
        return version, "`kent-server run`: one process, a thread per request", "memory, the last 100", "nothing"


def _environment():
    """Ours, less the settings that could make a run differ from one on another machine."""
    settings = ("PICKET_", "PYTHON", "DJANGO_", "GUNICORN_", "FLASK_", "KENT_", "SENTRY_")
    return {name: value for name, value in os.environ.items() if not name.startswith(settings)}


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _rows(file, statement, mode="ro"):
    database = sqlite3.connect(f"file:{file}?mode={mode}", uri=True, timeout=30)
    try:
        return database.execute(statement).fetchall()
    finally:
        database.close()


def _size(files):
    return sum(file.stat().st_size for file in files)
