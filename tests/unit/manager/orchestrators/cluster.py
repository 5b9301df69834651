"""A store, the orchestrators and an agent made of paper, under a clock that stands still."""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from random import Random
from typing import Any, Self

from swarmd import api
from swarmd.api import services, tasks, times
from swarmd.store import MemoryBackend, Store, WriteTx, by
from tests import builders, stored
from tests.fakes.clock import FakeClock
from workers.manager.orchestrators.orchestrator import Orchestrator

State = api.TaskState
Behaviour = Callable[[api.Task], int]


def runs(task: api.Task) -> int:
    """The behaviour of a task that comes up and stays up."""
    return State.RUNNING


class Cluster(AbstractAsyncContextManager["Cluster"]):
    """`settle` lets everything happen that happens without time; `advance` lets time pass.

    The paper agent brings each task at once to what is desired of it, and where it wants to run,
    to the state that `behaviour` says; tasks in `stubborn` do not stop.
    """

    def __init__(self, *, agent: bool = True) -> None:
        self.clock = FakeClock()
        self.store = Store(MemoryBackend(), self.clock)
        self.behaviour: Behaviour = runs
        self.stubborn: set[str] = set()
        self.most_running: dict[Any, int] = {}
        self._agent = agent
        self._seeds = itertools.count()
        self._leader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.store.__aenter__()
        await self.create(builders.cluster())
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()
        await self.store.__aexit__(None, None, None)

    async def lead(self) -> None:
        """A (new) leader begins."""
        await self.stop()
        orchestrator = Orchestrator(self.store, self.clock, Random(next(self._seeds)))
        self._leader = asyncio.create_task(orchestrator.run())
        await self.settle()

    async def stop(self) -> None:
        if self._leader is not None:
            leader, self._leader = self._leader, None
            leader.cancel()
            await asyncio.gather(leader, return_exceptions=True)

    async def create(self, *objects: Any) -> None:
        await stored.add(self.store, *objects)

    async def change(self, one: Any, edit: Callable[[Any], None]) -> Any:
        changed = await stored.edit(self.store, one, edit)
        await self.settle()
        return changed

    async def delete(self, one: Any) -> None:
        await self.store.update(lambda tx: stored.table(tx, one).delete(one.id))
        await self.settle()

    async def report(self, task: api.Task, state: int, seconds_ago: float = 0) -> None:
        """The agent tells that state."""

        def edit(own: api.Task) -> None:
            own.status.state = state
            own.status.applied_at.CopyFrom(times.timestamp(self.clock.now() - seconds_ago))

        await self.change(task, edit)

    async def update(self, service: api.Service, edit: Callable[[Any], None]) -> api.Service:
        """What the control API does for UpdateService."""

        def changed(own: api.Service) -> None:
            own.previous_spec.CopyFrom(own.spec)
            own.previous_spec_version.CopyFrom(own.spec_version)
            own.ClearField("update_status")
            edit(own.spec)
            own.spec_version.index = self.store.version + 1
            if services.is_job(own):
                own.job_status.job_iteration.index += 1

        return await self.change(service, changed)

    async def settle(self) -> None:
        """Return once nothing happens any more without the clock."""
        quiet, version = 0, -1
        while quiet < 8:
            for _ in range(6):
                await asyncio.sleep(0)
            self._fail_with_leader()
            if self._agent and await self._act_as_agent():
                continue
            quiet = quiet + 1 if version == self.store.version else 0
            version = self.store.version

    async def advance(self, seconds: float) -> None:
        """Let that much time pass, stopping at each moment at which somebody wakes."""
        ends = self.clock.monotonic() + seconds
        while True:
            await self.settle()
            due = self.clock.next_deadline
            if due is None or due > ends:
                break
            self.clock.advance(seconds=max(0.0, due - self.clock.monotonic()))
        self.clock.advance(seconds=max(0.0, ends - self.clock.monotonic()))
        await self.settle()

    def tasks(self, service: api.Service) -> list[api.Task]:
        """All of its tasks, by slot and age."""
        found = self.store.view().tasks.find(by.service(service.id))
        return sorted(found, key=lambda task: (task.slot, task.node_id, tasks.created(task)))

    def wanted(self, service: api.Service) -> list[api.Task]:
        return [task for task in self.tasks(service) if tasks.is_wanted_job(task)]

    def running(self, service: api.Service) -> list[api.Task]:
        return [task for task in self.tasks(service) if tasks.is_running(task)]

    def get(self, one: Any) -> Any:
        return stored.table(self.store.view(), one).get(one.id)

    def _fail_with_leader(self) -> None:
        if self._leader is not None and self._leader.done():
            self._leader.result()

    async def _act_as_agent(self) -> bool:
        moves = {}
        for task in self.store.view().tasks.find():
            state = self._next_state(task)
            if state != task.status.state:
                moves[task.id] = state
        for task_id, state in moves.items():
            await self.store.update(self._move(task_id, state))
        self._count_running()
        return bool(moves)

    def _next_state(self, task: api.Task) -> int:
        if tasks.is_terminal(task):
            return task.status.state
        if not tasks.is_wanted_job(task):
            held = task.id in self.stubborn
            assigned = task.status.state >= State.ASSIGNED
            return task.status.state if held or not assigned else State.SHUTDOWN
        if task.desired_state == State.READY:
            return max(task.status.state, State.READY)
        return self.behaviour(task)

    def _move(self, task_id: str, state: int) -> Callable[[WriteTx], Any]:
        def change(tx: WriteTx) -> Any:
            own = tx.tasks.copy(task_id)
            own.status.state = state
            own.status.applied_at.CopyFrom(times.timestamp(self.clock.now()))
            if not own.node_id and state >= State.ASSIGNED:
                ready = [node.id for node in tx.nodes.find() if node.spec.availability == 0]
                own.node_id = sorted(ready)[own.slot % len(ready)] if ready else ""
            return tx.tasks.update(own)

        return change

    def _count_running(self) -> None:
        now: dict[Any, int] = {}
        for task in self.store.view().tasks.find(by.task_state(State.RUNNING)):
            key = (task.service_id, task.slot, "" if task.slot else task.node_id)
            now[key] = now.get(key, 0) + 1
        for key, count in now.items():
            self.most_running[key] = max(count, self.most_running.get(key, 0))
