from swarmd import api
from swarmd.api import times
from tests import builders
from tests.unit.manager.orchestrators.cluster import Cluster, State

Availability = api.NodeSpec.Availability
Condition = api.RestartPolicy.RestartCondition


def job(total=4, at_once=2, **restart):
    built = builders.service()
    built.spec.replicated_job.max_concurrent = at_once
    built.spec.replicated_job.total_completions = total
    built.job_status.job_iteration.index = 1
    if restart:
        built.spec.task.restart.MergeFrom(api.RestartPolicy(**restart))
    return built


def global_job():
    built = builders.service()
    built.spec.global_job.SetInParent()
    built.job_status.job_iteration.index = 1
    return built


def numbers(found):
    return [task.slot for task in found]


def done(cluster, service):
    return [task for task in cluster.tasks(service) if task.status.state == State.COMPLETE]


async def begin(cluster, *objects):
    await cluster.create(*objects)
    await cluster.lead()


async def test_a_job_runs_no_more_tasks_at_once_than_it_may():
    async with Cluster() as cluster:
        await begin(cluster, batch := job(total=4, at_once=2))
        assert [0, 1] == numbers(cluster.running(batch))
        assert {State.COMPLETE} == {task.desired_state for task in cluster.tasks(batch)}
        assert {1} == {task.job_iteration.index for task in cluster.tasks(batch)}


async def test_a_completed_task_makes_room_for_the_next():
    async with Cluster() as cluster:
        await begin(cluster, batch := job(total=4, at_once=2))
        await cluster.report(cluster.running(batch)[0], State.COMPLETE)
        assert [1, 2] == numbers(cluster.running(batch))


async def test_a_job_ends_with_one_completed_task_in_each_slot():
    async with Cluster() as cluster:
        cluster.behaviour = lambda task: State.COMPLETE
        await begin(cluster, batch := job(total=7, at_once=3))
        assert [0, 1, 2, 3, 4, 5, 6] == numbers(done(cluster, batch))
        assert 7 == len(cluster.tasks(batch))


async def test_a_job_that_may_run_nothing_at_once_runs_nothing():
    async with Cluster() as cluster:
        await begin(cluster, batch := job(total=7, at_once=0))
        assert [] == cluster.tasks(batch)


async def test_fewer_completions_than_are_running_add_nothing():
    async with Cluster() as cluster:
        await begin(cluster, batch := job(total=3, at_once=3))

        def fewer(own):
            own.spec.replicated_job.total_completions = 1

        await cluster.change(batch, fewer)
        assert 3 == len(cluster.tasks(batch))


async def test_a_failed_task_is_restarted_in_its_slot():
    async with Cluster() as cluster:
        await begin(cluster, batch := job(total=2, at_once=2))
        await cluster.report(cluster.running(batch)[0], State.FAILED)
        assert [1] == numbers(cluster.running(batch))
        await cluster.advance(5.1)
        assert [0, 1] == numbers(cluster.running(batch))
        assert 3 == len(cluster.tasks(batch))


async def test_a_completed_task_is_not_restarted_even_on_any_end():
    async with Cluster() as cluster:
        cluster.behaviour = lambda task: State.COMPLETE
        await begin(cluster, batch := job(total=2, at_once=2, condition=Condition.ANY))
        await cluster.advance(60)
        assert 2 == len(cluster.tasks(batch))


async def test_what_is_given_up_does_not_keep_the_others_from_running():
    async with Cluster() as cluster:
        cluster.behaviour = lambda task: State.FAILED if task.slot == 0 else State.COMPLETE
        await begin(
            cluster,
            batch := job(
                total=3, at_once=1, condition=Condition.ANY, delay=times.duration(1), max_attempts=2
            ),
        )
        await cluster.advance(60)
        assert [1, 2] == numbers(done(cluster, batch))
        assert [0, 0, 0] == numbers(cluster.tasks(batch))[:3]
        assert 5 == len(cluster.tasks(batch))


