"""The managers' data key: each one holds what the record names, and the leader brings a new one.

The key seals every value in etcd, and lies in each manager's key file. While those files are not
locked, it lies on the disks in the clear. So once the cluster is locked its leader makes another
one, which goes to each member by the way by which a joining manager gets it, and is used when all
of them have it on their disks (swarmd.store.etcd.key_record). A member that is away is waited for.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from swarmd.api.protos import etcd_pb2 as etcd
from swarmd.clock import Clock
from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger
from swarmd.security import data_key, key_file
from swarmd.security.encryption import KEY_BYTES, key_id
from swarmd.store import Store
from swarmd.store.etcd import EtcdClient
from swarmd.store.etcd import keys as layout
from swarmd.store.etcd.key_record import KeyRecord, Step, next_step
from swarmd.store.etcd.shared_keys import SharedKeys
from swarmd.store.room import Level
from workers.manager.autolock import manager_key
from workers.manager.quorum.members import Membership

log = get_logger(__name__)
_LOOK_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.02  # between two transactions that seal anew: others write too
Fetch = Callable[[], Awaitable[Sequence[bytes]]]


class HoldKeys:
    """On every manager: its key file has the keys of the record, and etcd knows that it has.

    `fetch` asks the leader for its own.
    """

    def __init__(
        self,
        store: Store,
        keys: SharedKeys,
        client: EtcdClient,
        path: Path,
        *,
        fetch: Fetch,
        clock: Clock,
    ) -> None:
        self._store = store
        self._keys = keys
        self._client = client
        self._path = path
        self._fetch = fetch
        self._clock = clock
        self._said: tuple[str, ...] = ()

    async def run(self) -> None:
        while True:
            try:
                await self._look()
            except (SwarmError, OSError) as error:
                log.warning("cannot hold the managers' data keys now", extra=fields(error=error))
            await self._clock.sleep(_LOOK_SECONDS)

    async def _look(self) -> None:
        record = self._keys.record
        if record is None or self._said == record.ids:
            return
        have = by_id((await asyncio.to_thread(data_key.open_data_keys, self._path)).all)
        if tuple(have) != record.ids:
            if not set(record.ids) <= set(have) and await self._may_have(record):
                have |= by_id(await self._fetch())
            dropped = set(have) - set(record.ids)
            if not set(record.ids) <= set(have) or (dropped and not self._may_drop()):
                return
            await self._keep([have[one] for one in record.ids])
        await self._say(record)

    async def _may_have(self, record: KeyRecord) -> bool:
        """What is to be secret comes into no file that is not locked; the leader asks nobody."""
        sealed = await asyncio.to_thread(key_file.sealing, self._path)
        return not self._store.is_writable and bool(sealed or not record.handed_out)

    def _may_drop(self) -> bool:
        """What this manager has still to read may be under any key that it has."""
        return self._store.is_writable or self._keys.followed

    async def _keep(self, keys: Sequence[bytes]) -> None:
        adopted = await asyncio.to_thread(data_key.adopt, self._path, keys)
        self._keys.hold(adopted.sealer(self._path))

    async def _say(self, record: KeyRecord) -> None:
        maintenance = self._client.maintenance
        status = await self._client.call(maintenance.Status, etcd.StatusRequest())
        await self._keys.say_held(status.header.member_id, record.ids)
        self._said = record.ids


class ReplaceKey:
    """The leader's component: takes each step that is due."""

    def __init__(
        self, store: Store, keys: SharedKeys, membership: Membership, path: Path, clock: Clock
    ) -> None:
        self._store = store
        self._keys = keys
        self._membership = membership
        self._path = path
        self._clock = clock
        self._awaited: set[str] = set()
        self._sure = False  # what etcd has as the record, which nobody else writes

    async def run(self) -> None:
        while True:
            try:
                await self._look()
            except (SwarmError, OSError) as error:
                self._sure = False
                log.warning("the data key stays as it is now", extra=fields(error=error))
            await self._clock.sleep(_LOOK_SECONDS)

    async def _look(self) -> None:
        if not self._sure:
            await self._keys.read()
            self._sure = True
        if self._is_quiet():
            return
        own = by_id((await asyncio.to_thread(data_key.open_data_keys, self._path)).all)
        locked = self._is_locked() and bool(await asyncio.to_thread(key_file.sealing, self._path))
        record = self._keys.record
        if record is None:  # all is under one key; with two, a move was cut short by the end
            ids = tuple(own)
            await self._keys.write(KeyRecord(ids, ids[-1], exposed=not locked))
            return
        await self._align()
        held = await self._held() if record.handed_out else {}
        step = next_step(record, own, held, locked=locked)
        if step is Step.NOTE_EXPOSED:
            await self._keys.write(record.noted_exposed())
        elif step is Step.HAND_OUT:
            await self._hand_out(record, own)
        elif step is Step.GIVE_UP:
            await self._keys.write(record.given_up())
        elif step is Step.SWITCH:
            await self._keys.write(record.switched())
            await self._align()
            log.info("every manager holds the new data key: sealing the store under it")
        elif step is Step.RESEAL:
            await self._reseal(record)

    def _is_quiet(self) -> bool:
        """There is one key, and it is as secret as the cluster asks for."""
        record = self._keys.record
        one = record is not None and len(record.ids) == 1 and self._keys.aligned
        return one and record is not None and record.exposed != self._is_locked()

    def _is_locked(self) -> bool:
        return any(manager_key(one) for one in self._store.view().clusters.find())

    async def _align(self) -> None:
        """With no write under way that is sealed under another key."""
        if not self._keys.aligned:
            async with self._store.still():
                self._keys.align()

    async def _held(self) -> Mapping[int, frozenset[str]]:
        """Of each member, also one that is away; tells, once, who is waited for."""
        known = await self._keys.held()
        members = await self._membership.members()
        held = {one.number: known.get(one.number, frozenset()) for one in members.values()}
        record = self._keys.record
        assert record is not None
        awaited = {name for name, one in members.items() if record.newest not in held[one.number]}
        if awaited and awaited != self._awaited:
            log.info("a new data key goes to the managers", extra=fields(lack=sorted(awaited)))
        self._awaited = awaited
        return held

    async def _hand_out(self, record: KeyRecord, own: Mapping[str, bytes]) -> None:
        """The record first: a key in the file that no record names is dropped."""
        made = os.urandom(KEY_BYTES)
        if record.seals not in own or key_id(made) in own:
            return
        await self._keys.write(record.with_next(key_id(made)))
        keys = [own[record.seals], made]
        adopted = await asyncio.to_thread(data_key.adopt, self._path, keys)
        self._keys.hold(adopted.sealer(self._path))

    async def _reseal(self, record: KeyRecord) -> None:
        """One look at every object; when all of them are under the new key the old one goes."""
        found, start = 0, layout.OBJECTS
        while start:
            if self._store.room.level is not Level.AMPLE:  # what is sealed anew takes room at first
                return
            start, count = await self._keys.reseal_some(start)
            found += count
            await self._clock.sleep(_PAUSE_SECONDS)
        if found:
            log.info("sealed the store anew", extra=fields(objects=found))
        else:
            await self._keys.write(record.settled())
            log.info("the store is under the new data key, and the old one goes")


def by_id(keys: Sequence[bytes]) -> dict[str, bytes]:
    """In their order."""
    return {key_id(one): one for one in keys}
