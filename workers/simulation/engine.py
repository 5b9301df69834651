"""The processes of one host: they do what a seed says, and outlive the agent, not the host.

What a task does is drawn when it is prepared: it runs for ever, ends well or badly after a while,
is refused, hangs while it is prepared or started, fails at first, or needs its whole grace to stop.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol

from swarmd import api
from workers.agent.executors import Dependencies
from workers.agent.executors.errors import (
    AlreadyStartedError,
    ExitError,
    GoneError,
    RejectedError,
    TemporaryError,
)

GRACE_SECONDS: Final = 10.0
_JOB_SECONDS: Final = (0.2, 4.0)
_FAILING_SECONDS: Final = (0.0, 20.0)
_ALIKE: Final = 3
"""The exit code of every task of a service that is broken."""
_ADDRESS: Final = "supervisor:///simulated"


class Witness(Protocol):
    """Who hears what really happens on the hosts."""

    def process_started(self, node_id: str, task_id: str) -> None: ...
    def process_ended(self, node_id: str, task_id: str) -> None: ...
    def wrong(self, invariant: str, sentence: str) -> None: ...


@dataclass(slots=True)
class Behaviour:
    """What one task does."""

    runs_for: float | None = None
    exits_with: int = 0
    refused: bool = False
    hangs_preparing: bool = False
    hangs_starting: bool = False
    fails_first: int = 0
    stops_slowly: bool = False


@dataclass(slots=True)
class Process:
    """What the host knows of a task."""

    behaviour: Behaviour
    started: bool = False
    exit_code: int | None = None
    lost: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def runs(self) -> bool:
        return self.started and self.exit_code is None


class Mood:
    """How tasks behave for now: `trouble` is the chance that one does not simply work."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.trouble = 0.0
        self.broken: set[str] = set()
        """The services of which every task ends alike, soon after its start."""
        self.healed = asyncio.Event()

    def draw(self, task: api.Task) -> Behaviour:
        random = self._random
        if task.service_id in self.broken:
            return Behaviour(runs_for=random.uniform(0, 1), exits_with=_ALIKE)
        done = random.uniform(*_JOB_SECONDS) if task.HasField("job_iteration") else None
        if random.random() >= self.trouble:
            return Behaviour(runs_for=done)
        soon = random.uniform(*_FAILING_SECONDS)
        return random.choice(
            (
                Behaviour(runs_for=soon, exits_with=1),
                Behaviour(runs_for=0.0, exits_with=2),
                Behaviour(runs_for=soon),
                Behaviour(refused=True),
                Behaviour(runs_for=done, hangs_preparing=True),
                Behaviour(runs_for=done, hangs_starting=True),
                Behaviour(runs_for=done, fails_first=2),
                Behaviour(runs_for=done, stops_slowly=True),
                Behaviour(runs_for=soon, exits_with=1, stops_slowly=True),
            )
        )


class Engine:
    """An `Executor`: the host's one engine."""

    def __init__(self, node_id: str, mood: Mood, witness: Witness) -> None:
        self.address = _ADDRESS
        self.node_id = node_id
        self.mood = mood
        self.processes: dict[str, Process] = {}
        self._witness = witness

    @property
    def running(self) -> list[str]:
        """The tasks whose process runs now."""
        return [task_id for task_id, process in self.processes.items() if process.runs]

    def lose_power(self) -> None:
        """Every process is gone at once, and the host knows it when it is back."""
        for task_id, process in self.processes.items():
            process.lost = True
            self.end(task_id, 137)

    def prepare(self, task: api.Task, given: Dependencies) -> Process:
        for sentence in _lacks(task.spec.container, given):
            self._witness.wrong("given", f"task {task.id} is prepared without {sentence}")
        process = self.processes[task.id] = Process(self.mood.draw(task))
        return process

    def start(self, task_id: str) -> None:
        process = self.processes[task_id]
        process.started = True
        self._witness.process_started(self.node_id, task_id)
        behaviour = process.behaviour
        if behaviour.runs_for is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(behaviour.runs_for, self._end_process, task_id, process)

    def end(self, task_id: str, code: int) -> None:
        process = self.processes.get(task_id)
        if process is None or process.exit_code is not None:
            return
        ran = process.runs
        process.exit_code = code
        process.ended.set()
        if ran:
            self._witness.process_ended(self.node_id, task_id)

    def _end_process(self, task_id: str, process: Process) -> None:
        if self.processes.get(task_id) is process:
            self.end(task_id, process.behaviour.exits_with)

    # --- what the agent asks

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def describe(self, description: api.NodeDescription) -> None:
        description.engine.plugins.add(type="Engine", name="supervisor")

    async def configure(self, node: api.Node) -> None:
        """Nothing here depends on it."""

    def accepts(self, task: api.Task) -> bool:
        return task.spec.HasField("container")

    def adopt(self, task_ids: Iterable[str]) -> None:
        """What the agent does not remember is nobody's: it is removed."""
        known = set(task_ids)
        for task_id in [one for one in self.processes if one not in known]:
            self.end(task_id, 137)
            del self.processes[task_id]

    def controller(
        self,
        task: api.Task,
        dependencies: Dependencies,
        directory: Path,  # noqa: ARG002
    ) -> "TaskController":
        return TaskController(self, task, dependencies)


