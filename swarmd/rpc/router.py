"""TLS ports in front of plain servers: each client's handshake, then its bytes, both ways.

A connection to the server is bound to a name of its own first, which grpcio shows in `peer()`; by
that name `find_peer` knows what the client proved, and where it really is. The server's socket lies
in a private directory, and who comes to it without such a name is refused.

Clients that are silent, slow or send garbage cost little: at most `MOST_HANDSHAKES` are under way
at once, each for `HANDSHAKE_SECONDS`; when all places are taken, the longest under way makes room.
"""

import asyncio
import contextlib
import itertools
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.errors import PermissionDeniedError
from swarmd.logs import fields, get_logger
from swarmd.rpc.hand_over import hand_over
from swarmd.rpc.tls_session import ServerSide, TlsSession
from swarmd.security.identity import Peer

log = get_logger(__name__)

MOST_HANDSHAKES: Final = 256
HANDSHAKE_SECONDS: Final = 10.0
_PATIENCE_SECONDS: Final = 1.0  # a sound client needs far less, even when the loop is busy


class Router:
    """Runs any number of TLS ports onto the servers that listen at these paths, in turn.

    `remote` and `local` are the TLS contexts of new connections; replace them at any time.
    """

    def __init__(
        self,
        server_paths: Sequence[Path],
        *,
        remote: ssl.SSLContext,
        local: ssl.SSLContext,
        clock: Clock,
        random: Random,
    ) -> None:
        self.remote, self.local = remote, local
        self.door: Path | None = None  # of the etcd worker, where there is one
        self._server_paths = itertools.cycle(server_paths)
        self._clock = clock
        self._random = random
        self._peers: dict[str, Peer] = {}
        self._names: dict[TlsSession, str] = {}
        self._handshakes: dict[TlsSession, float] = {}  # since when; the oldest first
        self._sessions: set[TlsSession] = set()
        self._joins: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()

    def find_peer(self, name: str) -> Peer:
        """The far end of the connection that grpcio calls so; PermissionDeniedError if none."""
        peer = self._peers.get(name)
        if peer is None:
            raise PermissionDeniedError("permission denied: this connection did not come by TLS")
        return peer

    async def run(self, listener: socket.socket, *, local: bool) -> None:
        """Take the clients of one bound, listening socket until cancelled."""
        backoff = Backoff(0.05, 2.0, self._random)
        while True:
            await self._wait_for_room()
            try:
                client = await self._accept(listener)
                await self._begin(client, local=local)
                backoff.reset()
            except OSError as error:  # out of descriptors, or the client is gone already
                delay = backoff.next()
                log.warning("cannot take a connection", extra=fields(error=error, retry_in=delay))
                await self._clock.sleep(delay)

    async def close(self) -> None:
        """End every connection; call when no `run` is under way any more."""
        for session in list(self._sessions):
            session.drop("the server stops")
        for task in self._joins:
            task.cancel()
        await asyncio.gather(*self._joins, return_exceptions=True)

    # What a session tells.

    def settled(self, session: TlsSession, failure: str) -> None:
        self._handshakes.pop(session, None)
        self._room.set()
        if failure:
            log.debug("handshake failed", extra=fields(client=session.remote_addr, why=failure))
            return
        task = asyncio.get_running_loop().create_task(self._join(session))
        self._joins.add(task)
        task.add_done_callback(self._joins.discard)

    def prefaced(self, session: TlsSession) -> None:
        try:
            if self.door is None:
                raise FileNotFoundError("this manager keeps the store alone")
            hand_over(session.transport.get_extra_info("socket").fileno(), self.door)
        except OSError as error:
            log.debug("nobody takes a manager's connection", extra=fields(error=error))
        session.leave()

    def closed(self, session: TlsSession) -> None:
        self._sessions.discard(session)
        self._peers.pop(self._names.pop(session, ""), None)

    async def _accept(self, listener: socket.socket) -> socket.socket:
        client, _ = await asyncio.get_running_loop().sock_accept(listener)
        if client.family != socket.AF_UNIX:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return client

    async def _begin(self, client: socket.socket, *, local: bool) -> None:
        loop = asyncio.get_running_loop()
        session = TlsSession(self.local if local else self.remote, self, local=local)
        self._handshakes[session] = self._clock.monotonic()
        try:
            await loop.connect_accepted_socket(lambda: session, client)
        except BaseException:
            self._handshakes.pop(session, None)
            client.close()
            raise
        self._sessions.add(session)
        loop.call_later(HANDSHAKE_SECONDS, self._time_out, session)

    def _time_out(self, session: TlsSession) -> None:
        if session in self._handshakes:
            session.drop("no handshake in time")

    async def _wait_for_room(self) -> None:
        while len(self._handshakes) >= MOST_HANDSHAKES:
            oldest, since = next(iter(self._handshakes.items()))
            patience = since + _PATIENCE_SECONDS - self._clock.monotonic()
            if patience <= 0:
                oldest.drop("others wait")
                continue
            self._room.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._room.wait()

    async def _join(self, session: TlsSession) -> None:
        try:
            server = await self._connect()
        except OSError as error:
            log.warning("the server behind the port does not answer", extra=fields(error=error))
            session.close()
            return
        if session not in self._sessions:  # gone meanwhile
            server.close()
            return
        name = f"unix-abstract:{server.getsockname()[1:].decode()}"
        self._names[session], self._peers[name] = name, session.peer(self._clock.now())
        transport, _ = await asyncio.get_running_loop().create_unix_connection(
            lambda: ServerSide(session), sock=server
        )
        session.join(transport)

    async def _connect(self) -> socket.socket:
        server = socket.socket(socket.AF_UNIX)
        try:
            server.setblocking(False)
            server.bind("")  # the kernel chooses a name that nobody else has
            server.connect(str(next(self._server_paths)))
        except BaseException:
            server.close()
            raise
        return server
