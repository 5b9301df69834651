"""The way to the leader, for the calls that only it can answer."""

import asyncio
import contextlib
from typing import Final

from grpc import aio

from swarmd.clock import Clock
from swarmd.errors import UnavailableError
from swarmd.rpc.channel import dial_manager
from swarmd.security.certificates import NodeCertificates
from swarmd.store import Store
from swarmd.store.etcd import EtcdLease

_WAIT_SECONDS: Final = 8.0  # longer than a new leader is chosen
_LOOK_SECONDS: Final = 0.05


class LeaderHere:
    """Of a manager that has no others."""

    is_here = True

    async def channel(self) -> aio.Channel:
        raise UnavailableError("this manager leads")

    async def close(self) -> None:
        pass


class LeaderElsewhere:
    """Of a manager in a quorum; one channel, to whoever leads now."""

    def __init__(
        self, lease: EtcdLease, store: Store, certificates: NodeCertificates, clock: Clock
    ) -> None:
        self.certificates = certificates
        self._lease = lease
        self._store = store
        self._clock = clock
        self._dialled: tuple[str, NodeCertificates] | None = None
        self._channel: aio.Channel | None = None

    @property
    def is_here(self) -> bool:
        return self._store.is_writable

    async def channel(self) -> aio.Channel:
        """To the leader, as soon as there is one whose address is known."""
        address = await self._address()
        if self._channel is None or self._dialled != (address, self.certificates):
            await self.close()
            self._dialled = (address, self.certificates)
            self._channel = dial_manager(address, self.certificates)
        return self._channel

    async def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            # Calls that still go on there end as their leader did.
            with contextlib.suppress(asyncio.CancelledError):
                await channel.close(None)

    async def _address(self) -> str:
        until = self._clock.monotonic() + _WAIT_SECONDS
        while self._clock.monotonic() < until:
            node = self._store.view().nodes.get(self._lease.leader) if self._lease.leader else None
            if node is not None and node.manager_status.addr:
                return node.manager_status.addr
            await self._clock.sleep(_LOOK_SECONDS)
        raise UnavailableError("no manager leads now (is there a quorum?): try again")
