"""A history of calls on registers, and whether one order of them explains it all.

Each call has a beginning and an end, and happened, if at all, at one moment between them. Whether
such moments exist is asked for each register by itself: linearizability is a property of each of
them (Herlihy and Wing). The search is Wing and Gong's, with Lowe's memory of where it was before.

A call whose outcome nobody was told may have happened at any time after it began, or never.
"""

import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

FOREVER: Final = float("inf")


@dataclass(slots=True, eq=False)
class Call:
    """`kind` on the register of that name.

    create(value), update(id, expected version, value), remove(id) and read. Each time a register is
    created it gets a new id. `found`, `id` and `version` are what was answered: ok, exists, stale,
    absent, or unknown, as long as nothing was. `expected` and `version` are 0 where they say
    nothing of who wrote: others than the writers here may have raised them.
    """

    name: str
    kind: str
    value: str = ""
    id: str = ""
    expected: int = 0
    begun: float = 0.0
    ended: float = FOREVER
    found: str = "unknown"
    version: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """What a register holds; version 0 and no id where nobody was told which they are."""

    value: str
    version: int
    id: str

    def has(self, call: Call) -> bool:
        """Whether it is, or may be, the one that the call is about."""
        return self.id in {"", call.id}


class History:
    """Calls of many threads, in the order in which they began."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._lock = threading.Lock()

    def begin(self, name: str, kind: str, **asked: Any) -> Call:
        call = Call(name, kind, **asked, begun=time.monotonic())
        with self._lock:
            self.calls.append(call)
        return call

    def end(self, call: Call, found: str, **told: Any) -> None:
        for name, one in told.items():
            setattr(call, name, one)
        call.found, call.ended = found, time.monotonic()

    def acknowledged(self, since: float = 0.0) -> list[Call]:
        """Writes that somebody was told of, which began after that."""
        return [
            one
            for one in list(self.calls)
            if one.kind != "read" and one.found == "ok" and one.begun >= since
        ]


def violations(calls: Iterable[Call]) -> list[str]:
    """What no order of these calls explains, in a sentence each; empty for a sound history."""
    known = list(calls)
    registers: dict[str, list[Call]] = defaultdict(list)
    for call in known:
        registers[call.name].append(call)
    found = [f"{name}: no order explains it" for name, of in registers.items() if not linear(of)]
    return found + list(_out_of_turn(known))


def linear(calls: Iterable[Call]) -> bool:
    """Whether the calls on one register, absent at first, have an order that explains them."""
    search = _Search(sorted(calls, key=lambda one: one.begun))
    return search.run()


def _out_of_turn(calls: Iterable[Call]) -> Iterator[str]:
    """Writes of two leaders, interleaved: one that began after another's end has an older version.

    Versions are of the store as a whole, one for each transaction.
    """
    writes = [one for one in calls if one.kind in {"create", "update"} and one.found == "ok"]
    by_end = sorted(writes, key=lambda one: one.ended)
    newest, done = 0, 0
    for write in sorted(writes, key=lambda one: one.begun):
        while done < len(by_end) and by_end[done].ended < write.begun:
            newest = max(newest, by_end[done].version)
            done += 1
        if write.version <= newest:
            yield f"{write.name}: version {write.version} after {newest} was acknowledged"
    versions = sorted(one.version for one in writes)
    for one, other in itertools.pairwise(versions):
        if one == other:
            yield f"version {one} was given twice"


@dataclass(slots=True)
class _Search:
    calls: list[Call]
    _seen: set[tuple[int, State | None]] = field(default_factory=set)

    def run(self) -> bool:
        """Depth first, without recursion; a place where it was before is not tried again."""
        told = sum(1 << at for at, one in enumerate(self.calls) if one.found != "unknown")
        steps = [self._steps(0, None)]
        while steps:
            step = next(steps[-1], None)
            if step is None:
                steps.pop()
                continue
            done, state = step
            if done & told == told:
                return True
            if step not in self._seen:
                self._seen.add(step)
                steps.append(self._steps(done, state))
        return not told

    def _steps(self, done: int, state: State | None) -> Iterator[tuple[int, State | None]]:
        """Each call that may come next, by time and by what it found; those with an end first."""
        left = [at for at in range(len(self.calls)) if not done >> at & 1]
        first_end = min((self.calls[at].ended for at in left), default=FOREVER)
        ready = [at for at in left if self.calls[at].begun <= first_end]
        for at in sorted(ready, key=lambda one: self.calls[one].ended):
            for after in outcomes(self.calls[at], state):
                yield done | 1 << at, after


def outcomes(call: Call, state: State | None) -> Iterator[State | None]:
    """The register after that call, if it can have happened to it as it is: none, or one."""
    if call.found == "unknown":
        yield from _untold(call, state)
    elif call.found == "ok":
        yield from _done(call, state)
    elif call.found == "exists":
        yield from [state] if state is not None else ()
    elif call.kind == "read":
        yield from [None] if state is None else ()
    elif call.found == "absent":
        yield from [state] if state is None or state.id != call.id else ()
    elif state is not None and state.has(call):  # stale
        yield from [state] if not call.expected or state.version != call.expected else ()


def _done(call: Call, state: State | None) -> Iterator[State | None]:
    if call.kind == "create":
        yield from [State(call.value, call.version, call.id)] if state is None else ()
    elif state is None or not state.has(call):
        return
    elif call.kind == "remove":
        yield None
    else:
        reads = call.kind == "read"
        as_known = _agree(state.version, call.version if reads else call.expected)
        if as_known and (not reads or state.value == call.value):
            yield State(call.value, call.version or state.version, call.id)


def _untold(call: Call, state: State | None) -> Iterator[State | None]:
    if call.kind == "create":
        yield from [State(call.value, 0, "")] if state is None else ()
    elif call.kind != "read" and state is not None and state.has(call):
        if call.kind == "remove":
            yield None
        elif _agree(state.version, call.expected):
            yield State(call.value, 0, call.id)


def _agree(version: int, other: int) -> bool:
    return 0 in {version, other} or version == other


def describe(calls: Iterable[Call]) -> Any:
    """For the message of a test that failed."""
    return "\n".join(
        f"{one.begun:.4f} to {one.ended:.4f} {one.kind} {one.name} {one.value} "
        f"{one.expected or ''} gives {one.found} {one.version or ''}"
        for one in sorted(calls, key=lambda one: one.begun)
    )
