"""Jobs: services whose tasks run to completion, so many times, or once on each node.

A job is looked at when it changes, and when one of its tasks ends. A node that joins later gets
no task of a global job; and a node that is drained keeps a running one of a replicated job.
"""

from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Any

from swarmd import api, ids
from swarmd.api import services, tasks
from swarmd.clock import Clock
from swarmd.store import Created, Deleted, Event, ReadTx, Select, Store, Updated, by
from workers.manager.orchestrators import job_plan, new_task, news, restarts, slots, updater
from workers.manager.orchestrators.job_plan import JobPlan
from workers.manager.orchestrators.loop import Change, Loop, the_cluster
from workers.manager.orchestrators.removals import remove


class Jobs(Loop):
    """Both kinds of jobs: makes the tasks that lack, restarts the failed, clears old iterations."""

    def __init__(self, store: Store, clock: Clock, random: Random) -> None:
        super().__init__(store, clock, random)
        self._to_reconcile: dict[str, None] = {}

    def selects(self) -> Sequence[Select[Any]]:
        return (
            Select(api.Service, where=news.is_service_news),
            Select(api.Task, where=_matters),
        )

    async def look(self) -> None:
        mine = [
            service for service in self.store.view().services.find() if services.is_job(service)
        ]
        self._to_reconcile.update(dict.fromkeys(service.id for service in mine))

    def note(self, event: Event) -> None:
        if isinstance(event, Created | Updated | Deleted):
            one = event.object
            self._to_reconcile[one.id if isinstance(one, api.Service) else one.service_id] = None

    async def act(self) -> None:
        to_reconcile, self._to_reconcile = self._to_reconcile, {}
        for service_id in to_reconcile:
            tx = self.store.view()
            service = tx.services.get(service_id)
            if service is not None and services.is_job(service):
                await self.commit(changes(tx, service, self.clock.now(), self.random))


def changes(tx: ReadTx, service: api.Service, now: float, random: Random) -> list[Change]:
    """What brings the job on."""
    found = tx.tasks.find(by.service(service.id))
    if services.is_replicated_job(service):
        plan = job_plan.replicated(service, found)
    else:
        plan = job_plan.global_job(service, found, tx.nodes.find())
    template = new_task.template(service, the_cluster(tx), now)
    restart = partial(restarts.restart, now=now, random=random)
    return [
        *_new(tx, plan, template, found, random),
        *(partial(updater.shut_down, task_id=task.id) for task in plan.shut_down),
        *(partial(restart, task_id=task.id) for task in plan.restart),
        *(partial(remove, task_id=task.id) for task in plan.remove),
    ]


def _new(
    tx: ReadTx, plan: JobPlan, template: api.Task, found: Sequence[api.Task], random: Random
) -> list[Change]:
    """The new tasks; each waits for those of this iteration that were in its place before it."""
    current = [task for task in found if task.job_iteration == template.job_iteration]
    numbered, on_node = slots.by_number(current), slots.by_node(current)

    def make(before: slots.Slot, **place: Any) -> Change:
        waits = restarts.any_stops_still(tx, before)
        return partial(
            new_task.create, template=template, task_id=ids.new_id(random), waits=waits, **place
        )

    return [
        *(make(numbered.get(number, []), slot=number) for number in plan.new_slots),
        *(make(on_node.get(node_id, []), node_id=node_id) for node_id in plan.new_nodes),
    ]


def _matters(event: Any) -> bool:
    """Any end of a job's task: it may make room for another, or need a restart."""
    task: api.Task = event.object
    if not tasks.is_of_job(task):
        return False
    return tasks.is_wanted_job(task) and (isinstance(event, Deleted) or tasks.is_terminal(task))
