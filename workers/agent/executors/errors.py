"""How an engine says that a step did not work.

ExecutorError
├─ RejectedError         this task can never run here: REJECTED, with the reason
├─ TemporaryError        not now: the same step is tried again
├─ AlreadyStartedError   it was started before: go on to wait for it
├─ GoneError             the engine knows no such task (any more)
└─ ExitError             it ran, and ended badly: FAILED, with the exit code
"""

from swarmd.errors import SwarmError


class ExecutorError(SwarmError):
    """The root."""


class RejectedError(ExecutorError):
    """The text is the reason that `swarmctl task ls` shows."""


class TemporaryError(ExecutorError):
    """SwarmKit tries such a step again after a second; so do we, with back-off."""


class AlreadyStartedError(ExecutorError):
    pass


class GoneError(ExecutorError):
    pass


class ExitError(ExecutorError):
    """`code` is the exit status, 128 + signal where a signal ended it."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(reason or f"task: non-zero exit ({code})")
        self.code = code
