"""A certificate for a join token, by the calls that a joining node makes."""

import asyncio
from random import Random
from typing import Any

import grpc
from grpc import aio

from swarmd import api
from swarmd.api.protos.ca_pb2_grpc import NodeCAStub
from swarmd.backoff import Backoff
from swarmd.logs import fields, get_logger
from swarmd.rpc.channel import dial_to_join, fetch_root
from swarmd.security import join_tokens
from swarmd.security.certificates import NodeCertificates, new_request

log = get_logger(__name__)
_RPC_SECONDS = 60.0  # hundreds come at once; a figure is to be measured, not a patience
_TRIES = 10


async def enrol(
    address: str, token: str, random: Random, root_pem: bytes = b""
) -> NodeCertificates:
    """A node is made of us. With a root that is known already, it is not fetched and compared.

    A manager that is too busy to take the connection is tried again, as real nodes do. Raises
    aio.AioRpcError, or a SwarmError, where it does not answer or does not want us.
    """
    root = root_pem or await root_of(address, token)
    csr, key_pem = new_request()
    backoff = Backoff(0.1, 8.0, random)
    while True:
        try:
            certificate = await _certificate(address, token, root, csr)
        except aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE or backoff.failures == _TRIES:
                raise
            delay = backoff.next()
            facts = fields(reason=error.details(), retry_in=delay)
            log.info("a simulated node could not enrol", extra=facts)
            await asyncio.sleep(delay)
        else:
            return NodeCertificates.of(root, certificate, key_pem)


async def _certificate(address: str, token: str, root: bytes, csr: bytes) -> bytes:
    async with dial_to_join(address, root) as channel:
        stub: Any = NodeCAStub(channel)
        issued = await stub.IssueNodeCertificate(
            api.IssueNodeCertificateRequest(csr=csr, token=token), timeout=_RPC_SECONDS
        )
        answer = await stub.NodeCertificateStatus(
            api.NodeCertificateStatusRequest(node_id=issued.node_id), timeout=_RPC_SECONDS
        )
    return bytes(answer.certificate.certificate)


async def root_of(address: str, token: str) -> bytes:
    """The cluster's root CA, compared with the token."""
    return await fetch_root(address, join_tokens.parse(token).root_digest)
