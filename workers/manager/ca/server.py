"""The CA and NodeCA services: who asks for a certificate, and how the request fares."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Final

from swarmd import api
from swarmd.api import defaults
from swarmd.api.protos.ca_pb2_grpc import CAServicer, NodeCAServicer
from swarmd.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)
from swarmd.ids import new_id
from swarmd.logs import fields, get_logger
from swarmd.rpc.authorize import caller
from swarmd.security import join_tokens
from swarmd.security.identity import MANAGER
from swarmd.security.reentry import (
    FORMER_HEADER,
    FORMS_QUORUM,
    QUORUM_HEADER,
    is_proven,
    named_in_request,
)
from swarmd.store import Store, WriteTx, by
from workers.manager.ca.requests import request_renewal
from workers.manager.ca.signer import Signer

log = get_logger(__name__)

_LONGEST_CSR: Final = 64 * 1024
_LONGEST_REASON: Final = 300
_TRIES: Final = 3  # for an id that nobody has
_State = api.IssuanceStatus.State


def role_of(token: str, tokens: api.JoinTokens) -> api.NodeRole.ValueType:
    """The role that a join token gives; raises InvalidArgumentError for any other text."""
    if join_tokens.same(token, tokens.manager):
        return api.NodeRole.MANAGER
    if join_tokens.same(token, tokens.worker):
        return api.NodeRole.WORKER
    raise InvalidArgumentError("A valid join token is necessary to join this cluster")


def is_removed(store: Store, node_id: str) -> bool:
    """The node was removed from the cluster: its certificate no longer counts."""
    clusters = store.view().clusters.find(by.name(defaults.CLUSTER_NAME))
    return any(node_id in cluster.blacklisted_certificates for cluster in clusters)


def _no_refusal() -> str:
    return ""


class CAServer(CAServicer, NodeCAServicer):
    """Both services; `signer` does the signing, wherever it runs in this manager."""

    def __init__(
        self,
        store: Store,
        signer: Signer,
        random: Random,
        refusal: Callable[[], str] = _no_refusal,
    ) -> None:
        """`refusal` says why there can be no other manager; empty where there can."""
        self._refusal = refusal
        self._store = store
        self._signer = signer
        self._random = random

    async def GetRootCACertificate(
        self, request: api.GetRootCACertificateRequest, context: Any
    ) -> api.GetRootCACertificateResponse:
        """The root: who asks compares its digest with that in the join token."""
        return api.GetRootCACertificateResponse(certificate=self._cluster().root_ca.ca_cert)

    async def GetUnlockKey(
        self, request: api.GetUnlockKeyRequest, context: Any
    ) -> api.GetUnlockKeyResponse:
        """The key that seals every manager's files; empty where they are not locked."""
        cluster = self._cluster()
        response = api.GetUnlockKeyResponse(version=cluster.meta.version)
        if cluster.spec.encryption_config.auto_lock_managers:
            keys = [key for key in cluster.unlock_keys if key.subsystem == MANAGER]
            response.unlock_key = keys[0].key if keys else b""
        return response

    async def IssueNodeCertificate(
        self, request: api.IssueNodeCertificateRequest, context: Any
    ) -> api.IssueNodeCertificateResponse:
        """Take a request: a renewal for who shows a certificate, a new node for a join token."""
        _check(request)
        if node_id := caller(context).node_id:
            node = await self._renew(node_id, request.csr)
        else:
            node = await self._join(request, dict(context.invocation_metadata() or ()))
        return api.IssueNodeCertificateResponse(
            node_id=node.id, node_membership=node.spec.membership
        )

    async def NodeCertificateStatus(
        self, request: api.NodeCertificateStatusRequest, context: Any
    ) -> api.NodeCertificateStatusResponse:
        """The certificate, waiting until it is issued or refused."""
        if not request.node_id:
            raise InvalidArgumentError("node_id: must not be empty")
        node = await self._signer.wait_final(request.node_id)
        return api.NodeCertificateStatusResponse(
            status=node.certificate.status, certificate=node.certificate
        )

    def _cluster(self) -> api.Cluster:
        for cluster in self._store.view().clusters.find(by.name(defaults.CLUSTER_NAME)):
            return cluster
        raise UnavailableError("the cluster is not ready yet")

    async def _renew(self, node_id: str, csr: bytes) -> api.Node:
        try:
            return await self._store.update(lambda tx: request_renewal(tx, node_id, csr))
        except NotFoundError as error:
            log.warning("an unknown node wants to renew", extra=fields(node=node_id))
            raise error from None

    async def _join(
        self, request: api.IssueNodeCertificateRequest, sent: Mapping[str, Any]
    ) -> api.Node:
        cluster = self._cluster()
        role = role_of(request.token, cluster.root_ca.join_tokens)
        if role == api.NodeRole.MANAGER:
            await self._check_manager(sent)
        known = self._known(request.csr, role, sent.get(FORMER_HEADER, b""))
        if known is not None:
            log.info("a node gets back in", extra=fields(node=known.id))
            return await self._renew(known.id, request.csr)
        made = [_new_node(new_id(self._random), role, request, cluster) for _ in range(_TRIES)]
        node = await self._store.update(lambda tx: _create_one(tx, made))
        log.info("a node joins", extra=fields(node=node.id, role=api.NodeRole.Name(role)))
        return node

    async def _check_manager(self, sent: Mapping[str, Any]) -> None:
        if reason := await asyncio.to_thread(self._refusal):
            raise FailedPreconditionError(f"a manager cannot join: {reason}. Join as a worker")
        said = sent.get(QUORUM_HEADER, "")
        if not said:
            raise FailedPreconditionError(
                "a manager of another kind than swarmd's cannot join: they would form no quorum."
                " Join with the worker token"
            )
        if said != FORMS_QUORUM:
            raise FailedPreconditionError(
                f"this node cannot be a manager: {str(said)[:_LONGEST_REASON]}. Mend that, or join"
                " with the worker token"
            )

    def _known(self, csr: bytes, role: api.NodeRole.ValueType, former: bytes) -> api.Node | None:
        """The node that this request names; None where it names none that is of this cluster.

        Raises FailedPreconditionError where it does not prove that it comes from there.
        """
        named = named_in_request(csr)
        node = self._store.view().nodes.get(named) if named else None
        if node is None:
            return None
        if node.role != role:
            word = api.NodeRole.Name(node.role).lower()
            raise FailedPreconditionError(f"node {named} is a {word}: join with the {word} token")
        root = self._cluster().root_ca
        roots = root.ca_cert + root.root_rotation.ca_cert
        if not is_proven(csr, node.certificate.certificate, former, roots):
            raise FailedPreconditionError(
                f"node {named} has had a newer certificate than this one. To join as another node,"
                " `swarmd leave` first"
            )
        return node


