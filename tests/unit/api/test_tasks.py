from swarmd import api
from swarmd.api import tasks, times
from tests import builders

State = api.TaskState


def test_states_after_running_are_terminal():
    ended = [s for s in State.values() if tasks.is_terminal(builders.task(state=s))]
    assert [State.COMPLETE, State.SHUTDOWN, State.FAILED, State.REJECTED, State.REMOVE] == ended[:5]
    assert State.ORPHANED == ended[5]


def test_a_job_wants_its_task_to_complete():
    task = builders.task(desired_state=State.COMPLETE)
    assert not tasks.is_wanted(task)
    assert tasks.is_wanted_job(task)


def test_a_task_takes_resources_from_assigned_to_running():
    assert not tasks.is_assigned(builders.task(state=State.PENDING))
    assert tasks.is_assigned(builders.task(state=State.ASSIGNED))
    assert tasks.is_assigned(builders.task(state=State.RUNNING))
    assert not tasks.is_assigned(builders.task(state=State.COMPLETE))


def test_what_is_to_be_removed_goes_once_nothing_of_it_runs():
    def removable(state):
        return tasks.is_removable(builders.task(state=state, desired_state=State.REMOVE))

    assert removable(State.PENDING)
    assert not removable(State.ASSIGNED)
    assert not removable(State.RUNNING)
    assert removable(State.SHUTDOWN)
    assert not tasks.is_removable(builders.task(state=State.FAILED))


def test_a_task_that_no_node_has_and_nobody_wants_never_runs():
    unwanted = builders.task(state=State.PENDING, desired_state=State.SHUTDOWN)
    assert tasks.never_runs(unwanted)
    assert not tasks.never_runs(builders.task(state=State.PENDING))


def test_the_managers_clock_goes_before_the_agents():
    status = api.TaskStatus(timestamp=times.timestamp(100))
    assert 100 == tasks.since(api.Task(status=status))
    status.applied_at.CopyFrom(times.timestamp(90))
    assert 90 == tasks.since(api.Task(status=status))


def test_a_tasks_name_is_service_slot_and_id():
    web = builders.service("web")
    assert "web.3.t1" == tasks.name(builders.task(web, slot=3, id="t1"))
    assert "web.n1.t1" == tasks.name(builders.task(web, slot=0, node_id="n1", id="t1"))
    assert "given" == tasks.name(builders.task(web, annotations={"name": "given"}))


def test_an_unknown_state_is_named_by_its_number():
    assert "RUNNING" == tasks.state_name(State.RUNNING)
    assert "33" == tasks.state_name(33)
