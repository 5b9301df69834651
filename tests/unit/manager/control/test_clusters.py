"""Cluster calls."""

from typing import Any

import pytest

from swarmd import api
from swarmd.errors import Status
from swarmd.security import join_tokens, root_ca
from swarmd.store import Store
from tests.fakes.clock import START, FakeClock
from tests.unit.manager.control.calls import INVALID, INVALID_ARGUMENT, names, refusal
from workers.manager.control.server import ControlServicer

UNIMPLEMENTED = Status.UNIMPLEMENTED
PEM = b"-----BEGIN CERTIFICATE-----\n"


def change(cluster: api.Cluster, **fields: Any) -> api.UpdateClusterRequest:
    """A request with these fields of the spec merged in."""
    request = api.UpdateClusterRequest(
        cluster_id=cluster.id, cluster_version=cluster.meta.version, spec=cluster.spec
    )
    request.spec.MergeFrom(api.ClusterSpec(**fields))
    return request


async def update(control: ControlServicer, cluster: api.Cluster, **fields: Any) -> api.Cluster:
    return (await control.UpdateCluster(change(cluster, **fields), None)).cluster


def stored(store: Store) -> api.Cluster:
    return store.view().clusters.find()[0]


async def test_get_needs_an_id_that_exists(control: ControlServicer) -> None:
    assert INVALID_ARGUMENT == await refusal(control.GetCluster(api.GetClusterRequest(), None))
    told = await refusal(control.GetCluster(api.GetClusterRequest(cluster_id="default"), None))
    assert (Status.NOT_FOUND, "cluster default not found") == told


async def test_no_key_is_ever_shown(
    control: ControlServicer, cluster: api.Cluster, store: Store
) -> None:
    rotation = api.RootRotation(ca_cert=b"next", ca_key=b"next key")
    signing = api.CAConfig(signing_ca_key=b"sign key", signing_ca_cert=b"sign")

    def more_keys(tx: Any) -> None:
        own = tx.clusters.copy(cluster.id)
        own.root_ca.root_rotation.CopyFrom(rotation)
        own.spec.ca_config.MergeFrom(signing)
        tx.clusters.update(own)

    await store.update(more_keys)
    shown = [
        (await control.GetCluster(api.GetClusterRequest(cluster_id=cluster.id), None)).cluster,
        (await control.ListClusters(api.ListClustersRequest(), None)).clusters[0],
    ]
    shown.append(await update(control, shown[0]))
    for one in shown:
        raw = one.SerializeToString()
        assert not [key for key in (b"root key", b"next key", b"sign", b"gossip") if key in raw]
        assert b"root" == one.root_ca.ca_cert
        assert b"next" == one.root_ca.root_rotation.ca_cert
        assert "worker token" == one.root_ca.join_tokens.worker
    assert b"root key" == stored(store).root_ca.ca_key


async def test_addresses_are_shown_as_they_are_by_default(
    control: ControlServicer, cluster: api.Cluster
) -> None:
    (one,) = (await control.ListClusters(api.ListClustersRequest(), None)).clusters
    assert ["10.0.0.0/8"] == list(one.defaultAddressPool)
    assert (24, 4789) == (one.subnetSize, one.VXLANUDPPort)


async def test_filters_of_several_kinds_must_all_be_met(
    control: ControlServicer, cluster: api.Cluster
) -> None:
    async def listed(**filters: Any) -> list[str]:
        answer = await control.ListClusters(api.ListClustersRequest(filters=filters), None)
        return names(answer.clusters)

    assert ["default"] == await listed(names=["default"], id_prefixes=[cluster.id[:9]])
    assert ["default"] == await listed(name_prefixes=["def"])
    assert [] == await listed(names=["Default"])
    assert [] == await listed(labels={"a": ""})


async def test_an_update_replaces_the_spec(control: ControlServicer, cluster: api.Cluster) -> None:
    updated = await update(control, cluster, orchestration={"task_history_retention_limit": -1})
    assert -1 == updated.spec.orchestration.task_history_retention_limit
    assert updated.meta.version.index > cluster.meta.version.index


async def test_update_needs_id_version_and_spec(
    control: ControlServicer, cluster: api.Cluster
) -> None:
    for field in ("cluster_id", "cluster_version", "spec"):
        request = change(cluster)
        request.ClearField(field)
        assert INVALID_ARGUMENT == await refusal(control.UpdateCluster(request, None))
    request = change(cluster)
    request.cluster_id = "no"
    told = await refusal(control.UpdateCluster(request, None))
    assert (Status.NOT_FOUND, "cluster no not found") == told


