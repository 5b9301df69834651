"""A certificate for a join token, by the calls that a joining node makes."""

from typing import Any

from swarmd import api
from swarmd.api.protos.ca_pb2_grpc import NodeCAStub
from swarmd.rpc.channel import dial_to_join, fetch_root
from swarmd.security import join_tokens
from swarmd.security.certificates import NodeCertificates, new_request

_RPC_SECONDS = 60.0  # hundreds come at once; a figure is to be measured, not a patience


async def enrol(address: str, token: str, root_pem: bytes = b"") -> NodeCertificates:
    """A node is made of us. With a root that is known already, it is not fetched and compared.

    Raises aio.AioRpcError, or a SwarmError, where the manager does not answer or does not want us.
    """
    root = root_pem or await root_of(address, token)
    csr, key_pem = new_request()
    async with dial_to_join(address, root) as channel:
        stub: Any = NodeCAStub(channel)
        issued = await stub.IssueNodeCertificate(
            api.IssueNodeCertificateRequest(csr=csr, token=token), timeout=_RPC_SECONDS
        )
        answer = await stub.NodeCertificateStatus(
            api.NodeCertificateStatusRequest(node_id=issued.node_id), timeout=_RPC_SECONDS
        )
    return NodeCertificates.of(root, bytes(answer.certificate.certificate), key_pem)


async def root_of(address: str, token: str) -> bytes:
    """The cluster's root CA, compared with the token."""
    return await fetch_root(address, join_tokens.parse(token).root_digest)
