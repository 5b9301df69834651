"""Certificates for tests: a root, and nodes of its cluster."""

from dataclasses import replace

from swarmd.security.certificates import NodeCertificates, new_request
from swarmd.security.identity import MANAGER, Identity
from swarmd.security.root_ca import DEFAULT_EXPIRY_SECONDS, RootCA

CLUSTER = "c1usterc1usterc1usterc1us"


def node_of(
    root: RootCA,
    now: float,
    *,
    node_id: str = "n0den0den0den0den0den0den",
    role: str = MANAGER,
    cluster_id: str = CLUSTER,
    trusts: RootCA | None = None,
) -> NodeCertificates:
    """A node's certificates, signed at `now`; it trusts another root where one is given."""
    request, key = new_request()
    identity = Identity(node_id, role, cluster_id)
    chain = root.signer().sign(request, identity, DEFAULT_EXPIRY_SECONDS, now)
    node = NodeCertificates.of(root.certificate_pem, chain, key)
    return replace(node, root_pem=(trusts or root).certificate_pem)
