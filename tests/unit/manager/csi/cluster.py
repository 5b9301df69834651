"""A store, a volume manager over it, and a real plugin, for the tests of this folder."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from swarmd import api
from swarmd.clock import SystemClock
from swarmd.csi.driver import Drivers
from swarmd.store import MemoryBackend, Store
from tests import builders, stored
from tests.fakes.csi_driver import CsiDriver
from workers.manager.csi.volume_manager import VolumeManager

State = api.VolumePublishStatus.State
Scope = api.VolumeAccessMode.Scope
Sharing = api.VolumeAccessMode.Sharing
RUNNING = api.TaskState.RUNNING


def volume(name: str = "data", **fields: Any) -> api.Volume:
    """Of the plugin `dirs`, for one task on one node, unless told otherwise."""
    mode = {"scope": Scope.SINGLE_NODE, "sharing": Sharing.NONE, "mount": {}}
    spec = {"driver": {"name": "dirs"}, "access_mode": mode, **fields}
    built = builders.volume(name)
    built.spec.MergeFrom(api.VolumeSpec(**spec))
    return built


def node(name: str = "n1") -> api.Node:
    """A node that reports the plugin, which calls it csi-NAME."""
    built = builders.node(name)
    built.id = name
    built.description.csi_info.add(plugin_name="dirs", node_id=f"csi-{name}")
    return built


def task(of: api.Volume, on: str = "n1", state: int = RUNNING) -> api.Task:
    """A task that was given the volume."""
    mount = {"type": api.Mount.Type.CLUSTER, "source": of.spec.annotations.name, "target": "/d"}
    spec = api.TaskSpec(container=builders.container(mounts=[mount]))
    built = builders.task(state=state, node_id=on, spec=spec)
    built.volumes.add(id=of.id, source=of.spec.annotations.name, target="/d")
    return built


class Cluster:
    """What a test sees and does."""

    def __init__(self, store: Store, driver: CsiDriver) -> None:
        self.store = store
        self.driver = driver

    def volume(self, one: api.Volume) -> api.Volume | None:
        return self.store.view().volumes.get(one.id)

    def states(self, one: api.Volume) -> dict[str, int]:
        """Node id to publish state."""
        found = self.volume(one)
        return {} if found is None else {x.node_id: x.state for x in found.publish_status}

    def message(self, one: api.Volume) -> str:
        found = self.volume(one)
        assert found is not None
        return found.publish_status[0].message

    def failure(self, one: api.Volume) -> str:
        found = self.volume(one)
        assert found is not None
        return "".join(each.val for each in found.spec.annotations.indices)

    def attached(self, name: str = "data") -> list[str]:
        """To which nodes, as the plugin calls them."""
        found = self.driver.volumes.get(f"vol-{name}", {})
        return list(found.get("nodes", ()))

    async def add(self, *objects: Any) -> None:
        await stored.add(self.store, *objects)

    async def edit(self, one: Any, how: Callable[[Any], object]) -> None:
        await stored.edit(self.store, one, how)

    async def end(self, one: api.Task) -> None:
        await self.edit(one, lambda own: setattr(own.status, "state", api.TaskState.COMPLETE))

    async def remove(self, one: Any) -> None:
        await self.store.update(lambda tx: stored.table(tx, one).delete(one.id))

    async def let_go(self, one: api.Volume, node_id: str = "n1") -> None:
        """Say what the dispatcher says once the node reported it."""

        def change(own: api.Volume) -> None:
            for status in own.publish_status:
                if status.node_id == node_id:
                    status.state = State.PENDING_UNPUBLISH

        await self.edit(one, change)

    async def wait(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110  a plugin of another loop turn tells nobody
                await asyncio.sleep(0.005)

    async def wait_states(self, one: api.Volume, **states: int) -> None:
        await self.wait(lambda: self.states(one) == states)

    async def wait_gone(self, one: api.Volume) -> None:
        await self.wait(lambda: self.volume(one) is None)

    async def wait_made(self, one: api.Volume) -> None:
        def is_made() -> bool:
            found = self.volume(one)
            return found is not None and found.HasField("volume_info")

        await self.wait(is_made)

    @asynccontextmanager
    async def leading(self, linger_seconds: float = 0.1) -> AsyncIterator[None]:
        """With a leader, which is killed in the end."""
        drivers = Drivers([f"dirs={self.driver.socket}"])
        manager = VolumeManager(
            self.store, drivers, SystemClock(), Random(0), linger_seconds=linger_seconds
        )
        running = asyncio.create_task(manager.run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.wait([running])


@asynccontextmanager
async def cluster(path: Path) -> AsyncIterator[Cluster]:
    """Nobody leads yet; the plugin answers."""
    async with (
        Store(MemoryBackend(), SystemClock()) as store,
        CsiDriver(path, path / "csi.sock") as driver,
    ):
        yield Cluster(store, driver)
