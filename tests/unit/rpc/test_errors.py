"""A SwarmError keeps its status and sentence over the wire; our own mistakes tell no secrets."""

import logging

import grpc
import pytest
from grpc import aio

from swarmd.errors import (
    AlreadyExistsError,
    CorruptStateError,
    FailedPreconditionError,
    InvalidArgumentError,
    NoHttp2Error,
    NotFoundError,
    OutOfSequenceError,
    PermissionDeniedError,
    ResourceExhaustedError,
    Status,
    SwarmError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from swarmd.rpc.errors import abort, from_rpc_error


class AbortedError(Exception):
    """What grpcio raises out of abort."""


class Context:
    async def abort(self, code, details):
        raise AbortedError(code, details)


async def told(error):
    with pytest.raises(AbortedError) as caught:
        await abort(Context(), "/p.S/M", error)
    return caught.value.args


def over_the_wire(code, details):
    metadata = aio.Metadata()
    return from_rpc_error(aio.AioRpcError(code, metadata, metadata, details))


@pytest.mark.parametrize(
    "error",
    [
        InvalidArgumentError("a"),
        NotFoundError("node", "x"),
        AlreadyExistsError("b"),
        FailedPreconditionError("c"),
        OutOfSequenceError(),
        UnimplementedError("d"),
        PermissionDeniedError("e"),
        UnauthenticatedError("f"),
        UnavailableError("g"),
        ResourceExhaustedError("h"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_error_arrives_as_it_was_raised(error):
    arrived = over_the_wire(*await told(error))
    assert (type(error), str(error)) == (type(arrived), str(arrived))


async def test_an_error_without_a_class_of_its_own_keeps_its_status():
    arrived = over_the_wire(*await told(CorruptStateError("x is corrupt")))
    assert (Status.DATA_LOSS, "x is corrupt") == (arrived.status, str(arrived))
    assert Status.UNKNOWN == SwarmError.status


async def test_an_unknown_exception_is_internal_and_logged_once_with_its_traceback(caplog):
    with caplog.at_level(logging.ERROR):
        code, sentence = await told(KeyError("secret"))
    assert grpc.StatusCode.INTERNAL == code
    assert "p.S/M" in sentence
    assert "secret" not in sentence
    (record,) = caplog.records
    assert KeyError is record.exc_info[0]


async def test_an_abort_of_the_handlers_own_passes():
    with pytest.raises(aio.AbortError):
        await abort(Context(), "/p.S/M", aio.AbortError())


def test_an_error_without_a_sentence_says_its_code():
    assert "UNAVAILABLE" == str(over_the_wire(grpc.StatusCode.UNAVAILABLE, ""))


def test_go_wraps_the_sentence_of_a_version_conflict():
    error = over_the_wire(grpc.StatusCode.UNKNOWN, "update out of sequence")
    assert isinstance(error, OutOfSequenceError)


def test_a_go_manager_that_lost_http2_is_told_of_as_what_it_is():
    said = "failed to connect to all addresses; Cannot check peer: missing selected ALPN property."
    error = over_the_wire(grpc.StatusCode.UNAVAILABLE, said)
    assert isinstance(error, NoHttp2Error)
