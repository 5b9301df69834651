"""The manager's server: every service, behind a remote TLS port and the control socket.

server = make_server([ControlServer(store), …], authorizer, certificates=…, …)
server.listen_control(Path("/var/run/swarmd.sock"))
port = server.listen_remote("0.0.0.0:4242")
await server.run()  # until cancelled
"""

import asyncio
import os
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any, Final

from swarmd.clock import Clock
from swarmd.errors import SwarmError
from swarmd.rpc.authorize import Authorizer
from swarmd.rpc.forward import Leader
from swarmd.rpc.handlers import Handlers
from swarmd.rpc.inner import InnerServers, socket_paths
from swarmd.rpc.open_calls import OpenCalls
from swarmd.rpc.router import Router
from swarmd.rpc.sockets import bind_control, bind_remote, remove_control
from swarmd.security.certificates import NodeCertificates
from swarmd.security.tls import local_context, remote_context
from swarmd.state_dir import PRIVATE_DIR

RECEIVE_LIMIT: Final = 4 << 20  # SwarmKit's managers take no larger message
_SEND_LIMIT: Final = -1  # none: a client that can take more than 4 MiB may ask for it
_MOST_WAITING_CALLS: Final = 10_000
_OPTIONS: Final[list[tuple[str, Any]]] = [
    ("grpc.max_receive_message_length", RECEIVE_LIMIT),
    ("grpc.max_send_message_length", _SEND_LIMIT),
    ("grpc.so_reuseport", 0),
    # Find clients that vanished without a word.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Let clients do the same, as often as they like.
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    ("grpc.http2.max_ping_strikes", 0),
    # Calls that wait for this loop: past 1,000, grpcio would cancel some by chance, without a word,
    # and nodes that all come back at once are more than that.
    ("grpc.server.max_pending_requests", _MOST_WAITING_CALLS),
    ("grpc.server.max_pending_requests_hard_limit", 2 * _MOST_WAITING_CALLS),
]


class Server:
    """Made by `make_server`; `run` owns what it holds and gives it back."""

    def __init__(
        self, inner: InnerServers, router: Router, open_calls: OpenCalls, directory: int
    ) -> None:
        self._inner = inner
        self.open_calls = open_calls
        self._router = router
        self._directory = directory
        self._ports: list[tuple[socket.socket, Path | None]] = []

    def listen_control(self, path: Path) -> None:
        """Bind the control socket; raises CannotBootError."""
        self._ports.append((bind_control(path), path))

    def listen_remote(self, address: str) -> int:
        """Bind the remote port, and give its number; raises CannotBootError."""
        listener = bind_remote(address)
        self._ports.append((listener, None))
        port: int = listener.getsockname()[1]
        return port

    @property
    def door(self) -> Path | None:
        """Where connections of other managers' etcd are handed over to, if anywhere."""
        return self._router.door

    @door.setter
    def door(self, door: Path | None) -> None:
        self._router.door = door

    def use(self, certificates: NodeCertificates) -> None:
        """Show these to clients that come from now on, and trust their root."""
        self._router.remote = remote_context(certificates)
        self._router.local = local_context(certificates)

    async def hear(self) -> None:
        """Return once every call that had come when this was asked is taken; or SwarmError."""
        await self._inner.hear()

    async def run(self, grace_seconds: float = 0.5) -> None:
        """Serve until cancelled; then calls under way have that long to end."""
        try:
            await self._inner.start()
            async with asyncio.TaskGroup() as group:
                for listener, path in self._ports:
                    group.create_task(self._router.run(listener, local=path is not None))
        finally:
            await self.close(grace_seconds)

    async def close(self, grace_seconds: float = 0.0) -> None:
        """Give back what is held; `run` does so itself, a server that never ran is closed here."""
        for listener, path in self._ports:
            if path is None:
                listener.close()
            else:
                await asyncio.to_thread(remove_control, path, listener)
        self._ports.clear()
        await self._inner.stop(grace_seconds)
        await self._router.close()
        os.close(self._directory)


def make_server(
    servicers: Iterable[object],
    authorizer: Authorizer,
    *,
    certificates: NodeCertificates,
    directory: Path,
    clock: Clock,
    random: Random,
    closed: Callable[[], SwarmError] | None = None,
    leader: Leader | None = None,
) -> Server:
    """A server of these servicers; its private socket lies in `directory`, open to us alone.

    `closed` makes the error of all other calls, where they are not served for a while only.
    Call within a running event loop.
    """
    directory.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    paths = socket_paths(descriptor)
    router = Router(
        paths,
        remote=remote_context(certificates),
        local=local_context(certificates),
        clock=clock,
        random=random,
    )
    open_calls = OpenCalls(authorizer)
    handlers = Handlers(
        servicers, authorizer, open_calls, router.find_peer, clock, closed=closed, leader=leader
    )
    inner = InnerServers(handlers, _OPTIONS, paths)
    return Server(inner, router, open_calls, descriptor)
