"""Seconds to protobuf's times and back."""

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from swarmd.api import times


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, Timestamp()),
        (1.5, Timestamp(seconds=1, nanos=500_000_000)),
        (-0.25, Timestamp(seconds=-1, nanos=750_000_000)),
        (1.999_999_999_9, Timestamp(seconds=2)),
    ],
)
def test_timestamp_has_nanos_that_count_forward(seconds: float, expected: Timestamp) -> None:
    assert expected == times.timestamp(seconds)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, Duration()),
        (90, Duration(seconds=90)),
        (0.1, Duration(nanos=100_000_000)),
        (-1.5, Duration(seconds=-1, nanos=-500_000_000)),
    ],
)
def test_duration_has_both_parts_of_one_sign(seconds: float, expected: Duration) -> None:
    assert expected == times.duration(seconds)


@pytest.mark.parametrize("seconds", [0.0, 5.0, 0.05, -2.25, 7_776_000.0])
def test_seconds_come_back_as_they_went(seconds: float) -> None:
    assert seconds == times.seconds(times.duration(seconds))
    assert seconds == times.seconds(times.timestamp(seconds))


def test_todays_date_keeps_its_microseconds() -> None:
    now = 1_763_900_000.123456
    assert now == pytest.approx(times.seconds(times.timestamp(now)), abs=1e-6)


def test_an_unset_time_is_zero() -> None:
    assert 0.0 == times.seconds(Timestamp())
