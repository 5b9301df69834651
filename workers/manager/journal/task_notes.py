"""From the changes of one transaction to what they decided about tasks (pure over a view).

`matters` is asked for every change of every task, so it looks at little.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from swarmd import api
from swarmd.api import defaults, labels, nodes, services, tasks
from swarmd.store import Created, Deleted, ReadTx, Updated
from workers.manager.journal.entries import Note

_PENDING: Final = api.TaskState.PENDING
_ASSIGNED: Final = api.TaskState.ASSIGNED
_RUNNING: Final = api.TaskState.RUNNING
_COMPLETE: Final = api.TaskState.COMPLETE
_ORPHANED: Final = api.TaskState.ORPHANED
_REMOVE: Final = api.TaskState.REMOVE
_FAILED: Final = frozenset({api.TaskState.FAILED, api.TaskState.REJECTED})
_TOLD: Final = frozenset({_ASSIGNED, _ORPHANED})
_CRASH_LOOPING: Final = 3  # quick failures

Place = tuple[str, int, str]


def matters(event: Any) -> bool:
    """Whether this change of a task may have been a decision."""
    if not isinstance(event, Updated):
        return True
    new, old = event.object, event.old
    if new.desired_state > _COMPLETE >= old.desired_state:
        return True
    status = new.status
    state = status.state
    if state in _TOLD:
        return bool(state != old.status.state)
    return bool(state == _PENDING and status.err and status.err != old.status.err)


def notes(changes: Sequence[Any], tx: ReadTx) -> Iterable[Note]:
    """What the changes of tasks in one transaction say together; `tx` is the store since then."""
    made = {_place(one.object): one.object for one in changes if isinstance(one, Created)}
    for change in changes:
        if isinstance(change, Updated):
            yield from _updated(change, made, tx)
        elif isinstance(change, Deleted):
            yield from _deleted(change.object, tx)
    for task in made.values():  # those that take nobody's place
        yield _note(task, "created", _why_made(task, tx.services.get(task.service_id)))


def _updated(change: Updated[api.Task], made: dict[Place, api.Task], tx: ReadTx) -> Iterable[Note]:
    new, old = change.object, change.old
    if new.desired_state > _COMPLETE >= old.desired_state:
        successor = made.pop(_place(new), None) or made.pop((*_place(new)[:2], ""), None)
        yield _stopped(new, successor, tx)
    elif new.status.state == _ASSIGNED > old.status.state:
        yield _note(new, "placed", change.why)
    elif new.status.state == _ORPHANED > old.status.state:
        yield _note(new, "orphaned", "its node is gone, or was silent for too long")
    elif new.status.state == _PENDING and new.status.err not in ("", old.status.err):
        yield _note(new, "waits", new.status.err)


def _stopped(task: api.Task, successor: api.Task | None, tx: ReadTx) -> Note:
    service = tx.services.get(task.service_id)
    lost = _node_lost(task, tx.nodes.get(task.node_id))
    by_node = task.node_id if lost else ""
    if successor is not None and labels.UPDATE in successor.annotations.labels:
        return _note(task, "replaced", _by_update(successor, service), successor=successor)
    if successor is not None:
        why = _ended(task) or lost or "it is to run no more"
        return _note(task, "restarted", why + _pace(successor, tx), by_node, successor)
    if service is not None and task.desired_state != _REMOVE and tasks.is_terminal(task):
        return _note(task, "given up", f"{_ended(task)}; {_no_restart(task)}")
    return _note(task, "stopped", _no_longer_wanted(task, service, lost), by_node)


def _no_longer_wanted(task: api.Task, service: api.Service | None, lost: str) -> str:
    if service is None:
        return "its service was removed"
    if task.desired_state == _REMOVE:
        return _surplus(service)
    return lost or _superseded(task, service)


def _deleted(task: api.Task, tx: ReadTx) -> Iterable[Note]:
    """History that is forgotten, and what was told to stop before, tells nothing new."""
    if task.desired_state > _COMPLETE or tasks.is_terminal(task):
        return
    if tx.services.get(task.service_id) is None and task.service_id:
        yield _note(task, "removed", "its service was removed")
    elif task.node_id and tx.nodes.get(task.node_id) is None:
        yield _note(task, "removed", "its node was removed", task.node_id)
    else:
        yield _note(task, "removed", "by command")


def _why_made(task: api.Task, service: api.Service | None) -> str:
    if labels.UPDATE in task.annotations.labels:
        return _by_update(task, service)
    if services.is_per_node(service):
        return "its node lacks one"
    return "a slot is empty"


def _by_update(task: api.Task, service: api.Service | None) -> str:
    back = service is not None and services.rolling_back(service)
    word = "rollback" if back else "update"
    return f"{word} to version {task.spec_version.index}"


def _ended(task: api.Task) -> str:
    status = task.status
    if status.state in _FAILED:
        word = tasks.state_name(status.state).lower()
        told = status.err or f"exit code {status.container.exit_code}"
        return f"{word}: {' '.join(told.split())}"
    return "completed" if status.state == _COMPLETE else ""


def _node_lost(task: api.Task, node: api.Node | None) -> str:
    if not task.node_id:
        return ""
    if node is None:
        return "its node was removed"
    if nodes.is_down(node):
        return "its node is down"
    return "its node is drained" if nodes.is_drained(node) else ""


def _pace(successor: api.Task, tx: ReadTx) -> str:
    """How the restart goes on. No numbers: alike notes are to stay alike."""
    breaker = tx.breakers.get(successor.service_id)
    if breaker is not None and breaker.state:
        return "; held"
    failures = int(successor.annotations.labels.get(labels.RESTART_FAILURES, 0))
    return "; crash-looping" if failures >= _CRASH_LOOPING else ""


def _surplus(service: api.Service) -> str:
    if services.is_job(service):
        return "it belongs to an earlier run of the job"
    return f"the service was scaled down to {service.spec.replicated.replicas} replicas"


def _no_restart(task: api.Task) -> str:
    restart = task.spec.restart
    condition = defaults.restart_condition(task.spec)
    if restart.max_attempts and condition != api.RestartPolicy.RestartCondition.NONE:
        return f"not restarted: {restart.max_attempts} attempts are the most"
    name = api.RestartPolicy.RestartCondition.Name(condition).lower().replace("_", "-")
    return f"not restarted: the restart condition is {name}"


def _superseded(task: api.Task, service: api.Service) -> str:
    if task.spec_version.index != service.spec_version.index:
        return f"superseded by the update to version {service.spec_version.index}"
    if services.is_per_node(service):
        return "its node no longer fits"
    return "another task has its place"


def _place(task: api.Task) -> Place:
    return task.service_id, task.slot, task.node_id


def _note(
    task: api.Task, what: str, why: str, node_id: str = "", successor: api.Task | None = None
) -> Note:
    return Note(
        what=what,
        why=why,
        service_id=task.service_id,
        service_name=task.service_annotations.name,
        node_id=node_id,
        task_id=task.id,
        slot=task.slot,
        task_node_id=task.node_id,
        successor_id="" if successor is None else successor.id,
    )
