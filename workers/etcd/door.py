"""The way in: the manager worker hands over connections of other members' etcd, before any TLS.

It passes the descriptor over a unix socket of this directory, which none but our user can open;
whether the far end is a manager of this cluster is found out here.
"""

import asyncio
import socket
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from swarmd.clock import Clock
from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger
from swarmd.rpc.hand_over import ACCEPTED, handed_over, open_door
from swarmd.security.certificates import NodeCertificates
from swarmd.security.identity import MANAGER, Identity
from swarmd.security.tls import identity_shown, remote_context
from workers.etcd.tunnel import CHUNK, Streams, join

log = get_logger(__name__)
_HANDSHAKE_SECONDS: Final = 5.0
_MOST_UNPROVED: Final = 64


class Door:
    """Takes connections as long as `run` does."""

    def __init__(
        self,
        directory: Path,
        own: Path,
        certificates: Callable[[], NodeCertificates],
        members: Callable[[], Collection[str]],
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._own = own
        self._certificates = certificates
        self._members = members
        self._clock = clock
        self._unproved = 0

    async def run(self) -> None:
        """Take what is handed over until cancelled; a connection that fails ends alone."""
        loop = asyncio.get_running_loop()
        with open_door(self._directory) as door:
            readable = asyncio.Event()
            loop.add_reader(door, readable.set)
            try:
                async with asyncio.TaskGroup() as group:
                    while True:
                        await readable.wait()
                        readable.clear()
                        for taken in handed_over(door):
                            if self._unproved < _MOST_UNPROVED:
                                group.create_task(self._serve(taken))
                            else:
                                taken.close()  # a sound one comes again
            finally:
                loop.remove_reader(door)

    async def _serve(self, taken: socket.socket) -> None:
        try:
            await self._admit(taken)
        except (OSError, SwarmError) as error:
            log.info("a manager's connection failed", extra=fields(error=error))

    async def _admit(self, taken: socket.socket) -> None:
        reader, writer = await self._proved(taken)
        try:
            shown = identity_shown(writer.get_extra_info("ssl_object"), self._clock.now())
            if not self._may_enter(shown):
                log.warning("refused a connection to the quorum", extra=fields(shown=shown))
                return
            own = await asyncio.open_unix_connection(self._own)
            await join((reader, writer), own)
        finally:
            writer.close()

    async def _proved(self, taken: socket.socket) -> Streams:
        """TLS on it, ours the server's side; raises OSError, SwarmError.

        From here on the transport closes it. A second close would take the number from under the
        loop, which may have it for the next connection by then.
        """
        loop = asyncio.get_running_loop()
        taken.setblocking(False)
        try:
            context = remote_context(self._certificates())
            taken.send(ACCEPTED)
        except (OSError, SwarmError):
            taken.close()
            raise
        reader = asyncio.StreamReader(limit=CHUNK)
        protocol = asyncio.StreamReaderProtocol(reader)
        self._unproved += 1
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                taken,
                ssl=context,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS,
            )
        finally:
            self._unproved -= 1
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    def _may_enter(self, shown: Identity | None) -> bool:
        ours = self._certificates().identity
        return (
            shown is not None
            and shown.role == MANAGER
            and shown.cluster_id == ours.cluster_id
            and shown.node_id in self._members()
        )