def _create_one(tx: WriteTx, nodes: Sequence[api.Node]) -> api.Node:
    """The first of them whose id nobody has; raises AlreadyExistsError when each is taken."""
    free = [node for node in nodes if tx.nodes.get(node.id) is None]
    return tx.nodes.create(free[0] if free else nodes[0])


def _check(request: api.IssueNodeCertificateRequest) -> None:
    if not request.csr:
        raise InvalidArgumentError("csr: must not be empty")
    if len(request.csr) > _LONGEST_CSR:
        raise InvalidArgumentError(f"csr: must not be longer than {_LONGEST_CSR} bytes")
    if request.availability not in api.NodeSpec.Availability.values():
        raise InvalidArgumentError(f"availability: {request.availability} is unknown")


def _new_node(
    node_id: str,
    role: api.NodeRole.ValueType,
    request: api.IssueNodeCertificateRequest,
    cluster: api.Cluster,
) -> api.Node:
    return api.Node(
        id=node_id,
        role=role,
        VXLANUDPPort=cluster.VXLANUDPPort,
        certificate=api.Certificate(
            role=role,
            csr=request.csr,
            cn=node_id,
            status=api.IssuanceStatus(state=_State.PENDING),
        ),
        spec=api.NodeSpec(
            desired_role=role,
            membership=api.NodeSpec.Membership.ACCEPTED,
            availability=request.availability,
        ),
    )
