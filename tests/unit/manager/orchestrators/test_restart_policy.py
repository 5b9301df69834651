from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from swarmd import api
from swarmd.api import tasks, times
from tests import builders
from workers.manager.orchestrators import restart_policy
from workers.manager.orchestrators.restart_policy import Restart

Condition = api.RestartPolicy.RestartCondition
State = api.TaskState
NEVER_MADE = Restart()


def ended(service, state=State.FAILED, after=1.0, restart=NEVER_MADE, created=1000.0):
    """A task that ended so long after its start."""
    task = builders.task(service, state=state)
    task.meta.created_at.CopyFrom(times.timestamp(created))
    if restart.attempt:
        restart_policy.mark(task, restart)
    end = created + restart.delay_seconds + after
    task.status.applied_at.CopyFrom(times.timestamp(end))
    return task


def service(**policy):
    spec = api.TaskSpec(container=builders.container())
    if policy:
        spec.restart.MergeFrom(api.RestartPolicy(**policy))
    return builders.service(task_spec=spec)


def job():
    built = builders.service()
    built.spec.replicated_job.total_completions = 1
    return built


def restarted(web, state, slot=()):
    task = ended(web, state)
    return restart_policy.is_restarted(task, web, [*slot, task])


def test_without_a_policy_any_end_is_restarted():
    assert restarted(service(), State.COMPLETE)
    assert restarted(service(), State.FAILED)


def test_a_policy_without_a_condition_restarts_nothing():
    assert not restarted(service(delay=times.duration(1)), State.FAILED)


def test_on_failure_leaves_what_completed():
    web = service(condition=Condition.ON_FAILURE)
    assert not restarted(web, State.COMPLETE)
    assert restarted(web, State.REJECTED)


def test_a_jobs_completed_task_is_never_restarted():
    assert not restarted(job(), State.COMPLETE)
    assert restarted(job(), State.FAILED)


def test_attempts_are_counted_from_the_slots_first_task():
    web = service(condition=Condition.ANY, max_attempts=2)
    fresh, second = ended(web), ended(web, restart=Restart(2, 0, 0))
    assert restart_policy.is_restarted(fresh, web, [fresh])
    assert not restart_policy.is_restarted(second, web, [fresh, second])


def test_only_restarts_in_the_window_count():
    web = service(condition=Condition.ANY, max_attempts=1, window=times.duration(30))
    old = ended(web, created=100, restart=Restart(1, 0, 0))
    new = ended(web, created=200, restart=Restart(2, 0, 0), after=100)
    assert restart_policy.is_restarted(new, web, [old, new])
    soon = ended(web, created=200, restart=Restart(2, 0, 0), after=10)
    assert not restart_policy.is_restarted(soon, web, [old, soon])


def test_a_new_version_begins_to_count_anew():
    web = service(condition=Condition.ANY)
    task = ended(web, restart=Restart(4, 4, 20))
    web.spec_version.index += 1
    following = restart_policy.next_restart(task, web, None, Random(0))
    assert Restart(1, 1, 5) == following


def test_a_replacement_tells_how_it_came_to_be():
    task = builders.task()
    restart_policy.mark(task, Restart(4, 4, 20.25))
    assert Restart(4, 4, 20.25) == restart_policy.of(task)
    assert "created: restart 4 in 20 s (crash-looping)" == task.status.message
    assert Restart() == restart_policy.of(builders.task())


def test_an_ordinary_restart_is_no_news():
    task = builders.task()
    restart_policy.mark(task, Restart(9, 1, 5))
    assert "created" == task.status.message


def test_who_lost_its_node_need_not_wait():
    web = service()
    running = ended(web, State.RUNNING)
    drained = builders.node(availability=api.NodeSpec.Availability.DRAIN)
    down = builders.node(state=api.NodeStatus.State.DOWN)
    for node in (drained, down):
        assert 0 == restart_policy.next_restart(running, web, node, Random(0)).delay_seconds


def test_what_ran_well_or_completed_was_no_failure():
    web, loop = service(), Restart(7, 7, 100)
    completed = ended(web, State.COMPLETE, restart=loop)
    well = ended(web, after=101, restart=loop)
    for task in (completed, well):
        assert Restart(8, 0, 5) == restart_policy.next_restart(task, web, None, Random(0))


def test_who_died_with_its_host_is_no_nearer_to_a_crash_loop():
    web, loop = service(), Restart(4, 1, 5)
    task = ended(web, restart=loop)
    task.status.err = tasks.gone(task.id)
    assert Restart(5, 1, 5) == restart_policy.next_restart(task, web, None, Random(0))


def test_a_rejected_task_did_not_run_however_long_it_took():
    web = service()
    task = ended(web, State.REJECTED, after=4000, restart=Restart(1, 1, 5))
    assert 2 == restart_policy.next_restart(task, web, None, Random(0)).failures


def test_a_policy_that_limits_attempts_keeps_its_delay():
    web = service(condition=Condition.ANY, max_attempts=99, delay=times.duration(2))
    task = ended(web, restart=Restart(9, 9, 2))
    assert 2 == restart_policy.next_restart(task, web, None, Random(0)).delay_seconds


@given(
    asked=st.one_of(st.none(), st.floats(0, 1000)),
    failures=st.integers(0, 60),
    seed=st.integers(0, 999),
)
def test_a_delay_is_never_shorter_than_asked_nor_beyond_the_ceiling(asked, failures, seed):
    web = service()
    if asked is not None:
        web = service(condition=Condition.ANY, delay=times.duration(asked))
    asked = 5.0 if asked is None else asked
    task = ended(web, restart=Restart(failures + 1, failures, asked))
    following = restart_policy.next_restart(task, web, None, Random(seed))
    assert following.delay_seconds >= asked - 1e-6
    assert following.delay_seconds <= max(asked, restart_policy.CEILING_SECONDS) + 1e-6
    if following.failures <= restart_policy.PATIENCE:
        assert abs(asked - following.delay_seconds) < 1e-6


@given(st.integers(0, 999))
def test_a_crash_loop_slows_down_step_by_step(seed):
    web, random = service(), Random(seed)
    how, delays = Restart(), []
    for _ in range(12):
        how = restart_policy.next_restart(ended(web, restart=how), web, None, random)
        delays.append(how.delay_seconds)
    assert [5, 5] == delays[:2]
    assert all(later >= sooner for sooner, later in pairwise(delays[:7]))
    assert delays[-1] >= restart_policy.CEILING_SECONDS / 2


def test_a_slot_without_tasks_lacks_one():
    assert [] == restart_policy.filling([], service())


def test_what_is_to_be_removed_fills_nothing():
    web = service(condition=Condition.NONE)
    going = builders.task(web, state=State.RUNNING, desired_state=State.REMOVE)
    assert [] == restart_policy.filling([going], web)


def test_what_ended_for_good_fills_its_slot_but_not_in_a_rollback():
    web = service(condition=Condition.NONE)
    task = builders.task(web, state=State.FAILED, desired_state=State.SHUTDOWN)
    assert [task] == restart_policy.filling([task], web)
    web.update_status.state = api.UpdateStatus.UpdateState.ROLLBACK_STARTED
    assert [] == restart_policy.filling([task], web)
