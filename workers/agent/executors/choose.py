"""The executors that this host has, and which one runs a task. The one file that knows them all.

`--engine-addr` names them, each by its scheme; without it, every engine that the host has is used.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final
from urllib.parse import urlsplit

from swarmd import api
from swarmd.api import images
from swarmd.clock import Clock
from swarmd.errors import CannotBootError, SwarmError
from swarmd.logs import fields, get_logger
from swarmd.state_dir import StateDir
from workers.agent.executors import Controller, Dependencies, Executor, SweepsOrphans
from workers.agent.executors.errors import RejectedError

log = get_logger(__name__)

SUPERVISOR: Final = "supervisor"
_DOCKER_SCHEMES: Final = ("unix", "tcp")
_DOCKER_SOCKET: Final = Path("/var/run/docker.sock")


class Engines:
    """All executors of this node, as one."""

    def __init__(self, executors: Sequence[Executor]) -> None:
        self._executors = executors

    @property
    def names(self) -> list[str]:
        """What kinds of engines there are, for people."""
        schemes = [_scheme(executor.address) for executor in self._executors]
        return ["docker" if scheme in _DOCKER_SCHEMES else scheme for scheme in schemes]

    async def run(self) -> None:
        """Keep the connections to all engines, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for executor in self._executors:
                group.create_task(executor.run())

    async def describe(self, description: api.NodeDescription) -> None:
        """Let each engine add what it knows; one that does not answer is left out."""
        for executor in self._executors:
            addition = api.NodeDescription()
            addition.CopyFrom(description)
            try:
                await executor.describe(addition)
            except SwarmError as error:
                log.warning(
                    "an engine does not answer", extra=fields(engine=executor.address, reason=error)
                )
            else:
                description.CopyFrom(addition)

    async def configure(self, node: api.Node) -> None:
        """Tell each engine which node this is."""
        for executor in self._executors:
            try:
                await executor.configure(node)
            except SwarmError as error:
                log.warning(
                    "an engine does not take this node's configuration",
                    extra=fields(engine=executor.address, reason=error),
                )

    def adopt(self, task_ids: Sequence[str]) -> None:
        """Tell each engine the tasks from before: what else it has of ours is nobody's."""
        for executor in self._executors:
            if isinstance(executor, SweepsOrphans):
                executor.adopt(task_ids)

    def controller(self, task: api.Task, dependencies: Dependencies, directory: Path) -> Controller:
        """A controller of the first engine that takes the task; raises RejectedError."""
        for executor in self._executors:
            if executor.accepts(task):
                return executor.controller(task, dependencies, directory)
        engines = ", ".join(self.names) or "none"
        raise RejectedError(f"{_missing(task)}; engines: {engines}")


def choose_engines(
    addresses: Sequence[str], state_dir: StateDir, clock: Clock, random: Random
) -> Engines:
    """The engines at these addresses, or all that this host has; raises CannotBootError."""
    executors: list[Executor] = []
    for address in dict.fromkeys(addresses or _found_here()):
        scheme = _scheme(address)
        if scheme == SUPERVISOR:
            executors.append(_supervisor(address, state_dir, clock, random))
        elif scheme in _DOCKER_SCHEMES:
            executors.append(_docker(address, state_dir, clock, random))
        else:
            msg = f"--engine-addr {address}: no engine is known by {scheme or 'no scheme'!r}"
            raise CannotBootError(f"{msg}; one is named as supervisor:// or unix:///path/to.sock")
    return Engines(executors)


def _found_here() -> Sequence[str]:
    docker = [f"unix://{_DOCKER_SOCKET}"] if _DOCKER_SOCKET.is_socket() else []
    return ["supervisor://", *docker]


def _docker(address: str, state_dir: StateDir, clock: Clock, random: Random) -> Executor:
    from workers.agent.executors.docker.executor import DockerExecutor  # noqa: PLC0415

    return DockerExecutor(address, state_dir, clock, random)


def _supervisor(address: str, state_dir: StateDir, clock: Clock, random: Random) -> Executor:
    # Imported where it is used: an engine that a host does not have costs it no memory.
    from workers.agent.executors.supervisor.executor import SupervisorExecutor  # noqa: PLC0415

    return SupervisorExecutor(address, state_dir, clock, random)


def _scheme(address: str) -> str:
    return urlsplit(address).scheme


def _missing(task: api.Task) -> str:
    """Which engine the task would need."""
    match task.spec.WhichOneof("runtime"):
        case "container" if images.is_host(task.spec.container.image):
            return "this node has no supervisor engine: host processes cannot run here"
        case "container":
            image = task.spec.container.image
            return f"this node has no Docker engine: image {image} cannot run here"
        case "attachment":
            return "this node has no Docker engine: network attachments cannot run here"
        case "generic":
            kind = task.spec.generic.kind
            return f"this node has no engine for tasks of kind {kind}: it cannot run here"
        case _:
            return "the task says neither what to run nor how: it cannot run here"
