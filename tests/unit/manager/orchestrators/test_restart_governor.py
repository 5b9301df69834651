"""A service whose tasks die everywhere alike is held, probed, and let go."""

from swarmd import api
from swarmd.api import breakers, services, times
from swarmd.api.protos.governor_pb2 import ListBreakersRequest, ResumeServiceRequest
from tests import builders
from tests.unit.manager.orchestrators.cluster import Cluster, State, runs
from workers.manager.orchestrators import restart_governor
from workers.manager.orchestrators.restart_api import RESUMED, GovernorApi
from workers.manager.orchestrators.restart_breaker import State as BreakerState

NODES = 3


def dies(task: api.Task) -> int:
    return State.FAILED


def service(replicas: int | None = 3, delay: float = 1.0, **fields):
    restart = api.RestartPolicy(
        condition=api.RestartPolicy.RestartCondition.ANY, delay=times.duration(delay)
    )
    spec = api.TaskSpec(container=builders.container(), restart=restart)
    return builders.service(replicas=replicas, task_spec=spec, **fields)


async def begin(cluster: Cluster, web: api.Service) -> None:
    await cluster.create(web, *(builders.node() for _ in range(NODES)))
    await cluster.lead()


def breaker(cluster: Cluster, web: api.Service):
    return cluster.store.view().breakers.get(web.id)


def is_held(cluster: Cluster, web: api.Service) -> bool:
    return breakers.is_open(breaker(cluster, web))


async def until_held(cluster: Cluster, web: api.Service) -> None:
    for _ in range(100):
        if is_held(cluster, web):
            return
        await cluster.advance(1)
    raise AssertionError("it is not held")


async def test_a_service_that_dies_everywhere_is_held_and_says_why():
    async with Cluster() as cluster:
        cluster.behaviour = dies
        web = service()
        await begin(cluster, web)
        await until_held(cluster, web)
        await cluster.settle()
        held = breaker(cluster, web)
        assert BreakerState.OPEN == held.state
        assert (3, held.failures >= 5) == (held.slots, True)
        assert [State.READY] * 3 == [task.desired_state for task in cluster.wanted(web)]


async def test_while_it_is_held_only_a_probe_starts_now_and_then():
    async with Cluster() as cluster:
        cluster.behaviour = dies
        web = service(replicas=50)
        await begin(cluster, web)
        await until_held(cluster, web)
        await cluster.settle()
        probes = set()
        for _ in range(600):
            await cluster.advance(1)
            probes.add(breaker(cluster, web).probe_task_id)
            assert sum(task.desired_state == State.RUNNING for task in cluster.wanted(web)) <= 1
        assert breaker(cluster, web).times_opened in range(4, 9)


async def test_a_probe_that_runs_lets_all_of_them_go():
    async with Cluster() as cluster:
        cluster.behaviour = dies
        web = service()
        await begin(cluster, web)
        await until_held(cluster, web)
        cluster.behaviour = runs
        await cluster.advance(120)
        held = breaker(cluster, web)
        assert (BreakerState.CLOSED, restart_governor.RAN_WELL) == (held.state, held.reason)
        assert 3 == len(cluster.running(web))


async def test_one_slot_that_dies_among_others_that_run_is_no_reason():
    async with Cluster() as cluster:
        cluster.behaviour = lambda task: State.FAILED if task.slot == 2 else State.RUNNING
        web = service()
        await begin(cluster, web)
        await cluster.advance(900)
        assert not is_held(cluster, web)


async def test_a_global_service_is_held_too():
    async with Cluster() as cluster:
        cluster.behaviour = dies
        web = service(replicas=None)
        await begin(cluster, web)
        await until_held(cluster, web)
        assert NODES == breaker(cluster, web).nodes


