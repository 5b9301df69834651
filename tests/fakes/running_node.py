"""A real parent process with fake workers, for tests that signal and kill."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PROGRAM = str(Path(__file__).with_name("node_program.py"))
ROOT = str(Path(__file__).parent.parent.parent)
QUICK = {"alive_seconds": 1.0, "alive_period_seconds": 0.1, "orphan_seconds": 1.0}


def eventually(condition: Callable[[], object], seconds: float = 30.0) -> float:
    """Wait until it holds; the seconds that took. Fails when it never does."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, "it did not happen in time"
        time.sleep(0.01)
    return time.monotonic() - begun


def lives(pid: int) -> bool:
    """Whether that process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


class RunningNode:
    """One parent; `options` are those of node_program.py."""

    def __init__(self, state_dir: Path, /, *, environment=None, **options):
        self.state_dir = state_dir
        options["limits"] = {**QUICK, **options.get("limits", {})}
        self.argv = [sys.executable, PROGRAM, json.dumps({"state_dir": str(state_dir), **options})]
        self.environment = {**os.environ, "PYTHONPATH": ROOT, **(environment or {})}
        self._pids: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        """Leave nothing behind, whatever the test did."""
        self._remember()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        for pid in self._pids:
            if lives(pid):
                os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            self._stderr.close()

    def start(self):
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  closed with the node
        self._process = subprocess.Popen(self.argv, stderr=self._stderr, env=self.environment)
        return self

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def report(self) -> dict:
        try:
            facts = json.loads((self.state_dir / "run" / "node.json").read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return {}
        return facts if facts["pid"] == self.pid else {}

    @property
    def journal(self) -> list[str]:
        path = self.state_dir / "journal"
        return path.read_text().splitlines() if path.exists() else []

    def worker(self, name: str) -> dict:
        found = (one for one in self.report.get("processes", ()) if one["name"] == name)
        return next(found, {"state": None, "pid": None, "restarts": 0})

    def worker_pid(self, name: str) -> int:
        return self.worker(name)["pid"]

    def wait_ready(self) -> float:
        spent = eventually(lambda: self.report.get("ready"))
        self._remember()
        return spent

    def wait_restarted(self, name: str, old_pid: int) -> float:
        spent = eventually(lambda: self._is_back(name, old_pid))
        self._remember()
        return spent

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, seconds: float = 10.0) -> tuple[int, list[str]]:
        """Its exit status and the lines on stderr, once it ended."""
        return self._process.wait(seconds), self.lines

    @property
    def lines(self) -> list[str]:
        """What the parent and its workers wrote to stderr."""
        size = os.fstat(self._stderr.fileno()).st_size
        return os.pread(self._stderr.fileno(), size, 0).decode().splitlines()

    def _is_back(self, name: str, old_pid: int) -> bool:
        worker = self.worker(name)
        return worker["state"] == "RUNNING" and worker["pid"] != old_pid

    def _remember(self) -> None:
        if self._process is not None:
            self._pids |= {p["pid"] for p in self.report.get("processes", ()) if p["pid"]}
