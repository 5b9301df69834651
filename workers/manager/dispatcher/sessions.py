"""Who is registered, with which session; and what its streams have yet to look at."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Final

from swarmd import ids
from swarmd.clock import Clock
from swarmd.errors import Status, SwarmError, UnavailableError

_REGISTRATIONS: Final = 3
_REGISTRATIONS_SECONDS: Final = 8.0


class NodeNotFoundError(SwarmError):
    """The cluster has no such node."""

    status = Status.NOT_FOUND

    def __init__(self) -> None:
        super().__init__("node not found")


class NodeNotRegisteredError(SwarmError):
    """The node has no session with this manager."""

    status = Status.NOT_FOUND

    def __init__(self) -> None:
        super().__init__("node not registered")


class SessionInvalidError(SwarmError):
    """The node has another session by now: it must register again."""

    status = Status.INVALID_ARGUMENT

    def __init__(self) -> None:
        super().__init__("session invalid")


@dataclass(slots=True)
class Registration:
    """A node that is, or is expected to be, in touch."""

    session_id: str  # "" while a new leader waits for the node
    registered_at: float
    attempts: int = 0


class Sessions:
    """The registrations, by node."""

    def __init__(self, clock: Clock, random: Random) -> None:
        self._clock = clock
        self._random = random
        self._nodes: dict[str, Registration] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    def expect(self, node_id: str) -> None:
        """The node had a session with the leader before us."""
        self._nodes[node_id] = Registration("", self._clock.monotonic())

    def count_attempt(self, node_id: str) -> None:
        """Let the node try to register; raises UnavailableError where it tries too often."""
        found = self._nodes.get(node_id)
        if found is None:
            return
        now = self._clock.monotonic()
        if now - found.registered_at > _REGISTRATIONS_SECONDS:
            found.attempts = 0
        found.attempts += 1
        if found.attempts > _REGISTRATIONS:
            message = f"node {node_id} exceeded rate limit count of registrations"
            raise UnavailableError(message)
        found.registered_at = now

    def register(self, node_id: str) -> str:
        """A new session for the node; the one before is invalid from here on."""
        before = self._nodes.get(node_id)
        fresh = Registration(ids.new_id(self._random), self._clock.monotonic())
        if before is not None:
            fresh.registered_at, fresh.attempts = before.registered_at, before.attempts
        self._nodes[node_id] = fresh
        return fresh.session_id

    def is_valid(self, node_id: str, session_id: str) -> bool:
        found = self._nodes.get(node_id)
        return found is not None and session_id != "" and session_id == found.session_id

    def check(self, node_id: str, session_id: str) -> None:
        """Raises NodeNotRegisteredError or SessionInvalidError, unless this is its session."""
        if node_id not in self._nodes:
            raise NodeNotRegisteredError
        if not self.is_valid(node_id, session_id):
            raise SessionInvalidError

    def remove(self, node_id: str) -> Registration | None:
        return self._nodes.pop(node_id, None)

    def clear(self) -> None:
        self._nodes.clear()


@dataclass(slots=True, eq=False)
class Feed:
    """What one stream has yet to look at; it waits here, and nothing polls."""

    changed: dict[str, None] = field(default_factory=dict)  # ids, in the order of their changes
    lost: bool = False  # events were dropped: look at everything
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self, *ids: str) -> None:
        self.changed |= dict.fromkeys(ids)
        self._news.set()

    async def wait(self) -> None:
        """Return once there is news since the last `take`."""
        await self._news.wait()

    def take(self, most: int) -> list[str]:
        """The ids that changed first, up to that many; the others stay news."""
        taken = list(self.changed)[:most]
        for each in taken:
            del self.changed[each]
        if not self.changed:
            self._news.clear()
        return taken


class Feeds:
    """The open streams, by node."""

    def __init__(self) -> None:
        self._feeds: dict[str, set[Feed]] = {}

    def __contains__(self, node_id: str) -> bool:
        return node_id in self._feeds

    @contextmanager
    def open(self, node_id: str) -> Iterator[Feed]:
        """A feed for one stream, for as long as the stream lives."""
        feed = Feed()
        self._feeds.setdefault(node_id, set()).add(feed)
        try:
            yield feed
        finally:
            self._feeds[node_id].discard(feed)
            if not self._feeds[node_id]:
                del self._feeds[node_id]

    def wake(self, node_id: str, *ids: str) -> None:
        for feed in self._feeds.get(node_id, ()):
            feed.wake(*ids)

    def wake_all(self, *, lost: bool = False) -> None:
        for feeds in self._feeds.values():
            for feed in feeds:
                feed.lost |= lost
                feed.wake()
