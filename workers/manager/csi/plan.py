"""What a volume needs next, from what is there (pure)."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from swarmd import api

State: Final = api.VolumePublishStatus.State
_SINGLE_NODE: Final = api.VolumeAccessMode.Scope.SINGLE_NODE


class Act(Enum):
    """A call to the volume's plugin."""

    CREATE = "create"
    PUBLISH = "publish"
    UNPUBLISH = "unpublish"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Step:
    """One call, and for which node, if for one."""

    act: Act
    node_id: str = ""


def users(tasks: Iterable[api.Task]) -> frozenset[str]:
    """The nodes that have tasks, of those that were given a volume, which may still touch it."""
    return frozenset(
        task.node_id
        for task in tasks
        if api.TaskState.ASSIGNED <= task.status.state <= api.TaskState.RUNNING
    )


def idle(volume: api.Volume, needed: Collection[str]) -> frozenset[str]:
    """The nodes where it is published, and no task needs it."""
    return frozenset(
        status.node_id
        for status in volume.publish_status
        if status.state == State.PUBLISHED and status.node_id not in needed
    )


def is_urgent(volume: api.Volume, needed: Collection[str]) -> bool:
    """Whether a node that no longer needs it must let go of it at once."""
    there = {one.node_id for one in volume.publish_status if one.state == State.PUBLISHED}
    moves = volume.spec.access_mode.scope == _SINGLE_NODE and not there.issuperset(needed)
    is_active = volume.spec.availability == api.VolumeSpec.VolumeAvailability.ACTIVE
    return moves or volume.pending_delete or not is_active


def publish_statuses(
    volume: api.Volume, needed: Collection[str], is_node: Callable[[str], bool]
) -> list[api.VolumePublishStatus]:
    """Where it is to be, given the nodes that need it; a node that is gone lets go by that."""
    found = []
    for status in volume.publish_status:
        state = _next(status.state, status.node_id in needed, is_node(status.node_id))
        if state != status.state:
            status = api.VolumePublishStatus(  # noqa: PLW2901  the one in the store is shared
                node_id=status.node_id, state=state, publish_context=status.publish_context
            )
        found.append(status)
    known = {status.node_id for status in found}
    found += [
        api.VolumePublishStatus(node_id=node_id, state=State.PENDING_PUBLISH)
        for node_id in sorted(needed)
        if node_id not in known
    ]
    return found


def _next(
    state: api.VolumePublishStatus.State.ValueType, is_needed: bool, is_there: bool
) -> api.VolumePublishStatus.State.ValueType:
    if state == State.PENDING_PUBLISH and not is_needed:
        return State.PENDING_UNPUBLISH  # the call may have been made, and its answer lost
    if state == State.PUBLISHED and not is_needed:
        return State.PENDING_NODE_UNPUBLISH if is_there else State.PENDING_UNPUBLISH
    if state == State.PENDING_NODE_UNPUBLISH and not is_there:
        return State.PENDING_UNPUBLISH
    return state


def steps(volume: api.Volume) -> list[Step]:
    """The calls that are due, the first of them first; they do not depend on each other."""
    if not volume.HasField("volume_info"):
        return [Step(Act.CREATE)]
    if volume.pending_delete and not volume.publish_status:
        return [Step(Act.DELETE)]
    waiting = {status.node_id: status.state for status in volume.publish_status}
    found = [
        Step(Act.UNPUBLISH, node_id)
        for node_id, state in waiting.items()
        if state == State.PENDING_UNPUBLISH
    ]
    if volume.spec.access_mode.scope == _SINGLE_NODE and len(waiting) > 1:
        return found  # it cannot be in two places: first the others let go
    return found + [
        Step(Act.PUBLISH, node_id)
        for node_id, state in waiting.items()
        if state == State.PENDING_PUBLISH
    ]
