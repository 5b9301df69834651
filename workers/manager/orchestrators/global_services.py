"""Global services: one task on each node that meets the constraints and may have tasks."""

from collections.abc import Collection, Sequence
from functools import partial
from random import Random
from typing import Any

from swarmd import api, ids
from swarmd.api import nodes, services, tasks
from swarmd.clock import Clock
from swarmd.store import Created, Deleted, Event, ReadTx, Select, Store, Updated, WriteTx, by
from swarmd.turns import in_turns
from workers.manager.orchestrators import (
    fit,
    new_task,
    news,
    recovery,
    restart_policy,
    restarts,
    slots,
    updater,
)
from workers.manager.orchestrators.dirty import is_dirty
from workers.manager.orchestrators.loop import Change, Loop, the_cluster
from workers.manager.orchestrators.slots import Slot


class GlobalServices(Loop):
    """Gives each node what it lacks, shuts down what it may not have, replaces what ended."""

    def __init__(
        self, store: Store, clock: Clock, random: Random, updates: updater.Updater
    ) -> None:
        super().__init__(store, clock, random)
        self._updates = updates
        self._to_restart: dict[str, None] = {}
        self._services: dict[str, None] = {}  # to look at on all nodes
        self._nodes: dict[str, None] = {}  # to look at for all services
        self._gone: dict[str, None] = {}  # tasks of nodes that were removed

    def selects(self) -> Sequence[Select[Any]]:
        return (
            Select(api.Service, where=news.is_service_news),
            Select(api.Task, where=self._matters),
            Select(api.Node, where=news.is_node_news),
        )

    async def look(self) -> None:
        tx = self.store.view()
        unfinished = await recovery.unfinished(tx, services.is_global)
        self._to_restart.update(dict.fromkeys(task.id for task in unfinished))
        mine = [service.id for service in tx.services.find() if services.is_global(service)]
        self._services.update(dict.fromkeys(mine))

    def note(self, event: Event) -> None:
        if not isinstance(event, Created | Updated | Deleted):
            return
        one = event.object
        if isinstance(one, api.Service):
            self._services[one.id] = None
        elif isinstance(one, api.Task) and isinstance(event, Deleted):
            self._services[one.service_id] = None
        elif isinstance(one, api.Task):
            self._to_restart[one.id] = None
        elif isinstance(event, Deleted):
            left = self.store.view().tasks.find(by.node(one.id))
            self._gone.update(dict.fromkeys(task.id for task in left))
        else:
            self._nodes[one.id] = None

    async def act(self) -> None:
        noted = (self._to_restart, self._services, self._nodes, self._gone)
        self._to_restart, self._services, self._nodes, self._gone = {}, {}, {}, {}
        to_restart, all_services, all_nodes, gone = noted
        await self.commit([partial(delete, task_id=task_id) for task_id in gone])
        change = partial(restart_global, now=self.clock.now(), random=self.random)
        await self.commit([partial(change, task_id=task_id) for task_id in to_restart])
        await self._reconcile_nodes(all_nodes)
        async for service_id in in_turns(all_services, 1):
            await self._reconcile(service_id)

    async def _reconcile(self, service_id: str) -> None:
        tx = self.store.view()
        service = tx.services.get(service_id)
        if service is not None and not services.is_global(service):
            return
        if service is not None:
            await self.commit(plan_service(tx, service, self.clock.now(), self.random))
        self._updates.request(service_id)

    async def _reconcile_nodes(self, node_ids: Collection[str]) -> None:
        if not node_ids:
            return  # every service is looked at below
        tx = self.store.view()
        found = [service for service in tx.services.find() if services.is_global(service)]
        changes: list[Change] = []
        for node in filter(None, map(tx.nodes.get, node_ids)):
            changes += plan_node(tx, node, found, self.clock.now(), self.random)
        await self.commit(changes)

    def _matters(self, event: Any) -> bool:
        if isinstance(event, Deleted):
            return tasks.is_wanted(event.object)
        return news.may_need_restart(event)


