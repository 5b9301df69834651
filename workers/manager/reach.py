"""Which managers are there: each is asked how its part of the quorum is, as SwarmKit's are.

That a port takes connections says little: the kernel takes them for a process that hangs.
"""

import asyncio
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Final, Self

from grpc import aio

from swarmd import api
from swarmd.api.protos.health_pb2_grpc import HealthStub
from swarmd.rpc.channel import LIVELY, dial_manager
from swarmd.security.certificates import NodeCertificates
from workers.manager.health import RAFT, ServingStatus

_ANSWER_SECONDS: Final = 3.0  # for a handshake too, on a network that is slow and loses some
# Who comes back is seen soon: a connection that a long cut left behind is given up by then.
_SOON: Final = {
    **LIVELY,
    "grpc.min_reconnect_backoff_ms": 4_000,  # the time for a connection, in fact
    "grpc.max_reconnect_backoff_ms": 1_000,
}


class Reach:
    """A connection to each manager that was asked, kept from one question to the next."""

    def __init__(self, own: Callable[[], NodeCertificates]) -> None:
        self._own = own
        self._shown: NodeCertificates | None = None
        self._channels: dict[str, aio.Channel] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._keep(())

    async def ask(self, addresses: Collection[str]) -> set[str]:
        """Those of them where a manager says, in time, that its part of the quorum serves.

        Raises CorruptStateError where our own certificate cannot be read.
        """
        certificates = await asyncio.to_thread(self._own)
        await self._keep(addresses if certificates == self._shown else ())
        self._shown = certificates
        for address in set(addresses) - self._channels.keys():
            self._channels[address] = dial_manager(address, certificates, _SOON)
        asked = [*self._channels.items()]
        answers = await asyncio.gather(*(_serves(channel) for _, channel in asked))
        return {one for (one, _), serves in zip(asked, answers, strict=True) if serves}

    async def _keep(self, addresses: Collection[str]) -> None:
        """Close all others."""
        for address in self._channels.keys() - set(addresses):
            await self._channels.pop(address).close(None)


async def _serves(channel: aio.Channel) -> bool:
    request = api.HealthCheckRequest(service=RAFT)
    try:
        answer = await HealthStub(channel).Check(request, timeout=_ANSWER_SECONDS)
    except aio.AioRpcError:
        return False
    return bool(answer.status == ServingStatus.SERVING)
