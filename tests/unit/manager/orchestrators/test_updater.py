from swarmd import api
from swarmd.api import times
from tests import builders
from tests.unit.manager.orchestrators.cluster import Cluster, State

Action = api.UpdateConfig.FailureAction
Availability = api.NodeSpec.Availability
Order = api.UpdateConfig.UpdateOrder
Update = api.UpdateStatus.UpdateState


def config(parallelism=1, delay=0.0, monitor=0.0, **fields):
    return api.UpdateConfig(
        parallelism=parallelism,
        delay=times.duration(delay),
        monitor=times.duration(monitor),
        **fields,
    )


def image(name):
    def edit(spec):
        spec.task.container.image = name

    return edit


def images(found):
    return sorted(task.spec.container.image for task in found)


def service(replicas=4, update=None, rollback=None, **fields):
    built = builders.service(replicas=replicas, **fields)
    built.spec.update.CopyFrom(update or config())
    if rollback is not None:
        built.spec.rollback.CopyFrom(rollback)
    return built


def fails(name):
    return lambda task: State.FAILED if task.spec.container.image == name else State.RUNNING


async def begin(cluster, web):
    await cluster.create(web)
    await cluster.lead()


async def test_an_update_replaces_every_task_and_tells_of_its_progress():
    async with Cluster() as cluster:
        await begin(cluster, web := service())
        await cluster.update(web, image("new"))
        assert ["new"] * 4 == images(cluster.running(web))
        status = cluster.get(web).update_status
        assert (Update.COMPLETED, "update completed") == (status.state, status.message)
        assert status.HasField("started_at")
        assert status.HasField("completed_at")
        assert {1} == set(cluster.most_running.values())


async def test_one_slot_at_a_time_with_the_delay_between():
    async with Cluster() as cluster:
        await begin(cluster, web := service(3, config(delay=10)))
        await cluster.update(web, image("new"))
        assert ["host", "host", "new"] == images(cluster.running(web))
        status = cluster.get(web).update_status
        assert (Update.UPDATING, "update in progress") == (status.state, status.message)
        await cluster.advance(9.9)
        assert ["host", "host", "new"] == images(cluster.running(web))
        await cluster.advance(0.2)
        assert ["host", "new", "new"] == images(cluster.running(web))
        await cluster.advance(10)
        assert ["new"] * 3 == images(cluster.running(web))
        assert Update.COMPLETED == cluster.get(web).update_status.state


async def test_as_many_slots_at_once_as_the_parallelism_says():
    async with Cluster() as cluster:
        await begin(cluster, web := service(5, config(parallelism=2, delay=10)))
        await cluster.update(web, image("new"))
        assert 2 == images(cluster.running(web)).count("new")
        await cluster.advance(10)
        assert 4 == images(cluster.running(web)).count("new")


async def test_a_parallelism_of_zero_is_all_at_once():
    async with Cluster() as cluster:
        await begin(cluster, web := service(5, config(parallelism=0, delay=100)))
        await cluster.update(web, image("new"))
        assert ["new"] * 5 == images(cluster.running(web))


async def test_only_the_end_waits_for_the_monitor_period():
    async with Cluster() as cluster:
        await begin(cluster, web := service(3, config(monitor=20)))
        await cluster.update(web, image("new"))
        assert ["new"] * 3 == images(cluster.running(web))
        await cluster.advance(19.9)
        assert Update.UPDATING == cluster.get(web).update_status.state
        await cluster.advance(0.2)
        assert Update.COMPLETED == cluster.get(web).update_status.state


async def test_start_first_keeps_the_old_task_until_the_new_one_runs():
    async with Cluster() as cluster:
        await begin(cluster, web := service(1, config(order=Order.START_FIRST)))
        cluster.behaviour = lambda task: (
            State.STARTING if task.spec.container.image == "new" else State.RUNNING
        )
        await cluster.update(web, image("new"))
        assert ["host"] == images(cluster.running(web))
        assert ["host", "new"] == images(cluster.wanted(web))
        cluster.behaviour = lambda task: State.RUNNING
        await cluster.settle()
        assert ["new"] == images(cluster.running(web))
        assert ["new"] == images(cluster.wanted(web))


