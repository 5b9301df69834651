"""What a node should know: its tasks, the secrets and configs that they need, and its volumes.

An agent gets the full set first, then differences. It knows its tasks' states better than we do,
so a task whose status alone changed is not sent again. A secret or config is sent with the first
task that needs it, and taken back when the last one that needed it has ended. A volume is sent
once it is published to the node, its secrets with it, and taken back when that is to end.
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
_VOLUME: Final = api.ResourceType.VOLUME
_PUBLISHED: Final = api.VolumePublishStatus.State.PUBLISHED
_LEAVING: Final = api.VolumePublishStatus.State.PENDING_NODE_UNPUBLISH

log = get_logger(__name__)


class AssignmentSet:
    """What one node was told; `update` says what it is to be told next."""

    def __init__(self, node_id: str) -> None:
        self._node_id = node_id
        self._tasks: dict[str, api.Task] = {}
        self._volumes: dict[str, api.AssignmentChange] = {}  # as they were told last
        self._users: dict[_Key, set[str]] = {}
        self._changes: dict[_Key, api.AssignmentChange] = {}

    @property
    def ids(self) -> Iterable[str]:
        return [*self._tasks, *self._volumes]

    def update(self, tx: ReadTx, ids: Iterable[str]) -> list[api.AssignmentChange]:
        """What changed for the node about these, dependencies before those who need them.

        They are the ids of tasks and volumes.
        """
        for each in ids:
            task = tx.tasks.get(each)
            if task is not None and self._concerns(task):
                self._put(tx, task)
            elif each in self._tasks:
                self._remove(each)
            elif task is None:
                self._see_volume(tx, each)
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

    def _see_volume(self, tx: ReadTx, volume_id: str) -> None:
        told = self._volumes.get(volume_id)
        volume = tx.volumes.get(volume_id)
        change = None if volume is None else _volume_change(volume, self._node_id)
        if change is None:
            if told is not None:
                self._forget_volume(volume_id, told)
        elif change != told:
            self._volumes[volume_id] = self._changes[_VOLUME, volume_id] = change
            self._use_all(tx, volume_id, _secrets(change))

    def _forget_volume(self, volume_id: str, told: api.AssignmentChange) -> None:
        """The node let go of it, or the volume was removed by force."""
        del self._volumes[volume_id]
        if told.action == _UPDATE:
            self._changes[_VOLUME, volume_id] = _change(told.assignment, _REMOVE)
        self._release_all(volume_id, _secrets(told))

    def _use(self, tx: ReadTx, task: api.Task) -> None:
        self._use_all(tx, task.id, dependencies(task))

    def _use_all(self, tx: ReadTx, user_id: str, keys: Iterable[_Key]) -> None:
        for key in keys:
            users = self._users.setdefault(key, set())
            assignment = None if users else _dependency(tx, key)
            if assignment is not None:
                self._changes[key] = _change(assignment, _UPDATE)
            users.add(user_id)

    def _release(self, task: api.Task) -> None:
        self._release_all(task.id, dependencies(task))

    def _release_all(self, user_id: str, keys: Iterable[_Key]) -> None:
        for key in keys:
            users = self._users.get(key, set())
            users.discard(user_id)
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


def publish_status(volume: api.Volume, node_id: str) -> api.VolumePublishStatus | None:
    """How the volume is to be on that node; None where it has nothing to do with it."""
    return next((one for one in volume.publish_status if one.node_id == node_id), None)


def concerned(before: api.Volume, after: api.Volume) -> set[str]:
    """The nodes that have to hear of this change."""
    nodes = {one.node_id for one in (*before.publish_status, *after.publish_status)}
    return {
        node_id
        for node_id in nodes
        if publish_status(before, node_id) != publish_status(after, node_id)
    }


def _volume_change(volume: api.Volume, node_id: str) -> api.AssignmentChange | None:
    """What the node is told of it; nothing before it is published, and after it let go."""
    status = publish_status(volume, node_id)
    if status is None or status.state not in (_PUBLISHED, _LEAVING):
        return None
    assignment = api.VolumeAssignment(
        id=volume.id,
        volume_id=volume.volume_info.volume_id,
        driver=volume.spec.driver,
        volume_context=volume.volume_info.volume_context,
        publish_context=status.publish_context,
        access_mode=volume.spec.access_mode,
        secrets=volume.spec.secrets,
    )
    # All of it also to take it back: a node may have forgotten that it has it.
    action = _UPDATE if status.state == _PUBLISHED else _REMOVE
    return _change(api.Assignment(volume=assignment), action)


def _secrets(change: api.AssignmentChange) -> list[_Key]:
    return [(_SECRET, one.secret) for one in change.assignment.volume.secrets]


def _order(change: api.AssignmentChange) -> tuple[int, bool]:
    """New dependencies, then tasks, then what is no longer needed."""
    return change.action, change.assignment.HasField("task") == (change.action == _UPDATE)