async def test_a_new_iteration_starts_over_and_removes_what_still_runs():
    async with Cluster() as cluster:
        await begin(cluster, batch := job(total=2, at_once=2))
        await cluster.report(cluster.running(batch)[0], State.COMPLETE)
        await cluster.update(batch, lambda spec: setattr(spec.task, "force_update", 1))
        running = cluster.running(batch)
        assert [(0, 2), (1, 2)] == [(task.slot, task.job_iteration.index) for task in running]
        old = [task for task in cluster.tasks(batch) if task.job_iteration.index == 1]
        assert [State.COMPLETE, State.REMOVE] == [task.desired_state for task in old]


async def test_a_drained_node_keeps_a_jobs_running_task():
    async with Cluster() as cluster:
        await begin(cluster, node := builders.node(id="a"), batch := job(total=1, at_once=1))
        await cluster.change(
            node, lambda own: setattr(own.spec, "availability", Availability.DRAIN)
        )
        assert [0] == numbers(cluster.running(batch))


async def test_a_global_job_waits_on_a_node_for_the_task_that_stops_there_still():
    async with Cluster() as cluster:
        await begin(cluster, node := builders.node(id="a"), batch := global_job())
        cluster.stubborn.add(cluster.running(batch)[0].id)
        drain, active = Availability.DRAIN, Availability.ACTIVE
        await cluster.change(node, lambda own: setattr(own.spec, "availability", drain))
        await cluster.lead()  # who looks at every job, and so at this node
        await cluster.change(node, lambda own: setattr(own.spec, "availability", active))
        await cluster.lead()
        assert [State.READY] == [task.desired_state for task in cluster.wanted(batch)]
        cluster.stubborn.clear()
        await cluster.settle()
        assert cluster.wanted(batch) == cluster.running(batch)


async def test_tasks_of_a_removed_job_are_to_be_removed():
    async with Cluster() as cluster:
        await begin(cluster, batch := job())
        await cluster.delete(batch)
        assert {State.REMOVE} == {task.desired_state for task in cluster.tasks(batch)}


async def test_a_new_leader_goes_on_with_a_job():
    async with Cluster() as cluster:
        await begin(cluster, batch := job(total=4, at_once=2))
        await cluster.stop()
        await cluster.report(cluster.running(batch)[0], State.FAILED)
        await cluster.report(cluster.running(batch)[0], State.COMPLETE)
        cluster.behaviour = lambda task: State.COMPLETE
        await cluster.lead()
        await cluster.advance(60)
        assert [0, 1, 2, 3] == numbers(done(cluster, batch))


async def test_a_global_job_runs_once_on_each_node_that_is_there():
    async with Cluster() as cluster:
        cluster.behaviour = lambda task: State.COMPLETE
        paused = builders.node(id="p", availability=Availability.PAUSE)
        await begin(
            cluster, builders.node(id="a"), builders.node(id="b"), paused, batch := global_job()
        )
        await cluster.create(builders.node(id="later"))
        await cluster.advance(60)
        assert ["a", "b"] == [task.node_id for task in cluster.tasks(batch)]


async def test_a_global_jobs_failed_task_is_restarted_on_its_node():
    async with Cluster() as cluster:
        await begin(cluster, builders.node(id="a"), batch := global_job())
        await cluster.report(cluster.running(batch)[0], State.FAILED)
        await cluster.advance(5.1)
        assert ["a"] == [task.node_id for task in cluster.running(batch)]


async def test_a_global_jobs_new_iteration_removes_all_of_the_old():
    async with Cluster() as cluster:
        cluster.behaviour = lambda task: State.COMPLETE
        await begin(cluster, builders.node(id="a"), batch := global_job())
        await cluster.update(batch, lambda spec: setattr(spec.task, "force_update", 1))
        old, new = sorted(cluster.tasks(batch), key=lambda task: task.job_iteration.index)
        assert State.REMOVE == old.desired_state
        assert (2, State.COMPLETE) == (new.job_iteration.index, new.status.state)


async def test_a_global_job_meets_constraints():
    async with Cluster() as cluster:
        batch = global_job()
        batch.spec.task.placement.constraints.append("node.labels.zone==a")
        await begin(
            cluster, builders.node(id="in", labels={"zone": "a"}), builders.node(id="out"), batch
        )
        assert ["in"] == [task.node_id for task in cluster.tasks(batch)]
