"""How far a service is from what it was asked to be (pure)."""

import enum
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from swarmd import api
from swarmd.api import services
from swarmd.api.times import seconds

_FAILURES: Final = 3
"""So many failed tasks in one slot are a crash loop."""
_State = api.TaskState
_Update = api.UpdateStatus.UpdateState
_Condition = api.RestartPolicy.RestartCondition
_FAILED: Final = (_State.FAILED, _State.REJECTED)
_IN_PROGRESS: Final = (_Update.UPDATING, _Update.ROLLBACK_STARTED)
_BROKEN: Final = (_Update.PAUSED, _Update.ROLLBACK_PAUSED)


class Verdict(enum.Enum):
    WAITING = "waiting"
    CONVERGED = "converged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a service is: so many done of those wanted, and why it is not further.

    `what` says what done means: tasks that are running, or of a job complete.
    """

    verdict: Verdict
    done: int
    wanted: int
    states: dict[str, int] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    what: str = "running"


def judge(
    service: api.Service,
    tasks: Sequence[api.Task],
    nodes: int,
    *,
    goes_back: bool = False,
    held: Sequence[str] = (),
) -> Progress:
    """What to think of a service with these tasks, where so many nodes would take one.

    That its update was rolled back is a failure, unless it `goes_back` as it was told to; and so
    is that it is `held`, for these reasons.
    """
    if services.is_job(service):
        return _judge_job(service, tasks, nodes)
    live = [one for one in tasks if one.desired_state <= _State.RUNNING]
    running = [one for one in live if one.status.state == _State.RUNNING]
    wanted = service.spec.replicated.replicas if services.is_replicated(service) else nodes
    update = service.update_status
    reasons = _reasons(live)
    if update.state in _BROKEN:
        verdict, reasons = Verdict.FAILED, (update.message, *reasons)
    elif held:
        verdict, reasons = Verdict.FAILED, (*held, *reasons)
    elif loop := _crash_loop(service, tasks):
        verdict, reasons = Verdict.FAILED, (loop, *reasons)
    elif update.state == _Update.ROLLBACK_COMPLETED and not goes_back:
        verdict, reasons = Verdict.FAILED, (update.message or "rolled back", *reasons)
    elif len(running) == len(live) == wanted and update.state not in _IN_PROGRESS:
        verdict = Verdict.CONVERGED
    else:
        verdict = Verdict.WAITING
    return Progress(verdict, len(running), wanted, _states(live), _once(reasons))


def _judge_job(service: api.Service, tasks: Sequence[api.Task], nodes: int) -> Progress:
    """A job is done when so many tasks of this run are complete; or when some will never be."""
    run = services.job_iteration(service)
    tasks = [one for one in tasks if one.job_iteration.index == run]
    live = [one for one in tasks if one.desired_state <= _State.COMPLETE]
    complete = sum(one.status.state == _State.COMPLETE for one in tasks)
    wanted = nodes
    if services.is_replicated_job(service):
        wanted = service.spec.replicated_job.total_completions
    reasons = _reasons(live)
    given_up = _given_up(service.spec.task.restart, tasks)
    if given_up:
        verdict, reasons = Verdict.FAILED, (given_up, *reasons)
    elif complete >= wanted and (wanted or services.is_replicated_job(service)):
        verdict = Verdict.CONVERGED
    else:
        verdict = Verdict.WAITING
    return Progress(verdict, complete, wanted, _states(live), _once(reasons), "complete")


def _given_up(policy: api.RestartPolicy, tasks: Sequence[api.Task]) -> str:
    """The last error of a slot whose failed task is not to be restarted; empty for none."""
    failed = [one for one in tasks if one.status.state in _FAILED]
    for place, count in Counter(map(_place, failed)).items():
        last = max((one for one in failed if _place(one) == place), key=_when)
        never = policy.condition == _Condition.NONE
        spent = policy.max_attempts and count > policy.max_attempts
        if last.status.state == _State.REJECTED or never or spent or count >= _FAILURES:
            return last.status.err or last.status.message
    return ""


def _states(live: Sequence[api.Task]) -> dict[str, int]:
    return dict(Counter(_State.Name(one.status.state) for one in live))


def _reasons(live: Sequence[api.Task]) -> tuple[str, ...]:
    return tuple(one.status.err for one in live)


def _once(reasons: Sequence[str]) -> tuple[str, ...]:
    return tuple(filter(None, dict.fromkeys(reasons)))


def _crash_loop(service: api.Service, tasks: Sequence[api.Task]) -> str:
    """The last error of a slot whose tasks of this spec fail again and again; empty for none."""
    failed = [
        one
        for one in tasks
        if one.status.state in _FAILED and one.spec_version.index == service.spec_version.index
    ]
    for place, count in Counter(map(_place, failed)).items():
        last = max((one for one in failed if _place(one) == place), key=_when)
        if last.status.state == _State.REJECTED or count >= _FAILURES:
            return last.status.err or last.status.message
    return ""


def _place(task: api.Task) -> tuple[int, str]:
    return task.slot, "" if task.slot else task.node_id


def _when(task: api.Task) -> float:
    return seconds(task.status.timestamp)
