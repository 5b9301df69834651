"""Load, commit and follow the store as etcd keeps it."""

from collections.abc import AsyncIterator, Sequence
from random import Random
from typing import Any, Final

from swarmd.api.protos import etcd_pb2 as etcd
from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.errors import CorruptStateError, ResourceExhaustedError, SwarmError, UnavailableError
from swarmd.logs import fields, get_logger
from swarmd.security.encryption import NotOpenedError, Sealer
from swarmd.store.backend import Behind, Change, Loaded, Row, corrupt
from swarmd.store.etcd import keys
from swarmd.store.etcd.client import EtcdClient
from swarmd.store.etcd.lease import EtcdLease
from swarmd.store.etcd.shared_keys import SharedKeys
from swarmd.store.etcd.transfer import put

log = get_logger(__name__)
_TRIES: Final = 3  # to load
_FIRST_PAGE: Final = 64  # rows a call; a row may have a megabyte
_LARGEST_PAGE: Final = 2_000
_PAGE_BYTES: Final = 4 << 20
# What was under way when the raft's lead moved can be lost, and etcd never says so. So a write is
# sent again after some times of what the last one took, and after no less than that.
_PATIENCE_SECONDS: Final = 0.3
_PATIENCE: Final = 4.0


def next_page(rows: int, size: int) -> int:
    """How many rows to ask for after a page of so many, with so many bytes (pure)."""
    return max(1, min(_LARGEST_PAGE, 4 * rows, rows * _PAGE_BYTES // max(1, size)))


class EtcdBackend:
    """One store; its writer is who holds the lease, everyone else follows."""

    def __init__(
        self, client: EtcdClient, lease: EtcdLease, sealer: Sealer, clock: Clock, random: Random
    ) -> None:
        self.lease = lease
        self._client = client
        self.keys = SharedKeys(client, lease, sealer)
        self._clock = clock
        self._random = random
        self._version = 0
        self._revision = 0  # etcd's, of the last transaction that this manager knows of
        self._patience = _PATIENCE_SECONDS

    @property
    def place(self) -> str:
        return f"etcd at {self._client.socket}"

    async def load(self) -> Loaded:
        """Everything as of one revision, which is not older than the last acknowledged write."""
        backoff = Backoff(0.1, 1.0, self._random)
        for left in reversed(range(_TRIES)):
            try:
                return await self._load()
            except UnavailableError as error:  # that revision is not kept any more, say
                if not left:
                    raise
                delay = backoff.next()
                log.warning("reading the store again", extra=fields(error=error, retry_in=delay))
                await self._clock.sleep(delay)
        raise AssertionError("the last try returns or raises")

    async def _load(self) -> Loaded:
        found, revision = await self._client.get(keys.VERSION)
        rows: list[Row] = []
        start, limit = keys.OBJECTS, _FIRST_PAGE
        while start:
            answer = await self._client.page(keys.OBJECTS, start, revision, limit)
            rows += [self._row(one) for one in answer.kvs]
            start = answer.kvs[-1].key + b"\0" if answer.more else b""
            limit = next_page(limit, sum(len(one.value) for one in answer.kvs))
        record = await self._client.page(keys.DATA_KEYS, keys.DATA_KEYS, revision, 1)
        if record.kvs:
            self.keys.follow(record.kvs[0])
        self._version = int(found.value) if found is not None else 0
        self._revision = revision
        return Loaded(self._version, rows)

    async def newest(self) -> int:
        """As it was when the lease became ours: from then on nobody else writes."""
        self.keys.take(self.lease.data_keys)
        self.keys.align()
        return self.lease.version

    async def commit(self, version: int, rows: Sequence[Row]) -> None:
        """Write while the lease is ours; what was sent and not answered is sent again until it is.

        Raises UnavailableError once another manager leads: it may have happened then, and whoever
        asked reads again.
        """
        request = self._transaction(version, rows)
        backoff = Backoff(0.02, 0.2, self._random)
        began, patience = self._clock.monotonic(), self._patience
        unanswered = False
        while left := self.lease.left:
            try:
                happened = await self._send(request, version, min(left, patience))
            except UnavailableError as error:
                delay = backoff.next()
                patience *= 2
                unanswered = True
                log.warning("a write waits", extra=fields(error=error, retry_in=delay))
                await self._clock.sleep(delay)
                continue
            except ResourceExhaustedError:
                if unanswered:  # an earlier try may still happen, unless another manager leads
                    break
                raise
            if not happened:
                break
            spent = self._clock.monotonic() - began
            self._patience = max(_PATIENCE_SECONDS, _PATIENCE * spent)
            return
        self.lease.lose()
        message = "this manager leads no more: look whether it happened, and try again"
        raise UnavailableError(message)

    async def _send(self, request: etcd.TxnRequest, version: int, seconds: float) -> bool:
        """Whether it happened, now or in an earlier try; raises ResourceExhaustedError."""
        try:
            answer = await self._client.txn(request, seconds)
            happened, revision = answer.succeeded, answer.header.revision
            happened = happened or self._happened(answer, version)
        except ResourceExhaustedError:
            # Of the first one that its quota has no room for, etcd says so and writes it.
            found, revision = await self._client.get(keys.VERSION)
            leader, _ = await self._client.get(keys.LEADER)  # after it: it was ours all the time
            if leader is None or leader.create_revision != self.lease.fence:
                return False
            happened = found is not None and int(found.value) == version
            if not happened:
                raise
        if happened:
            self._version, self._revision = version, revision
        return happened

    async def follow(self) -> AsyncIterator[Change]:
        """What others commit, in order, from where this manager stands; raises Behind."""
        backoff = Backoff(0.05, 1.0, self._random)
        while True:
            try:
                async for change in self._watch():
                    backoff.reset()
                    yield change
            except UnavailableError as error:
                delay = backoff.next()
                log.warning("cannot follow now", extra=fields(error=error, retry_in=delay))
                await self._clock.sleep(delay)

    async def _watch(self) -> AsyncIterator[Change]:
        start = self._revision + 1
        async for answer in self._client.watch(keys.STORE, keys.after(keys.STORE), start):
            if answer.compact_revision:
                raise Behind
            if answer.canceled:
                raise UnavailableError(f"etcd ended the watch: {answer.cancel_reason}")
            for change, revision in self._changes(answer.events):
                self._revision = revision
                if change is not None:
                    self._version = change.version
                    yield change

    async def close(self) -> None:
        await self._client.close()

    def _transaction(self, version: int, rows: Sequence[Row]) -> etcd.TxnRequest:
        ops = [self._op(row) for row in rows]
        put = etcd.PutRequest(key=keys.VERSION, value=str(version).encode())
        ops.append(etcd.RequestOp(request_put=put))
        look = [
            etcd.RequestOp(request_range=etcd.RangeRequest(key=key))
            for key in (keys.VERSION, keys.LEADER)
        ]
        return etcd.TxnRequest(compare=self._conditions(), success=ops, failure=look)

    def _conditions(self) -> list[etcd.Compare]:
        equal = etcd.Compare.EQUAL
        fence = etcd.Compare(
            result=equal,
            target=etcd.Compare.CREATE,
            key=keys.LEADER,
            create_revision=self.lease.fence,
        )
        if not self._version:
            before = etcd.Compare(
                result=equal, target=etcd.Compare.CREATE, key=keys.VERSION, create_revision=0
            )
        else:
            before = etcd.Compare(
                result=equal,
                target=etcd.Compare.VALUE,
                key=keys.VERSION,
                value=str(self._version).encode(),
            )
        return [fence, before]

    def _happened(self, answer: etcd.TxnResponse, version: int) -> bool:
        """An earlier try of the same commit was carried out, though its answer was lost."""
        found, leader = (one.response_range.kvs for one in answer.responses)
        ours = bool(leader) and leader[0].create_revision == self.lease.fence
        return ours and bool(found) and int(found[0].value) == version

    def _op(self, row: Row) -> etcd.RequestOp:
        if row.data is None:
            key = keys.object_key(row.kind, row.id)
            return etcd.RequestOp(request_delete_range=etcd.DeleteRangeRequest(key=key))
        return etcd.RequestOp(request_put=put(row, self.keys.sealer))

    def _row(self, found: etcd.KeyValue) -> Row:
        kind, object_id = keys.named(found.key)
        version, sealed = keys.unpacked(found.value)
        row = Row(kind, object_id, version, None)
        try:
            return row._replace(data=self.keys.sealer.open(sealed, row.bound))
        except NotOpenedError as error:
            raise self._unreadable(row, error) from error

    def _unreadable(self, row: Row, error: NotOpenedError) -> CorruptStateError:
        if error.wrong_key:
            return CorruptStateError(
                f"{self.place} is sealed under another data key than the one in "
                f"{self.keys.sealer.home}: this node's state is not of this cluster, or of another "
                "time"
            )
        return corrupt(self.place, f"{row.kind} {row.id}: {error}")

    def _changes(self, events: Sequence[Any]) -> list[tuple[Change | None, int]]:
        """The transactions of these events: etcd never splits one over two answers.

        None for one that says nothing of objects: of keys, or that some were sealed anew.
        """
        changes: list[tuple[Change | None, int]] = []
        rows: list[Row] = []
        for event in events:
            if event.kv.key == keys.VERSION:
                changes.append((Change(int(event.kv.value), rows), event.kv.mod_revision))
                rows = []
            elif event.kv.key in {keys.DATA_KEYS, keys.RESEALED}:
                if event.kv.key == keys.DATA_KEYS:
                    self.keys.follow(event.kv)
                changes.append((None, event.kv.mod_revision))
                rows = []
            elif event.type == etcd.Event.DELETE:
                rows.append(Row(*keys.named(event.kv.key), 0, None))
            else:
                rows.append(self._row(event.kv))
        if rows:
            raise SwarmError(f"{self.place} shows changes of no transaction: is it ours alone?")
        return changes
