"""Cluster calls: one cluster, named default, whose keys stay inside."""

from typing import Final

from swarmd import api
from swarmd.api import defaults, times
from swarmd.errors import InvalidArgumentError, NotFoundError, OutOfSequenceError
from swarmd.security import join_tokens, root_ca, unlock_key
from swarmd.security.identity import MANAGER
from swarmd.store import WriteTx, by
from workers.manager.control import filters
from workers.manager.control.durations import InvalidDurationError, nanos
from workers.manager.control.handlers import Context, Handlers, invalid_argument
from workers.manager.control.root_rotation import (
    endpoints,
    is_cross_signed_outside,
    wanted_root,
)

_SHORTEST_CERTIFICATE_NANOS: Final = 3600 * 1_000_000_000
# A removed node's certificate is refused until no clock anywhere can take it for valid.
_REFUSED_AFTER_EXPIRY_SECONDS: Final = 7 * 24 * 3600.0
_ADDRESS_POOL: Final = "10.0.0.0/8"
_SUBNET_SIZE: Final = 24
_VXLAN_PORT: Final = 4789


class Clusters(Handlers):
    async def GetCluster(
        self, request: api.GetClusterRequest, context: Context
    ) -> api.GetClusterResponse:
        if not request.cluster_id:
            raise invalid_argument()
        cluster = self._store.view().clusters.get(request.cluster_id)
        if cluster is None:
            raise NotFoundError("cluster", request.cluster_id)
        return api.GetClusterResponse(cluster=redacted(cluster))

    async def ListClusters(
        self, request: api.ListClustersRequest, context: Context
    ) -> api.ListClustersResponse:
        wanted = request.filters
        query = filters.first_given(
            (by.name, wanted.names),
            (by.name_prefix, wanted.name_prefixes),
            (by.id_prefix, wanted.id_prefixes),
        )
        found = self._store.view().clusters.find(query)
        clusters = [redacted(one) for one in found if _selected(one, wanted)]
        return api.ListClustersResponse(clusters=clusters)

    async def UpdateCluster(
        self, request: api.UpdateClusterRequest, context: Context
    ) -> api.UpdateClusterResponse:
        if not (request.cluster_id and request.HasField("cluster_version")):
            raise invalid_argument()
        if not request.HasField("spec"):
            raise invalid_argument()
        _check_spec(request.spec)

        present = self._store.view().clusters.get(request.cluster_id)
        if present is None:
            raise NotFoundError("cluster", request.cluster_id)
        root = await self._root(present, request.spec.ca_config)

        def update(tx: WriteTx) -> api.Cluster:
            cluster = tx.clusters.copy(request.cluster_id)
            if cluster.root_ca != present.root_ca:
                raise OutOfSequenceError
            cluster.meta.version.CopyFrom(request.cluster_version)
            cluster.spec.CopyFrom(request.spec)
            cluster.root_ca.CopyFrom(root)
            forget_expired(cluster, self._clock.now())
            self._rotate_tokens(cluster, request.rotation)
            self._rotate_unlock_key(cluster, request.rotation)
            return tx.clusters.update(cluster)

        cluster = await self._store.update(update)
        return api.UpdateClusterResponse(cluster=redacted(cluster))

    async def _root(self, present: api.Cluster, wanted: api.CAConfig) -> api.RootCA:
        """The root after this change; whom the change needs outside is asked here."""
        reachable = await self._probe(endpoints(wanted.external_cas, present.root_ca.ca_cert))
        root = wanted_root(present, wanted, reachable, self._clock.now())
        if is_cross_signed_outside(root):
            urls = [url for url, signs_for in reachable if signs_for == root.ca_cert]
            root.root_rotation.cross_signed_ca_cert = await self._cross_sign(urls, root)
        return root

    def _rotate_tokens(self, cluster: api.Cluster, rotation: api.KeyRotation) -> None:
        """The old ones open nothing from here on; nodes that joined with them stay."""
        digest = root_ca.digest(cluster.root_ca.ca_cert)
        tokens = cluster.root_ca.join_tokens
        if rotation.worker_join_token:
            tokens.worker = join_tokens.mint(digest, self._random)
        if rotation.manager_join_token:
            tokens.manager = join_tokens.mint(digest, self._random)

    def _rotate_unlock_key(self, cluster: api.Cluster, rotation: api.KeyRotation) -> None:
        """Managers have one while they lock; each seals its files under it when it sees it here.

        Asking for another where there is none changes nothing.
        """
        keys = cluster.unlock_keys
        locked = cluster.spec.encryption_config.auto_lock_managers
        kept = [key for key in keys if key.subsystem != MANAGER]
        present = [key for key in keys if key.subsystem == MANAGER] if locked else []
        if locked and (not present or rotation.manager_unlock_key):
            present = [api.EncryptionKey(subsystem=MANAGER, key=unlock_key.mint(self._random))]
        del keys[:]
        keys.extend([*kept, *present])


