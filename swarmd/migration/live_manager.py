"""A manager that runs, asked by its control socket.

The control API shows neither the secrets' data nor the CA's key. So the secrets come from files,
where there are such; and it is a new cluster, with a root CA of its own, into which every node
joins anew. Its tasks are new ones too.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

from grpc import aio

from swarmd import api
from swarmd.api import times
from swarmd.api.nodes import manager_node
from swarmd.api.protos.control_pb2_grpc import ControlStub
from swarmd.errors import CorruptStateError
from swarmd.ids import new_id
from swarmd.migration.found import Found, Remark
from swarmd.rpc.channel import dial_control
from swarmd.rpc.errors import from_rpc_error
from swarmd.rpc.limits import ANY_SIZE
from swarmd.security import join_tokens
from swarmd.security.identity import MANAGER, Identity
from swarmd.security.root_ca import RootCA, certify

_CALL_SECONDS: Final = 60.0
_ASKED: Final = ("clusters", "nodes", "services", "networks", "secrets", "configs")
_LATER: Final = ("resources", "volumes", "extensions")  # an older manager may not have them all
_JOBS: Final = ("replicated_job", "global_job")


async def read_live(socket: Path, secrets: Path | None, now: float, random: Random) -> Found:
    """A new cluster with what that one has; `secrets` is a directory with a file a secret.

    Raises SwarmError, with a sentence for people, or OSError.
    """
    try:
        store = await _ask(socket)
    except aio.AioRpcError as error:
        raise from_rpc_error(error) from error
    if len(store.clusters) != 1:
        raise CorruptStateError(f"the manager at {socket} shows no cluster")
    remarks = [*_forget_nodes(store), *_fill_secrets(store, secrets), *_drop_jobs(store)]
    cluster, node = store.clusters[0], manager_node(new_id(random))
    remarks += _new_root(cluster, now, random)
    store.nodes.append(node)
    for service in store.services:
        for field in ("endpoint", "update_status"):
            service.ClearField(field)
    for volume in store.volumes:
        volume.ClearField("publish_status")
    identity = Identity(node.id, MANAGER, cluster.id)
    expiry = times.seconds(cluster.spec.ca_config.node_cert_expiry)
    return Found(
        place=f"the manager at {socket}",
        store=store,
        certificates=certify(cluster.root_ca, identity, expiry, now),
        remarks=remarks,
    )


async def _ask(socket: Path) -> api.StoreSnapshot:
    store = api.StoreSnapshot()
    async with await dial_control(socket) as channel:
        stub = ControlStub(channel)
        for table in (*_ASKED, *_LATER):
            if table != "extensions":  # there is no list of them: the resources name them
                getattr(store, table).extend(await _listed(stub, table))
        for name in sorted({one.kind for one in store.resources}):
            request = api.GetExtensionRequest(extension_id=name)
            found = await stub.GetExtension(request, timeout=_CALL_SECONDS)
            store.extensions.append(found.extension)
    return store


async def _listed(stub: Any, table: str) -> list[Any]:
    name = table.capitalize()
    request = getattr(api, f"List{name}Request")()
    call = getattr(stub, f"List{name}")
    try:
        answer = await call(request, timeout=_CALL_SECONDS, metadata=(ANY_SIZE,))
    except aio.AioRpcError as error:
        if table in _LATER and error.code().name == "UNIMPLEMENTED":
            return []
        raise
    return list(getattr(answer, table))


def _forget_nodes(store: api.StoreSnapshot) -> Iterator[Remark]:
    yield Remark("root CA", "its key cannot be read there: there is a new one, and new join tokens")
    for node in store.nodes:
        labels = " ".join(
            f"--label-add {k}={v}" for k, v in sorted(node.spec.annotations.labels.items())
        )
        then = f", then `swarmctl node update {labels}`" if labels else ""
        what = f"has to leave its swarm and join this one{then}"
        yield Remark(f"node {node.id} ({node.description.hostname or 'no name'})", what)
    del store.nodes[:]


def _fill_secrets(store: api.StoreSnapshot, directory: Path | None) -> Iterator[Remark]:
    """What has no data is left out: an empty secret would be worse than none."""
    there = []
    missing = {}
    for secret in store.secrets:
        name = secret.spec.annotations.name
        file = directory / name if directory is not None else None
        if file is not None and file.is_file():
            secret.spec.data = file.read_bytes()
            there.append(secret)
        elif not secret.spec.HasField("driver"):
            missing[secret.id] = name
            yield Remark(f"secret {name}", "its data cannot be read there: give it with --secrets")
        else:
            there.append(secret)  # its plugin has the data
    kept = api.StoreSnapshot(secrets=there)
    store.ClearField("secrets")
    store.MergeFrom(kept)
    for service in store.services:
        used = {missing.get(one.secret_id) for one in service.spec.task.container.secrets} - {None}
        for name in sorted(filter(None, used)):
            about = f"service {service.spec.annotations.name}"
            yield Remark(about, f"its tasks are rejected while there is no secret {name}")


def _drop_jobs(store: api.StoreSnapshot) -> Iterator[Remark]:
    kept = api.StoreSnapshot()
    for service in store.services:
        if service.spec.WhichOneof("mode") in _JOBS:
            about = f"service {service.spec.annotations.name}"
            yield Remark(about, "is a job, and left out: it would run again")
        else:
            kept.services.append(service)
    store.ClearField("services")
    store.MergeFrom(kept)


def _new_root(cluster: api.Cluster, now: float, random: Random) -> Iterator[Remark]:
    root = RootCA.create(now)
    cluster.id = new_id(random)
    tokens = api.JoinTokens(
        worker=join_tokens.mint(root.digest, random), manager=join_tokens.mint(root.digest, random)
    )
    made = api.RootCA(
        ca_key=root.key_pem,
        ca_cert=root.certificate_pem,
        ca_cert_hash=root.digest,
        join_tokens=tokens,
    )
    cluster.root_ca.CopyFrom(made)
    cluster.ClearField("blacklisted_certificates")
    if cluster.spec.encryption_config.auto_lock_managers:
        cluster.spec.encryption_config.auto_lock_managers = False
        what = "is off, as its key cannot be read there: `swarmctl cluster update --autolock`"
        yield Remark("autolock", what)
    if cluster.spec.ca_config.external_cas:
        cluster.spec.ca_config.ClearField("external_cas")
        yield Remark("root CA", "its external CAs are left out: they sign for the former one")
