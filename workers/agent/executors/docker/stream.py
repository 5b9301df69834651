"""What an engine sends for as long as it likes, as an async iterator.

The SDK blocks, so each stream is read by a thread of its own: a bounded pool would be full of them.
The thread is a few pieces ahead at most. To end it early its socket is shut down for reading.
"""

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Final

from requests import Response

_MOST_AHEAD: Final = 16


async def pieces(open_response: Callable[[], Response]) -> AsyncGenerator[bytes, None]:
    """The body, piece by piece as it comes; raises what opening and reading raise."""
    reader = _Reader(open_response, asyncio.get_running_loop())
    threading.Thread(target=reader.read, name="docker-stream", daemon=True).start()
    try:
        while (piece := await reader.queue.get()) is not None:
            reader.room.release()
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
    """One response, in its thread; `queue` ends with None."""

    def __init__(
        self, open_response: Callable[[], Response], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._open = open_response
        self._loop = loop
        self._lock = threading.Lock()
        self._response: Response | None = None
        self._is_ended = False
        self.room = threading.Semaphore(_MOST_AHEAD)
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.error: Exception | None = None

    def read(self) -> None:
        """The thread."""
        try:
            with self._open() as response:
                self._hold(response)
                self._pass_on(response)
        except Exception as error:  # noqa: BLE001  it is raised again where the stream is read
            self.error = error
        finally:
            self._put(None)

    def end(self) -> None:
        """From the loop: nobody reads any more."""
        with self._lock:
            self._is_ended = True
            if self._response is not None:
                # It may have ended by itself just now: then there is no socket any more.
                with contextlib.suppress(OSError, ValueError, RuntimeError):
                    self._response.raw.shutdown()
        self.room.release()

    def _hold(self, response: Response) -> None:
        with self._lock:
            self._response = response

    def _pass_on(self, response: Response) -> None:
        for piece in response.iter_content(chunk_size=None):
            self.room.acquire()
            if self._is_ended:
                return
            self._put(piece)
        with self._lock:
            self._response = None

    def _put(self, piece: bytes | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for it
            self._loop.call_soon_threadsafe(self.queue.put_nowait, piece)
