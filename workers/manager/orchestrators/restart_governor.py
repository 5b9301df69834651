"""Holds services whose tasks die everywhere in the same way, and lets them go again.

What it holds stands in the store (`tx.breakers`), and so does what it judges by: the tasks. The
rules are in restart_breaker.py; restarts.py and new_task.py see to it that a held service's tasks
wait in desired state READY, one in each slot.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Final

from swarmd import api
from swarmd.api import breakers, services, tasks, times
from swarmd.api.protos.governor_pb2 import Breaker
from swarmd.clock import Clock, wait_event
from swarmd.logs import fields, get_logger
from swarmd.store import Created, Deleted, Event, ReadTx, Select, Store, Updated, WriteTx, by
from workers.manager.orchestrators import news, restart_breaker, restart_policy, restarts
from workers.manager.orchestrators.loop import Change, TimedLoop
from workers.manager.orchestrators.restart_breaker import State, Streak

log = get_logger(__name__)
UPDATED: Final = "the service was updated"
RAN_WELL: Final = "a task ran well"
_FAILED: Final = frozenset({api.TaskState.FAILED, api.TaskState.REJECTED})
_RUNNING: Final = api.TaskState.RUNNING
_READY: Final = api.TaskState.READY
_Move = restart_breaker.Event


@dataclass(frozen=True, slots=True)
class Scene:
    """What a service's tasks look like now."""

    places: int  # so many slots have a task that is wanted
    oldest_seconds: float  # for how long one of them runs at least
    waiting: Sequence[api.Task]  # those in desired state READY, the first one due first


