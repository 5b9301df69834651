"""What agents are told: the session's message, and a difference of assignments (pure)."""

from typing import Final

from swarmd import api
from swarmd.rpc.sockets import join_host_port
from swarmd.security.identity import Caller
from swarmd.store import ReadTx, by

_WEIGHT: Final = 10  # of a manager: what agents start from; they learn the rest by themselves


def session_message(
    view: ReadTx, agent: Caller, session_id: str, own_id: str, reached_port: int
) -> api.SessionMessage:
    """The node itself, the managers, the network keys and the root CA.

    `own_id` is this manager's node. Where it listens on every address of its host, at the
    `reached_port`, the agent is told the address by which it came.
    """
    cluster = next(iter(view.clusters.find()), api.Cluster())
    return api.SessionMessage(
        session_id=session_id,
        node=view.nodes.get(agent.node_id),
        managers=_managers(view, agent, own_id, reached_port),
        network_bootstrap_keys=cluster.network_bootstrap_keys,
        RootCA=cluster.root_ca.ca_cert,
    )


def told(cluster: api.Cluster) -> tuple[bytes, list[api.EncryptionKey]]:
    """The part of the cluster that sessions tell."""
    return cluster.root_ca.ca_cert, list(cluster.network_bootstrap_keys)


def difference(changes: list[api.AssignmentChange], sequence: int) -> api.AssignmentsMessage:
    """The next in the chain, after the message of that number."""
    return api.AssignmentsMessage(
        type=api.AssignmentsMessage.Type.INCREMENTAL,
        applies_to=str(sequence),
        results_in=str(sequence + 1),
        changes=changes,
    )


def _managers(
    view: ReadTx, agent: Caller, own_id: str, reached_port: int
) -> list[api.WeightedPeer]:
    found = view.nodes.find(by.role(api.NodeRole.MANAGER))
    addresses = {node.id: node.manager_status.addr for node in found}
    if reached_port and agent.reached_host and own_id in addresses:
        addresses[own_id] = join_host_port(agent.reached_host, reached_port)
    peers = [api.Peer(node_id=node_id, addr=addr) for node_id, addr in addresses.items()]
    return [api.WeightedPeer(peer=peer, weight=_WEIGHT) for peer in peers if peer.addr]
