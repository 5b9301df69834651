"""A manager that is one no more, because it was demoted, or that has to join anew."""

import asyncio
from collections.abc import Callable
from typing import Final

from grpc import aio

from swarmd import api
from swarmd.api.protos.ca_pb2_grpc import NodeCAStub
from swarmd.errors import UnavailableError
from swarmd.ipc.messages import CertificateRenewed, Quorum, UnlockKey, Up
from swarmd.logs import fields, get_logger
from swarmd.quorum_file import discard
from swarmd.rpc.channel import dial_manager
from swarmd.rpc.errors import from_rpc_error
from swarmd.security import data_key
from swarmd.security.certificates import NodeCertificates, new_request
from swarmd.security.identity import MANAGER
from swarmd.state_dir import StateDir

log = get_logger(__name__)
_CALL_SECONDS: Final = 10.0


async def forget(state_dir: StateDir, report: Callable[[Up], None]) -> None:
    """Be of no quorum; raises OSError."""
    await asyncio.to_thread(discard, state_dir.etcd)
    report(Quorum(shared=False))


async def become_worker(address: str, state_dir: StateDir, report: Callable[[Up], None]) -> None:
    """Get the certificate of a worker from that manager, and have the agent go on with it.

    The parent ends this process then. Raises UnavailableError, and is to be tried again.
    """
    have = await asyncio.to_thread(NodeCertificates.load, state_dir)
    csr, key = new_request()
    chain = await _issued(address, have, csr)
    made = NodeCertificates.of(have.root_pem, chain, key)
    if made.identity.role == MANAGER:
        raise UnavailableError("the certificate still says that this node is a manager")
    await asyncio.to_thread(made.save, state_dir)
    await asyncio.to_thread(data_key.discard, state_dir.node_key)
    report(UnlockKey(""))
    log.info("this node is a worker from now on", extra=fields(by=address))
    report(CertificateRenewed())


async def _issued(address: str, have: NodeCertificates, csr: bytes) -> bytes:
    request = api.IssueNodeCertificateRequest(csr=csr)
    status = api.NodeCertificateStatusRequest(node_id=have.identity.node_id)
    channel = dial_manager(address, have)
    try:
        stub = NodeCAStub(channel)
        await stub.IssueNodeCertificate(request, timeout=_CALL_SECONDS)
        answer = await stub.NodeCertificateStatus(status, timeout=_CALL_SECONDS)
    except aio.AioRpcError as error:
        raise from_rpc_error(error) from error
    finally:
        await channel.close(None)
    issued = answer.certificate
    if answer.status.state != api.IssuanceStatus.State.ISSUED or issued.csr != csr:
        raise UnavailableError(f"it was not issued: {answer.status.err or 'another came between'}")
    return bytes(issued.certificate)
