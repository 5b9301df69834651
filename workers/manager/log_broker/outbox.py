"""What a subscriber is yet to be sent. It is small: who publishes waits for who reads."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from swarmd import api
from swarmd.errors import NotFoundError

MOST_BYTES: Final = 1 << 20
_MOST_AT_ONCE: Final = (
    256 << 10
)  # a stock client takes 4 MiB a message, and publishers send no more


class Outbox:
    """One subscriber's queue of log messages, between any number of publishers and one reader."""

    def __init__(self, subscription_id: str) -> None:
        self._id = subscription_id
        self._waiting: deque[tuple[Sequence[api.LogMessage], int]] = deque()
        self._bytes = 0
        self._is_closed = False
        self._changed = asyncio.Condition()

    async def put(self, messages: Sequence[api.LogMessage]) -> None:
        """Add these once there is room; raises NotFoundError when nobody reads any more."""
        if not messages:
            return
        async with self._changed:
            await self._changed.wait_for(lambda: self._is_closed or self._bytes < MOST_BYTES)
            if self._is_closed:
                raise NotFoundError("subscription", self._id)
            size = sum(message.ByteSize() for message in messages)
            self._waiting.append((messages, size))
            self._bytes += size
            self._changed.notify_all()

    async def close(self) -> None:
        """No more is taken; what is there can still be read."""
        async with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    async def next(self) -> list[api.LogMessage]:
        """What waits, as much as fits one message to a client; nothing once it is at its end."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting or self._is_closed)
            found: list[api.LogMessage] = []
            taken = 0
            while self._waiting and (not found or taken + self._waiting[0][1] <= _MOST_AT_ONCE):
                messages, size = self._waiting.popleft()
                found += messages
                taken += size
            self._bytes -= taken
            self._changed.notify_all()
            return found