def redacted(cluster: api.Cluster) -> api.Cluster:
    """What anyone may see: named field by field, so that a new one is hidden until thought of.

    The signing certificate is no secret. But a spec that is read and sent back with it, and
    without its key, would tell the cluster to forget the key.
    """
    shown = api.Cluster(
        id=cluster.id,
        meta=cluster.meta,
        spec=cluster.spec,
        root_ca=cluster.root_ca,
        blacklisted_certificates=cluster.blacklisted_certificates,
        defaultAddressPool=cluster.defaultAddressPool or [_ADDRESS_POOL],
        subnetSize=cluster.subnetSize if cluster.defaultAddressPool else _SUBNET_SIZE,
        VXLANUDPPort=cluster.VXLANUDPPort or _VXLAN_PORT,
    )
    shown.spec.ca_config.ClearField("signing_ca_key")
    shown.spec.ca_config.ClearField("signing_ca_cert")
    shown.root_ca.ClearField("ca_key")
    if shown.root_ca.HasField("root_rotation"):
        shown.root_ca.root_rotation.ClearField("ca_key")
    return shown


def forget_expired(cluster: api.Cluster, now: float) -> None:
    """Drop the removed nodes whose certificates are long over."""
    refused = cluster.blacklisted_certificates
    for node_id, entry in list(refused.items()):
        over = times.seconds(entry.expiry) + _REFUSED_AFTER_EXPIRY_SECONDS
        if entry.HasField("expiry") and over < now:
            del refused[node_id]


def _check_spec(spec: api.ClusterSpec) -> None:
    try:
        _check_durations(spec)
    except InvalidDurationError as error:
        raise invalid_argument() from error
    if spec.annotations.name != defaults.CLUSTER_NAME:
        raise InvalidArgumentError("modification of cluster name is not allowed")


def _check_durations(spec: api.ClusterSpec) -> None:
    ca_config = spec.ca_config
    expiry = nanos(ca_config.node_cert_expiry)
    if ca_config.HasField("node_cert_expiry") and expiry < _SHORTEST_CERTIFICATE_NANOS:
        raise InvalidArgumentError("minimum certificate expiry time is: 1h0m0s")
    for policy in spec.acceptance_policy.policies:
        if policy.HasField("secret") and policy.secret.alg.lower() != "bcrypt":
            raise InvalidArgumentError(f"hashing algorithm is not supported: {policy.secret.alg}")
    if nanos(spec.dispatcher.heartbeat_period) < 0:
        raise InvalidArgumentError("heartbeat time period cannot be a negative duration")


def _selected(cluster: api.Cluster, wanted: api.ListClustersRequest.Filters) -> bool:
    annotations = cluster.spec.annotations
    return (
        filters.is_one_of(annotations.name, wanted.names)
        and filters.has_prefix(annotations.name, wanted.name_prefixes)
        and filters.has_prefix(cluster.id, wanted.id_prefixes)
        and filters.has_labels(annotations.labels, wanted.labels)
    )
