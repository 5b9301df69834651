"""A node's first certificate, with a join token; and each later one, with the one before.

    root CA, its digest compared with the token's
      ─▶ request and token to the manager ─▶ node id ─▶ asked how it fares ─▶ certificate, on disk

A node whose certificate ran out while it was off goes the same way again. Its request names it, and
is signed with a key that the cluster certified: so it is the same node afterwards.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final, TypeVar

import grpc
from grpc import aio

from swarmd import api
from swarmd.api.protos.ca_pb2_grpc import NodeCAStub
from swarmd.api.protos.quorum_pb2 import JoinQuorumRequest
from swarmd.api.protos.quorum_pb2_grpc import QuorumStub
from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.config import NodeConfig
from swarmd.errors import (
    CannotBootError,
    FailedPreconditionError,
    InvalidArgumentError,
    Status,
    SwarmError,
    UnauthenticatedError,
    UnavailableError,
)
from swarmd.etcd_program import why_no_manager
from swarmd.logs import fields, get_logger
from swarmd.rpc.channel import DialToJoin, dial_to_join, fetch_root
from swarmd.rpc.errors import from_rpc_error
from swarmd.rpc.tunnel import Tunnels
from swarmd.security import join_tokens
from swarmd.security.certificates import (
    BadCertificateError,
    NodeCertificates,
    new_request,
)
from swarmd.security.identity import MANAGER
from swarmd.security.join_tokens import JoinToken
from swarmd.security.reentry import (
    FORMER_HEADER,
    FORMS_QUORUM,
    QUORUM_HEADER,
    request_again,
)
from swarmd.security.tls import manager_context
from swarmd.state_dir import StateDir

log = get_logger(__name__)

_TRIES: Final = 5
_RETRY_SECONDS: Final = 2.0
_RPC_SECONDS: Final = 5.0
_FIRST_POLL_SECONDS: Final = 1.0
_LAST_POLL_SECONDS: Final = 30.0
_TRANSIENT: Final = frozenset({Status.UNAVAILABLE, Status.DEADLINE_EXCEEDED, Status.ABORTED})
_State = api.IssuanceStatus.State
_T = TypeVar("_T")

NO_MANAGER: Final = (
    "this node cannot be a manager: the managers of this cluster are of another kind, and form no"
    " quorum with swarmd's. Join with the worker token"
)


@dataclass(frozen=True, slots=True)
class Request:
    """What a node sends to be certified, and the key that it keeps."""

    csr: bytes
    key_pem: bytes = field(repr=False)
    token: str = field(default="", repr=False)
    availability: str = "active"
    former: bytes = b""
    """The certificate that ran out, of who had one."""
    why_no_manager: str = ""
    """Empty where the node can be one."""


async def enroll(
    config: NodeConfig, state_dir: StateDir, clock: Clock, random: Random
) -> NodeCertificates:
    """Join the cluster that the options name; the certificates are on disk afterwards.

    Raises CannotBootError, in one sentence, for whatever another try would not mend.
    """
    token, address = _parse(config.join_token), config.join_addr
    before = await asyncio.to_thread(_earlier, state_dir)
    log.info("joining", extra=fields(manager=address))
    dial = _dial(Tunnels())
    root = await _persist(lambda: fetch_root(address, token.root_digest, dial), address, clock)
    why_not = await asyncio.to_thread(why_no_manager, config.store)
    request = replace(_request(config, before), why_no_manager=why_not)
    try:
        async with dial(address, root) as channel:
            node_id = await _persist(lambda: issue(channel, request), address, clock)
            chain = await wait_issued(channel, node_id, request.csr, clock, random)
            certificates = NodeCertificates.of(root, chain, request.key_pem)
            suits = certificates.identity.role != MANAGER or await takes_managers(channel)
    except CannotBootError:
        raise
    except SwarmError as error:
        raise _refused(error, address) from error
    if not suits:
        raise CannotBootError(NO_MANAGER)
    _check(certificates, before)
    await _save(certificates, state_dir)
    identity = certificates.identity
    if before is not None and before.identity.node_id != identity.node_id:
        log.warning(
            "its cluster knew this node no more: it is another one now",
            extra=fields(before=before.identity.node_id),
        )
    log.info("joined", extra=fields(cluster=identity.cluster_id, node=identity.node_id))
    return certificates


def _dial(tunnels: Tunnels) -> DialToJoin:
    return lambda address, root: tunnels.channel(
        address, lambda: dial_to_join(address, root), lambda: manager_context(root)
    )


async def issue(channel: aio.Channel, request: Request) -> str:
    """Hand the request in; the id of the node that it makes, or is of."""
    availability = api.NodeSpec.Availability.Value(request.availability.upper())
    message = api.IssueNodeCertificateRequest(
        csr=request.csr, token=request.token, availability=availability
    )
    said = request.why_no_manager.encode("ascii", "backslashreplace").decode() or FORMS_QUORUM
    sent: list[tuple[str, str | bytes]] = [(QUORUM_HEADER, said)]
    if request.former:
        sent.append((FORMER_HEADER, request.former))
    try:
        answer = await NodeCAStub(channel).IssueNodeCertificate(
            message, timeout=_RPC_SECONDS, metadata=sent
        )
    except aio.AioRpcError as error:
        raise from_rpc_error(error) from error
    return str(answer.node_id)


async def takes_managers(channel: aio.Channel) -> bool:
    """Whether the manager there can have one like us beside it: Go's cannot."""
    try:
        await QuorumStub(channel).Join(JoinQuorumRequest(), timeout=_RPC_SECONDS)
    except aio.AioRpcError as error:
        return error.code() is not grpc.StatusCode.UNIMPLEMENTED
    return True


