"""Who a node is, and who calls: id, role and cluster, as a certificate's subject says them."""

from dataclasses import dataclass
from typing import Final

MANAGER: Final = "swarm-manager"
WORKER: Final = "swarm-worker"
CA: Final = "swarm-ca"  # no node's role: the root's name, and the name under which managers issue
ROLES: Final = frozenset({MANAGER, WORKER})


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate's subject: CN is the node's id, OU its role, O its cluster's id."""

    node_id: str
    role: str
    cluster_id: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a call.

    All three names are empty for a caller that showed no certificate that counts. A `local` caller
    came through the control socket: it may do everything, in the name of this node.
    """

    node_id: str
    role: str
    cluster_id: str
    remote_addr: str
    local: bool
    reached_host: str = ""
    """The address of this host by which the caller came; empty on the control socket."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The far end of one connection: what it proved in its TLS handshake, if anything."""

    identity: Identity | None
    remote_addr: str
    local: bool
    reached_host: str = ""
