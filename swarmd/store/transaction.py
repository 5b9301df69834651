"""Transactions: ReadTx looks, WriteTx looks and changes.

A WriteTx is an overlay. What it changes lies over the tables, unseen by anyone else, until the
store has made it durable and puts it below. One overlay serves a whole group of changes that go to
the backend together: each sees those before it, and a change that raises leaves nothing behind.
"""

from collections.abc import Callable, Mapping
from types import CoroutineType
from typing import Any, Final, Generic, TypeVar

from swarmd import api
from swarmd.api.protos.governor_pb2 import Breaker
from swarmd.api.protos.journal_pb2 import JournalPage
from swarmd.errors import (
    AlreadyExistsError,
    NameConflictError,
    NotFoundError,
    OutOfSequenceError,
    ResourceExhaustedError,
)
from swarmd.store import queries
from swarmd.store.backend import Row
from swarmd.store.events import AnyChange, Created, Deleted, Updated
from swarmd.store.queries import Query
from swarmd.store.room import ENDLESS, Room
from swarmd.store.tables import Key, Kind, M, Table

MAX_BYTES: Final = 1_572_864  # 1.5 MiB, SwarmKit's limit of a transaction
T = TypeVar("T")
_ABSENT: Final = object()


class ReadTable(Generic[M]):
    """The objects of one kind. They are shared with everyone: never change one, `copy` it."""

    __slots__ = ("_table",)

    def __init__(self, table: Table[M]) -> None:
        self._table = table

    def get(self, object_id: str) -> M | None:
        return self._table.objects.get(object_id)

    def find(self, query: Query | None = None) -> list[M]:
        """All that match, in no promised order; without a query, all."""
        objects = self._table.objects
        if query is None:
            return list(objects.values())
        return [objects[one] for one in queries.find_ids(self._table, query)]

    def __len__(self) -> int:
        return len(self._table.objects)


class WriteTable(ReadTable[M]):
    """The same, with the changes of this transaction, and ways to make more."""

    __slots__ = ("_changed", "_claimed", "_kind", "_tx")

    def __init__(self, table: Table[M], tx: "WriteTx") -> None:
        super().__init__(table)
        self._kind: Kind[M] = table.kind
        self._tx = tx
        self._changed: dict[str, M | None] = {}  # None: deleted
        self._claimed: dict[Key, str | None] = {}  # owners of unique names; None: given up

    def get(self, object_id: str) -> M | None:
        if object_id in self._changed:
            return self._changed[object_id]
        return self._table.objects.get(object_id)

    def find(self, query: Query | None = None) -> list[M]:
        """All that match, in no promised order; without a query, all."""
        changed = self._changed
        below = super().find(query)
        if not changed:
            return below
        mine = [one for one in changed.values() if one is not None]
        if query is not None:
            mine = [one for one in mine if queries.matches(self._kind, query, one)]
        return [one for one in below if one.id not in changed] + mine

    def __len__(self) -> int:
        objects = self._table.objects
        more = (
            (one is not None) - (object_id in objects) for object_id, one in self._changed.items()
        )
        return len(objects) + sum(more)

    def copy(self, object_id: str) -> M:
        """A copy of one's own to change and hand to `update`; raises NotFoundError."""
        own = self._kind.message()
        own.CopyFrom(self._current(object_id))
        return own

    def create(self, new: M) -> M:
        """Add it under the id it has; from here on it is the store's, and shared.

        Raises NameConflictError, or AlreadyExistsError where the id is taken.
        """
        assert new.id, "an object's id is given by its maker"
        if self.get(new.id) is not None:
            message = f"{self._kind.name} {new.id} already exists"
            raise AlreadyExistsError(message)
        self._claim(new, None)
        self._tx.stamp(new.meta, created=True)
        self._put(new.id, new, Created(new))
        return new

    def update(self, new: M, why: str = "") -> M:
        """Replace the one of that id, and tell watchers why; from here on `new` is shared.

        Raises NotFoundError, OutOfSequenceError where it was changed since `new` was copied from
        it, or NameConflictError.
        """
        old = self._current(new.id)
        assert new is not old, "a stored message is never changed in place: copy it first"
        if new.meta.version.index != old.meta.version.index:
            raise OutOfSequenceError
        self._claim(new, old)
        self._tx.stamp(new.meta, created=False)
        self._put(new.id, new, Updated(new, old, why))
        return new

    def delete(self, object_id: str) -> None:
        """Raises NotFoundError."""
        old = self._current(object_id)
        self._release(old)
        self._put(object_id, None, Deleted(old))

    def _current(self, object_id: str) -> M:
        found = self.get(object_id)
        if found is None:
            raise NotFoundError(self._kind.name, object_id)
        return found

    def _put(self, object_id: str, new: M | None, event: AnyChange) -> None:
        self._tx.record(self._changed, object_id, new)
        self._tx.note(self._kind.name, object_id, new, event)

    def _claim(self, new: M, old: M | None) -> None:
        if self._kind.unique is None:
            return
        keys_of = self._kind.indexes[self._kind.unique]
        before, after = keys_of(old) if old else (), keys_of(new)
        if before == after:
            return
        for key in after:
            if self._owner(key) not in (None, new.id):
                raise NameConflictError(self._kind.name, str(key).rpartition("\0")[2])
        for key in before:
            self._tx.record(self._claimed, key, None)
        for key in after:
            self._tx.record(self._claimed, key, new.id)

    def _release(self, old: M) -> None:
        if self._kind.unique is not None:
            for key in self._kind.indexes[self._kind.unique](old):
                self._tx.record(self._claimed, key, None)

    def _owner(self, key: Key) -> str | None:
        if key in self._claimed:
            return self._claimed[key]
        assert self._kind.unique is not None
        return next(iter(self._table.index(self._kind.unique).ids(key)), None)


