"""What the calls of a Node raise.

FailedPreconditionError
├─ NodeNotStartedError     stop before start
├─ NodeStartedError        a second start
└─ NodeStoppedError        start after stop
SwarmError
├─ NodeKilledError         somebody did not want to wait for the stop path
└─ NodeBrokenError         a mistake of our own ended the node
"""

from swarmd.errors import FailedPreconditionError, SwarmError


class NodeNotStartedError(FailedPreconditionError):
    def __init__(self) -> None:
        super().__init__("the node was not started")


class NodeStartedError(FailedPreconditionError):
    def __init__(self) -> None:
        super().__init__("the node was started already")


class NodeStoppedError(FailedPreconditionError):
    def __init__(self) -> None:
        super().__init__("the node was stopped")


class NodeKilledError(SwarmError):
    def __init__(self) -> None:
        super().__init__("a second signal: killed before the workers had stopped")


class NodeBrokenError(SwarmError):
    """The traceback is in the log; the workers were killed."""
