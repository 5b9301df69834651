"""Scheduler.run: pending tasks become committed decisions."""

from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import Final

from swarmd import api
from swarmd.clock import Clock
from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger
from swarmd.store import (
    Created,
    Deleted,
    Event,
    ReadTx,
    Select,
    Store,
    Updated,
    WatchOverflowError,
    by,
)
from swarmd.store.events import AnyChange
from swarmd.turns import in_turns
from workers.manager.scheduler import decisions
from workers.manager.scheduler.backlog import Backlog
from workers.manager.scheduler.decisions import Decision
from workers.manager.scheduler.node_info import MAX_FAILURES, is_wanted, kind_of
from workers.manager.scheduler.node_set import NodeSet
from workers.manager.scheduler.placement import Placement, place, place_here

_PENDING: Final = api.TaskState.PENDING
_RUNNING: Final = api.TaskState.RUNNING
_FAILED: Final = frozenset({api.TaskState.FAILED, api.TaskState.REJECTED})
_COMMIT_DECISIONS: Final = 2_000  # commit at this many, so that agents start before all is planned
_LONGEST_PAUSE_SECONDS: Final = 1.0

log = get_logger(__name__)


class Scheduler:
    """Gives pending tasks their nodes, for as long as this manager leads."""

    def __init__(self, store: Store, clock: Clock, random: Random) -> None:
        self._store = store
        self._clock = clock
        self._forget_all()

    async def run(self) -> None:
        """Schedule what is pending, then whatever comes, until cancelled."""
        while True:
            try:
                await self._follow()
            except WatchOverflowError:
                log.warning("scheduler fell behind, reads the store anew")

    async def _follow(self) -> None:
        selects = (
            Select(api.Task),
            Select(api.Node),
            Select(api.Service, actions={Deleted}),
            Select(api.Volume, where=_concerns_us),
        )
        async with self._store.watch(*selects) as watcher:
            await self._load(self._store.view())
            while True:
                await self._schedule()
                for event in await watcher.next():
                    self._observe(event)

    async def _schedule(self) -> None:
        """Place and commit what is due, then pause for as long as placing took.

        So an idle scheduler answers at once, and a busy one leaves half of the time to others,
        while what comes in gathers to larger groups.
        """
        begun, committing = self._clock.monotonic(), 0.0
        batch: list[Decision] = []
        for decision in self._decide():
            batch.append(decision)
            if len(batch) == _COMMIT_DECISIONS:
                committing += await self._commit(batch)
                batch = []
        committing += await self._commit(batch)
        placing = self._clock.monotonic() - begun - committing
        await self._clock.sleep(min(placing, _LONGEST_PAUSE_SECONDS))

    async def _commit(self, batch: Sequence[Decision]) -> float:
        """Commit the decisions, take back those that no longer hold; gives the seconds it took."""
        if not batch:
            return 0.0
        begun = self._clock.monotonic()
        results = await self._store.batch([decision.change for decision in batch])
        for decision, result in zip(batch, results, strict=True):
            if isinstance(result, SwarmError):
                self._take_back(decision)
        return self._clock.monotonic() - begun

    def _take_back(self, decision: Decision) -> None:
        if decision.node is not None:
            self._nodes.let_go(decision.task.id, decision.node.id)
            self._in_flight.discard(decision.task.id)
        current = self._store.view().tasks.get(decision.task.id)
        if current is None:
            self._end_task(decision.task)
        else:
            self._observe_task(current)

    # --- what to do about each group

    def _decide(self) -> Iterator[Decision]:
        for group in self._preassigned.take_due():  # they have nowhere else to go
            yield from self._end_unwanted(group)
            for task in filter(is_wanted, group):
                yield from self._carry_out(place_here(self._nodes, task), "")
        for group in self._unassigned.take_due():
            yield from self._end_unwanted(group)
            wanted = list(filter(is_wanted, group))
            if wanted:
                placed = place(self._nodes, wanted, self._clock.monotonic())
                yield from self._carry_out(placed, "no suitable node")

    def _end_unwanted(self, group: Iterable[api.Task]) -> Iterator[Decision]:
        for task in group:
            if not is_wanted(task):
                yield decisions.shut_down(task, self._clock.now())

    def _carry_out(self, placement: Placement, prefix: str) -> Iterator[Decision]:
        now = self._clock.now()
        for assignment in placement.assigned:
            task_id = assignment.task.id
            self._wait_no_longer(task_id)
            self._in_flight.add(task_id)
            yield decisions.assign(assignment, placement.elsewhere, now)
        sentence = _sentence(prefix, placement.reason)
        for task in placement.left:
            if self._is_worth_a_word(task):
                decision = decisions.explain(task, sentence, now)
                if decision is not None:
                    yield decision

    def _is_worth_a_word(self, task: api.Task) -> bool:
        """Tasks of a service that is gone, or of a spec that is replaced, wait in silence."""
        if not task.service_id or not task.HasField("spec_version"):
            return True
        service = self._store.view().services.get(task.service_id)
        return service is not None and service.spec_version.index <= task.spec_version.index

    # --- the picture of the cluster

    def _forget_all(self) -> None:
        self._nodes = NodeSet()
        self._unassigned = Backlog()
        self._preassigned = Backlog()
        self._of_given_node: set[str] = set()  # tasks that came with their node: not our choice
        self._in_flight: set[str] = set()  # assigned, but the event that says so is still to come

    async def _load(self, tx: ReadTx) -> None:
        self._forget_all()
        for node in tx.nodes.find():
            self._nodes.put(node)
        for volume in tx.volumes.find():
            self._nodes.volumes.put(volume)
        async for task in in_turns(tx.tasks.find()):
            self._observe_task(task)

    def _observe(self, event: Event) -> None:
        match event:
            case Deleted(api.Task() as task):
                self._end_task(task)
            case Deleted(api.Node() as node):
                self._nodes.drop(node.id)
            case Deleted(api.Service() as service):
                self._nodes.forget_kinds(service.id)
            case Deleted(api.Volume() as volume):
                self._nodes.volumes.drop(volume)
                self._retry_all()
            case Created(api.Volume() as volume) | Updated(api.Volume() as volume):
                self._nodes.volumes.put(volume)
                self._retry_all()
            case Created(api.Task() as task) | Updated(api.Task() as task):
                self._observe_task(task)
            case Created(api.Node() as node) | Updated(api.Node() as node):
                self._observe_node(node)
            case _:
                pass

    def _observe_task(self, task: api.Task) -> None:
        state = task.status.state
        if state > _RUNNING:
            self._remember_failure(task)
            self._end_task(task)
        elif state > _PENDING:
            self._wait_no_longer(task.id)
            self._in_flight.discard(task.id)
            self._nodes.hold(task)
        elif state == _PENDING and task.id not in self._in_flight:
            self._wait(task)

    def _wait(self, task: api.Task) -> None:
        if task.node_id:
            self._of_given_node.add(task.id)
            self._preassigned.put(task)
        else:
            self._unassigned.put(task)

    def _wait_no_longer(self, task_id: str) -> None:
        self._unassigned.drop(task_id)
        self._preassigned.drop(task_id)

    def _end_task(self, task: api.Task) -> None:
        self._wait_no_longer(task.id)
        self._in_flight.discard(task.id)
        self._of_given_node.discard(task.id)
        if self._nodes.let_go(task.id, task.node_id):
            self._retry_all()

    def _observe_node(self, node: api.Node) -> None:
        if self._nodes.put(node):
            for task in self._store.view().tasks.find(by.node(node.id)):
                self._observe_task(task)
        self._retry_all()

    def _retry_all(self) -> None:
        self._unassigned.retry_all()
        self._preassigned.retry_all()

    def _remember_failure(self, task: api.Task) -> None:
        node = self._nodes.get(task.node_id)
        ours = self._nodes.holds(task) and task.id not in self._of_given_node
        if node is None or not ours or task.status.state not in _FAILED:
            return
        failures = node.record_failure(kind_of(task), self._clock.monotonic())
        if failures == MAX_FAILURES:
            facts = fields(node=node.id, service=task.service_id, failures=failures)
            log.warning("node is the last choice for this service after its failures", extra=facts)


def _concerns_us(event: AnyChange) -> bool:
    """Where a volume is being published decides nothing that is not known from its tasks."""
    if not isinstance(event, Updated):
        return True
    new, old = event.object, event.old
    same = new.spec == old.spec and new.volume_info == old.volume_info
    return not same or new.pending_delete != old.pending_delete


def _sentence(prefix: str, reason: str) -> str:
    if prefix and reason:
        return f"{prefix} ({reason})"
    return prefix or reason
