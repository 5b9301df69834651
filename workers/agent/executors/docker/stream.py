"""What an engine sends for as long as it likes, as an async iterator.

The SDK blocks, so each stream is read by a thread of its own: a bounded pool would be full of them.
What came since the last look is handed over in one piece: a hop between threads for each line would
cost more than the line. The thread waits when nobody takes it. To end it early, its socket is shut
down for reading.
"""

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Final

from requests import Response

_MOST_AHEAD: Final = 1 << 20


async def pieces(open_response: Callable[[], Response]) -> AsyncGenerator[bytes, None]:
    """The body, piece by piece as it comes; raises what opening and reading raise."""
    reader = _Reader(open_response, asyncio.get_running_loop())
    threading.Thread(target=reader.read, name="docker-stream", daemon=True).start()
    try:
        while piece := await reader.take():
            yield piece
        if reader.error is not None:
            raise reader.error
    finally:
        reader.end()


async def json_lines(body: AsyncGenerator[bytes, None]) -> AsyncIterator[dict[str, Any]]:
    """The JSON object of each line."""
    begun = b""
    async with aclosing(body):
        async for piece in body:
            *lines, begun = (begun + piece).split(b"\n")
            for line in lines:
                if line.strip():
                    yield json.loads(line)


class _Reader:
    """One response: read in its thread, taken and ended in the loop."""

    def __init__(
        self, open_response: Callable[[], Response], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._open = open_response
        self._loop = loop
        self._state = threading.Condition()  # guards what follows
        self._response: Response | None = None
        self._ahead = bytearray()
        self._is_over = False  # there is no more to come
        self._is_ended = False  # nobody reads any more
        self._came = asyncio.Event()
        self.error: Exception | None = None

    def read(self) -> None:
        """The thread."""
        try:
            with self._open() as response:
                self._pass_on(response)
        except Exception as error:  # noqa: BLE001  it is raised again where the stream is read
            self.error = error
        with self._state:
            self._is_over = True
        self._tell()

    async def take(self) -> bytes:
        """All that came meanwhile, at least something; nothing after the end."""
        while True:
            self._came.clear()
            with self._state:
                taken, self._ahead = bytes(self._ahead), bytearray()
                self._state.notify_all()
                if taken or self._is_over:
                    return taken
            await self._came.wait()

    def end(self) -> None:
        """Nobody reads any more: the thread ends soon."""
        with self._state:
            self._is_ended = True
            self._state.notify_all()
            if self._response is not None:
                # It may have ended by itself just now: then there is no socket any more.
                with contextlib.suppress(OSError, ValueError, RuntimeError):
                    self._response.raw.shutdown()

    def _pass_on(self, response: Response) -> None:
        with self._state:
            self._response = response
        try:
            for piece in response.iter_content(chunk_size=None):
                if not self._put(piece):
                    return
        finally:
            with self._state:
                self._response = None

    def _put(self, piece: bytes) -> bool:
        """Whether anyone still wants more."""
        with self._state:
            self._state.wait_for(lambda: len(self._ahead) < _MOST_AHEAD or self._is_ended)
            if self._is_ended:
                return False
            is_news = not self._ahead
            self._ahead += piece
        if is_news:
            self._tell()
        return True

    def _tell(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for it
            self._loop.call_soon_threadsafe(self._came.set)
