"""What must hold at every commit, as a list: a name, a sentence, and the check (pure).

A check of a change is given the picture before it and the change; a check of a commit is given the
picture after it and one task that it wrote. Each yields what is wrong, in words.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from swarmd import api
from workers.simulation import picture as of
from workers.simulation.picture import Picture

OLD_TASK_SECONDS: Final = 60.0
MOST_IN_A_SLOT: Final = 40

SENTENCES: Final[Mapping[str, str]] = {
    "forward": "a task's state only goes forward, and so does its desired state",
    "same-task": "a task's service, slot, spec and job iteration never change, nor its node once"
    " it has one",
    "versions": "every write gives an object a higher version",
    "durable": "what anyone was told, a user or a component, is there after a crash",
    "one-per-slot": "a slot has one wanted task, and one is let go only when no unwanted one of its"
    " slot can run on a node in touch, or after 60 s; with updates that start first, two",
    "ended": "a task that its agent reported as ended, or that was forgotten, has no process; and"
    " a task's process is started once",
    "placed": "a task is assigned to a node that is ready, active, and meets its constraints",
    "room": "reservations on a node never exceed what it offers, at any assignment",
    "ports": "two tasks on a node never share a host port, at any assignment",
    "max-replicas": "a node has no more tasks of a service than its limit, at any assignment",
    "held": "while a service is held, none of its tasks is let go but the one that is tried",
    "given": "a task is prepared with every secret and config that its spec names",
    "update": "an update's status moves only along its machine, and only by the updater or a user",
    "job": "a job completes each slot once, is never behind what it completed, and never has more"
    " tasks at work than max_concurrent",
    "history": "a slot's past stays bounded",
    "alive": "no part of the manager or of an agent fails, spins, or waits for ever",
    "converged": "once faults stop, the cluster becomes what its specs ask for",
}

_State = api.UpdateStatus.UpdateState
_NONE: Final = -1
_MOVES: Final = {
    (_NONE, _State.UPDATING),
    (_NONE, _State.PAUSED),
    (_NONE, _State.ROLLBACK_STARTED),
    (_State.UPDATING, _State.PAUSED),
    (_State.UPDATING, _State.COMPLETED),
    (_State.UPDATING, _State.ROLLBACK_STARTED),
    (_State.ROLLBACK_STARTED, _State.ROLLBACK_PAUSED),
    (_State.ROLLBACK_STARTED, _State.ROLLBACK_COMPLETED),
}
_UNDER_WAY: Final = frozenset({_State.UPDATING, _State.ROLLBACK_STARTED})
_ORPHANED: Final = api.TaskState.ORPHANED
_REJECTED: Final = api.TaskState.REJECTED
Wrong = Iterator[tuple[str, str]]


def of_task_change(picture: Picture, new: api.Task, old: api.Task) -> Wrong:
    """What is wrong with this change of a task."""
    if new.status.state < old.status.state or new.desired_state < old.desired_state:
        yield "forward", f"{told(new)} was {told(old)}"
    if old.node_id and new.node_id != old.node_id:
        yield "same-task", f"{told(new)} moved from node {old.node_id}"
    if _identity(new) != _identity(old) or new.spec != old.spec:
        yield "same-task", f"{told(new)} became another"
    if old.status.state < of.ASSIGNED <= new.status.state <= of.RUNNING:
        yield from _assignment(picture, new)


def of_version(new: Any, old: Any) -> Wrong:
    if new.meta.version.index <= old.meta.version.index and not _made_at_once(new, old):
        yield "versions", f"{new.id} stays at version {new.meta.version.index}"


def _made_at_once(new: Any, old: Any) -> bool:
    """The transaction that made the task took it on to PENDING: both events bear its version."""
    states = (api.TaskState.NEW, api.TaskState.PENDING)
    same = new.meta.version.index == old.meta.version.index
    return same and isinstance(new, api.Task) and states == (old.status.state, new.status.state)


def of_service_change(actor: str, new: api.Service, old: api.Service) -> Wrong:
    """What is wrong with this change of a service's update status."""
    before, after = _update_state(old), _update_state(new)
    if before == after or actor in ("user", "unknown"):
        return
    if actor != "Orchestrator" or (before, after) not in _MOVES:
        yield "update", f"{new.id}: {_word(before)} became {_word(after)} by {actor}"


def of_commit(picture: Picture, task: api.Task) -> Wrong:
    """What is wrong about this task's slot after a commit that wrote it."""
    if task.service_id not in picture.services:
        return
    yield from _slot(picture, task)
    yield from _job(picture, task)
    if len(picture.slots[picture.place(task)]) > MOST_IN_A_SLOT:
        yield "history", f"slot {picture.place(task)} holds more than {MOST_IN_A_SLOT} tasks"


