"""A whole manager within the test's process, on loopback, whose root CA's key the test holds."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

from grpc import aio

from swarmd import api
from swarmd.api.protos.control_pb2_grpc import ControlStub
from swarmd.clock import SystemClock
from swarmd.config import NodeConfig
from swarmd.ipc.messages import Up
from swarmd.ipc.parent_link import ParentLink
from swarmd.rpc.channel import dial_control, dial_manager, dial_to_join
from swarmd.security.certificates import NodeCertificates, new_request
from swarmd.security.identity import Identity
from swarmd.security.root_ca import DEFAULT_EXPIRY_SECONDS, RootCA
from swarmd.state_dir import StateDir
from tests.cluster import free_port
from workers.agent.enrollment import Request, issue, wait_issued
from workers.manager.__main__ import main

CHANCE = Random(0)
CLOCK = SystemClock()


class OpenManager:
    """What a test may ask of it; made by `open_manager`."""

    def __init__(self, root: RootCA, config: NodeConfig) -> None:
        self.root = root
        self.config = config
        self.address = config.listen_remote_api
        self.cluster = api.Cluster()

    @contextlib.asynccontextmanager
    async def control(self) -> AsyncIterator[ControlStub]:
        async with await dial_control(self.config.listen_control_api) as channel:
            yield ControlStub(channel)  # type: ignore[no-untyped-call]

    async def call(self, method: str, request: Any) -> Any:
        async with self.control() as control:
            return await getattr(control, method)(request, timeout=20)

    async def learn(self) -> None:
        """Look at the cluster as it is now: its id, its tokens."""
        (self.cluster,) = (await self.call("ListClusters", api.ListClustersRequest())).clusters

    async def join(self) -> NodeCertificates:
        """A new worker's certificates."""
        csr, key = new_request()
        request = Request(csr, key, self.cluster.root_ca.join_tokens.worker)
        async with dial_to_join(self.address, self.root.certificate_pem) as channel:
            node_id = await issue(channel, request)
            chain = await wait_issued(channel, node_id, csr, CLOCK, CHANCE)
        return NodeCertificates.of(self.root.certificate_pem, chain, key)

    def certify(
        self, node_id: str, role: str, *, now: float = 0.0, root: RootCA | None = None
    ) -> NodeCertificates:
        """A certificate that the root signed at `now`, whoever knows of it."""
        csr, key = new_request()
        signer = (root or self.root).signer()
        identity = Identity(node_id, role, self.cluster.id)
        chain = signer.sign(csr, identity, DEFAULT_EXPIRY_SECONDS, now or time.time())
        return NodeCertificates.of((root or self.root).certificate_pem, chain, key)

    def dial(self, certificates: NodeCertificates) -> aio.Channel:
        return dial_manager(self.address, certificates)


@contextlib.asynccontextmanager
async def open_manager(directory: Path, **options: Any) -> AsyncIterator[OpenManager]:
    """Serving, until the block is left."""
    root = RootCA.create(time.time())
    certificate, key = directory / "ca.crt", directory / "ca.key"
    certificate.write_bytes(root.certificate_pem)
    key.write_bytes(root.key_pem)
    config = NodeConfig(
        hostname="manager",
        state_dir=directory / "state",
        listen_control_api=directory / "s.sock",
        listen_remote_api=f"127.0.0.1:{free_port()}",
        root_ca_cert=str(certificate),
        root_ca_key=str(key),
        **options,
    )
    StateDir(config.state_dir).make()
    said: asyncio.Queue[Up] = asyncio.Queue()
    running = asyncio.create_task(main(ParentLink(config, said.put_nowait)))
    try:
        await _ready(running, said)
        manager = OpenManager(root, config)
        await manager.learn()
        yield manager
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _ready(running: asyncio.Task[None], said: asyncio.Queue[Up]) -> None:
    while True:
        hearing = asyncio.create_task(said.get())
        await asyncio.wait({running, hearing}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            hearing.cancel()
            running.result()
        if type(hearing.result()).__name__ == "Ready":
            return
