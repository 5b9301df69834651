"""The tasks of this node: adopt, start, update, forget; one task manager each.

A task that is no longer assigned is marked so on disk first, then shut down and removed, then
forgotten: an agent that dies in between carries on with that.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Collection
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Final

from swarmd import api
from swarmd.clock import Clock
from swarmd.csi.driver import Drivers
from swarmd.logs import fields, get_logger
from workers.agent import task_steps
from workers.agent.assignments import changes
from workers.agent.csi.volume_set import VolumeSet, uses
from workers.agent.dependencies import DependencySet
from workers.agent.executors import Controller, Dependencies
from workers.agent.executors.choose import Engines
from workers.agent.reporter import Reporter
from workers.agent.statuses import Statuses
from workers.agent.task_db import TaskDb
from workers.agent.task_file import Record
from workers.agent.task_manager import TaskManager
from workers.agent.task_steps import Call
from workers.agent.turns import Turns

log = get_logger(__name__)

_MOST_BEGINNINGS: Final = 64
_TURN_SECONDS: Final = 5.0


class TaskSet:
    """Every task of this node. Its managers run in `run`, which ends when cancelled.

    Each task has a directory of its own below `directory`.
    """

    def __init__(
        self,
        *,
        engines: Engines,
        db: TaskDb,
        reporter: Reporter,
        directory: Path,
        clock: Clock,
        random: Random,
        volumes: VolumeSet | None = None,
    ) -> None:
        """Without `volumes`, this node has no plugin that mounts some."""
        self._engines = engines
        self._db = db
        self._reporter = reporter
        self._directory = directory
        self._clock = clock
        self._random = random
        self._statuses = Statuses(db, reporter)
        self._turns = Turns(_MOST_BEGINNINGS, _TURN_SECONDS, clock)
        self._dependencies = DependencySet()
        no_plugins = VolumeSet(Drivers(()), directory.parent / "csi", clock, random)
        self.volumes = no_plugins if volumes is None else volumes
        self._managers: dict[str, TaskManager] = {}
        self._leaving: dict[str, TaskManager] = {}
        self._again: dict[str, api.Task] = {}  # assigned again while they leave
        self._one_more = asyncio.Event()  # another one each time it was set
        self._group = asyncio.TaskGroup()

    async def run(self) -> None:
        """Take up what an earlier agent left, then look after all tasks until cancelled."""
        async with self._group:
            self._group.create_task(self._statuses.run())
            self.volumes.start(
                self._group,
                in_use=self._use_volume,
                changed=self._retry_with_volume,
                secret=self._dependencies.secrets.get,
            )
            self._adopt(self._db.records)
            await asyncio.Event().wait()

    def take(self, message: api.AssignmentsMessage) -> None:
        """Do what a dispatcher's message says; call while `run` runs."""
        found = changes(
            message,
            tasks=self._managers,
            secrets=self._dependencies.secrets,
            configs=self._dependencies.configs,
        )
        self._dependencies.apply(found)
        self.volumes.take(found.volumes)
        for task in found.tasks.changed.values():
            self._assign(task)
        for task_id in found.tasks.dropped:
            self._drop(task_id)

    def states(self) -> Counter[int]:
        """How many tasks are in each state."""
        return Counter(manager.status.state for manager in self._managers.values())

    def assigned(self) -> list[api.Task]:
        """The tasks that are assigned now."""
        return [manager.task for manager in self._managers.values()]

    async def wait_assigned(self) -> None:
        """Return when one more is assigned."""
        await self._one_more.wait()

    async def output(
        self, task_id: str, options: api.LogSubscriptionOptions
    ) -> AsyncGenerator[api.LogMessage, None]:
        """What a task printed; one that is followed is waited for. Nothing for a stranger."""
        manager = self._managers.get(task_id)
        if manager is None:
            return
        if options.follow:
            await manager.wait_prepared()
        controller = self._controller(manager.task, Call.WAIT)
        try:
            async for message in controller.logs(options):
                yield message
        finally:
            await controller.close()

    def _adopt(self, records: Collection[Record]) -> None:
        self._engines.adopt([record.task.id for record in records])
        for record in records:
            if record.assigned:
                self._reporter.update(record.task.id, record.task.status)
                self._managers[record.task.id] = self._start(record.task)
            else:
                self._leave(self._start(record.task))
        if self._managers or self._leaving:
            log.info(
                "tasks adopted",
                extra=fields(assigned=len(self._managers), to_remove=len(self._leaving)),
            )

    def _assign(self, task: api.Task) -> None:
        if task.id in self._leaving:
            self._again[task.id] = task
            return
        self._db.put(task)
        manager = self._managers.get(task.id)
        if manager is not None:
            manager.update(task)
        else:
            self._db.put_status(task.id, task.status)
            self._managers[task.id] = self._start(task)

    def _drop(self, task_id: str) -> None:
        self._again.pop(task_id, None)
        manager = self._managers.pop(task_id, None)
        if manager is not None:
            self._db.unassign(task_id)
            self._statuses.forget(task_id)
            self._leave(manager)

    def _leave(self, manager: TaskManager) -> None:
        self._leaving[manager.task.id] = manager
        manager.leave()

    def _start(self, task: api.Task) -> TaskManager:
        manager = TaskManager(
            task,
            resolve=self._controller,
            statuses=self._statuses,
            turns=self._turns,
            clock=self._clock,
            random=self._random,
        )
        self._group.create_task(self._look_after(manager))
        self._one_more.set()
        self._one_more = asyncio.Event()
        return manager

    async def _look_after(self, manager: TaskManager) -> None:
        await manager.run()
        task_id = manager.task.id
        del self._leaving[task_id]
        self._db.forget(task_id)
        again = self._again.pop(task_id, None)
        if again is not None:
            self._assign(again)

    def _use_volume(self, volume_id: str) -> bool:
        """Whether a task of this node has it and has not ended, assigned or not any more."""
        live = (
            manager.task
            for manager in (*self._managers.values(), *self._leaving.values())
            if not task_steps.has_ended(manager.status.state)
        )
        return bool(uses(live, volume_id))

    def _retry_with_volume(self, volume_id: str) -> None:
        for task in uses(self.assigned(), volume_id):
            self._managers[task.id].retry()

    def _controller(self, task: api.Task, call: Call) -> Controller:
        """Only a task that is yet to be prepared needs what it depends on."""
        needed = call is Call.PREPARE
        dependencies = Dependencies()
        if needed:
            dependencies = replace(self._dependencies.of(task), volumes=self.volumes.of(task))
        return self._engines.controller(task, dependencies, self._directory / task.id)
