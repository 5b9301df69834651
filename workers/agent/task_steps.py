"""Observed and desired state to the next step: the whole life of a task on its node, as a table.

    ASSIGNED ─▶ ACCEPTED ─▶ PREPARING ─▶ READY ─▶ STARTING ─▶ RUNNING ─▶ COMPLETE
                              prepare()              start()     wait()

A step is one call of the controller, or none, and the state it leads to. A task goes on while its
state is below the desired one. In PREPARING, STARTING and RUNNING something is under way: these go
on even at the desired state. A desired state of SHUTDOWN or beyond (REMOVE too: its agent brings a
task no further than SHUTDOWN) shuts down whatever has not ended. A step that fails ends the task:
REJECTED when that was before STARTING, else FAILED. States only move forward.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from swarmd import api

State: TypeAlias = api.TaskState.ValueType


class Call(enum.Enum):
    """What a step asks of the controller."""

    NOTHING = enum.auto()
    PREPARE = enum.auto()
    START = enum.auto()
    WAIT = enum.auto()
    SHUTDOWN = enum.auto()


@dataclass(frozen=True, slots=True)
class Step:
    """One call, and what the task's status says when it worked."""

    call: Call
    state: State
    message: str


_ACCEPT: Final = Step(Call.NOTHING, api.TaskState.ACCEPTED, "accepted")
_SHUTDOWN: Final = Step(Call.SHUTDOWN, api.TaskState.SHUTDOWN, "shutdown")

STEPS: Final[Mapping[State, Step]] = {
    api.TaskState.NEW: _ACCEPT,
    api.TaskState.PENDING: _ACCEPT,
    api.TaskState.ASSIGNED: _ACCEPT,
    api.TaskState.ACCEPTED: Step(Call.NOTHING, api.TaskState.PREPARING, "preparing"),
    api.TaskState.PREPARING: Step(Call.PREPARE, api.TaskState.READY, "prepared"),
    api.TaskState.READY: Step(Call.NOTHING, api.TaskState.STARTING, "starting"),
    api.TaskState.STARTING: Step(Call.START, api.TaskState.RUNNING, "started"),
    api.TaskState.RUNNING: Step(Call.WAIT, api.TaskState.COMPLETE, "finished"),
}


def next_step(observed: State, desired: State) -> Step | None:
    """What to do now; None when there is nothing until the desired state changes."""
    if desired >= api.TaskState.SHUTDOWN:
        return None if has_ended(observed) else _SHUTDOWN
    step = STEPS.get(observed)
    if step is None or observed > desired:
        return None
    if observed == desired and step.call is Call.NOTHING:
        return None
    return step


def has_ended(observed: State) -> bool:
    """It will not run (again) here."""
    return observed >= api.TaskState.COMPLETE


def after_failure(observed: State) -> State:
    """Where a task ends whose step failed in this state."""
    if has_ended(observed):
        return observed
    if observed < api.TaskState.STARTING:
        return api.TaskState.REJECTED
    return api.TaskState.FAILED
