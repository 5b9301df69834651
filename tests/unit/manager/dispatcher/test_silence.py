"""Silent nodes: down, unknown, and their orphans."""

import pytest

from swarmd import api
from swarmd.api import times
from tests.unit.manager.dispatcher.agents import (
    DOWN,
    READY,
    RUNNING,
    UNKNOWN,
    Cluster,
    assigned,
    drain_stream,
    state_of,
    turn,
)
from workers.manager.dispatcher.sessions import (
    NodeNotRegisteredError,
    SessionInvalidError,
)


async def test_heartbeat_answers_with_the_period_of_the_cluster(cluster: Cluster) -> None:
    agent = await cluster.agent()
    await agent.register()
    assert 4.5 <= await agent.beat() <= 5.5
    found = cluster.store.view().clusters.find()[0]
    ten = times.duration(10)
    await cluster.edit(
        "clusters", found.id, lambda own: own.spec.dispatcher.heartbeat_period.CopyFrom(ten)
    )
    assert 9.5 <= await agent.beat() <= 10.5


async def test_node_that_beats_stays_ready(cluster: Cluster) -> None:
    agent = await cluster.agent()
    await agent.register()
    for _ in range(10):
        await cluster.pass_time(10)
        await agent.beat()
    assert READY == cluster.node("n1").status.state


async def test_silent_node_is_down_after_three_periods_and_its_streams_end(
    cluster: Cluster,
) -> None:
    agent = await cluster.agent()
    await agent.register()
    await cluster.pass_time(13)
    assert READY == cluster.node("n1").status.state
    await cluster.pass_time(4)
    await cluster.wait(lambda: state_of(cluster.node("n1")) == (DOWN, "heartbeat failure"))
    with pytest.raises(NodeNotRegisteredError):
        await drain_stream(agent.session)
    with pytest.raises(NodeNotRegisteredError):
        await agent.beat()


async def test_new_leader_moves_nodes_to_unknown_and_after_six_periods_to_down(
    idle: Cluster,
) -> None:
    await idle.agent(state=READY)
    await idle.start()
    sentence = 'Node moved to "unknown" state due to leadership change in cluster'
    assert (UNKNOWN, sentence) == state_of(idle.node("n1"))
    await idle.pass_time(26)
    assert UNKNOWN == idle.node("n1").status.state
    await idle.pass_time(8)
    sentence = 'heartbeat failure for node in "unknown" state'
    await idle.wait(lambda: state_of(idle.node("n1")) == (DOWN, sentence))


async def test_node_that_comes_back_to_a_new_leader_is_ready(idle: Cluster) -> None:
    agent = await idle.agent(state=READY)
    await idle.start()
    with pytest.raises(SessionInvalidError):
        await agent.beat()
    await agent.register()
    assert (READY, "") == state_of(idle.node("n1"))


async def test_down_node_stays_down_for_a_new_leader(idle: Cluster) -> None:
    await idle.agent(state=DOWN)
    await idle.start()
    assert DOWN == idle.node("n1").status.state


async def test_tasks_of_a_node_that_is_down_for_a_day_are_orphans(idle: Cluster) -> None:
    await idle.agent(state=DOWN)
    running, ended = assigned(state=RUNNING), assigned(state=api.TaskState.FAILED)
    await idle.create("tasks", running, ended)
    await idle.start()
    await turn()
    idle.clock.advance(seconds=24 * 3600 - 1)
    await turn()
    assert RUNNING == idle.task(running).status.state
    idle.clock.advance(seconds=1)
    await idle.wait(lambda: idle.task(running).status.state == api.TaskState.ORPHANED)
    assert api.TaskState.FAILED == idle.task(ended).status.state


async def test_node_that_came_back_keeps_its_tasks(idle: Cluster) -> None:
    agent = await idle.agent(state=DOWN)
    task = assigned(state=RUNNING)
    await idle.create("tasks", task)
    await idle.start()
    await agent.register()
    idle.clock.advance(seconds=24 * 3600)
    await turn()
    assert RUNNING == idle.task(task).status.state
