"""An engine whose tasks do as they are told: run for so long, exit so, hang, fail.

engine = FakeExecutor(clock)
engine.knobs = Knobs(runs_for=30, exits_with=1)          # for every task that has none of its own
engine.of["task-id"] = Knobs(prepare_fails=RejectedError("no such image"))

What a task does outlives its controllers, as with a real engine: adopt it with new ones.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from swarmd import api
from swarmd.clock import Clock
from workers.agent.executors import Dependencies
from workers.agent.executors.errors import AlreadyStartedError, ExitError, GoneError


@dataclass(slots=True)
class Knobs:
    """How a task behaves; a failure is raised each time, until it is taken away."""

    runs_for: float | None = None  # seconds; None: until it is stopped
    exits_with: int = 0
    ignores_stop: bool = False  # it ends only when it is killed or its test says so
    prepare_hangs: bool = False
    start_hangs: bool = False
    prepare_fails: BaseException | None = None
    start_fails: BaseException | None = None
    shutdown_fails: BaseException | None = None
    remove_fails: BaseException | None = None


@dataclass(slots=True)
class FakeProcess:
    """What the engine knows of one task."""

    started: bool = False
    exit_code: int | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self, code: int) -> None:
        if self.exit_code is None:
            self.exit_code = code
            self.ended.set()


class FakeExecutor:
    """One engine of a host; `processes` is what exists on it, `calls` what it was asked."""

    def __init__(self, clock: Clock, image: str = "host") -> None:
        self.address = "supervisor:///fake"
        self.clock = clock
        self.image = image
        self.knobs = Knobs()
        self.of: dict[str, Knobs] = {}
        self.processes: dict[str, FakeProcess] = {}
        self.calls: Counter[tuple[str, str]] = Counter()
        self.starts: Counter[str] = Counter()
        self.node = api.Node()
        self.describe_fails: Exception | None = None
        self.beginning = 0
        self.most_beginning = 0

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def describe(self, description: api.NodeDescription) -> None:
        if self.describe_fails is not None:
            raise self.describe_fails
        description.engine.plugins.add(type="Engine", name="supervisor")

    async def configure(self, node: api.Node) -> None:
        self.node = node

    def accepts(self, task: api.Task) -> bool:
        return task.spec.container.image == self.image

    def controller(
        self, task: api.Task, dependencies: Dependencies, directory: Path
    ) -> "FakeController":
        self.calls["controller", task.id] += 1
        return FakeController(self, task, dependencies)

    def count(self, call: str) -> int:
        """How often any task's controller was called so."""
        return sum(times for (name, _), times in self.calls.items() if name == call)


class FakeController:
    """One task of a FakeExecutor."""

    def __init__(self, executor: FakeExecutor, task: api.Task, dependencies: Dependencies) -> None:
        self.executor = executor
        self.task = task
        self.dependencies = dependencies

    @property
    def knobs(self) -> Knobs:
        return self.executor.of.get(self.task.id, self.executor.knobs)

    @property
    def process(self) -> FakeProcess:
        found = self.executor.processes.get(self.task.id)
        if found is None:
            message = f"task {self.task.id} is not here"
            raise GoneError(message)
        return found

    async def update(self, task: api.Task) -> None:
        self._called("update")
        self.task = task

    async def prepare(self) -> None:
        async with self._beginning():
            self._called("prepare")
            await asyncio.sleep(0)
            _fail(self.knobs.prepare_fails)
            if self.knobs.prepare_hangs:
                await asyncio.Event().wait()
            self.executor.processes.setdefault(self.task.id, FakeProcess())

    async def start(self) -> None:
        async with self._beginning():
            self._called("start")
            await asyncio.sleep(0)
            _fail(self.knobs.start_fails)
            if self.process.started:
                message = f"task {self.task.id} was started before"
                raise AlreadyStartedError(message)
            self.process.started = True
            self.executor.starts[self.task.id] += 1
            if self.knobs.start_hangs:
                await asyncio.Event().wait()

    async def wait(self) -> None:
        self._called("wait")
        process = self.process
        if self.knobs.runs_for is not None and not process.ended.is_set():
            await self.executor.clock.sleep(self.knobs.runs_for)
            process.end(self.knobs.exits_with)
        await process.ended.wait()
        if process.exit_code:
            raise ExitError(process.exit_code)

    async def shutdown(self) -> None:
        self._called("shutdown")
        _fail(self.knobs.shutdown_fails)
        if self.knobs.ignores_stop:
            await self.process.ended.wait()
        self.process.end(143)

    async def terminate(self) -> None:
        self._called("terminate")
        self.process.end(137)

    async def remove(self) -> None:
        self._called("remove")
        _fail(self.knobs.remove_fails)
        gone = self.executor.processes.pop(self.task.id, None)
        if gone is not None:
            gone.end(137)

    async def close(self) -> None:
        self._called("close")

    async def container_status(self) -> api.ContainerStatus:
        process = self.executor.processes.get(self.task.id)
        if process is None:
            return api.ContainerStatus()
        return api.ContainerStatus(
            container_id=self.task.id, pid=1000, exit_code=process.exit_code or 0
        )

    async def logs(self, options: api.LogSubscriptionOptions) -> AsyncIterator[api.LogMessage]:
        for line in ():
            yield line

    def _called(self, call: str) -> None:
        self.executor.calls[call, self.task.id] += 1

    def _beginning(self) -> "_Beginning":
        return _Beginning(self.executor)


class _Beginning:
    """Counts how many tasks are prepared or started at the same time."""

    def __init__(self, executor: FakeExecutor) -> None:
        self._executor = executor

    async def __aenter__(self) -> None:
        self._executor.beginning += 1
        self._executor.most_beginning = max(self._executor.most_beginning, self._executor.beginning)

    async def __aexit__(self, *_: object) -> None:
        self._executor.beginning -= 1


def _fail(failure: BaseException | None) -> None:
    if failure is not None:
        raise failure
