"""The engine for host processes on a supervisord of its own, for tests with real processes."""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swarmd import api
from swarmd.clock import SystemClock
from swarmd.state_dir import StateDir
from tests import builders
from workers.agent.executors import Dependencies
from workers.agent.executors.errors import ExitError
from workers.agent.executors.supervisor.controller import SupervisorController
from workers.agent.executors.supervisor.executor import SupervisorExecutor
from workers.agent.executors.supervisor.rpc import SupervisorClient


class HostEngine:
    """An executor, and what a test asks of it."""

    def __init__(self, state_dir: StateDir, executor: SupervisorExecutor) -> None:
        self.state_dir = state_dir
        self.executor = executor

    def controller(self, task: api.Task) -> SupervisorController:
        return self.executor.controller(task, Dependencies(), self.state_dir.tasks / task.id)

    async def prepared(self, *command: str, **fields: Any) -> SupervisorController:
        controller = self.controller(host_task(*command, **fields))
        await controller.prepare()
        return controller

    async def started(self, *command: str, **fields: Any) -> SupervisorController:
        controller = await self.prepared(*command, **fields)
        await controller.start()
        return controller

    async def output_of(self, *command: str, **fields: Any) -> str:
        """What a command that ends well prints on stdout."""
        controller = await self.started(*command, **fields)
        await controller.wait()
        options = api.LogSubscriptionOptions(streams=[api.LogStream.LOG_STREAM_STDOUT])
        lines = [message.data async for message in controller.logs(options)]
        return b"".join(lines).decode()

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[SupervisorClient]:
        client = SupervisorClient(self.url)
        try:
            yield client
        finally:
            client.close()

    @property
    def url(self) -> str:
        return f"unix://{self.state_dir.own_supervisord_socket}"

    @property
    def pid(self) -> int:
        """Of its supervisord."""
        return int((self.state_dir.supervisor / "supervisord.pid").read_text())


def host_task(*command: str, service: str = "web", spec: Any = None, **fields: Any) -> api.Task:
    """A task that runs that on the host; further fields are those of the container spec."""
    container = builders.container(command=command, **fields)
    of = builders.service(name=service, task_spec=api.TaskSpec(container=container, **(spec or {})))
    return builders.task(service=of, slot=1, node_id="n1")


async def exit_of(controller: SupervisorController) -> ExitError:
    """How a task that ends badly is told."""
    with pytest.raises(ExitError) as caught:
        await controller.wait()
    return caught.value


async def pid_of(controller: SupervisorController) -> int:
    return (await controller.container_status()).pid


async def first_line(controller: SupervisorController) -> bytes:
    """What a task prints first."""
    async with contextlib.aclosing(controller.logs(api.LogSubscriptionOptions(follow=True))) as log:
        async for message in log:
            return message.data
    raise AssertionError("it said nothing")


@contextlib.contextmanager
def state_directory() -> Iterator[StateDir]:
    """A short one, with no supervisord left in it."""
    root = Path(tempfile.mkdtemp(prefix="swd"))
    state_dir = StateDir(root)
    state_dir.make()
    try:
        yield state_dir
    finally:
        end_supervisord(state_dir.supervisor)
        shutil.rmtree(root, ignore_errors=True)


@contextlib.asynccontextmanager
async def host_engine(
    state_dir: StateDir, address: str = "supervisor://"
) -> AsyncIterator[HostEngine]:
    """The engine, connected; its supervisord stays when it goes, as when an agent goes."""
    executor = SupervisorExecutor(address, state_dir, SystemClock(), random.Random())
    running = asyncio.create_task(executor.run())
    try:
        await executor.describe(api.NodeDescription())
        yield HostEngine(state_dir, executor)
    finally:
        running.cancel()
        await asyncio.wait([running])


def end_supervisord(directory: Path) -> None:
    """Stop the one with that directory, and wait until it is gone."""
    try:
        pid = int((directory / "supervisord.pid").read_text())
    except (FileNotFoundError, ValueError):
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    if not comes_true(lambda: not alive(pid), seconds=10):
        os.kill(pid, signal.SIGKILL)


def supervisorctl(directory: Path, *words: str) -> str:
    command = [sys.executable, "-m", "supervisor.supervisorctl", "-c"]
    config = str(directory / "supervisord.conf")
    done = subprocess.run(
        [*command, config, *words], capture_output=True, text=True, check=False, timeout=20
    )
    return done.stdout


def alive(pid: int) -> bool:
    """Whether it is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def comes_true(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """For what no event tells of."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


async def soon(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """The same, while the loop runs on."""
    return await asyncio.to_thread(comes_true, condition, seconds)
