"""Which manager to try: those that answered well before come up more often.

Each experience moves a manager's weight half of the way, as in SwarmKit: good ones are chosen in
proportion to it, bad ones hardly ever while there is a good one.
"""

import asyncio
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from swarmd.errors import UnavailableError

GOOD: Final = 10
BAD: Final = -10
_SMOOTHING: Final = 0.5
_HEAVIEST: Final = 256
_BIAS: Final = 0.001  # a bad one still has a chance: it may be the only one that is alive again


@dataclass(frozen=True, slots=True, order=True)
class Remote:
    """A manager: its node's id, empty where only the address is known, and host:port."""

    node_id: str
    addr: str


class Remotes:
    """The managers that this node knows, each with a weight."""

    def __init__(self, random: Random, known: Iterable[Remote] = ()) -> None:
        self._random = random
        self._weights: dict[Remote, int] = {}
        self._near: tuple[Remote, ...] = ()
        self._some = asyncio.Event()
        for remote in known:
            self.observe(remote, GOOD)

    @property
    def weights(self) -> Mapping[Remote, int]:
        """The weight of each manager that managers told of."""
        return self._weights

    def prefer(self, addrs: Iterable[str]) -> None:
        """Try these first, as long as they answer: a manager on this very node, say."""
        self._near = tuple(Remote("", addr) for addr in addrs)
        for remote in self._near:
            self._weights.pop(remote, None)
            self.observe(remote, GOOD)

    def observe(self, remote: Remote, weight: int) -> None:
        """Record an experience: positive for a good one."""
        clipped = max(-_HEAVIEST, min(_HEAVIEST, weight))
        before = self._weights.get(remote, 0)
        self._weights[remote] = math.ceil(_SMOOTHING * clipped + (1 - _SMOOTHING) * before)
        self._some.set()

    def observe_known(self, remote: Remote, weight: int) -> None:
        """As `observe`, unless the manager was taken off the list meanwhile."""
        if remote in self._weights:
            self.observe(remote, weight)

    def keep(self, remotes: Iterable[Remote]) -> None:
        """Forget every other one; those that are preferred stay."""
        kept = {*remotes, *self._near}
        self._weights = {
            remote: weight for remote, weight in self._weights.items() if remote in kept
        }

    async def wait_some(self) -> None:
        """Return once at least one manager is known."""
        while not self._weights:
            self._some.clear()
            await self._some.wait()

    def select(self) -> Remote:
        """The one to try now; raises UnavailableError when none is known."""
        for remote in self._near:
            if self._weights.get(remote, BAD) > 0:
                return remote
        if not self._weights:
            raise UnavailableError("no manager of this swarm is known")
        chances = [max(weight, 0) + _BIAS for weight in self._weights.values()]
        return self._random.choices(list(self._weights), chances)[0]
