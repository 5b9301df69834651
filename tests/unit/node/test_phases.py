import itertools

import pytest

from swarmd.node.phases import MOVES, NodeEvent, NodePhase, after
from swarmd.supervision.phases import InvalidMoveError

LEGAL = [(phase, event, then) for phase, moves in MOVES.items() for event, then in moves.items()]
ILLEGAL = [
    pair for pair in itertools.product(NodePhase, NodeEvent) if pair[1] not in MOVES[pair[0]]
]


def test_the_table_is_complete():
    assert set(NodePhase) == set(MOVES)


@pytest.mark.parametrize(("phase", "event", "then"), LEGAL)
def test_a_legal_move_leads_where_the_table_says(phase, event, then):
    assert then is after(phase, event)


@pytest.mark.parametrize(("phase", "event"), ILLEGAL)
def test_what_is_absent_is_impossible(phase, event):
    with pytest.raises(InvalidMoveError):
        after(phase, event)
