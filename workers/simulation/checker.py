"""Watches every commit and every process, and says what is wrong: the first time ends the run."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from swarmd import api
from swarmd.api import breakers, times
from swarmd.api.protos.governor_pb2 import Breaker
from swarmd.store import Committed, Created, Deleted, Event, Select, Store, Updated
from workers.simulation import invariants
from workers.simulation.disk import Disk
from workers.simulation.invariants import Wrong, told
from workers.simulation.picture import READY, Picture

NO_TASK: Final = -1
_AGENTS_WORD: Final = frozenset(
    {api.TaskState.COMPLETE, api.TaskState.SHUTDOWN, api.TaskState.FAILED}
)
_NOT_GIVEN: Final = "not assigned to this node: "  # the agent's words for what a task lacks
_KINDS: Final = (api.Task, api.Service, api.Node, Breaker)
Transition = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Violation:
    """Which invariant broke, how, and after how many simulated seconds."""

    invariant: str
    sentence: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.invariant}: {self.sentence} (at {self.seconds:.3f} s)"


class Checker:
    """The observer of managers, and the witness of hosts."""

    def __init__(self, disk: Disk, trace: Callable[[str], None]) -> None:
        self.picture = Picture()
        self.transitions: Counter[Transition] = Counter()
        """How often which actor moved a task from one state to another; -1: there is no task."""
        self.violated: asyncio.Future[Violation] = asyncio.get_running_loop().create_future()
        self.commits = 0
        self.holds = 0
        """How often a breaker opened."""
        self._disk = disk
        self._trace = trace
        self._actors: dict[tuple[str, int], str] = {}
        self._written: dict[str, api.Task] = {}
        self._starts: dict[str, None] = {}
        self._started: set[str] = set()
        self._running: dict[str, str] = {}

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def wrong(self, invariant: str, sentence: str) -> None:
        self._trace(f"VIOLATION {invariant}: {sentence}")
        if not self.violated.done():
            self.violated.set_result(Violation(invariant, sentence, self.now))

    # --- the observer of managers

    def loaded(self, store: Store) -> None:
        """Compare what is durable with what was seen; only the last commit can be news."""
        self._actors.clear()
        view = store.view()
        durable: dict[tuple[str, str], Any] = {
            (type(one).DESCRIPTOR.name.lower(), one.id): one
            for table in (view.nodes, view.services, view.tasks, view.breakers)
            for one in table.find()
        }
        picture = self.picture
        for known in (picture.nodes, picture.services, picture.tasks, picture.breakers):
            for one in list(known.values()):
                self._compare(one, durable)
        for one in durable.values():
            self._take(Created(one), "unknown")
        self._check_written(seen=False)

    def _compare(self, one: Any, durable: dict[tuple[str, str], Any]) -> None:
        key = type(one).DESCRIPTOR.name.lower(), one.id
        found = durable.pop(key, None)
        lost = found is None or found.meta.version.index < one.meta.version.index
        if lost and key not in self._disk.last:
            self.wrong("durable", f"{key[0]} {one.id} was committed, and is not there any more")
        if found is None:
            self._take(Deleted(one), "unknown")
        elif found.meta.version.index != one.meta.version.index:
            self._take(Updated(found, one), "unknown")

    def changed(self, actor: str, events: Sequence[Any]) -> None:
        for event in events:
            if type(event.object) in _KINDS:
                version = NO_TASK if isinstance(event, Deleted) else event.object.meta.version.index
                self._actors[event.object.id, version] = actor

    async def follow(self, store: Store) -> None:
        async with store.watch(*map(Select, _KINDS)) as watcher:
            async for events in watcher:
                self._look(events)

    def _look(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Committed):
                self.commits += 1
                self._check_written()
                continue
            one = event.object
            version = NO_TASK if isinstance(event, Deleted) else one.meta.version.index
            self._take(event, self._actors.pop((one.id, version), "unknown"))

    # --- one change

    def _take(self, event: Any, actor: str) -> None:
        one = event.object
        if isinstance(event, Updated):
            self._say(invariants.of_version(one, event.old))
        if isinstance(one, api.Task):
            self._take_task(event, one, actor)
        elif isinstance(one, api.Service):
            self._take_service(event, one, actor)
        elif isinstance(one, Breaker):
            self._take_breaker(event, one, actor)
        elif isinstance(event, Deleted):
            self._trace(f"{actor}: node {one.id[:6]} is removed")
            self.picture.nodes.pop(one.id, None)
        else:
            self.picture.nodes[one.id] = one

    def _take_service(self, event: Any, service: api.Service, actor: str) -> None:
        if isinstance(event, Deleted):
            self.picture.services.pop(service.id, None)
            return
        if isinstance(event, Updated):
            self._say(invariants.of_service_change(actor, service, event.old))
            if event.old.update_status != service.update_status:
                said = service.update_status.message or "no update"
                self._trace(f"{actor}: {service.spec.annotations.name}: {said}")
        self.picture.put_service(service)

    def _take_breaker(self, event: Any, breaker: Breaker, actor: str) -> None:
        if isinstance(event, Deleted):
            self.picture.breakers.pop(breaker.id, None)
            return
        said = breakers.sentence(breaker, times.seconds(breaker.meta.updated_at))
        self._trace(f"{actor}: {breaker.id[:6]}: {said or f'let go: {breaker.reason}'}")
        before = self.picture.breakers.get(breaker.id)
        self.holds += breakers.is_open(breaker) and not breakers.is_open(before)
        self.picture.breakers[breaker.id] = breaker

    def _take_task(self, event: Any, task: api.Task, actor: str) -> None:
        picture, old = self.picture, getattr(event, "old", None)
        before = NO_TASK if isinstance(event, Created) else (old or task).status.state
        after = NO_TASK if isinstance(event, Deleted) else task.status.state
        if before != after:
            self.transitions[actor, before, after] += 1
        if before != after or old is None or old.desired_state != task.desired_state:
            gone = " is forgotten" if isinstance(event, Deleted) else ""
            self._trace(f"{actor}: {told(task)}{gone} {task.status.err}".rstrip())
        if isinstance(event, Deleted):
            self._see_end(task, "forgotten")
            self._see_result_forgotten(task)
            picture.drop_task(task)
            self._written.pop(task.id, None)
            return
        if old is not None:
            self._say(invariants.of_task_change(picture, task, old))
        if _NOT_GIVEN in task.status.err:
            self.wrong("given", f"{told(task)}: {task.status.err}")
        if actor == "Dispatcher" and task.status.state in _AGENTS_WORD and before != after:
            self._see_end(task, "reported as ended")
        waited = old is not None and old.desired_state == READY
        picture.put_task(task, self.now)
        self._written[task.id] = task
        if task.desired_state in (api.TaskState.RUNNING, api.TaskState.COMPLETE) and (
            old is None or waited
        ):
            self._starts[task.id] = None

    def _see_end(self, task: api.Task, how: str) -> None:
        if task.id in self._running and task.status.state in (*_AGENTS_WORD, 0, 64):
            self.wrong("ended", f"{told(task)} is {how}, and its process runs")

    def _see_result_forgotten(self, task: api.Task) -> None:
        service = self.picture.services.get(task.service_id)
        if service is None or task.status.state != api.TaskState.COMPLETE:
            return
        if not task.HasField("job_iteration") or service.spec.HasField("global_job"):
            return
        if task.job_iteration.index == service.job_status.job_iteration.index:
            self.wrong("job", f"{told(task)} is forgotten, and with it that its slot is done")

    # --- one commit

    def _check_written(self, *, seen: bool = True) -> None:
        """With `seen` False several commits may be one here: what was held then is not known."""
        written, self._written = self._written, {}
        starts, self._starts = self._starts, {}
        for task in written.values():
            self._say(invariants.of_commit(self.picture, task))
        for task_id in starts:
            task_or_none = self.picture.tasks.get(task_id)
            if task_or_none is not None:
                since = self.picture.arrived[task_id]
                self._say(invariants.of_start(self.picture, task_or_none, self.now, since))
                if seen:
                    self._say(invariants.of_held_start(self.picture, task_or_none))

    def _say(self, wrongs: Wrong) -> None:
        for invariant, sentence in wrongs:
            self.wrong(invariant, sentence)

    # --- the witness of hosts

    def process_started(self, node_id: str, task_id: str) -> None:
        self._trace(f"host {node_id[:6]}: process of {task_id[:6]} starts")
        if task_id in self._started:
            self.wrong("ended", f"task {task_id} on {node_id} is started twice")
        self._started.add(task_id)
        self._running[task_id] = node_id

    def process_ended(self, node_id: str, task_id: str) -> None:
        self._trace(f"host {node_id[:6]}: process of {task_id[:6]} ends")
        self._running.pop(task_id, None)
