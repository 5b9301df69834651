from functools import partial

from swarmd import api
from swarmd.api import times
from tests import builders
from tests.unit.manager.orchestrators.cluster import Cluster, State
from workers.manager.orchestrators import new_task
from workers.manager.orchestrators.global_services import succeed

Availability = api.NodeSpec.Availability
NodeState = api.NodeStatus.State


def availability(value):
    return lambda node: setattr(node.spec, "availability", value)


def state(value):
    return lambda node: setattr(node.status, "state", value)


def places(found):
    return sorted(task.node_id for task in found)


async def begin(cluster, *objects):
    await cluster.create(*objects)
    await cluster.lead()


async def test_each_node_gets_one_task():
    async with Cluster() as cluster:
        web = builders.service(replicas=None)
        await begin(cluster, builders.node(id="a"), builders.node(id="b"), web)
        assert ["a", "b"] == places(cluster.running(web))
        assert {0} == {task.slot for task in cluster.tasks(web)}


async def test_a_node_that_joins_gets_its_task():
    async with Cluster() as cluster:
        await begin(cluster, builders.node(id="a"), web := builders.service(replicas=None))
        await cluster.create(builders.node(id="b"))
        await cluster.settle()
        assert ["a", "b"] == places(cluster.running(web))


async def test_a_node_that_joins_gets_a_task_of_every_global_service():
    async with Cluster() as cluster:
        one, other = builders.service(replicas=None), builders.service(replicas=None)
        await begin(cluster, one, other)
        await cluster.create(builders.node(id="a"))
        await cluster.settle()
        assert ["a"] == places(cluster.running(one))
        assert ["a"] == places(cluster.running(other))


async def test_nodes_that_do_not_meet_the_constraints_get_none():
    async with Cluster() as cluster:
        web = builders.service(replicas=None)
        web.spec.task.placement.constraints.append("node.labels.zone==a")
        await begin(cluster, builders.node(id="in", labels={"zone": "a"}), web)
        await cluster.create(builders.node(id="out"))
        await cluster.settle()
        assert ["in"] == places(cluster.tasks(web))


async def test_constraints_that_change_move_the_tasks():
    async with Cluster() as cluster:
        web = builders.service(replicas=None)
        a, b = builders.node(id="a", labels={"zone": "a"}), builders.node(id="b")
        await begin(cluster, a, b, web)
        await cluster.update(
            web, lambda spec: spec.task.placement.constraints.append("node.labels.zone==a")
        )
        assert ["a"] == places(cluster.running(web))
        assert ["a"] == places(cluster.wanted(web))


async def test_a_drained_node_loses_its_task_and_gets_it_back():
    async with Cluster() as cluster:
        await begin(cluster, node := builders.node(id="a"), web := builders.service(replicas=None))
        await cluster.change(node, availability(Availability.DRAIN))
        assert [] == cluster.wanted(web)
        assert [State.SHUTDOWN] == [task.status.state for task in cluster.tasks(web)]
        await cluster.change(node, availability(Availability.ACTIVE))
        assert ["a"] == places(cluster.running(web))


async def test_a_node_that_is_active_again_waits_for_the_task_that_stops_there_still():
    async with Cluster() as cluster:
        await begin(cluster, node := builders.node(id="a"), web := builders.service(replicas=None))
        cluster.stubborn.add(cluster.running(web)[0].id)
        await cluster.change(node, availability(Availability.DRAIN))
        await cluster.change(node, availability(Availability.ACTIVE))
        assert [State.READY] == [task.desired_state for task in cluster.wanted(web)]
        cluster.stubborn.clear()
        await cluster.settle()
        assert cluster.wanted(web) == cluster.running(web)


async def test_a_lost_nodes_task_is_shut_down_and_made_anew_when_it_is_back():
    async with Cluster() as cluster:
        await begin(cluster, node := builders.node(id="a"), web := builders.service(replicas=None))
        await cluster.change(node, state(NodeState.DOWN))
        assert [] == cluster.wanted(web)
        await cluster.change(node, state(NodeState.READY))
        assert ["a"] == places(cluster.running(web))


async def test_a_paused_node_keeps_its_task_and_gets_no_other():
    async with Cluster() as cluster:
        await begin(cluster, node := builders.node(id="a"), web := builders.service(replicas=None))
        await cluster.change(node, availability(Availability.PAUSE))
        assert ["a"] == places(cluster.running(web))
        await cluster.create(later := builders.service(replicas=None))
        await cluster.settle()
        assert [] == cluster.tasks(later)


