"""A task from a service (pure).

Besides what SwarmKit writes, a task bears labels of ours, from which another leader knows what it
is: the update that made it, and the restart that did, with its delay.
"""

from typing import Final

from swarmd import api
from swarmd.api import breakers, labels, services, times
from swarmd.store import WriteTx

UPDATE_LABEL: Final = labels.UPDATE
CREATED: Final = "created"
PLACEABLE: Final = "pending task scheduling"  # the allocator's words for the same state


def template(service: api.Service, cluster: api.Cluster | None, now: float) -> api.Task:
    """A task of this service in all but id and slot: made once, then copied for each."""
    spec = service.spec
    task = api.Task(
        service_id=service.id,
        service_annotations=spec.annotations,
        spec=spec.task,
        status=api.TaskStatus(
            state=api.TaskState.NEW, timestamp=times.timestamp(now), message=CREATED
        ),
        endpoint=api.Endpoint(spec=spec.endpoint if spec.HasField("endpoint") else None),
        desired_state=goal(service),
        log_driver=_log_driver(spec.task, cluster),
    )
    if service.HasField("spec_version"):
        task.spec_version.CopyFrom(service.spec_version)
    if services.is_job(service):
        task.job_iteration.index = services.job_iteration(service)
    return task


def from_template(made: api.Task, task_id: str, *, slot: int = 0, node_id: str = "") -> api.Task:
    """The task for that slot; only those of global services and jobs bear a node from the first."""
    task = api.Task()
    task.CopyFrom(made)
    task.id = task_id
    task.slot = slot
    task.node_id = node_id
    return task


def create(
    tx: WriteTx,
    template: api.Task,
    task_id: str,
    slot: int = 0,
    node_id: str = "",
    *,
    waits: bool = False,
) -> api.Task | None:
    """Make the task, unless its service is gone by now.

    It waits in READY where its slot is not free yet, and while a breaker holds its service.
    """
    service = tx.services.get(template.service_id)
    if service is None:
        return None
    made = from_template(template, task_id, slot=slot, node_id=node_id)
    if waits or breakers.holds(tx.breakers.get(service.id), service):
        made.desired_state = api.TaskState.READY
    return put(tx, made, service)


def put(tx: WriteTx, made: api.Task, service: api.Service) -> api.Task:
    """Make the task; one that needs nothing of the allocator goes on to PENDING at once.

    Watchers see both states, as ever; the store writes one row in one commit, and not two.
    """
    task = tx.tasks.create(made)
    if services.needs_allocation(service):
        return task
    own = tx.tasks.copy(task.id)
    own.status.state = api.TaskState.PENDING
    own.status.message = own.status.message.replace(CREATED, PLACEABLE, 1)
    return tx.tasks.update(own)


def goal(service: api.Service) -> api.TaskState.ValueType:
    """What its tasks are to reach in the end."""
    return api.TaskState.COMPLETE if services.is_job(service) else api.TaskState.RUNNING


def mark_update(task: api.Task, service: api.Service) -> None:
    """Say that the update to the service's version made it: its failure counts against that."""
    task.annotations.labels[UPDATE_LABEL] = str(service.spec_version.index)


def is_of_update(task: api.Task, service: api.Service) -> bool:
    """The service's update, the one of its update status, made it."""
    if task.annotations.labels.get(UPDATE_LABEL) != str(service.spec_version.index):
        return False
    begun = service.update_status.started_at
    return times.seconds(task.meta.created_at) >= times.seconds(begun)


def _log_driver(spec: api.TaskSpec, cluster: api.Cluster | None) -> api.Driver | None:
    if spec.HasField("log_driver"):
        return spec.log_driver
    if cluster is not None and cluster.spec.task_defaults.HasField("log_driver"):
        return cluster.spec.task_defaults.log_driver
    return None
