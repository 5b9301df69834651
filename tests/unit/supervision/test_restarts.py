import random

import pytest

from swarmd.supervision.restarts import Limits, Restarts

LIMITS = Limits(
    settled_seconds=10,
    failed_starts=5,
    short_lives=10,
    first_backoff_seconds=1,
    longest_backoff_seconds=30,
)


@pytest.fixture
def restarts():
    return Restarts(LIMITS, random.Random(1))


def test_the_first_death_is_mended_at_once(restarts):
    assert 0 == restarts.after_life(0.1)


def test_who_keeps_dying_waits_longer(restarts):
    delays = [restarts.after_life(0.1) for _ in range(5)]
    assert 0 == delays[0]
    for delay, whole in zip(delays[1:], [1, 2, 4, 8], strict=True):
        assert whole / 2 <= delay <= whole


def test_who_stayed_up_is_mended_at_once_again(restarts):
    for _ in range(5):
        restarts.after_life(0.1)
    assert 0 == restarts.after_life(LIMITS.settled_seconds)


def test_who_settles_between_deaths_is_never_given_up(restarts):
    assert [0] * 100 == [restarts.after_life(60) for _ in range(100)]


def test_failed_starts_in_a_row_are_given_up(restarts):
    delays = [restarts.after_failed_start() for _ in range(LIMITS.failed_starts)]
    assert [False] * 4 + [True] == [delay is None for delay in delays]


def test_a_failed_start_is_never_tried_again_at_once(restarts):
    assert restarts.after_failed_start() >= LIMITS.first_backoff_seconds / 2


def test_one_that_was_ready_forgives_failed_starts(restarts):
    for _ in range(LIMITS.failed_starts - 1):
        restarts.after_failed_start()
    restarts.after_life(60)
    assert restarts.after_failed_start() is not None


def test_short_lives_in_a_row_are_given_up(restarts):
    delays = [restarts.after_life(0.1) for _ in range(LIMITS.short_lives)]
    assert [False] * 9 + [True] == [delay is None for delay in delays]


def test_no_delay_is_beyond_the_longest():
    restarts = Restarts(Limits(short_lives=1000, longest_backoff_seconds=3), random.Random(1))
    assert 3 >= max(restarts.after_life(0.1) for _ in range(100))
