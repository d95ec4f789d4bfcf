"""Processes of a server, with all that they start: ended by their numbers, and watched from outside."""

import os
import signal
import subprocess
import time
from pathlib import Path

STOP_SECS_MAX = 20
TICKS_PER_SEC = os.sysconf("SC_CLK_TCK")


class Tree:
    """A command that runs, and its descendants."""

    def __init__(self, command, log, **options):
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # An interrupt from the terminal is for us, and we stop the server in order.
                start_new_session=True,
                **options,
            )

    def runs(self):
        return self._process.poll() is None

    def pids(self):
        """Of all that run; the command itself comes first."""
        children = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and (fields := _stat(entry.name)):
                children.setdefault(int(fields[1]), []).append(int(entry.name))
        pids = [self._process.pid] if self.runs() else []
        for pid in pids:
            pids.extend(children.get(pid, []))
        return pids

    def cpu_secs(self):
        """User and system time so far, with that of descendants that have ended."""
        ticks = [sum(map(int, fields[11:15])) for pid in self.pids() if (fields := _stat(pid))]
        return sum(ticks) / TICKS_PER_SEC

    def memory_bytes(self):
        """What the processes have in memory; what several share is counted once among them."""
        kib = 0
        for pid in self.pids():
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            kib += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return kib * 1024

    def stop(self):
        """Asks the command to stop; kills what does not within the time."""
        if self.runs():
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECS_MAX)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self):
        """Ends all of it at once, without a warning."""
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._process.wait()


def _stat(pid):
    """The fields of /proc/PID/stat after the name, which are the state, the parent and so on; None if it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def wait_for(what, ready, secs_max, pause_secs=0.05):
    """Asks again and again until `ready` says yes; an error after so many seconds."""
    end = time.monotonic() + secs_max
    while not ready():
        if time.monotonic() > end:
            raise SystemExit(f"waited {secs_max} s in vain: {what}")
        time.sleep(pause_secs)
