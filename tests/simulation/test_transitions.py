"""Every move of a task in the simulation is one of SwarmKit's model, or one that we can explain."""

import pytest

from swarmd import api
from tests.simulation.transitions import AGENT, BEYOND, MODEL, NEVER_HERE, chains, move

RARE = {("reaper", state, "none") for state in ("new", "pending", "rejected", "orphaned")}


def moves(summary):
    seen = {move(*transition) for transition in summary.transitions}
    return {one for one in seen if one[0] != "unknown"}  # a crash hid who it was


@pytest.mark.timeout(300)
def test_every_move_is_in_the_table_and_by_its_actor(summary):
    beyond = {(before, after) for actor, before, after in BEYOND if actor == "agent"}
    agents = {("agent", *pair) for pair in chains(frozenset(AGENT | beyond))}
    assert set() == moves(summary) - MODEL - BEYOND.keys() - agents


@pytest.mark.timeout(300)
def test_every_move_of_the_table_is_made_or_its_absence_explained(summary):
    seen = moves(summary)
    steps = {(before, after) for actor, before, after in seen if actor == "agent"}
    whole = chains(AGENT)

    def is_made(actor, before, after):
        """Itself, or as a part of a longer report."""
        if actor != "agent":
            return (actor, before, after) in seen
        return any(
            (a == before or (a, before) in whole) and (after == d or (after, d) in whole)
            for a, d in steps
        )

    never = {one for one in MODEL if not is_made(*one)}
    assert set() == never - NEVER_HERE.keys() - RARE


def test_no_state_of_the_model_goes_back():
    rank = {name.lower(): number for name, number in api.TaskState.items()}
    ordinary = [one for one in MODEL | BEYOND.keys() if "none" not in one[1:]]
    assert [] == [one for one in ordinary if rank[one[1]] >= rank[one[2]]]
