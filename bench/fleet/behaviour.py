"""What a simulated node makes of its tasks: which states it reports, and when."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Final

from swarmd import api

_State = api.TaskState
_ON_THE_WAY: Final = (_State.ACCEPTED, _State.PREPARING, _State.STARTING)
_BEFORE_START: Final = (_State.ACCEPTED, _State.PREPARING)
READY: Final[int] = _State.READY
RUNNING: Final[int] = _State.RUNNING
COMPLETE: Final[int] = _State.COMPLETE

Step = tuple[float, "_State.ValueType"]
"""Seconds after the step before, and the state that is reported then."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The knobs. A task starts, runs, and ends; by default at once, for ever, never."""

    start_seconds: float = 0.0
    run_seconds: float | None = None
    """How long a task runs before it completes; None is for ever."""
    failing: float = 0.0
    """The share of tasks that fail where others run: 0 to 1."""
    every_state: bool = False
    """Report each state on the way to RUNNING, as real agents do, and not RUNNING alone."""
    hostname: str = "fleet"
    labels: dict[str, str] = field(default_factory=dict)


def steps(task: api.Task, told: int, how: Behaviour, chance: Random) -> Iterator[Step]:
    """What to report about a task that is new, or wanted otherwise, after the state `told`."""
    wanted = task.desired_state
    if told >= COMPLETE:
        return
    if wanted > COMPLETE:
        yield 0.0, _State.SHUTDOWN
    elif wanted == READY and told < READY:
        yield from _on_the_way(_BEFORE_START, how)
        yield 0.0, _State.READY
    elif wanted > READY and told < _State.STARTING:
        yield from _on_the_way(_ON_THE_WAY if told < READY else (), how)
        yield from _run(how, chance)


def _on_the_way(states: tuple["_State.ValueType", ...], how: Behaviour) -> Iterator[Step]:
    if how.every_state:
        yield from ((0.0, state) for state in states)


def _run(how: Behaviour, chance: Random) -> Iterator[Step]:
    if chance.random() < how.failing:
        yield how.start_seconds, _State.FAILED
        return
    yield how.start_seconds, _State.RUNNING
    if how.run_seconds is not None:
        yield how.run_seconds, _State.COMPLETE