async def test_an_update_lets_it_go_and_runs_as_any_other():
    async with Cluster() as cluster:
        cluster.behaviour = dies
        web = service()
        await begin(cluster, web)
        await until_held(cluster, web)
        cluster.behaviour = runs
        web = await cluster.update(web, lambda spec: spec.task.container.env.append("A=1"))
        await cluster.advance(30)
        assert not is_held(cluster, web)
        assert restart_governor.UPDATED == breaker(cluster, web).reason
        assert 3 == len(cluster.running(web))
        assert api.UpdateStatus.UpdateState.COMPLETED == cluster.get(web).update_status.state


async def test_an_update_that_fails_is_paused_and_not_held():
    async with Cluster() as cluster:
        web = service()
        await begin(cluster, web)
        await cluster.advance(120)
        cluster.behaviour = lambda task: (
            State.RUNNING if not task.spec.container.env else dies(task)
        )
        web = await cluster.update(web, lambda spec: spec.task.container.env.append("A=1"))
        await cluster.advance(600)
        assert services.update_paused(cluster.get(web))
        assert not is_held(cluster, web)


async def test_a_new_leader_holds_on_and_goes_on_counting():
    async with Cluster() as cluster:
        cluster.behaviour = dies
        web = service()
        await begin(cluster, web)
        await until_held(cluster, web)
        before = breaker(cluster, web)
        await cluster.lead()
        assert before == breaker(cluster, web)
        await cluster.advance(600)
        assert breaker(cluster, web).times_opened > before.times_opened


async def test_a_change_of_leader_between_failures_does_not_hide_them():
    async with Cluster() as cluster:
        cluster.behaviour = dies
        web = service(replicas=1)
        await begin(cluster, web)
        for _ in range(100):
            await cluster.advance(1)
            await cluster.lead()
        assert is_held(cluster, web)


async def test_resuming_starts_what_waits_at_once():
    async with Cluster() as cluster:
        cluster.behaviour = dies
        web = service()
        await begin(cluster, web)
        await until_held(cluster, web)
        await cluster.settle()
        cluster.behaviour = runs
        governor = GovernorApi(cluster.store, cluster.clock)
        listed = await governor.ListBreakers(ListBreakersRequest(), None)
        assert [web.id] == [one.id for one in listed.breakers]
        reply = await governor.ResumeService(ResumeServiceRequest(service_id=web.id), None)
        await cluster.settle()
        assert (True, 3) == (reply.was_held, reply.started)
        assert 3 == len(cluster.running(web))
        assert RESUMED == breaker(cluster, web).reason
        again = await governor.ResumeService(ResumeServiceRequest(service_id=web.id), None)
        assert (False, 0) == (again.was_held, again.started)


async def test_tasks_that_are_added_while_it_is_held_wait_as_well():
    async with Cluster() as cluster:
        cluster.behaviour = dies
        web = service()
        await begin(cluster, web)
        await until_held(cluster, web)
        await cluster.settle()
        gone = cluster.wanted(web)[0]
        await cluster.delete(gone)
        assert [State.READY] * 3 == [task.desired_state for task in cluster.wanted(web)]


async def test_a_probe_that_is_taken_away_is_followed_by_another():
    async with Cluster() as cluster:
        cluster.behaviour = dies
        web = service()
        await begin(cluster, web)
        await until_held(cluster, web)
        cluster.behaviour = lambda task: State.STARTING
        await cluster.advance(60)
        assert BreakerState.PROBING == breaker(cluster, web).state
        first = breaker(cluster, web)
        await cluster.delete(api.Task(id=first.probe_task_id))
        second = breaker(cluster, web)
        assert BreakerState.PROBING == second.state
        assert first.probe_task_id != second.probe_task_id
        assert first.times_opened == second.times_opened


async def test_the_breaker_goes_with_its_service():
    async with Cluster() as cluster:
        cluster.behaviour = dies
        web = service()
        await begin(cluster, web)
        await until_held(cluster, web)
        await cluster.delete(web)
        assert breaker(cluster, web) is None
