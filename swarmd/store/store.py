"""The store: every object in memory, each change durable before anyone sees it.

    update(change) ─▶ queue ─▶ writer: run what is queued on an overlay ─▶ backend, one commit
                                 callers ◀── watchers ◀── tables ◀───────────┘

While the backend is busy with one group of changes, the next group gathers. So the more writers
there are, the more share one write to the disk.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from swarmd import api
from swarmd.api import times
from swarmd.clock import Clock
from swarmd.errors import NotLeaderError, SwarmError, UnavailableError
from swarmd.logs import fields, get_logger
from swarmd.store.backend import Backend, Behind, Change, Lease, Loaded, corrupt
from swarmd.store.room import ENDLESS, Room
from swarmd.store.rows import difference, everything, object_of, take_row
from swarmd.store.tables import ALL_KINDS, Table
from swarmd.store.transaction import MAX_BYTES, ReadTx, WriteTx
from swarmd.store.watch import History, Select, Transaction, Watcher, Watchers
from swarmd.turns import in_turns

log = get_logger(__name__)
T = TypeVar("T")
MAX_CHANGES: Final = 200  # SwarmKit's limit of a transaction; the limit of one commit here
_ROWS_A_TURN: Final = 2_000
FULL_BYTES: Final = MAX_BYTES * 3 // 4  # no more changes join a group of this size


@dataclass(frozen=True, slots=True)
class _Raised:
    """The outcome of a change that raised."""

    error: Exception


@dataclass(slots=True, eq=False)
class _Call(Generic[T]):
    """One call of update or batch, with an outcome for each of its changes."""

    changes: Sequence[Callable[[WriteTx], T]]
    done: asyncio.Future[None]
    outcomes: list[T | _Raised] = field(default_factory=list)
    taken: int = 0  # so many of the changes were run

    def settle(self, outcomes: list[T | _Raised]) -> None:
        self.outcomes += outcomes
        if len(self.outcomes) == len(self.changes) and not self.done.done():
            self.done.set_result(None)

    def refuse(self, error: SwarmError) -> None:
        """What is not done by now will not be."""
        self.settle([_Raised(error)] * (len(self.changes) - len(self.outcomes)))

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class _Group:
    """Changes that go to the backend in one commit."""

    def __init__(self, tables: dict[str, Table[Any]], version: int, now: float, room: Room) -> None:
        self.tx = WriteTx(tables, api.Meta(updated_at=times.timestamp(now)), room)
        self.version = version
        self.transactions: list[Transaction] = []
        self._settled: list[tuple[_Call[Any], list[Any]]] = []
        self._run = 0

    @property
    def full(self) -> bool:
        most = max(self._run, self.tx.writes)
        return most >= MAX_CHANGES or self.tx.size >= FULL_BYTES

    def take(self, call: _Call[Any]) -> None:
        """Run its changes, as one transaction, until it has no more or the group is full."""
        outcomes: list[Any] = []
        size = self.tx.size
        self.tx.begin(self.version + 1)
        while call.taken < len(call.changes) and not self.full:
            outcomes.append(self._outcome(call.changes[call.taken]))
            call.taken += 1
        self._settled.append((call, outcomes))
        if self.tx.events:
            self.version += 1
            size = self.tx.size - size
            self.transactions.append(Transaction(self.version, self.tx.events, size))

    def _outcome(self, change: Callable[[WriteTx], Any]) -> Any:
        self._run += 1
        try:
            return self.tx.run(change)
        except Exception as error:  # noqa: BLE001  it is raised where the change came from
            return _Raised(error)

    def settle(self) -> None:
        for call, outcomes in self._settled:
            call.settle(outcomes)

    def fail(self, error: Exception) -> None:
        """None of it happened; what a change raised may have come of what did not happen."""
        for call, outcomes in self._settled:
            call.settle([_Raised(error)] * len(outcomes))


class Store:
    """Open from entering the block to leaving it; one asyncio loop, no locks."""

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self._backend = backend
        self._clock = clock
        self._tables: dict[str, Table[Any]] = {kind.name: Table(kind) for kind in ALL_KINDS}
        self._view = ReadTx(self._tables)
        self._version = 0
        self._history = History()
        self._watchers = Watchers()
        self._queue: deque[_Call[Any]] = deque()
        self._queued = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._writable = backend.lease.held  # the only manager writes from the start
        self._reached = asyncio.Event()  # set with each version that came from another manager
        self._writing = asyncio.Lock()  # a commit is under way, or none may be
        self._retired = False  # what is kept here is kept elsewhere now
        self.room: Room = ENDLESS
        """What is left of it, told by who measures it; changes are held against that."""

    @property
    def version(self) -> int:
        """Of the last committed transaction."""
        return self._version

    @property
    def is_writable(self) -> bool:
        """Whether this manager writes now: it leads, or has no others."""
        return self._writable and not self._retired

    @property
    def retired(self) -> bool:
        """What is kept here is, or may be, kept elsewhere now."""
        return self._retired

    @property
    def lease(self) -> Lease:
        """The right to write to this store."""
        return self._backend.lease

    async def __aenter__(self) -> Self:
        try:
            loaded = await self._backend.load()
            await self._fill(loaded)
        except BaseException:
            await self._backend.close()
            raise
        self._version = loaded.version
        self._history = History(loaded.version)
        self._writer = asyncio.create_task(self._write(), name="store writer")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        writer, self._writer = self._writer, None
        assert writer is not None
        self._queued.set()
        try:
            await asyncio.wait([writer])  # it finishes what is queued
            if not writer.cancelled():
                writer.result()  # a broken one ends its owner
        finally:
            writer.cancel()
            self._watchers.close()
            await self._backend.close()

    @asynccontextmanager
    async def lead(self) -> AsyncIterator[None]:
        """Follow the leader until the lease is ours and all that it wrote is here; then write.

        At the end of the block the store takes no more changes, unless it has one manager alone.
        """
        async with asyncio.TaskGroup() as group:
            follower = group.create_task(self._follow(), name="store follower")
            async with self.lease.hold():
                await self._catch_up()
                follower.cancel()
                await asyncio.wait([follower])
                alone, self._writable = self._writable, True
                try:
                    yield
                finally:
                    self._writable = alone
                    async with self._writing:
                        pass  # what is under way ends before another manager's word counts

    async def _catch_up(self) -> None:
        """Wait for all that was committed before the lease was ours, or for the lease to go."""
        newest = await self._backend.newest()
        lost = asyncio.create_task(self.lease.lost.wait())
        while self._version < newest and not lost.done():
            self._reached.clear()
            reached = asyncio.create_task(self._reached.wait())
            await asyncio.wait((lost, reached), return_when=asyncio.FIRST_COMPLETED)
            reached.cancel()
        lost.cancel()

    async def _follow(self) -> None:
        while True:
            try:
                async for change in self._backend.follow():
                    self._take(change)
            except Behind:
                message = "too far behind to follow: loading everything again"
                log.warning(message, extra=fields(version=self._version))
                self._take(difference(self._tables, await self._backend.load()))

    def _take(self, change: Change) -> None:
        """Another manager's transaction: durable already, so it is visible at once."""
        place = self._backend.place
        taken = [take_row(self._tables, row, place) for row in change.rows]
        events = [event for event in taken if event is not None]
        size = sum(len(row.data or b"") for row in change.rows)
        self._version = change.version
        transaction = Transaction(change.version, events, size)
        self._history.add(transaction)
        self._watchers.publish(transaction)
        self._reached.set()

    def retire(self) -> None:
        """Take no more changes, for good: what is kept here is kept elsewhere now.

        To be called in a `frozen` block, before the first moment at which that is so.
        """
        self._retired = True
        while self._queue:
            self._queue.popleft().fail(NotLeaderError())

    @asynccontextmanager
    async def frozen(self) -> AsyncIterator[Loaded]:
        """Everything as it is; writes wait until the end of the block."""
        async with self.still():
            yield everything(self._tables, self._version)

    @asynccontextmanager
    async def still(self) -> AsyncIterator[None]:
        """Nothing is written until the end of the block; raises NotLeaderError once retired."""
        async with self._writing:
            if self._retired:
                raise NotLeaderError
            yield

    def view(self) -> ReadTx:
        """What is committed: consistent until the caller's next await."""
        return self._view

    async def update(self, change: Callable[[WriteTx], T]) -> T:
        """Run it as one transaction; return what it returns once that is durable and visible.

        Raises what it raises, or the backend's SwarmError, and then nothing of it happened. When
        the caller is cancelled, it may still happen, whole.
        """
        (outcome,) = await self._submit([change])
        if isinstance(outcome, _Raised):
            raise outcome.error
        return outcome

    async def batch(self, changes: Sequence[Callable[[WriteTx], T]]) -> list[T | SwarmError]:
        """Run many in as few transactions as the limits allow; each is atomic by itself.

        Returns for each, in order, what it returned or the SwarmError that kept it from happening.
        """
        results: list[T | SwarmError] = []
        for outcome in await self._submit(list(changes)) if changes else []:
            if not isinstance(outcome, _Raised):
                results.append(outcome)
            elif isinstance(outcome.error, SwarmError):
                results.append(outcome.error)
            else:
                raise outcome.error
        return results

    def watch(self, *selects: Select[Any], resume_from: int | None = None) -> Watcher:
        """What is committed from here on; use it as `async with`, with no await before it.

        With `resume_from`, also what was committed after that version; raises SwarmError where
        that is not kept any more, or never was.
        """
        past: Sequence[Transaction] = ()
        if resume_from is not None:
            past = self._history.since(resume_from, self._version)
        return Watcher(self._watchers, selects, past)

    async def _submit(self, changes: Sequence[Callable[[WriteTx], T]]) -> list[T | _Raised]:
        if self._writer is None or self._writer.done():
            message = "the store is closed"
            raise UnavailableError(message)
        if not self.is_writable:
            raise NotLeaderError
        call = _Call(changes, asyncio.get_running_loop().create_future())
        self._queue.append(call)
        self._queued.set()
        await call.done
        return call.outcomes

    async def _write(self) -> None:
        group: _Group | None = None
        try:
            while await self._wait_queued():
                async with self._writing:
                    if self.lease.held:
                        group = self._gather()
                        await self._commit(group)
                    else:
                        self._refuse_queued()
                group = None
        finally:
            # Only a cancelled or broken writer comes here with work left.
            error = UnavailableError("the store is closed")
            if group is not None:
                group.fail(error)
            for call in self._queue:
                call.fail(error)

    async def _wait_queued(self) -> bool:
        """Whether there is anything to write; not, once the store is closing."""
        while not self._queue and self._writer is not None:
            self._queued.clear()
            await self._queued.wait()
        return bool(self._queue)

    def _refuse_queued(self) -> None:
        """The lead is lost: to try all that waits, in vain, would keep the loop for seconds."""
        while self._queue:
            self._queue.popleft().refuse(NotLeaderError())

    def _gather(self) -> _Group:
        group = _Group(self._tables, self._version, self._clock.now(), self.room)
        while self._queue and not group.full:
            call = self._queue.popleft()
            if call.done.cancelled():
                continue
            group.take(call)
            if call.taken < len(call.changes):
                self._queue.append(call)  # a long batch lets others in between
        return group

    async def _commit(self, group: _Group) -> None:
        if group.transactions:
            try:
                await self._backend.commit(group.version, list(group.tx.rows.values()))
            except Exception as error:
                expected = isinstance(error, SwarmError)
                log.log(
                    logging.WARNING if expected else logging.ERROR,
                    "cannot write to the store",
                    extra=fields(error=error, changes=len(group.tx.rows)),
                    exc_info=not expected,
                )
                group.fail(error)
                return
            self.room = self.room.grown(group.tx.size)
            self._apply(group)
        group.settle()

    def _apply(self, group: _Group) -> None:
        for (kind, object_id), one in group.tx.objects.items():
            if one is not None:
                self._tables[kind].put(one)
            elif object_id in self._tables[kind].objects:  # not so if it was made in this group
                self._tables[kind].remove(object_id)
        self._version = group.version
        for transaction in group.transactions:
            self._history.add(transaction)
            self._watchers.publish(transaction)

    async def _fill(self, loaded: Loaded) -> None:
        """A large store takes seconds: in between, the loop gives its signs of life."""
        objects: dict[str, list[Any]] = {name: [] for name in self._tables}
        async for row in in_turns(loaded.rows, _ROWS_A_TURN):
            one = object_of(row, self._backend.place)
            if row.version > loaded.version:
                raise corrupt(self._backend.place, f"{row.kind} {row.id} does not belong there")
            objects[row.kind].append(one)
        for name, table in self._tables.items():
            await table.fill(objects[name])
