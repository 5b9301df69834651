"""Rolling updates and rollbacks, run: a few slots at a time, watched while they settle.

The orchestrators ask for it whenever a service or its set of slots changed. What was done so far
is read from the tasks and the service's update status, so it does not matter who began.
"""

from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Any

from swarmd import api
from swarmd.api import services, tasks, times
from swarmd.clock import Clock, wait_event
from swarmd.logs import fields, get_logger
from swarmd.store import Event, ReadTx, Select, Store, WriteTx, by
from swarmd.turns import in_turns
from workers.manager.orchestrators import fit, new_task, slots, update_plan
from workers.manager.orchestrators.loop import Change, TimedLoop
from workers.manager.orchestrators.restarts import neighbours, replacement
from workers.manager.orchestrators.slots import Slot
from workers.manager.orchestrators.update_plan import Key, Rollout, Step, UpdateState, Verdict

log = get_logger(__name__)


class Updater(TimedLoop):
    """Carries out the updates of all services, one rollout each."""

    def __init__(self, store: Store, clock: Clock, random: Random) -> None:
        super().__init__(store, clock, random)
        self._rollouts: dict[str, Rollout] = {}
        self._asked: set[str] = set()
        self._touched: dict[str, set[Key]] = {}
        self._wake_at: dict[str, float] = {}
        self._heard_since = 0.0

    def request(self, service_id: str) -> None:
        """See to it that the service's slots become what its spec says.

        Call it after the number of slots is right: which of them go is not the updater's concern.
        """
        self._asked.add(service_id)
        self.wake()

    def selects(self) -> Sequence[Select[Any]]:
        return (Select(api.Task, where=lambda event: event.object.service_id in self._rollouts),)

    async def look(self) -> None:
        # What is under way was asked for by the orchestrators; after an overrun it is read anew.
        self._asked.update(self._rollouts)
        self._heard_since = self.clock.now()

    def note(self, event: Event) -> None:
        task = getattr(event, "object", None)
        rollout = self._rollouts.get(task.service_id) if isinstance(task, api.Task) else None
        if task is not None and rollout is not None:
            key = _key(rollout.service, task)
            self._touched.setdefault(task.service_id, set()).add(key)

    async def wait_due(self) -> None:
        soonest = min(self._wake_at.values(), default=None)
        seconds = None if soonest is None else max(0.0, soonest - self.clock.now())
        await wait_event(self.due, self.clock, seconds)

    async def act(self) -> None:
        now = self.clock.now()
        for service_id in await self._to_look_at(now):
            rollout = self._rollouts.get(service_id)
            if rollout is not None:
                await self._advance(rollout, now)

    async def _to_look_at(self, now: float) -> set[str]:
        tx = self.store.view()
        asked, self._asked = self._asked, set()
        touched, self._touched = self._touched, {}
        async for service_id in in_turns(asked, 1):
            self._begin(tx, service_id)
        for service_id in touched.keys() - asked:
            self._see(tx, service_id, touched[service_id])
        woken = {service_id for service_id, moment in self._wake_at.items() if moment <= now}
        return asked | touched.keys() | woken

    def _begin(self, tx: ReadTx, service_id: str) -> None:
        service = tx.services.get(service_id)
        self._wake_at.pop(service_id, None)
        old = self._rollouts.pop(service_id, None)
        if service is None or services.is_job(service):
            return
        rollout = Rollout(service, old, self._heard_since)
        self._rollouts[service_id] = rollout
        found = _slots_of(tx, service)
        for key in update_plan.in_order(found):
            _see_slot(tx, rollout, key, found[key])

    def _see(self, tx: ReadTx, service_id: str, keys: set[Key]) -> None:
        rollout = self._rollouts.get(service_id)
        if rollout is None:
            return
        for key in update_plan.in_order(keys):
            _see_slot(tx, rollout, key, _slot(tx, rollout.service, key))

    async def _advance(self, rollout: Rollout, now: float) -> None:
        service = rollout.service
        step = rollout.step(now)
        changes = self._changes(service, step, now)
        if changes:
            self._see_again(service, step, await self.commit(changes))
        elif rollout.is_over:
            self._rollouts.pop(service.id, None)
        self._wake_at.pop(service.id, None)
        if step.wake_at is not None:
            self._wake_at[service.id] = step.wake_at

    def _changes(self, service: api.Service, step: Step, now: float) -> list[Change]:
        changes: list[Change] = []
        if step.verdict is not None:
            told = fields(service=service.id, message=step.verdict.message)
            log.info("update status changes", extra=told)
            changes.append(partial(tell, service=service, verdict=step.verdict, now=now))
        changes += [
            partial(replace, service=service, slot=slot, now=now, random=self.random)
            for slot in step.replace
        ]
        changes += [partial(shut_down, task_id=task.id) for task in step.shut_down]
        return changes

    def _see_again(self, service: api.Service, step: Step, results: Sequence[Any]) -> None:
        """What the step changed is looked at once more, whether or not its events have come."""
        if step.verdict is not None or None in results:  # the service is not what it was
            self.request(service.id)
            return
        keys = {_key(service, slot[0]) for slot in step.replace}
        keys |= {_key(service, task) for task in step.shut_down}
        self._touched.setdefault(service.id, set()).update(keys)
        self.wake()


