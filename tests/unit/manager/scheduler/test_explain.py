"""Each filter's verdict on each node, as the Explain service gives it."""

import asyncio
import time

import pytest

from swarmd import api
from swarmd.api.protos.explain_pb2 import (
    ExplainNodeRequest,
    ExplainServiceRequest,
    ExplainTaskRequest,
)
from swarmd.errors import InvalidArgumentError, NotFoundError
from swarmd.store import MemoryBackend, Store
from tests import builders, stored
from tests.fakes.clock import FakeClock
from tests.unit.manager.scheduler.cluster import node, reserving, tasks
from workers.manager.scheduler import verdicts
from workers.manager.scheduler.explain_api import ExplainApi
from workers.manager.scheduler.filters import named_filters
from workers.manager.scheduler.placement import place

State = api.TaskState
_Availability = api.NodeSpec.Availability


@pytest.fixture
async def store():
    async with Store(MemoryBackend(), FakeClock()) as opened:
        yield opened


def running(task: api.Task, node_id: str, suffix: str = "") -> api.Task:
    task.status.state = State.RUNNING
    task.node_id = node_id
    task.id += suffix
    return task


def host_port(task: api.Task) -> api.Task:
    mode = api.PortConfig.PublishMode.HOST
    task.endpoint.ports.add(published_port=8080, publish_mode=mode)
    return task


async def refusals(store: Store, task: api.Task, *there: object) -> dict[str, dict[str, str]]:
    """By node: the filters that refuse, and their details."""
    await stored.add(store, task, *there)
    reply = await ExplainApi(store).ExplainTask(ExplainTaskRequest(task_id=task.id), None)
    assert reply.waits
    return {
        one.node_id: {each.filter: each.detail for each in one.filters if not each.passes}
        for one in reply.placement.nodes
    }


def placed(**fields):
    (task,) = tasks(1, placement=api.Placement(**fields))
    return task


async def test_a_node_that_takes_no_tasks_says_why(store):
    (task,) = tasks(1)
    found = await refusals(
        store,
        task,
        node("ready"),
        node("drained", availability=_Availability.DRAIN),
        node("paused", availability=_Availability.PAUSE),
        node("down", state=api.NodeStatus.State.DOWN),
    )
    expected = {
        "ready": {},
        "drained": {"ready": "drained"},
        "paused": {"ready": "paused"},
        "down": {"ready": "down"},
    }
    assert expected == found


async def test_resources_are_told_in_numbers(store):
    (task,) = tasks(1, **reserving(nano_cpus=3 * 10**9, memory_bytes=4 << 30))
    (holder,) = tasks(1, service_id="db", **reserving(nano_cpus=10**9, memory_bytes=5 << 30))
    found = await refusals(store, task, node("a", cpus=4), node("b", cpus=2), running(holder, "a"))
    memory = "needs 4096 MiB memory, 3072 MiB of 8192 MiB free"
    assert {"a": {"resources": memory}, "b": {"resources": "needs 3 CPU, 2 of 2 free"}} == found


async def test_a_constraint_is_named_with_what_the_node_has_instead(store):
    task = placed(constraints=["node.labels.zone==a", "node.role==worker", "node.color==red"])
    found = await refusals(store, task, node("n1", labels={"zone": "b"}), node("n2"))
    unknown = "node.color==red (nobody knows this key)"
    expected = {
        "n1": {"constraint": f"node.labels.zone==a (is b); {unknown}"},
        "n2": {"constraint": f"node.labels.zone==a (is not set); {unknown}"},
    }
    assert expected == found


async def test_a_platform_is_told_on_both_sides(store):
    task = placed(platforms=[api.Platform(os="linux", architecture="arm64")])
    found = await refusals(store, task, node("n1"))
    assert {"n1": {"platform": "needs linux/arm64, is linux/x86_64"}} == found


async def test_a_taken_port_names_its_holder(store):
    (task,), (holder,) = tasks(1), tasks(1, service_id="db")
    db = builders.service("database")
    db.id = "db"
    found = await refusals(store, host_port(task), db, node("n1"), host_port(running(holder, "n1")))
    assert {"n1": {"host port": "8080/tcp is held by database, task db-0"}} == found


async def test_the_most_replicas_are_counted(store):
    task, other = placed(max_replicas=1), placed(max_replicas=1)
    found = await refusals(store, task, node("n1"), running(other, "n1", "x"), node("n2"))
    assert {"n1": {"max replicas": "has 1 of at most 1"}, "n2": {}} == found


async def test_engines_and_plugins_that_lack_are_named(store):
    (host,) = tasks(1, image="host", service_id="h")
    mount = api.Mount(type=api.Mount.Type.VOLUME, target="/data")
    mount.volume_options.driver_config.name = "flocker"
    (mounted,) = tasks(1, service_id="m")
    mounted.spec.container.mounts.append(mount)
    docker = node("n1", engines=["docker"])
    assert {"n1": {"engine": "needs supervisor, has docker"}} == await refusals(store, host, docker)
    assert {"n1": {"plugin": "lacks Volume flocker"}} == await refusals(store, mounted)


