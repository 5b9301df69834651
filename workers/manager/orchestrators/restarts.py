"""What ended is replaced in its slot, and the replacement starts once its delay ran.

A replacement is there at once, in desired state READY: it is placed and prepared while it waits,
for its delay and for the task before it to stop.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from random import Random
from typing import Any, Final

from swarmd import api, ids
from swarmd.api import breakers, nodes, services, tasks
from swarmd.api.protos.governor_pb2 import Breaker
from swarmd.clock import Clock, wait_event
from swarmd.store import Created, Deleted, Event, ReadTx, Select, Store, Updated, WriteTx, by
from workers.manager.orchestrators import new_task, restart_policy
from workers.manager.orchestrators.loop import TimedLoop, the_cluster

OLD_TASK_SECONDS: Final = 60.0  # a task that does not stop holds up the next one no longer
_READY: Final = api.TaskState.READY
Place = tuple[str, int]


def neighbours(tx: ReadTx, service: api.Service, task: api.Task) -> list[api.Task]:
    """All tasks of the task's slot, itself and what is kept of the past among them."""
    if services.is_per_node(service):
        return [one for one in tx.tasks.find(by.node(task.node_id)) if one.service_id == service.id]
    return tx.tasks.find(by.slot(service.id, task.slot))


def restart(tx: WriteTx, task_id: str, now: float, random: Random) -> api.Task | None:
    """Shut the task down and, where its policy says so, put another into its slot.

    Nothing happens to one that is shut down already, or waits for its own start still: it would be
    restarted in a tight loop.
    """
    task = tx.tasks.get(task_id)
    service = tx.services.get(task.service_id) if task is not None else None
    if task is None or service is None or task.desired_state == _READY:
        return None
    if task.desired_state > new_task.goal(service):
        return None
    node = tx.nodes.get(task.node_id)
    again = restart_policy.is_restarted(task, service, neighbours(tx, service, task))
    how = restart_policy.next_restart(task, service, node, random) if again else None
    breaker = tx.breakers.get(service.id)
    held = breaker.reason if breaker and breakers.holds(breaker, service) else ""
    _give_up(tx, task, how, held)
    if how is None:
        return None
    made = replacement(tx, task, service, now, random)
    restart_policy.mark(made, how)
    if how.delay_seconds or held or _stops_still(task, tx):
        made.desired_state = _READY
    return new_task.put(tx, made, service)


def _give_up(tx: WriteTx, task: api.Task, how: restart_policy.Restart | None, held: str) -> None:
    old = tx.tasks.copy(task.id)
    old.desired_state = api.TaskState.SHUTDOWN
    if how is not None:
        restart_policy.announce(old, how, held)  # the replacement's own is soon overwritten
    tx.tasks.update(old)


def replacement(
    tx: ReadTx, task: api.Task, service: api.Service, now: float, random: Random
) -> api.Task:
    """A task of the service as it is now, for the slot of that one."""
    made = new_task.template(service, the_cluster(tx), now)
    node_id = task.node_id if services.is_per_node(service) else ""
    return new_task.from_template(made, ids.new_id(random), slot=task.slot, node_id=node_id)


def any_stops_still(tx: ReadTx, slot: Iterable[api.Task]) -> bool:
    """Whether a new task in this slot, whose tasks nobody wants any more, has to wait for one."""
    return any(_stops_still(task, tx) for task in slot)


def _stops_still(task: api.Task, tx: ReadTx) -> bool:
    """Something of it may run yet, on a node that would tell us when it stops."""
    if tasks.is_terminal(task) or task.status.state < api.TaskState.ASSIGNED:
        return False
    node = tx.nodes.get(task.node_id)
    return node is not None and not nodes.is_down(node)


