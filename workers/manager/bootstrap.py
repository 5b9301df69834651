"""A new cluster's first start: root CA, certificate, first objects; and every later start's check.

    store          files          then
    no cluster     none           make everything: the objects in one transaction, then the files
    cluster        none, one      the first start was cut short, or files were lost: certify again
    cluster        both           they must fit the cluster, else CorruptStateError
    no cluster     both, one      the store was lost: CorruptStateError

The files are the root's and the node's certificate; the key's has to be there before, as it keeps
the key that seals the store (swarmd.security.data_key).

The root CA's key exists in the store alone. So the store comes first: a crash before its commit
leaves nothing, and after it all that is needed to make the files.
"""

import asyncio
from pathlib import Path
from random import Random
from typing import Final

from swarmd import api
from swarmd.api import defaults, times
from swarmd.api.nodes import manager_node
from swarmd.clock import Clock
from swarmd.config import NodeConfig
from swarmd.errors import CannotBootError, CorruptStateError, ResourceExhaustedError
from swarmd.ids import new_id
from swarmd.logs import fields, get_logger
from swarmd.security import join_tokens, unlock_key
from swarmd.security.certificates import BadCertificateError, NodeCertificates
from swarmd.security.identity import MANAGER, Identity
from swarmd.security.key_file import corrupt
from swarmd.security.root_ca import RootCA, certify
from swarmd.state_dir import StateDir
from swarmd.store import Store, WriteTx, by
from workers.manager.key_manager import first_keys, newest

log = get_logger(__name__)

_HEARTBEAT_TICK: Final = 1
_ELECTION_TICK: Final = 10
_SNAPSHOT_INTERVAL: Final = 10_000
_ENTRIES_FOR_SLOW_FOLLOWERS: Final = 500


async def bootstrap(
    store: Store, state_dir: StateDir, config: NodeConfig, clock: Clock, random: Random
) -> Identity:
    """Who this manager is; afterwards its certificates are on disk, its objects in the store.

    Raises CorruptStateError when the two do not fit, CannotBootError for an option that is wrong.
    """
    # The key's file is there before the store, which is sealed by a header of it.
    files = [state_dir.root_ca, state_dir.node_certificate]
    present = [path for path in files if path.exists()]
    cluster = _cluster(store)
    if cluster is None:
        if present:
            raise _store_lost(state_dir, present[0])
        cluster = await _first_objects(store, config, clock, random)
    if len(present) < len(files):
        identity = Identity(_only_manager(store, state_dir), MANAGER, cluster.id)
        await _certify(cluster, identity, state_dir, clock)
        return identity
    return await _check(store, cluster, state_dir, clock)


def refuse_raft_log(state_dir: StateDir) -> None:
    """Raises CannotBootError for the state directory of SwarmKit's own manager.

    A worker's of SwarmKit is taken over as it is; a manager's store is a Raft log.
    """
    raft = state_dir.root / "raft"
    if raft.is_dir() and not state_dir.store.exists():
        raise CannotBootError(
            f"{raft} is the store of SwarmKit's own manager, which swarmd takes over into another"
            " directory only. Nothing was changed:"
            f" `swarmd import --state-dir {state_dir.root} --into DIR`; or demote this node to a"
            f" worker there first; or move {state_dir.root} away, and join as a new node"
        )


def first_cluster(root: RootCA, config: NodeConfig, random: Random) -> api.Cluster:
    """The cluster object with SwarmKit's defaults; its root's key is nowhere else."""
    keys = first_keys(random)
    return api.Cluster(
        id=new_id(random),
        spec=_first_spec(config),
        root_ca=api.RootCA(
            ca_key=root.key_pem,
            ca_cert=root.certificate_pem,
            ca_cert_hash=root.digest,
            join_tokens=api.JoinTokens(
                worker=join_tokens.mint(root.digest, random),
                manager=join_tokens.mint(root.digest, random),
            ),
        ),
        network_bootstrap_keys=keys,
        unlock_keys=_unlock_keys(random) if config.autolock else [],
        encryption_key_lamport_clock=newest(keys),
    )


def _unlock_keys(random: Random) -> list[api.EncryptionKey]:
    return [api.EncryptionKey(subsystem=MANAGER, key=unlock_key.mint(random))]


def ingress_network(network_id: str) -> api.Network:
    """Services that publish ports on every node ask for it: it has to be there, as SwarmKit's."""
    spec = api.NetworkSpec(
        annotations=api.Annotations(name="ingress"),
        ingress=True,
        driver_config=api.Driver(),
        ipam=api.IPAMOptions(driver=api.Driver()),
    )
    return api.Network(id=network_id, spec=spec)


def _ticks(seconds: float, usual: int) -> int:
    """Whole seconds, or SwarmKit's number where they are too short to be told so."""
    return round(seconds) if seconds >= 1 else usual


def _first_spec(config: NodeConfig) -> api.ClusterSpec:
    return api.ClusterSpec(
        annotations=api.Annotations(name=defaults.CLUSTER_NAME),
        orchestration=api.OrchestrationConfig(task_history_retention_limit=defaults.TASK_HISTORY),
        raft=api.RaftConfig(
            snapshot_interval=_SNAPSHOT_INTERVAL,
            log_entries_for_slow_followers=_ENTRIES_FOR_SLOW_FOLLOWERS,
            heartbeat_tick=_ticks(config.heartbeat_tick, _HEARTBEAT_TICK),
            election_tick=_ticks(config.election_tick, _ELECTION_TICK),
        ),
        dispatcher=api.DispatcherConfig(
            heartbeat_period=times.duration(defaults.HEARTBEAT_SECONDS)
        ),
        ca_config=api.CAConfig(
            node_cert_expiry=times.duration(defaults.NODE_CERTIFICATE_SECONDS),
            external_cas=[_external_ca(text) for text in config.external_ca],
        ),
        encryption_config=api.EncryptionConfig(auto_lock_managers=config.autolock),
    )


