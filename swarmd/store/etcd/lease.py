"""The right to write: a key of etcd's that only one manager can have made, tied to its lease.

It ends with the lease: given back, run out, or, where the manager's process died, given back for it
by the etcd worker, which sees the end of a connection that the manager had open to it (its will).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from random import Random
from typing import Final

from swarmd.api.protos import etcd_pb2 as etcd
from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.errors import SwarmError, UnavailableError
from swarmd.logs import fields, get_logger
from swarmd.store.etcd.client import EtcdClient
from swarmd.store.etcd.keeper import Keeper
from swarmd.store.etcd.keys import DATA_KEYS, LEADER, VERSION

log = get_logger(__name__)
WILL: Final = "will"  # the etcd worker's socket, beside etcd's own
_VACANT: Final = etcd.Compare(
    result=etcd.Compare.EQUAL, target=etcd.Compare.CREATE, key=LEADER, create_revision=0
)
_GIVE_BACK_SECONDS: Final = 1.0
_REST_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 5.0  # between two looks of our own at who leads
_TRIES: Final = 5  # of a campaign, in the time of the lease
_PAUSE_SECONDS: Final = 0.05


class EtcdLease:
    """Campaigns under a node's id; `seconds` is how long a silent leader is one."""

    def __init__(
        self, client: EtcdClient, node_id: str, seconds: int, clock: Clock, random: Random
    ) -> None:
        self._client = client
        self._node_id = node_id
        self._seconds = seconds
        self._clock = clock
        self._random = random
        self._keeper: Keeper | None = None
        self._lost = asyncio.Event()
        self._rests = 0.0
        self._leader = ""
        self._changed = asyncio.Event()
        self.fence = 0  # the revision that made the election key, while it is ours
        self.version = 0  # of the store, as of that revision
        self.data_keys: etcd.KeyValue | None = None  # the record of them, as of that revision

    @property
    def held(self) -> bool:
        return self.left > 0

    @property
    def left(self) -> float:
        """Seconds for which it is surely ours, whatever happens; 0 while it is not."""
        if self._keeper is None or self._lost.is_set():
            return 0.0
        return max(0.0, self._keeper.left)

    @property
    def lost(self) -> asyncio.Event:
        return self._lost

    @property
    def leader(self) -> str:
        """The node that leads, as far as this campaign saw; empty where none is known."""
        return self._leader

    async def wait_changed(self) -> None:
        """Return once another leads, or none, than when this was asked."""
        await self._changed.wait()

    def give_away(self) -> None:
        """End the leadership; this manager's next campaign begins a while later."""
        self._rests = _REST_SECONDS
        self._lost.set()

    def lose(self) -> None:
        """It was seen to be another's: nothing of this manager counts any more."""
        self._lost.set()

    @contextlib.asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Wait until the election key is ours; at the end give it back, so that another has it."""
        lease = await self._campaign()
        will = asyncio.ensure_future(self._leave_will(lease))
        try:
            yield
        finally:
            will.cancel()
            await asyncio.wait([will])
            assert self._keeper is not None
            self._keeper.stop()
            self._keeper = None
            self._see("")
            with contextlib.suppress(SwarmError, TimeoutError):  # it ends by itself, a bit later
                async with asyncio.timeout(_GIVE_BACK_SECONDS):
                    await self._client.revoke(lease)

    def _see(self, leader: str) -> None:
        if leader != self._leader:
            self._leader = leader
            self._changed.set()
            self._changed = asyncio.Event()

    async def _leave_will(self, lease: int) -> None:
        """Have the lease given back for us should this process end; without it, time runs out."""
        backoff = Backoff(0.1, 5.0, self._random)
        path = self._client.socket.with_name(WILL)
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(path)
                with contextlib.closing(writer):
                    backoff.reset()
                    writer.write(b"%d\n" % lease)
                    await reader.read()  # until its taker ends: the next one is to know of it too
            except OSError as error:
                log.debug("nobody takes this manager's will", extra=fields(error=error))
            await self._clock.sleep(backoff.next())

    async def _campaign(self) -> int:
        backoff = Backoff(0.1, 1.0, self._random)
        rests, self._rests = self._rests, 0.0
        await self._clock.sleep(rests)
        while True:
            try:
                await self._wait_vacant()
                lease = await self._try()
                if lease:
                    return lease
                backoff.reset()
                await self._clock.sleep(backoff.next())  # this host's etcd may be behind
            except SwarmError as error:
                delay = backoff.next()
                log.warning("cannot campaign yet", extra=fields(error=error, retry_in=delay))
                await self._clock.sleep(delay)

    async def _wait_vacant(self) -> None:
        """Return once nobody leads, as far as this host's etcd knows."""
        while True:
            found, revision = await self._client.look(LEADER)
            self._see(found.value.decode() if found is not None else "")
            if found is None:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._wait_gone(revision)
                    self._see("")
                    return

    async def _wait_gone(self, revision: int) -> None:
        async for answer in self._client.watch(LEADER, b"", revision + 1):
            gone = any(event.type == etcd.Event.DELETE for event in answer.events)
            if gone or answer.canceled:  # that, when what was asked for is not kept any more
                return

    async def _try(self) -> int:
        """The lease with which the key became ours; 0 where another was first."""
        since = self._clock.monotonic()
        lease = await self._client.grant(self._seconds, self._seconds / 2)
        found = await self._win(lease, since)
        self._see(found.value.decode())
        if found.lease != lease:
            return 0  # the lease that nothing is tied to ends by itself
        self._keep(lease, since)
        self.fence = found.create_revision
        return lease

    async def _win(self, lease: int, since: float) -> etcd.KeyValue:
        """The election key, made by us or by who was first; asks until the lease would be over.

        An answer that does not come says nothing: the key may be ours, and is then found to be.
        """
        put = etcd.PutRequest(key=LEADER, value=self._node_id.encode(), lease=lease)
        look = [
            etcd.RequestOp(request_range=etcd.RangeRequest(key=key))
            for key in (LEADER, VERSION, DATA_KEYS)
        ]
        request = etcd.TxnRequest(
            compare=[_VACANT], success=[etcd.RequestOp(request_put=put), *look], failure=look
        )
        patience = self._seconds / _TRIES
        while True:
            try:
                answer = await self._client.txn(request, patience)
            except UnavailableError as error:
                if self._clock.monotonic() + patience > since + self._seconds:
                    raise
                log.info("no answer to a campaign", extra=fields(error=error, asked_again=True))
                await self._clock.sleep(self._random.uniform(0, _PAUSE_SECONDS))
            else:
                found = [one.response_range.kvs for one in answer.responses[-len(look) :]]
                (leader,), version, data_keys = found
                self.version = int(version[0].value) if version else 0
                self.data_keys = data_keys[0] if data_keys else None
                return leader

    def _keep(self, lease: int, since: float) -> None:
        self._lost = asyncio.Event()
        loop, lost = asyncio.get_running_loop(), self._lost

        def ended() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
                loop.call_soon_threadsafe(lost.set)

        self._keeper = Keeper(
            self._client.socket,
            lease,
            seconds=self._seconds,
            since=since,
            clock=self._clock,
            ended=ended,
        )
        self._keeper.start()
