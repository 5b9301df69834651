"""Turns: many streams that wake at once do their work a few at a time.

What is ready runs in one turn of the event loop, however much it is; a heartbeat that comes
meanwhile waits for the end of it. So work that a thousand nodes ask for at once waits in line.
"""

import asyncio
from typing import Final

A_TURN: Final = 4  # pieces of work, a millisecond each as a rule


class Turns:
    """`async with turns:` around one piece of work that awaits nothing itself."""

    def __init__(self, most: int = A_TURN) -> None:
        self._places = asyncio.Semaphore(most)

    async def __aenter__(self) -> None:
        await self._places.acquire()

    async def __aexit__(self, *_: object) -> None:
        try:
            await asyncio.sleep(0)  # the place is free in the next turn only
        finally:
            self._places.release()
