"""What a node should know: its tasks, and the secrets and configs that they need.

An agent gets the full set first, then differences. It knows its tasks' states better than we do,
so a task whose status alone changed is not sent again. A secret or config is sent with the first
task that needs it, and taken back when the last one that needed it has ended.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from swarmd import api
from swarmd.api import said
from swarmd.logs import fields, get_logger
from swarmd.store import ReadTx

_Key = tuple[api.ResourceType.ValueType, str]
# Enum members looked up once: hot paths compare them for each task.
_UPDATE: Final = api.AssignmentChange.AssignmentAction.UPDATE
_REMOVE: Final = api.AssignmentChange.AssignmentAction.REMOVE
_ASSIGNED: Final = api.TaskState.ASSIGNED
_RUNNING: Final = api.TaskState.RUNNING
_TASK: Final = api.ResourceType.TASK
_SECRET: Final = api.ResourceType.SECRET
_CONFIG: Final = api.ResourceType.CONFIG

log = get_logger(__name__)


class AssignmentSet:
    """What one node was told; `update` says what it is to be told next."""

    def __init__(self, node_id: str) -> None:
        self._node_id = node_id
        self._tasks: dict[str, api.Task] = {}
        self._users: dict[_Key, set[str]] = {}
        self._changes: dict[_Key, api.AssignmentChange] = {}

    @property
    def task_ids(self) -> Iterable[str]:
        return self._tasks

    def update(self, tx: ReadTx, task_ids: Iterable[str]) -> list[api.AssignmentChange]:
        """What changed for the node about these tasks, dependencies before those who need them."""
        for task_id in task_ids:
            task = tx.tasks.get(task_id)
            if task is None or not self._concerns(task):
                self._remove(task_id)
            else:
                self._put(tx, task)
        changes, self._changes = self._changes, {}
        return sorted(changes.values(), key=_order)

    def _concerns(self, task: api.Task) -> bool:
        return task.node_id == self._node_id and task.status.state >= _ASSIGNED

    def _put(self, tx: ReadTx, task: api.Task) -> None:
        known = self._tasks.get(task.id)
        self._tasks[task.id] = task
        if task.status.state > _RUNNING:
            self._release(task)
        elif known is None:
            self._use(tx, task)
        if known is None or not same_to_agent(known, task):
            key = (_TASK, task.id)
            self._changes[key] = _change(api.Assignment(task=task), _UPDATE)

    def _remove(self, task_id: str) -> None:
        known = self._tasks.pop(task_id, None)
        if known is not None:
            gone = api.Assignment(task=api.Task(id=task_id))
            self._changes[_TASK, task_id] = _change(gone, _REMOVE)
            self._release(known)

    def _use(self, tx: ReadTx, task: api.Task) -> None:
        for key in dependencies(task):
            users = self._users.setdefault(key, set())
            assignment = None if users else _dependency(tx, key)
            if assignment is not None:
                self._changes[key] = _change(assignment, _UPDATE)
            users.add(task.id)

    def _release(self, task: api.Task) -> None:
        for key in dependencies(task):
            users = self._users.get(key, set())
            users.discard(task.id)
            if not users and self._users.pop(key, None) is not None:
                self._changes[key] = _change(_bare(key), _REMOVE)


def same_to_agent(one: api.Task, other: api.Task) -> bool:
    """Whether the tasks differ in nothing but status and version."""
    if one.desired_state != other.desired_state:  # nearly always the difference, if there is one
        return False
    return said.is_same(one, other)


def is_news(before: api.Task, after: api.Task) -> bool:
    """Whether an agent that knows the task as it was has to hear of this change."""
    assigned = before.status.state < _ASSIGNED <= after.status.state
    ended = before.status.state <= _RUNNING < after.status.state
    return assigned or ended or not same_to_agent(before, after)


def dependencies(task: api.Task) -> Iterator[_Key]:
    """The secrets and configs that the task needs; some may come twice."""
    for reference in task.spec.resource_references:
        if reference.resource_type in (_SECRET, _CONFIG):
            yield reference.resource_type, reference.resource_id
    for secret in task.spec.container.secrets:
        yield _SECRET, secret.secret_id
    for config in task.spec.container.configs:
        yield _CONFIG, config.config_id


def _dependency(tx: ReadTx, key: _Key) -> api.Assignment | None:
    kind, object_id = key
    if kind == _CONFIG:
        config = tx.configs.get(object_id)
        return None if config is None else api.Assignment(config=config)
    secret = tx.secrets.get(object_id)
    if secret is None:
        return None
    if secret.spec.HasField("driver"):
        facts = fields(secret=object_id, driver=secret.spec.driver.name)
        log.warning("no secret driver can be asked from here: secret not sent", extra=facts)
        return None
    return api.Assignment(secret=secret)


def _bare(key: _Key) -> api.Assignment:
    kind, object_id = key
    if kind == _CONFIG:
        return api.Assignment(config=api.Config(id=object_id))
    return api.Assignment(secret=api.Secret(id=object_id))


def _change(
    assignment: api.Assignment, action: api.AssignmentChange.AssignmentAction.ValueType
) -> api.AssignmentChange:
    return api.AssignmentChange(assignment=assignment, action=action)


def _order(change: api.AssignmentChange) -> tuple[int, bool]:
    """New dependencies, then tasks, then what is no longer needed."""
    return change.action, change.assignment.HasField("task") == (change.action == _UPDATE)
