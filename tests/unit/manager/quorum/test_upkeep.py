"""When etcd's file is written anew, and when its past is dropped."""

import pytest

from swarmd.store.room import Room
from workers.manager.quorum.upkeep import wants_drop, wants_rewrite

MIB = 1 << 20
QUOTA = 1_000 * MIB


@pytest.mark.parametrize(
    ("size", "used", "leads", "wanted"),
    [
        (60, 1, False, False),  # too small to matter
        (200, 110, False, False),
        (200, 90, False, True),
        (200, 90, True, False),  # the others first
        (200, 70, True, True),
        (1_010, 900, False, True),  # over the quota, each bit counts
        (1_010, 950, False, False),
    ],
)
def test_a_file_is_written_anew_for_its_air(size: int, used: int, leads: bool, wanted: bool):
    assert wanted == wants_rewrite(size * MIB, used * MIB, QUOTA, leads=leads)


@pytest.mark.parametrize(
    ("used", "left", "news", "wanted"),
    [
        (700, 0, True, False),  # there is room
        (760, 0, True, True),
        (760, 755, True, False),  # it was done, and that is what is there
        (766, 755, True, True),
        (910, 910, True, True),  # each removal is to count
        (910, 910, False, False),
    ],
)
def test_the_past_is_dropped_where_it_takes_room(used: int, left: int, news: bool, wanted: bool):
    assert wanted == wants_drop(Room(quota=QUOTA).after(used * MIB), left * MIB, news=news)
