"""What an agent reports, and what becomes of it."""

import asyncio
from collections.abc import Sequence

import pytest

from swarmd import api
from swarmd.errors import PermissionDeniedError, ResourceExhaustedError
from swarmd.store import MemoryBackend, Row, Store
from tests import builders
from tests.fakes.clock import FakeClock
from tests.unit.manager.dispatcher.agents import (
    ASSIGNED,
    READY,
    RUNNING,
    Cluster,
    assigned,
    soon,
    turn,
)


async def test_reported_status_reaches_the_store_with_who_applied_it(cluster: Cluster) -> None:
    agent = await cluster.agent()
    await agent.register()
    task = assigned()
    await cluster.create("tasks", task)
    await agent.report((task, RUNNING))
    await cluster.wait(lambda: cluster.task(task).status.state == RUNNING)
    status = cluster.task(task).status
    assert ("told", "manager") == (status.message, status.applied_by)
    assert int(cluster.clock.now()) == status.applied_at.seconds


async def test_status_never_goes_back(cluster: Cluster) -> None:
    agent = await cluster.agent()
    await agent.register()
    task, probe = assigned(state=RUNNING), assigned()
    await cluster.create("tasks", task, probe)
    await agent.report((task, ASSIGNED), (probe, RUNNING))
    await cluster.wait(lambda: cluster.task(probe).status.state == RUNNING)
    assert RUNNING == cluster.task(task).status.state


async def test_newest_of_several_reports_wins_and_the_furthest_state(cluster: Cluster) -> None:
    agent = await cluster.agent()
    await agent.register()
    task = assigned()
    await cluster.create("tasks", task)
    await agent.report((task, RUNNING), (task, api.TaskState.PREPARING))
    await cluster.wait(lambda: cluster.task(task).status.state != ASSIGNED)
    assert RUNNING == cluster.task(task).status.state


async def test_foreign_task_refuses_the_whole_batch(cluster: Cluster) -> None:
    agent = await cluster.agent()
    await agent.register()
    own, foreign = assigned(), assigned("n2")
    await cluster.create("tasks", own, foreign)
    with pytest.raises(PermissionDeniedError, match="not assigned this node"):
        await agent.report((own, RUNNING), (foreign, RUNNING))
    await turn()
    assert ASSIGNED == cluster.task(own).status.state


async def test_deleted_task_and_missing_status_are_passed_over(cluster: Cluster) -> None:
    agent = await cluster.agent()
    await agent.register()
    task = assigned()
    await cluster.create("tasks", task)
    request = api.UpdateTaskStatusRequest(session_id=agent.session_id)
    request.updates.add(task_id="gone", status=api.TaskStatus(state=RUNNING))
    request.updates.add(task_id=task.id)
    request.updates.add(task_id=task.id, status=api.TaskStatus(state=RUNNING))
    await cluster.dispatcher.UpdateTaskStatus(request, agent.context)
    await cluster.wait(lambda: cluster.task(task).status.state == RUNNING)


async def test_state_that_does_not_exist_is_ignored(cluster: Cluster) -> None:
    agent = await cluster.agent()
    await agent.register()
    task, probe = assigned(), assigned()
    await cluster.create("tasks", task, probe)
    await agent.report((task, 9999), (probe, RUNNING))
    await cluster.wait(lambda: cluster.task(probe).status.state == RUNNING)
    assert ASSIGNED == cluster.task(task).status.state


async def test_same_status_again_writes_nothing(cluster: Cluster) -> None:
    agent = await cluster.agent()
    await agent.register()
    task, probe = assigned(), assigned()
    await cluster.create("tasks", task, probe)
    await agent.report((task, RUNNING))
    await cluster.wait(lambda: cluster.task(task).status.state == RUNNING)
    version = cluster.task(task).meta.version.index
    await agent.report((task, RUNNING), (probe, RUNNING))
    await cluster.wait(lambda: cluster.task(probe).status.state == RUNNING)
    assert version == cluster.task(task).meta.version.index


class FullDisk(MemoryBackend):
    """Takes nothing while it is full."""

    full = False

    async def commit(self, version: int, rows: Sequence[Row]) -> None:
        if self.full:
            raise ResourceExhaustedError("the disk is full")
        await super().commit(version, rows)


async def test_a_report_that_the_store_refuses_is_written_once_it_takes_it() -> None:
    clock, disk = FakeClock(), FullDisk()
    async with Store(disk, clock) as store:
        cluster = Cluster(store, clock)
        await cluster.create("clusters", builders.cluster())
        await cluster.start()
        agent = await cluster.agent()
        await agent.register()
        first, second = assigned(), assigned()
        await cluster.create("tasks", first, second)
        disk.full = True
        await agent.report((first, api.TaskState.PREPARING), (second, RUNNING))
        await clock.wait_sleepers()
        await turn()
        await agent.report((first, RUNNING))  # later than what waits, and what waits stays
        disk.full = False
        await cluster.pass_time(10)
        await cluster.wait(lambda: cluster.task(first).status.state == RUNNING)
        assert RUNNING == cluster.task(second).status.state
        await cluster.stop()


async def test_unpublished_volume_waits_to_be_unpublished(cluster: Cluster) -> None:
    agent = await cluster.agent()
    await agent.register()
    volume = builders.volume()
    published = api.VolumePublishStatus.State.PENDING_NODE_UNPUBLISH
    for node_id in ("n1", "n2"):
        volume.publish_status.add(node_id=node_id, state=published)
    await cluster.create("volumes", volume)
    request = api.UpdateVolumeStatusRequest(session_id=agent.session_id)
    request.updates.add(id=volume.id, unpublished=True)
    await cluster.dispatcher.UpdateVolumeStatus(request, agent.context)
    for _ in range(5):
        await turn()
    found = cluster.store.view().volumes.get(volume.id)
    assert found is not None
    states = [each.state for each in found.publish_status]
    assert [api.VolumePublishStatus.State.PENDING_UNPUBLISH, published] == states


async def test_registering_again_with_nothing_new_writes_nothing(cluster: Cluster) -> None:
    agent = await cluster.agent()
    await agent.register(hostname="web-1")
    version = cluster.node("n1").meta.version.index
    await agent.register(hostname="web-1")
    assert version == cluster.node("n1").meta.version.index


async def test_many_nodes_register_at_once(cluster: Cluster) -> None:
    agents = [await cluster.agent(f"node-{number}") for number in range(200)]
    await soon(asyncio.gather(*(agent.register() for agent in agents)))
    assert all(READY == node.status.state for node in cluster.store.view().nodes.find())
