"""Replicated services: as many slots filled as the spec says, each with one task."""

from collections.abc import Mapping, Sequence
from functools import partial
from random import Random
from typing import Any

from swarmd import api, ids
from swarmd.api import nodes, services, tasks
from swarmd.clock import Clock
from swarmd.store import Created, Deleted, Event, ReadTx, Select, Store, Updated, WriteTx, by
from swarmd.turns import in_turns
from workers.manager.orchestrators import new_task, news, recovery, restart_policy, restarts, slots
from workers.manager.orchestrators.loop import Change, Loop, the_cluster
from workers.manager.orchestrators.removals import remove
from workers.manager.orchestrators.slots import Slot
from workers.manager.orchestrators.updater import Updater


class Replicated(Loop):
    """Fills missing slots, empties surplus ones, and replaces what ended or lost its node."""

    def __init__(self, store: Store, clock: Clock, random: Random, updater: Updater) -> None:
        super().__init__(store, clock, random)
        self._updater = updater
        self._to_restart: dict[str, None] = {}
        self._to_reconcile: dict[str, None] = {}

    def selects(self) -> Sequence[Select[Any]]:
        return (
            Select(api.Service, where=news.is_service_news),
            Select(api.Task, where=self._matters),
            Select(api.Node, where=_loses_tasks),
        )

    async def look(self) -> None:
        tx = self.store.view()
        unfinished = await recovery.unfinished(tx, services.is_replicated)
        self._to_restart.update(dict.fromkeys(task.id for task in unfinished))
        mine = [service.id for service in tx.services.find() if services.is_replicated(service)]
        self._to_reconcile.update(dict.fromkeys(mine))

    def note(self, event: Event) -> None:
        if not isinstance(event, Created | Updated | Deleted):
            return
        one = event.object
        if isinstance(one, api.Service):
            self._to_reconcile[one.id] = None
        elif isinstance(one, api.Node):
            self._note_node(self.store.view(), one.id)
        elif isinstance(event, Deleted):
            self._to_reconcile[one.service_id] = None
        elif recovery.needs_restart(self.store.view(), one):
            self._to_restart[one.id] = None

    async def act(self) -> None:
        await self._restart()
        to_reconcile, self._to_reconcile = self._to_reconcile, {}
        async for service_id in in_turns(to_reconcile, 1):
            await self._reconcile(service_id)

    async def _restart(self) -> None:
        to_restart, self._to_restart = self._to_restart, {}
        if to_restart:
            now = self.clock.now()
            change = partial(restart_replicated, now=now, random=self.random)
            await self.commit([partial(change, task_id=task_id) for task_id in to_restart])

    async def _reconcile(self, service_id: str) -> None:
        tx = self.store.view()
        service = tx.services.get(service_id)
        if service is not None and not services.is_replicated(service):
            return
        if service is not None:
            await self.commit(plan(tx, service, self.clock.now(), self.random))
        self._updater.request(service_id)

    def _note_node(self, tx: ReadTx, node_id: str) -> None:
        for task in tx.tasks.find(by.node(node_id)):
            if recovery.needs_restart(tx, task):
                self._to_restart[task.id] = None

    def _matters(self, event: Any) -> bool:
        if isinstance(event, Deleted):
            return tasks.is_wanted(event.object)
        return news.may_need_restart(event)


def plan(tx: ReadTx, service: api.Service, now: float, random: Random) -> list[Change]:
    """What fills the slots that are missing and empties those that are too many."""
    grouped = slots.by_number(tx.tasks.find(by.service(service.id)))
    filled, dead = _sort(grouped, service)
    replicas = service.spec.replicated.replicas
    missing = slots.free_numbers(filled, max(0, replicas - len(filled)))
    # The new task continues the slot, and its history.
    continued = {number: dead.pop(number, []) for number in missing}
    changes = _add(tx, service, continued, now, random)
    for slot in slots.surplus(list(filled.values()), replicas):
        # Its past goes too: an ended task that is not restarted would fill the slot again.
        changes += [partial(remove, task_id=task.id) for task in grouped[slot[0].slot]]
    for slot in dead.values():
        changes += [partial(forget, task_id=task.id) for task in slot]
    return changes


def restart_replicated(tx: WriteTx, task_id: str, now: float, random: Random) -> Any:
    """Restart the task if a replicated service has it."""
    task = tx.tasks.get(task_id)
    if task is None or not services.is_replicated(tx.services.get(task.service_id)):
        return None
    return restarts.restart(tx, task_id, now, random)


def forget(tx: WriteTx, task_id: str) -> None:
    """Delete what is left of a slot that is no more; first it must have stopped."""
    task = tx.tasks.get(task_id)
    if task is None:
        return
    if tasks.is_terminal(task) or task.status.state < api.TaskState.ASSIGNED:
        tx.tasks.delete(task_id)
    else:
        remove(tx, task_id)


def _loses_tasks(event: Any) -> bool:
    return isinstance(event, Deleted) or not nodes.can_keep_tasks(event.object)


def _sort(
    grouped: dict[int, Slot], service: api.Service
) -> tuple[dict[int, Slot], dict[int, Slot]]:
    filled: dict[int, Slot] = {}
    dead: dict[int, Slot] = {}
    for number, slot in grouped.items():
        filling = restart_policy.filling(slot, service)
        if filling:
            filled[number] = filling
        else:
            dead[number] = slot
    return filled, dead


def _add(
    tx: ReadTx, service: api.Service, missing: Mapping[int, Slot], now: float, random: Random
) -> list[Change]:
    if not missing:
        return []
    template = new_task.template(service, the_cluster(tx), now)
    return [
        partial(
            new_task.create,
            template=template,
            task_id=ids.new_id(random),
            slot=number,
            waits=restarts.any_stops_still(tx, before),
        )
        for number, before in missing.items()
    ]