def tell(tx: WriteTx, service: api.Service, verdict: Verdict, now: float) -> api.Service | None:
    """Write how the update stands; nothing if the service was changed since that was decided."""
    if not _is_unchanged(tx, service):
        return None
    own = tx.services.copy(service.id)
    status = own.update_status
    status.state = verdict.state
    status.message = verdict.message
    if verdict.state == UpdateState.UPDATING:
        status.started_at.CopyFrom(times.timestamp(now))
    if verdict.state in (UpdateState.COMPLETED, UpdateState.ROLLBACK_COMPLETED):
        status.completed_at.CopyFrom(times.timestamp(now))
    if verdict.rolls_back:
        _take_previous_spec(own)
    return tx.services.update(own)


def replace(
    tx: WriteTx, service: api.Service, slot: Slot, now: float, random: Random
) -> api.Task | None:
    """Put a task of the new spec into the slot; stop what is there now, or later if so asked."""
    current = tx.services.get(service.id)
    if current is None or current.spec_version != service.spec_version:
        return None
    wanted = {task.id for task in slots.wanted(slot)}
    if wanted != {task.id for task in slots.wanted(neighbours(tx, service, slot[0]))}:
        return None  # it was restarted, scaled away or updated meanwhile
    made = replacement(tx, slot[0], service, now, random)
    made.desired_state = api.TaskState.READY
    new_task.mark_update(made, service)
    kept = _kept(slot) if update_plan.starts_first(service) else ""
    for task_id in wanted - {kept}:
        shut_down(tx, task_id)
    return new_task.put(tx, made, service)


def _kept(slot: Slot) -> str:
    """The one task of the slot that goes on until the new one runs: the one that is furthest.

    There are two where an update began before the one before it was through with the slot, and
    none where the last one was given up.
    """
    wanted = slots.wanted(slot)
    return (
        max(wanted, key=lambda one: (tasks.is_running(one), one.status.state)).id if wanted else ""
    )


def shut_down(tx: WriteTx, task_id: str) -> api.Task | None:
    """Nobody wants the task any more; None where that was so already, or it is gone."""
    task = tx.tasks.get(task_id)
    if task is None or not tasks.is_wanted_job(task):
        return None
    own = tx.tasks.copy(task_id)
    own.desired_state = api.TaskState.SHUTDOWN
    return tx.tasks.update(own)


def _take_previous_spec(service: api.Service) -> None:
    service.spec.CopyFrom(service.previous_spec)
    service.ClearField("spec_version")
    if service.HasField("previous_spec_version"):
        service.spec_version.CopyFrom(service.previous_spec_version)
    service.ClearField("previous_spec")
    service.ClearField("previous_spec_version")


def _is_unchanged(tx: ReadTx, service: api.Service) -> bool:
    current = tx.services.get(service.id)
    return (
        current is not None
        and current.spec_version == service.spec_version
        and current.HasField("update_status") == service.HasField("update_status")
        and current.update_status.state == service.update_status.state
    )


def _slots_of(tx: ReadTx, service: api.Service) -> dict[Key, Slot]:
    found = tx.tasks.find(by.service(service.id))
    grouped: dict[Key, Slot] = {}
    for task in found:
        grouped.setdefault(_key(service, task), []).append(task)
    return grouped


def _slot(tx: ReadTx, service: api.Service, key: Key) -> Slot:
    if services.is_global(service):
        return [one for one in tx.tasks.find(by.node(str(key))) if one.service_id == service.id]
    return tx.tasks.find(by.slot(service.id, int(key)))


def _key(service: api.Service, task: api.Task) -> Key:
    return task.node_id if services.is_global(service) else task.slot


def _see_slot(tx: ReadTx, rollout: Rollout, key: Key, slot: Slot) -> None:
    spec = rollout.service.spec.task
    if services.is_global(rollout.service) and not fit.takes_updates(spec, tx.nodes.get(str(key))):
        slot = []  # a paused node keeps what it has, others the orchestrator clears
    rollout.see(key, slot, tx.nodes.get)
