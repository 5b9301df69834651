import itertools

import pytest

from swarmd.supervision.phases import MOVES, Event, InvalidMoveError, Phase, after

LEGAL = [(phase, event, then) for phase, moves in MOVES.items() for event, then in moves.items()]
ILLEGAL = [pair for pair in itertools.product(Phase, Event) if pair[1] not in MOVES[pair[0]]]


def test_the_table_is_complete():
    assert set(Phase) == set(MOVES)


@pytest.mark.parametrize(("phase", "event", "then"), LEGAL)
def test_a_legal_move_leads_where_the_table_says(phase, event, then):
    assert then is after(phase, event)


@pytest.mark.parametrize(("phase", "event"), ILLEGAL)
def test_what_is_absent_is_impossible(phase, event):
    with pytest.raises(InvalidMoveError, match=f"{event.name} cannot come in {phase.name}"):
        after(phase, event)


def test_every_phase_can_be_reached():
    reached, last = {Phase.STOPPED}, set()
    while reached != last:
        last = set(reached)
        reached |= {then for phase, _, then in LEGAL if phase in last}
    assert set(Phase) == reached


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.RUNNING, Phase.BACKOFF])
def test_a_stop_ends_every_phase_that_has_an_end(phase):
    assert after(phase, Event.STOP) in {Phase.STOPPING, Phase.STOPPED}


def test_the_words_are_supervisords():
    assert "STOPPED STARTING RUNNING BACKOFF STOPPING EXITED FATAL" == " ".join(Phase)
