from itertools import pairwise

from swarmd import api
from swarmd.api import times
from tests import builders
from tests.unit.manager.orchestrators.cluster import Cluster, State

Availability = api.NodeSpec.Availability
NodeState = api.NodeStatus.State


def with_restart(**policy):
    return api.TaskSpec(container=builders.container(), restart=api.RestartPolicy(**policy))


def scale(replicas):
    def edit(service):
        service.spec.replicated.replicas = replicas

    return edit


def numbers(found):
    return [task.slot for task in found]


async def test_a_new_service_gets_a_task_in_each_slot():
    async with Cluster() as cluster:
        await cluster.lead()
        web = builders.service("web", replicas=3)
        await cluster.create(web)
        await cluster.settle()
        assert [1, 2, 3] == numbers(cluster.running(web))
        assert not cluster.get(web).HasField("update_status")


async def test_a_service_of_no_replicas_gets_no_task():
    async with Cluster() as cluster:
        await cluster.lead()
        await cluster.create(web := builders.service(replicas=0))
        await cluster.settle()
        assert [] == cluster.tasks(web)


async def test_scaling_up_fills_the_free_numbers():
    async with Cluster() as cluster:
        await cluster.create(web := builders.service(replicas=2))
        await cluster.lead()
        await cluster.change(web, scale(4))
        assert [1, 2, 3, 4] == numbers(cluster.running(web))


async def test_scaling_down_removes_the_highest_numbers_first():
    async with Cluster() as cluster:
        await cluster.create(web := builders.service(replicas=4))
        await cluster.lead()
        await cluster.change(web, scale(1))
        assert [1] == numbers(cluster.wanted(web))
        removed = [task for task in cluster.tasks(web) if task.desired_state == State.REMOVE]
        assert [2, 3, 4] == numbers(removed)


async def test_a_slot_that_is_being_removed_still_counts_for_nothing():
    never = with_restart(condition=api.RestartPolicy.RestartCondition.NONE)
    async with Cluster() as cluster:
        await cluster.create(web := builders.service(replicas=3, task_spec=never))
        await cluster.lead()
        await cluster.change(web, scale(1))
        await cluster.change(web, scale(3))
        assert [1, 2, 3] == numbers(cluster.wanted(web))


async def test_a_slot_that_is_scaled_away_is_not_filled_again_by_its_past():
    once = with_restart(condition=api.RestartPolicy.RestartCondition.NONE)
    async with Cluster() as cluster:
        await cluster.create(web := builders.service(replicas=2, task_spec=once))
        await cluster.lead()
        await cluster.update(web, lambda spec: spec.task.container.args.append("new"))
        ended = [task for task in cluster.tasks(web) if task.status.state == State.SHUTDOWN]
        assert [1, 2] == numbers(ended)
        await cluster.change(web, scale(1))
        assert {State.REMOVE} == {
            task.desired_state for task in cluster.tasks(web) if task.slot == 2
        }


async def test_a_slot_that_comes_back_waits_for_the_task_that_stops_there_still():
    async with Cluster() as cluster:
        await cluster.create(builders.node(id="a"), web := builders.service(replicas=2))
        await cluster.lead()
        old = cluster.running(web)[1]
        cluster.stubborn.add(old.id)
        await cluster.change(web, scale(1))
        await cluster.change(web, scale(2))
        new = cluster.wanted(web)[1]
        assert (old.slot, State.READY) == (new.slot, new.desired_state)
        cluster.stubborn.clear()
        await cluster.settle()
        assert [1, 2] == numbers(cluster.running(web))


async def test_tasks_of_a_removed_service_are_to_be_removed():
    async with Cluster() as cluster:
        await cluster.create(web := builders.service(replicas=2))
        await cluster.lead()
        await cluster.delete(web)
        assert {State.REMOVE} == {task.desired_state for task in cluster.tasks(web)}
        assert 2 == len(cluster.tasks(web))


async def test_a_removed_task_is_made_anew():
    async with Cluster() as cluster:
        await cluster.create(web := builders.service(replicas=2))
        await cluster.lead()
        await cluster.delete(cluster.tasks(web)[0])
        assert [1, 2] == numbers(cluster.running(web))


async def test_a_failed_task_is_replaced_after_its_delay():
    async with Cluster() as cluster:
        await cluster.create(web := builders.service(replicas=1))
        await cluster.lead()
        (first,) = cluster.tasks(web)
        await cluster.report(first, State.FAILED)
        old, new = cluster.tasks(web)
        assert (State.SHUTDOWN, State.FAILED) == (old.desired_state, old.status.state)
        assert (State.READY, State.READY) == (new.desired_state, new.status.state)
        await cluster.advance(4.9)
        assert [] == cluster.running(web)
        await cluster.advance(0.2)
        assert [new.id] == [task.id for task in cluster.running(web)]


