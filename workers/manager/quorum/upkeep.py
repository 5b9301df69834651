"""Room in etcd: what nobody needs any more is given back, and a used-up quota is mended.

etcd keeps its file as large as it once was, until it is told to write it anew; it answers nothing
meanwhile. So a manager does that for its own etcd when half of the file is air, one at a time: who
holds a key of etcd's does it. The member that leads the raft waits for more air, so that the others
are done before it.

A member whose file has reached the quota raises an alarm, and from then on nobody may write. The
leader drops the past then, every manager makes room, and the leader takes the alarm back.
"""

from random import Random
from typing import Final

from swarmd.api.protos import etcd_pb2 as etcd
from swarmd.clock import Clock
from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger
from swarmd.store import Store
from swarmd.store.etcd import EtcdClient
from swarmd.store.etcd.keys import VERSION

log = get_logger(__name__)
_LOOK_SECONDS: Final = (5.0, 10.0)
_LEAST_BYTES: Final = 64 << 20
_AIR: Final = 2.0  # the file, as a multiple of what is in it
_AIR_OF_LEADER: Final = 2.5
_AIR_IN_ALARM: Final = 1.1
_SECONDS: Final = 120
_TURN: Final = b"upkeep"


def wants_rewrite(size: int, in_use: int, *, leads: bool, alarm: bool) -> bool:
    """Whether a file of that size, with so much in it, is to be written anew (pure)."""
    if alarm:
        return size > _AIR_IN_ALARM * in_use
    return size >= _LEAST_BYTES and size > (_AIR_OF_LEADER if leads else _AIR) * in_use


class Upkeep:
    """Of one manager's etcd, as long as `run` does; `store` says whether this manager leads."""

    def __init__(self, store: Store, client: EtcdClient, clock: Clock, random: Random) -> None:
        self._store = store
        self._client = client
        self._clock = clock
        self._random = random

    async def run(self) -> None:
        while True:
            await self._clock.sleep(self._random.uniform(*_LOOK_SECONDS))
            try:
                await self._look()
            except SwarmError as error:
                log.info("cannot look after etcd's room now", extra=fields(error=error))

    async def _look(self) -> None:
        client = self._client
        status = await client.call(client.maintenance.Status, etcd.StatusRequest())
        alarms = await self._alarms()
        if alarms and self._store.is_writable:
            log.warning("the store's quota is used up: making room")
            _, revision = await client.get(VERSION)
            await self._drop_past(revision)
        leads = status.leader == status.header.member_id
        size, used = status.dbSize, status.dbSizeInUse
        if wants_rewrite(size, used, leads=leads, alarm=bool(alarms)):
            await self._in_turn(size, alarm=bool(alarms))
        if alarms and self._store.is_writable:
            await self._take_back(alarms)

    async def _alarms(self) -> list[etcd.AlarmMember]:
        request = etcd.AlarmRequest(action=etcd.AlarmRequest.GET, alarm=etcd.NOSPACE)
        answer = await self._client.call(self._client.maintenance.Alarm, request)
        return [one for one in answer.alarms if one.alarm == etcd.NOSPACE]

    async def _drop_past(self, revision: int) -> None:
        try:
            await self._client.compact(revision)
        except SwarmError as error:  # it was done already, as a rule
            log.debug("the past stays", extra=fields(error=error))

    async def _in_turn(self, size: int, *, alarm: bool) -> None:
        """Write the file anew, unless another manager is at it; in an alarm no key can be had."""
        if alarm:
            await self._rewrite(size)
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

    async def _rewrite(self, size: int) -> None:
        began = self._clock.monotonic()
        client = self._client
        request = etcd.DefragmentRequest()
        await client.call(client.maintenance.Defragment, request, seconds=_SECONDS)
        spent = round(self._clock.monotonic() - began, 2)
        log.info("wrote etcd's file anew", extra=fields(bytes_before=size, seconds=spent))

    async def _take_back(self, alarms: list[etcd.AlarmMember]) -> None:
        """Where there is still no room etcd raises it again, at the next write."""
        for one in alarms:
            request = etcd.AlarmRequest(
                action=etcd.AlarmRequest.DEACTIVATE, memberID=one.memberID, alarm=one.alarm
            )
            await self._client.call(self._client.maintenance.Alarm, request)