async def test_all_filters_are_asked_and_the_closest_node_comes_first(
    store,
):
    task = placed(constraints=["node.labels.zone==a"])
    await stored.add(store, task, node("far", state=api.NodeStatus.State.DOWN), node("near"))
    reply = await ExplainApi(store).ExplainTask(ExplainTaskRequest(task_id=task.id), None)
    assert ["near", "far"] == [one.hostname for one in reply.placement.nodes]
    assert [False, True, False] == [each.passes for each in reply.placement.nodes[1].filters]
    sentence = "1 node not available for new tasks; scheduling constraints not satisfied on 1 node"
    assert sentence == reply.placement.reason


async def test_the_sentence_is_the_one_that_the_scheduler_gives():
    waiting = tasks(3, placement=api.Placement(constraints=["node.labels.zone==a"]))
    found = [node(f"n{number}") for number in range(4)]
    picture = verdicts.picture(found, (), ())
    question = verdicts.Question(waiting[0], picture.demand(waiting[0]), picture, str)
    explained = verdicts.placement(question, list(picture), most=2)
    assert place(picture, waiting, 0.0).reason == explained.reason
    assert (2, 4) == (len(explained.nodes), explained.node_count)


async def test_a_global_services_task_is_told_about_its_own_node_alone(store):
    (task,) = tasks(1)
    task.node_id = "n2"
    found = await refusals(store, task, node("n1"), node("n2", state=api.NodeStatus.State.DOWN))
    assert {"n2": {"ready": "down"}} == found


async def test_every_filter_has_its_detail():
    task = host_port(placed(constraints=["a==b"], max_replicas=1, platforms=[api.Platform(os="x")]))
    task.spec.container.mounts.add(type=api.Mount.Type.CLUSTER, source="v", target="/v")
    task.spec.log_driver.name = "splunk"
    task.spec.resources.reservations.nano_cpus = 1
    picture = verdicts.picture([node("n1")], (), ())
    asked = named_filters(task, picture.demand(task), picture.volumes)
    assert set(verdicts._DETAILS) == set(asked)


async def test_ten_thousand_replicas_of_an_impossible_service_are_one_answer(store):
    web = builders.service("web", replicas=10_000)
    web.id = "web"
    waiting = tasks(10_000, placement=api.Placement(constraints=["node.labels.zone==a"]))
    nodes = [node(f"n{number}") for number in range(500)]
    for start in range(0, len(waiting), 2_000):
        await stored.add(store, *waiting[start : start + 2_000])
    await stored.add(store, web, *nodes)
    begun = time.process_time()
    reply = await ExplainApi(store).ExplainService(ExplainServiceRequest(service_id="web"), None)
    assert time.process_time() - begun < 5
    (kind,) = reply.waiting
    assert (10_000, 500, 100) == (kind.alike, kind.node_count, len(kind.nodes))
    assert [10_000] == [one.count for one in reply.counts]
    assert reply.ByteSize() < 100_000


async def test_a_node_tells_its_reservations_and_what_it_could_not_take(store):
    (holder,) = tasks(1, service_id="db", **reserving(nano_cpus=3 * 10**9))
    (waiting,) = tasks(1, **reserving(nano_cpus=2 * 10**9))
    await stored.add(store, node("n1", cpus=4), running(host_port(holder), "n1"), waiting)
    reply = await ExplainApi(store).ExplainNode(ExplainNodeRequest(node_id="n1"), None)
    assert ("", 4 * 10**9, 10**9) == (reply.closed, reply.nano_cpus, reply.free_nano_cpus)
    assert [("db", 1, 3 * 10**9)] == [(s.service_id, s.tasks, s.nano_cpus) for s in reply.shares]
    assert ["8080/tcp"] == list(reply.host_ports)
    assert ["needs 2 CPU, 1 of 4 free"] == [
        each.detail for one in reply.waiting for each in one.nodes[0].filters if not each.passes
    ]


async def test_what_is_not_there_is_not_found(store):
    explain = ExplainApi(store)
    with pytest.raises(NotFoundError):
        await explain.ExplainTask(ExplainTaskRequest(task_id="x"), None)
    with pytest.raises(NotFoundError):
        await explain.ExplainService(ExplainServiceRequest(service_id="x"), None)
    with pytest.raises(NotFoundError):
        await explain.ExplainNode(ExplainNodeRequest(node_id="x"), None)
    with pytest.raises(InvalidArgumentError):
        await asyncio.wait_for(explain.ExplainTask(ExplainTaskRequest(), None), 5)
