"""Where the store is kept: the one part that knows about disks and quorums.

A backend keeps rows. It need not know what is in them; the store turns objects to rows and back.
The lease says which manager may write: with one manager, that one, always.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple, Protocol

from swarmd.errors import CorruptStateError


class Row(NamedTuple):
    """One object at rest, at the version of the transaction that wrote it."""

    kind: str
    id: str
    version: int
    data: bytes | None  # None, on its way to the backend: the object is to be deleted

    @property
    def bound(self) -> bytes:
        """What it is tied to where it is sealed: it opens in no other's place, nor as an older."""
        return f"{self.kind}/{self.id}/{self.version}".encode()


class Loaded(NamedTuple):
    """All that is kept, as of the last committed version."""

    version: int
    rows: Sequence[Row]


class Change(NamedTuple):
    """What another manager committed: its rows, up to that version; one without data is deleted."""

    version: int
    rows: Sequence[Row]


class Behind(Exception):  # noqa: N818  a state of the follower, which nobody gets to see
    """What comes next is no longer kept: load everything again."""


class Lease(Protocol):
    """The right to write, which one manager at a time has."""

    @property
    def held(self) -> bool:
        """Whether this manager has it now."""

    @property
    def lost(self) -> asyncio.Event:
        """Set when it is lost while held; a new one with each time it is held."""

    def give_away(self) -> None:
        """Give it back soon, and let another have it first."""

    def hold(self) -> AbstractAsyncContextManager[None]:
        """Wait until it is ours, and give it back at the end of the block."""


class AlwaysHeld:
    """The lease of a manager that has no rival."""

    def __init__(self) -> None:
        self._lost = asyncio.Event()

    @property
    def held(self) -> bool:
        return True

    @property
    def lost(self) -> asyncio.Event:
        return self._lost

    def give_away(self) -> None:
        """There is no other."""

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        yield


class Backend(Protocol):
    """Called by one store, one call at a time."""

    @property
    def place(self) -> str:
        """Where this is, in a word for people: a file, or a cluster's name."""

    @property
    def lease(self) -> Lease:
        """Who may write."""

    async def load(self) -> Loaded:
        """Open, and read everything, or raise CorruptStateError or CannotBootError."""

    async def commit(self, version: int, rows: Sequence[Row]) -> None:
        """Make these rows durable, all of them, before this returns.

        Otherwise raise a SwarmError that says what to do, with none of them kept. A cancelled call
        may have done either.
        """

    async def newest(self) -> int:
        """The version of the last transaction that any manager committed."""

    def follow(self) -> AsyncIterator[Change]:
        """What others commit from here on, in order, until cancelled; raises Behind."""

    async def close(self) -> None:
        """Give back what `load` opened; does nothing when it did not."""


class Sole:
    """The part of a backend that no other manager writes to."""

    async def newest(self) -> int:
        return 0  # nothing was committed that its store has not seen

    async def follow(self) -> AsyncIterator[Change]:
        await asyncio.get_running_loop().create_future()
        yield Change(0, ())  # pragma: no cover  never reached; it makes this an iterator


def corrupt(place: str, reason: str) -> CorruptStateError:
    """The error for a store that cannot be trusted: what it is, and the two ways out."""
    message = (
        f"{place} is corrupt ({reason}); nothing in it was changed: put back a copy of it, "
        "or move it away, with the files beside it that begin with its name, to start empty"
    )
    return CorruptStateError(message)