async def test_a_replacement_that_fails_while_it_waits_is_not_replaced_before_its_start():
    async with Cluster() as cluster:
        await cluster.create(web := builders.service(replicas=1))
        await cluster.lead()
        await cluster.report(cluster.tasks(web)[0], State.FAILED)
        await cluster.report(cluster.tasks(web)[1], State.REJECTED)
        assert 2 == len(cluster.tasks(web))
        await cluster.advance(5)
        assert 3 == len(cluster.tasks(web))


async def test_a_completed_task_is_not_restarted_on_failure_only():
    on_failure = with_restart(condition=api.RestartPolicy.RestartCondition.ON_FAILURE)
    async with Cluster() as cluster:
        await cluster.create(web := builders.service(replicas=2, task_spec=on_failure))
        await cluster.lead()
        await cluster.report(cluster.tasks(web)[0], State.COMPLETE)
        await cluster.report(cluster.tasks(web)[1], State.FAILED)
        await cluster.advance(60)
        assert [2] == numbers(cluster.running(web))


async def test_a_task_that_is_not_restarted_keeps_its_slot_until_an_update():
    never = with_restart(condition=api.RestartPolicy.RestartCondition.NONE)
    async with Cluster() as cluster:
        await cluster.create(web := builders.service(replicas=1, task_spec=never))
        await cluster.lead()
        await cluster.report(cluster.tasks(web)[0], State.FAILED)
        await cluster.lead()
        assert 1 == len(cluster.tasks(web))
        await cluster.update(web, lambda spec: setattr(spec.task, "force_update", 1))
        assert [1] == numbers(cluster.running(web))


async def test_a_slot_is_restarted_as_often_as_its_policy_allows():
    limited = with_restart(
        condition=api.RestartPolicy.RestartCondition.ANY,
        delay=times.duration(1),
        max_attempts=2,
    )
    async with Cluster() as cluster:
        await cluster.create(web := builders.service(replicas=1, task_spec=limited))
        cluster.behaviour = lambda task: State.FAILED
        await cluster.lead()
        await cluster.advance(100)
        assert 3 == len(cluster.tasks(web))
        await cluster.lead()
        await cluster.advance(100)
        assert 3 == len(cluster.tasks(web))


async def test_restarts_before_the_window_do_not_count():
    windowed = with_restart(
        condition=api.RestartPolicy.RestartCondition.ANY,
        delay=times.duration(0),
        max_attempts=1,
        window=times.duration(10),
    )
    async with Cluster() as cluster:
        await cluster.create(web := builders.service(replicas=1, task_spec=windowed))
        await cluster.lead()
        await cluster.report(cluster.running(web)[0], State.FAILED)
        await cluster.advance(11)
        await cluster.report(cluster.running(web)[0], State.FAILED)
        await cluster.advance(1)
        assert 1 == len(cluster.running(web))
        await cluster.report(cluster.running(web)[0], State.FAILED)
        await cluster.advance(1)
        assert 0 == len(cluster.running(web))


async def test_a_crash_looping_slot_waits_longer_each_time_and_says_so():
    async with Cluster() as cluster:
        await cluster.create(web := builders.service(replicas=1))
        cluster.behaviour = lambda task: State.FAILED
        await cluster.lead()
        await cluster.advance(3600)
        made = sorted(task.meta.created_at.seconds for task in cluster.tasks(web))
        waits = [later - sooner for sooner, later in pairwise(made)]
        assert [0, 5, 5] == waits[:3]
        assert sorted(waits[:6]) == waits[:6]
        assert max(waits) <= 300
        assert all(wait >= 150 for wait in waits[8:])
        assert "(crash-looping)" in cluster.tasks(web)[4].status.message
        assert cluster.tasks(web)[4].status.message.startswith(
            "pending task scheduling: restart 5 in "
        )


async def test_a_task_that_ran_well_ends_a_crash_loop():
    async with Cluster() as cluster:
        await cluster.create(web := builders.service(replicas=1))
        cluster.behaviour = lambda task: State.FAILED
        await cluster.lead()
        await cluster.advance(100)
        cluster.behaviour = lambda task: State.RUNNING
        await cluster.advance(400)
        (well,) = cluster.running(web)
        await cluster.report(well, State.FAILED)
        assert "pending task scheduling" == cluster.wanted(web)[0].status.message
        await cluster.advance(5.1)
        assert 1 == len(cluster.running(web))


