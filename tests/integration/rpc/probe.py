"""A server whose handlers tell what they saw, and certificates to call it with."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass
from grpc import aio

from swarmd import api
from swarmd.api.protos.ca_pb2_grpc import CAServicer, CAStub
from swarmd.api.protos.control_pb2_grpc import ControlServicer
from swarmd.api.protos.watch_pb2_grpc import WatchServicer
from swarmd.clock import SystemClock
from swarmd.errors import (
    NotFoundError,
)
from swarmd.rpc.authorize import Authorizer, caller
from swarmd.rpc.handlers import path, services
from swarmd.rpc.server import Server, make_server
from swarmd.security.identity import WORKER, Caller
from swarmd.security.root_ca import RootCA
from tests.unit.security.builders import node_of, self_signed

NOW = time.time()
ROOT = RootCA.create(NOW)
FOREIGN_ROOT = RootCA.create(NOW)
ME = node_of(ROOT, NOW)
CALLERS = {
    "manager": node_of(ROOT, NOW, node_id="m"),
    "worker": node_of(ROOT, NOW, node_id="w", role=WORKER),
    "removed": node_of(ROOT, NOW, node_id="removed"),
    "other cluster": node_of(ROOT, NOW, cluster_id="c2"),
    "foreign": node_of(FOREIGN_ROOT, NOW, trusts=ROOT),
    "expired": node_of(ROOT, NOW - 2161 * 3600),
    "not valid yet": node_of(ROOT, NOW + 3 * 3600),
    "self-signed": self_signed(ROOT, NOW),
}
REFUSED_IN_HANDSHAKE = {"foreign", "expired", "not valid yet", "self-signed"}


class Probe(CAServicer, ControlServicer, WatchServicer):
    """Answers with what it saw."""

    def __init__(self) -> None:
        self.callers: list[Caller] = []
        self.waits = asyncio.Event()

    async def GetRootCACertificate(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.callers.append(caller(context))
        return api.GetRootCACertificateResponse(certificate=b"x" * 100)

    async def GetUnlockKey(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise ValueError("a bug")

    async def GetNode(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise NotFoundError("node", request.node_id)

    async def GetConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        spec = api.ConfigSpec(data=b"y" * int(request.config_id))
        return api.GetConfigResponse(config=api.Config(spec=spec))

    async def ListNodes(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.waits.set()
        if request.filters.names:
            await asyncio.Event().wait()
        return api.ListNodesResponse()

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        yield api.WatchMessage(version=api.Version(index=1))
        raise NotFoundError("event", "2")


def make_server_of(probe: Probe, directory: Path) -> Server:
    """A server of that servicer, not listening yet; the node `removed` was removed."""
    return make_server(
        [probe],
        Authorizer(ME.identity, is_removed=lambda node_id: node_id == "removed"),
        certificates=ME,
        directory=directory,
        clock=SystemClock(),
        random=random.Random(1),
    )


@contextlib.asynccontextmanager
async def running(server: Server):
    task = asyncio.create_task(server.run(grace_seconds=0.2))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def dial_open(address: str) -> aio.Channel:
    """A client without a certificate that asks for swarm-manager by name, as a joining one may."""
    options = [
        ("grpc.ssl_target_name_override", "swarm-manager"),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    credentials = grpc.ssl_channel_credentials(ROOT.certificate_pem)
    return aio.secure_channel(address, credentials, options=options)


async def root_of(channel: aio.Channel) -> bytes:
    answer = await CAStub(channel).GetRootCACertificate(
        api.GetRootCACertificateRequest(), timeout=10
    )
    return answer.certificate


async def code_of(channel: aio.Channel, method: Any) -> grpc.StatusCode:
    """The status of a call of the method with an empty request."""
    kind = f"{'stream' if method.client_streaming else 'unary'}_"
    kind += "stream" if method.server_streaming else "unary"
    make_call = getattr(channel, kind)(
        path(method),
        request_serializer=GetMessageClass(method.input_type).SerializeToString,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    request = GetMessageClass(method.input_type)()
    call = make_call(iter([request]) if method.client_streaming else request, timeout=5)
    with contextlib.suppress(aio.AioRpcError):
        if method.server_streaming:
            async for _ in call:
                pass
        else:
            await call
    return await call.code()


def methods():
    return [method for service in services() for method in service.methods]
