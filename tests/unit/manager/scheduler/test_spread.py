"""Dealing out by counting is the same as dealing out one at a time."""

from hypothesis import given
from hypothesis import strategies as st

from workers.manager.scheduler.spread import shares

PLACES = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=8
)


def one_at_a_time(counts: list[int], room: list[int], n: int, ties: list[int]) -> list[int]:
    given_ = [0] * len(counts)
    for _ in range(n):
        open_ = [i for i in range(len(counts)) if given_[i] < room[i]]
        if not open_:
            break
        best = min(open_, key=lambda i: (counts[i] + given_[i], ties[i] + given_[i], i))
        given_[best] += 1
    return given_


@given(places=PLACES, n=st.integers(0, 70))
def test_shares_are_those_of_dealing_one_at_a_time(places, n: int) -> None:
    counts, room, ties = (list(column) for column in zip(*places, strict=True))
    assert one_at_a_time(counts, room, n, ties) == shares(counts, room, n, ties)


@given(counts=st.lists(st.integers(0, 5), min_size=1, max_size=9), n=st.integers(0, 40))
def test_counts_differ_by_one_at_most_once_the_emptiest_are_filled_up(counts, n: int) -> None:
    given_ = shares(counts, [1 << 62] * len(counts), n, counts)
    assert n == sum(given_)
    grown = [count + part for count, part in zip(counts, given_, strict=True)]
    reached = [total for total, part in zip(grown, given_, strict=True) if part]
    assert all(top <= min(grown) + 1 for top in reached)


@given(places=PLACES, n=st.integers(0, 100))
def test_no_place_gets_more_than_its_room(places, n: int) -> None:
    counts, room, ties = (list(column) for column in zip(*places, strict=True))
    given_ = shares(counts, room, n, ties)
    assert all(0 <= part <= free for part, free in zip(given_, room, strict=True))
    assert min(n, sum(room)) == sum(given_)
