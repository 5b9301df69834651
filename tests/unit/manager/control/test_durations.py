"""Which durations are some."""

import pytest
from google.protobuf.duration_pb2 import Duration

from swarmd.errors import Status
from tests.unit.manager.control.calls import fault
from workers.manager.control.durations import nanos


@pytest.mark.parametrize(
    ("seconds", "fraction", "length"),
    [(0, 0, 0), (1, 5, 1_000_000_005), (-1, -5, -1_000_000_005), (0, -7, -7)],
)
def test_a_duration_is_counted_in_nanoseconds(seconds: int, fraction: int, length: int) -> None:
    assert length == nanos(Duration(seconds=seconds, nanos=fraction))


@pytest.mark.parametrize(
    ("seconds", "fraction", "reason"),
    [
        (1, -1, "seconds and nanos have different signs"),
        (-1, 1, "seconds and nanos have different signs"),
        (315_576_000_001, 0, "seconds out of range"),
        (0, 1_000_000_000, "nanos out of range"),
        (9_223_372_037, 0, "is out of range for time.Duration"),
    ],
)
def test_what_is_none_is_unknown(seconds: int, fraction: int, reason: str) -> None:
    told = fault(nanos, Duration(seconds=seconds, nanos=fraction))
    assert (Status.UNKNOWN, f"duration: seconds: {seconds}, nanos: {fraction}: {reason}") == told
