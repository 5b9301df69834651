"""One task as a program of a supervisord."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from swarmd import api
from swarmd.api import tasks, times
from swarmd.clock import Clock
from workers.agent.executors import MountedVolume
from workers.agent.executors.errors import (
    AlreadyStartedError,
    ExecutorError,
    ExitError,
    GoneError,
)
from workers.agent.executors.supervisor import account, command, health, output, program
from workers.agent.executors.supervisor.credentials import TaskCredentials
from workers.agent.executors.supervisor.health import Health, HealthCheck, Verdict
from workers.agent.executors.supervisor.leftovers import TASK_MARK
from workers.agent.executors.supervisor.link import Link
from workers.agent.executors.supervisor.messages import HostInfo, ProgramSettings, ProgramStatus

_PRIVATE: Final = 0o700

Expand = Callable[[api.Task], api.ContainerSpec]


@dataclass(frozen=True, slots=True)
class _Plan:
    """A task's spec, resolved against this host."""

    container: api.ContainerSpec
    settings: ProgramSettings
    account: account.Account
    check: HealthCheck | None


class SupervisorController:
    """Drives one program; the Controller of executors/__init__.py."""

    def __init__(
        self,
        task: api.Task,
        directory: Path,
        link: Link,
        clock: Clock,
        *,
        expand: Expand,
        credentials: TaskCredentials,
        volumes: Sequence[MountedVolume] = (),
    ) -> None:
        self._task = task
        self._directory = directory
        self._link = link
        self._clock = clock
        self._expand = expand
        self._credentials = credentials
        self._volumes = volumes

    async def update(self, task: api.Task) -> None:
        self._task = task

    async def prepare(self) -> None:
        """Check the spec against this host, make the task's directory, and add the program."""
        if await self._link.status(self._task.id):
            return
        plan = await self._plan()
        assert self._link.info is not None, "the plan asked it"
        mounts = program.mounts(plan.container, self._volumes, self._link.info.uid)
        await asyncio.to_thread(self._make_directory, plan.settings.started_mark)
        await self._credentials.keep(plan.container, plan.account)
        await self._link.add(replace(plan.settings, mounts=mounts))

    async def start(self) -> None:
        """Start, and return when exec worked and the health check, if any, has passed."""
        known = await self._known()
        if known.started:
            raise AlreadyStartedError(f"task {self._task.id} was started before")
        client = await self._link.connected()
        await client.start(self._task.id)
        status = await self._link.wait(self._task.id, lambda s: s.ended or s.state == "RUNNING")
        if status.failure:
            await self._credentials.discard()
            raise ExecutorError(f"task: cannot start: {status.failure}")
        if not status.ended and (plan := await self._health_plan()):
            await self._watch(plan, Health(), {Verdict.HEALTHY, Verdict.UNHEALTHY})

    async def wait(self) -> None:
        """Return when it ended with status 0; an unhealthy one is stopped and fails."""
        status = await self._known()
        if not status.ended and (plan := await self._health_plan()):
            await self._watch(plan, Health(Verdict.HEALTHY), {Verdict.UNHEALTHY})
        if error := exit_error(await self._ended()):
            raise error

    async def shutdown(self) -> None:
        """The stop signal, then after its grace period SIGKILL; returns when nothing is left."""
        client = await self._link.connected()
        await self._end(client.stop)

    async def terminate(self) -> None:
        client = await self._link.connected()
        await self._end(client.kill)

    async def remove(self) -> None:
        await self.terminate()
        await self._link.remove(self._task.id)
        await self._credentials.discard()
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    async def close(self) -> None:
        """Nothing is held."""

    async def container_status(self) -> api.ContainerStatus:
        status = await self._link.status(self._task.id)
        if status is None:
            return api.ContainerStatus()
        return api.ContainerStatus(
            container_id=status.namespec, pid=status.pid, exit_code=status.exit_code
        )

    async def logs(self, options: api.LogSubscriptionOptions) -> AsyncIterator[api.LogMessage]:
        context = api.LogContext(
            service_id=self._task.service_id, node_id=self._task.node_id, task_id=self._task.id
        )
        async for line in output.read(self._directory, options, self._clock, self._has_ended):
            yield api.LogMessage(
                context=context,
                timestamp=times.timestamp(line.time),
                stream=line.stream,
                data=line.data,
            )

    async def _plan(self) -> _Plan:
        await self._link.connected()
        info = self._link.info
        assert info is not None
        container = self._expand(self._task)
        program.check(self._task, container)
        return await asyncio.to_thread(self._resolve, container, info)

    def _resolve(self, container: api.ContainerSpec, info: HostInfo) -> _Plan:
        """Asks this host for the user and the command, and so is run in a thread."""
        who = account.resolve(container.user, container.groups, info.uid)
        search = program.environment(self._task, container, who).get("PATH", program.DEFAULT_PATH)
        settings = program.settings(
            self._task,
            container,
            who,
            file=command.find(program.argv(container), search, container.dir or "/"),
            directory=self._directory,
            credentials=self._credentials.directory(),
            unavailable=info.unavailable,
        )
        return _Plan(container, settings, who, health.parse(container.healthcheck))

    async def _health_plan(self) -> _Plan | None:
        if health.parse(self._expand(self._task).healthcheck) is None:
            return None
        return await self._plan()

    async def _watch(self, plan: _Plan, known: Health, verdicts: set[Verdict]) -> None:
        """Return at one of the verdicts, or raise how it ended; stop it where it is unhealthy."""
        judging = asyncio.create_task(self._judge(plan, known, verdicts))
        ending = asyncio.create_task(self._ended())
        try:
            await asyncio.wait({judging, ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in (judging, ending):
                waiting.cancel()
            await asyncio.gather(judging, ending, return_exceptions=True)
        if not ending.cancelled():
            if error := exit_error(ending.result()):
                raise error
            return
        found = judging.result()
        if found.verdict is Verdict.UNHEALTHY:
            await self.shutdown()
            raise ExecutorError(_unhealthy(found))

    async def _judge(self, plan: _Plan, known: Health, verdicts: set[Verdict]) -> Health:
        status = await self._link.wait(self._task.id, lambda s: s.started)
        check, settings = plan.check, plan.settings
        assert check is not None

        async def probe() -> health.Result:
            return await health.run_check(
                check, plan.account, self._marked(settings), settings.directory, status.cgroups
            )

        async with aclosing(
            health.follow(known, check, probe, self._clock, status.started_at)
        ) as course:
            async for found in course:
                if found.verdict in verdicts:
                    return found
        return known

    def _marked(self, settings: ProgramSettings) -> dict[str, str]:
        return settings.environment | {TASK_MARK: settings.id}

    def _make_directory(self, started_mark: str) -> None:
        if Path(started_mark).exists():
            raise _gone(self._task.id)  # a task runs once: not again in a supervisord that is new
        self._directory.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)

    async def _end(self, ask: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        status = await self._link.status(self._task.id)
        if status is None or status.ended:
            await self._credentials.discard()
            return
        try:
            await ask(self._task.id)
            await self._ended()
        except GoneError:
            return  # supervisord ended meanwhile, and took it along

    async def _known(self) -> ProgramStatus:
        status = await self._link.status(self._task.id)
        if status is None:
            await self._credentials.discard()
            raise _gone(self._task.id)
        return status

    async def _ended(self) -> ProgramStatus:
        """Its last status; what only the running task was to see is gone by then."""
        try:
            status = await self._link.wait(self._task.id, lambda status: status.ended)
        except GoneError:
            await self._credentials.discard()
            raise
        await self._credentials.discard()
        return status

    async def _has_ended(self) -> bool:
        status = await self._link.status(self._task.id)
        return status is None or status.ended


def exit_error(status: ProgramStatus) -> ExecutorError | None:
    """How an ended program is told; none where it ended well."""
    if status.failure:
        return ExecutorError(f"task: cannot start: {status.failure}")
    if not status.exit_code:
        return None
    reason = f"task: non-zero exit ({status.exit_code})"
    if status.out_of_memory:
        reason += ": out of memory: it reached its memory limit"
    elif status.signal:
        reason += f": {_signal_name(status.signal)}"
    return ExitError(status.exit_code, reason)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _unhealthy(found: Health) -> str:
    said = f": {found.said}" if found.said else ""
    return f"task: unhealthy: {found.failures} health checks failed in a row{said}"


def _gone(task_id: str) -> GoneError:
    return GoneError(tasks.gone(task_id))
