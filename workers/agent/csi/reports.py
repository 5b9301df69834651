"""The volumes that this node let go reach the dispatcher, over any number of sessions."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Final, NoReturn

from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.errors import InvalidArgumentError, NotFoundError, SwarmError, UnauthenticatedError
from swarmd.logs import fields, get_logger

log = get_logger(__name__)

_FIRST_RETRY_SECONDS: Final = 0.1
_LAST_RETRY_SECONDS: Final = 8.0
_SESSION_IS_OVER: Final = (NotFoundError, InvalidArgumentError, UnauthenticatedError)


class VolumeReports:
    """Those that the dispatcher has not heard of yet. It may hear of one twice."""

    def __init__(self, clock: Clock, random: Random) -> None:
        self._clock = clock
        self._random = random
        self._unsent: dict[str, None] = {}
        self._wake = asyncio.Event()

    def add(self, volume_id: str) -> None:
        """This node has it no more."""
        self._unsent[volume_id] = None
        self._wake.set()

    def drop(self, volume_id: str) -> None:
        """It has it again."""
        self._unsent.pop(volume_id, None)

    async def run(self, send: Callable[[Sequence[str]], Awaitable[None]]) -> NoReturn:
        """Report by `send` for one session, until cancelled; raises what ends the session."""
        backoff = Backoff(_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS, self._random)
        while True:
            while not self._unsent:
                self._wake.clear()
                await self._wake.wait()
            batch = list(self._unsent)
            try:
                await send(batch)
            except _SESSION_IS_OVER:
                raise
            except SwarmError as error:
                log.warning("cannot report volumes: trying again", extra=fields(reason=error))
                await self._clock.sleep(backoff.next())
            else:
                backoff.reset()
                for volume_id in batch:
                    self.drop(volume_id)
