"""Seconds, as swarmd counts them, to protobuf's Timestamp and Duration and back."""

from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_NANOS: Final = 1_000_000_000


def timestamp(seconds: float) -> Timestamp:
    """That moment, counted from the Unix epoch; before 1970 too."""
    whole, nanos = divmod(_in_nanos(seconds), _NANOS)  # a Timestamp's nanos count forward always
    return Timestamp(seconds=whole, nanos=nanos)


def duration(seconds: float) -> Duration:
    """That long; a negative one has both its parts negative, as protobuf wants it."""
    whole, nanos = divmod(abs(_in_nanos(seconds)), _NANOS)
    sign = -1 if seconds < 0 else 1
    return Duration(seconds=sign * whole, nanos=sign * nanos)


def seconds(message: Timestamp | Duration) -> float:
    """The same in seconds; an unset message is 0."""
    return message.seconds + message.nanos / _NANOS


def _in_nanos(seconds: float) -> int:
    # The whole seconds apart: as one float, today's date has no room left for nanoseconds.
    whole = int(seconds)
    return whole * _NANOS + round((seconds - whole) * _NANOS)
