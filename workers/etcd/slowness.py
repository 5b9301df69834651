"""A slow disk, or a busy host, in one line instead of etcd's many.

etcd waits for the disk before it acknowledges. While that takes long it says so in several ways,
many times a second: of a write to its log, of signs of life that came late for it, of requests.
"""

import re
from typing import Final

from swarmd.clock import Clock

_FSYNC: Final = "slow fdatasync"
_LATE: Final = "leader failed to send out heartbeat on time"
_COMES_OF_IT: Final = (
    _FSYNC,
    _LATE,
    "waiting for ReadIndex response took too long",
    "request stats",
)
# From so many seconds on: signs of life that are later than that may bring an election about.
_WORTH_TELLING: Final = ((_FSYNC, 0.0), (_LATE, 0.3))
# Go's durations, as "1.204123s" or "812.5ms".
_TOOK: Final = re.compile(r'"(?:took|exceeded-duration)":"([^"]+)"')
_DURATION: Final = re.compile(r"([\d.]+)(µs|ms|s|m|h)")
_UNITS: Final = {"µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TELL_SECONDS: Final = 60.0
_OVER_SECONDS: Final = 30.0


def seconds(text: str) -> float:
    """Of one of Go's durations; 0 of what is none."""
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))


class Slowness:
    """What etcd's own words say of the disk."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heard: dict[str, tuple[float, float]] = {}  # of what, when last, and the worst
        self._told = -_TELL_SECONDS

    def hear(self, said: str, line: str) -> bool:
        """Take in a line and what it says; whether slowness is the cause of such lines."""
        if not said.startswith(_COMES_OF_IT):
            return False
        found = _TOOK.search(line)
        took = seconds(found[1]) if found else 0.0
        for kind, least in _WORTH_TELLING:
            if said.startswith(kind) and took >= least:
                self._heard[kind] = self._clock.monotonic(), max(took, self._worst(kind))
        return True

    def _worst(self, kind: str) -> float:
        """Of those that were heard lately; 0 where none was."""
        heard, worst = self._heard.get(kind, (-_OVER_SECONDS, 0.0))
        return worst if self._clock.monotonic() - heard < _OVER_SECONDS else 0.0

    @property
    def sentence(self) -> str:
        """For as long as it is slow, and a while after; else empty."""
        if worst := self._worst(_FSYNC):
            return (
                f"the disk is slow: a write to etcd's log took up to {worst:.1f} s, and the "
                "managers' writes wait for it: move the state directory to a faster disk"
            )
        if worst := self._worst(_LATE):
            return (
                f"etcd is held up: its signs of life went out up to {worst:.1f} s late, as they do "
                "where the processors are busy or the disk is slow, and the managers' writes wait"
            )
        return ""

    def due(self) -> str:
        """The sentence, where it is time to log it (again)."""
        now = self._clock.monotonic()
        if not self.sentence or now - self._told < _TELL_SECONDS:
            return ""
        self._told = now
        return self.sentence
