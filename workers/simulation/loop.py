"""An event loop in which time is a number: when nothing is ready, it jumps to the next timer.

Everything runs in one thread, first come first served, so that a seed decides all there is. A
"thread" runs inline. Waiting costs nothing: an hour without timers takes no time at all.
"""

import asyncio
import heapq
import itertools
import sys
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any, Final, TypeVar

T = TypeVar("T")
MOST_CALLS_AT_ONCE: Final = 100_000
_ROUNDS: Final = 10  # who cleans up at its end may wait for others that do


class StuckError(Exception):
    """The program waits for something that no timer will bring, or never stops to wait."""


class _Call:
    """A callback to come; asyncio only ever cancels it."""

    __slots__ = ("args", "callback", "context")

    def __init__(
        self, callback: Callable[..., object] | None, args: Any, context: Context | None
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context

    def cancel(self) -> None:
        self.callback, self.args = None, ()

    def cancelled(self) -> bool:
        return self.callback is None


class SimulatedTask(asyncio.Task[Any]):
    """A task that sorts the same way in every run: by its turn, not by where it lies in memory."""

    def __init__(self, coro: Any, turn: int, **options: Any) -> None:
        self.turn = turn
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self.turn


class VirtualLoop(asyncio.AbstractEventLoop):
    """`run` drives a coroutine to its end; `calls` counts the callbacks that it took."""

    def __init__(self) -> None:
        self.calls = 0
        self.complaints: list[str] = []
        """What nobody else heard of: exceptions of tasks and callbacks that were never asked."""
        self._now = 0.0
        self._ready: deque[_Call] = deque()
        self._timers: list[tuple[float, int, _Call]] = []
        self._turns = itertools.count()

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        """What the coroutine returns; raises what it raises, or StuckError."""
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=None, finalizer=self._finish_generator)
        asyncio._set_running_loop(self)  # noqa: SLF001  documented for makers of event loops
        try:
            main = self.create_task(coro)
            while not main.done():
                self._run_ready()
                if not main.done():
                    self._jump()
            return main.result()
        finally:
            self._unwind()
            asyncio._set_running_loop(None)  # noqa: SLF001
            sys.set_asyncgen_hooks(*hooks)

    def time(self) -> float:
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Call:
        call = _Call(callback, args, copy_context() if context is None else context)
        self._ready.append(call)
        return call

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> _Call:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> _Call:
        call = _Call(callback, args, copy_context() if context is None else context)
        heapq.heappush(self._timers, (when, next(self._turns), call))
        return call

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        return SimulatedTask(coro, next(self._turns), loop=self, name=name, context=context)

    def run_in_executor(  # type: ignore[override]
        self,
        executor: Any,  # noqa: ARG002  there are no threads
        func: Callable[..., T],
        *args: Any,
    ) -> Awaitable[T]:
        """No thread: the call is over before the caller waits for it."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  it is raised where the thread's would be
            done.set_exception(error)
        return done

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.complaints.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _run_ready(self) -> None:
        ready, limit = self._ready, self.calls + MOST_CALLS_AT_ONCE
        while ready:
            call = ready.popleft()
            if call.callback is None or call.context is None:
                continue
            self.calls += 1
            call.context.run(call.callback, *call.args)
            if self.calls > limit:
                raise StuckError(f"time stands still at {self._now:.3f} s: something spins")

    def _jump(self) -> None:
        """To the next timer that nobody cancelled, and those of the same moment."""
        timers = self._timers
        while timers and timers[0][2].callback is None:
            heapq.heappop(timers)
        if not timers:
            raise StuckError(f"everything waits for ever since {self._now:.3f} s")
        self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            self._ready.append(heapq.heappop(timers)[2])

    def _unwind(self) -> None:
        """End what is left, as time stands still."""
        for _ in range(_ROUNDS):
            left = asyncio.all_tasks(self)
            if not left:
                return
            for task in left:
                task.cancel()
            self._run_ready()

    def _finish_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        _ = self.create_task(_close(generator))


async def _close(generator: AsyncGenerator[Any, Any]) -> None:
    await generator.aclose()
