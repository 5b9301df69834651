"""A real node in a directory of its own, for measuring it from outside."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swarmd.state_dir import StateDir

PATIENCE_SECONDS = 180.0
LOOK_SECONDS = 0.005


def wait(condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """The first true value of `condition`; raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing after {seconds} s")
        time.sleep(LOOK_SECONDS)
    return value


@dataclass
class Daemon:
    """`swarmd run` on a directory; `start` may be called again after `stop`.

    `environment` goes to it beside ours: options, such as SWARMD_JOIN_ADDR.
    """

    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def socket(self) -> Path:
        return self.home / "s.sock"

    @property
    def state_dir(self) -> StateDir:
        return StateDir(self.home / "state")

    def start(self) -> float:
        """Seconds from the command to ready."""
        begin = time.monotonic()
        command = [sys.executable, "-m", "swarmd", "run", "--state-dir", str(self.state_dir.root)]
        command += ["--listen-control-api", str(self.socket)]
        command += ["--listen-remote-api", f"127.0.0.1:{_free_port()}"]
        environment = {**os.environ, **self.environment}
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        pid = self.process.pid
        wait(lambda: self.report().get("pid") == pid and self.report().get("ready"))
        return time.monotonic() - begin

    def stop(self) -> float:
        """Seconds from SIGTERM to the end of the process."""
        assert self.process is not None, "started first"
        begin = time.monotonic()
        self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)
        return time.monotonic() - begin

    def report(self) -> dict[str, Any]:
        """What the parent says of itself and its workers."""
        try:
            facts: dict[str, Any] = json.loads(self.state_dir.node_report.read_bytes())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return facts

    def worker(self, name: str) -> dict[str, Any]:
        return next(one for one in self.report()["processes"] if one["name"] == name)

    def kill(self, worker: str) -> float:
        """Seconds from kill -9 of a worker to a node that is ready again."""
        pid = self.worker(worker)["pid"]
        begin = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        wait(lambda: self.worker(worker)["pid"] not in (pid, None, 0) and self.report()["ready"])
        return time.monotonic() - begin

    def end_tasks(self) -> None:
        """`swarmd stop --tasks`: nothing is left running."""
        command = [sys.executable, "-m", "swarmd", "stop", "--tasks"]
        command += ["--state-dir", str(self.state_dir.root)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def daemon(**environment: str) -> Iterator[Daemon]:
    """One that leaves nothing behind."""
    with tempfile.TemporaryDirectory(prefix="swb") as home:
        one = Daemon(Path(home), environment)
        try:
            yield one
        finally:
            if one.process is not None and one.process.poll() is None:
                one.stop()
            one.end_tasks()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