class DelayedStarts(TimedLoop):
    """Starts each task in desired state READY when its delay ran and its slot is free."""

    def __init__(self, store: Store, clock: Clock, random: Random) -> None:
        super().__init__(store, clock, random)
        self._to_check: set[str] = set()
        self._delayed: list[tuple[float, str]] = []
        self._held: dict[str, float] = {}  # who waits for another to stop, until when
        self._held_at: defaultdict[Place, set[str]] = defaultdict(set)  # … and where

    def selects(self) -> Sequence[Select[Any]]:
        return (
            Select(api.Task, where=self._matters),
            Select(api.Node, actions={Updated, Deleted}, where=self._is_lost),
            Select(Breaker, actions={Updated, Deleted}),
        )

    async def look(self) -> None:
        self._delayed.clear()
        self._held.clear()
        self._held_at.clear()
        self._to_check = {
            task.id for task in self.store.view().tasks.find(by.desired_state(_READY))
        }

    def note(self, event: Event) -> None:
        if not isinstance(event, Created | Updated | Deleted):
            return
        if isinstance(event.object, Breaker):
            self._to_check.update(_waiting(self.store.view(), event.object.id))
        elif isinstance(event.object, api.Node):
            self._to_check.update(self._held)
        elif event.object.desired_state == _READY:
            self._to_check.add(event.object.id)
        else:
            self._to_check.update(self._held_at.get(_place(event.object), ()))

    async def wait_due(self) -> None:
        seconds = self._delayed[0][0] - self.clock.now() if self._delayed else None
        await wait_event(self.due, self.clock, None if seconds is None else max(0.0, seconds))

    async def act(self) -> None:
        now = self.clock.now()
        while self._delayed and self._delayed[0][0] <= now:
            self._to_check.add(heapq.heappop(self._delayed)[1])
        checked, self._to_check = self._to_check, set()
        due = [task_id for task_id in checked if self._is_due(task_id, now)]
        if due:
            await self.commit([partial(start, task_id=task_id, now=now) for task_id in due])

    def _matters(self, event: Any) -> bool:
        task: api.Task = event.object
        if task.desired_state == _READY:
            return not (isinstance(event, Updated) and event.old.desired_state == _READY)
        return bool(self._held) and _place(task) in self._held_at

    def _is_lost(self, event: Any) -> bool:
        return bool(self._held) and (isinstance(event, Deleted) or nodes.is_down(event.object))

    def _is_due(self, task_id: str, now: float) -> bool:
        tx = self.store.view()
        task = tx.tasks.get(task_id)
        service = tx.services.get(task.service_id) if task is not None else None
        if task is None or service is None or task.desired_state != _READY:
            self._held.pop(task_id, None)
            return False
        if breakers.holds(tx.breakers.get(service.id), service):
            return False  # looked at again when the breaker changes
        # A leader whose clock is behind the one before it waits no longer than was asked for.
        waits = min(restart_policy.start_time(task) - now, restart_policy.of(task).delay_seconds)
        if waits > 0:
            heapq.heappush(self._delayed, (now + waits, task_id))
            return False
        if slot_is_free(tx, service, task) or self._held_long_enough(task, now):
            self._held.pop(task_id, None)
            self._held_at[_place(task)].discard(task_id)
            return True
        return False

    def _held_long_enough(self, task: api.Task, now: float) -> bool:
        if task.id not in self._held:
            self._held[task.id] = now + OLD_TASK_SECONDS
            self._held_at[_place(task)].add(task.id)
            heapq.heappush(self._delayed, (self._held[task.id], task.id))
        return self._held[task.id] <= now


def _waiting(tx: ReadTx, service_id: str) -> list[str]:
    found = tx.tasks.find(by.all_of(by.desired_state(_READY), by.service(service_id)))
    return [task.id for task in found]


def _place(task: api.Task) -> Place:
    return task.service_id, task.slot


def slot_is_free(tx: ReadTx, service: api.Service, task: api.Task) -> bool:
    """Nothing that this task replaces is left running.

    A neighbour that is still wanted is no obstacle: an update that starts first stops it later.
    """
    return not any(
        one.id != task.id
        and not tasks.is_wanted_job(one)
        and one.job_iteration == task.job_iteration
        and _stops_still(one, tx)
        for one in neighbours(tx, service, task)
    )


def start(tx: WriteTx, task_id: str, now: float) -> api.Task | None:
    """Let the task run that waited; None where it waits no more."""
    task = tx.tasks.get(task_id)
    service = tx.services.get(task.service_id) if task is not None else None
    if task is None or service is None or task.desired_state != _READY:
        return None
    own = tx.tasks.copy(task_id)
    own.desired_state = new_task.goal(service)
    restart_policy.mark_held(own, now)
    return tx.tasks.update(own)
