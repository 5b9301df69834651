"""Is the cluster what its specs ask for? (pure) If not, what is missing, in words.

A slot may stand empty where nothing more can be done: no node has room for its task, or its
restart policy gave it up.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from swarmd import api
from swarmd.api import defaults
from workers.manager.orchestrators.dirty import is_dirty
from workers.simulation import picture as of
from workers.simulation.invariants import told
from workers.simulation.picture import Picture

_State = api.UpdateStatus.UpdateState
_PAUSED: Final = frozenset({_State.PAUSED, _State.ROLLBACK_PAUSED})
_BUSY: Final = frozenset({_State.UPDATING, _State.ROLLBACK_STARTED})
_PENDING: Final = api.TaskState.PENDING
_REMOVE: Final = api.TaskState.REMOVE
_Condition = api.RestartPolicy.RestartCondition


def lacks(picture: Picture, running: Mapping[str, Collection[str]]) -> Iterator[str]:
    """What is not as it should be; `running` has the processes of each host that is up."""
    for node in picture.nodes.values():
        if node.id in running and node.status.state != api.NodeStatus.State.READY:
            yield f"node {node.id[:6]} runs, and is not ready"
    for service in picture.services.values():
        for sentence in _service(picture, service):
            yield f"{service.spec.annotations.name}: {sentence}"
    for task in picture.tasks.values():
        yield from _unwanted(picture, task)
    yield from _processes(picture, running)


def _service(picture: Picture, service: api.Service) -> Iterator[str]:
    mine = [task for task in picture.tasks.values() if task.service_id == service.id]
    live = [task for task in mine if of.is_wanted(task) and task.status.state <= of.RUNNING]
    stuck = [task for task in live if _cannot_be_placed(picture, task)]
    mode = service.spec.WhichOneof("mode")
    for task in live:
        if task.status.state != of.RUNNING and task not in stuck:
            yield f"{told(task)} is on its way"
        elif mode in ("replicated_job", "global_job") and task not in stuck:
            yield f"{told(task)} is not done"
    match mode:
        case "replicated":
            yield from _replicated(picture, service, mine, live)
        case "global":
            yield from _global(picture, service, mine)
        case "replicated_job":
            yield from _job(picture, service, mine)
        case _:
            pass
    yield from _update(picture, service, live, stuck)


def _replicated(
    picture: Picture, service: api.Service, mine: list[api.Task], live: list[api.Task]
) -> Iterator[str]:
    wanted = service.spec.replicated.replicas
    filled = {task.slot for task in live}
    given_up = {task.slot for task in mine if task.slot not in filled and _gives_up(service, task)}
    few = len(filled) + len(given_up) < wanted
    # A slot that was given up may be forgotten, where little history is kept.
    if len(filled) > wanted or (few and not _may_give_up(service.spec.task)):
        yield f"{len(filled)} slots are filled, {len(given_up)} given up, of {wanted}"
    if len(live) > len(filled) and not _waits_with_two(picture, service, live):
        yield "a slot has two tasks"


def _waits_with_two(picture: Picture, service: api.Service, live: list[api.Task]) -> bool:
    """An update that starts first keeps the old ones, while it waits for room."""
    stuck = any(_cannot_be_placed(picture, task) for task in live)
    return stuck and service.id in picture.overlaps


def _global(picture: Picture, service: api.Service, mine: list[api.Task]) -> Iterator[str]:
    constraints = service.spec.task.placement.constraints
    for node in picture.nodes.values():
        there = [task for task in mine if task.node_id == node.id]
        live = [task for task in there if of.is_wanted(task) and task.status.state <= of.RUNNING]
        fits = of.meets(node, constraints)
        if len(live) > 1 and not _waits_with_two(picture, service, mine):
            yield f"node {node.id[:6]} has two tasks"
        if live and not (fits and of.keeps_tasks(node)):
            yield f"node {node.id[:6]} has a task that it may not have"
        given_up = any(_gives_up(service, task) for task in there)
        if not live and not given_up and fits and of.takes_tasks(node):
            yield f"node {node.id[:6]} has no task"


def _job(picture: Picture, service: api.Service, mine: list[api.Task]) -> Iterator[str]:
    iteration, asked = service.job_status.job_iteration.index, service.spec.replicated_job
    current = [task for task in mine if task.job_iteration.index == iteration]
    done = {task.slot for task in current if task.status.state == of.COMPLETE}
    given_up = {task.slot for task in current if _gives_up(service, task)} - done
    waiting = {task.slot for task in current if _cannot_be_placed(picture, task)}
    held = asked.max_concurrent <= len(waiting)
    seen_to = len(done) + len(given_up) + len(waiting)
    if seen_to < asked.total_completions and not held:
        yield f"{len(done)} completions, {len(given_up)} given up, of {asked.total_completions}"


def _update(
    picture: Picture, service: api.Service, live: list[api.Task], stuck: list[api.Task]
) -> Iterator[str]:
    if service.spec.WhichOneof("mode") not in ("replicated", "global"):
        return
    state = service.update_status.state if service.HasField("update_status") else None
    if state in _PAUSED:
        return
    if state in _BUSY and not stuck:
        yield f"its update is under way still: {service.update_status.message}"
    if stuck:
        return  # the others of its update wait for this one
    for task in live:
        node = picture.nodes.get(task.node_id)
        if is_dirty(service, task, node) and not _keeps_old(service, node):
            yield f"{told(task)} is of an earlier spec"


def _keeps_old(service: api.Service, node: api.Node | None) -> bool:
    """A paused node keeps what it has of a service with one task on each."""
    paused = node is not None and node.spec.availability == api.NodeSpec.Availability.PAUSE
    return paused and service.spec.WhichOneof("mode") == "global"


def _gives_up(service: api.Service, task: api.Task) -> bool:
    """It ended, and its policy has an end."""
    if task.status.state <= of.RUNNING or task.desired_state == _REMOVE:
        return False
    return _has_end(service.spec.task, task) or _has_end(task.spec, task)


def _may_give_up(spec: api.TaskSpec) -> bool:
    return defaults.restart_condition(spec) != _Condition.ANY or bool(spec.restart.max_attempts)


def _has_end(spec: api.TaskSpec, task: api.Task) -> bool:
    condition = defaults.restart_condition(spec)
    if condition == _Condition.NONE or spec.restart.max_attempts:
        return True
    return condition == _Condition.ON_FAILURE and task.status.state == of.COMPLETE


def _cannot_be_placed(picture: Picture, task: api.Task) -> bool:
    """It waits for a node, and rightly: none could take it."""
    if task.status.state != _PENDING or not of.is_wanted(task):
        return False
    nodes = picture.nodes.values()
    if task.node_id:
        nodes = [node for node in nodes if node.id == task.node_id]  # type: ignore[assignment]
    return not any(_fits(picture, node, task) for node in nodes)


def _fits(picture: Picture, node: api.Node, task: api.Task) -> bool:
    others = picture.tasks_on(node.id)
    if not of.takes_tasks(node) or not of.meets(node, task.spec.placement.constraints):
        return False
    ports = of.host_ports(task)
    if any(ports & of.host_ports(other) for other in others):
        return False
    most = task.spec.placement.max_replicas
    alike = [one for one in others if one.service_id == task.service_id and of.is_wanted(one)]
    if most and len(alike) >= most:
        return False
    return not of.lacks_room(node, others, task)


def _unwanted(picture: Picture, task: api.Task) -> Iterator[str]:
    if of.is_wanted(task):
        if task.status.state > of.RUNNING and task.service_id not in picture.services:
            yield f"{told(task)} has no service"
        return
    if of.ASSIGNED <= task.status.state <= of.RUNNING and not picture.is_lost(task.node_id):
        yield f"{told(task)} stops still"
    ended = task.status.state >= of.COMPLETE or task.status.state < of.ASSIGNED
    if task.desired_state == _REMOVE and ended:
        yield f"{told(task)} is not forgotten yet"


def _processes(picture: Picture, running: Mapping[str, Collection[str]]) -> Iterator[str]:
    for node_id, processes in running.items():
        known = {task.id for task in picture.tasks_on(node_id) if task.status.state == of.RUNNING}
        for task_id in [one for one in processes if one not in known]:
            yield f"task {task_id[:6]} runs on {node_id[:6]}, and nobody knows"
        for task_id in known.difference(processes):
            yield f"task {task_id[:6]} does not run on {node_id[:6]}"
