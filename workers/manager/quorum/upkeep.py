"""Room in etcd: measured, told to the store, and won back before any is refused.

etcd keeps its file as large as it once was, until it is told to write it anew; it answers nothing
meanwhile. So a manager does that for its own etcd when half of the file is air, one at a time: who
holds a key of etcd's does it. The member that leads the raft waits for more air, so that the others
are done before it.

As room gets scarce the leader drops the past, of which etcd would keep more, and what was there at
its last look stays, so that nobody who follows has to read everything again. What is still in use
then is what is there, and the store refuses to let it grow (swarmd.store.room).

A member whose file has reached the quota all the same raises an alarm, and from then on nobody may
write. All of the past is dropped then, every manager makes room, and the one whose member leads the
raft takes the alarm back.
"""

from random import Random
from typing import Final

from swarmd.api.protos import etcd_pb2 as etcd
from swarmd.clock import Clock
from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger
from swarmd.store import Store
from swarmd.store.etcd import EtcdClient
from swarmd.store.room import Level, Room, backend_bytes

log = get_logger(__name__)
_LOOK_SECONDS: Final = (1.0, 2.0)
_LEAST_BYTES: Final = 64 << 20
_AIR: Final = 2.0  # the file, as a multiple of what is in it
_AIR_OF_LEADER: Final = 2.5
_AIR_WHERE_FULL: Final = 1.1
_REST_SECONDS: Final = 60.0
_LOOKS_OF_LEADER: Final = 4
_STEP: Final = 0.01  # of the quota: with so much more in use, the past is dropped again
_SECONDS: Final = 120
_TURN: Final = b"upkeep"
_NUDGE: Final = b"nudge"


def wants_rewrite(size: int, in_use: int, quota: int, *, leads: bool) -> bool:
    """Whether a file of that size, with so much in it, is to be written anew (pure)."""
    if size >= quota:
        return size > _AIR_WHERE_FULL * in_use
    return size >= _LEAST_BYTES and size > (_AIR_OF_LEADER if leads else _AIR) * in_use


def wants_drop(room: Room, left: int, *, news: bool) -> bool:
    """Whether to drop the past, with so much in use after it was last done (pure).

    `news`: something was written since. Where room is scarce, each removal is to count soon.
    """
    scarce = room.level is not Level.AMPLE
    return room.pressed and news and (scarce or room.used > left + _STEP * room.quota)


