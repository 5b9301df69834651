"""The next slots of an update, and when it pauses, rolls back or is complete (pure).

A slot is dirty until a task of the new spec was put into it; under way until that task runs or
has ended; then it has arrived, and after the delay makes room for the next. All of this is read
from the tasks, so a rollout can be made anew at any time: by another leader, or after a change.

    dirty ──replace──▶ under way ──runs or ended──▶ arrived ──delay──▶ the next dirty one's turn

Its tasks' failures count while they are under way and, in a monitor period, after they ran.
MOVES has the whole of the update status; out of a state that is not in it, only the user leads.
"""

import ctypes
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from swarmd import api
from swarmd.api import defaults, services, tasks, times
from workers.manager.orchestrators import restart_policy
from workers.manager.orchestrators.dirty import is_dirty
from workers.manager.orchestrators.new_task import is_of_update
from workers.manager.orchestrators.slots import Slot

Key = int | str  # a slot by its number, or by its node
NodeOf = Callable[[str], api.Node | None]
UpdateState = api.UpdateStatus.UpdateState
Action = api.UpdateConfig.FailureAction


class Event(Enum):
    """What moves an update's status."""

    BEGAN = auto()
    DONE = auto()
    FAILED = auto()
    FAILED_FOR_GOOD = auto()  # its spec says to roll it back


MOVES: Final[Mapping[UpdateState.ValueType, Mapping[Event, UpdateState.ValueType]]] = {
    UpdateState.UNKNOWN: {
        Event.BEGAN: UpdateState.UPDATING,
        Event.FAILED: UpdateState.PAUSED,
        Event.FAILED_FOR_GOOD: UpdateState.ROLLBACK_STARTED,
    },
    UpdateState.UPDATING: {
        Event.DONE: UpdateState.COMPLETED,
        Event.FAILED: UpdateState.PAUSED,
        Event.FAILED_FOR_GOOD: UpdateState.ROLLBACK_STARTED,
    },
    UpdateState.ROLLBACK_STARTED: {
        Event.DONE: UpdateState.ROLLBACK_COMPLETED,
        Event.FAILED: UpdateState.ROLLBACK_PAUSED,
        Event.FAILED_FOR_GOOD: UpdateState.ROLLBACK_PAUSED,  # a rollback is never rolled back
    },
}
_WORDS: Final = {
    UpdateState.UPDATING: "update in progress",
    UpdateState.COMPLETED: "update completed",
    UpdateState.PAUSED: "update paused",
    UpdateState.ROLLBACK_STARTED: "update rolled back",
    UpdateState.ROLLBACK_COMPLETED: "rollback completed",
    UpdateState.ROLLBACK_PAUSED: "rollback paused",
}
_FAILURES: Final = frozenset({api.TaskState.COMPLETE, api.TaskState.FAILED, api.TaskState.REJECTED})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the service's update status is to become."""

    state: UpdateState.ValueType
    message: str

    @property
    def rolls_back(self) -> bool:
        """The service gets its previous spec back as well."""
        return self.state == UpdateState.ROLLBACK_STARTED


@dataclass(slots=True)
class Step:
    """What to do now; each slot is the list of the tasks that the decision rests on."""

    replace: list[Slot] = field(default_factory=list)
    shut_down: list[api.Task] = field(default_factory=list)
    verdict: Verdict | None = None
    wake_at: float | None = None  # look again then, if nothing happens before


