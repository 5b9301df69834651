"""How much may still come into a store whose room has an end (pure).

    AMPLE ──90 % in use──▶ SCARCE ──100 %─▶ SPENT        and back, each three percent lower

SCARCE: what users keep must not grow. SPENT: no task is made either. What makes the store smaller
is always taken, and what happens to nodes and tasks that are there: beyond the quota the backend
has some more room for that. For once that is used up, it takes nothing at all, and no removal.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Final, Self

import humanize

from swarmd import api
from swarmd.errors import ResourceExhaustedError
from swarmd.store.events import AnyChange, Deleted, Updated


class Level(IntEnum):
    AMPLE = 0
    SCARCE = 1
    SPENT = 2


_BEGINS: Final = {Level.SCARCE: 0.90, Level.SPENT: 1.00}
_ENDS_BELOW: Final = 0.03  # so much lower than it begins: it does not come and go with each change
_PRESSED: Final = 0.75
_BESIDE: Final = 64 << 20
_OF_USERS: Final = (
    api.Service,
    api.Network,
    api.Secret,
    api.Config,
    api.Volume,
    api.Extension,
    api.Resource,
)


@dataclass(frozen=True, slots=True)
class Room:
    """As measured last, in bytes; a `quota` of 0 is a room without an end."""

    used: int = 0
    quota: int = 0
    level: Level = Level.AMPLE

    def after(self, used: int) -> Self:
        """With so much in use now."""
        level = Level.AMPLE
        for one, begins in _BEGINS.items():
            bound = begins - _ENDS_BELOW if one <= self.level else begins
            if self.quota and used >= bound * self.quota:
                level = one
        return replace(self, used=used, level=level)

    def grown(self, size: int) -> Self:
        """With so much more written than when it was measured, all of it kept for now."""
        return self.after(self.used + size) if self.quota else self

    @property
    def pressed(self) -> bool:
        """It is time to drop what is kept for nobody's need, before anything is refused."""
        return bool(self.quota) and self.used >= _PRESSED * self.quota

    @property
    def sentence(self) -> str:
        """What is wrong and what to do; empty while nothing is."""
        if self.level is Level.AMPLE:
            return ""
        used, quota = (humanize.naturalsize(one, binary=True) for one in (self.used, self.quota))
        what = "larger" if self.level is Level.SCARCE else "larger, not even a task,"
        return (
            f"the store is nearly full: {used} of its {quota} are in use, and nothing that makes "
            f"it {what} is taken: remove services, configs or secrets that are not needed, or "
            "start the managers with a larger --quota-backend-bytes"
        )

    def check(self, changes: Iterable[AnyChange]) -> None:
        """Raises ResourceExhaustedError where one of these is not to be."""
        if self.level is not Level.AMPLE and any(self._refuses(one) for one in changes):
            raise ResourceExhaustedError(self.sentence)

    def _refuses(self, change: AnyChange) -> bool:
        if isinstance(change, Deleted):
            return False
        old = change.old if isinstance(change, Updated) else None
        if isinstance(change.object, api.Task):
            return old is None and self.level is Level.SPENT
        return isinstance(change.object, _OF_USERS) and (old is None or _grows(old, change.object))


ENDLESS: Final = Room()


def backend_bytes(quota: int) -> int:
    """What the backend itself is to take: what was replaced has its room for a while longer."""
    return quota + _BESIDE


def _grows(old: Any, new: Any) -> bool:
    """By what its user wants: what managers note in it besides is little, and has to be noted.

    A service that goes back to what it was gets smaller by what it was to be.
    """
    if new.ByteSize() < old.ByteSize():
        return False
    if isinstance(new, api.Extension | api.Resource):
        return bool(new.ByteSize() > old.ByteSize())
    return bool(new.spec.ByteSize() > old.spec.ByteSize() or _tasks(new) > _tasks(old))


def _tasks(one: Any) -> int:
    """So many a service wants, as far as it says so."""
    if not isinstance(one, api.Service):
        return 0
    return max(one.spec.replicated.replicas, one.spec.replicated_job.max_concurrent)
