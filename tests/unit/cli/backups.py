"""Backup files for tests, as `swarmctl backup` writes them."""

from pathlib import Path

from swarmd import api
from swarmd.clock import SystemClock
from swarmd.security.root_ca import RootCA
from swarmd.security.sealed_parts import Kind, PartWriter
from swarmd.store import MemoryBackend, Store, backup
from tests import builders

PASSPHRASE = "correct horse battery staple"
KEY = bytes(range(32))


def rooted_cluster() -> api.Cluster:
    root = RootCA.create(SystemClock().now())
    return builders.cluster(root_ca=api.RootCA(ca_cert=root.certificate_pem, ca_key=root.key_pem))


async def write_backup(
    path: Path,
    *objects: api.Secret,
    cluster: api.Cluster | None = None,
    kind: Kind = Kind.RECOVERY_KEY,
) -> None:
    """A cluster with a manager and these secrets, under KEY, or under PASSPHRASE."""
    clock = SystemClock()
    addr = api.ManagerStatus(leader=True, addr="10.0.0.1:4242")
    old = builders.node("old", role=api.NodeRole.MANAGER, manager_status=addr)
    async with Store(MemoryBackend(), clock) as store:
        await store.update(lambda tx: tx.clusters.create(cluster or rooted_cluster()))
        await store.update(lambda tx: tx.nodes.create(old))
        await store.batch([lambda tx, one=one: tx.secrets.create(one) for one in objects])
        parts = list(backup.parts(backup.take(store, clock.now())))
    with path.open("wb") as file:
        secret = KEY if kind is Kind.RECOVERY_KEY else PASSPHRASE.encode()
        writer = PartWriter(file, kind, secret)
        for part in parts:
            writer.write(part.SerializeToString(), last=part is parts[-1])