class Rollout:
    """One update or rollback of one service, at its present version and update status.

    What happened before `heard_since` may not have been told yet: the leader is new.
    """

    def __init__(
        self, service: api.Service, before: "Rollout | None" = None, heard_since: float = 0.0
    ) -> None:
        self.service = service
        self._heard_since = heard_since
        self._config = config_of(service)
        self._delay = times.seconds(self._config.delay)
        self._monitor = defaults.monitor(self._config)
        self._dirty: dict[Key, Slot] = {}
        self._surplus: dict[Key, Slot] = {}
        self._under_way: set[Key] = set()
        self._arrived: dict[Key, float] = {}
        # The tasks as they ran, which they no longer tell once they ended; None: not yet.
        self.ran: dict[str, api.Task | None] = {} if before is None else before.ran
        self._failed: dict[str, None] = {}  # in the order in which they failed

    def see(self, key: Key, slot: Sequence[api.Task], node_of: NodeOf) -> None:
        """Take note of the slot as it is now; all of its tasks, or none when it is gone."""
        self._forget(key)
        made = [task for task in slot if is_of_update(task, self.service)]
        for task in made:
            self._see_made(task)
        if made:
            self._place(key, max(made, key=tasks.created))
        filling = restart_policy.filling(slot, self.service)
        clean = [task for task in filling if not self._is_dirty(task, node_of)]
        if filling and not clean and not made:  # who failed in its turn gets no second one
            self._dirty[key] = filling
        elif clean and len(filling) > 1:
            self._see_surplus(key, filling, clean)

    def step(self, now: float) -> Step:
        """What is to be done now."""
        step = Step(shut_down=[task for slot in self._surplus.values() for task in slot])
        if services.update_paused(self.service):
            return step
        step.verdict = self._judge()
        if step.verdict is None and self._dirty:
            self._choose(step, now)
        elif step.verdict is None and not self._under_way and not self._surplus:
            self._complete(step, now)
        return step

    @property
    def is_over(self) -> bool:
        """Nothing is left to do before the service or its slots change."""
        if self._surplus or self._under_way:
            return False
        if services.update_paused(self.service):
            return True
        return not self._dirty and not services.update_under_way(self.service)

    def _forget(self, key: Key) -> None:
        self._dirty.pop(key, None)
        self._surplus.pop(key, None)
        self._under_way.discard(key)
        self._arrived.pop(key, None)

    def _is_dirty(self, task: api.Task, node_of: NodeOf) -> bool:
        return is_dirty(self.service, task, node_of(task.node_id))

    def _see_made(self, task: api.Task) -> None:
        if tasks.is_running(task):
            self.ran[task.id] = task
        elif not tasks.is_terminal(task):
            self.ran[task.id] = None
        elif task.status.state in _FAILURES and self._ended_soon(task):
            self._failed[task.id] = None

    def _ended_soon(self, task: api.Task) -> bool:
        if task.id not in self.ran:
            # Of one that we never saw alive only its creation is known: the leader changed.
            return tasks.since(task) - tasks.created(task) <= self._monitor
        ran = self.ran[task.id]
        return ran is None or _seconds_between(ran, task) <= self._monitor

    def _place(self, key: Key, made: api.Task) -> None:
        if made.status.state >= api.TaskState.RUNNING:
            self._arrived[key] = tasks.since(self.ran.get(made.id) or made)
        elif tasks.is_wanted(made):
            self._under_way.add(key)
        else:
            self._arrived[key] = 0.0  # given up before it ran: the slot is free again

    def _see_surplus(self, key: Key, filling: Slot, clean: Slot) -> None:
        kept = max(clean, key=lambda task: (tasks.is_running(task), task.desired_state))
        if tasks.is_running(kept) or not _starts_first(self._config):
            self._surplus[key] = [task for task in filling if task is not kept]
        else:
            # It may be a restart's, not the update's own: the old one goes once this one runs.
            self._arrived.pop(key, None)
            self._under_way.add(key)

    def _judge(self) -> Verdict | None:
        involved = len(self._dirty.keys() | self._under_way | self._arrived.keys())
        action = self._config.failure_action
        if action == Action.CONTINUE or not self._failed or services.update_ended(self.service):
            return None
        if not _exceeds(len(self._failed), involved, self._config.max_failure_ratio):
            return None
        return _after_failure(self.service, action, next(reversed(self._failed)))

    def _choose(self, step: Step, now: float) -> None:
        if not self.service.HasField("update_status"):
            step.verdict = _verdict(self.service, Event.BEGAN)
        free_at = sorted(since + self._delay for since in self._arrived.values())
        resting = [moment for moment in free_at if moment > now]
        allowed = self._config.parallelism or len(self._dirty) + len(self._arrived)
        room = allowed - len(self._under_way) - len(resting)
        step.replace = list(self._dirty.values())[: max(0, room)]
        if resting and len(step.replace) < len(self._dirty):
            step.wake_at = resting[0]

    def _complete(self, step: Step, now: float) -> None:
        if not services.update_under_way(self.service):
            return
        last = max(self._arrived.values(), default=None)
        done_at = 0.0 if last is None else max(last, self._heard_since) + self._monitor
        if done_at > now:
            step.wake_at = done_at
        else:
            step.verdict = _verdict(self.service, Event.DONE)


def config_of(service: api.Service) -> api.UpdateConfig:
    """How the update that goes on is to go on: a rollback has a config of its own."""
    spec = service.spec
    if services.rolling_back(service):
        return spec.rollback if spec.HasField("rollback") else defaults.update_config()
    return spec.update if spec.HasField("update") else defaults.update_config()


def starts_first(service: api.Service) -> bool:
    """The new task runs before the old one stops."""
    return _starts_first(config_of(service))


def in_order(keys: Iterable[Key]) -> list[Key]:
    """Slots by number, or nodes by id, so that an update goes the same way each time."""
    return sorted(keys, key=lambda key: (isinstance(key, str), key))


def _starts_first(config: api.UpdateConfig) -> bool:
    return config.order == api.UpdateConfig.UpdateOrder.START_FIRST


def _seconds_between(ran: api.Task, ended: api.Task) -> float:
    """For how long it ran: by its host's clock, or by the manager's, which may hear of it late."""
    heard = tasks.since(ended) - tasks.since(ran)
    own = times.seconds(ended.status.timestamp) - times.seconds(ran.status.timestamp)
    return min(heard, own) if own > 0 else heard  # a host's clock can be set back


def _exceeds(failed: int, involved: int, ratio: float) -> bool:
    # The ratio came as 32 bits. In 64, seven failures of ten would exceed an allowed 0.7.
    return ctypes.c_float(failed / max(1, involved)).value > ratio


def _after_failure(service: api.Service, action: Action.ValueType, task_id: str) -> Verdict:
    reason = f" due to failure or early termination of task {task_id}"
    if action != Action.ROLLBACK:
        return _verdict(service, Event.FAILED, reason)
    if services.rolling_back(service) or service.HasField("previous_spec"):
        return _verdict(service, Event.FAILED_FOR_GOOD, reason)
    return _verdict(service, Event.FAILED, f"{reason}: no spec to roll back to")


def _verdict(service: api.Service, event: Event, reason: str = "") -> Verdict:
    state = MOVES[service.update_status.state][event]
    return Verdict(state, _WORDS[state] + reason)