class ReadTx:
    """What is committed, as one consistent whole until the next await of who holds it."""

    clusters: ReadTable[api.Cluster]
    nodes: ReadTable[api.Node]
    services: ReadTable[api.Service]
    tasks: ReadTable[api.Task]
    networks: ReadTable[api.Network]
    secrets: ReadTable[api.Secret]
    configs: ReadTable[api.Config]
    extensions: ReadTable[api.Extension]
    resources: ReadTable[api.Resource]
    volumes: ReadTable[api.Volume]
    breakers: ReadTable[Breaker]
    journal: ReadTable[JournalPage]

    def __init__(self, tables: Mapping[str, Table[Any]]) -> None:
        for table in tables.values():
            setattr(self, table.kind.table, self._over(table))

    def _over(self, table: Table[Any]) -> ReadTable[Any]:
        return ReadTable(table)


class WriteTx(ReadTx):
    """What a change is given: good for the length of its call."""

    clusters: WriteTable[api.Cluster]
    nodes: WriteTable[api.Node]
    services: WriteTable[api.Service]
    tasks: WriteTable[api.Task]
    networks: WriteTable[api.Network]
    secrets: WriteTable[api.Secret]
    configs: WriteTable[api.Config]
    extensions: WriteTable[api.Extension]
    resources: WriteTable[api.Resource]
    volumes: WriteTable[api.Volume]
    breakers: WriteTable[Breaker]
    journal: WriteTable[JournalPage]

    def __init__(
        self, tables: Mapping[str, Table[Any]], now: api.Meta, room: Room = ENDLESS
    ) -> None:
        super().__init__(tables)
        self._now = now  # its updated_at is the time of every change of this overlay
        self._room = room
        self._running = False
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []
        self._touched: dict[tuple[str, str], Any] = {}
        self.version = 0  # of the transaction to which changes belong now
        self.events: list[AnyChange] = []  # … and what they did
        self.rows: dict[
            tuple[str, str], Row
        ] = {}  # what all changes did, last state of each object
        self.objects: dict[tuple[str, str], Any] = {}
        self.size = 0
        self.writes = 0

    def _over(self, table: Table[Any]) -> WriteTable[Any]:
        return WriteTable(table, self)

    def begin(self, version: int) -> None:
        """The changes from here on are of one transaction with this version."""
        self.version = version
        self.events = []

    def run(self, change: "Callable[[WriteTx], T]") -> T:
        """Call it; what it raises is raised here, and then it has left no trace."""
        events = len(self.events)
        self._undo.clear()
        self._touched.clear()
        self._running = True
        try:
            result = change(self)
            assert not isinstance(result, CoroutineType), "a change is a plain function"
            if self._room.level:
                self._room.check(self.events[events:])
            rows = self._rows()
        except BaseException:
            self._roll_back(events)
            raise
        finally:
            self._running = False
        self._keep(rows)
        return result

    def stamp(self, meta: api.Meta, *, created: bool) -> None:
        meta.version.index = self.version
        meta.updated_at.CopyFrom(self._now.updated_at)
        if created:
            meta.created_at.CopyFrom(self._now.updated_at)

    def record(self, mapping: dict[Any, Any], key: Any, value: Any) -> None:
        """Set it, so that a roll-back can unset it."""
        assert self._running, "a transaction ends with its change"
        self._undo.append((mapping, key, mapping.get(key, _ABSENT)))
        mapping[key] = value

    def note(self, kind: str, object_id: str, new: Any, event: AnyChange) -> None:
        self._touched[kind, object_id] = new
        self.events.append(event)

    def _rows(self) -> list[Row]:
        rows = [
            Row(kind, object_id, self.version, None if one is None else one.SerializeToString())
            for (kind, object_id), one in self._touched.items()
        ]
        size = sum(len(row.data) for row in rows if row.data is not None)
        if size > MAX_BYTES:
            message = f"a change of {size} bytes is too large: {MAX_BYTES} is the most there can be"
            raise ResourceExhaustedError(message)
        return rows

    def _keep(self, rows: list[Row]) -> None:
        self.objects.update(self._touched)
        for row in rows:
            self.rows[row.kind, row.id] = row
            self.size += len(row.data or b"")
        self.writes += len(rows)

    def _roll_back(self, events: int) -> None:
        for mapping, key, value in reversed(self._undo):
            if value is _ABSENT:
                del mapping[key]
            else:
                mapping[key] = value
        del self.events[events:]
