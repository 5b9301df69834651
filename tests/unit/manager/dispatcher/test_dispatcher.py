"""The agents' API, called as an agent calls it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import pytest

from swarmd import api
from swarmd.api import times
from swarmd.errors import PermissionDeniedError, UnavailableError
from swarmd.security.identity import WORKER, Caller
from swarmd.store import MemoryBackend, Select, Store, WriteTx
from tests import builders
from tests.fakes.clock import FakeClock
from workers.manager.dispatcher.server import Dispatcher, DispatcherStoppedError
from workers.manager.dispatcher.sessions import (
    NodeNotFoundError,
    NodeNotRegisteredError,
    SessionInvalidError,
)

DOWN, READY, UNKNOWN = (
    api.NodeStatus.State.DOWN,
    api.NodeStatus.State.READY,
    api.NodeStatus.State.UNKNOWN,
)
ASSIGNED, RUNNING = api.TaskState.ASSIGNED, api.TaskState.RUNNING
COMPLETE = api.AssignmentsMessage.Type.COMPLETE
INCREMENTAL = api.AssignmentsMessage.Type.INCREMENTAL


class Context:
    """As much of a call's context as the dispatcher asks for."""

    def __init__(self, node_id: str) -> None:
        self.caller = Caller(node_id, WORKER, "cluster", "10.0.0.7:4711", local=False)


class Agent:
    """One node's side of the conversation."""

    def __init__(self, dispatcher: Dispatcher, node_id: str) -> None:
        self.dispatcher = dispatcher
        self.context = Context(node_id)
        self.session_id = ""
        self.session: Any = None

    async def register(self, session_id: str = "", **description: Any) -> api.SessionMessage:
        request = api.SessionRequest(session_id=session_id)
        if description:
            request.description.CopyFrom(api.NodeDescription(**description))
        self.session = self.dispatcher.Session(request, self.context)
        message = await soon(anext(self.session))
        self.session_id = message.session_id
        return message

    async def beat(self) -> float:
        request = api.HeartbeatRequest(session_id=self.session_id)
        return times.seconds((await self.dispatcher.Heartbeat(request, self.context)).period)

    def assignments(self) -> Any:
        request = api.AssignmentsRequest(session_id=self.session_id)
        return self.dispatcher.Assignments(request, self.context)

    async def report(self, *updates: tuple[api.Task, int]) -> None:
        request = api.UpdateTaskStatusRequest(session_id=self.session_id)
        for task, state in updates:
            status = api.TaskStatus(state=api.TaskState.ValueType(state), message="told")
            request.updates.add(task_id=task.id, status=status)
        await self.dispatcher.UpdateTaskStatus(request, self.context)


