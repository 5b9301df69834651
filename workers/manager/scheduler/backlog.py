"""The tasks that wait for a node, in groups of alike ones."""

from collections.abc import Iterator, Sequence

from swarmd import api
from workers.manager.scheduler.node_info import Kind, is_wanted, kind_of


class Backlog:
    """Waiting tasks, and which of them are worth another try.

    A group that did not fit is tried again when it changes, or when something is free that was
    not: a node changed, a task ended.
    """

    def __init__(self) -> None:
        self._groups: dict[Kind, dict[str, api.Task]] = {}
        self._kinds: dict[str, Kind] = {}
        self._due: dict[Kind, None] = {}  # an ordered set: first come, first placed

    def __len__(self) -> int:
        return len(self._kinds)

    def put(self, task: api.Task) -> None:
        """Let the task wait; its group is due unless only the task's status is new."""
        kind = kind_of(task)
        group = self._groups.setdefault(kind, {})
        before = group.get(task.id)
        group[task.id] = task
        self._kinds[task.id] = kind
        if before is None or is_wanted(before) != is_wanted(task):
            self._due[kind] = None

    def drop(self, task_id: str) -> None:
        """The task waits no longer."""
        kind = self._kinds.pop(task_id, None)
        if kind is None:
            return
        group = self._groups[kind]
        del group[task_id]
        if not group:
            del self._groups[kind]
            self._due.pop(kind, None)

    def retry_all(self) -> None:
        """Something is free now: every group is due."""
        self._due |= dict.fromkeys(self._groups)

    def take_due(self) -> Iterator[Sequence[api.Task]]:
        """The groups that are due, each once; their tasks wait on until they are dropped."""
        due, self._due = self._due, {}
        for kind in due:
            if group := self._groups.get(kind):
                yield list(group.values())
