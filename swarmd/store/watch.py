"""Who watches what, and the bounded queue of each; and the changes of late, to resume from.

Watchers are kept by the kind of object they watch, so that a change of a task costs the watchers
of nodes nothing. One that falls behind loses its queue and is told so: it reads the store again.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Generic, Self

from swarmd.errors import Status, SwarmError, UnavailableError
from swarmd.store.events import CHANGES, AnyChange, Change, Committed, Event
from swarmd.store.tables import M

QUEUE_EVENTS: Final = 20_000
HISTORY_CHANGES: Final = 10_000
HISTORY_BYTES: Final = 32 << 20


class WatchOverflowError(SwarmError):
    """Events were dropped: read the store again, with no await before it, and go on."""

    status = Status.RESOURCE_EXHAUSTED

    def __init__(self) -> None:
        super().__init__("the watcher fell too far behind: read again what you watch")


@dataclass(frozen=True, slots=True)
class Select(Generic[M]):
    """The changes of one kind of object; Select(Committed) is the commit of every transaction."""

    kind: type[M] | type[Committed]
    actions: AbstractSet[type] = CHANGES
    where: Callable[[Change[M]], bool] | None = None

    def accepts(self, event: AnyChange) -> bool:
        return type(event) in self.actions and (self.where is None or self.where(event))


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one committed transaction did."""

    version: int
    events: Sequence[AnyChange]
    size: int


class History:
    """The transactions of late, as many as the bounds let it keep."""

    def __init__(self, version: int = 0) -> None:
        self._start = version  # every transaction after this one is kept
        self._kept: deque[Transaction] = deque()
        self._changes = 0
        self._bytes = 0

    def add(self, transaction: Transaction) -> None:
        self._kept.append(transaction)
        self._count(transaction, 1)
        while self._changes > HISTORY_CHANGES or self._bytes > HISTORY_BYTES:
            oldest = self._kept.popleft()
            self._count(oldest, -1)
            self._start = oldest.version

    def since(self, version: int, newest: int) -> list[Transaction]:
        """Those after that version, up to the newest; raises SwarmError where not all are kept."""
        if version > newest:
            message = "versions are out of order"  # SwarmKit's words for it
            raise SwarmError(message)
        if version < self._start:
            message = (
                f"the changes since version {version} are no longer kept: read the store again"
            )
            raise SwarmError(message)
        return [one for one in self._kept if one.version > version]

    def _count(self, transaction: Transaction, sign: int) -> None:
        self._changes += sign * len(transaction.events)
        self._bytes += sign * transaction.size


class Watcher:
    """One who watches, from entering the block to leaving it."""

    def __init__(
        self, watchers: "Watchers", selects: Iterable[Select[Any]], past: Sequence[Transaction]
    ) -> None:
        self._watchers = watchers
        self._past = past
        self._selects: dict[type, list[Select[Any]]] = {}
        for select in selects:
            self._selects.setdefault(select.kind, []).append(select)
        self._events: list[Event] = []
        self._error: Exception | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._reached = False

    @property
    def kinds(self) -> Iterable[type]:
        return self._selects

    async def __aenter__(self) -> Self:
        # Nothing here waits: between the caller's view and this, no commit can come.
        for transaction in self._past:
            for event in transaction.events:
                self.offer(event)
            self.commit(transaction.version)
        self._watchers.add(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watchers.discard(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Event]:
        return await self.next()

    async def next(self) -> list[Event]:
        """All events queued so far, waiting for one at least.

        Raises WatchOverflowError when the queue was overrun; events are queued anew from then on.
        """
        while not self._events and self._error is None:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        if isinstance(self._error, WatchOverflowError):
            self._error = None
            raise WatchOverflowError
        if self._error is not None:
            raise self._error
        events, self._events = self._events, []
        return events

    def offer(self, event: AnyChange) -> None:
        """Queue it if it is selected."""
        if self._error is not None:
            return
        try:
            for select in self._selects.get(type(event.object), ()):
                if select.accepts(event):
                    self._events.append(event)
                    self._reached = True
                    return
        except Exception as error:  # noqa: BLE001  a broken filter is its watcher's fault alone
            self.fail(error)

    def commit(self, version: int) -> None:
        """The transaction is over: close its events, if any were ours, and wake who waits."""
        if self._error is None and (self._reached or Committed in self._selects):
            self._events.append(Committed(version))
            if len(self._events) > QUEUE_EVENTS:
                self.fail(WatchOverflowError())
            self._wake()
        self._reached = False

    def fail(self, error: Exception) -> None:
        """Drop what is queued; `next` raises this."""
        self._events = []
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class Watchers:
    """All who watch one store."""

    def __init__(self) -> None:
        self._by_kind: dict[type, dict[Watcher, None]] = {}
        self._closed = False

    def add(self, watcher: Watcher) -> None:
        for kind in watcher.kinds:
            self._by_kind.setdefault(kind, {})[watcher] = None
        if self._closed:
            watcher.fail(_closed())

    def discard(self, watcher: Watcher) -> None:
        for kind in watcher.kinds:
            self._by_kind.get(kind, {}).pop(watcher, None)

    def publish(self, transaction: Transaction) -> None:
        reached = dict(self._by_kind.get(Committed, {}))
        for event in transaction.events:
            for watcher in self._by_kind.get(type(event.object), ()):
                watcher.offer(event)
        for kind in dict.fromkeys(type(event.object) for event in transaction.events):
            reached |= self._by_kind.get(kind, {})
        for watcher in reached:
            watcher.commit(transaction.version)

    def close(self) -> None:
        """Nobody waits for ever: `next` raises UnavailableError from here on."""
        self._closed = True
        for watcher in {one for group in self._by_kind.values() for one in group}:
            watcher.fail(_closed())


def _closed() -> UnavailableError:
    return UnavailableError("the store is closed")
