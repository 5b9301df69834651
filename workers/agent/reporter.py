"""The newest status of each task reaches the dispatcher, in batches, over any number of sessions.

One report is under way at a time; what changes meanwhile goes with the next, so batches grow with
the load and nothing waits when there is none. Each new session is told everything again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from random import Random
from typing import Final

from swarmd import api
from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.errors import (
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    SwarmError,
    UnauthenticatedError,
)
from swarmd.logs import fields, get_logger

log = get_logger(__name__)

Update = api.UpdateTaskStatusRequest.TaskStatusUpdate
Send = Callable[[Sequence[Update]], Awaitable[None]]

MOST_IN_A_REPORT: Final = 1024
_FIRST_RETRY_SECONDS: Final = 0.1
_LAST_RETRY_SECONDS: Final = 8.0
# The session itself is not known any more: no use in trying again within it.
_SESSION_IS_OVER: Final = (NotFoundError, InvalidArgumentError, UnauthenticatedError)


class Reporter:
    """Remembers every task's newest status, and which of them the dispatcher has not heard."""

    def __init__(self, clock: Clock, random: Random) -> None:
        self._clock = clock
        self._random = random
        self._newest: dict[str, api.TaskStatus] = {}
        self._unsent: dict[str, None] = {}  # a set that keeps its order
        self._wake = asyncio.Event()
        self._most = MOST_IN_A_REPORT

    def update(self, task_id: str, status: api.TaskStatus) -> None:
        """Report this status; one that is behind what is known is passed over."""
        known = self._newest.get(task_id)
        if known is not None and (known.state > status.state or known == status):
            return
        self._newest[task_id] = status
        self._unsent[task_id] = None
        self._wake.set()

    def forget(self, task_id: str) -> None:
        """The task is not assigned any more: whether it still runs is nobody's business."""
        self._newest.pop(task_id, None)
        self._unsent.pop(task_id, None)

    async def run(self, send: Send) -> None:
        """Report by `send` for one session, everything first, until cancelled.

        Raises what `send` raised when the dispatcher says that it does not know the session.
        """
        backoff = Backoff(_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS, self._random)
        self._unsent = dict.fromkeys(self._newest)
        self._most = MOST_IN_A_REPORT
        while True:
            while not self._unsent:
                self._wake.clear()
                await self._wake.wait()
            if await self._report(send):
                backoff.reset()
            else:
                await self._clock.sleep(backoff.next())

    async def _report(self, send: Send) -> bool:
        """Send one batch; whether the dispatcher took it, or a smaller one may be tried at once."""
        batch = list(islice(self._unsent, self._most))
        for task_id in batch:
            del self._unsent[task_id]
        try:
            await send([Update(task_id=each, status=self._newest[each]) for each in batch])
        except _SESSION_IS_OVER:
            raise
        except (PermissionDeniedError, ResourceExhaustedError) as error:
            return self._shrink(batch, error)
        except SwarmError as error:
            log.warning("cannot report task states: trying again", extra=fields(reason=error))
            self._put_back(batch)
            return False
        self._most = min(MOST_IN_A_REPORT, 2 * self._most)
        return True

    def _shrink(self, batch: list[str], error: SwarmError) -> bool:
        """A dispatcher refuses a whole batch for one task in it: find that one."""
        if len(batch) > 1:
            self._put_back(batch)
            self._most = len(batch) // 2
            return True
        if isinstance(error, PermissionDeniedError):
            task_id = batch[0]
            log.warning("the manager refuses a task's state", extra=fields(task=task_id, why=error))
            return True
        self._put_back(batch)
        return False

    def _put_back(self, batch: list[str]) -> None:
        """In front of the others, those that were forgotten meanwhile left out."""
        again = dict.fromkeys(each for each in batch if each in self._newest)
        self._unsent = again | self._unsent