class TaskController:
    """One task of the engine."""

    def __init__(self, engine: Engine, task: api.Task, given: Dependencies) -> None:
        self._engine = engine
        self._task = task
        self._given = given

    @property
    def _process(self) -> Process:
        found = self._engine.processes.get(self._task.id)
        if found is None:
            raise GoneError(f"task {self._task.id} is not here")
        return found

    async def update(self, task: api.Task) -> None:
        self._task = task

    async def prepare(self) -> None:
        process = self._engine.processes.get(self._task.id)
        if process is None:
            process = self._engine.prepare(self._task, self._given)
        if process.behaviour.refused:
            raise RejectedError("no such image")
        if process.behaviour.fails_first > 0:
            process.behaviour.fails_first -= 1
            raise TemporaryError("not now")
        if process.behaviour.hangs_preparing:
            await self._engine.mood.healed.wait()

    async def start(self) -> None:
        process = self._process
        if process.started:
            raise AlreadyStartedError(f"task {self._task.id} was started before")
        if process.lost:
            raise GoneError("the host was restarted")
        self._engine.start(self._task.id)
        if process.behaviour.hangs_starting:
            await _either(self._engine.mood.healed.wait, process.ended.wait)

    async def wait(self) -> None:
        process = self._process
        await process.ended.wait()
        if process.exit_code:
            raise ExitError(process.exit_code)

    async def shutdown(self) -> None:
        process = self._process
        if process.runs and process.behaviour.stops_slowly:
            asyncio.get_running_loop().call_later(
                GRACE_SECONDS, self._engine.end, self._task.id, 137
            )
            await process.ended.wait()
        self._engine.end(self._task.id, 143)

    async def terminate(self) -> None:
        self._engine.end(self._task.id, 137)

    async def remove(self) -> None:
        self._engine.end(self._task.id, 137)
        self._engine.processes.pop(self._task.id, None)

    async def close(self) -> None:
        """The process goes on."""

    async def container_status(self) -> api.ContainerStatus:
        process = self._engine.processes.get(self._task.id)
        code = None if process is None else process.exit_code
        return api.ContainerStatus(container_id=self._task.id, exit_code=code or 0)

    async def logs(self, options: api.LogSubscriptionOptions) -> AsyncIterator[api.LogMessage]:  # noqa: ARG002
        nothing: tuple[api.LogMessage, ...] = ()
        for line in nothing:
            yield line


def _lacks(container: api.ContainerSpec, given: Dependencies) -> Iterator[str]:
    """What of its secrets and configs is not there, or is not what the user put there."""
    for secret in container.secrets:
        found = given.secrets.get(secret.secret_id)
        if found is None or found.spec.data != secret.secret_name.encode():
            yield f"secret {secret.secret_name}"
    for config in container.configs:
        kept = given.configs.get(config.config_id)
        if kept is None or kept.spec.data != config.config_name.encode():
            yield f"config {config.config_name}"


async def _either(*waits: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Return when one of them did."""
    tasks = [asyncio.ensure_future(wait()) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
