"""Questions about a task: is it wanted, does it run, when did that begin?"""

from typing import Final

from swarmd import api
from swarmd.api import times

# An enum's value costs a microsecond each time it is asked for by name; here it would be felt.
_ASSIGNED: Final = api.TaskState.ASSIGNED
_RUNNING: Final = api.TaskState.RUNNING
_COMPLETE: Final = api.TaskState.COMPLETE
_REMOVE: Final = api.TaskState.REMOVE
_FAILED: Final = api.TaskState.FAILED
_WITH_ITS_ENGINE: Final = "is gone, and the task with it"
_NAMES: Final = {number: state for state, number in api.TaskState.items()}


def is_wanted(task: api.Task) -> bool:
    """Somebody still wants it to run (or, a job's, to complete after READY)."""
    return task.desired_state <= _RUNNING


def is_wanted_job(task: api.Task) -> bool:
    """As `is_wanted`, for a job's task, whose goal is COMPLETE."""
    return task.desired_state <= _COMPLETE


def is_running(task: api.Task) -> bool:
    """Its process runs, as far as its agent has told."""
    return task.status.state == _RUNNING


def is_terminal(task: api.Task) -> bool:
    """It ran, and will not run again: COMPLETE, SHUTDOWN, FAILED, REJECTED, REMOVE, ORPHANED."""
    return task.status.state > _RUNNING


def is_assigned(task: api.Task) -> bool:
    """The scheduler gave it to its node, and it has not ended: it takes resources there."""
    return _ASSIGNED <= task.status.state <= _RUNNING


def never_runs(task: api.Task) -> bool:
    """No node has it, and nobody wants it any more."""
    return task.status.state < _ASSIGNED and not is_wanted(task)


def gone(task_id: str) -> str:
    """What the embedded engine's agent says of a task whose supervisord ended, as with its host."""
    return f"the supervisord that ran task {task_id} {_WITH_ITS_ENGINE}"


def went_with_its_engine(task: api.Task) -> bool:
    """It failed by no fault of its own: its agent said that it is `gone`."""
    return task.status.state == _FAILED and task.status.err.endswith(_WITH_ITS_ENGINE)


def is_removable(task: api.Task) -> bool:
    """It is to be removed, and nothing of it runs anywhere."""
    state = task.status.state
    ended = state < _ASSIGNED or state >= _COMPLETE
    return ended and task.desired_state == _REMOVE


def is_of_job(task: api.Task) -> bool:
    """Tasks of jobs alone have an iteration, so the service need not be asked."""
    return task.HasField("job_iteration")


def is_of_service(task: api.Task) -> bool:
    """Some tasks are of none: network attachments, made by the agents."""
    return task.service_id != ""


def since(task: api.Task) -> float:
    """When it got its state: by the manager's clock where known, since hosts' clocks differ."""
    status = task.status
    known = status.applied_at if status.HasField("applied_at") else status.timestamp
    return times.seconds(known)


def created(task: api.Task) -> float:
    """When it was put into the store; 0 before that."""
    return times.seconds(task.meta.created_at)


def name(task: api.Task) -> str:
    """What people and engines call it: service.slot.id, or service.node.id for a global one."""
    if task.annotations.name:
        return task.annotations.name
    place = str(task.slot) if task.slot else task.node_id
    service = task.service_annotations.name
    return ".".join(part for part in (service, place, task.id) if part)


def state_name(state: int) -> str:
    """RUNNING, or the bare number of a state that we do not know."""
    return _NAMES.get(api.TaskState.ValueType(state), str(state))
