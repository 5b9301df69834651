"""The engine for containers: describe it, hand out controllers, sweep up what no task has."""

import asyncio
import ipaddress
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

from swarmd import api
from swarmd.api import images
from swarmd.clock import Clock
from swarmd.errors import CannotBootError
from swarmd.logs import fields, get_logger
from swarmd.state_dir import StateDir
from workers.agent.executors import Dependencies
from workers.agent.executors.docker import container, description, ownership, requirements
from workers.agent.executors.docker.controller import DockerController, Surroundings
from workers.agent.executors.docker.engine import Engine
from workers.agent.executors.docker.files import TaskFiles
from workers.agent.executors.docker.requirements import Facts
from workers.agent.executors.errors import ExecutorError, RejectedError

log = get_logger(__name__)


class DockerExecutor:
    """One Docker engine, by `unix:///var/run/docker.sock` or `tcp://host:2375`."""

    def __init__(self, address: str, state_dir: StateDir, clock: Clock, random: Random) -> None:
        """Raises CannotBootError for an address that is none."""
        self.address = address
        self._is_local = _is_local(address)
        self._owner = ownership.owner(state_dir, random)
        ownership.remember_engine(state_dir, address)
        self._files = TaskFiles(self._owner)
        self._node = api.Node()
        self._known: set[str] = set()
        self._may_sweep = asyncio.Event()
        self._found = asyncio.Event()
        self._engine = Engine(address, clock, random)
        self._engine.on_connect(self._found.set)
        self._around = Surroundings(
            engine=self._engine,
            files=self._files,
            owner=self._owner,
            clock=clock,
            node=lambda: self._node,
            facts=self._facts,
            forget=self._known.discard,
        )

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._engine.run())
            group.create_task(self._keep_swept())

    async def describe(self, description_: api.NodeDescription) -> None:
        """Add what the engine tells; raises TemporaryError where it does not answer."""
        await self._engine.connected()
        info = await self._engine.call(lambda client: client.info())
        description.describe(description_, info, await self._managed_plugins())

    async def configure(self, node: api.Node) -> None:
        self._node = node

    def accepts(self, task: api.Task) -> bool:
        """Containers; network attachments too, to be refused with the reason."""
        runtime = task.spec.WhichOneof("runtime")
        if runtime == "container":
            return not images.is_host(task.spec.container.image)
        return runtime == "attachment"

    def controller(
        self, task: api.Task, dependencies: Dependencies, directory: Path
    ) -> DockerController:
        if task.spec.HasField("attachment"):
            raise RejectedError(
                "network attachments: containers here have the networks host, bridge and none alone"
            )
        self._known.add(task.id)
        return DockerController(task, dependencies, directory, self._around)

    def adopt(self, task_ids: Iterable[str]) -> None:
        """These are all tasks from before: what else of ours is there belongs to none."""
        self._known.update(task_ids)
        self._may_sweep.set()

    def _facts(self) -> Facts:
        return requirements.facts(
            self._engine.info, self._engine.api_version, is_local=self._is_local
        )

    async def _keep_swept(self) -> None:
        """After each time that the engine was found."""
        await self._may_sweep.wait()
        while True:
            await self._found.wait()
            self._found.clear()
            try:
                await self._sweep()
            except ExecutorError as error:
                log.warning("cannot look for orphans", extra=fields(reason=error))

    async def _sweep(self) -> None:
        """Remove our containers and files that no task has.

        First what there is, then what is known: a task that comes meanwhile is then
        known, or not found.
        """
        label = f"{container.OWNER_LABEL}={self._owner}"
        found = await self._engine.call(
            lambda client: client.containers(all=True, filters={"label": [label]})
        )
        have_files = await asyncio.to_thread(self._files.found)
        for each in found:
            if each["Labels"].get(container.TASK_ID_LABEL) not in self._known:
                await self._remove_orphan(each["Id"], each["Names"][0])
        for task_id in have_files - self._known:
            await asyncio.to_thread(self._files.remove, task_id)

    async def _remove_orphan(self, container_id: str, name: str) -> None:
        log.warning("removing a container that no task has", extra=fields(container=name))
        try:
            await self._engine.call(
                lambda client: client.remove_container(container_id, v=True, force=True)
            )
        except ExecutorError as error:
            log.warning("cannot remove an orphan", extra=fields(container=name, reason=error))

    async def _managed_plugins(self) -> list[dict[str, Any]]:
        try:
            return list(await self._engine.call(lambda client: client.plugins()))  # type: ignore[no-untyped-call]
        except ExecutorError as error:
            log.debug("the engine tells no plugins", extra=fields(reason=error))
            return []


def _is_local(address: str) -> bool:
    """Whether it sees this host's files; raises CannotBootError for an address that is none."""
    parts = urlsplit(address)
    if parts.scheme == "unix" and not parts.netloc and len(parts.path) > 1:
        return True
    if parts.scheme != "tcp" or not parts.hostname:
        raise CannotBootError(
            f"--engine-addr {address}: an engine is unix:///path/to.sock or tcp://host:port"
        )
    try:
        return ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        return parts.hostname == "localhost"
