"""Long work in short turns: the event loop serves others, and gives its signs of life, between."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final, TypeVar

T = TypeVar("T")
MOST_IN_A_TURN: Final = 200  # at some 20 µs for each, others wait for milliseconds


async def in_turns(items: Iterable[T], most: int = MOST_IN_A_TURN) -> AsyncIterator[T]:
    """Each of them; the loop turns after every so many.

    What is iterated must not change meanwhile: a list that a view gave does not.
    """
    for number, one in enumerate(items, 1):
        yield one
        if number % most == 0:
            await asyncio.sleep(0)
