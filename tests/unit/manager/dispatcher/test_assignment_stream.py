"""What an agent is sent, and when."""

import asyncio

from swarmd import api
from tests import builders
from tests.unit.manager.dispatcher.agents import (
    ASSIGNED,
    COMPLETE,
    INCREMENTAL,
    RUNNING,
    Cluster,
    assigned,
    soon,
    told_tasks,
    turn,
)


async def test_first_message_is_complete_and_those_after_it_are_chained(
    cluster: Cluster,
) -> None:
    agent = await cluster.agent()
    await agent.register()
    first, second = assigned(), assigned()
    await cluster.create("tasks", first, assigned("n2"), assigned(state=api.TaskState.PENDING))
    stream = agent.assignments()
    full = await soon(anext(stream))
    assert (COMPLETE, "", "1") == (full.type, full.applies_to, full.results_in)
    assert {first.id} == told_tasks(full)
    cluster.clock.advance(seconds=1)
    await cluster.create("tasks", second)
    more = await soon(anext(stream))
    assert (INCREMENTAL, "1", "2") == (more.type, more.applies_to, more.results_in)
    assert {second.id} == told_tasks(more)


async def test_task_is_sent_when_it_gets_assigned(cluster: Cluster) -> None:
    agent = await cluster.agent()
    await agent.register()
    task = builders.task(state=api.TaskState.PENDING)
    await cluster.create("tasks", task)
    stream = agent.assignments()
    assert set() == told_tasks(await soon(anext(stream)))
    cluster.clock.advance(seconds=1)

    def assign(own: api.Task) -> None:
        own.node_id, own.status.state = "n1", ASSIGNED

    await cluster.edit("tasks", task.id, assign)
    assert {task.id} == told_tasks(await soon(anext(stream)))


async def test_changes_soon_after_a_message_go_in_one(cluster: Cluster) -> None:
    agent = await cluster.agent()
    await agent.register()
    stream = agent.assignments()
    await soon(anext(stream))
    tasks = [assigned() for _ in range(5)]
    waiting = asyncio.ensure_future(anext(stream))
    for task in tasks:
        await cluster.create("tasks", task)
        await turn()
    assert not waiting.done()
    cluster.clock.advance(seconds=0.1)
    assert {task.id for task in tasks} == told_tasks(await soon(waiting))


async def test_hundred_changes_are_sent_without_a_pause(cluster: Cluster) -> None:
    agent = await cluster.agent()
    await agent.register()
    stream = agent.assignments()
    await soon(anext(stream))
    tasks = [assigned() for _ in range(120)]
    await cluster.create("tasks", *tasks)
    waiting = asyncio.ensure_future(anext(stream))
    await turn()
    first = await soon(waiting)
    assert 100 == len(first.changes)
    cluster.clock.advance(seconds=1)
    rest = await soon(anext(stream))
    assert {task.id for task in tasks} == told_tasks(first) | told_tasks(rest)


async def test_status_that_the_agent_reported_does_not_come_back_to_it(cluster: Cluster) -> None:
    agent = await cluster.agent()
    await agent.register()
    task, other = assigned(), assigned()
    await cluster.create("tasks", task)
    stream = agent.assignments()
    await soon(anext(stream))
    await agent.report((task, RUNNING))
    await cluster.wait(lambda: cluster.task(task).status.state == RUNNING)
    cluster.clock.advance(seconds=1)
    await cluster.create("tasks", other)
    assert {other.id} == told_tasks(await soon(anext(stream)))


async def test_secret_goes_with_its_task_and_is_taken_back_when_that_ends(
    cluster: Cluster,
) -> None:
    agent = await cluster.agent()
    await agent.register()
    secret, unused = builders.secret(), builders.secret()
    task = assigned()
    task.spec.container.secrets.add(secret_id=secret.id)
    await cluster.create("secrets", secret, unused)
    await cluster.create("tasks", task)
    stream = agent.assignments()
    full = await soon(anext(stream))
    assert [secret.id] == [c.assignment.secret.id for c in full.changes if c.assignment.secret.id]
    assert b"hidden" == full.changes[0].assignment.secret.spec.data
    await agent.report((task, api.TaskState.COMPLETE))
    await cluster.wait(lambda: cluster.task(task).status.state == api.TaskState.COMPLETE)
    cluster.clock.advance(seconds=1)
    more = await soon(anext(stream))
    gone = [c.assignment.secret.id for c in more.changes]
    assert [secret.id] == gone
    assert api.AssignmentChange.AssignmentAction.REMOVE == more.changes[0].action


async def test_deprecated_stream_gives_all_tasks_at_each_change(cluster: Cluster) -> None:
    agent = await cluster.agent()
    await agent.register()
    first, second = assigned(), assigned()
    await cluster.create("tasks", first)
    request = api.TasksRequest(session_id=agent.session_id)
    stream = cluster.dispatcher.Tasks(request, agent.context)
    assert [first.id] == [task.id for task in (await soon(anext(stream))).tasks]
    cluster.clock.advance(seconds=1)
    await cluster.create("tasks", second)
    got = {task.id for task in (await soon(anext(stream))).tasks}
    assert {first.id, second.id} == got
