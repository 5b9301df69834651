"""What agents report reaches the store in batches: at once when idle, gathered under load."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from swarmd import api
from swarmd.api import times
from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger
from swarmd.store import Store, WriteTx

_LONGEST_PAUSE_SECONDS: Final = 0.1
_FIRST_RETRY_SECONDS: Final = 0.1
_LAST_RETRY_SECONDS: Final = 5.0
_STATES: Final = frozenset(api.TaskState.values())
_Volume = api.VolumePublishStatus.State

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What is new about a node; None leaves that part as it is."""

    state: api.NodeStatus.State.ValueType
    message: str = ""
    addr: str = ""  # "" leaves it too
    description: api.NodeDescription | None = None


@dataclass(slots=True)
class _Batch:
    """What goes to the store together."""

    tasks: dict[str, api.TaskStatus] = field(default_factory=dict)
    nodes: dict[str, NodeReport] = field(default_factory=dict)
    unpublished: dict[tuple[str, str], None] = field(default_factory=dict)  # volume and node
    written: asyncio.Event = field(default_factory=asyncio.Event)


class StatusUpdates:
    """The newest report on each task, node and volume, on its way to the store.

    `manager_id` is the node that the statuses name as the one that applied them.
    """

    def __init__(self, store: Store, clock: Clock, random: Random, manager_id: str) -> None:
        self._store = store
        self._clock = clock
        self._backoff = Backoff(_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS, random)
        self._manager_id = manager_id
        self._batch = _Batch()
        self._reported = asyncio.Event()

    def report_task(self, task_id: str, status: api.TaskStatus) -> None:
        """The agent's newest word on the task; one that goes back in state is dropped."""
        waiting = self._batch.tasks.get(task_id)
        if status.state in _STATES and (waiting is None or waiting.state <= status.state):
            self._batch.tasks[task_id] = status
            self._reported.set()

    def report_node(self, node_id: str, report: NodeReport) -> asyncio.Event:
        """The newest on the node; the event is set once it is in the store, or we stopped.

        Where the store refuses it, the event is set too, and it is written later.
        """
        waiting = self._batch.nodes.get(node_id)
        if report.description is None and waiting is not None:
            # One that registered and was lost at once keeps what it said of itself.
            report = NodeReport(report.state, report.message, report.addr, waiting.description)
        self._batch.nodes[node_id] = report
        self._reported.set()
        return self._batch.written

    def report_unpublished(self, volume_id: str, node_id: str) -> None:
        """The node no longer uses the volume."""
        self._batch.unpublished[volume_id, node_id] = None
        self._reported.set()

    async def run(self) -> None:
        """Write what is reported, until cancelled.

        It pauses as long as writing took: so little waits when little comes in. What the store
        refuses is tried again: the agents were told that it is known, and will not say it again.
        """
        try:
            while True:
                await self._reported.wait()
                begun = self._clock.monotonic()
                if await self._write():
                    self._backoff.reset()
                    pause = min(self._clock.monotonic() - begun, _LONGEST_PAUSE_SECONDS)
                else:
                    pause = self._backoff.next()
                await self._clock.sleep(pause)
        finally:
            self._batch.written.set()
            self._batch = _Batch()

    async def _write(self) -> bool:
        """Whether all that was reported is in the store."""
        self._reported.clear()
        batch, self._batch = self._batch, _Batch()
        try:
            results = await self._store.batch(list(self._changes(batch)))
        finally:
            batch.written.set()
        refused = [result for result in results if isinstance(result, SwarmError)]
        if refused:
            told = fields(reports=len(refused), reason=refused[0])
            log.warning("reports are not written yet: trying again", extra=told)
            self._put_back(batch)
        return not refused

    def _put_back(self, batch: _Batch) -> None:
        """Under what came since; what was written of it changes nothing the second time."""
        since = self._batch
        since.tasks = batch.tasks | {
            task_id: status
            for task_id, status in since.tasks.items()
            if task_id not in batch.tasks or batch.tasks[task_id].state <= status.state
        }
        for node_id, report in batch.nodes.items():
            newer = since.nodes.get(node_id, report)
            description = newer.description or report.description
            since.nodes[node_id] = replace(newer, description=description)
        since.unpublished |= batch.unpublished
        self._reported.set()

    def _changes(self, batch: _Batch) -> Iterator[Callable[[WriteTx], None]]:
        now = self._clock.now()
        for node_id, report in batch.nodes.items():
            yield _node_change(node_id, report)
        for task_id, status in batch.tasks.items():
            yield _task_change(task_id, status, self._manager_id, now)
        for volume_id, node_id in batch.unpublished:
            yield _volume_change(volume_id, node_id)


def apply_status(task: api.Task, status: api.TaskStatus, manager_id: str, now: float) -> bool:
    """Give the task, which is ours to edit, that status; False where it has nothing new."""
    before = task.status
    if before.state > status.state:
        return False  # states only go forward: this one was overtaken
    after = api.TaskStatus()
    after.CopyFrom(status)
    after.applied_by = before.applied_by
    after.applied_at.CopyFrom(before.applied_at)
    if not before.HasField("applied_at"):
        after.ClearField("applied_at")
    if after == before:
        return False
    after.applied_by = manager_id
    after.applied_at.CopyFrom(times.timestamp(now))
    task.status.CopyFrom(after)
    return True


def is_told(node: api.Node, report: NodeReport) -> bool:
    """Whether the node says all of the report already."""
    same_addr = report.addr in ("", node.status.addr)
    same_description = report.description is None or report.description == node.description
    said = (node.status.state, node.status.message)
    return said == (report.state, report.message) and same_addr and same_description


def _task_change(
    task_id: str, status: api.TaskStatus, manager_id: str, now: float
) -> Callable[[WriteTx], None]:
    def change(tx: WriteTx) -> None:
        if tx.tasks.get(task_id) is None:
            return  # deleted meanwhile
        task = tx.tasks.copy(task_id)
        if apply_status(task, status, manager_id, now):
            tx.tasks.update(task)

    return change


def _node_change(node_id: str, report: NodeReport) -> Callable[[WriteTx], None]:
    def change(tx: WriteTx) -> None:
        found = tx.nodes.get(node_id)
        if found is None or is_told(found, report):
            return
        node = tx.nodes.copy(node_id)
        node.status.state, node.status.message = report.state, report.message
        node.status.addr = report.addr or node.status.addr
        if report.description is not None:
            node.description.CopyFrom(report.description)
        tx.nodes.update(node)

    return change


def _volume_change(volume_id: str, node_id: str) -> Callable[[WriteTx], None]:
    def change(tx: WriteTx) -> None:
        if tx.volumes.get(volume_id) is None:
            return
        volume = tx.volumes.copy(volume_id)
        for status in volume.publish_status:
            # Only then was the node asked to: a report that comes late says nothing of today.
            if status.node_id == node_id and status.state == _Volume.PENDING_NODE_UNPUBLISH:
                status.state, status.message = _Volume.PENDING_UNPUBLISH, ""
                tx.volumes.update(volume)
                return

    return change