async def test_tasks_of_a_drained_node_start_elsewhere_once_they_stopped():
    async with Cluster() as cluster:
        bad, good = builders.node(id="a"), builders.node(id="b")
        await cluster.create(bad, good, web := builders.service(replicas=4))
        await cluster.lead()
        assert 2 == len([task for task in cluster.running(web) if task.node_id == "a"])
        await cluster.change(bad, lambda n: setattr(n.spec, "availability", Availability.DRAIN))
        assert ["b"] * 4 == [task.node_id for task in cluster.running(web)]
        assert {1} == set(cluster.most_running.values())


async def test_a_task_that_does_not_stop_holds_up_the_next_for_a_minute():
    async with Cluster() as cluster:
        bad = builders.node(id="a")
        await cluster.create(bad, web := builders.service(replicas=1))
        await cluster.lead()
        cluster.stubborn = {cluster.running(web)[0].id}
        await cluster.create(builders.node(id="b"))
        await cluster.change(bad, lambda n: setattr(n.spec, "availability", Availability.DRAIN))
        await cluster.advance(59)
        assert 1 == len(cluster.running(web))
        await cluster.advance(2)
        assert 2 == len(cluster.running(web))


async def test_tasks_of_a_lost_node_start_elsewhere_at_once():
    async with Cluster() as cluster:
        lost, good = builders.node(id="a"), builders.node(id="b")
        await cluster.create(lost, good, web := builders.service(replicas=2))
        await cluster.lead()
        (there,) = [task for task in cluster.running(web) if task.node_id == "a"]
        cluster.stubborn = {there.id}
        await cluster.change(lost, lambda n: setattr(n.status, "state", NodeState.DOWN))
        new = [task for task in cluster.wanted(web) if task.slot == there.slot]
        assert [State.RUNNING] == [task.desired_state for task in new]
        assert State.SHUTDOWN == cluster.get(there).desired_state


async def test_tasks_of_a_removed_node_start_elsewhere():
    async with Cluster() as cluster:
        gone, good = builders.node(id="a"), builders.node(id="b")
        await cluster.create(gone, good, web := builders.service(replicas=2))
        await cluster.lead()
        await cluster.delete(gone)
        assert ["b", "b"] == [task.node_id for task in cluster.wanted(web)]


async def test_a_paused_node_keeps_its_tasks():
    async with Cluster() as cluster:
        await cluster.create(node := builders.node(id="a"), web := builders.service(replicas=2))
        await cluster.lead()
        before = [task.id for task in cluster.running(web)]
        await cluster.change(node, lambda n: setattr(n.spec, "availability", Availability.PAUSE))
        assert before == [task.id for task in cluster.running(web)]


async def test_a_new_leader_finds_what_ended_meanwhile():
    async with Cluster() as cluster:
        await cluster.create(web := builders.service(replicas=2))
        await cluster.lead()
        await cluster.stop()
        await cluster.report(cluster.tasks(web)[0], State.FAILED)
        await cluster.lead()
        await cluster.advance(5.1)
        assert [1, 2] == numbers(cluster.running(web))


async def test_a_new_leader_starts_what_waits_neither_sooner_nor_later():
    async with Cluster() as cluster:
        await cluster.create(web := builders.service(replicas=1))
        await cluster.lead()
        await cluster.report(cluster.tasks(web)[0], State.FAILED)
        await cluster.advance(3)
        await cluster.lead()
        await cluster.advance(1.9)
        assert 0 == len(cluster.running(web))
        await cluster.advance(0.2)
        assert 1 == len(cluster.running(web))


async def test_a_new_leader_removes_tasks_of_services_that_are_gone():
    async with Cluster() as cluster:
        await cluster.create(orphan := builders.task(builders.service()))
        await cluster.create(attachment := builders.task())
        await cluster.lead()
        assert State.REMOVE == cluster.get(orphan).desired_state
        assert State.RUNNING == cluster.get(attachment).desired_state


async def test_a_new_leader_empties_surplus_slots():
    async with Cluster() as cluster:
        web = builders.service(replicas=1)
        await cluster.create(web, builders.task(web, slot=1), builders.task(web, slot=2))
        await cluster.lead()
        assert [1] == numbers(cluster.wanted(web))


async def test_the_clusters_log_driver_serves_where_the_service_has_none():
    async with Cluster() as cluster:
        await cluster.lead()
        default = cluster.store.view().clusters.find()[0]
        await cluster.change(
            default, lambda c: c.spec.task_defaults.log_driver.MergeFrom(api.Driver(name="syslog"))
        )
        await cluster.create(web := builders.service(replicas=1))
        await cluster.settle()
        assert "syslog" == cluster.tasks(web)[0].log_driver.name
