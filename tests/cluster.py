"""A real node for tests: the processes that users run, on loopback, in a directory of its own.

    with RealNode() as node:
        node.run()                             # in the foreground; or node.start(): supervisord
        service = node.create_service("sleep", "1000", replicas=3)
        pids = node.wait_running(service, 3)   # task id to process id
        os.kill(node.worker_pid("agent"), signal.SIGKILL)
        node.wait_ready()
        assert pids == node.running(service)

The end of the block kills whatever of it still runs, also after a failure: parents, workers,
supervisords, tasks, and what these forked.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Self

import grpc

from swarmd import api
from swarmd.api.protos.control_pb2_grpc import ControlStub
from swarmd.rpc.channel import leaf_shown
from swarmd.state_dir import supervisord_socket
from tests import builders
from tests.fakes.running_node import lives
from tests.reference import ROOT

READY_SECONDS = 60.0  # a start takes one; a loaded machine may take its time
_CALL_SECONDS = 20.0
_MARK = "NODE_OF_TEST"
_NOT_INHERITED = ("SWARM", "SUPERVISOR_", "NOTIFY_SOCKET")


def wait(condition: Callable[[], Any], what: str = "it", seconds: float = READY_SECONDS) -> float:
    """Wait until it holds; the seconds that took. Fails, naming it, when it never does."""
    begun = time.monotonic()
    while not condition():
        spent = time.monotonic() - begun
        assert spent < seconds, f"{what} did not happen within {seconds} s"
        time.sleep(min(0.02 + spent / 20, 0.1))  # to look is work, which what is waited for needs
    return time.monotonic() - begun


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class RealNode:
    """One state directory, and what runs with it. `options` are further ones of `swarmd run`."""

    def __init__(self, *options: str, state_dir: Path | None = None) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="swd"))  # short: unix sockets live in it
        self.state_dir = state_dir or self.root / "state"
        self.socket = self.root / "s.sock"
        self.remote = f"127.0.0.1:{free_port()}"
        self.log_path = self.root / "log"
        self.options = options
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_INHERITED)}
        self.environment = inherited | {_MARK: str(self.root), "SWARM_SOCKET": str(self.socket)}
        self._foreground: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_all()
        shutil.rmtree(self.root, ignore_errors=True)

    # Its commands.

    def argv(self, command: str = "run", *options: str) -> list[str]:
        words = [sys.executable, "-m", "swarmd", command, f"--state-dir={self.state_dir}"]
        if command in {"run", "start"}:
            words += [f"--listen-control-api={self.socket}", f"--listen-remote-api={self.remote}"]
            words += self.options
        return [*words, *options]

    def spawn(self) -> "subprocess.Popen[bytes]":
        """`swarmd run`, which may not become ready; its output goes to `log`."""
        with self.log_path.open("ab") as log:
            process = subprocess.Popen(
                self.argv(), stdout=log, stderr=log, env=self.environment, cwd=ROOT
            )
        self._foreground.append(process)
        return process

    def run(self) -> "subprocess.Popen[bytes]":
        """`swarmd run`, ready."""
        process = self.spawn()
        wait(lambda: process.poll() is not None or self.is_ready(process.pid), "ready")
        assert process.poll() is None, self.log
        return process

    def refused(self, seconds: float = READY_SECONDS) -> tuple[int, str]:
        """The exit status and the last line of a `swarmd run` that has to end by itself."""
        status = self.spawn().wait(seconds)
        return status, self.log.splitlines()[-1]

    def swarmd(self, command: str, *options: str) -> "subprocess.CompletedProcess[str]":
        return self._command(self.argv(command, *options))

    def start(self) -> None:
        """`swarmd start`: under supervisord, ready."""
        done = self.swarmd("start")
        assert done.returncode == 0, done.stderr

    def ctl(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return self._command([sys.executable, "-m", "swarmd.ctl", *words])

    def _command(self, argv: list[str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            argv,
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    # What it says of itself.

    @property
    def log(self) -> str:
        """What was written in the foreground."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @property
    def report(self) -> dict[str, Any]:
        try:
            facts: dict[str, Any] = json.loads((self.state_dir / "run/node.json").read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return {}
        return facts if lives(facts["pid"]) else {}

    @property
    def pid(self) -> int:
        """Of the parent that lives; 0 without one."""
        return int(self.report.get("pid", 0))

    def worker_pid(self, name: str) -> int:
        """0 while it has no process."""
        found = (one["pid"] for one in self.report.get("processes", ()) if one["name"] == name)
        return next(found, None) or 0

    def is_ready(self, pid: int = 0) -> bool:
        report = self.report
        return bool(report.get("ready")) and pid in (0, report["pid"])

    def wait_ready(self, *, without: int = 0) -> float:
        """Ready, with no parent or worker of that process id; the seconds that took."""

        def again() -> bool:
            report = self.report
            pids = {report.get("pid"), *(one["pid"] for one in report.get("processes", ()))}
            return bool(report.get("ready")) and without not in pids

        return wait(again, "ready again")

    def is_locked(self) -> bool:
        """Whether a parent, or a worker that it left behind, owns the state directory."""
        with (self.state_dir / "swarmd.lock").open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    # Its services and tasks.

    @contextlib.contextmanager
    def control(self) -> Iterator[Any]:
        """A stub of the control API; each call blocks."""
        with socket.socket(socket.AF_UNIX) as plain:
            plain.settimeout(_CALL_SECONDS)
            plain.connect(str(self.socket))
            shown = leaf_shown(plain)
        options = [("grpc.ssl_target_name_override", "swarm-manager")]
        credentials = grpc.ssl_channel_credentials(shown)
        with grpc.secure_channel(f"unix:{self.socket}", credentials, options) as channel:
            yield ControlStub(channel)  # type: ignore[no-untyped-call]

    def call(self, method: str, request: Any) -> Any:
        with self.control() as control:
            return getattr(control, method)(request, timeout=_CALL_SECONDS)

    def create_service(
        self, *command: str, replicas: int = 1, task: dict[str, Any] | None = None, **container: Any
    ) -> str:
        """A host service with that command; its id. It restarts soon."""
        spec = builders.container(command=command, **container)
        built = builders.service(
            replicas=replicas,
            task_spec=api.TaskSpec(
                container=spec, **{"restart": builders.quick_restart(), **(task or {})}
            ),
        )
        request = api.CreateServiceRequest(spec=built.spec)
        return str(self.call("CreateService", request).service.id)

    def remove_service(self, service_id: str) -> None:
        self.call("RemoveService", api.RemoveServiceRequest(service_id=service_id))

    def tasks(self, service_id: str = "") -> list[api.Task]:
        filters = api.ListTasksRequest.Filters(service_ids=[service_id] if service_id else [])
        return list(self.call("ListTasks", api.ListTasksRequest(filters=filters)).tasks)

    def running(self, service_id: str = "") -> dict[str, int]:
        """Task id to process id of what the manager knows to run, and wants to."""
        state = api.TaskState.RUNNING
        return {
            task.id: task.status.container.pid
            for task in self.tasks(service_id)
            if task.status.state == task.desired_state == state
        }

    def wait_running(
        self, service_id: str, count: int, besides: Collection[str] = ()
    ) -> dict[str, int]:
        """`running`, as soon as it has that many tasks; those `besides` do not count."""

        def found() -> dict[str, int]:
            running = self.running(service_id)
            return {task: pid for task, pid in running.items() if task not in besides}

        wait(lambda: len(found()) == count, f"{count} running tasks")
        return found()

    # Its processes.

    def task_processes(self) -> dict[int, str]:
        """Process id to task id of all that its tasks started and that still lives."""
        found = {}
        for pid, environment in _environments():
            if any(f"SWARMD_SUPERVISOR={one}".encode() in environment for one in self._instances):
                ids = [x[15:].decode() for x in environment if x.startswith(b"SWARMD_TASK_ID=")]
                found[pid] = ids[0] if ids else ""
        return found

    def processes(self) -> dict[int, str]:
        """Process id to command line of all that still lives of this node."""
        places = (os.fsencode(self.root), os.fsencode(self.state_dir))
        mark = f"{_MARK}={self.root}".encode()
        found = dict.fromkeys(self.task_processes(), "a task")
        for pid, environment in _environments():
            command = _read(f"/proc/{pid}/cmdline")
            if mark in environment or any(place in command for place in places):
                found[pid] = command.replace(b"\0", b" ").decode(errors="replace").strip()
        return {pid: command for pid, command in found.items() if lives(pid)}

    def supervisord_pid(self) -> int:
        """Of the supervisord that runs swarmd."""
        return int((self.state_dir / "supervisord.pid").read_text())

    def cgroups(self) -> list[Path]:
        """What is left in the host's trees of its supervisords' own, v2 or v1."""
        root = Path("/sys/fs/cgroup")
        names = [f"swarmd/{instance}" for instance in self._instances]
        return [path for name in names for path in (*root.glob(name), *root.glob(f"*/{name}"))]

    def kill_all(self) -> None:
        """Leave nothing behind, whatever the test did."""
        deadline = time.monotonic() + 10
        while (left := self.processes()) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        for process in self._foreground:
            process.wait(10)
        for base in self.cgroups():
            _remove_cgroups(base)
        assert not left, f"cannot be killed: {left}"

    @property
    def _instances(self) -> list[str]:
        """What the plugin in each supervisord of this node marks its tasks with."""
        own = supervisord_socket(self.state_dir / "supervisor")
        sockets = [self.state_dir / "supervisord.sock", own]
        return [hashlib.sha256(f"unix://{path}".encode()).hexdigest()[:12] for path in sockets]


def _environments() -> Iterator[tuple[int, list[bytes]]]:
    for name in os.listdir("/proc"):  # noqa: PTH208  a thousand Paths cost more than the look
        if name.isdigit() and int(name) != os.getpid():
            yield int(name), _read(f"/proc/{name}/environ").split(b"\0")


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""  # it ended meanwhile, or is not ours


def _remove_cgroups(base: Path) -> None:
    for below, _, _ in os.walk(base, topdown=False):
        with contextlib.suppress(OSError):
            Path(below).rmdir()
