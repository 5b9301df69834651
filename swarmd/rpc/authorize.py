"""Who may call, read from the (swarmd.v1.authorization) option on each method in the protos."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor import MethodDescriptor

from swarmd.api.protos import plugin_pb2
from swarmd.errors import PermissionDeniedError
from swarmd.rpc.forward import Metadata, forwarded_peer
from swarmd.security.identity import MANAGER, Caller, Identity, Peer


@dataclass(frozen=True, slots=True)
class Rule:
    """A method's option: the roles that may call it, or that no certificate is needed."""

    roles: frozenset[str]
    insecure: bool


NOBODY: Final = Rule(frozenset(), insecure=False)


def rule_of(method: MethodDescriptor) -> Rule:
    """What the protos say; a method without the option is open to nobody but a local caller."""
    option = method.GetOptions().Extensions[plugin_pb2.authorization]
    return Rule(frozenset(option.roles), option.insecure)


class CallContext:
    """grpcio's context of one call, and its caller; everything else is grpcio's own."""

    __slots__ = ("_context", "caller")

    def __init__(self, context: Any, caller: Caller) -> None:
        self._context = context
        self.caller = caller

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def caller(context: Any) -> Caller:
    """Who sent the call that this context belongs to."""
    found: Caller = context.caller
    return found


class Authorizer:
    """Answers who calls and whether they may, for one node of one cluster.

    `is_removed` says of a node id that it was removed from the cluster: its certificate no longer
    counts, though its time has not run out.
    """

    def __init__(self, node: Identity, is_removed: Callable[[str], bool] = lambda _: False) -> None:
        self._node = node
        self.is_removed = is_removed

    def authorize(self, rule: Rule, peer: Peer, metadata: Metadata = ()) -> Caller:
        """The caller; raises PermissionDeniedError when it may not call under this rule.

        A manager may pass a call on: then the caller is the one that its metadata names.
        """
        if peer.identity is not None and peer.identity.role == MANAGER and metadata:
            behind = forwarded_peer(metadata)
            if behind is not None and not self._objection(peer.identity):
                peer = behind
        if peer.local:
            return Caller(self._node.node_id, MANAGER, self._node.cluster_id, "", local=True)
        objection = self._objection(peer.identity)
        if peer.identity is None or objection:
            if rule.insecure:
                return Caller("", "", "", peer.remote_addr, local=False)
            raise PermissionDeniedError(f"permission denied: {objection}")
        shown = peer.identity
        if not rule.insecure and shown.role not in rule.roles:
            wanted = " or ".join(sorted(rule.roles)) or "the control socket"
            raise PermissionDeniedError(
                f"permission denied: this call needs {wanted}, and node {shown.node_id}"
                f" is {shown.role}"
            )
        return Caller(
            shown.node_id,
            shown.role,
            shown.cluster_id,
            peer.remote_addr,
            local=False,
            reached_host=peer.reached_host,
        )

    def check_still_there(self, caller: Caller) -> None:
        """Raises PermissionDeniedError for a node that was removed since its call began."""
        if not caller.local and self.is_removed(caller.node_id):
            raise PermissionDeniedError(f"permission denied: {_removed(caller.node_id)}")

    def _objection(self, shown: Identity | None) -> str:
        if shown is None:
            return "no client certificate was shown"
        if shown.cluster_id != self._node.cluster_id:
            return f"the client certificate is not of cluster {self._node.cluster_id}"
        if self.is_removed(shown.node_id):
            return _removed(shown.node_id)
        return ""


def _removed(node_id: str) -> str:
    return f"node {node_id} was removed from the cluster"
