"""A node with fake children in a state directory of its own."""

import asyncio
import random

import pytest

from swarmd.config import NodeConfig
from swarmd.ipc.messages import NodeChanged, Ready
from swarmd.node.node import Means, Node
from swarmd.supervision.restarts import Limits
from tests.fakes.child import FakeSpawn
from tests.fakes.clock import FakeClock


class NodeBench:
    def __init__(self, state_dir, **config):
        self.clock = FakeClock()
        self.spawns = {"manager": FakeSpawn(), "agent": FakeSpawn()}
        self.node = Node(
            NodeConfig(hostname="host", state_dir=state_dir, **config),
            Means(
                clock=self.clock,
                random=random.Random(3),
                limits=Limits(failed_starts=1),
                spawner=lambda command, *_: self.spawns[command.argv[-1].removeprefix("workers.")],
            ),
        )

    async def child(self, name, number=1):
        return await self.spawns[name].wait_child(number)

    async def make_ready(self):
        """A first node, as far as ready."""
        await self.node.start()
        manager = await self.child("manager")
        manager.say(NodeChanged("node-1", "cluster-1", "manager", "127.0.0.1:4242"))
        manager.say(Ready())
        (await self.child("agent")).say(Ready())
        await self.node.ready.wait()

    async def close(self):
        if self.node.started.is_set():
            self.node.kill()
            async with asyncio.timeout(5):
                await self.node.err()


@pytest.fixture
async def bench(tmp_path):
    bench = NodeBench(tmp_path)
    yield bench
    await bench.close()


@pytest.fixture
async def joining(tmp_path):
    bench = NodeBench(tmp_path, join_addr="10.0.0.1:4242")
    yield bench
    await bench.close()
