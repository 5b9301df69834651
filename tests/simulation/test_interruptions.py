"""Whatever comes in between, at each commit of an update, a rollback or a job's run, all ends well.

The simulation's invariants are checked at every commit, as always.
"""

from dataclasses import dataclass
from itertools import count

import pytest

from swarmd import api
from tests.simulation import interrupted
from tests.simulation.interrupted import (
    BAD,
    CHANGES,
    FAULTS,
    FIRST,
    ROLLBACK,
    SECOND,
    START_FIRST,
    Act,
    Interrupted,
    Spec,
    in_turn,
    roll_back,
    spec,
    update_to,
)

COMPLETED, ROLLED_BACK = "COMPLETED", "ROLLBACK_COMPLETED"
SOON, LATE = 2.0, 20.0  # in the middle of what was asked for before, and after it
OF_JOBS = {"", "ROLLBACK_STARTED"}  # that stays, as with SwarmKit: a job is run, not updated
End = tuple[str, str] | None


@dataclass(frozen=True)
class Change:
    """What is asked for, and how that ends where nothing comes in between."""

    given: Spec
    begin: Act
    end: End


STORIES = {
    "an update": Change(spec(), update_to(SECOND), (SECOND, COMPLETED)),
    "one that starts first": Change(
        spec(order=START_FIRST), update_to(SECOND), (SECOND, COMPLETED)
    ),
    "one of a global service": Change(spec("global"), update_to(SECOND), (SECOND, COMPLETED)),
    "one that fails": Change(spec(failure_action=ROLLBACK), update_to(BAD), (FIRST, ROLLED_BACK)),
    "a rollback of an update": Change(
        spec(), in_turn(SOON, update_to(SECOND), roll_back), (FIRST, ROLLED_BACK)
    ),
    "a rollback of a rollback": Change(
        spec(), in_turn(LATE, update_to(SECOND), roll_back, roll_back), (SECOND, ROLLED_BACK)
    ),
    "a new run of a job": Change(spec("job"), update_to(SECOND), (SECOND, "")),
}


EVERY = dict.fromkeys(STORIES, 3) | {"a rollback of an update": 6, "a rollback of a rollback": 15}
"""One of so many commits is tried: the first ones of several faults are not the same."""


def end_of(service: api.Service | None) -> End:
    """Its command, and what its update came to; None where it is gone."""
    if service is None:
        return None
    state = api.UpdateStatus.UpdateState.Name(service.update_status.state)
    (command,) = service.spec.task.container.command
    return command, state if service.HasField("update_status") else ""


def ends(story: Change, interruption: Act, first: int, every: int) -> list[End]:
    """How it ends with that at its `first` commit, at `every` commits after that, and so on."""
    found: list[End] = []
    for at in count(first, every):
        run = Interrupted(story.given, story.begin, interruption, at)
        assert run.run().violation is None, f"at commit {at}"
        if not run.reached:
            return found
        found.append(end_of(run.service))
    raise AssertionError


@pytest.mark.timeout(120)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("story", STORIES)
def test_a_fault_at_any_commit_changes_nothing_about_the_end(story: str, fault: str) -> None:
    change = STORIES[story]
    first = 1 + list(FAULTS).index(fault) % EVERY[story]
    found = ends(change, FAULTS[fault], first, EVERY[story])
    assert len(found) > 2
    assert {change.end} == set(found)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("story", STORIES)
def test_a_service_can_be_removed_at_any_commit(story: str) -> None:
    found = ends(STORIES[story], CHANGES["the service is removed"], 1, EVERY[story])
    assert found[0] is None


@pytest.mark.timeout(120)
@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("change", ["it is updated again", "it is rolled back"])
def test_another_change_at_any_commit_is_carried_out(story: str, change: str) -> None:
    told = {end and end[1] for end in ends(STORIES[story], CHANGES[change], 2, EVERY[story])}
    assert told <= (OF_JOBS if "job" in story else {COMPLETED, ROLLED_BACK})


@pytest.mark.parametrize("story", STORIES)
def test_each_change_ends_as_it_should_where_nothing_comes_in_between(story: str) -> None:
    change = STORIES[story]
    run = Interrupted(change.given, change.begin, interrupted.remove, at=10_000)
    assert run.run().violation is None
    assert change.end == end_of(run.service)
