"""One subscription: which nodes are asked, what is still to come, and who cannot answer."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from swarmd import api
from swarmd.api import tasks, times
from swarmd.errors import SwarmError
from swarmd.store import ReadTx, by
from workers.manager.log_broker.outbox import Outbox

_RUNNING: Final = api.TaskState.RUNNING
_MOST_NAMED: Final = 20


class IncompleteError(SwarmError):
    """The stream ended, and something is missing: says of whom, and why."""

    def __init__(self, reasons: list[str]) -> None:
        named = reasons[:_MOST_NAMED]
        more = [f"and {len(reasons) - _MOST_NAMED} more"] if len(reasons) > _MOST_NAMED else []
        super().__init__(f"the log is incomplete: {', '.join([*named, *more])}")


class Subscription:
    """What one caller of SubscribeLogs asked for, and how far its nodes are.

    One that follows never ends by itself. Another ends when each node that was asked has finished,
    or cannot.
    """

    def __init__(
        self, subscription_id: str, selector: api.LogSelector, options: api.LogSubscriptionOptions
    ) -> None:
        self.id = subscription_id
        self.options = options
        self.follow = options.follow
        self.selector = selector
        self.outbox = Outbox(subscription_id)
        self.finished = asyncio.Event()
        self._heard: dict[str, Timestamp] = {}  # node, and the time of the last of its messages
        self._task_ids = frozenset(selector.task_ids)
        self._service_ids = frozenset(selector.service_ids)
        self._asked: set[str] = set()
        self._unfinished: set[str] = set()
        self._pending: dict[str, str] = {}
        self._failures: dict[str, str] = {}

    @property
    def nodes(self) -> frozenset[str]:
        """The nodes that are still to say something, as far as that is known."""
        return frozenset(self._asked if self.follow else self._unfinished)

    @property
    def silent(self) -> frozenset[str]:
        """Those that have said nothing at all."""
        return frozenset(self.nodes - self._heard.keys())

    def message(self, node_id: str, *, close: bool = False) -> api.SubscriptionMessage:
        """The subscription as that node is told of it.

        One that comes back, after it was heard, is asked for what came later.
        """
        message = api.SubscriptionMessage(
            id=self.id, selector=self.selector, options=self.options, close=close
        )
        if node_id in self._heard:
            message.options.tail = 0
            message.options.since.CopyFrom(self._heard[node_id])
        return message

    def hear(self, node_id: str, messages: Sequence[api.LogMessage]) -> None:
        """Take note of how far the node is."""
        last = self._heard.setdefault(node_id, self.options.since)
        self._heard[node_id] = max([last, *(one.timestamp for one in messages)], key=times.seconds)

    def concerns(self, task: api.Task) -> bool:
        """Whether the task's output was asked for, be it by its node or by itself."""
        return task.id in self._task_ids or task.service_id in self._service_ids

    def match(self, tx: ReadTx) -> list[str]:
        """Find the nodes to ask, and give those that are new."""
        new = self._ask(self.selector.node_ids)
        for task in self._tasks(tx):
            new += self.see(task)
        self._check_finished()
        return new

    def see(self, task: api.Task) -> list[str]:
        """Take note of a task that it concerns, and give its node, if that is a new one."""
        if task.node_id:
            self._pending.pop(task.id, None)
            return self._ask([task.node_id])
        self._pending[task.id] = f"task {tasks.name(task)} has not been scheduled"
        return []

    def done(self, node_id: str, failure: str = "") -> None:
        """The node has said all, or cannot: then the failure is told at the end."""
        if node_id not in self.nodes:
            return
        if failure:
            self._failures[node_id] = failure
        self._unfinished.discard(node_id)
        self._check_finished()

    def check(self) -> None:
        """Raises IncompleteError where something is missing."""
        reasons = [*self._failures.values(), *self._pending.values()]
        if reasons:
            raise IncompleteError(reasons)

    def _tasks(self, tx: ReadTx) -> Iterator[api.Task]:
        """A service's tasks that never ran have no output yet; who follows waits for it."""
        for task_id in self._task_ids:
            task = tx.tasks.get(task_id)
            if task is not None:
                yield task
        for service_id in self._service_ids:
            for task in tx.tasks.find(by.service(service_id)):
                if self.follow or task.status.state >= _RUNNING:
                    yield task

    def _ask(self, node_ids: Iterable[str]) -> list[str]:
        new = [each for each in dict.fromkeys(node_ids) if each not in self._asked]
        self._asked.update(new)
        self._unfinished.update(new)
        return new

    def _check_finished(self) -> None:
        if not self.follow and not self._unfinished:
            self.finished.set()
