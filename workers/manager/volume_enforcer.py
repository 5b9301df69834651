"""Moves tasks off volumes that are drained.

As the constraint enforcer, it writes what was observed, REJECTED, and leaves the rest to the
orchestrators; a paused volume's tasks stay.
"""

from functools import partial
from random import Random
from typing import Any, Final

from swarmd import api
from swarmd.api import times
from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger
from swarmd.store import ReadTx, Select, Store, Updated, Watcher, WatchOverflowError, WriteTx, by

log = get_logger(__name__)
MESSAGE: Final = "task rejected by volume enforcer"
REASON: Final = "attached to volume which is being drained"


class VolumeEnforcer:
    """Rejects the tasks of each volume that is drained."""

    def __init__(self, store: Store, clock: Clock, random: Random) -> None:
        self._store = store
        self._clock = clock
        self._backoff = Backoff(0.1, 10.0, random)

    async def run(self) -> None:
        """Keep drained volumes free of tasks, until cancelled."""
        while True:
            try:
                # A task may be given its volume in the moment in which that is drained.
                tasks = Select(api.Task, {Updated}, _was_attached)
                async with self._store.watch(Select(api.Volume, {Updated}), tasks) as watcher:
                    await self._follow(watcher)
            except WatchOverflowError:
                log.warning("too many volume changes at once: looking at all volumes again")

    async def _follow(self, watcher: Watcher) -> None:
        await self._enforce()
        async for _ in watcher:
            await self._enforce()

    async def _enforce(self) -> None:
        while refused := await self._reject():
            seconds = self._backoff.next()
            told = fields(reason=refused[0], retry_seconds=seconds)
            log.warning("tasks of drained volumes could not be rejected", extra=told)
            await self._clock.sleep(seconds)
        self._backoff.reset()

    async def _reject(self) -> list[SwarmError]:
        now = self._clock.now()
        changes = [
            partial(reject, task_id=each, now=now) for each in on_drained(self._store.view())
        ]
        if not changes:
            return []
        log.info("rejecting tasks of drained volumes", extra=fields(tasks=len(changes)))
        results = await self._store.batch(changes)
        return [result for result in results if isinstance(result, SwarmError)]


def on_drained(tx: ReadTx) -> list[str]:
    """The ids of tasks that have a drained volume, and are wanted still."""
    drain = api.VolumeSpec.VolumeAvailability.DRAIN
    drained = [one for one in tx.volumes.find() if one.spec.availability == drain]
    tasks = [task for one in drained for task in tx.tasks.find(by.attached_volume(one.id))]
    return list(dict.fromkeys(task.id for task in tasks if _counts(task)))


def reject(tx: WriteTx, task_id: str, now: float) -> None:
    """Say that the task could not stay, unless it ended, or nobody wants it any more."""
    task = tx.tasks.get(task_id)
    if task is None or not _counts(task):
        return
    own = tx.tasks.copy(task_id)
    own.status.state = api.TaskState.REJECTED
    own.status.message = MESSAGE
    own.status.err = REASON
    own.status.timestamp.CopyFrom(times.timestamp(now))
    own.status.ClearField("applied_at")  # it told of the state before
    tx.tasks.update(own)


def _counts(task: api.Task) -> bool:
    wanted = task.desired_state <= api.TaskState.COMPLETE
    return wanted and task.status.state < api.TaskState.COMPLETE


def _was_attached(event: Any) -> bool:
    return bool(event.object.volumes) and not event.old.volumes
