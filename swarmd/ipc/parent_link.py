"""The worker's end of both pipes, as its main sees it."""

import asyncio
from collections.abc import AsyncIterator, Callable

from swarmd.config import NodeConfig
from swarmd.ipc.messages import Down, Up


class ParentLink:
    """What this worker was told, and how it tells the parent of itself.

    `send` carries a message up; in a test it can be a list's `append`.
    """

    def __init__(self, config: NodeConfig, send: Callable[[Up], None]) -> None:
        self.config = config
        self._send = send
        self._updates: asyncio.Queue[Down | None] = asyncio.Queue()

    def report(self, message: Up) -> None:
        """Tell the parent; never blocks, and does nothing where the parent is gone."""
        self._send(message)

    async def updates(self) -> AsyncIterator[Down]:
        """What the parent says after Configure, as it says it; ends when the parent is gone.

        For one reader. Log levels do not come here: program.py takes them.
        """
        while (message := await self._updates.get()) is not None:
            yield message

    def deliver(self, message: Down | None) -> None:
        """Pass on what came down the pipe; None at its end."""
        self._updates.put_nowait(message)
