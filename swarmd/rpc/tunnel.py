"""TLS of our own for a manager whose TLS does not answer ALPN, which grpcio will not do without.

    gRPC ── plain, a private unix socket ──▶ tunnel ── TLS ──▶ the manager

SwarmKit's managers, Docker's too, forget to offer HTTP/2 on new connections once they renewed their
own certificate; Go's clients of that time did not mind. Certificates are verified as ever. It is
the router turned round, for one connection: when either end closes, both do.
"""

import asyncio
import contextlib
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from grpc import aio

from swarmd.errors import NoHttp2Error, UnavailableError
from swarmd.rpc.channel import OPTIONS
from swarmd.security.identity import MANAGER

_CONNECT_SECONDS: Final = 10.0
_CHUNK: Final = 64 * 1024
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Tunnels:
    """Opens channels, and remembers which managers need a tunnel."""

    def __init__(self) -> None:
        self._needed: set[str] = set()

    @contextlib.asynccontextmanager
    async def channel(
        self,
        address: str,
        dial: Callable[[], aio.Channel],
        context: Callable[[], ssl.SSLContext],
    ) -> AsyncIterator[aio.Channel]:
        """The channel that `dial` makes; after a NoHttp2Error within it, a tunnel the next time."""
        if address not in self._needed:
            try:
                async with dial() as channel:
                    yield channel
            except NoHttp2Error:
                self._needed.add(address)
                raise
            return
        async with _connected(address, context()) as far:
            if _offers_http2(far[1]):  # restarted meanwhile
                self._needed.discard(address)
            async with _entrance(far) as target, aio.insecure_channel(target, OPTIONS) as channel:
                yield channel


@contextlib.asynccontextmanager
async def _connected(address: str, context: ssl.SSLContext) -> AsyncIterator[_Streams]:
    """TLS to HOST:PORT; raises UnavailableError when nobody answers, or none to be trusted."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(
                host.strip("[]"), int(port), ssl=context, server_hostname=MANAGER
            )
    except (OSError, ValueError) as error:
        reason = str(error) or "no answer in time"
        raise UnavailableError(f"no connection to {address}: {reason}") from error
    with contextlib.closing(writer):
        yield reader, writer


def _offers_http2(writer: asyncio.StreamWriter) -> bool:
    tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
    return tls.selected_alpn_protocol() == "h2"


@contextlib.asynccontextmanager
async def _entrance(far: _Streams) -> AsyncIterator[str]:
    """A gRPC target that leads there; for one connection, as there is one."""
    unused = [far]

    async def join(*near: *_Streams) -> None:
        with contextlib.closing(near[1]):
            if unused:
                await _carry(near, unused.pop())

    with tempfile.TemporaryDirectory(prefix="swarmd-") as private:
        path = Path(private) / "tunnel"
        server = await asyncio.start_unix_server(join, path)
        try:
            yield f"unix:{path}"
        finally:
            server.close()


async def _carry(near: _Streams, far: _Streams) -> None:
    """Both ways, until one of them ends."""
    ways = [
        asyncio.create_task(_copy(near[0], far[1])),
        asyncio.create_task(_copy(far[0], near[1])),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        far[1].close()
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)  # to both sides, an end is an end


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
