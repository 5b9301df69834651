"""When a service counts as what it was asked to be."""

from typing import Any

from swarmd import api
from swarmd.ctl.judge import Verdict, judge

State = api.TaskState
Condition = api.RestartPolicy.RestartCondition
Update = api.UpdateStatus.UpdateState


def service(
    replicas: int = 2, state: Update.ValueType | None = None, message: str = ""
) -> api.Service:
    one = api.Service(id="s", spec_version=api.Version(index=7))
    one.spec.replicated.replicas = replicas
    if state is not None:
        one.update_status.state = state
        one.update_status.message = message
    return one


def task(
    slot: int, state: State.ValueType = State.RUNNING, err: str = "", version: int = 7, at: int = 1
) -> api.Task:
    desired = State.RUNNING if state <= State.RUNNING else State.SHUTDOWN
    one = api.Task(slot=slot, desired_state=desired, spec_version=api.Version(index=version))
    one.status.state, one.status.err = state, err
    one.status.timestamp.seconds = at
    return one


def verdict(one: api.Service, *tasks: api.Task, nodes: int = 1) -> Verdict:
    return judge(one, tasks, nodes).verdict


def test_all_replicas_running_is_converged():
    assert Verdict.CONVERGED == verdict(service(), task(1), task(2))


def test_a_missing_or_starting_replica_is_waited_for():
    assert Verdict.WAITING == verdict(service(), task(1))
    assert Verdict.WAITING == verdict(service(), task(1), task(2, State.STARTING))


def test_an_old_task_that_still_runs_is_waited_for():
    assert Verdict.WAITING == verdict(service(), task(1), task(2), task(2, version=6))


def test_a_service_that_is_held_failed_for_that_reason():
    progress = judge(service(), [task(1, State.READY)], 1, held=["5 tasks ended alike"])
    assert (Verdict.FAILED, ("5 tasks ended alike",)) == (progress.verdict, progress.reasons)


def test_an_update_in_progress_is_waited_for():
    assert Verdict.WAITING == verdict(service(state=Update.UPDATING), task(1), task(2))
    assert Verdict.CONVERGED == verdict(service(state=Update.COMPLETED), task(1), task(2))


def test_a_paused_update_failed_with_its_message():
    progress = judge(service(state=Update.PAUSED, message="update paused"), [task(1)], 1)
    assert (Verdict.FAILED, ("update paused",)) == (progress.verdict, progress.reasons)


def test_a_rolled_back_update_failed():
    done = service(state=Update.ROLLBACK_COMPLETED)
    assert Verdict.FAILED == verdict(done, task(1), task(2))


def test_a_service_that_goes_back_as_told_is_converged_then():
    done = service(state=Update.ROLLBACK_COMPLETED)
    assert Verdict.CONVERGED == judge(done, [task(1), task(2)], 1, goes_back=True).verdict


def job(total: int = 2, *, restart: Any = None) -> api.Service:
    one = api.Service(id="j")
    one.spec.replicated_job.total_completions = total
    one.job_status.job_iteration.index = 3
    one.spec.task.restart.CopyFrom(restart or api.RestartPolicy(condition=Condition.ON_FAILURE))
    return one


def run(slot: int, state: State.ValueType, err: str = "", iteration: int = 3) -> api.Task:
    one = api.Task(slot=slot, desired_state=State.COMPLETE)
    one.job_iteration.index = iteration
    one.status.state, one.status.err = state, err
    return one


def test_a_job_is_done_when_all_of_this_run_are_complete():
    done = [run(slot, State.COMPLETE) for slot in (0, 1)]
    before = [run(slot, State.COMPLETE, iteration=2) for slot in (0, 1)]
    assert Verdict.CONVERGED == verdict(job(), *done)
    assert Verdict.WAITING == verdict(job(), *before, done[0])
    assert (1, 2, "complete") == (
        (progress := judge(job(), [done[0]], 1)).done,
        progress.wanted,
        progress.what,
    )


def test_a_global_job_is_done_when_it_ran_on_each_node():
    everywhere = api.Service(id="j")
    everywhere.spec.global_job.SetInParent()
    done = run(0, State.COMPLETE, iteration=0)
    assert Verdict.WAITING == verdict(everywhere, nodes=0)
    assert Verdict.WAITING == verdict(everywhere, done, nodes=2)
    assert Verdict.CONVERGED == verdict(everywhere, done, nodes=1)


def test_a_job_whose_failed_task_is_not_restarted_failed():
    failed = run(0, State.FAILED, "exit 1")
    never = api.RestartPolicy(condition=Condition.NONE)
    once = api.RestartPolicy(condition=Condition.ON_FAILURE, max_attempts=1)
    assert Verdict.WAITING == verdict(job(), failed)
    assert Verdict.FAILED == verdict(job(restart=never), failed)
    assert Verdict.WAITING == verdict(job(restart=once), failed)
    assert Verdict.FAILED == verdict(job(restart=once), failed, failed)


def test_a_rejected_task_fails_the_service_with_its_reason():
    gone = task(1, State.REJECTED, "no such command")
    progress = judge(service(), [gone, task(2)], 1)
    assert (Verdict.FAILED, ("no such command",)) == (progress.verdict, progress.reasons)


def test_one_failure_is_no_crash_loop_and_three_are():
    failed = [task(1, State.FAILED, "exit 1", at=at) for at in (1, 2, 3)]
    assert Verdict.WAITING == verdict(service(), failed[0], task(2))
    assert Verdict.FAILED == verdict(service(), *failed, task(2))


def test_failures_of_an_older_spec_do_not_count():
    failed = [task(1, State.FAILED, "exit 1", version=6, at=at) for at in (1, 2, 3)]
    assert Verdict.CONVERGED == verdict(service(), *failed, task(1), task(2))


def test_why_a_task_is_pending_is_told():
    waiting = task(1, State.PENDING, "no suitable node (insufficient resources on 1 node)")
    progress = judge(service(1), [waiting], 1)
    assert (waiting.status.err,) == progress.reasons


def test_no_replicas_are_converged_at_once():
    assert Verdict.CONVERGED == verdict(service(0))


def test_a_global_service_wants_a_task_on_each_node():
    everywhere = api.Service(id="s")
    getattr(everywhere.spec, "global").SetInParent()
    assert Verdict.WAITING == verdict(everywhere, task(0), nodes=2)
    assert Verdict.CONVERGED == verdict(everywhere, task(0), task(0), nodes=2)
