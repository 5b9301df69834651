"""A worker process that is none: the test says what it says, and ends it."""

import asyncio
import itertools
from collections.abc import Callable

from swarmd.ipc.messages import Down, Up

_pids = itertools.count(1000)


class FakeChild:
    """Ends when it is told to, unless `ignores_stop`; always when it is killed."""

    def __init__(self, hear: Callable[[Up], None], *, ignores_stop: bool = False) -> None:
        self.pid = next(_pids)
        self.say = hear
        self.sent: list[Down] = []
        self.signals: list[str] = []
        self._ignores_stop = ignores_stop
        self._end: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def send(self, message: Down) -> None:
        self.sent.append(message)

    def terminate(self) -> None:
        self.signals.append("TERM")
        if not self._ignores_stop:
            self.exit(0)

    def kill(self) -> None:
        self.signals.append("KILL")
        self.exit(-9)

    def exit(self, status: int) -> None:
        if not self._end.done():
            self._end.set_result(status)

    async def wait(self) -> int:
        return await asyncio.shield(self._end)


class FakeSpawn:
    """Starts fake children, and keeps them; raises `error` instead while there is one."""

    def __init__(self, *, ignores_stop: bool = False) -> None:
        self.children: list[FakeChild] = []
        self.error: OSError | None = None
        self._ignores_stop = ignores_stop
        self._more = asyncio.Event()

    def __call__(self, hear: Callable[[Up], None]) -> FakeChild:
        if self.error is not None:
            raise self.error
        self.children.append(FakeChild(hear, ignores_stop=self._ignores_stop))
        self._more.set()
        return self.children[-1]

    async def wait_child(self, count: int) -> FakeChild:
        """The child of this number, counted from one, once it was started."""
        while len(self.children) < count:
            self._more.clear()
            await self._more.wait()
        return self.children[count - 1]


async def until(condition: Callable[[], object]) -> None:
    """Turn the loop until it holds; the test's own time limit bounds it."""
    while not condition():  # noqa: ASYNC110  what it looks at tells nobody
        await asyncio.sleep(0)