async def wait_issued(
    channel: aio.Channel, node_id: str, csr: bytes, clock: Clock, random: Random
) -> bytes:
    """The certificate chain (PEM) for this request, however long that takes.

    Raises FailedPreconditionError when it is refused, or what else the manager says.
    """
    backoff = Backoff(_FIRST_POLL_SECONDS, _LAST_POLL_SECONDS, random)
    message = api.NodeCertificateStatusRequest(node_id=node_id)
    while True:
        try:
            answer = await NodeCAStub(channel).NodeCertificateStatus(message, timeout=_RPC_SECONDS)
        except aio.AioRpcError as rpc_error:
            error = from_rpc_error(rpc_error)
            if error.status not in _TRANSIENT:
                raise error from rpc_error
            reason = str(error)
        else:
            status, certificate = answer.status, answer.certificate
            if status.state == _State.FAILED:
                raise FailedPreconditionError(f"the certificate was refused: {status.err}")
            if status.state == _State.ISSUED and certificate.csr == csr:
                return bytes(certificate.certificate)
            reason = f"the request is {_State.Name(status.state)}"
        delay = backoff.next()
        log.info("waits for its certificate", extra=fields(reason=reason, retry_seconds=delay))
        await clock.sleep(delay)


def _parse(text: str) -> JoinToken:
    try:
        token = join_tokens.parse(text)
    except InvalidArgumentError as error:
        raise CannotBootError(
            "the join token is malformed: it reads SWMTKN-1-, 50 letters and digits, a dash, and 25"
            " more, as `swarmctl cluster inspect default` shows it"
        ) from error
    if token.fips:
        raise CannotBootError("the join token is of a cluster in FIPS mode: not supported")
    return token


def _earlier(state_dir: StateDir) -> NodeCertificates | None:
    """What this node was before; raises CorruptStateError where it cannot be read."""
    return NodeCertificates.load(state_dir) if NodeCertificates.exist(state_dir) else None


def _request(config: NodeConfig, before: NodeCertificates | None) -> Request:
    if before is None:
        return Request(*new_request(), config.join_token, config.availability)
    csr = request_again(before.identity.node_id, before.key_pem)
    return Request(
        csr, before.key_pem, config.join_token, config.availability, before.certificate_pem
    )


async def _persist(call: Callable[[], Awaitable[_T]], address: str, clock: Clock) -> _T:
    """Try a few times, as the manager may be just starting."""
    for left in reversed(range(_TRIES)):
        try:
            return await call()
        except CannotBootError:
            raise
        except UnauthenticatedError as error:
            raise CannotBootError(str(error)) from error
        except SwarmError as error:
            if error.status not in _TRANSIENT:
                raise _refused(error, address) from error
            if not left:
                raise CannotBootError(
                    f"cannot join by way of {address}, tried {_TRIES} times: {error}"
                ) from error
            log.warning(
                "the manager does not answer", extra=fields(reason=error, retry_in=_RETRY_SECONDS)
            )
            await clock.sleep(_RETRY_SECONDS)
    raise AssertionError("the last try returns or raises")


def _refused(error: SwarmError, address: str) -> SwarmError:
    """In the words of an operator."""
    if isinstance(error, InvalidArgumentError) and "token" in str(error):
        return CannotBootError(
            f"the manager at {address} refuses the join token: it was rotated, or is not whole."
            " `swarmctl cluster inspect default` shows the present one"
        )
    if isinstance(error, BadCertificateError):
        return CannotBootError(f"the manager at {address} gave a bad certificate: {error}")
    return CannotBootError(f"the manager at {address} does not let this node join: {error}")


def _check(certificates: NodeCertificates, before: NodeCertificates | None) -> None:
    identity = certificates.identity
    if before is not None and before.identity.cluster_id != identity.cluster_id:
        raise CannotBootError(
            f"this node is of cluster {before.identity.cluster_id}, and the join token of cluster"
            f" {identity.cluster_id}: `swarmd leave` first"
        )


async def _save(certificates: NodeCertificates, state_dir: StateDir) -> None:
    try:
        await asyncio.to_thread(certificates.save, state_dir)
    except OSError as error:
        where = state_dir.node_certificate.parent
        raise UnavailableError(f"cannot write to {where}: {error.strerror}") from error
