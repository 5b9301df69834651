"""What a dispatcher assigned: full set or difference, to what changed and what is to be dropped.

A stream begins with a COMPLETE message; INCREMENTAL ones follow, each naming by `applies_to` the
`results_in` of the one before. A gap in that chain is healed by asking for a new stream.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from swarmd import api

_T = TypeVar("_T", api.Task, api.Secret, api.Config)
_REMOVE: Final = api.AssignmentChange.AssignmentAction.REMOVE


@dataclass(frozen=True, slots=True)
class Difference(Generic[_T]):
    """Objects of one kind: those to add or update, by id, and the ids of those to forget."""

    changed: dict[str, _T]
    dropped: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.changed or self.dropped)


@dataclass(frozen=True, slots=True)
class VolumeChanges:
    """Volumes to have, and those to let go: each whole, as a node may have forgotten it.

    `complete`: nothing else is assigned.
    """

    complete: bool
    changed: dict[str, api.VolumeAssignment]
    removed: dict[str, api.VolumeAssignment]


@dataclass(frozen=True, slots=True)
class Changes:
    """One message against what is known here. `complete`: nothing else is assigned."""

    complete: bool
    tasks: Difference[api.Task]
    secrets: Difference[api.Secret]
    configs: Difference[api.Config]
    volumes: VolumeChanges


def continues(results_in: str, message: api.AssignmentsMessage) -> bool:
    """Whether the message follows the one that resulted in this; a complete one always does."""
    is_complete = message.type == api.AssignmentsMessage.Type.COMPLETE
    return is_complete or message.applies_to == results_in


def changes(
    message: api.AssignmentsMessage,
    *,
    tasks: Iterable[str],
    secrets: Iterable[str],
    configs: Iterable[str],
) -> Changes:
    """What the message changes, where the objects of these ids are known.

    Whatever a COMPLETE message does not name is dropped.
    """
    complete = message.type == api.AssignmentsMessage.Type.COMPLETE
    updates, removals = _split(message)
    return Changes(
        complete=complete,
        tasks=_difference(
            {each.task.id: each.task for each in updates if each.HasField("task")},
            {each.task.id for each in removals if each.HasField("task")},
            tasks if complete else (),
        ),
        secrets=_difference(
            {each.secret.id: each.secret for each in updates if each.HasField("secret")},
            {each.secret.id for each in removals if each.HasField("secret")},
            secrets if complete else (),
        ),
        configs=_difference(
            {each.config.id: each.config for each in updates if each.HasField("config")},
            {each.config.id for each in removals if each.HasField("config")},
            configs if complete else (),
        ),
        volumes=VolumeChanges(
            complete,
            {each.volume.id: each.volume for each in updates if each.HasField("volume")},
            {each.volume.id: each.volume for each in removals if each.HasField("volume")},
        ),
    )


def _split(message: api.AssignmentsMessage) -> tuple[list[api.Assignment], list[api.Assignment]]:
    updates = [each.assignment for each in message.changes if each.action != _REMOVE]
    removals = [each.assignment for each in message.changes if each.action == _REMOVE]
    return updates, removals


def _difference(changed: dict[str, _T], removed: set[str], known: Iterable[str]) -> Difference[_T]:
    dropped = frozenset(removed.union(known).difference(changed))
    return Difference(changed, dropped)