class Upkeep:
    """Of one manager's etcd, as long as `run` does; `store` says whether this manager leads."""

    def __init__(
        self, store: Store, client: EtcdClient, quota: int, clock: Clock, random: Random
    ) -> None:
        self._store = store
        self._client = client
        self._clock = clock
        self._random = random
        self._quota = quota
        self._seen = 0  # etcd's revision at the last look
        self._used = quota  # bytes in use then
        self._dropped = 0  # what is older was dropped
        self._left = 0  # bytes in use after that
        self._rests_until = 0.0
        self._waited = 0  # looks at which it was to be written anew
        self._told = Level.AMPLE
        self._alarm = False

    async def run(self) -> None:
        self._store.room = Room(quota=self._quota)
        while True:
            try:
                await self._look()
            except SwarmError as error:
                log.info("cannot look after etcd's room now", extra=fields(error=error))
            await self._clock.sleep(self._random.uniform(*_LOOK_SECONDS))

    async def _look(self) -> None:
        status = await self._status()
        alarm = any("NOSPACE" in one for one in status.errors)
        self._say_alarm(alarm)
        leads = status.leader == status.header.member_id
        if alarm and leads:  # of the raft: in an alarm nobody can become the managers' leader
            await self._mend(status)
        elif not alarm and self._store.is_writable:
            await self._drop_past(status)
        self._measured(status.dbSizeInUse)
        self._seen = status.header.revision
        size, used = status.dbSize, status.dbSizeInUse
        rests = self._clock.monotonic() < self._rests_until and not alarm
        if rests or not wants_rewrite(size, used, self._quota, leads=leads):
            self._waited = 0
        else:
            self._waited += 1
            await self._in_turn(size, alarm=alarm)

    async def _status(self) -> etcd.StatusResponse:
        return await self._client.call(self._client.maintenance.Status, etcd.StatusRequest())

    def _say_alarm(self, alarm: bool) -> None:
        if alarm and not self._alarm:
            log.warning("etcd's quota is used up, and nothing can be written: making room")
        elif self._alarm and not alarm:
            log.info("etcd can be written again")
        self._alarm = alarm

    def _measured(self, used: int) -> None:
        """More than was written is believed at the second look: etcd frees room a bit later."""
        believed = min(used, max(self._store.room.used, self._used))
        self._used = used
        now = self._store.room = self._store.room.after(believed)
        if now.level and now.level is not self._told:
            log.warning(now.sentence)
        elif self._told and not now.level:
            log.info("the store has room again", extra=fields(used=used, quota=self._quota))
        self._told = now.level

    async def _drop_past(self, status: etcd.StatusResponse) -> None:
        """What was replaced before the last look, where that is due."""
        self._left = min(self._left, status.dbSizeInUse)
        room = self._store.room.after(status.dbSizeInUse)
        if wants_drop(room, self._left, news=self._seen > self._dropped):
            self._dropped = self._seen
            await self._compact(self._seen)
            await self._nudge()
            self._left = (await self._status()).dbSizeInUse

    async def _nudge(self) -> None:
        """Write something: only with the writes after it does etcd count as free what it freed."""
        nothing = etcd.PutRequest(key=_NUDGE, value=b"")
        await self._client.txn(etcd.TxnRequest(success=[etcd.RequestOp(request_put=nothing)]))

    async def _compact(self, revision: int) -> None:
        try:
            await self._client.compact(revision)
        except SwarmError as error:  # it was done already, as a rule
            log.debug("the past stays", extra=fields(error=error))

    async def _in_turn(self, size: int, *, alarm: bool) -> None:
        """Write the file anew, unless another manager is at it; in an alarm no key can be had.

        The managers' leader would lose its lease meanwhile: it waits for the others to be done, and
        hands over.
        """
        if alarm:
            await self._rewrite(size)
            return
        if self._store.is_writable and await self._has_others():
            if self._waited >= _LOOKS_OF_LEADER:
                log.info("hands over, to write etcd's file anew")
                self._store.lease.give_away()
            return
        lease = await self._client.grant(_SECONDS)
        try:
            mine = etcd.PutRequest(key=_TURN, value=b"", lease=lease)
            vacant = etcd.Compare(
                result=etcd.Compare.EQUAL,
                target=etcd.Compare.CREATE,
                key=_TURN,
                create_revision=0,
            )
            request = etcd.TxnRequest(compare=[vacant], success=[etcd.RequestOp(request_put=mine)])
            if (await self._client.txn(request)).succeeded:
                await self._rewrite(size)
        finally:
            await self._client.revoke(lease)

    async def _has_others(self) -> bool:
        request = etcd.MemberListRequest()
        found = await self._client.call(self._client.cluster.MemberList, request)
        return len(found.members) > 1

    async def _rewrite(self, size: int) -> None:
        began = self._clock.monotonic()
        client = self._client
        request = etcd.DefragmentRequest()
        await client.call(client.maintenance.Defragment, request, seconds=_SECONDS)
        spent = round(self._clock.monotonic() - began, 2)
        self._rests_until = self._clock.monotonic() + _REST_SECONDS
        log.info("wrote etcd's file anew", extra=fields(bytes_before=size, seconds=spent))

    async def _mend(self, status: etcd.StatusResponse) -> None:
        """Drop all of the past; take the alarm back once there is room here.

        Where there is none yet on another member, that raises it again.
        """
        await self._compact(status.header.revision)
        if status.dbSize >= backend_bytes(self._quota):
            return
        client = self._client
        ask = etcd.AlarmRequest(action=etcd.AlarmRequest.GET, alarm=etcd.NOSPACE)
        for one in (await client.call(client.maintenance.Alarm, ask)).alarms:
            request = etcd.AlarmRequest(
                action=etcd.AlarmRequest.DEACTIVATE, memberID=one.memberID, alarm=one.alarm
            )
            await client.call(client.maintenance.Alarm, request)
