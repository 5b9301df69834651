"""Durations as they come from clients: not every pair of seconds and nanos is one."""

from typing import Final

from google.protobuf.duration_pb2 import Duration

from swarmd.errors import SwarmError

_NANOS: Final = 1_000_000_000
_MOST_SECONDS: Final = 315_576_000_000  # ten thousand years, protobuf's own limit
_MOST_NANOS: Final = (1 << 63) - 1  # what fits Go's time.Duration, some 290 years


class InvalidDurationError(SwarmError):
    """Clients know it by UNKNOWN, SwarmKit's code for it."""


def nanos(duration: Duration) -> int:
    """That long in nanoseconds, exactly; raises InvalidDurationError."""
    fault = _fault(duration)
    if fault:
        written = f"seconds: {duration.seconds}, nanos: {duration.nanos}"
        raise InvalidDurationError(f"duration: {written}: {fault}")
    return duration.seconds * _NANOS + duration.nanos


def _fault(duration: Duration) -> str:
    if abs(duration.seconds) > _MOST_SECONDS:
        return "seconds out of range"
    if abs(duration.nanos) >= _NANOS:
        return "nanos out of range"
    if duration.seconds * duration.nanos < 0:
        return "seconds and nanos have different signs"
    if abs(duration.seconds * _NANOS + duration.nanos) > _MOST_NANOS:
        return "is out of range for time.Duration"
    return ""
