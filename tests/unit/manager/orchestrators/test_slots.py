from hypothesis import given
from hypothesis import strategies as st

from swarmd import api
from tests import builders
from workers.manager.orchestrators import slots

State = api.TaskState


def slot(number, node_id="", state=State.RUNNING):
    return [builders.task(slot=number, node_id=node_id, state=state)]


def numbers(found):
    return sorted(one[0].slot for one in found)


def test_tasks_are_grouped_by_number_or_node():
    found = [*slot(1, "a"), *slot(1, "b"), *slot(2, "a")]
    assert {1: 2, 2: 1} == {key: len(one) for key, one in slots.by_number(found).items()}
    assert {"a": 2, "b": 1} == {key: len(one) for key, one in slots.by_node(found).items()}


def test_the_lowest_free_numbers_are_taken_first():
    assert [2, 4, 5] == slots.free_numbers({1: 0, 3: 0}, 3)
    assert [0] == slots.free_numbers({1: 0}, 1, first=0)


def test_the_fullest_nodes_give_up_their_slots_first():
    filled = [slot(1, "a"), slot(2, "a"), slot(3, "a"), slot(4, "b")]
    assert [2, 3] == numbers(slots.surplus(filled, 2))


def test_what_does_not_run_goes_before_what_runs():
    filled = [slot(1, "a", State.PENDING), slot(2, "a"), slot(3, "a")]
    assert [1] == numbers(slots.surplus(filled, 2))


def test_what_no_node_has_goes_before_all():
    filled = [slot(1), slot(2, "a"), slot(3, "b")]
    assert [1] == numbers(slots.surplus(filled, 2))


def test_of_equals_the_highest_number_goes_first():
    filled = [slot(n, f"n{n}") for n in (3, 1, 2)]
    assert [3] == numbers(slots.surplus(filled, 2))


@given(st.lists(st.sampled_from("abc"), max_size=12), st.integers(0, 14))
def test_the_rest_is_spread_as_evenly_as_it_can_be(placed, keep):
    filled = [slot(number, node) for number, node in enumerate(placed, 1)]
    given_up = numbers(slots.surplus(filled, keep))
    assert max(0, len(placed) - keep) == len(given_up)
    kept = [node for number, node in enumerate(placed, 1) if number not in given_up]
    for node in set(placed):
        # A node lost some only down to what the others have at most.
        if kept.count(node) < placed.count(node):
            assert all(kept.count(other) <= kept.count(node) + 1 for other in "abc")
