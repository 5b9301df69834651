"""The life of a task, as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd import api
from workers.agent.task_steps import STEPS, Call, after_failure, has_ended, next_step

S = api.TaskState
STATES = list(S.values())
HERE = [state for state in STATES if state <= S.REJECTED]  # what an agent can find itself at
states = st.sampled_from(STATES)
observable = st.sampled_from(HERE)


@pytest.mark.parametrize(
    ("observed", "call", "state", "message"),
    [
        (S.NEW, Call.NOTHING, S.ACCEPTED, "accepted"),
        (S.PENDING, Call.NOTHING, S.ACCEPTED, "accepted"),
        (S.ASSIGNED, Call.NOTHING, S.ACCEPTED, "accepted"),
        (S.ACCEPTED, Call.NOTHING, S.PREPARING, "preparing"),
        (S.PREPARING, Call.PREPARE, S.READY, "prepared"),
        (S.READY, Call.NOTHING, S.STARTING, "starting"),
        (S.STARTING, Call.START, S.RUNNING, "started"),
        (S.RUNNING, Call.WAIT, S.COMPLETE, "finished"),
    ],
)
def test_a_task_that_should_run_goes_one_step_on(observed, call, state, message) -> None:
    step = next_step(observed, S.RUNNING)
    assert step is not None
    assert (call, state, message) == (step.call, step.state, step.message)


def test_a_task_that_should_be_ready_is_prepared_and_no_more() -> None:
    assert Call.PREPARE == next_step(S.PREPARING, S.READY).call
    assert next_step(S.READY, S.READY) is None


def test_what_is_under_way_goes_on_at_the_desired_state() -> None:
    for observed in (S.PREPARING, S.STARTING, S.RUNNING):
        assert STEPS[observed] == next_step(observed, observed)


def test_a_job_runs_to_completion() -> None:
    assert Call.WAIT == next_step(S.RUNNING, S.COMPLETE).call
    assert next_step(S.COMPLETE, S.COMPLETE) is None


@given(observed=observable, desired=st.sampled_from([S.SHUTDOWN, S.REMOVE]))
def test_a_task_that_should_not_run_is_shut_down_unless_it_ended(observed, desired) -> None:
    step = next_step(observed, desired)
    if has_ended(observed):
        assert step is None
    else:
        assert (Call.SHUTDOWN, S.SHUTDOWN) == (step.call, step.state)


@given(observed=states, desired=states)
def test_states_only_move_forward(observed, desired) -> None:
    step = next_step(observed, desired)
    if step is not None:
        assert step.state > observed
        assert observed <= max(desired, S.RUNNING)
    assert after_failure(observed) >= observed


@given(observed=states, desired=states, failures=st.sets(st.sampled_from(list(Call))))
def test_every_task_comes_to_rest(observed, desired, failures) -> None:
    """Each step leads on, so there are no more of them than states; a failure ends it."""
    for _ in STATES:
        step = next_step(observed, desired)
        if step is None:
            break
        observed = after_failure(observed) if step.call in failures else step.state
    assert next_step(observed, desired) is None


@given(observed=observable, changes=st.lists(states, max_size=6))
def test_a_task_ends_wherever_its_desired_state_went(observed, changes) -> None:
    """Desired states rise; with SHUTDOWN at last, every task is at rest in an ended state."""
    for desired in [*sorted(changes), S.REMOVE]:
        while (step := next_step(observed, desired)) is not None:
            observed = step.state
    assert has_ended(observed)


@pytest.mark.parametrize("observed", [state for state in HERE if not has_ended(state)])
def test_a_failure_before_starting_rejects_and_after_it_fails(observed) -> None:
    expected = S.REJECTED if observed < S.STARTING else S.FAILED
    assert expected == after_failure(observed)


def test_an_ended_task_stays_as_it_ended() -> None:
    for observed in (S.COMPLETE, S.SHUTDOWN, S.FAILED, S.REJECTED):
        assert observed == after_failure(observed)
        assert all(next_step(observed, desired) is None for desired in STATES)
