"""Questions about a node: may it run tasks, is it a manager? And how a manager's begins.

Each question takes None too, for a node that is gone: it runs nothing.
"""

from typing import Final

from swarmd import api

QUORUM_PLUGIN: Final = "Quorum"
"""The type of the plugin by which a node says that it can be one of several managers."""


def is_ready(node: api.Node | None) -> bool:
    """Its agent has a session."""
    return node is not None and node.status.state == api.NodeStatus.State.READY


def is_down(node: api.Node | None) -> bool:
    """Its agent missed its heartbeats; what it runs is unknown."""
    return node is not None and node.status.state == api.NodeStatus.State.DOWN


def is_active(node: api.Node | None) -> bool:
    return node is not None and node.spec.availability == api.NodeSpec.Availability.ACTIVE


def is_paused(node: api.Node | None) -> bool:
    """It keeps its tasks, and gets no new ones."""
    return node is not None and node.spec.availability == api.NodeSpec.Availability.PAUSE


def is_drained(node: api.Node | None) -> bool:
    """It is to give up its tasks."""
    return node is not None and node.spec.availability == api.NodeSpec.Availability.DRAIN


def is_accepted(node: api.Node | None) -> bool:
    return node is not None and node.spec.membership == api.NodeSpec.Membership.ACCEPTED


def is_manager(node: api.Node | None) -> bool:
    """Its role, as its certificate has it; `spec.desired_role` is what it is to become."""
    return node is not None and node.role == api.NodeRole.MANAGER


def is_described(node: api.Node) -> bool:
    """Its agent said what it has."""
    return node.HasField("description") and node.description.HasField("engine")


def forms_quorum(node: api.Node) -> bool:
    """Its host has what a manager beside others needs, by its agent's last word."""
    return any(one.type == QUORUM_PLUGIN for one in node.description.engine.plugins)


def is_of_another_kind(node: api.Node) -> bool:
    """Its agent is not swarmd's: stock ones do not say which engines they have."""
    return not any(one.type == "Engine" for one in node.description.engine.plugins)


def set_role(node: api.Node, role: api.NodeRole.ValueType) -> None:
    """From now on it is that; its next certificate, for which it is to ask, says so."""
    node.role = role
    node.certificate.status.state = api.IssuanceStatus.State.ROTATE
    if role == api.NodeRole.WORKER:
        node.ClearField("manager_status")


def can_keep_tasks(node: api.Node | None) -> bool:
    """False once its tasks must go elsewhere: it is gone, down or drained."""
    return node is not None and not is_down(node) and not is_drained(node)


def can_take_tasks(node: api.Node | None) -> bool:
    """Its agent is there, and the operator lets it have more."""
    return is_ready(node) and is_active(node)


def manager_node(node_id: str) -> api.Node:
    """A manager's own node object; its status and description come from the dispatcher."""
    return api.Node(
        id=node_id,
        role=api.NodeRole.MANAGER,
        spec=api.NodeSpec(
            desired_role=api.NodeRole.MANAGER,
            membership=api.NodeSpec.Membership.ACCEPTED,
        ),
        certificate=api.Certificate(
            cn=node_id,
            role=api.NodeRole.MANAGER,
            status=api.IssuanceStatus(state=api.IssuanceStatus.State.ISSUED),
        ),
    )
