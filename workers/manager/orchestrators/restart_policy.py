"""Restart or not, and when (pure).

The conditions, attempts and windows are SwarmKit's. The back-off is ours: a task that fails soon
after its start, again and again, waits longer each time, up to five minutes, until one ran well.
One that died with its host says nothing either way.
A policy with max_attempts ends by itself, so its delay stays as it was asked for.

What was restarted how often stands in labels of the replacement: a new leader reads it there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from swarmd import api
from swarmd.api import defaults, labels, nodes, services, tasks, times
from swarmd.backoff import Backoff
from workers.manager.orchestrators import slots

PATIENCE: Final = 2  # so many quick failures are restarted after the spec's own delay
CEILING_SECONDS: Final = 300.0
FLOOR_SECONDS: Final = 1.0  # what a delay of nothing doubles from
WELL_SECONDS: Final = 60.0  # who runs that long, and longer than it waited, ran well

ATTEMPT_LABEL: Final = labels.RESTART_ATTEMPT
FAILURES_LABEL: Final = labels.RESTART_FAILURES
DELAY_LABEL: Final = labels.RESTART_DELAY

_Condition = api.RestartPolicy.RestartCondition
_FAILED: Final = frozenset({api.TaskState.FAILED, api.TaskState.REJECTED})


@dataclass(frozen=True, slots=True)
class Restart:
    """How a task came to be: the nothing of it is a task that replaced none."""

    attempt: int = 0  # which restart it is, in its slot and of its spec version
    failures: int = 0  # so many failed soon after their start, one after another, before it
    delay_seconds: float = 0.0

    def __str__(self) -> str:
        if self.failures <= PATIENCE:
            return ""
        return f"restart {self.failures} in {self.delay_seconds:.0f} s (crash-looping)"


def of(task: api.Task) -> Restart:
    """The restart that made this task."""
    told = task.annotations.labels
    if ATTEMPT_LABEL not in told:
        return Restart()
    return Restart(int(told[ATTEMPT_LABEL]), int(told[FAILURES_LABEL]), float(told[DELAY_LABEL]))


def mark(task: api.Task, restart: Restart) -> None:
    """Write it into the replacement, for people and for the next leader."""
    told = task.annotations.labels
    told[ATTEMPT_LABEL] = str(restart.attempt)
    told[FAILURES_LABEL] = str(restart.failures)
    told[DELAY_LABEL] = f"{restart.delay_seconds:.3f}"
    announce(task, restart)


def announce(task: api.Task, restart: Restart, held: str = "") -> None:
    """Say in its status that the slot is crash-looping, and so is started late, or is held."""
    if held or str(restart):
        told = task.status.message.partition(": restart ")[0]
        task.status.message = f"{told}: restart held ({held})" if held else f"{told}: {restart}"


def is_restarted(task: api.Task, service: api.Service, slot: Sequence[api.Task]) -> bool:
    """May this task be replaced? `slot` holds it and those that were there before."""
    condition = defaults.restart_condition(task.spec)
    if condition == _Condition.NONE:
        return False
    completed = task.status.state == api.TaskState.COMPLETE
    if completed and (condition == _Condition.ON_FAILURE or services.is_job(service)):
        return False
    allowed = task.spec.restart.max_attempts
    return allowed == 0 or _attempts(task, slot) < allowed


def next_restart(
    task: api.Task, service: api.Service, node: api.Node | None, random: Random
) -> Restart:
    """The restart that replaces this task; who lost its node is not at fault, and need not wait."""
    same = _same_version(task, service)
    before = of(task) if same else Restart()
    failures = _quick_failures(task, before)
    lost = nodes.is_drained(node) or nodes.is_down(node) or (node is None and task.node_id != "")
    delay = 0.0 if lost else _delay(task.spec, failures, random)
    return Restart(before.attempt + 1, failures, delay)


def filling(slot: Sequence[api.Task], service: api.Service) -> slots.Slot:
    """What fills the slot: those wanted, or else one that ended and is not to be restarted.

    Empty means that a task is missing here. What ended counts as filling, so that a service whose
    tasks are not restarted is not filled up again; but an update replaces it. A rollback fills
    such slots too, since it must end with every slot on the old spec.
    """
    wanted = slots.wanted(slot)
    kept = [task for task in slot if task.desired_state != api.TaskState.REMOVE]
    if wanted or not kept or services.rolling_back(service):
        return wanted
    last = slots.newest(kept)
    return [] if is_restarted(last, service, kept) else [last]


def mark_held(task: api.Task, now: float) -> None:
    """Write into a task that starts now how much later that is than it was to be."""
    held = now - start_time(task)
    if held >= 1:
        task.annotations.labels[labels.RESTART_HELD] = f"{held:.3f}"


def start_time(task: api.Task) -> float:
    """When a task may start, which waits in desired state READY."""
    return tasks.created(task) + of(task).delay_seconds


def _attempts(task: api.Task, slot: Sequence[api.Task]) -> int:
    window = times.seconds(task.spec.restart.window)
    if not window:
        return of(task).attempt
    ended = tasks.since(task)
    return sum(
        of(other).attempt > 0
        and other.spec_version == task.spec_version
        and ended - window < tasks.created(other) < ended
        for other in slot
    )


def lived_seconds(task: api.Task) -> float:
    """From when it might start to its end; none of it for a rejected one.

    That never ran, however long its image took to be found missing.
    """
    if task.status.state == api.TaskState.REJECTED:
        return 0.0
    held = float(task.annotations.labels.get(labels.RESTART_HELD, 0))
    return max(0.0, tasks.since(task) - start_time(task) - held)


def ran_well(task: api.Task, lived: float) -> bool:
    """Long enough that its end was no failure to start; `lived` is in seconds."""
    return lived >= max(WELL_SECONDS, of(task).delay_seconds)


def _quick_failures(task: api.Task, before: Restart) -> int:
    if task.status.state not in _FAILED:
        return 0
    if ran_well(task, lived_seconds(task)):
        return 0
    return before.failures + (not tasks.went_with_its_engine(task))


def _delay(spec: api.TaskSpec, failures: int, random: Random) -> float:
    asked = defaults.restart_delay(spec)
    if failures <= PATIENCE or spec.restart.max_attempts:
        return asked
    # The first one is twice what was asked for, and half of it at least: never shorter than asked.
    backoff = Backoff(2 * max(asked, FLOOR_SECONDS), CEILING_SECONDS, random)
    backoff.failures = failures - PATIENCE - 1
    return max(asked, backoff.next())


def _same_version(task: api.Task, service: api.Service) -> bool:
    return task.spec_version.index == service.spec_version.index
