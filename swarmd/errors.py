"""The error tree. A class carries the status, an instance the sentence.

    SwarmError
    ├─ InvalidArgumentError        the caller's fault: names the field
    ├─ NotFoundError               no such object
    ├─ AlreadyExistsError          a name or id is taken
    │  └─ NameConflictError        … a name, in the store
    ├─ FailedPreconditionError     sound, but not in this state of the cluster
    ├─ OutOfSequenceError          the object changed since it was read
    ├─ UnimplementedError          not there yet, with a sentence
    ├─ PermissionDeniedError       the caller's certificate may not do this
    ├─ UnauthenticatedError        the caller showed no certificate that counts
    ├─ UnavailableError            not now: try again, or another manager
    │  ├─ NotLeaderError           … this manager follows: another one writes
    │  └─ NoHttp2Error             … its TLS does not answer ALPN: a tunnel helps
    ├─ ResourceExhaustedError      a limit was reached
    ├─ CorruptStateError           a state file cannot be trusted; names the file
    └─ CannotBootError             do not retry: a bad flag, a corrupt state, a port in use

`ExitStatus` says what a process's end means to whoever started it.
"""

import enum


class Status(enum.IntEnum):
    """gRPC's status codes, by their numbers on the wire."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class ExitStatus(enum.IntEnum):
    """Exit statuses of swarmd and its workers; 2 is click's, for a flag that does not parse."""

    CLEAN = 0
    FAILED = 1
    USAGE = 2
    STOPPED = 3  # LSB's "program is not running", told by `swarmd status`
    DEGRADED = 4  # `swarmd status`: runs, but is not ready
    CANNOT_BOOT = 78  # sysexits' EX_CONFIG: retrying cannot help
    INTERRUPTED = 130  # 128 and SIGINT: Ctrl+C ended what goes on until then


class SwarmError(Exception):
    """The root: its status is what a gRPC client sees, its text is a sentence for people."""

    status = Status.UNKNOWN


class InvalidArgumentError(SwarmError):
    status = Status.INVALID_ARGUMENT


class NotFoundError(SwarmError):
    status = Status.NOT_FOUND

    def __init__(self, kind: str, object_id: str) -> None:
        super().__init__(f"{kind} {object_id} not found")


class AlreadyExistsError(SwarmError):
    status = Status.ALREADY_EXISTS


class NameConflictError(AlreadyExistsError):
    """Another object of this kind has that name, compared without case."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"name conflicts with an existing object: {kind} {name}")


class FailedPreconditionError(SwarmError):
    status = Status.FAILED_PRECONDITION


class OutOfSequenceError(SwarmError):
    """SwarmKit's clients know it by this code and this sentence."""

    status = Status.UNKNOWN

    def __init__(self) -> None:
        super().__init__("update out of sequence")


class UnimplementedError(SwarmError):
    status = Status.UNIMPLEMENTED


class PermissionDeniedError(SwarmError):
    status = Status.PERMISSION_DENIED


class UnauthenticatedError(SwarmError):
    status = Status.UNAUTHENTICATED


class UnavailableError(SwarmError):
    status = Status.UNAVAILABLE


class NotLeaderError(UnavailableError):
    """This manager does not lead, or leads no more; nothing was changed."""

    def __init__(self) -> None:
        super().__init__("this manager does not lead now: try again, or another manager")


class NoHttp2Error(UnavailableError):
    """The manager's TLS does not offer HTTP/2, which gRPC asks for."""

    def __init__(self) -> None:
        super().__init__(
            "its TLS does not offer HTTP/2 (ALPN), like that of every SwarmKit manager that renewed"
            " its certificate"
        )


class ResourceExhaustedError(SwarmError):
    status = Status.RESOURCE_EXHAUSTED


class CorruptStateError(SwarmError):
    status = Status.DATA_LOSS


class CannotBootError(SwarmError):
    """The process ends with `ExitStatus.CANNOT_BOOT`, and its parent does not start it again."""

    status = Status.FAILED_PRECONDITION