def of_held_start(picture: Picture, task: api.Task) -> Wrong:
    """What is wrong with letting this task go, by the breaker as it is after that."""
    service, breaker = picture.services.get(task.service_id), picture.breakers.get(task.service_id)
    if service is None or breaker is None or task.id == breaker.probe_task_id:
        return
    present = breaker.spec_version == service.spec_version.index
    if breaker.state and present and service.update_status.state not in _UNDER_WAY:
        yield "held", f"{told(task)} starts, and its service is held: {breaker.reason}"


def of_start(picture: Picture, task: api.Task, now: float, since: float) -> Wrong:
    """What is wrong with letting this task go, which came to its slot at `since`."""
    if now - since >= OLD_TASK_SECONDS:
        return
    others = [
        other
        for other in picture.neighbours(task)
        if of.may_run(other) and not picture.is_lost(other.node_id)
    ]
    unwanted = [other for other in others if not of.is_wanted(other)]
    allowed = 1 if task.service_id in picture.overlaps else 0
    if unwanted and len(others) > allowed:
        yield "one-per-slot", f"{told(task)} starts while {told(unwanted[0])} may still run"


def _slot(picture: Picture, task: api.Task) -> Wrong:
    others = [
        other
        for other in picture.neighbours(task)
        if of.is_wanted(other) and other.status.state <= of.RUNNING
    ]
    wanted = of.is_wanted(task) and task.status.state <= of.RUNNING
    allowed = 2 if task.service_id in picture.overlaps else 1
    if wanted and len(others) + 1 > allowed:
        yield "one-per-slot", f"{told(task)} and {told(others[0])} are both wanted"


def _job(picture: Picture, task: api.Task) -> Wrong:
    service = picture.services[task.service_id]
    if service.spec.WhichOneof("mode") != "replicated_job":
        return
    iteration = service.job_status.job_iteration.index
    mine = [
        one
        for number in range(_slots_end(picture, service.id))
        for one in picture.slot((service.id, number, ""))
        if one.job_iteration.index == iteration
    ]
    done = [one.slot for one in mine if one.status.state == of.COMPLETE]
    at_work = [one for one in mine if of.is_wanted(one) and one.status.state < of.COMPLETE]
    asked = service.spec.replicated_job
    if len(done) != len(set(done)):
        yield "job", f"{told(task)}: a slot was completed twice"
    if len(done) > asked.total_completions:
        yield "job", f"{told(task)}: {len(done)} completions of {asked.total_completions}"
    if len(at_work) > asked.max_concurrent:
        yield "job", f"{told(task)}: {len(at_work)} at work, and {asked.max_concurrent} may be"


def _slots_end(picture: Picture, service_id: str) -> int:
    job = picture.services[service_id].spec.replicated_job
    return int(job.total_completions) + 16  # an earlier iteration may have had more


def _assignment(picture: Picture, task: api.Task) -> Wrong:
    node = picture.nodes.get(task.node_id)
    if node is None or not of.takes_tasks(node):
        yield "placed", f"{told(task)}: its node {task.node_id} takes no tasks"
        return
    if not of.meets(node, task.spec.placement.constraints):
        yield "placed", f"{told(task)}: {task.node_id} does not meet its constraints"
    others = [one for one in picture.tasks_on(node.id) if one.id != task.id]
    lacking = of.lacks_room(node, others, task)
    if lacking:
        yield "room", f"{told(task)}: {node.id} has not enough {lacking}"
    names = set(of.names_given(task))
    for other in others:
        if of.host_ports(task) & of.host_ports(other):
            yield "ports", f"{told(task)} and {told(other)} share a port of {node.id}"
        if names.intersection(of.names_given(other)):
            yield "room", f"{told(task)} and {told(other)} share a resource of {node.id}"
    most = task.spec.placement.max_replicas
    alike = [one for one in others if one.service_id == task.service_id and of.is_wanted(one)]
    if most and len(alike) + 1 > most:
        yield "max-replicas", f"{told(task)}: {node.id} has {len(alike)} already, of {most}"


def _identity(task: api.Task) -> tuple[object, ...]:
    return task.service_id, task.slot, task.job_iteration.index, task.spec_version.index


def _update_state(service: api.Service) -> int:
    return service.update_status.state if service.HasField("update_status") else _NONE


def _word(state: int) -> str:
    return "no update" if state == _NONE else _State.Name(_State.ValueType(state))


def told(task: api.Task) -> str:
    """A task in a few words."""
    name = api.TaskState.Name
    where = f" on {task.node_id[:6]}" if task.node_id else ""
    slot = f".{task.slot}" if task.slot else ""
    return (
        f"task {task.id[:6]} of {task.service_annotations.name}{slot}{where}"
        f" ({name(task.status.state)}, wanted {name(task.desired_state)})"
    )
