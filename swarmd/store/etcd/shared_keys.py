"""The data keys that the managers share: the record of them in etcd, and this manager's sealer."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from swarmd.api.protos import etcd_pb2 as etcd
from swarmd.errors import CorruptStateError, UnavailableError
from swarmd.security.encryption import Sealer
from swarmd.store.backend import Row
from swarmd.store.etcd import keys
from swarmd.store.etcd.client import EtcdClient
from swarmd.store.etcd.key_record import KeyRecord
from swarmd.store.etcd.lease import EtcdLease

_PAGE: Final = 100
_MOST_BYTES: Final = 1 << 20  # of one transaction; a single row may have more
_EQUAL: Final = etcd.Compare.EQUAL


class SharedKeys:
    """`record` is the newest that this manager knows of; None before the first leader."""

    def __init__(self, client: EtcdClient, lease: EtcdLease, sealer: Sealer) -> None:
        self.sealer = sealer
        self.record: KeyRecord | None = None
        self._client = client
        self._lease = lease
        self._revision = 0  # etcd's, of the record
        self._followed = 0

    def take(self, found: Any | None) -> None:
        """The key of etcd's is that now, or was: only a newer one counts."""
        if found is not None and found.mod_revision > self._revision:
            self.record, self._revision = KeyRecord.from_bytes(found.value), found.mod_revision

    def follow(self, found: Any) -> None:
        """The same, of one to which this manager has come with all that was written before it."""
        self.take(found)
        self._followed = max(self._followed, found.mod_revision)

    @property
    def followed(self) -> bool:
        """Nothing that was written before the record is still to be read."""
        return self._followed >= self._revision

    def hold(self, sealer: Sealer) -> None:
        """This manager has other keys from here on: no value may be under one that it lacks."""
        self.sealer = sealer
        self.align()

    @property
    def aligned(self) -> bool:
        return self.record is None or self.sealer.seals_under(self.record.seals)

    def align(self) -> None:
        """Seal as the record says; a write that is under way must not be sealed otherwise."""
        if self.record is None:
            return
        try:
            self.sealer.seal_under(self.record.seals)
        except KeyError as error:
            raise CorruptStateError(
                f"the data key that the managers use is missing in {self.sealer.home}: "
                "put back a copy of that file, or have this manager leave and join again"
            ) from error

    # What the leader does.

    async def read(self) -> None:
        """Take the record as it is now, whoever wrote it; raises UnavailableError."""
        found, _ = await self._client.get(keys.DATA_KEYS)
        self.take(found)

    async def write(self, record: KeyRecord) -> None:
        """In the place of the one that was read last; raises UnavailableError, then read again."""
        was = self.record.to_bytes() if self.record is not None else None
        before = etcd.Compare(result=_EQUAL, key=keys.DATA_KEYS)
        if was is None:
            before.target, before.create_revision = etcd.Compare.CREATE, 0
        else:
            before.target, before.value = etcd.Compare.VALUE, was
        put = etcd.PutRequest(key=keys.DATA_KEYS, value=record.to_bytes())
        self._revision = await self._carry_out([before], [put])
        self.record = record

    async def held(self) -> Mapping[int, frozenset[str]]:
        """Which keys each member has said that it holds, by etcd's number."""
        answer = await self._client.page(keys.HELD, keys.HELD, 0, 1_000)
        return {
            int(one.key.removeprefix(keys.HELD), 16): frozenset(json.loads(one.value))
            for one in answer.kvs
        }

    async def say_held(self, member: int, ids: Sequence[str]) -> None:
        """That member holds these, on its disk."""
        put = etcd.PutRequest(key=keys.held_key(member), value=json.dumps(list(ids)).encode())
        await self._client.txn(etcd.TxnRequest(success=[etcd.RequestOp(request_put=put)]))

    async def reseal_some(self, start: bytes) -> tuple[bytes, int]:
        """Seal anew what is not under the key in use, of some objects from that key of etcd's on.

        Returns where to go on, empty at the end, and how many were not. One that was written
        meanwhile is left, as it is under that key now: it has all of these be looked at again.
        """
        answer = await self._client.page(keys.OBJECTS, start, 0, _PAGE)
        old = [one for one in answer.kvs if not self.sealer.is_current(keys.unpacked(one.value)[1])]
        found = len(old)
        while old:
            some = [old.pop()]
            while old and sum(len(one.value) for one in some) < _MOST_BYTES:
                some.append(old.pop())
            await self._reseal(some)
        return (answer.kvs[-1].key + b"\0" if answer.more else b""), found

    async def _reseal(self, found: Sequence[Any]) -> None:
        unchanged = [
            etcd.Compare(
                result=_EQUAL,
                target=etcd.Compare.MOD,
                key=one.key,
                mod_revision=one.mod_revision,
            )
            for one in found
        ]
        puts = [etcd.PutRequest(key=one.key, value=self._resealed(one)) for one in found]
        puts.append(etcd.PutRequest(key=keys.RESEALED, value=b""))  # the last: so followers know
        await self._carry_out(unchanged, puts, strict=False)

    def _resealed(self, found: Any) -> bytes:
        version, sealed = keys.unpacked(found.value)
        bound = Row(*keys.named(found.key), version, None).bound
        return keys.packed(version, self.sealer.seal(self.sealer.open(sealed, bound), bound))

    async def _carry_out(
        self,
        conditions: Sequence[etcd.Compare],
        puts: Sequence[etcd.PutRequest],
        *,
        strict: bool = True,
    ) -> int:
        """While this manager leads; etcd's revision then.

        Raises UnavailableError where it does not, or the conditions do not hold.
        """
        fence = etcd.Compare(
            result=_EQUAL,
            target=etcd.Compare.CREATE,
            key=keys.LEADER,
            create_revision=self._lease.fence,
        )
        request = etcd.TxnRequest(
            compare=[fence, *conditions],
            success=[etcd.RequestOp(request_put=put) for put in puts],
        )
        answer = await self._client.txn(request)
        if strict and not answer.succeeded:
            raise UnavailableError("the managers' data keys are another leader's matter now")
        return int(answer.header.revision)
