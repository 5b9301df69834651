"""The router against plain grpcio: handshakes a second, calls a second, latency, bytes a second.

Each server runs in a process of its own, on loopback, under mutual TLS with real certificates, with
the same servicer behind it. Plain grpcio is what could be if every client had a certificate.
"""

import asyncio
import multiprocessing
import random
import signal
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import grpc
from grpc import aio

from bench.figures import Figure
from swarmd import api
from swarmd.api.protos.dispatcher_pb2_grpc import (
    DispatcherServicer,
    DispatcherStub,
    add_DispatcherServicer_to_server,
)
from swarmd.clock import SystemClock
from swarmd.rpc.authorize import Authorizer
from swarmd.rpc.channel import dial_manager
from swarmd.rpc.server import make_server
from swarmd.security.certificates import NodeCertificates, new_request
from swarmd.security.identity import MANAGER, WORKER, Identity
from swarmd.security.root_ca import DEFAULT_EXPIRY_SECONDS, RootCA
from swarmd.security.tls import client_context

_CLUSTER = "c" * 25
_ROUNDS = 5
_HANDSHAKES = 300
_AT_ONCE = 50
_CALLS = 1_000
_CALLS_AT_ONCE = 64
_MESSAGES = 32
_MESSAGE_BYTES = 1 << 20
_MEBIBYTE = 1 << 20
_WARM_UP = 50


@dataclass(frozen=True, slots=True)
class Measured:
    """What one server does."""

    handshakes: float
    calls: float
    latency: float
    worst: float
    stream: float


def measure() -> Iterator[Figure]:
    """Both run at once and are measured in turn, as a loaded machine is fair to neither."""
    root = RootCA.create(time.time())
    ours, client = (_certified(root, role) for role in (MANAGER, WORKER))
    with _process(_serve_routed, ours) as routed_port, _process(_serve_plain, ours) as plain_port:
        rounds = [
            [asyncio.run(_measure(port, client)) for port in (routed_port, plain_port)]
            for _ in range(_ROUNDS)
        ]
    routed, plain = (_median(each) for each in zip(*rounds, strict=True))
    for name, one in (("router", routed), ("plain grpcio", plain)):
        yield Figure(f"{name}: handshakes, with a certificate", one.handshakes, "1/s")
        yield Figure(f"{name}: calls, {_CALLS_AT_ONCE} at once", one.calls, "1/s")
        yield Figure(f"{name}: a call, p50", 1000 * one.latency, "ms")
        yield Figure(f"{name}: a call, p99", 1000 * one.worst, "ms")
        yield Figure(f"{name}: a stream of 1 MiB messages", one.stream / _MEBIBYTE, "MiB/s")
    yield Figure("the router adds to a call, p50", 1000 * (routed.latency - plain.latency), "ms")


def _median(several: Iterable[Measured]) -> Measured:
    columns = zip(*map(astuple, several), strict=True)
    return Measured(*(statistics.median(column) for column in columns))


# The servers.


