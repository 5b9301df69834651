"""One client's TLS connection, joined to a plain one of the server behind it.

    handshake ──▶ joined ──▶ bytes both ways ──▶ either side ends: both close

Each side slows the other down: what one cannot take yet is not read from the other.
"""

import asyncio
import contextlib
import ssl
from typing import Final, Protocol

from swarmd.rpc.hand_over import PREFACE
from swarmd.security.identity import Peer
from swarmd.security.tls import identity_shown

# One buffer for all connections: what is read into it is used before the loop runs on.
_BUFFER: Final = memoryview(bytearray(256 * 1024))
_CHUNK: Final = 64 * 1024
_HELLO_LIMIT: Final = 64 * 1024  # more than any handshake with a client's certificate takes
_LINGER_SECONDS: Final = 5.0  # for a client that does not read what was written before the close


class Owner(Protocol):
    """What a session tells the router."""

    def settled(self, session: "TlsSession", failure: str) -> None:
        """The handshake is over: `failure` says why it did not work, or is empty. Once only."""

    def prefaced(self, session: "TlsSession") -> None:
        """The client spoke hand_over's preface in the place of TLS."""

    def closed(self, session: "TlsSession") -> None:
        """The connection is over, whatever came before."""


class TlsSession(asyncio.BufferedProtocol):
    """The client's side of one connection."""

    transport: asyncio.Transport

    def __init__(self, context: ssl.SSLContext, owner: Owner, *, local: bool) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._owner = owner
        self._local = local
        self._handshake_bytes = 0
        self._settled = False
        self._closed = False
        self._server: asyncio.Transport | None = None
        self.remote_addr = self._reached_host = ""

    def peer(self, now: float) -> Peer:
        """What the client proved; to be asked after the handshake only."""
        shown = identity_shown(self._tls, now)
        return Peer(shown, self.remote_addr, self._local, self._reached_host)

    def join(self, server: asyncio.Transport) -> None:
        """Pass on what came meanwhile, and from now on everything, both ways."""
        self._server = server
        self.transport.resume_reading()
        self._to_server()

    def send(self, data: memoryview) -> None:
        """Encrypt what the server wrote."""
        while data and not self._closed:
            data = data[self._tls.write(data) :]
        self._flush()

    def close(self) -> None:
        """End both sides; what was written to the client before still goes out."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(ssl.SSLError):  # it wants an answer, which nobody waits for
            self._tls.unwrap()
        self._flush()
        self.transport.close()
        asyncio.get_running_loop().call_later(_LINGER_SECONDS, self.transport.abort)
        if self._server is not None:
            self._server.close()

    def drop(self, failure: str) -> None:
        """End a handshake that did not work."""
        self._settle(failure)
        self.close()

    def leave(self) -> None:
        """Close our end without a word: somebody else has the connection now."""
        self._closed = True
        self._settle("it was handed over")
        self.transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        address = transport.get_extra_info("peername")
        self.remote_addr = f"{address[0]}:{address[1]}" if isinstance(address, tuple) else ""
        own = transport.get_extra_info("sockname")
        self._reached_host = own[0] if isinstance(own, tuple) else ""

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        if self._closed:
            return
        if (
            not self._handshake_bytes
            and nbytes == len(PREFACE)
            and bytes(_BUFFER[:nbytes]) == PREFACE
        ):
            self._owner.prefaced(self)
            return
        self._incoming.write(_BUFFER[:nbytes])
        if not self._settled:
            self._handshake(nbytes)
        elif self._server is not None:
            self._to_server()

    def pause_writing(self) -> None:
        if self._server is not None:
            self._server.pause_reading()

    def resume_writing(self) -> None:
        if self._server is not None:
            self._server.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._settle("the client went away")
        self._closed = True
        if self._server is not None:
            self._server.close()
        self._owner.closed(self)

    def _handshake(self, nbytes: int) -> None:
        self._handshake_bytes += nbytes
        if self._handshake_bytes > _HELLO_LIMIT:
            self.drop("its handshake is too long")
            return
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._flush()  # the alert says to the client what this says to the log
            self.drop(error.reason or str(error))
        else:
            self._flush()
            self.transport.pause_reading()  # until there is a server to pass on to
            self._settle("")

    def _settle(self, failure: str) -> None:
        if not self._settled:
            self._settled = True
            self._owner.settled(self, failure)

    def _to_server(self) -> None:
        assert self._server is not None
        try:
            while data := self._tls.read(_CHUNK):
                self._server.write(data)
            self.close()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError:  # the client's end of it, sound or not
            self.close()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self.transport.write(self._outgoing.read())


class ServerSide(asyncio.BufferedProtocol):
    """The plain connection to the server, on behalf of a session."""

    def __init__(self, session: TlsSession) -> None:
        self._session = session

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        self._session.send(_BUFFER[:nbytes])

    def pause_writing(self) -> None:
        self._session.transport.pause_reading()

    def resume_writing(self) -> None:
        self._session.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._session.close()
