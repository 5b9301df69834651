"""What becomes of a backup's cluster on the manager that goes on alone."""

from typing import Any

import pytest

from swarmd import api
from swarmd.errors import CorruptStateError
from swarmd.store import Loaded, Row
from swarmd.store.takeover import FURTHER, Takeover, take_over
from tests import builders

NOW = 1_800_000_000.0
MANAGER, WORKER = api.NodeRole.MANAGER, api.NodeRole.WORKER
KINDS = {api.Cluster: "cluster", api.Node: "node", api.Task: "task", api.Secret: "secret"}
State = api.TaskState


def backed_up(*objects: Any) -> Loaded:
    rows = []
    for version, one in enumerate(objects, 1):
        one.meta.version.index = version
        rows.append(Row(KINDS[type(one)], one.id, version, one.SerializeToString()))
    return Loaded(len(rows), rows)


def manager(name: str, *, leader: bool = False, **fields: Any) -> api.Node:
    status = api.ManagerStatus(leader=leader, addr=f"{name}:4242")
    return builders.node(name, role=MANAGER, manager_status=status, **fields)


def taken_over(*objects: Any) -> Takeover:
    return take_over(backed_up(*objects), "own", NOW, "the file")


def objects_of(takeover: Takeover, kind: type) -> dict[str, Any]:
    found = [row for row in takeover.store.rows if row.kind == KINDS[kind]]
    return {row.id: kind.FromString(row.data) for row in found}


def test_this_host_is_the_only_manager() -> None:
    old, worker = manager("old", leader=True), builders.node()
    after = taken_over(builders.cluster(), old, worker)
    nodes = objects_of(after, api.Node)
    assert {"own", worker.id} == nodes.keys()
    assert ["own"] == [node.id for node in nodes.values() if node.role == MANAGER]
    assert [old.id] == [node.id for node in after.removed]


def test_managers_of_then_get_in_no_more_for_ever() -> None:
    old = [manager("old1", leader=True), manager("old2")]
    after = taken_over(builders.cluster(), *old)
    (cluster,) = objects_of(after, api.Cluster).values()
    refused = cluster.blacklisted_certificates
    assert {one.id for one in old} == refused.keys()
    assert not any(entry.HasField("expiry") for entry in refused.values())
    assert cluster == after.cluster


def test_this_host_has_the_labels_and_the_availability_of_the_one_that_led() -> None:
    drain = api.NodeSpec.Availability.DRAIN
    led = manager("old2", leader=True, labels={"disk": "ssd"}, availability=drain)
    after = taken_over(builders.cluster(), manager("old1", labels={"disk": "hdd"}), led)
    assert {"disk": "ssd"} == dict(after.node.spec.annotations.labels)
    assert drain == after.node.spec.availability


def test_tasks_of_the_managers_of_then_are_orphaned_and_all_others_untouched() -> None:
    old, worker = manager("old"), builders.node()
    lost = builders.task(state=State.RUNNING, node_id=old.id)
    ended = builders.task(state=State.FAILED, node_id=old.id)
    kept = builders.task(state=State.RUNNING, node_id=worker.id)
    after = taken_over(builders.cluster(), old, worker, lost, ended, kept)
    tasks = objects_of(after, api.Task)
    assert State.ORPHANED == tasks[lost.id].status.state
    assert (ended, kept) == (tasks[ended.id], tasks[kept.id])


def test_a_promotion_that_had_begun_is_taken_back() -> None:
    waiting = builders.node()
    waiting.spec.desired_role = MANAGER
    after = taken_over(builders.cluster(), manager("old"), waiting)
    assert WORKER == objects_of(after, api.Node)[waiting.id].spec.desired_role
    assert [waiting.id] == [node.id for node in after.demoted]


def test_versions_go_on_far_above_all_that_may_have_been_given() -> None:
    secret = builders.secret()
    after = taken_over(builders.cluster(), manager("old"), secret)
    assert 3 + FURTHER == after.store.version
    versions = {(row.kind, row.id): row.version for row in after.store.rows}
    assert 3 == versions["secret", secret.id]
    assert after.store.version == versions["node", "own"]
    for row in after.store.rows:
        one = next(kind for kind, name in KINDS.items() if name == row.kind).FromString(row.data)
        assert row.version == one.meta.version.index


def test_a_backup_without_a_cluster_is_refused() -> None:
    with pytest.raises(CorruptStateError, match="the file holds no cluster"):
        taken_over(builders.node())
