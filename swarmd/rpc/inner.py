"""The plain gRPC servers behind the router: alike, each on a private socket of one directory.

grpcio takes up one call of a server in two or three turns of the event loop, however many wait. So
there are several, and the router gives each its share of the connections.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import grpc
from grpc import aio

from swarmd.rpc.errors import from_rpc_error

COUNT: Final = 32
_HEAR: Final = "/swarmd.Inner/Hear"  # no service of the wire: it says nothing, to anybody
_HEAR_SECONDS: Final = 30.0
_OWNER_ONLY: Final = 0o177


def socket_paths(directory: int) -> list[Path]:
    """Of as many servers, in the directory that is open as this descriptor."""
    # By way of the descriptor, no directory is too long for a unix socket.
    return [Path(f"/proc/self/fd/{directory}/rpc-{number}.sock") for number in range(COUNT)]


class InnerServers:
    """Bound to these paths from the first."""

    def __init__(self, handlers: Any, options: list[Any], paths: list[Path]) -> None:
        self._paths = paths
        self._servers = [aio.server(options=options) for _ in paths]
        self._channels: list[aio.Channel] = []
        mask = os.umask(_OWNER_ONLY)
        try:
            for server, path in zip(self._servers, self._paths, strict=True):
                server.add_generic_rpc_handlers((_Ear(), handlers))
                server.add_insecure_port(f"unix:{path}")
        finally:
            os.umask(mask)

    async def start(self) -> None:
        for server in self._servers:
            await server.start()

    async def stop(self, grace_seconds: float) -> None:
        """Calls under way have that long to end."""
        for channel in self._channels:
            await channel.close(None)
        await asyncio.gather(*(server.stop(grace_seconds) for server in self._servers))

    async def hear(self) -> None:
        """Return once every call that had come when this was asked is taken; or SwarmError."""
        for _ in range(2):  # so that the router passes on what it has not read yet
            await asyncio.sleep(0)
        try:
            await asyncio.gather(*self._calls())
        except aio.AioRpcError as error:
            raise from_rpc_error(error) from error

    def _calls(self) -> Iterator[Any]:
        """Calls of a server are taken in the order in which they came: these are the last."""
        if not self._channels:
            self._channels = [aio.insecure_channel(f"unix:{path}") for path in self._paths]
        for channel in self._channels:
            yield channel.unary_unary(_HEAR, None, None)(b"", timeout=_HEAR_SECONDS)


class _Ear(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs alone
    def service(self, handler_call_details: Any) -> Any:
        if handler_call_details.method != _HEAR:
            return None
        return grpc.unary_unary_rpc_method_handler(_nothing)


async def _nothing(request: bytes, context: Any) -> bytes:  # noqa: ARG001
    return b""
