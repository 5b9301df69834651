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


def self_signed(trusts: RootCA, now: float) -> NodeCertificates:
    """A manager's certificate, as whoever made it would have it: signed by its own key."""
    request, key = new_request()
    identity = Identity("self-signed", MANAGER, CLUSTER)
    as_manager = RootCA.create(now).signer().sign(request, identity, DEFAULT_EXPIRY_SECONDS, now)
    own = RootCA(as_manager, key)
    signed = own.signer().sign(request, identity, DEFAULT_EXPIRY_SECONDS, now)
    return replace(node_of(trusts, now), certificate_pem=signed, key_pem=key)