async def test_update_needs_the_version_that_it_changes(
    control: ControlServicer, cluster: api.Cluster
) -> None:
    await update(control, cluster)
    told = await refusal(update(control, cluster))
    assert (Status.UNKNOWN, "update out of sequence") == told


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"annotations": {"name": "other"}}, "modification of cluster name is not allowed"),
        (
            {"ca_config": {"node_cert_expiry": {"seconds": 3599}}},
            "minimum certificate expiry time is: 1h0m0s",
        ),
        ({"ca_config": {"node_cert_expiry": {"nanos": -1}}}, "invalid argument"),
        ({"dispatcher": {"heartbeat_period": {"nanos": -1}}}, "invalid argument"),
        (
            {"dispatcher": {"heartbeat_period": {"seconds": -1}}},
            "heartbeat time period cannot be a negative duration",
        ),
        (
            {"acceptance_policy": {"policies": [{"secret": {"alg": "plain"}}]}},
            "hashing algorithm is not supported: plain",
        ),
        (
            {"ca_config": {"signing_ca_key": b"k"}},
            "if a signing CA key is provided, the signing CA cert must also be provided",
        ),
    ],
)
async def test_a_fault_is_an_invalid_argument(
    control: ControlServicer, cluster: api.Cluster, fields: dict[str, Any], sentence: str
) -> None:
    assert (INVALID, sentence) == await refusal(update(control, cluster, **fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"acceptance_policy": {"policies": [{"secret": {"alg": "BCRYPT"}}, {}]}},
        {"ca_config": {"node_cert_expiry": {"seconds": 3600}}},
        {"dispatcher": {"heartbeat_period": {"seconds": 1}}},
    ],
)
async def test_what_is_sound_is_taken(
    control: ControlServicer, cluster: api.Cluster, fields: dict[str, Any]
) -> None:
    assert (await update(control, cluster, **fields)).id


@pytest.mark.parametrize("role", ["worker", "manager"])
async def test_one_join_token_is_rotated_at_a_time(
    control: ControlServicer, cluster: api.Cluster, role: str
) -> None:
    request = change(cluster)
    setattr(request.rotation, f"{role}_join_token", True)
    tokens = (await control.UpdateCluster(request, None)).cluster.root_ca.join_tokens
    other = {"worker": "manager", "manager": "worker"}[role]
    assert root_ca.digest(b"root") == join_tokens.parse(getattr(tokens, role)).root_digest
    assert f"{other} token" == getattr(tokens, other)


def manager_keys(cluster: api.Cluster) -> list[bytes]:
    return [key.key for key in cluster.unlock_keys if key.subsystem == "swarm-manager"]


async def test_managers_have_an_unlock_key_while_they_lock(
    control: ControlServicer, cluster: api.Cluster, store: Store
) -> None:
    others = [key for key in cluster.unlock_keys if key.subsystem != "swarm-manager"]
    shown = await update(control, cluster, encryption_config={"auto_lock_managers": True})
    assert [] == list(shown.unlock_keys)
    (key,) = manager_keys(stored(store))
    assert 32 == len(key)
    request = change(shown, encryption_config={"auto_lock_managers": True})
    await control.UpdateCluster(request, None)
    assert [key] == manager_keys(stored(store))
    request = change(stored(store), encryption_config={"auto_lock_managers": True})
    request.rotation.manager_unlock_key = True
    await control.UpdateCluster(request, None)
    assert [key] != manager_keys(stored(store))
    request = change(stored(store))
    request.spec.encryption_config.auto_lock_managers = False
    await control.UpdateCluster(request, None)
    assert others == list(stored(store).unlock_keys)


async def test_rotating_the_unlock_key_where_there_is_none_changes_nothing(
    control: ControlServicer, cluster: api.Cluster, store: Store
) -> None:
    request = change(cluster)
    request.rotation.manager_unlock_key = True
    await control.UpdateCluster(request, None)
    assert cluster.unlock_keys == stored(store).unlock_keys


async def test_an_update_forgets_nodes_removed_long_ago(
    control: ControlServicer, cluster: api.Cluster, store: Store, clock: FakeClock
) -> None:
    def refuse(tx: Any) -> Any:
        own = tx.clusters.copy(cluster.id)
        own.blacklisted_certificates["old"].expiry.seconds = int(START) - 8 * 24 * 3600
        own.blacklisted_certificates["new"].expiry.seconds = int(START) - 6 * 24 * 3600
        own.blacklisted_certificates["never"].SetInParent()
        return tx.clusters.update(own)

    updated = await update(control, await store.update(refuse))
    assert ["never", "new"] == sorted(updated.blacklisted_certificates)
