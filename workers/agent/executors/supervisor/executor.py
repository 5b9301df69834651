"""The engine for host processes: which supervisord it is, and a controller for each task."""

import asyncio
import os
from pathlib import Path
from random import Random
from typing import Final

from swarmd import api
from swarmd.clock import Clock
from swarmd.errors import CannotBootError
from swarmd.logs import fields, get_logger
from swarmd.state_dir import (
    LONGEST_SOCKET,
    StateDir,
    make_socket_directory,
    supervisord_socket,
)
from workers.agent.executors import Dependencies
from workers.agent.executors.errors import ExecutorError, TemporaryError
from workers.agent.executors.supervisor import own_supervisord, program
from workers.agent.executors.supervisor.controller import SupervisorController
from workers.agent.executors.supervisor.credentials import CredentialStore, TaskCredentials
from workers.agent.executors.supervisor.link import Link
from workers.agent.executors.supervisor.messages import ProgramStatus
from workers.agent.executors.supervisor.rpc import (
    NoPluginError,
    SupervisorClient,
    UnreachableError,
)
from workers.agent.payloads import Payloads
from workers.agent.templates import expand_spec

log = get_logger(__name__)

_END_SECONDS: Final = 1.0
_SCHEME: Final = "supervisor://"
_PARENT_URL: Final = "SUPERVISOR_SERVER_URL"  # supervisord tells it to its children


class SupervisorExecutor:
    """One supervisord, by `supervisor:///path/to.sock`; by `supervisor://`, the one at hand.

    That is the one that runs swarmd, if it has our plugin, and else one of our own.
    """

    def __init__(self, address: str, state_dir: StateDir, clock: Clock, random: Random) -> None:
        """Raises CannotBootError for an address that is none, or a path too long for a socket."""
        self.address = address
        self._named = _socket_url(address)
        self._chosen = self._named
        self._own = state_dir.supervisor
        self._credentials = CredentialStore(state_dir.root)
        self._clock = clock
        self._node = api.Node()
        doorbell = supervisord_socket(self._own).with_name("agent.sock")
        self._link = Link(self._connect, doorbell, clock, random)

    async def run(self) -> None:
        make_socket_directory(self._own)
        left = await asyncio.to_thread(self._credentials.found)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._link.run())
                group.create_task(self._sweep(left))
        finally:
            await self._end_own_if_idle()

    async def describe(self, description: api.NodeDescription) -> None:
        """Name the engine, where it answers: a node without one gets no host processes."""
        try:
            await self._link.connected()
        except TemporaryError as error:
            log.warning("host processes cannot run here", extra=fields(reason=str(error)))
            return
        description.engine.plugins.add(type="Engine", name="supervisor")
        if self._link.info and not description.engine.engine_version:
            description.engine.engine_version = self._link.info.version

    async def configure(self, node: api.Node) -> None:
        self._node = node

    def accepts(self, task: api.Task) -> bool:
        return program.accepts(task)

    def controller(
        self,
        task: api.Task,
        dependencies: Dependencies,
        directory: Path,
    ) -> SupervisorController:
        def payloads(container: api.ContainerSpec) -> Payloads:
            return Payloads(task, container, self._node, dependencies)

        return SupervisorController(
            task,
            directory,
            self._link,
            self._clock,
            expand=self._expand,
            credentials=TaskCredentials(self._credentials, task, payloads),
            volumes=dependencies.volumes,
        )

    async def _end_own_if_idle(self) -> None:
        """Leave no supervisord of our own behind that has no task to keep."""
        if self._chosen != self._own_url():
            return
        client = SupervisorClient(self._chosen)
        try:
            async with asyncio.timeout(_END_SECONDS):
                await client.call("swarmd.endIfIdle")
        except (ExecutorError, TimeoutError) as error:
            log.debug("left the supervisord as it is", extra=fields(reason=str(error)))
        finally:
            client.close()

    async def _sweep(self, task_ids: set[str]) -> None:
        """Discard the credentials of tasks that ended while no agent was there to see it."""
        ended: set[str] = set()
        for task_id in task_ids:
            status = await self._status(task_id)
            if status is None or status.ended:
                ended.add(task_id)
        await asyncio.to_thread(self._credentials.sweep, ended)

    async def _status(self, task_id: str) -> ProgramStatus | None:
        while True:
            try:
                return await self._link.status(task_id)
            except TemporaryError:
                continue  # it waited long: so do we

    def _expand(self, task: api.Task) -> api.ContainerSpec:
        return expand_spec(task, self._node)

    async def _connect(self) -> SupervisorClient:
        if not self._chosen:
            self._chosen = await self._parent_url() or self._own_url()
        client = SupervisorClient(self._chosen)
        try:
            await client.info()
        except UnreachableError:
            if self._chosen != self._own_url():
                client.close()
                raise
            await own_supervisord.start(self._own)
        except BaseException:
            client.close()
            raise
        return client

    async def _parent_url(self) -> str:
        """The supervisord that runs us, if it has the plugin."""
        url = os.environ.get(_PARENT_URL, "")
        if not url:
            return ""
        client = SupervisorClient(url)
        try:
            await client.info()
        except (NoPluginError, UnreachableError) as error:
            log.info("bringing a supervisord of our own", extra=fields(reason=str(error)))
            return ""
        finally:
            client.close()
        return url

    def _own_url(self) -> str:
        return f"unix://{supervisord_socket(self._own)}"


def _socket_url(address: str) -> str:
    """The server URL of a named supervisord, or nothing for the one at hand."""
    path = address.removeprefix(_SCHEME)
    if not address.startswith(_SCHEME) or (path and not path.startswith("/")):
        raise CannotBootError(f"engine address {address} is not supervisor:///path/to.sock")
    if len(os.fsencode(path)) > LONGEST_SOCKET:
        raise CannotBootError(
            f"engine address {address}: a unix socket's path has at most {LONGEST_SOCKET} bytes"
        )
    return f"unix://{path}" if path else ""
