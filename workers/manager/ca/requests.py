"""A node's request for another certificate, as the store keeps it."""

from swarmd import api
from swarmd.store import WriteTx


def request_renewal(tx: WriteTx, node_id: str, csr: bytes) -> api.Node:
    """Have the signer certify this request, for the role that the node has; NotFoundError."""
    node = tx.nodes.copy(node_id)
    node.certificate.Clear()
    node.certificate.csr = csr
    node.certificate.cn = node.id
    node.certificate.role = node.role
    node.certificate.status.state = api.IssuanceStatus.State.RENEW
    return tx.nodes.update(node)