async def test_a_failed_task_on_a_paused_node_is_not_restarted():
    async with Cluster() as cluster:
        await begin(cluster, node := builders.node(id="a"), web := builders.service(replicas=None))
        await cluster.change(node, availability(Availability.PAUSE))
        await cluster.report(cluster.running(web)[0], State.FAILED)
        await cluster.advance(60)
        assert [State.SHUTDOWN] == [task.desired_state for task in cluster.tasks(web)]


async def test_a_failed_task_is_restarted_on_its_node_after_the_delay():
    async with Cluster() as cluster:
        await begin(cluster, builders.node(id="a"), web := builders.service(replicas=None))
        await cluster.report(cluster.running(web)[0], State.FAILED)
        await cluster.advance(4.9)
        assert [] == cluster.running(web)
        await cluster.advance(0.2)
        assert ["a"] == places(cluster.running(web))


async def test_each_nodes_attempts_are_counted_by_themselves():
    limited = api.TaskSpec(container=builders.container())
    limited.restart.condition = api.RestartPolicy.RestartCondition.ANY
    limited.restart.max_attempts = 1
    limited.restart.delay.CopyFrom(times.duration(1))
    async with Cluster() as cluster:
        web = builders.service(replicas=None, task_spec=limited)
        cluster.behaviour = lambda task: State.FAILED if task.node_id == "a" else State.RUNNING
        await begin(cluster, builders.node(id="a"), builders.node(id="b"), web)
        await cluster.advance(60)
        assert ["a", "a", "b"] == places(cluster.tasks(web))
        assert ["b"] == places(cluster.running(web))


async def test_a_removed_nodes_tasks_are_forgotten():
    async with Cluster() as cluster:
        await begin(cluster, node := builders.node(id="a"), web := builders.service(replicas=None))
        await cluster.delete(node)
        assert [] == cluster.tasks(web)


async def test_a_removed_task_is_made_anew():
    async with Cluster() as cluster:
        await begin(cluster, builders.node(id="a"), web := builders.service(replicas=None))
        await cluster.delete(cluster.running(web)[0])
        assert ["a"] == places(cluster.running(web))


async def test_tasks_of_a_removed_service_are_to_be_removed():
    async with Cluster() as cluster:
        await begin(cluster, builders.node(id="a"), web := builders.service(replicas=None))
        await cluster.delete(web)
        assert {State.REMOVE} == {task.desired_state for task in cluster.tasks(web)}


async def test_a_new_leader_shuts_down_tasks_on_nodes_that_may_not_have_them():
    async with Cluster() as cluster:
        web = builders.service(replicas=None)
        drained = builders.node(id="a", availability=Availability.DRAIN)
        there = builders.task(web, slot=0, node_id="a", state=State.RUNNING)
        nowhere = builders.task(web, slot=0, node_id="gone", state=State.RUNNING)
        await begin(cluster, web, drained, there, nowhere)
        assert [] == cluster.wanted(web)


async def test_a_new_leader_leaves_one_task_on_each_node():
    async with Cluster() as cluster:
        web = builders.service(replicas=None)
        twice = [builders.task(web, slot=0, node_id="a", state=State.RUNNING) for _ in range(2)]
        await begin(cluster, web, builders.node(id="a"), *twice)
        assert ["a"] == places(cluster.wanted(web))


async def test_a_new_leader_restarts_what_failed_meanwhile():
    async with Cluster() as cluster:
        web = builders.service(replicas=None)
        failed = builders.task(web, slot=0, node_id="a", state=State.FAILED)
        await begin(cluster, web, builders.node(id="a"), failed)
        await cluster.advance(5.1)
        assert ["a"] == places(cluster.running(web))


async def test_a_node_that_changes_gets_no_second_task_beside_the_updaters():
    async with Cluster() as cluster:
        await begin(cluster, node := builders.node(id="a"), web := builders.service(replicas=None))
        (old,) = cluster.running(web)
        changed = await cluster.update(web, lambda spec: spec.task.container.args.append("new"))
        (new,) = cluster.wanted(web)
        template = new_task.template(changed, None, 0.0)
        add = partial(new_task.create, template=template, task_id="second", node_id="a")
        change = partial(succeed, add=add, template=template, node=node, known={old.id})
        assert await cluster.store.update(change) is None
        assert [new.id] == [task.id for task in cluster.wanted(web)]
