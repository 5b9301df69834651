"""The way to the leader, for the calls that only it can answer."""

import asyncio
from typing import Final

import grpc
from grpc import aio

from swarmd.clock import Clock
from swarmd.errors import NotLeaderError, UnavailableError
from swarmd.rpc.channel import LIVELY, dial_manager
from swarmd.rpc.forward import PATIENCE_SECONDS
from swarmd.security.certificates import NodeCertificates
from swarmd.store import Store
from swarmd.store.etcd import EtcdLease
from workers.manager.quorum.absent import Absent
from workers.manager.quorum.addresses import AddressBook

_ARRIVAL_SECONDS: Final = 2.0  # of one that has the lease, and reads what was written before
_LOOK_SECONDS: Final = 0.03
_CONNECT_SECONDS: Final = 1.0
_LAST_WORDS_SECONDS: Final = 0.3


class LeaderElsewhere:
    """Of a manager in a quorum; one channel, to whoever leads now."""

    def __init__(
        self,
        lease: EtcdLease,
        store: Store,
        book: AddressBook,
        certificates: NodeCertificates,
        clock: Clock,
    ) -> None:
        self.certificates = certificates
        self._own_id = certificates.identity.node_id
        self._lease = lease
        self._absent = Absent(book, lambda: self.certificates, clock)
        self._store = store
        self._clock = clock
        self._dialled: tuple[str, str, NodeCertificates] | None = None
        self._channel: aio.Channel | None = None

    @property
    def is_here(self) -> bool:
        """Also in a process that was stopped for long: it asks the clock before it answers."""
        return self._store.is_writable and self._lease.held

    async def run(self) -> None:
        """End the calls to a leader that is none any more: it may never answer them."""
        while True:
            await self._lease.wait_changed()
            await self._clock.sleep(_LAST_WORDS_SECONDS)
            if self._dialled is not None and self._dialled[0] != self._lease.leader:
                await self.close()

    async def find(self, *, within: float, passed_on: bool) -> aio.Channel | None:
        """The way to who leads, once somebody does and answers; None when that is this manager.

        `passed_on`: another manager takes this one for the leader. Raises NotLeaderError where it
        is wrong, and UnavailableError where nobody leads within so many seconds.
        """
        seconds = min(within, _ARRIVAL_SECONDS) if passed_on else within
        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until:
            if self.is_here:
                return None
            if self._lease.leader not in {"", self._own_id}:
                if passed_on:
                    raise NotLeaderError
                if channel := await self._connected():
                    return channel
            await self.pause()
        if passed_on:
            raise NotLeaderError
        raise await self._nobody()

    async def channel(self) -> aio.Channel:
        """To the leader, were it this manager itself; raises UnavailableError."""
        until = self._clock.monotonic() + PATIENCE_SECONDS
        while self._clock.monotonic() < until:
            if channel := await self._connected():
                return channel
            await self.pause()
        raise await self._nobody()

    async def pause(self) -> None:
        """Before the next look."""
        await self._clock.sleep(_LOOK_SECONDS)

    async def close(self) -> None:
        channel, self._channel, self._dialled = self._channel, None, None
        if channel is not None:
            await channel.close(None)

    async def _nobody(self) -> UnavailableError:
        await self._absent.look()
        nodes = self._store.view().nodes

        def called(node_id: str) -> str:
            node = nodes.get(node_id)
            return node.description.hostname if node and node.description.hostname else node_id

        return UnavailableError(self._absent.sentence(called))

    async def _connected(self) -> aio.Channel | None:
        """None where it leads nowhere now, or takes too long."""
        leader = self._lease.leader
        node = self._store.view().nodes.get(leader) if leader else None
        if node is None or not node.manager_status.addr:
            return None
        wanted = (leader, node.manager_status.addr, self.certificates)
        if self._channel is None or self._dialled != wanted:
            await self.close()
            self._channel = dial_manager(wanted[1], self.certificates, LIVELY)
            self._dialled = wanted
        channel = self._channel
        if channel.get_state() is grpc.ChannelConnectivity.READY:
            return channel
        return channel if await self._becomes_ready(channel) else None

    async def _becomes_ready(self, channel: aio.Channel) -> bool:
        """In a while, and as long as who leads is the same: a dead leader's channel never does."""
        ready = asyncio.ensure_future(channel.channel_ready())
        changed = asyncio.ensure_future(self._lease.wait_changed())
        try:
            await asyncio.wait(
                (ready, changed), timeout=_CONNECT_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            # One that was closed meanwhile, by another call, ends with an error.
            return ready.done() and not ready.cancelled() and ready.exception() is None
        finally:
            ready.cancel()
            changed.cancel()