def plan_service(tx: ReadTx, service: api.Service, now: float, random: Random) -> list[Change]:
    """What this service needs on every node; what is there but outdated, the updater replaces."""
    grouped = slots.by_node(tx.tasks.find(by.service(service.id)))
    template = new_task.template(service, the_cluster(tx), now)
    changes: list[Change] = []
    for node in tx.nodes.find():
        there = grouped.pop(node.id, [])
        slot = restart_policy.filling(there, service)
        if not nodes.can_keep_tasks(node) or not fit.satisfies(service.spec.task, node):
            changes += _shut_down(slot)
        elif not slot and not nodes.is_paused(node):
            changes.append(_add(tx, template, node, there, random))
    for left in grouped.values():
        changes += _shut_down(left)
    return changes


def plan_node(
    tx: ReadTx, node: api.Node, found: Collection[api.Service], now: float, random: Random
) -> list[Change]:
    """What the node needs of these services.

    What is outdated there is replaced at once: this is no rolling update, and tells of none. What
    it no longer may have by its labels, the constraint enforcer rejects.
    """
    there = tx.tasks.find(by.node(node.id))
    changes: list[Change] = []
    for service in found:
        slot = [task for task in there if task.service_id == service.id]
        if not nodes.can_keep_tasks(node):
            changes += _shut_down(slot)
        elif fit.takes_updates(service.spec.task, node):
            clean, superseded = _sort(restart_policy.filling(slot, service), service, node)
            changes += _shut_down(superseded)
            if not clean:
                template = new_task.template(service, the_cluster(tx), now)
                add = _add(tx, template, node, slot, random)
                known = frozenset(task.id for task in slot)
                changes.append(partial(succeed, add=add, template=template, node=node, known=known))
    return changes


def succeed(
    tx: WriteTx, add: Change, template: api.Task, node: api.Node, known: Collection[str]
) -> Any:
    """Add the task, unless the updater put one of its own there meanwhile."""
    there = tx.tasks.find(by.node(node.id))
    mine = [task for task in there if task.service_id == template.service_id]
    if any(tasks.is_wanted(task) and task.id not in known for task in mine):
        return None
    return add(tx)


def restart_global(tx: WriteTx, task_id: str, now: float, random: Random) -> api.Task | None:
    """Restart the task of a global service; on a node that may not have it, shut it down."""
    task = tx.tasks.get(task_id)
    service = tx.services.get(task.service_id) if task is not None else None
    if task is None or service is None or not services.is_global(service):
        return None
    if not recovery.needs_restart(tx, task):
        return None
    if not fit.takes_updates(service.spec.task, tx.nodes.get(task.node_id)):
        return updater.shut_down(tx, task_id)
    return restarts.restart(tx, task_id, now, random)


def delete(tx: WriteTx, task_id: str) -> None:
    """Forget a global service's task: its node is gone, and no other can have it."""
    task = tx.tasks.get(task_id)
    if task is not None and services.is_global(tx.services.get(task.service_id)):
        tx.tasks.delete(task_id)


def _sort(filling: Slot, service: api.Service, node: api.Node) -> tuple[Slot, Slot]:
    """The task that may stay, if any, and those that it, or a new one, supersedes."""
    dirty = [task for task in filling if is_dirty(service, task, node)]
    clean = [task for task in filling if task not in dirty]
    return clean[:1], dirty + clean[1:]


def _add(tx: ReadTx, template: api.Task, node: api.Node, before: Slot, random: Random) -> Change:
    """A task for the node, which waits for those that were there before it."""
    return partial(
        new_task.create,
        template=template,
        task_id=ids.new_id(random),
        node_id=node.id,
        waits=restarts.any_stops_still(tx, before),
    )


def _shut_down(slot: Collection[api.Task]) -> list[Change]:
    return [partial(updater.shut_down, task_id=task.id) for task in slot if tasks.is_wanted(task)]
