"""What a job lacks in its present iteration (pure).

Each completion has a slot of its own, from 0 on: a failed one is restarted there, and in the end
every slot has one completed task. A slot whose task is not to be restarted is given up.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from swarmd import api
from swarmd.api import nodes, services, tasks
from workers.manager.orchestrators import fit, restart_policy, slots
from workers.manager.orchestrators.slots import Slot

_OUTCOMES: Final = frozenset({api.TaskState.COMPLETE, api.TaskState.FAILED, api.TaskState.REJECTED})


@dataclass(slots=True)
class JobPlan:
    """What to do for it, by slot or by node."""

    new_slots: list[int] = field(default_factory=list)
    new_nodes: list[str] = field(default_factory=list)
    restart: list[api.Task] = field(default_factory=list)
    remove: list[api.Task] = field(default_factory=list)
    shut_down: list[api.Task] = field(default_factory=list)


def replicated(service: api.Service, found: Sequence[api.Task]) -> JobPlan:
    """As many at once as max_concurrent says, until there are total_completions."""
    current, plan = _current(service, found)
    plan.remove = [task for task in plan.remove if not tasks.is_terminal(task)]
    grouped = slots.by_number(current)
    ended = [task for task in current if _has_failed(task)]
    plan.restart = ended
    given_up = [task for task in ended if not _again(task, service, grouped[task.slot])]
    at_work = sum(map(_is_at_work, current)) - len(given_up)
    spec = service.spec.replicated_job
    taken = {number for number, slot in grouped.items() if _is_taken(slot)}
    free = (number for number in range(spec.total_completions) if number not in taken)
    plan.new_slots = list(islice(free, max(0, spec.max_concurrent - at_work)))
    return plan


def global_job(
    service: api.Service, found: Sequence[api.Task], all_nodes: Iterable[api.Node]
) -> JobPlan:
    """Once on each node that can take tasks and meets the constraints."""
    current, plan = _current(service, found)
    grouped = slots.by_node(current)
    plan.restart = [task for task in current if _has_failed(task)]
    for node in all_nodes:
        if not fit.satisfies(service.spec.task, node):
            continue
        if nodes.can_take_tasks(node) and not _is_taken(grouped.get(node.id, [])):
            plan.new_nodes.append(node.id)
        if not nodes.can_keep_tasks(node):
            _leave(plan, grouped.get(node.id, []))
    return plan


def _current(service: api.Service, found: Sequence[api.Task]) -> tuple[Slot, JobPlan]:
    iteration = services.job_iteration(service)
    mine = [task for task in found if tasks.is_of_job(task)]
    old = [task for task in mine if task.job_iteration.index != iteration]
    remove = [task for task in old if task.desired_state < api.TaskState.REMOVE]
    current = [task for task in mine if task.job_iteration.index == iteration]
    return current, JobPlan(remove=remove)


def _leave(plan: JobPlan, slot: Slot) -> None:
    wanted = [task for task in slot if tasks.is_wanted_job(task) and not tasks.is_terminal(task)]
    plan.shut_down += wanted


def _is_taken(slot: Slot) -> bool:
    """Something works there, is done, or failed for good; who was only sent away did neither."""
    return any(tasks.is_wanted_job(task) or task.status.state in _OUTCOMES for task in slot)


def _has_failed(task: api.Task) -> bool:
    return tasks.is_wanted_job(task) and task.status.state > api.TaskState.COMPLETE


def _is_at_work(task: api.Task) -> bool:
    return tasks.is_wanted_job(task) and task.status.state != api.TaskState.COMPLETE


def _again(task: api.Task, service: api.Service, slot: Slot) -> bool:
    return restart_policy.is_restarted(task, service, slot)
