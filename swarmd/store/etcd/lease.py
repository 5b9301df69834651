"""The right to write: a key of etcd's that only one manager can have made, tied to its lease.

The lease is kept alive from a thread, so that a loop that is busy for a second does not cost the
leadership; a process that is stopped or dead does. Time is counted from before each sign of life
was sent: what this manager takes for the end comes before what etcd does.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Final

import grpc

from swarmd.api.protos import etcd_pb2 as etcd
from swarmd.api.protos import etcd_pb2_grpc as services
from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger
from swarmd.store.etcd.client import EtcdClient, target
from swarmd.store.etcd.keys import LEADER

log = get_logger(__name__)
_VACANT: Final = etcd.Compare(
    result=etcd.Compare.EQUAL, target=etcd.Compare.CREATE, key=LEADER, create_revision=0
)
_GIVE_BACK_SECONDS: Final = 1.0
_REST_SECONDS: Final = 2.0


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
        self._keeper: _Keeper | None = None
        self._lost = asyncio.Event()
        self._rests = 0.0
        self.fence = 0  # the revision that made the election key, while it is ours
        self.leader = ""
        """The node that leads, as far as this campaign saw; empty where none is known."""

    @property
    def held(self) -> bool:
        return self._keeper is not None and self._keeper.alive and not self._lost.is_set()

    @property
    def lost(self) -> asyncio.Event:
        return self._lost

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
        try:
            yield
        finally:
            assert self._keeper is not None
            self._keeper.stop()
            self._keeper, self.leader = None, ""
            with contextlib.suppress(SwarmError, TimeoutError):  # it ends by itself, a bit later
                async with asyncio.timeout(_GIVE_BACK_SECONDS):
                    await self._client.revoke(lease)

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
            except SwarmError as error:
                delay = backoff.next()
                log.warning("cannot campaign yet", extra=fields(error=error, retry_in=delay))
                await self._clock.sleep(delay)

    async def _wait_vacant(self) -> None:
        found, revision = await self._client.get(LEADER)
        self.leader = found.value.decode() if found is not None else ""
        if found is None:
            return
        async for answer in self._client.watch(LEADER, b"", revision + 1):
            if any(event.type == etcd.Event.DELETE for event in answer.events):
                self.leader = ""
                return

    async def _try(self) -> int:
        """The lease with which the key became ours; 0 where another was first."""
        since = self._clock.monotonic()
        lease = await self._client.grant(self._seconds)
        put = etcd.PutRequest(key=LEADER, value=self._node_id.encode(), lease=lease)
        request = etcd.TxnRequest(compare=[_VACANT], success=[etcd.RequestOp(request_put=put)])
        answer = await self._client.txn(request)
        if not answer.succeeded:
            return 0  # the lease that nothing is tied to ends by itself
        self.fence, self.leader = answer.header.revision, self._node_id
        self._lost = asyncio.Event()
        loop, lost = asyncio.get_running_loop(), self._lost

        def ended() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
                loop.call_soon_threadsafe(lost.set)

        self._keeper = _Keeper(
            self._client.socket,
            lease,
            seconds=self._seconds,
            since=since,
            clock=self._clock,
            ended=ended,
        )
        self._keeper.start()
        return lease


class _Keeper(threading.Thread):
    """Sends signs of life; calls `ended` when the lease may be over."""

    def __init__(
        self,
        socket: Path,
        lease: int,
        *,
        seconds: int,
        since: float,
        clock: Clock,
        ended: Callable[[], None],
    ) -> None:
        super().__init__(name="lease", daemon=True)
        self._target = target(socket)
        self._lease = lease
        self._seconds = seconds
        self._until = since + seconds
        self._clock = clock
        self._ended = ended
        self._stopped = threading.Event()

    @property
    def alive(self) -> bool:
        """By the clock alone: true of a process that was stopped and woke up within its time."""
        return self._clock.monotonic() < self._until

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        request = etcd.LeaseKeepAliveRequest(ID=self._lease)
        with grpc.insecure_channel(self._target) as channel:
            stub = services.LeaseStub(channel)
            while not self._stopped.is_set() and self.alive:
                asked = self._clock.monotonic()
                left = self._keep_alive(stub, request)
                if left == 0:  # etcd says so itself: it is over
                    self._until = asked
                elif left is not None:
                    self._until = asked + self._seconds
                self._stopped.wait(self._seconds / 5)
        if not self._stopped.is_set():
            self._ended()

    def _keep_alive(
        self, stub: services.LeaseStub, request: etcd.LeaseKeepAliveRequest
    ) -> int | None:
        """The seconds left, by etcd's word; None where it gave none."""
        seconds = min(self._seconds / 3, self._until - self._clock.monotonic())
        try:
            for answer in stub.LeaseKeepAlive(iter([request]), timeout=max(0, seconds)):
                return answer.TTL
        except grpc.RpcError as error:
            log.warning("no answer to a sign of life", extra=fields(error=error.details()))
        return None
