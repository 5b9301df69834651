"""Forgets old tasks: each slot keeps a few that ended, for people to see and for restarts.

A slot is looked at when a task is put into it, as then one ended most often. Besides, tasks that
are to be removed go once nothing of them runs, and orphans of no service at once.
"""

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice
from random import Random
from typing import Any, Final

from swarmd import api
from swarmd.api import defaults, services, tasks
from swarmd.backoff import Backoff
from swarmd.clock import Clock, wait_event
from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger
from swarmd.store import (
    Created,
    Deleted,
    Event,
    ReadTx,
    Select,
    Store,
    Updated,
    WatchOverflowError,
    WriteTx,
    by,
)
from swarmd.turns import in_turns

log = get_logger(__name__)
MOST_DIRTY: Final = 1000
SWEEP_SECONDS: Final = 0.25

Slot = tuple[str, int, str]  # service, number, and for one task on each node, the node


class Reaper:
    """Gathers for a moment what may be forgotten, then forgets all of it together."""

    def __init__(self, store: Store, clock: Clock, random: Random) -> None:
        self._store = store
        self._clock = clock
        self._backoff = Backoff(SWEEP_SECONDS, 10.0, random)
        self._dirty: dict[Slot, None] = {}
        self._dead: dict[str, None] = {}
        self._some = asyncio.Event()
        self._many = asyncio.Event()

    async def run(self) -> None:
        """Keep the history short, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sweep_for_ever())
            while True:
                try:
                    await self._gather()
                except WatchOverflowError:
                    log.warning("too many task changes at once: looking at all tasks again")

    async def _gather(self) -> None:
        async with self._store.watch(
            Select(api.Task, {Created, Updated}, _matters),
            Select(api.Cluster, {Created, Updated}, _changes_limit),
        ) as watcher:
            await self._look()
            async for events in watcher:
                for event in events:
                    await self._note(event)
                self._wake()

    async def _look(self) -> None:
        """A slot with one task, which has not ended, has no history."""
        seen: set[Slot] = set()
        async for task in in_turns(self._store.view().tasks.find()):
            slot = _slot(self._store.view(), task)
            self._note_task(
                task, new=slot in seen or tasks.is_terminal(task) or not tasks.is_wanted(task)
            )
            seen.add(slot)
        self._wake()

    async def _note(self, event: Event) -> None:
        if not isinstance(event, Created | Updated | Deleted):
            return
        if isinstance(event.object, api.Cluster):
            await self._look()
        else:
            self._note_task(event.object, new=isinstance(event, Created))

    def _note_task(self, task: api.Task, *, new: bool) -> None:
        if is_dead(task):
            self._dead[task.id] = None
        elif new and tasks.is_of_service(task):
            self._dirty[_slot(self._store.view(), task)] = None

    def _wake(self) -> None:
        count = len(self._dirty) + len(self._dead)
        if count:
            self._some.set()
        if count > MOST_DIRTY:
            self._many.set()

    async def _sweep_for_ever(self) -> None:
        while True:
            await self._some.wait()
            await wait_event(self._many, self._clock, SWEEP_SECONDS)
            self._some.clear()
            self._many.clear()
            await self._sweep()

    async def _sweep(self) -> None:
        dirty, self._dirty = self._dirty, {}
        dead, self._dead = self._dead, {}
        tx = self._store.view()
        async for slot in in_turns(dirty):
            surplus, unsettled = outlived(tx, slot)
            dead.update(dict.fromkeys(task.id for task in surplus))
            if unsettled:
                self._dirty[slot] = None  # looked at again with the next sweep
        results = await self._store.batch([partial(forget, task_id=one) for one in dead])
        await self._retry(dead, results)

    async def _retry(self, dead: Iterable[str], results: Sequence[SwarmError | None]) -> None:
        refused = dict(zip(dead, results, strict=True))
        again = {task_id: error for task_id, error in refused.items() if error is not None}
        if not again:
            self._backoff.reset()
            return
        seconds = self._backoff.next()
        told = fields(reason=next(iter(again.values())), retry_seconds=seconds)
        log.warning("tasks could not be forgotten", extra=told)
        await self._clock.sleep(seconds)
        self._dead.update(dict.fromkeys(again))
        self._wake()


def outlived(tx: ReadTx, slot: Slot) -> tuple[list[api.Task], bool]:
    """The slot's tasks beyond what its history keeps, the oldest; and: does more than one run?

    In that case it is to be looked at again, once some of them have stopped.
    """
    service = tx.services.get(slot[0])
    limit = history_limit(tx, service)
    if service is None or limit < 0:
        return [], False
    there = _tasks_of(tx, service, slot)
    if len(there) <= limit:
        return [], False
    ended = [task for task in there if tasks.is_terminal(task) or tasks.never_runs(task)]
    may_go = (task for task in sorted(ended, key=tasks.since) if not _is_outcome(service, task))
    return list(islice(may_go, len(there) - limit)), len(there) - len(ended) > 1


def history_limit(tx: ReadTx, service: api.Service | None) -> int:
    """How many tasks a slot keeps, the running one among them; below 0, all."""
    attempts = service.spec.task.restart.max_attempts if service is not None else 0
    if attempts:
        return int(attempts) + 1  # restarts are counted in the history
    found = tx.clusters.find(by.name(defaults.CLUSTER_NAME))
    if not found:
        return defaults.TASK_HISTORY
    limit = int(found[0].spec.orchestration.task_history_retention_limit)
    # A job knows from its last task in a slot that nothing more is to be done there.
    return 1 if limit == 0 and services.is_job(service) else limit


def is_dead(task: api.Task) -> bool:
    """It may be forgotten at once: removed and stopped, or an orphan that no service has."""
    orphan = task.status.state >= api.TaskState.ORPHANED and not tasks.is_of_service(task)
    return orphan or tasks.is_removable(task)


def forget(tx: WriteTx, task_id: str) -> None:
    """Delete it; it may be gone already."""
    if tx.tasks.get(task_id) is not None:
        tx.tasks.delete(task_id)


def _slot(tx: ReadTx, task: api.Task) -> Slot:
    per_node = services.is_per_node(tx.services.get(task.service_id))
    return task.service_id, task.slot, task.node_id if per_node else ""


def _tasks_of(tx: ReadTx, service: api.Service, slot: Slot) -> list[api.Task]:
    if not services.is_per_node(service):
        return tx.tasks.find(by.slot(service.id, slot[1]))
    return [task for task in tx.tasks.find(by.node(slot[2])) if task.service_id == service.id]


def _is_outcome(service: api.Service, task: api.Task) -> bool:
    """A job's completed task of this iteration is its result: without it, it would run again."""
    if not services.is_job(service):
        return False
    current = task.job_iteration.index == services.job_iteration(service)
    return current and task.status.state == api.TaskState.COMPLETE


def _matters(event: Any) -> bool:
    return isinstance(event, Created) or is_dead(event.object)


def _changes_limit(event: Any) -> bool:
    if isinstance(event, Created):
        return True
    new, old = event.object.spec.orchestration, event.old.spec.orchestration
    return bool(new != old)