class RestartGovernor(TimedLoop):
    """One breaker a service, opened, probed and closed."""

    def __init__(self, store: Store, clock: Clock, random: Random) -> None:
        super().__init__(store, clock, random)
        self._streaks: dict[str, Streak] = {}
        self._touched: dict[str, None] = {}
        self._wake_at: dict[str, float] = {}
        self._open: set[str] = set()  # the services that are held, as far as we were told

    def selects(self) -> Sequence[Select[Any]]:
        return (
            Select(api.Task, where=self._matters),
            Select(api.Service, where=news.is_service_news),
            Select(Breaker),
        )

    async def look(self) -> None:
        tx = self.store.view()
        self._streaks.clear()
        for state in _FAILED:
            self._touched.update(
                (one.service_id, None) for one in tx.tasks.find(by.task_state(state))
            )
        for service_id in self._touched:
            self._streak(tx, service_id)
        self._open = {breaker.id for breaker in tx.breakers.find() if breakers.is_open(breaker)}
        self._touched.update(dict.fromkeys(self._open))

    def note(self, event: Event) -> None:
        if not isinstance(event, Created | Updated | Deleted):
            return
        one = event.object
        if isinstance(one, api.Task):
            self._touched[one.service_id] = None
            self._note_task(one)
            return
        self._touched[one.id] = None  # … and all of its tasks are looked at, if it is held
        is_open = isinstance(one, Breaker) and breakers.is_open(one)
        if is_open:
            self._open.add(one.id)
        elif isinstance(one, Breaker) or isinstance(event, Deleted):
            self._open.discard(one.id)
            self._streaks.pop(one.id, None)

    def _note_task(self, task: api.Task) -> None:
        tx = self.store.view()
        service = tx.services.get(task.service_id)
        if service is None or not restart_breaker.counts(task, service):
            return
        known = self._streaks.get(service.id)
        if known is None or known.spec_version != service.spec_version.index:
            known = self._streaks[service.id] = Streak(service.spec_version.index)
        restart_breaker.note(known, task, service)

    async def wait_due(self) -> None:
        soonest = min(self._wake_at.values(), default=None)
        seconds = None if soonest is None else max(0.0, soonest - self.clock.now())
        await wait_event(self.due, self.clock, seconds)

    async def act(self) -> None:
        now = self.clock.now()
        touched, self._touched = self._touched, {}
        due = [one for one, moment in self._wake_at.items() if moment <= now]
        tx = self.store.view()
        changes: list[Change] = []
        for service_id in dict.fromkeys([*touched, *due]):
            self._wake_at.pop(service_id, None)
            changes += self._judge(tx, service_id, now)
        if changes:
            await self.commit(changes)

    def _judge(self, tx: ReadTx, service_id: str, now: float) -> list[Change]:
        """What is to change about this service's breaker now; notes when to look again."""
        service, breaker = tx.services.get(service_id), tx.breakers.get(service_id)
        if service is None:
            self._streaks.pop(service_id, None)
            return [partial(forget, service_id=service_id)] if breaker is not None else []
        if breaker is None or not breakers.is_open(breaker):
            return self._judge_closed(tx, service, now)
        if breaker.spec_version != service.spec_version.index or restart_breaker.is_exempt(service):
            return [_close(breaker, UPDATED, now, _Move.LET_GO)]
        if breaker.state == State.PROBING:
            return self._judge_probe(tx, breaker, now)
        return self._judge_open(tx, service, breaker, now)

    def _judge_closed(self, tx: ReadTx, service: api.Service, now: float) -> list[Change]:
        streak = self._streaks.get(service.id)
        current = streak is not None and streak.spec_version == service.spec_version.index
        if streak is None or not current or not streak.is_ripe:
            return []
        if services.update_under_way(service) or restart_breaker.is_exempt(service):
            return []
        replicas = service.spec.replicated.replicas  # 0 of a global one
        if len(streak.places) < restart_breaker.needed(replicas):
            return []  # most often, and cheaper than a look at all of its tasks
        scene = look_at(tx, service, now)
        if not streak.trips(scene.places, scene.oldest_seconds):
            return []
        told = fields(service=service.id, failures=streak.count, reason=streak.way)
        log.warning("service is held: its tasks die everywhere alike", extra=told)
        return [partial(trip, made=self._tripped(service, streak, now))]

    def _tripped(self, service: api.Service, streak: Streak, now: float) -> Breaker:
        return Breaker(
            id=service.id,
            state=restart_breaker.after(State.CLOSED, _Move.TRIPPED),
            spec_version=streak.spec_version,
            reason=streak.way,
            failures=streak.count,
            slots=len(streak.places),
            nodes=len(streak.nodes - {""}),
            times_opened=1,
            opened_at=times.timestamp(now),
            next_at=times.timestamp(now + restart_breaker.hold_seconds(1, self.random)),
            proof_seconds=streak.proof_seconds,
        )

    def _judge_open(
        self, tx: ReadTx, service: api.Service, breaker: Breaker, now: float
    ) -> list[Change]:
        held_until = times.seconds(breaker.next_at)
        if held_until > now:
            self._wake_at[breaker.id] = held_until
            return []
        scene = look_at(tx, service, now)
        if scene.oldest_seconds >= breaker.proof_seconds:
            return [_close(breaker, RAN_WELL, now, _Move.RUNS_WELL)]
        free = (task for task in scene.waiting if restarts.slot_is_free(tx, service, task))
        first = next(free, None)
        if first is None:
            # Its last tasks still die, or none is wanted. An event tells, but for one that runs.
            self._wake_at[breaker.id] = now + breaker.proof_seconds
            return []
        due = restart_policy.start_time(first)
        if due > now:
            self._wake_at[breaker.id] = due
            return []
        log.info("trying one task of a held service", extra=fields(service=breaker.id))
        return [partial(probe, breaker=breaker, task_id=first.id, now=now)]

    def _judge_probe(self, tx: ReadTx, breaker: Breaker, now: float) -> list[Change]:
        task = tx.tasks.get(breaker.probe_task_id)
        if task is not None and task.status.state == api.TaskState.COMPLETE:
            return [_close(breaker, RAN_WELL, now, _Move.RUNS_WELL)]
        died = task is not None and task.status.state in _FAILED
        if task is None or died or not tasks.is_wanted(task):
            # A probe that was sent away, by a drained node or a user, showed nothing.
            times_opened = breaker.times_opened + died
            hold = restart_breaker.hold_seconds(times_opened, self.random) if died else 0.0
            return [partial(reopen, breaker=breaker, times_opened=times_opened, at=now + hold)]
        if not tasks.is_running(task):
            return []
        proven_at = tasks.since(task) + breaker.proof_seconds
        if proven_at <= now:
            return [_close(breaker, RAN_WELL, now, _Move.RUNS_WELL)]
        self._wake_at[breaker.id] = proven_at
        return []

    def _streak(self, tx: ReadTx, service_id: str) -> None:
        service = tx.services.get(service_id)
        if service is not None:
            found = tx.tasks.find(by.service(service_id))
            self._streaks[service_id] = restart_breaker.build(service, found)

    def _matters(self, event: Any) -> bool:
        """A task failed; or, where a service is held, anything happened to one of its tasks."""
        task: api.Task = event.object
        state = task.status.state
        if state in _FAILED and (isinstance(event, Created) or _has_changed(event)):
            return True
        return bool(self._open) and task.service_id in self._open


