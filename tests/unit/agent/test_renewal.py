"""When a certificate is renewed."""

from datetime import UTC, datetime
from random import Random

import pytest

from workers.agent.renewal import renewal_time

HOUR = 3600.0
DAY = 24 * HOUR


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize("life", [HOUR, DAY, 90 * DAY])
def test_it_is_renewed_between_half_and_four_fifths_of_its_life(life: float):
    """Its first hour lies before it was made, for clocks that are behind."""
    made = 1_000_000.0
    times = [renewal_time(at(made - HOUR), at(made + life), Random(n)) for n in range(200)]
    assert all(made + 0.5 * life <= moment <= made + 0.8 * life for moment in times)
    assert max(times) - min(times) > 0.25 * life


def test_a_life_shorter_than_the_backdate_is_halved():
    assert 50 <= renewal_time(at(0), at(100), Random(0)) <= 100