async def test_a_slot_never_has_more_than_two_tasks_however_often_it_starts_first():
    async with Cluster() as cluster:
        cluster.behaviour = lambda task: (
            State.RUNNING if task.spec.container.image == "host" else State.PREPARING
        )
        await begin(cluster, web := service(1, config(order=Order.START_FIRST)))
        await cluster.update(web, image("stuck"))
        await cluster.update(web, image("stuck too"))
        assert ["host", "stuck too"] == images(cluster.wanted(web))


async def test_stop_first_waits_for_the_old_task_to_stop():
    async with Cluster() as cluster:
        await cluster.create(builders.node())
        await begin(cluster, web := service(1))
        cluster.stubborn = {cluster.running(web)[0].id}
        await cluster.update(web, image("new"))
        assert ["host"] == images(cluster.running(web))
        cluster.stubborn = set()
        await cluster.settle()
        assert ["new"] == images(cluster.running(web))
        assert {1} == set(cluster.most_running.values())


async def test_a_failure_pauses_the_update_and_names_the_task():
    async with Cluster() as cluster:
        await begin(cluster, web := service(4, config(monitor=5)))
        cluster.behaviour = fails("bad")
        await cluster.update(web, image("bad"))
        status = cluster.get(web).update_status
        assert Update.PAUSED == status.state
        reason = "update paused due to failure or early termination of task "
        assert status.message.startswith(reason)
        assert (
            "bad"
            == cluster.store.view()
            .tasks.get(status.message.removeprefix(reason))
            .spec.container.image
        )
        await cluster.advance(600)
        assert 3 == images(cluster.running(web)).count("host")


async def test_a_paused_update_goes_on_with_the_next_change():
    async with Cluster() as cluster:
        await begin(cluster, web := service(2))
        cluster.behaviour = fails("bad")
        await cluster.update(web, image("bad"))
        await cluster.update(web, image("good"))
        assert ["good"] * 2 == images(cluster.running(web))
        assert Update.COMPLETED == cluster.get(web).update_status.state


async def test_an_update_that_goes_on_replaces_all_in_spite_of_failures():
    async with Cluster() as cluster:
        await begin(cluster, web := service(3, config(failure_action=Action.CONTINUE)))
        cluster.behaviour = fails("bad")
        await cluster.update(web, image("bad"))
        assert [] == cluster.running(web)
        assert Update.COMPLETED == cluster.get(web).update_status.state


async def test_failures_up_to_the_ratio_are_tolerated():
    async with Cluster() as cluster:
        await begin(cluster, web := service(10, config(max_failure_ratio=0.2)))
        broken = {1, 2}
        cluster.behaviour = lambda task: (
            State.FAILED
            if task.spec.container.image == "new" and task.slot in broken
            else State.RUNNING
        )
        await cluster.update(web, image("new"))
        assert Update.COMPLETED == cluster.get(web).update_status.state


async def test_one_failure_more_than_the_ratio_is_not():
    async with Cluster() as cluster:
        await begin(cluster, web := service(10, config(max_failure_ratio=0.19)))
        cluster.behaviour = lambda task: (
            State.FAILED
            if task.spec.container.image == "new" and task.slot in {1, 2}
            else State.RUNNING
        )
        await cluster.update(web, image("new"))
        assert Update.PAUSED == cluster.get(web).update_status.state


async def test_a_failure_after_the_monitor_period_does_not_count():
    async with Cluster() as cluster:
        await begin(cluster, web := service(3, config(delay=30, monitor=5)))
        await cluster.update(web, image("new"))
        await cluster.advance(6)
        (first,) = [t for t in cluster.running(web) if t.spec.container.image == "new"]
        await cluster.report(first, State.FAILED)
        assert Update.UPDATING == cluster.get(web).update_status.state


