"""A node's request for another certificate, as the store keeps it."""

from swarmd import api
from swarmd.store import WriteTx


def request_renewal(tx: WriteTx, node_id: str, csr: bytes) -> api.Node:
    """Have the signer certify this request, for the role that the node has; NotFoundError.

    Until then its certificate stays where it is: it tells with which key the node may come back.
    """
    node = tx.nodes.copy(node_id)
    certificate = api.Certificate(
        role=node.role, csr=csr, cn=node.id, certificate=node.certificate.certificate
    )
    certificate.status.state = api.IssuanceStatus.State.RENEW
    node.certificate.CopyFrom(certificate)
    return tx.nodes.update(node)
