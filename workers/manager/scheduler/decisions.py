"""Decisions as changes to the store, each checked against the store as it is at the commit."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from swarmd import api
from swarmd.api import nodes, times
from swarmd.errors import SwarmError
from swarmd.store import WriteTx
from workers.manager.scheduler.node_info import NodeInfo, is_wanted
from workers.manager.scheduler.placement import Assignment

ASSIGNED_MESSAGE: Final = "scheduler assigned task to node"
CONFIRMED_MESSAGE: Final = "scheduler confirmed task can run on preassigned node"
_PENDING: Final = api.TaskState.PENDING
_ASSIGNED: Final = api.TaskState.ASSIGNED


class OutdatedError(SwarmError):
    """The store moved on since the decision was made: it is to be made again."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"the decision about task {task_id} is outdated")


@dataclass(frozen=True, slots=True)
class Decision:
    """A change to one task, and the node that holds it meanwhile, if any."""

    task: api.Task
    change: Callable[[WriteTx], None]
    node: NodeInfo | None = None


def assign(assignment: Assignment, elsewhere: str, now: float) -> Decision:
    """The task goes to the node, unless either changed since, or a volume of it cannot be had.

    `elsewhere` is why it is not on other nodes, for the journal: its status says what SwarmKit's
    does.
    """
    task, node, node_version, generic, volumes = assignment

    def change(tx: WriteTx) -> None:
        current = _waiting(tx, task)
        found = tx.nodes.get(node.id)
        if found is None or found.meta.version.index != node_version:
            raise OutdatedError(task.id)
        if not (nodes.can_take_tasks(found) and is_wanted(current)):
            raise OutdatedError(task.id)
        if not all(_can_be_had(tx, each.id) for each in volumes):
            raise OutdatedError(task.id)
        current.status.CopyFrom(_assigned(bool(current.node_id), now))
        current.node_id = node.id
        current.assigned_generic_resources.extend(generic)
        current.volumes.extend(volumes)
        tx.tasks.update(current, why=f"not on others: {elsewhere}" if elsewhere else "")

    return Decision(task, change, node)


def explain(task: api.Task, sentence: str, now: float) -> Decision | None:
    """The task's status says why it waits; None where it says so already."""
    if task.status.err == sentence:
        return None

    def change(tx: WriteTx) -> None:
        current = _waiting(tx, task)
        current.status.err = sentence
        current.status.timestamp.CopyFrom(times.timestamp(now))
        tx.tasks.update(current)

    return Decision(task, change)


def shut_down(task: api.Task, now: float) -> Decision:
    """The task is wanted no more, and no node ever had it: it has ended."""

    def change(tx: WriteTx) -> None:
        current = _waiting(tx, task)
        if is_wanted(current):
            raise OutdatedError(task.id)
        current.status.state = api.TaskState.SHUTDOWN
        current.status.err = ""
        current.status.timestamp.CopyFrom(times.timestamp(now))
        tx.tasks.update(current)

    return Decision(task, change)


def _waiting(tx: WriteTx, task: api.Task) -> api.Task:
    """A copy of the task, which still waits as it did."""
    current = tx.tasks.copy(task.id)
    if current.status.state != _PENDING or current.node_id != task.node_id:
        raise OutdatedError(task.id)
    return current


def _can_be_had(tx: WriteTx, volume_id: str) -> bool:
    volume = tx.volumes.get(volume_id)
    is_active = api.VolumeSpec.VolumeAvailability.ACTIVE
    return (
        volume is not None and not volume.pending_delete and volume.spec.availability == is_active
    )


def _assigned(preassigned: bool, now: float) -> api.TaskStatus:
    message = CONFIRMED_MESSAGE if preassigned else ASSIGNED_MESSAGE
    return api.TaskStatus(state=_ASSIGNED, timestamp=times.timestamp(now), message=message)
