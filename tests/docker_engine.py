"""A real dockerd of the tests' own, in a network and a mount namespace of its own.

So two of them, or one of the host's, never meet on a bridge, in the packet filter or in the mounts,
and nothing is left: what was published is reached with `in_network`.
"""

import asyncio
import base64
import contextlib
import io
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from docker import APIClient
from docker.errors import APIError, DockerException

from swarmd import api
from swarmd.clock import SystemClock
from swarmd.state_dir import StateDir
from tests import builders
from workers.agent.executors import Dependencies
from workers.agent.executors.docker.controller import DockerController
from workers.agent.executors.docker.executor import DockerExecutor
from workers.agent.executors.docker.files import TaskFiles
from workers.agent.executors.docker.ownership import known_owner

IMAGE = "127.0.0.1:1/busybox"  # of a registry that is nowhere: no test pulls from the world
BUSYBOX = Path("/bin/busybox")
_TOOLS = ("dockerd", "containerd", "unshare", "nsenter")


def why_not() -> str:
    """What this host lacks to run one; empty where nothing."""
    if os.getuid() != 0:
        return "a Docker engine needs root"
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    return "" if BUSYBOX.exists() else "not installed: busybox-static"


def _namespaces() -> subprocess.Popen[bytes]:
    """A process that does nothing but have a network and a mount namespace of its own."""
    script = "echo here; exec sleep infinity"
    command = ["unshare", "--net", "--mount", "--propagation", "slave", "sh", "-c", script]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE)
    with holder.stdout as said:  # type: ignore[union-attr]
        assert b"here\n" == said.readline()
    return holder


class Dockerd:
    """One daemon. Its containers live on while it is killed and started again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.socket = root / "docker.sock"
        self.address = f"unix://{self.socket}"
        self._holder = _namespaces()
        self._containerd: subprocess.Popen[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        if self._containerd is None:
            self.in_network("ip", "link", "set", "lo", "up")
            self._start_containerd()
        self._process = self._spawn("dockerd", *self._flags())
        if not _comes_true(self._answers, seconds=40):
            raise AssertionError((self.root / "dockerd.log").read_text()[-4000:])

    def kill(self) -> None:
        """At once; its containers live on."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """In good order; its containers live on."""
        self._signal(signal.SIGTERM)

    def end(self) -> None:
        """Remove every container, and end all that was started."""
        try:
            if self._process is not None:
                with contextlib.closing(self.client()) as client:
                    for each in client.containers(all=True):
                        _remove(client, each["Id"])
                self.stop()
        finally:
            for process in (self._process, self._containerd, self._holder):
                if process is not None:
                    process.kill()
                    process.wait()
            for pid in self._left():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def client(self) -> APIClient:
        return APIClient(base_url=self.address, version="auto", timeout=30)

    def in_network(self, *command: str, seconds: float = 10) -> str:
        """What a command prints that runs in the engine's own network."""
        done = subprocess.run(
            self._entered(*command), capture_output=True, text=True, timeout=seconds, check=True
        )
        return done.stdout

    def start_in_network(self, *command: str) -> subprocess.Popen[str]:
        """A process there; the caller ends it."""
        return subprocess.Popen(self._entered(*command), stdout=subprocess.PIPE, text=True)

    def _start_containerd(self) -> None:
        """Beside it, as where both are installed: it lives on while dockerd does not."""
        config = self.root / "containerd.toml"
        config.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
        self._containerd = self._spawn(
            "containerd",
            f"--config={config}",
            f"--root={self.root / 'containerd'}",
            f"--state={self.root / 'state'}",
            f"--address={self.root / 'containerd.sock'}",
        )

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.root / "dockerd.log").open("ab") as log:
            return subprocess.Popen(self._entered(*command), stdout=log, stderr=log)

    def _entered(self, *command: str) -> list[str]:
        return ["nsenter", "-t", str(self._holder.pid), "-n", "-m", *command]

    def _flags(self) -> list[str]:
        return [
            f"--data-root={self.root / 'data'}",
            f"--exec-root={self.root / 'exec'}",
            f"--containerd={self.root / 'containerd.sock'}",
            f"--host={self.address}",
            f"--pidfile={self.root / 'dockerd.pid'}",
            "--live-restore",
            "--label=rack=r1",
        ]

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            return False
        with socket.socket(socket.AF_UNIX) as visitor:
            if visitor.connect_ex(str(self.socket)):
                return False
        try:
            with contextlib.closing(self.client()) as client:
                return bool(client.ping())
        except (DockerException, OSError):
            return False

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(timeout=30)
        self._process = None

    def _left(self) -> list[int]:
        """Processes that name our directory: the shims of containers that are still there."""
        mark = os.fsencode(self.root)
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    if mark in (entry / "cmdline").read_bytes():
                        found.append(int(entry.name))
        return found


def _remove(client: APIClient, container: str) -> None:
    """Remove it; another's removal of it that is under way, or was, will do."""
    try:
        client.remove_container(container, force=True, v=True)
    except APIError as error:
        if error.status_code not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
            raise


@contextlib.contextmanager
def docker_daemon() -> Iterator[Dockerd]:
    """A running one that has the image busybox; skips the test where none can run."""
    if reason := why_not():
        pytest.skip(reason)
    root = Path(tempfile.mkdtemp(prefix="swdk"))
    daemon = Dockerd(root)
    try:
        daemon.start()
        with contextlib.closing(daemon.client()) as client:
            client.import_image_from_data(busybox_tar(), repository="busybox", tag="latest")
            client.tag("busybox:latest", IMAGE, "latest")
        yield daemon
    finally:
        daemon.end()
        shutil.rmtree(root, ignore_errors=True)


