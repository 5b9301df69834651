"""A host with a fake engine, whose agent meets a fake dispatcher over real gRPC."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

from swarmd.clock import SystemClock
from swarmd.config import NodeConfig
from swarmd.ipc.messages import Managers, Up
from swarmd.ipc.parent_link import ParentLink
from swarmd.security.identity import WORKER
from swarmd.security.root_ca import RootCA
from swarmd.state_dir import StateDir
from tests.fakes.executor import FakeExecutor
from tests.unit.security.builders import node_of
from workers.agent.__main__ import run_agent
from workers.agent.executors.choose import Engines

ROOT = RootCA.create(time.time())
MANAGER_NODE = node_of(ROOT, time.time(), node_id="manager")
WORKER_NODE = node_of(ROOT, time.time(), node_id="node", role=WORKER)


class Node:
    """A host with a fake engine, a state directory, and an agent that can be killed."""

    def __init__(self, root: Path, addresses: tuple[str, ...], **options: str) -> None:
        self.config = NodeConfig(hostname="host-1", state_dir=root, **options)
        self.state_dir = StateDir(root)
        self.state_dir.make()
        WORKER_NODE.save(self.state_dir)
        self.addresses = addresses
        self.engine = FakeExecutor(SystemClock())
        self.said: list[Up] = []
        self.link = ParentLink(self.config, self.said.append)

    @contextlib.asynccontextmanager
    async def agent(self) -> AsyncIterator[asyncio.Task[None]]:
        """Run an agent; when left it is stopped, and its tasks go on."""
        self.link = ParentLink(self.config, self.said.append)
        if self.addresses:
            self.link.deliver(Managers(self.addresses))
        engines = Engines([self.engine])
        running = asyncio.create_task(
            run_agent(self.link, engines, SystemClock(), random.Random(0))
        )
        try:
            yield running
        finally:
            running.cancel()
            await asyncio.wait([running])
        if not running.cancelled():
            running.result()