async def test_a_failure_within_the_monitor_period_counts():
    async with Cluster() as cluster:
        await begin(cluster, web := service(3, config(delay=30, monitor=5)))
        await cluster.update(web, image("new"))
        await cluster.advance(4)
        (first,) = [t for t in cluster.running(web) if t.spec.container.image == "new"]
        await cluster.report(first, State.FAILED)
        assert Update.PAUSED == cluster.get(web).update_status.state


async def test_a_failed_update_is_rolled_back_with_the_rollbacks_own_config():
    async with Cluster() as cluster:
        web = service(
            4,
            config(failure_action=Action.ROLLBACK, monitor=5),
            config(parallelism=0),
        )
        await begin(cluster, web)
        cluster.behaviour = fails("bad")
        await cluster.update(web, image("bad"))
        now = cluster.get(web)
        assert ["host"] * 4 == images(cluster.running(web))
        assert Update.ROLLBACK_COMPLETED == now.update_status.state
        assert "rollback completed" == now.update_status.message
        assert not now.HasField("previous_spec")
        assert 1 == now.spec_version.index


async def test_the_message_of_a_rollback_names_the_task_that_failed():
    async with Cluster() as cluster:
        web = service(2, config(failure_action=Action.ROLLBACK), config(monitor=60))
        await begin(cluster, web)
        cluster.behaviour = fails("bad")
        await cluster.update(web, image("bad"))
        status = cluster.get(web).update_status
        assert Update.ROLLBACK_STARTED == status.state
        reason = "update rolled back due to failure or early termination of task "
        assert status.message.startswith(reason)


async def test_a_rollback_is_never_rolled_back():
    async with Cluster() as cluster:
        back = config(failure_action=Action.ROLLBACK, monitor=5)
        await begin(cluster, web := service(4, back, back))
        cluster.behaviour = lambda task: State.FAILED if cluster.wanted(web) else State.RUNNING
        await cluster.update(web, image("bad"))
        status = cluster.get(web).update_status
        assert Update.ROLLBACK_PAUSED == status.state
        reason = "rollback paused due to failure or early termination of task "
        assert status.message.startswith(reason)


async def test_without_a_previous_spec_a_failed_update_is_paused():
    async with Cluster() as cluster:
        await begin(cluster, web := service(2, config(failure_action=Action.ROLLBACK)))
        cluster.behaviour = fails("bad")
        await cluster.stop()
        changed = await cluster.update(web, image("bad"))
        await cluster.change(changed, lambda own: own.ClearField("previous_spec"))
        await cluster.lead()
        assert Update.PAUSED == cluster.get(web).update_status.state


async def test_another_leader_goes_on_where_the_first_one_stopped():
    async with Cluster() as cluster:
        await begin(cluster, web := service(4, config(delay=10, monitor=3)))
        await cluster.update(web, image("new"))
        await cluster.advance(4)
        await cluster.lead()
        assert 1 == images(cluster.running(web)).count("new")
        await cluster.advance(6.1)
        assert 2 == images(cluster.running(web)).count("new")
        await cluster.lead()
        await cluster.advance(30)
        assert ["new"] * 4 == images(cluster.running(web))
        assert Update.COMPLETED == cluster.get(web).update_status.state
        assert {1} == set(cluster.most_running.values())


async def test_another_leader_counts_the_failures_of_the_first():
    async with Cluster() as cluster:
        await begin(cluster, web := service(10, config(delay=10, max_failure_ratio=0.1)))
        cluster.behaviour = fails("bad")
        await cluster.update(web, image("bad"))
        await cluster.lead()
        assert Update.UPDATING == cluster.get(web).update_status.state
        await cluster.advance(10.1)
        assert Update.PAUSED == cluster.get(web).update_status.state


