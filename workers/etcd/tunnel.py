"""Ways out: a socket for each other member, each connection to it led to that member by TLS.

The far end is taken for that member only if its certificate, of this cluster's root, names the
node: so nothing but the node id has to be known to be right, and any address may be tried.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Final

from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger
from swarmd.rpc.hand_over import ACCEPTED, PREFACE
from swarmd.security.certificates import NodeCertificates
from swarmd.security.tls import manager_context

log = get_logger(__name__)
_CONNECT_SECONDS: Final = 3.0
CHUNK: Final = 256 * 1024


class Tunnels:
    """The sockets of this member's peers, as many as there are; `follow` when that changes."""

    def __init__(
        self,
        directory: Path,
        node_id: str,
        certificates: Callable[[], NodeCertificates],
        clock: Clock,
        random: Random,
    ) -> None:
        self._directory = directory
        self._node_id = node_id
        self._certificates = certificates
        self._clock = clock
        self._random = random
        self._failures: dict[str, Backoff] = {}
        self._servers: dict[str, asyncio.Server] = {}
        self._addresses: Mapping[str, str] = {}

    async def follow(self, members: Mapping[str, str]) -> None:
        """Have a socket for each but ourselves, and lead to these addresses from now on."""
        self._addresses = members
        wanted = set(members) - {self._node_id}
        for gone in set(self._servers) - wanted:
            self._servers.pop(gone).close()
            (self._directory / f"{gone}:0").unlink(missing_ok=True)
        for name in wanted - set(self._servers):
            self._servers[name] = await self._open(name)

    @property
    def unreached(self) -> str:
        """Who does not answer, and where; empty where everyone does."""
        away = sorted(name for name in self._servers if name in self._failures)
        return ", ".join(f"{name} at {self._addresses.get(name) or '?'}" for name in away)

    async def close(self) -> None:
        await self.follow({})

    async def _open(self, name: str) -> asyncio.Server:
        path = self._directory / f"{name}:0"
        path.unlink(missing_ok=True)

        async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await self._lead(name, reader, writer)
            except asyncio.CancelledError:  # with the loop; asyncio would print it for an error
                writer.close()

        return await asyncio.start_unix_server(lead, path, limit=CHUNK)

    async def _lead(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        address = self._addresses.get(name, "")
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                far = await connect(address, name, self._certificates())
        except (OSError, EOFError, ValueError, OverflowError, SwarmError) as error:
            await self._pause(name, error)
            writer.close()
            return
        if self._failures.pop(name, None):
            log.info("reaches a manager again", extra=fields(node=name, at=address))
        await join((reader, writer), far)

    async def _pause(self, name: str, error: Exception) -> None:
        """etcd tries again at once, and some ten times a second: not faster than this lets it."""
        if name not in self._failures:
            self._failures[name] = Backoff(0.05, 0.5, self._random)
            about = fields(node=name, at=self._addresses.get(name, ""), error=repr(error))
            log.warning("cannot reach a manager; trying on", extra=about)
        await self._clock.sleep(self._failures[name].next())


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(address: str, node_id: str, certificates: NodeCertificates) -> Streams:
    """To that member's etcd, by its manager's remote port; raises OSError, ssl.SSLError."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port or 0), limit=CHUNK)
    try:
        writer.write(PREFACE)
        await reader.readexactly(len(ACCEPTED))
        context = manager_context(certificates.root_pem, certificates)
        await writer.start_tls(context, server_hostname=node_id)
    except BaseException:
        writer.close()
        raise
    return reader, writer


async def join(one: Streams, other: Streams) -> None:
    """Pass bytes both ways until either side ends; then both are closed."""
    tasks = [
        asyncio.create_task(_pass(one[0], other[1])),
        asyncio.create_task(_pass(other[0], one[1])),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for _, writer in (one, other):
            writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):  # an end of it, as good as any
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
