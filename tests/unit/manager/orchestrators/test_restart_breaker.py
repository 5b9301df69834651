"""The breaker's rules: what counts, when it trips, and how it moves."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd import api
from swarmd.api import breakers, tasks, times
from swarmd.api.protos.governor_pb2 import Breaker
from tests import builders
from workers.manager.orchestrators import restart_breaker
from workers.manager.orchestrators.restart_breaker import TRIES, Death, Event, State, Streak

Condition = api.RestartPolicy.RestartCondition


def death(place=1, node="n1", way="exit code 3", at=1000.0, lived=1.0) -> Death:
    return Death(place, node, way, at, lived)


def streak(*deaths: Death) -> Streak:
    made = Streak(spec_version=1)
    for one in deaths:
        made.add(one)
    return made


def failed(service, exit_code=3, lived=1.0, **fields):
    task = builders.task(service, state=api.TaskState.FAILED, **fields)
    task.meta.created_at.CopyFrom(times.timestamp(1000))
    task.status.applied_at.CopyFrom(times.timestamp(1000 + lived))
    task.status.container.exit_code = exit_code
    return task


def service(labels=None, **policy):
    spec = api.TaskSpec(container=builders.container())
    if policy:
        spec.restart.MergeFrom(api.RestartPolicy(**policy))
    return builders.service(task_spec=spec, labels=labels)


POSSIBLE = {
    (State.CLOSED, Event.TRIPPED): State.OPEN,
    (State.OPEN, Event.HOLD_RAN): State.PROBING,
    (State.OPEN, Event.RUNS_WELL): State.CLOSED,
    (State.OPEN, Event.LET_GO): State.CLOSED,
    (State.PROBING, Event.PROBE_DIED): State.OPEN,
    (State.PROBING, Event.RUNS_WELL): State.CLOSED,
    (State.PROBING, Event.LET_GO): State.CLOSED,
}


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", State.values())
def test_every_move_is_in_the_table_or_impossible(state, event):
    if (state, event) in POSSIBLE:
        assert POSSIBLE[state, event] == restart_breaker.after(state, event)
    else:
        with pytest.raises(AssertionError, match="cannot be"):
            restart_breaker.after(state, event)


def test_from_every_state_a_service_can_be_let_go_or_already_is():
    held = [state for state in State.values() if state != State.CLOSED]
    assert {State.CLOSED} == {restart_breaker.after(state, Event.LET_GO) for state in held}


@pytest.mark.parametrize(
    ("slots", "wanted"), [(0, 0), (1, 1), (2, 2), (3, 3), (29, 3), (100, 10), (10_000, 1000)]
)
def test_few_slots_must_all_die_and_of_many_a_tenth(slots, wanted):
    assert wanted == restart_breaker.needed(slots)


def test_five_alike_deaths_in_the_only_slot_trip_it():
    assert not streak(*[death()] * (TRIES - 1)).trips(places=1, oldest_seconds=0)
    assert streak(*[death()] * TRIES).trips(places=1, oldest_seconds=0)


def test_deaths_in_one_of_three_slots_do_not_trip_it():
    assert not streak(*[death(place=1)] * 50).trips(places=3, oldest_seconds=0)


def test_a_task_that_outlived_the_dead_ones_keeps_it_closed():
    everywhere = streak(*[death(place=one % 3, lived=2.0) for one in range(9)])
    assert everywhere.trips(places=3, oldest_seconds=2.0)
    assert not everywhere.trips(places=3, oldest_seconds=2.1)


def test_a_death_of_another_way_begins_the_count_anew():
    mixed = streak(*[death()] * 4, death(way="exit code 1"), *[death()] * 4)
    assert (4, "exit code 3") == (mixed.count, mixed.way)
    assert not mixed.is_ripe


def test_deaths_that_are_far_apart_do_not_trip_it():
    assert not streak(*(death(at=1000.0 + 600 * one) for one in range(20))).is_ripe


def test_a_task_that_ran_well_ends_the_streak():
    web = service()
    made = restart_breaker.build(web, [failed(web, slot=one) for one in range(4)])
    assert 4 == made.count
    restart_breaker.note(made, failed(web, lived=100), web)
    assert (0, set()) == (made.count, made.places)


@pytest.mark.parametrize(
    ("exempt", "made"),
    [
        (True, service(delay=times.duration(1))),
        (False, service(condition=Condition.ANY)),
        (False, service(condition=Condition.ON_FAILURE)),
        (True, service(condition=Condition.NONE)),
        (True, service(condition=Condition.ANY, max_attempts=3)),
        (True, service(labels={"swarmd.breaker": "off"})),
    ],
    ids=("a policy without a condition", "any", "on failure", "none", "max attempts", "label"),
)
def test_a_policy_that_ends_by_itself_and_a_label_switch_it_off(exempt, made):
    assert exempt == restart_breaker.is_exempt(made)
    assert exempt == (not restart_breaker.counts(failed(made), made))


def test_jobs_are_not_held():
    job = builders.service()
    job.spec.replicated_job.total_completions = 1
    assert restart_breaker.is_exempt(job)


def test_failures_of_an_update_under_way_are_left_to_it():
    web = service()
    web.update_status.state = api.UpdateStatus.UpdateState.UPDATING
    assert not restart_breaker.counts(failed(web), web)


def test_what_another_spec_version_or_the_manager_itself_failed_does_not_count():
    web = service()
    old, enforced = failed(web), failed(web)
    old.spec_version.index = 99
    enforced.status.ClearField("applied_at")
    assert not restart_breaker.counts(old, web)
    assert not restart_breaker.counts(enforced, web)


def test_what_died_with_its_host_does_not_count():
    web = service()
    task = failed(web, exit_code=0)
    assert restart_breaker.counts(task, web)
    task.status.err = tasks.gone(task.id)
    assert not restart_breaker.counts(task, web)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("No such image: web:9", "No such image: web:9"),
        ("port 32768 is taken", "port 32801 is taken"),
        ("container 4f1c0a9b2c3d4e5f is gone", "container aaaabbbbcccc1111 is gone"),
    ],
)
def test_errors_that_differ_in_numbers_and_ids_are_alike(one, other):
    first, second = (restart_breaker.way_of(api.TaskStatus(err=text)) for text in (one, other))
    assert first == second


def test_exit_codes_tell_deaths_apart_whatever_the_error_says():
    web = service()
    ways = {restart_breaker.way_of(failed(web, exit_code=code).status) for code in (1, 1, 137)}
    assert {"exit code 1", "exit code 137"} == ways


@given(st.integers(1, 10_000), st.integers(0, 2**32))
def test_holds_begin_short_grow_and_end_at_five_minutes(times_opened, seed):
    seconds = restart_breaker.hold_seconds(times_opened, Random(seed))
    whole = min(300.0, 20.0 * 2 ** (min(times_opened, 64) - 1))
    assert whole / 2 <= seconds <= whole


_DEATHS = st.builds(
    death,
    place=st.integers(1, 4),
    node=st.sampled_from(["n1", "n2"]),
    way=st.sampled_from(["exit code 1", "exit code 2"]),
    at=st.floats(0, 10_000),
    lived=st.floats(0, 59),
)


@given(st.lists(_DEATHS, max_size=40), st.integers(0, 12), st.floats(0, 100))
def test_it_never_trips_on_less_than_enough_alike_deaths_in_a_row(deaths, places, oldest):
    ordered = sorted(deaths, key=lambda one: one.at)
    if streak(*ordered).trips(places, oldest):
        tail = ordered[-TRIES:]
        assert 1 == len({one.way for one in tail})
        assert tail[-1].at - tail[0].at <= restart_breaker.WINDOW_SECONDS
        assert oldest <= max(one.lived_seconds for one in ordered)


def test_it_says_what_it_holds_and_for_how_long():
    breaker = Breaker(
        state=State.OPEN, reason="exit code 3", failures=6, slots=3, nodes=1, spec_version=1
    )
    breaker.next_at.CopyFrom(times.timestamp(1040))
    assert (
        "held: 6 tasks in 3 slots on 1 node ended alike (exit code 3); next try in 40 s"
        == breakers.sentence(breaker, 1000)
    )
    breaker.state = State.CLOSED
    assert "" == breakers.sentence(breaker, 1000)
    assert "" == breakers.sentence(None, 1000)
