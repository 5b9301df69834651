"""One task as a container of a Docker engine."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from swarmd import api
from swarmd.api import defaults
from swarmd.clock import Clock
from swarmd.logs import fields, get_logger
from workers.agent.executors import Dependencies
from workers.agent.executors.docker import container, images, output, ports, requirements, state
from workers.agent.executors.docker.engine import Engine
from workers.agent.executors.docker.errors import ConflictError
from workers.agent.executors.docker.files import TaskFiles
from workers.agent.executors.docker.requirements import Facts
from workers.agent.executors.docker.state import ContainerState
from workers.agent.executors.errors import (
    AlreadyStartedError,
    ExecutorError,
    GoneError,
    RejectedError,
    TemporaryError,
)
from workers.agent.payloads import Payloads
from workers.agent.templates import expand_spec

log = get_logger(__name__)

_STOP_SIGNAL: Final = "SIGTERM"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all controllers of one engine share."""

    engine: Engine
    files: TaskFiles
    owner: str
    clock: Clock
    node: Callable[[], api.Node]
    facts: Callable[[], Facts]
    forget: Callable[[str], None]
    """Called with the id of a task of which nothing is left."""


class DockerController:
    """Drives one container; the Controller of executors/__init__.py."""

    def __init__(
        self, task: api.Task, dependencies: Dependencies, directory: Path, around: Surroundings
    ) -> None:
        self._task = task
        self._dependencies = dependencies
        self._directory = directory
        self._around = around
        self._engine = around.engine
        self._name = container.name(task)

    async def update(self, task: api.Task) -> None:
        self._task = task

    async def prepare(self) -> None:
        """Check the spec against this engine, bring the image, and create the container."""
        await self._engine.connected()
        spec = expand_spec(self._task, self._around.node())
        requirements.check(self._task, spec, self._around.facts())
        self._config(spec)  # raises before anything is done
        if await self._exists():
            return
        await images.provide(self._engine, spec)
        await self._create(spec)

    async def start(self) -> None:
        """Start, and return when it is healthy; one that is not healthy yet is waited for."""
        found = await self._state()
        if found.is_created:
            await self._start()
        elif found.has_ended or found.health != "starting":
            raise AlreadyStartedError(f"task {self._task.id} was started before")
        found = await self._wait(lambda s: s.has_ended or s.health != "starting")
        if found.has_health_check:
            await self._judge(found)

    async def wait(self) -> None:
        """Return when it ended with status 0; an unhealthy one is stopped and fails."""
        found = await self._wait(lambda s: s.has_ended or s.health == "unhealthy")
        await self._judge(found)
        await self._drop_files()

    async def shutdown(self) -> None:
        """The stop signal, then after its grace period SIGKILL; returns when it ended."""
        try:
            found = await self._state()
            await self._stop(found)
        except GoneError:
            log.debug("nothing to shut down", extra=fields(task=self._name))
        await self._drop_files()

    async def terminate(self) -> None:
        try:
            await self._kill("SIGKILL")
            await self._wait_ended()
        except GoneError:
            log.debug("nothing to terminate", extra=fields(task=self._name))
        await self._drop_files()

    async def remove(self) -> None:
        """The container, its anonymous volumes and its files."""
        try:
            await self._engine.call(
                lambda client: client.remove_container(self._name, v=True, force=True)
            )
        except ConflictError as error:  # somebody else is removing it
            raise TemporaryError(str(error)) from error
        except GoneError:
            log.debug("nothing to remove", extra=fields(task=self._name))
        await self._drop_files()
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)
        self._around.forget(self._task.id)

    async def close(self) -> None:
        """Nothing is held."""

    async def container_status(self) -> api.ContainerStatus:
        try:
            return (await self._state()).to_status()
        except GoneError:
            return api.ContainerStatus()

    async def port_status(self) -> api.PortStatus:
        """Where its host-mode ports are now."""
        try:
            found = await self._engine.inspect(self._name)
        except GoneError:
            return api.PortStatus()
        return ports.reported(self._task, found["NetworkSettings"].get("Ports") or {})

    async def logs(self, options: api.LogSubscriptionOptions) -> AsyncIterator[api.LogMessage]:
        """Its output; to follow it is to wait for its start first."""
        if options.follow:
            await self._wait_started()
        context = api.LogContext(
            service_id=self._task.service_id, node_id=self._task.node_id, task_id=self._task.id
        )
        tty = (await self._state()).tty
        messages = output.read(self._engine, self._name, options, tty=tty)
        async with aclosing(messages):
            async for message in messages:
                message.context.CopyFrom(context)
                yield message

    async def _exists(self) -> bool:
        """Whether this task has its container; raises RejectedError where another has its name."""
        try:
            found = await self._engine.inspect(self._name)
        except GoneError:
            return False
        if found["Config"]["Labels"].get(container.TASK_ID_LABEL) != self._task.id:
            raise RejectedError(f"the container name {self._name} is taken by another container")
        return True

    async def _create(self, spec: api.ContainerSpec) -> None:
        files = await asyncio.to_thread(self._write_files, spec)
        config = self._config(spec, files)
        try:
            made = await self._engine.call(
                lambda client: client.create_container_from_config(config, self._name)  # type: ignore[no-untyped-call]
            )
        except ConflictError:
            if not await self._exists():
                raise
        except TemporaryError:
            raise  # it may be there all the same: then its files are in use
        except ExecutorError:
            await self._drop_files()
            raise
        else:
            for warning in made.get("Warnings") or ():
                log.warning("the engine warns", extra=fields(task=self._name, reason=warning))

    def _config(
        self, spec: api.ContainerSpec, files: Sequence[Mapping[str, object]] = ()
    ) -> dict[str, Any]:
        volumes = self._dependencies.volumes
        return container.config(self._task, spec, self._around.owner, volumes, files)

    def _write_files(self, spec: api.ContainerSpec) -> list[dict[str, object]]:
        payloads = Payloads(self._task, spec, self._around.node(), self._dependencies)
        root = self._around.facts().root
        return self._around.files.write(self._task.id, spec, payloads, root)

    async def _start(self) -> None:
        try:
            await self._engine.call(lambda client: client.start(self._name))
        except (TemporaryError, GoneError):
            raise
        except ExecutorError as error:
            await self._drop_files()
            raise ExecutorError(f"starting container failed: {error}") from error

    async def _judge(self, found: ContainerState) -> None:
        """Raise how it ended, or stop it where it is unhealthy."""
        is_unhealthy = not found.has_ended and found.health == "unhealthy"
        if is_unhealthy:
            log.info("stopping an unhealthy container", extra=fields(task=self._name))
            await self.shutdown()
            found = replace(await self._state(), said=found.said)
        if found.has_ended and (error := state.exit_error(found, is_unhealthy=is_unhealthy)):
            await self._drop_files()
            raise error

    async def _stop(self, found: ContainerState) -> None:
        if found.has_ended or found.is_created:
            return
        await self._kill(found.stop_signal or _STOP_SIGNAL)
        if not await self._ends_within(defaults.stop_grace(self._task.spec)):
            await self._kill("SIGKILL")
            await self._wait_ended()

    async def _kill(self, signal: str) -> None:
        try:
            await self._engine.call(lambda client: client.kill(self._name, signal))
        except ConflictError:
            log.debug("it does not run", extra=fields(task=self._name))

    async def _ends_within(self, seconds: float) -> bool:
        ending = asyncio.ensure_future(self._wait_ended())
        timing = asyncio.ensure_future(self._around.clock.sleep(seconds))
        try:
            await asyncio.wait({ending, timing}, return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                await ending
            return ending.done()
        finally:
            ending.cancel()
            timing.cancel()

    async def _wait_started(self) -> None:
        with self._engine.watched(self._task.id) as changed:
            while True:
                changed.clear()
                try:
                    if not (await self._state()).is_created:
                        return
                except GoneError:
                    log.debug("no container to follow yet", extra=fields(task=self._name))
                await changed.wait()

    async def _wait_ended(self) -> ContainerState:
        return await self._wait(lambda s: s.has_ended or s.is_created)

    async def _wait(self, until: Callable[[ContainerState], bool]) -> ContainerState:
        return await self._engine.wait(self._name, self._task.id, until)

    async def _state(self) -> ContainerState:
        return await self._engine.state(self._name)

    async def _drop_files(self) -> None:
        await asyncio.to_thread(self._around.files.remove, self._task.id)