class Cluster:
    """A store with a dispatcher at work on it."""

    def __init__(self, store: Store, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock
        self.dispatcher = Dispatcher(store, clock, Random(0), "manager")
        self.work: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.work = asyncio.create_task(self.dispatcher.run())
        await soon(self.dispatcher.wait_running())

    async def stop(self) -> None:
        if self.work is not None:
            self.work.cancel()
            await asyncio.gather(self.work, return_exceptions=True)
            self.work = None

    async def change(self, change: Callable[[WriteTx], object]) -> None:
        await self.store.update(change)

    async def create(self, table: str, *objects: Any) -> None:
        def change(tx: WriteTx) -> None:
            for each in objects:
                getattr(tx, table).create(each)

        await self.store.update(change)

    async def edit(self, table: str, object_id: str, edit: Callable[[Any], object]) -> None:
        def change(tx: WriteTx) -> None:
            own = getattr(tx, table).copy(object_id)
            edit(own)
            getattr(tx, table).update(own)

        await self.store.update(change)

    def node(self, node_id: str) -> api.Node:
        found = self.store.view().nodes.get(node_id)
        assert found is not None
        return found

    def task(self, task: api.Task) -> api.Task:
        found = self.store.view().tasks.get(task.id)
        assert found is not None
        return found

    async def wait(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            async with self.store.watch(Select(api.Task), Select(api.Node)) as watcher:
                while not condition():
                    await watcher.next()

    async def pass_time(self, seconds: float) -> None:
        """Let it pass in small steps, so that what is due happens in order."""
        await turn()  # whoever is about to sleep does so at the old time
        for _ in range(round(seconds)):
            self.clock.advance(seconds=1)
            await turn()

    async def agent(self, name: str = "n1", *, state: int = UNKNOWN) -> Agent:
        """An agent of a node that is in the store."""
        node = builders.node(name, state=state)
        node.id = name
        node.status.ClearField("addr")
        await self.create("nodes", node)
        return Agent(self.dispatcher, name)


async def soon(awaitable: Any) -> Any:
    async with asyncio.timeout(5):
        return await awaitable


async def turn() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def idle() -> AsyncIterator[Cluster]:
    clock = FakeClock()
    async with Store(MemoryBackend(), clock) as store:
        cluster = Cluster(store, clock)
        await cluster.create("clusters", builders.cluster())
        yield cluster
        await cluster.stop()


@pytest.fixture
async def cluster(idle: Cluster) -> Cluster:
    await idle.start()
    return idle


def assigned(node_id: str = "n1", *, state: int = ASSIGNED, **fields: Any) -> api.Task:
    return builders.task(state=api.TaskState.ValueType(state), node_id=node_id, **fields)


def told_tasks(message: api.AssignmentsMessage) -> set[str]:
    return {change.assignment.task.id for change in message.changes}


# --- sessions


async def test_registered_node_is_ready_with_its_address_and_description(
    cluster: Cluster,
) -> None:
    agent = await cluster.agent()
    message = await agent.register(hostname="web-1")
    node = cluster.node("n1")
    assert (READY, "", "10.0.0.7") == (node.status.state, node.status.message, node.status.addr)
    assert "web-1" == node.description.hostname
    assert node == message.node


async def test_session_tells_managers_keys_and_root_ca(cluster: Cluster) -> None:
    manager = builders.node("m1", role=api.NodeRole.MANAGER)
    manager.manager_status.addr = "10.0.0.1:4242"
    await cluster.create("nodes", manager)
    key = api.EncryptionKey(subsystem="gossip", key=b"k")
    found = cluster.store.view().clusters.find()[0]

    def edit(own: api.Cluster) -> None:
        own.root_ca.ca_cert = b"root"
        own.network_bootstrap_keys.append(key)

    await cluster.edit("clusters", found.id, edit)
    message = await (await cluster.agent()).register()
    peer = api.Peer(node_id=manager.id, addr="10.0.0.1:4242")
    assert [api.WeightedPeer(peer=peer, weight=10)] == list(message.managers)
    assert [key] == list(message.network_bootstrap_keys)
    assert b"root" == message.RootCA


async def test_session_tells_what_changes_about_the_node_and_the_cluster(
    cluster: Cluster,
) -> None:
    agent = await cluster.agent()
    await agent.register()
    drain = api.NodeSpec.Availability.DRAIN
    await cluster.edit("nodes", "n1", lambda own: setattr(own.spec, "availability", drain))
    assert drain == (await soon(anext(agent.session))).node.spec.availability
    found = cluster.store.view().clusters.find()[0]
    await cluster.edit("clusters", found.id, lambda own: setattr(own.root_ca, "ca_cert", b"new"))
    message = await soon(anext(agent.session))
    assert (b"new", agent.session_id) == (message.RootCA, message.session_id)


async def test_node_that_is_not_in_the_cluster_is_not_found(cluster: Cluster) -> None:
    with pytest.raises(NodeNotFoundError):
        await Agent(cluster.dispatcher, "stranger").register()


async def test_unregistered_node_is_not_found_and_a_wrong_session_is_invalid(
    cluster: Cluster,
) -> None:
    agent = await cluster.agent()
    with pytest.raises(NodeNotRegisteredError):
        await agent.beat()
    await agent.register()
    agent.session_id = "wrong"
    with pytest.raises(SessionInvalidError):
        await agent.beat()
    with pytest.raises(SessionInvalidError):
        await anext(agent.assignments())
    with pytest.raises(SessionInvalidError):
        await agent.report()


async def test_session_that_is_still_valid_is_taken_up_again(cluster: Cluster) -> None:
    agent = await cluster.agent()
    first = (await agent.register(hostname="old")).session_id
    assert first == (await agent.register(first, hostname="new")).session_id
    assert "new" == cluster.node("n1").description.hostname


async def test_new_session_ends_the_streams_of_the_old_one(cluster: Cluster) -> None:
    agent = await cluster.agent()
    await agent.register()
    old_session, old_stream = agent.session, agent.assignments()
    await anext(old_stream)
    await agent.register()
    for stream in (old_session, old_stream):
        with pytest.raises(SessionInvalidError):
            await drain_stream(stream)


async def test_fifth_registration_in_eight_seconds_is_refused(cluster: Cluster) -> None:
    agent = await cluster.agent()
    for _ in range(4):
        await agent.register()
    with pytest.raises(UnavailableError):
        await agent.register()


async def test_closed_stream_leaves_the_node_ready_until_heartbeats_fail(
    cluster: Cluster,
) -> None:
    agent = await cluster.agent()
    await agent.register()
    await agent.session.aclose()
    await cluster.pass_time(10)
    assert READY == cluster.node("n1").status.state
    await cluster.pass_time(7)
    await cluster.wait(lambda: state_of(cluster.node("n1")) == (DOWN, "heartbeat failure"))


async def test_session_of_a_removed_node_ends(cluster: Cluster) -> None:
    agent = await cluster.agent()
    await agent.register()
    stream = agent.assignments()
    await anext(stream)
    await cluster.change(lambda tx: tx.nodes.delete("n1"))
    for each in (agent.session, stream):
        with pytest.raises(NodeNotRegisteredError):
            await drain_stream(each)
    with pytest.raises(NodeNotFoundError):
        await agent.register()


async def test_everything_is_refused_before_the_start_and_after_the_stop(idle: Cluster) -> None:
    agent = await idle.agent()
    with pytest.raises(DispatcherStoppedError, match="dispatcher is stopped"):
        await agent.register()
    await idle.start()
    await agent.register()
    stream = agent.assignments()
    await anext(stream)
    await idle.stop()
    for each in (agent.session, stream):
        with pytest.raises(DispatcherStoppedError):
            await drain_stream(each)
    with pytest.raises(DispatcherStoppedError):
        await agent.beat()


async def test_dispatcher_runs_again_when_this_manager_leads_again(idle: Cluster) -> None:
    agent = await idle.agent()
    for _ in range(2):
        await idle.start()
        await agent.register()
        assert READY == idle.node("n1").status.state
        await idle.stop()


# --- heartbeats


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


# --- assignments


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


# --- statuses


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


def state_of(node: api.Node) -> tuple[int, str]:
    return node.status.state, node.status.message


async def drain_stream(stream: AsyncIterator[Any]) -> None:
    """Read until the stream's error is raised."""
    async with asyncio.timeout(5):
        async for _ in stream:
            pass
