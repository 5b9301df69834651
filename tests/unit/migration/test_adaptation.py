"""What a swarm's objects become on a single manager."""

import pytest

from swarmd import api
from swarmd.errors import CorruptStateError
from swarmd.migration.adaptation import adapt
from tests import builders

MANAGER = api.NodeRole.MANAGER
RUNNING, SHUTDOWN = api.TaskState.RUNNING, api.TaskState.SHUTDOWN
COMPLETE, ORPHANED = api.TaskState.COMPLETE, api.TaskState.ORPHANED


@pytest.fixture
def swarm():
    """Two managers and a worker, each with a task that runs."""
    nodes = [
        builders.node("one", role=MANAGER, id="m1"),
        builders.node("two", role=MANAGER, id="m2", labels={"zone": "b"}),
        builders.node("three", id="w1", labels={"zone": "c"}),
    ]
    web = builders.service("web", replicas=3)
    tasks = [
        builders.task(web, id=f"on-{node.id}", node_id=node.id, state=RUNNING) for node in nodes
    ]
    return api.StoreSnapshot(
        clusters=[builders.cluster(root_ca=api.RootCA(ca_key=b"key"))],
        nodes=nodes,
        services=[web],
        tasks=tasks,
    )


def adapted(swarm):
    return adapt(swarm, "m1", "the files", 1000.0)


def said(swarm) -> str:
    return "\n".join(map(str, adapted(swarm).remarks))


def states(swarm) -> dict[str, tuple[int, int]]:
    return {one.id: (one.status.state, one.desired_state) for one in adapted(swarm).store.tasks}


def test_other_managers_are_removed_for_good_and_named(swarm):
    found = adapted(swarm)
    assert ["m1", "w1"] == [node.id for node in found.store.nodes]
    assert {"m2"} == set(found.cluster.blacklisted_certificates)
    assert (
        "node m2 (two): was a manager too, and is removed (1 task replaced; labels zone=b)"
        in said(swarm)
    )


def test_tasks_of_managers_are_orphaned_and_those_of_workers_run_on(swarm):
    orphaned = (ORPHANED, SHUTDOWN)
    assert {"on-m1": orphaned, "on-m2": orphaned, "on-w1": (RUNNING, RUNNING)} == states(swarm)


def test_what_had_ended_stays_as_it_ended(swarm):
    swarm.tasks[0].status.state = COMPLETE
    assert (COMPLETE, RUNNING) == states(swarm)["on-m1"]
    assert "this host" not in said(swarm)


def test_a_worker_stays_as_it_was(swarm):
    before = swarm.nodes[2]
    assert before == adapted(swarm).store.nodes[1]


def test_a_worker_that_was_to_become_a_manager_stays_one(swarm):
    swarm.nodes[2].spec.desired_role = MANAGER
    assert api.NodeRole.WORKER == adapted(swarm).store.nodes[1].spec.desired_role
    assert "was to become a manager" in said(swarm)


def test_what_was_found_is_not_changed(swarm):
    before = swarm.SerializeToString(deterministic=True)
    adapted(swarm)
    assert before == swarm.SerializeToString(deterministic=True)


def test_networks_and_who_asks_for_them_are_named(swarm):
    front = builders.network("front", id="net1")
    ingress = builders.network("ingress")
    ingress.spec.ingress = True
    swarm.networks.extend(
        [front, ingress, builders.network("host", labels={"com.docker.swarm.predefined": "true"})]
    )
    swarm.services[0].spec.task.networks.add(target="net1")
    swarm.services[0].endpoint.ports.add(published_port=80)
    assert 3 == len(adapted(swarm).store.networks)
    words = said(swarm)
    assert "network front (overlay): is kept" in words
    assert "there are no networks here (front)" in words
    assert "publish 80 with mode=host" in words
    assert "network host" not in words
    assert "network ingress" not in words


def test_what_has_no_meaning_here_is_named(swarm):
    cluster = swarm.clusters[0]
    cluster.root_ca.ca_key = b""
    cluster.fips = True
    cluster.spec.encryption_config.auto_lock_managers = True
    cluster.defaultAddressPool.append("10.0.0.0/8")
    swarm.services[0].spec.task.generic.kind = "plugin"
    swarm.volumes.append(builders.volume("data"))
    swarm.volumes[0].spec.driver.name = "ebs"
    words = said(swarm)
    for expected in (
        "root CA: its key is not there",
        "FIPS mode: is not demanded here",
        "autolock: stays on",
        "address pools: have no meaning here",
        "is of the runtime plugin",
        "--csi-plugin ebs=SOCKET",
    ):
        assert expected in words


def test_a_manager_that_the_store_does_not_know_is_refused(swarm):
    with pytest.raises(CorruptStateError, match="the files has no node m9"):
        adapt(swarm, "m9", "the files", 0.0)


def test_a_store_without_a_cluster_is_refused(swarm):
    swarm.ClearField("clusters")
    with pytest.raises(CorruptStateError, match="the files holds no cluster"):
        adapted(swarm)