async def _first_objects(
    store: Store, config: NodeConfig, clock: Clock, random: Random
) -> api.Cluster:
    root = await asyncio.to_thread(_first_root, config, clock.now())
    cluster = first_cluster(root, config, random)
    node = manager_node(new_id(random))

    def change(tx: WriteTx) -> None:
        tx.clusters.create(cluster)
        tx.nodes.create(node)
        tx.networks.create(ingress_network(new_id(random)))

    try:
        await store.update(change)
    except ResourceExhaustedError as error:
        raise CannotBootError(str(error)) from error
    log.info("made a new cluster", extra=fields(cluster=cluster.id, node=node.id))
    return cluster


def _first_root(config: NodeConfig, now: float) -> RootCA:
    """A fresh root, or the one that was given; raises CannotBootError naming its files."""
    if not config.root_ca_cert:
        return RootCA.create(now)
    files = f"--root-ca-cert {config.root_ca_cert} --root-ca-key {config.root_ca_key}"
    try:
        certificate, key = Path(config.root_ca_cert), Path(config.root_ca_key)
        return RootCA.given(certificate.read_bytes(), key.read_bytes(), now)
    except (OSError, BadCertificateError) as error:
        raise CannotBootError(f"{files}: {error}") from error


async def _certify(
    cluster: api.Cluster, identity: Identity, state_dir: StateDir, clock: Clock
) -> None:
    """Sign a certificate for this node with the cluster's own root, and put it on disk."""
    expiry = times.seconds(cluster.spec.ca_config.node_cert_expiry)
    certificates = certify(cluster.root_ca, identity, expiry, clock.now())
    try:
        await asyncio.to_thread(certificates.save, state_dir)
    except OSError as error:
        where = state_dir.node_certificate.parent
        raise CannotBootError(f"cannot write to {where}: {error.strerror}") from error
    log.info("certified this node", extra=fields(node=identity.node_id, role=identity.role))


async def _check(store: Store, cluster: api.Cluster, state_dir: StateDir, clock: Clock) -> Identity:
    """Files and store belong together; a certificate that ran out meanwhile is replaced."""
    certificates = await asyncio.to_thread(NodeCertificates.load, state_dir)
    identity = certificates.identity
    if identity.cluster_id != cluster.id:
        raise _foreign(state_dir.node_certificate, state_dir.store, identity, cluster)
    if certificates.root_pem != cluster.root_ca.ca_cert:
        await _adopt_root(certificates, cluster, state_dir)
    if identity.role != MANAGER:
        raise corrupt(state_dir.node_certificate, f"it is for a {identity.role}, not a manager")
    if not certificates.valid(clock.now()):
        log.warning("this node's certificate has run out, or is not valid yet: certifying anew")
        await _certify(cluster, identity, state_dir, clock)
    if store.view().nodes.get(identity.node_id) is None:
        await store.update(lambda tx: tx.nodes.create(manager_node(identity.node_id)))
    return identity


async def _adopt_root(
    certificates: NodeCertificates, cluster: api.Cluster, state_dir: StateDir
) -> None:
    """The root changed, and this manager was killed before its file followed."""
    try:
        changed = NodeCertificates.of(
            cluster.root_ca.ca_cert, certificates.certificate_pem, certificates.key_pem
        )
    except BadCertificateError as error:
        reason = "it is not the root CA of the cluster in the store"
        raise corrupt(state_dir.root_ca, reason) from error
    await asyncio.to_thread(changed.save, state_dir)
    log.info("trusts the new root CA")


def _cluster(store: Store) -> api.Cluster | None:
    found = store.view().clusters.find(by.name(defaults.CLUSTER_NAME))
    return found[0] if found else None


def _only_manager(store: Store, state_dir: StateDir) -> str:
    """Which of the store's nodes this one is, where no certificate says so."""
    managers = store.view().nodes.find(by.role(api.NodeRole.MANAGER))
    if len(managers) == 1:
        return managers[0].id
    raise corrupt(
        state_dir.node_certificate,
        f"it or its key is missing, and of the {len(managers)} managers in the store none is"
        " known to be this node",
    )


def _foreign(
    certificate: Path, store: Path, shown: Identity, cluster: api.Cluster
) -> CorruptStateError:
    return CorruptStateError(
        f"{certificate} is of cluster {shown.cluster_id}, but {store} holds cluster {cluster.id}:"
        " one of them comes from another node. Restore both from the same backup"
    )


def _store_lost(state_dir: StateDir, found: Path) -> CorruptStateError:
    return CorruptStateError(
        f"{state_dir.store} holds no cluster, but {found} belongs to one: the store was lost."
        f" Restore it from a backup; or, to start a new cluster, move {found.parent} away"
    )


def _external_ca(text: str) -> api.ExternalCA:
    """--external-ca protocol=cfssl,url=URL,option=value; raises CannotBootError."""
    parts = dict(part.partition("=")[::2] for part in text.split(","))
    if parts.pop("protocol", "").lower() != "cfssl" or not parts.get("url"):
        raise CannotBootError(f"--external-ca {text}: it is not protocol=cfssl,url=URL")
    return api.ExternalCA(url=parts.pop("url"), options=parts)