def busybox_tar() -> bytes:
    """A root directory with busybox under all its names."""
    names = subprocess.run(
        [BUSYBOX, "--list"], capture_output=True, text=True, check=True
    ).stdout.split()
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        tar.add(BUSYBOX, "bin/busybox")
        for name in names:
            if name != "busybox":
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        _add(tar, "etc/passwd", b"root:x:0:0::/:/bin/sh\nweb:x:1234:1235::/:/bin/sh\n")
        _add(tar, "etc/group", b"root:x:0:\nweb:x:1235:\nlogs:x:1240:\n")
        for name in ("tmp", "data"):
            directory = tarfile.TarInfo(name)
            directory.type, directory.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(directory)
    return data.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    about = tarfile.TarInfo(name)
    about.size, about.mode = len(content), 0o644
    tar.addfile(about, io.BytesIO(content))


class DockerEngine:
    """An executor on a real engine, and what a test asks of it."""

    def __init__(self, daemon: Dockerd, state_dir: StateDir, executor: DockerExecutor) -> None:
        self.daemon = daemon
        self.state_dir = state_dir
        self.executor = executor

    def controller(
        self, task: api.Task, dependencies: Dependencies | None = None
    ) -> DockerController:
        directory = self.state_dir.tasks / task.id
        return self.executor.controller(task, dependencies or Dependencies(), directory)

    async def prepared(self, *command: str, **fields: Any) -> DockerController:
        dependencies = fields.pop("dependencies", None)
        controller = self.controller(container_task(*command, **fields), dependencies)
        await controller.prepare()
        return controller

    async def started(self, *command: str, **fields: Any) -> DockerController:
        controller = await self.prepared(*command, **fields)
        await controller.start()
        return controller

    async def output_of(self, *command: str, **fields: Any) -> str:
        """What a command that ends well prints."""
        controller = await self.started(*command, **fields)
        await controller.wait()
        return await output(controller)

    async def inspect(self, controller: DockerController) -> dict[str, Any]:
        """All that the engine knows of its container."""

        def ask() -> dict[str, Any]:
            with contextlib.closing(self.daemon.client()) as client:
                return dict(client.inspect_container(controller._name))

        return await asyncio.to_thread(ask)


async def output(
    controller: DockerController, options: api.LogSubscriptionOptions | None = None
) -> str:
    lines = [m.data async for m in controller.logs(options or api.LogSubscriptionOptions())]
    return b"".join(lines).decode()


def container_task(
    *command: str, service: str = "web", spec: Any = None, task: Any = None, **fields: Any
) -> api.Task:
    """A task that runs that; further fields are those of the container spec.

    It is told to stop within a second, as a shell that is the first process minds no signal.
    """
    fields.setdefault("stop_grace_period", {"seconds": 1})
    fields.setdefault("image", IMAGE)
    container = builders.container(command=command, **fields)
    of = builders.service(name=service, task_spec=api.TaskSpec(container=container, **(spec or {})))
    return builders.task(service=of, slot=1, node_id="n1", **(task or {}))


def secret_file(secret: api.Secret, name: str = "", **target: Any) -> api.SecretReference:
    file = api.FileTarget(name=name or secret.spec.annotations.name, **{"mode": 0o444, **target})
    title = secret.spec.annotations.name
    return api.SecretReference(secret_id=secret.id, secret_name=title, file=file)


def config_file(config: api.Config, name: str = "", **target: Any) -> api.ConfigReference:
    file = api.FileTarget(name=name or config.spec.annotations.name, **{"mode": 0o444, **target})
    title = config.spec.annotations.name
    return api.ConfigReference(config_id=config.id, config_name=title, file=file)


def having(secrets: Sequence[api.Secret] = (), configs: Sequence[api.Config] = ()) -> Dependencies:
    return Dependencies({each.id: each for each in secrets}, {each.id: each for each in configs})


@contextlib.contextmanager
def state_directory() -> Iterator[StateDir]:
    root = Path(tempfile.mkdtemp(prefix="swd"))
    state_dir = StateDir(root)
    state_dir.make()
    try:
        yield state_dir
    finally:
        forget_files(state_dir)
        shutil.rmtree(root, ignore_errors=True)


def forget_files(state_dir: StateDir) -> None:
    """Those in memory, of tasks that still are there."""
    files = TaskFiles(known_owner(state_dir))
    for task_id in files.found():
        files.remove(task_id)


@contextlib.asynccontextmanager
async def docker_engine(
    daemon: Dockerd,
    state_dir: StateDir,
    *,
    adopting: Sequence[str] | None = None,
    address: str = "",
) -> AsyncIterator[DockerEngine]:
    """The engine, connected; its containers stay when it goes, as when an agent goes."""
    executor = DockerExecutor(address or daemon.address, state_dir, SystemClock(), random.Random())
    running = asyncio.create_task(executor.run())
    if adopting is not None:
        executor.adopt(adopting)
    try:
        await executor.describe(api.NodeDescription())
        yield DockerEngine(daemon, state_dir, executor)
    finally:
        running.cancel()
        await asyncio.wait([running])


@contextlib.asynccontextmanager
async def forwarded(daemon: Dockerd) -> AsyncIterator[int]:
    """A port on loopback that leads to the daemon."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                writer.write(piece)
                await writer.drain()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(str(daemon.socket))
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def network(name: str, driver: str, *, predefined: bool = True) -> api.NetworkAttachment:
    labels = {"com.docker.swarm.predefined": "true"} if predefined else {}
    found = builders.network(name, labels=labels)
    found.driver_state.name = driver
    return api.NetworkAttachment(network=found)


def _comes_true(condition: Any, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False


def registry_auth(**words: str) -> str:
    """As clients send it in a spec's pull options."""
    return base64.urlsafe_b64encode(json.dumps(words).encode()).decode()
