"""SwarmError to gRPC status and back, in one place."""

from typing import Any, Final, NoReturn

import grpc
from grpc import aio

from swarmd.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NoHttp2Error,
    NotFoundError,
    NotLeaderError,
    OutOfSequenceError,
    PermissionDeniedError,
    ResourceExhaustedError,
    Status,
    SwarmError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from swarmd.logs import fields, get_logger

log = get_logger(__name__)

_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_CLASSES: Final[dict[Status, type[SwarmError]]] = {
    Status.INVALID_ARGUMENT: InvalidArgumentError,
    Status.NOT_FOUND: NotFoundError,
    Status.ALREADY_EXISTS: AlreadyExistsError,
    Status.PERMISSION_DENIED: PermissionDeniedError,
    Status.RESOURCE_EXHAUSTED: ResourceExhaustedError,
    Status.FAILED_PRECONDITION: FailedPreconditionError,
    Status.UNIMPLEMENTED: UnimplementedError,
    Status.UNAVAILABLE: UnavailableError,
    Status.UNAUTHENTICATED: UnauthenticatedError,
}
_NO_HTTP2: Final = "missing selected ALPN"  # grpcio insists on it, Go's clients did not: tunnel.py
_OUT_OF_SEQUENCE: Final = str(OutOfSequenceError())
_NOT_LEADER: Final = str(NotLeaderError())


async def abort(context: Any, method: str, error: Exception) -> NoReturn:
    """End the call with what `error` says; called from the handler that raised it.

    An error that is no SwarmError is our own mistake: the caller gets INTERNAL and one sentence,
    the log gets the traceback.
    """
    if isinstance(error, aio.AbortError):
        raise error
    if isinstance(error, SwarmError):
        await context.abort(_CODES[int(error.status)], str(error))
    else:
        log.error("call failed", extra=fields(method=method), exc_info=error)
        kind = type(error).__name__
        sentence = f"internal error in {method.lstrip('/')} ({kind}); the manager's log has details"
        await context.abort(grpc.StatusCode.INTERNAL, sentence)
    raise AssertionError("abort returned")  # pragma: no cover


def from_rpc_error(error: aio.AioRpcError) -> SwarmError:
    """The error that the far side raised, as near as its status and sentence tell."""
    status, sentence = Status(error.code().value[0]), error.details() or error.code().name
    if status is Status.UNAVAILABLE and _NO_HTTP2 in sentence:
        return NoHttp2Error()
    if status is Status.UNAVAILABLE and sentence == _NOT_LEADER:
        return NotLeaderError()
    if status is Status.UNKNOWN and sentence.endswith(_OUT_OF_SEQUENCE):
        return OutOfSequenceError()
    kind = _CLASSES.get(status, SwarmError)
    result = kind.__new__(kind, sentence)  # some classes build their sentence; this one is built
    if kind is SwarmError:
        result.status = status
    return result