async def test_a_new_update_takes_the_place_of_the_one_under_way():
    async with Cluster() as cluster:
        await begin(cluster, web := service(3, config(delay=10)))
        await cluster.update(web, image("second"))
        await cluster.update(web, image("third"))
        assert ["host", "host", "third"] == images(cluster.running(web))
        await cluster.advance(25)
        assert ["third"] * 3 == images(cluster.running(web))


async def test_scaling_down_during_an_update_does_not_bring_tasks_back():
    async with Cluster() as cluster:
        await begin(cluster, web := service(4, config(delay=10)))
        await cluster.update(web, image("new"))
        await cluster.change(web, lambda own: setattr(own.spec.replicated, "replicas", 2))
        await cluster.advance(60)
        assert ["new", "new"] == images(cluster.running(web))
        assert ["new", "new"] == images(cluster.wanted(web))


async def test_tasks_added_by_an_update_that_scales_up_do_not_hold_it_up():
    async with Cluster() as cluster:
        await begin(cluster, web := service(2))
        cluster.behaviour = lambda task: State.PENDING if task.slot > 2 else State.RUNNING

        def more(spec):
            spec.task.container.image = "new"
            spec.replicated.replicas = 5

        await cluster.update(web, more)
        assert ["new", "new"] == images(cluster.running(web))
        assert Update.COMPLETED == cluster.get(web).update_status.state


async def test_what_changes_no_task_replaces_none():
    async with Cluster() as cluster:
        await cluster.create(builders.node(labels={"zone": "a"}))
        await begin(cluster, web := service(2))
        before = [task.id for task in cluster.running(web)]

        def edit(spec):
            spec.annotations.labels["tier"] = "front"
            spec.task.placement.max_replicas = 7
            spec.task.placement.constraints.append("node.labels.zone==a")
            spec.task.placement.preferences.add().spread.spread_descriptor = "node.labels.zone"

        await cluster.update(web, edit)
        assert before == [task.id for task in cluster.running(web)]
        assert not cluster.get(web).HasField("update_status")


async def test_a_forced_update_replaces_tasks_that_are_the_same():
    async with Cluster() as cluster:
        await begin(cluster, web := service(2))
        before = {task.id for task in cluster.running(web)}
        await cluster.update(web, lambda spec: setattr(spec.task, "force_update", 1))
        assert not before & {task.id for task in cluster.running(web)}


async def test_a_task_that_restarts_during_an_update_has_the_new_spec_at_once():
    async with Cluster() as cluster:
        await begin(cluster, web := service(3, config(delay=60)))
        await cluster.update(web, image("new"))
        old = [task for task in cluster.running(web) if task.spec.container.image == "host"]
        await cluster.report(old[-1], State.FAILED)
        await cluster.advance(5.1)
        assert ["host", "new", "new"] == images(cluster.running(web))


async def test_a_global_service_is_updated_node_by_node():
    async with Cluster() as cluster:
        await cluster.create(*(builders.node(id=name) for name in "abc"))
        await begin(cluster, web := service(None, config(delay=10)))
        await cluster.update(web, image("new"))
        assert ["host", "host", "new"] == images(cluster.running(web))
        await cluster.advance(25)
        assert ["new"] * 3 == images(cluster.running(web))
        assert {"a", "b", "c"} == {task.node_id for task in cluster.running(web)}
        assert {1} == set(cluster.most_running.values())


async def test_a_paused_node_keeps_the_old_task_until_it_is_active_again():
    async with Cluster() as cluster:
        await cluster.create(*(builders.node(id=name) for name in "ab"))
        await begin(cluster, web := service(None, config(delay=10)))
        paused = cluster.store.view().nodes.get("a")
        await cluster.change(paused, lambda n: setattr(n.spec, "availability", Availability.PAUSE))
        await cluster.update(web, image("new"))
        await cluster.advance(60)
        assert ["host", "new"] == images(cluster.running(web))
        await cluster.change(paused, lambda n: setattr(n.spec, "availability", Availability.ACTIVE))
        assert ["new", "new"] == images(cluster.running(web))