def _has_changed(event: Any) -> bool:
    return isinstance(event, Updated) and event.old.status.state != event.object.status.state


def look_at(tx: ReadTx, service: api.Service, now: float) -> Scene:
    """All of the service's tasks, once."""
    places, oldest, waiting = set[restart_breaker.Place](), 0.0, list[api.Task]()
    for task in tx.tasks.find(by.service(service.id)):
        if not tasks.is_wanted(task):
            continue
        places.add(restart_breaker.place_of(task, service))
        if task.status.state == _RUNNING:
            oldest = max(oldest, now - tasks.since(task))
        elif task.desired_state == _READY:
            waiting.append(task)
    waiting.sort(key=restart_policy.start_time)
    return Scene(len(places), oldest, waiting)


def trip(tx: WriteTx, made: Breaker) -> Breaker | None:
    """Open it, unless it is open, or the service is another by now."""
    service, old = tx.services.get(made.id), tx.breakers.get(made.id)
    if service is None or service.spec_version.index != made.spec_version:
        return None
    if old is None:
        return tx.breakers.create(made)
    if breakers.is_open(old):
        return None
    made.meta.CopyFrom(old.meta)
    return tx.breakers.update(made)


def probe(tx: WriteTx, breaker: Breaker, task_id: str, now: float) -> Breaker | None:
    """Let that one task start."""
    own = _current(tx, breaker)
    if own is None or restarts.start(tx, task_id, now) is None:
        return None
    own.state = restart_breaker.after(own.state, _Move.HOLD_RAN)
    own.probe_task_id = task_id
    return tx.breakers.update(own)


def reopen(tx: WriteTx, breaker: Breaker, times_opened: int, at: float) -> Breaker | None:
    """The probe showed nothing good: try again then."""
    own = _current(tx, breaker)
    if own is None:
        return None
    own.state = restart_breaker.after(own.state, _Move.PROBE_DIED)
    own.probe_task_id = ""
    own.failures += times_opened - own.times_opened
    own.times_opened = times_opened
    own.next_at.CopyFrom(times.timestamp(at))
    return tx.breakers.update(own)


def close(tx: WriteTx, breaker: Breaker, why: str, move: restart_breaker.Event) -> Breaker | None:
    """Let the service go, and keep the reason."""
    own = _current(tx, breaker)
    if own is None:
        return None
    own.state = restart_breaker.after(own.state, move)
    own.reason = why
    own.probe_task_id = ""
    return tx.breakers.update(own)


def forget(tx: WriteTx, service_id: str) -> None:
    """Its service is gone."""
    if tx.breakers.get(service_id) is not None and tx.services.get(service_id) is None:
        tx.breakers.delete(service_id)


def _close(breaker: Breaker, why: str, now: float, move: restart_breaker.Event) -> Change:
    held = round(now - times.seconds(breaker.opened_at), 1)
    told = fields(service=breaker.id, reason=why, held_seconds=held)
    log.info("service is held no longer", extra=told)
    return partial(close, breaker=breaker, why=why, move=move)


def _current(tx: WriteTx, breaker: Breaker) -> Breaker | None:
    """A copy to change, if it is still as it was judged."""
    found = tx.breakers.get(breaker.id)
    if found is None or found.meta.version.index != breaker.meta.version.index:
        return None
    return tx.breakers.copy(breaker.id)
