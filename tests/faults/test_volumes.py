"""Plugins, managers, agents and nodes that fail while a volume is on its way."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swarmd import api
from swarmd.api import times
from tests.cluster import RealNode, wait
from tests.csi_plugin import CsiPlugin

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(240),
    pytest.mark.skipif(os.getuid() != 0, reason="only root mounts a volume for a process"),
]
CLUSTER = api.Mount.Type.CLUSTER
DOWN = api.NodeStatus.State.DOWN
PREPARING, PENDING = api.TaskState.PREPARING, api.TaskState.PENDING


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CsiPlugin]:
    with CsiPlugin(tmp_path_factory.mktemp("csi")) as found:
        yield found


@pytest.fixture(scope="module")
def node(plugin: CsiPlugin) -> Iterator[RealNode]:
    with RealNode(plugin.option) as found:
        found.run()
        yield found


@pytest.fixture
def name(tmp_path: Path) -> str:
    """A volume's, which no test had before, nor this one's first try."""
    return tmp_path.name


def create(node: RealNode, name: str, **fields: Any) -> str:
    mode = {"access_mode": {"mount": {}}, "driver": {"name": "dirs"}}
    spec = api.VolumeSpec(annotations={"name": name}, **{**mode, **fields})
    return str(node.call("CreateVolume", api.CreateVolumeRequest(spec=spec)).volume.id)


def serve(node: RealNode, name: str, target: Path) -> str:
    """One task that makes the file `here` on the volume, and stays."""
    mount = {"type": CLUSTER, "source": name, "target": str(target)}
    command = ("sh", "-c", f"touch {target}/here; exec sleep 1000")
    return node.create_service(*command, mounts=[mount])


def err(node: RealNode, service: str, state: int) -> str:
    """What the newest task of the service says in that state."""
    found = [task for task in node.tasks(service) if task.status.state == state]
    return found[-1].status.err if found else ""


def publish_states(node: RealNode, volume_id: str) -> dict[str, int]:
    found = node.call("GetVolume", api.GetVolumeRequest(volume_id=volume_id)).volume
    return {one.node_id: one.state for one in found.publish_status}


def test_a_plugin_that_is_gone_holds_up_new_tasks_alone_and_is_found_when_it_is_back(
    plugin: CsiPlugin, node: RealNode, name: str, tmp_path: Path
) -> None:
    create(node, name), create(node, f"{name}-2")
    wait(lambda: plugin.attached(f"{name}-2") is not None, "both volumes")
    first = serve(node, name, tmp_path / "a")
    running = node.wait_running(first, 1)
    plugin.turn(NodePublishVolume={"fails": "INTERNAL"})
    late = serve(node, f"{name}-2", tmp_path / "b")
    wait(lambda: "refused NodePublishVolume: told to fail" in err(node, late, PREPARING), "why")
    plugin.kill()
    wait(lambda: "does not answer at" in err(node, late, PREPARING), "that it is gone")
    assert running.items() <= node.running().items()
    plugin.turn()
    plugin.start()
    node.wait_running(late, 1)
    assert running.items() <= node.running().items()
    node.remove_service(first), node.remove_service(late)


def test_a_manager_killed_in_the_middle_of_a_call_is_taken_over_from(
    plugin: CsiPlugin, node: RealNode, name: str, tmp_path: Path
) -> None:
    plugin.turn(CreateVolume={"hangs": 3}, ControllerPublishVolume={"hangs": 3})
    with manager_killed_in(node, plugin, "CreateVolume"):
        create(node, name)
    with manager_killed_in(node, plugin, "ControllerPublishVolume"):
        service = serve(node, name, tmp_path / "a")
    plugin.turn()
    node.wait_running(service, 1)
    assert ["here"] == plugin.attached(name)
    node.remove_service(service)


@contextlib.contextmanager
def manager_killed_in(node: RealNode, plugin: CsiPlugin, method: str) -> Iterator[None]:
    """Once the block brought that call about; another manager serves when this returns."""
    before = plugin.calls.count(method)
    yield
    wait(lambda: plugin.calls.count(method) > before, method)
    manager = node.worker_pid("manager")
    os.kill(manager, signal.SIGKILL)
    node.wait_ready(without=manager)


def test_an_agent_killed_with_a_volume_mounted_unmounts_it_in_its_next_life(
    plugin: CsiPlugin, node: RealNode, name: str, tmp_path: Path
) -> None:
    volume_id = create(node, name)
    service = serve(node, name, tmp_path / "a")
    before = node.wait_running(service, 1)
    agent = node.worker_pid("agent")
    os.kill(agent, signal.SIGKILL)
    node.wait_ready(without=agent)
    assert before == node.running(service)
    node.remove_service(service)
    wait(lambda: [] == plugin.attached(name), "detached")
    wait(lambda: {} == publish_states(node, volume_id), "its status")
    assert not (node.state_dir / "csi/dirs/published" / volume_id).exists()


def test_a_volume_removed_by_force_is_unmounted_once_its_task_has_ended(
    plugin: CsiPlugin, node: RealNode, name: str, tmp_path: Path
) -> None:
    volume_id = create(node, name)
    service = serve(node, name, tmp_path / "a")
    before = node.wait_running(service, 1)
    force = api.RemoveVolumeRequest(volume_id=volume_id, force=True)
    node.call("RemoveVolume", force)
    published = node.state_dir / "csi/dirs/published" / volume_id
    create(node, f"{name}-2")
    wait(lambda: plugin.attached(f"{name}-2") is not None, "something later")
    assert published.exists()
    assert before == node.running(service)
    node.remove_service(service)
    wait(lambda: not published.exists(), "unmounted")


def test_a_lost_node_keeps_its_volume_until_it_is_removed(
    plugin: CsiPlugin, node: RealNode, name: str, tmp_path: Path
) -> None:
    cluster = node.call("ListClusters", api.ListClustersRequest()).clusters[0]
    cluster.spec.dispatcher.heartbeat_period.CopyFrom(times.duration(1))
    node.call(
        "UpdateCluster",
        api.UpdateClusterRequest(
            cluster_id=cluster.id, cluster_version=cluster.meta.version, spec=cluster.spec
        ),
    )
    volume_id = create(node, name)
    own = node.call("ListNodes", api.ListNodesRequest()).nodes[0]
    with (
        CsiPlugin(plugin.root.parent, "there", plugin.root) as second,
        joined(node, second) as worker,
    ):
        drain(node, own.id, api.NodeSpec.Availability.DRAIN)
        service = serve(node, name, tmp_path / "a")
        node.wait_running(service, 1)
        assert ["there"] == plugin.attached(name)
        drain(node, own.id, api.NodeSpec.Availability.ACTIVE)
        (lost,) = publish_states(node, volume_id)
        worker.kill_all()
        wait(lambda: describe(node, lost).status.state == DOWN, "DOWN")
        in_use = f"volume {name} is in use by another task"
        wait(lambda: in_use in err(node, service, PENDING), "why it waits")
        assert ["there"] == plugin.attached(name)
        node.call("RemoveNode", api.RemoveNodeRequest(node_id=lost, force=True))
        node.wait_running(service, 1)
        assert ["here"] == plugin.attached(name)
        assert [own.id] == list(publish_states(node, volume_id))


def joined(node: RealNode, plugin: CsiPlugin) -> RealNode:
    """A second node of the cluster, ready."""
    cluster = node.call("ListClusters", api.ListClustersRequest()).clusters[0]
    token = cluster.root_ca.join_tokens.worker
    worker = RealNode(plugin.option, f"--join-addr={node.remote}", f"--join-token={token}")
    worker.run()
    return worker


def describe(node: RealNode, node_id: str) -> api.Node:
    return node.call("GetNode", api.GetNodeRequest(node_id=node_id)).node


def drain(node: RealNode, node_id: str, availability: int) -> None:
    found = describe(node, node_id)
    found.spec.availability = availability
    request = api.UpdateNodeRequest(
        node_id=node_id, node_version=found.meta.version, spec=found.spec
    )
    node.call("UpdateNode", request)
