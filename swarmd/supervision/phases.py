"""The whole life of a worker process, in supervisord's words; what is absent is impossible.

    STOPPED ─▶ STARTING ─▶ RUNNING ─▶ STOPPING ─▶ STOPPED
                  │ ▲         │
                  ▼ │         │
                BACKOFF ◀─────┘        FATAL: given up      EXITED: it said that it cannot boot

A worker leaves STARTING for RUNNING when it says Ready, not when it has a process.
"""

import enum
from collections.abc import Mapping
from typing import Final


class Phase(enum.StrEnum):
    STOPPED = "STOPPED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    BACKOFF = "BACKOFF"
    STOPPING = "STOPPING"
    EXITED = "EXITED"
    FATAL = "FATAL"


class Event(enum.Enum):
    SPAWNED = enum.auto()  # the start of a process was asked of the system
    READY = enum.auto()  # the worker says that it does its work
    EXITED = enum.auto()  # there is no process, or no more
    REFUSED = enum.auto()  # it exited, and said that a restart cannot help
    GAVE_UP = enum.auto()  # it ended too often
    STOP = enum.auto()  # the node wants it gone


class InvalidMoveError(AssertionError):
    """Our own mistake: this event cannot come in this phase."""

    def __init__(self, phase: enum.Enum, event: enum.Enum) -> None:
        super().__init__(f"{event.name} cannot come in {phase.name}")


MOVES: Final[Mapping[Phase, Mapping[Event, Phase]]] = {
    Phase.STOPPED: {Event.SPAWNED: Phase.STARTING},
    Phase.STARTING: {
        Event.READY: Phase.RUNNING,
        Event.EXITED: Phase.BACKOFF,
        Event.REFUSED: Phase.EXITED,
        Event.STOP: Phase.STOPPING,
    },
    Phase.RUNNING: {
        Event.READY: Phase.RUNNING,  # it may say so again
        Event.EXITED: Phase.BACKOFF,
        Event.REFUSED: Phase.EXITED,
        Event.STOP: Phase.STOPPING,
    },
    Phase.BACKOFF: {
        Event.SPAWNED: Phase.STARTING,
        Event.GAVE_UP: Phase.FATAL,
        Event.STOP: Phase.STOPPED,
    },
    Phase.STOPPING: {
        Event.READY: Phase.STOPPING,  # ready may cross our stop
        Event.EXITED: Phase.STOPPED,
        Event.REFUSED: Phase.STOPPED,  # so may a refusal
    },
    Phase.EXITED: {},
    Phase.FATAL: {},
}


def after(phase: Phase, event: Event) -> Phase:
    """The phase that the event leads to; raises InvalidMoveError where it cannot come."""
    if event not in MOVES[phase]:
        raise InvalidMoveError(phase, event)
    return MOVES[phase][event]
