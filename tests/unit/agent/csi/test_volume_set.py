"""A node's volumes, mounted and let go by a real plugin."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from swarmd import api
from swarmd.clock import SystemClock
from swarmd.csi.driver import Drivers
from tests import builders
from tests.fakes.csi_driver import CsiDriver
from workers.agent.assignments import VolumeChanges
from workers.agent.csi.volume_set import VolumeSet
from workers.agent.executors.errors import TemporaryError


class Node:
    """A node `here` whose agent can end and be followed by another."""

    def __init__(self, driver: CsiDriver, path: Path) -> None:
        self.driver = driver
        self.path = path / "csi"
        self.used: set[str] = set()
        self.changes: list[str] = []
        self.secrets: dict[str, api.Secret] = {}
        self.reported: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[VolumeSet]:
        drivers = Drivers([f"dirs={self.driver.socket}"])
        clock = SystemClock()
        async with (
            VolumeSet(drivers, self.path, clock, Random(0)) as volumes,
            asyncio.TaskGroup() as group,
        ):
            volumes.start(
                group,
                in_use=self.used.__contains__,
                changed=self.changes.append,
                secret=self.secrets.get,
            )
            reports = group.create_task(volumes.reports.run(self._report))
            yield volumes
            reports.cancel()
            for task in list(group._tasks):
                task.cancel()

    async def _report(self, volume_ids: object) -> None:
        self.reported += volume_ids  # type: ignore[operator]

    def path_of(self, volume_id: str) -> Path:
        return self.path / "dirs/published" / volume_id


def attach(driver: CsiDriver, name: str) -> api.VolumeAssignment:
    """Make it and attach it to this node, as a manager would have."""
    (driver.root / "volumes" / f"vol-{name}").mkdir()
    facts = {"name": name, "bytes": 0, "single": True, "zones": [], "nodes": ["here"]}
    driver._save(f"vol-{name}", facts)
    return api.VolumeAssignment(
        id=name,
        volume_id=f"vol-{name}",
        driver={"name": "dirs"},
        publish_context={"on": "here"},
        access_mode={"mount": {}},
    )


def told(
    *changed: api.VolumeAssignment,
    removed: tuple[api.VolumeAssignment, ...] = (),
    complete: bool = False,
) -> VolumeChanges:
    return VolumeChanges(complete, {x.id: x for x in changed}, {x.id: x for x in removed})


def task_with(*names: str) -> api.Task:
    return builders.task(volumes=[{"id": name, "source": name} for name in names])


async def wait(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  a plugin of another loop turn tells nobody
            await asyncio.sleep(0.005)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with CsiDriver(tmp_path / "storage", tmp_path / "csi.sock") as driver:
        yield Node(driver, tmp_path)


async def test_a_volume_is_mounted_for_its_task_and_let_go_when_it_is_taken_back(
    node: Node,
) -> None:
    data = attach(node.driver, "data")
    async with node.running() as volumes:
        with pytest.raises(TemporaryError, match="volume data: is not published to this node yet"):
            volumes.of(task_with("data"))
        volumes.take(told(data))
        await wait(lambda: node.changes)
        (mounted,) = volumes.of(task_with("data"))
        assert (str(node.path_of("data")), False) == (mounted.path, mounted.is_block)
        (Path(mounted.path) / "file").write_text("x")
        assert "x" == (node.driver.root / "volumes/vol-data/file").read_text()
        volumes.take(told(removed=(data,)))
        await wait(lambda: node.reported)
        assert ["data"] == node.reported
        assert not node.path_of("data").exists()
        assert [] == list((node.path / "volumes").iterdir())
        assert ["NodeUnpublishVolume", "NodeUnstageVolume"] == node.driver.calls[-2:]


async def test_it_is_not_unmounted_while_a_task_uses_it(node: Node) -> None:
    data, other = attach(node.driver, "data"), attach(node.driver, "other")
    async with node.running() as volumes:
        volumes.take(told(data))
        await wait(lambda: node.changes)
        node.used.add("data")
        volumes.take(told(other, removed=(data,)))
        await wait(lambda: "other" in node.changes)
        assert node.path_of("data").exists()
        with pytest.raises(TemporaryError):
            volumes.of(task_with("data"))  # a new task does not get it
        node.used.clear()
        await wait(lambda: node.reported)
        assert not node.path_of("data").exists()


async def test_what_the_plugin_refuses_is_said_and_tried_again(node: Node) -> None:
    data = attach(node.driver, "data")
    node.driver.turn(NodePublishVolume={"fails": "INTERNAL"})
    async with node.running() as volumes:
        volumes.take(told(data))
        await wait(lambda: node.changes)
        wanted = "CSI plugin dirs refused NodePublishVolume: told to fail"
        with pytest.raises(TemporaryError, match=wanted):
            volumes.of(task_with("data"))
        node.driver.turn()
        await wait(node.path_of("data").exists)


async def test_the_next_agent_unmounts_what_is_not_wanted_any_more(node: Node) -> None:
    kept, dropped = attach(node.driver, "kept"), attach(node.driver, "dropped")
    async with node.running() as volumes:
        volumes.take(told(kept, dropped))
        await wait(lambda: len(node.changes) == 2)
    node.changes.clear()
    async with node.running() as volumes:
        await asyncio.sleep(0)
        assert node.path_of("dropped").exists()  # no session has said anything yet
        volumes.take(told(kept, complete=True))
        await wait(lambda: node.reported and node.changes)
        assert (["dropped"], ["kept"]) == (node.reported, node.changes)
        assert node.path_of("kept").exists()
        assert not node.path_of("dropped").exists()


async def test_one_that_was_never_here_is_reported_at_once(node: Node) -> None:
    async with node.running() as volumes:
        volumes.take(told(removed=(attach(node.driver, "data"),)))
        await wait(lambda: node.reported)
        assert [] == node.driver.calls


async def test_a_volume_that_comes_back_while_it_goes_is_mounted_again(node: Node) -> None:
    data = attach(node.driver, "data")
    async with node.running() as volumes:
        volumes.take(told(data))
        await wait(lambda: node.changes)
        node.driver.turn(NodeUnpublishVolume={"hangs": 0.2})
        volumes.take(told(removed=(data,)))
        await wait(lambda: "NodeUnpublishVolume" in node.driver.calls)
        volumes.take(told(data))
        await wait(lambda: len(node.changes) == 2)
        assert [] == node.reported
        assert volumes.of(task_with("data"))


async def test_its_secrets_go_to_the_plugin(node: Node) -> None:
    data = attach(node.driver, "data")
    data.secrets.add(key="pass", secret="s1")
    async with node.running() as volumes:
        volumes.take(told(data))
        await wait(lambda: node.changes)
        with pytest.raises(TemporaryError, match="secret s1 of the volume is not there"):
            volumes.of(task_with("data"))
        node.secrets["s1"] = builders.secret(spec=api.SecretSpec(data=b"\xff"))
        await wait(lambda: len(node.changes) > 1)
        with pytest.raises(TemporaryError, match="is not UTF-8 text"):
            volumes.of(task_with("data"))
        node.secrets["s1"] = builders.secret(spec=api.SecretSpec(data=b"1234"))
        await wait(node.path_of("data").exists)


async def test_a_node_reports_the_plugins_that_answer(tmp_path: Path) -> None:
    drivers = Drivers([f"dirs={tmp_path}/csi.sock", f"gone={tmp_path}/none.sock"])
    zoned = CsiDriver(tmp_path, tmp_path / "csi.sock", "host-1", zone="a", most_volumes=7)
    async with zoned, VolumeSet(drivers, tmp_path / "csi", SystemClock(), Random(0)) as volumes:
        found = api.NodeDescription()
        await volumes.describe(found)
    (info,) = found.csi_info
    assert ("dirs", "host-1", 7) == (info.plugin_name, info.node_id, info.max_volumes_per_node)
    assert {"zone": "a"} == dict(info.accessible_topology.segments)