class _Answers(DispatcherServicer):
    """A call that does nothing, and a stream that sends much."""

    async def Heartbeat(self, request: Any, context: Any) -> api.HeartbeatResponse:  # noqa: ARG002, N802
        return api.HeartbeatResponse()

    async def Assignments(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: ARG002, N802
        message = api.AssignmentsMessage(results_in="x" * _MESSAGE_BYTES)
        for _ in range(_MESSAGES):
            yield message


async def _serve_routed(certificates: NodeCertificates, tell: Callable[[int], None]) -> None:
    with tempfile.TemporaryDirectory(prefix="swb") as directory:
        server = make_server(
            [_Answers()],  # type: ignore[abstract]  # the two calls are all
            Authorizer(certificates.identity),
            certificates=certificates,
            directory=Path(directory),
            clock=SystemClock(),
            random=random.Random(0),
        )
        tell(server.listen_remote("127.0.0.1:0"))
        await server.run()


async def _serve_plain(certificates: NodeCertificates, tell: Callable[[int], None]) -> None:
    server = aio.server()
    add_DispatcherServicer_to_server(_Answers(), server)  # type: ignore[abstract]
    pair = (certificates.key_pem, certificates.certificate_pem)
    credentials = grpc.ssl_server_credentials(
        [pair], certificates.root_pem, require_client_auth=True
    )
    tell(server.add_secure_port("127.0.0.1:0", credentials))
    try:
        await server.start()
        await server.wait_for_termination()
    finally:
        await server.stop(None)


_Serve = Callable[[NodeCertificates, Callable[[int], None]], Awaitable[None]]


def _child(serve: _Serve, certificates: NodeCertificates, ready: "Connection[int, int]") -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # else its directory would stay
    asyncio.run(serve(certificates, ready.send))  # type: ignore[arg-type]


@contextmanager
def _process(serve: _Serve, certificates: NodeCertificates) -> Iterator[int]:
    context = multiprocessing.get_context("spawn")  # grpcio does not survive a fork
    ours, theirs = context.Pipe()
    child = context.Process(target=_child, args=(serve, certificates, theirs))
    child.start()
    try:
        yield ours.recv()
    finally:
        child.terminate()
        child.join()


def _certified(root: RootCA, role: str) -> NodeCertificates:
    csr, key = new_request()
    identity = Identity(role[-6:] * 4, role, _CLUSTER)
    chain = root.signer().sign(csr, identity, DEFAULT_EXPIRY_SECONDS, time.time())
    return NodeCertificates.of(root.certificate_pem, chain, key)


# The client.


async def _measure(port: int, certificates: NodeCertificates) -> Measured:
    async with dial_manager(f"127.0.0.1:{port}", certificates) as channel:
        stub: Any = DispatcherStub(channel)
        for _ in range(_WARM_UP):
            await stub.Heartbeat(api.HeartbeatRequest(), wait_for_ready=True)
        cuts = statistics.quantiles(await _latencies(stub), n=100)
        calls = await _calls(stub)
        stream = await _stream(stub)
    handshakes = await _handshakes(port, certificates)
    return Measured(handshakes, calls, cuts[49], cuts[98], stream)


async def _latencies(stub: Any) -> list[float]:
    spent = []
    for _ in range(_CALLS):
        begin = time.monotonic()
        await stub.Heartbeat(api.HeartbeatRequest())
        spent.append(time.monotonic() - begin)
    return spent


async def _calls(stub: Any) -> float:
    async def some() -> None:
        for _ in range(_CALLS // _CALLS_AT_ONCE):
            await stub.Heartbeat(api.HeartbeatRequest())

    begin = time.monotonic()
    await asyncio.gather(*(some() for _ in range(_CALLS_AT_ONCE)))
    return _CALLS // _CALLS_AT_ONCE * _CALLS_AT_ONCE / (time.monotonic() - begin)


async def _stream(stub: Any) -> float:
    begin, received = time.monotonic(), 0
    async for message in stub.Assignments(api.AssignmentsRequest()):
        received += len(message.results_in)
    return received / (time.monotonic() - begin)


async def _handshakes(port: int, certificates: NodeCertificates) -> float:
    """A second, until the gRPC server has said its first bytes on each connection."""
    context = client_context(certificates, certificates.root_pem)
    context.set_alpn_protocols(["h2"])
    at_once = asyncio.Semaphore(_AT_ONCE)
    begin = time.monotonic()
    await asyncio.gather(*(_handshake(port, context, at_once) for _ in range(_HANDSHAKES)))
    return _HANDSHAKES / (time.monotonic() - begin)


async def _handshake(port: int, context: ssl.SSLContext, at_once: asyncio.Semaphore) -> None:
    async with at_once:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname=MANAGER
        )
        await reader.readexactly(9)  # the frame with its settings begins
        writer.close()
