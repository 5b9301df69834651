"""Volumes made, attached, detached and deleted at a real plugin."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from swarmd import api
from swarmd.errors import ResourceExhaustedError
from tests import builders
from tests.unit.manager.csi.cluster import (
    Cluster,
    Scope,
    Sharing,
    State,
    cluster,
    node,
    task,
    volume,
)

ACTIVE = api.VolumeSpec.VolumeAvailability.ACTIVE
DRAIN = api.VolumeSpec.VolumeAvailability.DRAIN
SHARED = {"scope": Scope.MULTI_NODE, "sharing": Sharing.ALL, "mount": {}}


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path) as found:
        yield found


async def test_a_volume_is_made_as_its_spec_says(here: Cluster) -> None:
    secret = builders.secret("password")
    secret.spec.data = b"1234"
    data = volume(
        driver={"name": "dirs", "options": {"speed": "high"}},
        capacity_range={"required_bytes": 1 << 30},
        secrets=[{"key": "pass", "secret": secret.id}],
        AccessibilityRequirements={"requisite": [{"segments": {"zone": "a"}}]},
    )
    await here.add(secret, data)
    async with here.leading():
        await here.wait_made(data)
    made = here.driver.volumes["vol-data"]
    assert {"speed": "high"} == made["parameters"]
    assert {"pass": "1234"} == made["secrets"]
    assert ["a"] == made["zones"]
    found = here.volume(data)
    assert found is not None
    info = found.volume_info
    assert ("vol-data", 1 << 30) == (info.volume_id, info.capacity_bytes)
    assert {"made": "yes"} == dict(info.volume_context)
    assert [{"zone": "a"}] == [dict(one.segments) for one in info.accessible_topology]


async def test_it_is_attached_where_a_task_needs_it_and_detached_when_none_does(
    here: Cluster,
) -> None:
    data = volume()
    web = task(data)
    await here.add(node(), data, web)
    async with here.leading():
        await here.wait_states(data, n1=State.PUBLISHED)
        assert ["csi-n1"] == here.attached()
        found = here.volume(data)
        assert found is not None
        assert {"on": "csi-n1"} == dict(found.publish_status[0].publish_context)
        await here.end(web)
        await here.wait_states(data, n1=State.PENDING_NODE_UNPUBLISH)
        assert ["csi-n1"] == here.attached()  # the node has it mounted
        await here.let_go(data)
        await here.wait_states(data)
        assert [] == here.attached()


async def test_a_task_that_is_restarted_on_its_node_finds_it_there_still(here: Cluster) -> None:
    data = volume()
    first = task(data)
    await here.add(node(), data, first)
    async with here.leading(linger_seconds=60):
        await here.wait_states(data, n1=State.PUBLISHED)
        await here.end(first)
        await here.add(task(data))
        await here.add(other := volume("other"))
        await here.wait_made(other)  # time has passed
        assert {"n1": State.PUBLISHED} == here.states(data)
        assert 1 == here.driver.calls.count("ControllerPublishVolume")


async def test_one_for_a_single_node_waits_until_the_other_node_let_go(here: Cluster) -> None:
    data = volume()
    first, second = task(data), task(data, on="n2")
    await here.add(node(), node("n2"), data, first)
    async with here.leading():
        await here.wait_states(data, n1=State.PUBLISHED)
        await here.end(first)
        await here.add(second)
        await here.wait_states(data, n1=State.PENDING_NODE_UNPUBLISH, n2=State.PENDING_PUBLISH)
        await here.let_go(data)
        await here.wait_states(data, n2=State.PUBLISHED)
        assert ["csi-n2"] == here.attached()


async def test_one_for_many_nodes_is_attached_to_each_and_one_failure_holds_up_no_other(
    here: Cluster,
) -> None:
    data = volume(access_mode=SHARED)
    strange = builders.node("n2")
    strange.id = "n2"  # it reports no plugin
    nodes = [node(), strange, node("n3")]
    await here.add(*nodes, data, *(task(data, on=one.id) for one in nodes))
    async with here.leading():
        await here.wait(lambda: ["csi-n1", "csi-n3"] == here.attached())
        await here.wait(lambda: here.states(data).get("n2") == State.PENDING_PUBLISH)
        late = here.volume(data)
        assert late is not None
        await here.wait(lambda: "node n2 does not report plugin dirs" in str(here.volume(data)))
        await here.edit(
            strange,
            lambda own: own.description.csi_info.add(plugin_name="dirs", node_id="csi-n2"),
        )
        await here.wait(lambda: here.states(data)["n2"] == State.PUBLISHED)


async def test_what_failed_is_said_and_tried_again(here: Cluster) -> None:
    data = volume()
    await here.add(node(), data, task(data))
    here.driver.turn(CreateVolume={"fails": "RESOURCE_EXHAUSTED"})
    async with here.leading():
        await here.wait(lambda: bool(here.failure(data)))
        assert (
            "error creating volume: CSI plugin dirs refused CreateVolume: told to fail"
            == here.failure(data)
        )
        here.driver.turn(ControllerPublishVolume={"fails": "INTERNAL"})
        await here.wait(lambda: bool(here.states(data)) and bool(here.message(data)))
        assert "" == here.failure(data)
        here.driver.turn()
        await here.wait_states(data, n1=State.PUBLISHED)
        assert "" == here.message(data)


async def test_a_removed_volume_is_deleted_once_nobody_has_it(here: Cluster) -> None:
    data = volume()
    await here.add(data)
    async with here.leading():
        await here.wait_made(data)
        here.driver.turn(DeleteVolume={"fails": "UNAVAILABLE"})
        await here.edit(data, lambda own: setattr(own, "pending_delete", True))
        await here.wait(lambda: "error deleting volume" in here.failure(data))
        here.driver.turn()
        await here.wait_gone(data)
    assert {} == here.driver.volumes


async def test_a_volume_that_can_never_be_made_can_be_removed(here: Cluster) -> None:
    data = volume()
    here.driver.turn(CreateVolume={"fails": "INVALID_ARGUMENT"})
    await here.add(data)
    async with here.leading():
        await here.wait(lambda: bool(here.failure(data)))
        await here.edit(data, lambda own: setattr(own, "pending_delete", True))
        await here.wait_gone(data)


async def test_a_node_that_is_removed_lets_go_by_that(here: Cluster) -> None:
    data, first = volume(), node()
    web = task(data)
    await here.add(first, node("n2"), data, web)
    async with here.leading():
        await here.wait_states(data, n1=State.PUBLISHED)
        await here.end(web)
        await here.remove(first)
        await here.wait_states(data)
    assert [] == here.attached()


async def test_a_new_leader_detaches_the_last_node_also_when_it_does_not_know_it(
    here: Cluster,
) -> None:
    data, first = volume(), node()
    web = task(data)
    await here.add(first, data, web)
    async with here.leading():
        await here.wait_states(data, n1=State.PUBLISHED)
    await here.remove(first)
    await here.remove(web)
    async with here.leading():
        await here.wait_states(data)
    assert [] == here.attached()


@pytest.mark.parametrize(
    "method",
    ["CreateVolume", "ControllerPublishVolume", "ControllerUnpublishVolume", "DeleteVolume"],
)
async def test_a_leader_killed_in_the_middle_of_a_call_is_taken_over_from(
    here: Cluster, method: str
) -> None:
    data = volume()
    web = task(data)
    await here.add(node(), data, web)

    async def live() -> None:
        await here.wait_states(data, n1=State.PUBLISHED)
        await here.end(web)
        await here.wait_states(data, n1=State.PENDING_NODE_UNPUBLISH)
        await here.let_go(data)
        await here.wait_states(data)
        await here.edit(data, lambda own: setattr(own, "pending_delete", True))
        await here.wait_gone(data)

    here.driver.turn(**{method: {"hangs": 60}})
    living = asyncio.create_task(live())
    async with here.leading():
        await here.wait(lambda: method in here.driver.calls)
    here.driver.turn()
    async with here.leading():
        await living
    assert {} == here.driver.volumes


async def test_a_plugin_that_is_gone_and_back_is_found_again(here: Cluster, tmp_path: Path) -> None:
    data = volume()
    async with here.leading():
        await here.driver.__aexit__()
        await here.add(data)
        await here.wait(lambda: bool(here.failure(data)))
        assert f"CSI plugin dirs does not answer at {tmp_path}/csi.sock" in here.failure(data)
        async with here.driver:
            await here.wait_made(data)


async def test_what_the_store_does_not_take_is_written_once_it_does(here: Cluster) -> None:
    data = volume()
    await here.add(data)
    disk = here.store._backend
    taken = disk.commit

    async def full(*_: object) -> None:
        raise ResourceExhaustedError("the disk is full")

    disk.commit = full  # type: ignore[method-assign]
    async with here.leading():
        await here.wait(lambda: here.driver.calls.count("CreateVolume") > 1)
        disk.commit = taken  # type: ignore[method-assign]
        await here.wait_made(data)


async def test_a_plugin_that_nobody_named_is_told_by_name(here: Cluster) -> None:
    data = volume(driver={"name": "ebs"})
    await here.add(data)
    async with here.leading():
        await here.wait(lambda: bool(here.failure(data)))
    assert "no CSI plugin ebs on this host: start swarmd with --csi-plugin ebs=" in here.failure(
        data
    )
    assert "(known: dirs)" in here.failure(data)
