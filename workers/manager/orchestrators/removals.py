"""Tasks whose service was removed are told to go; the reaper forgets them once they have."""

from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Any

from swarmd import api
from swarmd.clock import Clock
from swarmd.store import Deleted, Event, Select, Store, WriteTx, by
from workers.manager.orchestrators import recovery
from workers.manager.orchestrators.loop import Loop


class Removals(Loop):
    """Sets the desired state REMOVE, whatever the mode of the service was."""

    def __init__(self, store: Store, clock: Clock, random: Random) -> None:
        super().__init__(store, clock, random)
        self._to_remove: dict[str, None] = {}

    def selects(self) -> Sequence[Select[Any]]:
        return (Select(api.Service, actions={Deleted}),)

    async def look(self) -> None:
        abandoned = await recovery.abandoned(self.store.view())
        self._to_remove.update(dict.fromkeys(task.id for task in abandoned))

    def note(self, event: Event) -> None:
        if isinstance(event, Deleted):
            left = self.store.view().tasks.find(by.service(event.object.id))
            self._to_remove.update(dict.fromkeys(task.id for task in left))

    async def act(self) -> None:
        to_remove, self._to_remove = self._to_remove, {}
        await self.commit([partial(remove, task_id=task_id) for task_id in to_remove])


def remove(tx: WriteTx, task_id: str) -> api.Task | None:
    """Its agent is to stop and remove it; None where that was asked already."""
    task = tx.tasks.get(task_id)
    if task is None or task.desired_state >= api.TaskState.REMOVE:
        return None
    own = tx.tasks.copy(task_id)
    own.desired_state = api.TaskState.REMOVE
    return tx.tasks.update(own)
