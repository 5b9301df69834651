"""Moves tasks off nodes that no longer fit: their labels or resources changed under them.

It writes what was observed, REJECTED, not what is desired: that is for the orchestrators, who
restart the task elsewhere by its policy. A drained node's tasks are theirs too, and a paused node
keeps what it has.
"""

from collections.abc import Iterable
from functools import partial
from random import Random
from typing import Any, Final

from swarmd import api
from swarmd.api import nodes, resources, tasks, times
from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger
from swarmd.store import ReadTx, Select, Store, Updated, Watcher, WatchOverflowError, WriteTx, by
from swarmd.turns import in_turns
from workers.manager import constraints

log = get_logger(__name__)
MESSAGE: Final = "task rejected by constraint enforcer"
REASON: Final = "assigned node no longer meets constraints"


class ConstraintEnforcer:
    """Looks at a node's tasks whenever the node's spec, role or description changed."""

    def __init__(self, store: Store, clock: Clock, random: Random) -> None:
        self._store = store
        self._clock = clock
        self._backoff = Backoff(0.1, 10.0, random)

    async def run(self) -> None:
        """Keep every node free of what does not fit, until cancelled."""
        while True:
            try:
                async with self._store.watch(Select(api.Node, {Updated}, _may_unfit)) as watcher:
                    await self._follow(watcher)
            except WatchOverflowError:
                log.warning("too many node changes at once: looking at all nodes again")

    async def _follow(self, watcher: Watcher) -> None:
        await self._enforce({node.id for node in self._store.view().nodes.find()})
        async for events in watcher:
            await self._enforce({event.object.id for event in events if isinstance(event, Updated)})

    async def _enforce(self, node_ids: set[str]) -> None:
        refused = await self._reject(node_ids)
        while refused:
            seconds = self._backoff.next()
            told = fields(reason=refused[0], retry_seconds=seconds)
            log.warning("tasks could not be rejected", extra=told)
            await self._clock.sleep(seconds)
            refused = await self._reject(node_ids)
        self._backoff.reset()

    async def _reject(self, node_ids: set[str]) -> list[SwarmError]:
        tx, refused = self._store.view(), list[SwarmError]()
        async for node_id in in_turns(node_ids, 1):
            node = tx.nodes.get(node_id)
            unfit = unfit_tasks(tx, node) if node is not None else []
            now = self._clock.now()
            changes = [partial(reject, task_id=task.id, now=now) for task in unfit]
            if unfit:
                told = fields(node=node_id, tasks=len(unfit))
                log.info("rejecting tasks that no longer fit", extra=told)
            results = await self._store.batch(changes) if changes else []
            refused += [result for result in results if isinstance(result, SwarmError)]
        return refused


def unfit_tasks(tx: ReadTx, node: api.Node) -> list[api.Task]:
    """The node's tasks that may not stay; where resources lack, the newest of them.

    One that is bound to the node, and waits for room there, takes none from those that run.
    """
    if not nodes.is_active(node):
        return []
    room = _Room(node.description.resources)
    there = [task for task in tx.tasks.find(by.node(node.id)) if _counts(task)]
    return [
        task
        for task in sorted(there, key=tasks.created)
        if not _meets(tx, task, node)
        or (task.status.state >= api.TaskState.ASSIGNED and not room.take(task))
    ]


def reject(tx: WriteTx, task_id: str, now: float) -> api.Task | None:
    """Say that the task could not stay; None if it ended, or nobody wants it any more."""
    task = tx.tasks.get(task_id)
    if task is None or not _counts(task):
        return None
    own = tx.tasks.copy(task_id)
    own.status.state = api.TaskState.REJECTED
    own.status.message = MESSAGE
    own.status.err = REASON
    own.status.timestamp.CopyFrom(times.timestamp(now))
    own.status.ClearField("applied_at")  # it told of the state before
    return tx.tasks.update(own)


class _Room:
    """What a node has, less what its tasks take, one after another."""

    def __init__(self, offered: api.Resources) -> None:
        self._cpus = offered.nano_cpus
        self._memory = offered.memory_bytes
        self._pool = resources.GenericPool(offered.generic)
        self._names = {_name(one) for one in offered.generic}

    def take(self, task: api.Task) -> bool:
        """Whether the task fits into what is left; if so, it takes its share."""
        asked, assigned = task.spec.resources.reservations, task.assigned_generic_resources
        if asked.nano_cpus > self._cpus or asked.memory_bytes > self._memory:
            return False
        if not self._has(assigned):
            return False
        self._cpus -= asked.nano_cpus
        self._memory -= asked.memory_bytes
        self._pool.take(assigned)
        return True

    def _has(self, assigned: Iterable[api.GenericResource]) -> bool:
        counts = resources.wanted(assigned)
        named = [one for one in assigned if one.HasField("named_resource_spec")]
        return self._pool.fits(counts) and all(_name(one) in self._names for one in named)


def _name(resource: api.GenericResource) -> tuple[str, str]:
    return resource.named_resource_spec.kind, resource.named_resource_spec.value


def _counts(task: api.Task) -> bool:
    """It is still to run there: what has ended, or is told to, is no concern."""
    wanted = api.TaskState.ASSIGNED <= task.desired_state <= api.TaskState.COMPLETE
    return wanted and task.status.state < api.TaskState.COMPLETE


def _meets(tx: ReadTx, task: api.Task, node: api.Node) -> bool:
    # The service's constraints of today: an update that changes nothing but them leaves a task
    # where it is if its node meets them, with the old ones in its spec.
    service = tx.services.get(task.service_id)
    spec = task.spec if service is None else service.spec.task
    if not spec.placement.constraints:
        return True
    try:
        parsed = constraints.parse(spec.placement.constraints)
    except constraints.InvalidConstraintError:
        return False
    return constraints.matches(parsed, node)


def _may_unfit(event: Any) -> bool:
    new, old = event.object, event.old
    return bool(
        new.spec != old.spec
        or new.role != old.role
        or new.description != old.description
        or new.status.addr != old.status.addr
    )
