"""Node calls."""

import datetime as dt
from random import Random
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from swarmd import api
from swarmd.errors import Status
from swarmd.rpc.forward import FORCE
from swarmd.store import Store, WriteTx
from tests import builders
from tests.fakes.clock import START, FakeClock
from tests.unit.manager.control.calls import INVALID_ARGUMENT, OnlyMember, put, refusal
from workers.manager.control.server import ControlServicer

PRECONDITION = Status.FAILED_PRECONDITION
State = api.TaskState
WEEK_SECONDS = 7 * 24 * 3600


def certificate(*, until: float) -> bytes:
    """Any node's, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    nobody = x509.Name([])
    end = dt.datetime.fromtimestamp(until, dt.UTC)
    builder = x509.CertificateBuilder(nobody, nobody, key.public_key(), serial_number=1)
    builder = builder.not_valid_before(end - dt.timedelta(hours=1)).not_valid_after(end)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def removal(node: api.Node, *, force: bool = False) -> api.RemoveNodeRequest:
    return api.RemoveNodeRequest(node_id=node.id, force=force)


def change(node: api.Node, **fields: Any) -> api.UpdateNodeRequest:
    request = api.UpdateNodeRequest(node_id=node.id, node_version=node.meta.version, spec=node.spec)
    for name, value in fields.items():
        setattr(request.spec, name, value)
    return request


@pytest.fixture
async def worker(store: Store) -> api.Node:
    node = builders.node("w1")
    await put(store, node)
    return node


@pytest.fixture
async def down(store: Store) -> api.Node:
    node = builders.node("w2", state=api.NodeStatus.State.DOWN)
    await put(store, node)
    return node


# get


async def test_get_needs_an_id_that_exists(control: ControlServicer, worker: api.Node) -> None:
    answer = await control.GetNode(api.GetNodeRequest(node_id=worker.id), None)
    assert worker == answer.node
    assert INVALID_ARGUMENT == await refusal(control.GetNode(api.GetNodeRequest(), None))
    told = await refusal(control.GetNode(api.GetNodeRequest(node_id="w1"), None))
    assert (Status.NOT_FOUND, "node w1 not found") == told


async def test_a_manager_is_shown_as_one(
    control: ControlServicer, manager: api.Node, store: Store
) -> None:
    shown = [
        (await control.GetNode(api.GetNodeRequest(node_id=manager.id), None)).node,
        *(await control.ListNodes(api.ListNodesRequest(), None)).nodes,
    ]
    for node in shown:
        assert node.manager_status.leader
        assert "10.0.0.1:4242" == node.manager_status.addr
        assert api.RaftMemberStatus.Reachability.REACHABLE == node.manager_status.reachability
    stored = store.view().nodes.get(manager.id)
    assert stored is not None
    assert not stored.HasField("manager_status")


# list


async def test_filters_of_several_kinds_must_all_be_met(
    control: ControlServicer, manager: api.Node, store: Store
) -> None:
    engine = api.NodeDescription(hostname="Box", engine={"labels": {"pool": "p"}})
    box = builders.node(labels={"rack": "r1"}, description=engine)
    pending = builders.node("new", spec={"membership": api.NodeSpec.Membership.PENDING})
    blank = api.Node(id=builders.new_id())
    await put(store, box, pending, blank)
    known = {manager.id: "manager", box.id: "box", pending.id: "pending", blank.id: "blank"}

    async def listed(**filters: Any) -> list[str]:
        answer = await control.ListNodes(api.ListNodesRequest(filters=filters), None)
        return sorted(known[node.id] for node in answer.nodes)

    assert ["blank", "box", "manager", "pending"] == await listed()
    assert ["box", "manager"] == await listed(names=["Box", "m1"])
    assert [] == await listed(names=["box"])
    assert ["box"] == await listed(name_prefixes=["B"])
    assert ["box"] == await listed(id_prefixes=[box.id[:20]])
    assert ["box"] == await listed(labels={"pool": ""})
    assert ["box"] == await listed(node_labels={"rack": "r1"})
    assert [] == await listed(node_labels={"rack": "r1"}, labels={"pool": "q"})
    assert ["manager"] == await listed(roles=[api.NodeRole.MANAGER])
    assert ["box", "manager"] == await listed(
        memberships=[api.NodeSpec.Membership.ACCEPTED], names=["Box", "m1", "new"]
    )


# update


async def test_update_replaces_the_spec(control: ControlServicer, worker: api.Node) -> None:
    request = change(worker, availability=api.NodeSpec.Availability.DRAIN)
    request.spec.annotations.labels["a"] = "b"
    updated = (await control.UpdateNode(request, None)).node
    assert request.spec == updated.spec
    assert updated.meta.version.index > worker.meta.version.index


async def test_update_needs_id_version_and_spec(control: ControlServicer, worker: api.Node) -> None:
    for field in ("node_id", "node_version", "spec"):
        request = change(worker)
        request.ClearField(field)
        assert INVALID_ARGUMENT == await refusal(control.UpdateNode(request, None))
    request = change(worker)
    request.node_id = "no"
    told = await refusal(control.UpdateNode(request, None))
    assert (Status.NOT_FOUND, "node no not found") == told


async def test_update_needs_the_version_that_it_changes(
    control: ControlServicer, worker: api.Node
) -> None:
    request = change(worker)
    await control.UpdateNode(request, None)
    told = await refusal(control.UpdateNode(request, None))
    assert (Status.UNKNOWN, "update out of sequence") == told


async def test_the_last_manager_is_not_demoted(control: ControlServicer, manager: api.Node) -> None:
    request = change(manager, desired_role=api.NodeRole.WORKER)
    sentence = "attempting to demote the last manager of the swarm"
    assert (PRECONDITION, sentence) == await refusal(control.UpdateNode(request, None))


async def test_nobody_is_promoted_while_one_manager_owns_the_store(
    control: ControlServicer, worker: api.Node
) -> None:
    status, sentence = await refusal(
        control.UpdateNode(change(worker, desired_role=api.NodeRole.MANAGER), None)
    )
    assert PRECONDITION == status
    assert f"node {worker.id} cannot become a manager" in sentence


# remove


async def test_remove_needs_an_id_that_exists(control: ControlServicer) -> None:
    told = await refusal(control.RemoveNode(api.RemoveNodeRequest(), None))
    assert INVALID_ARGUMENT == told
    told = await refusal(control.RemoveNode(api.RemoveNodeRequest(node_id="no"), None))
    assert (Status.NOT_FOUND, "node no not found") == told


async def test_a_node_that_is_ready_goes_by_force_alone(
    control: ControlServicer, worker: api.Node, cluster: api.Cluster, store: Store
) -> None:
    sentence = f"node {worker.id} is not down and can't be removed"
    assert (PRECONDITION, sentence) == await refusal(control.RemoveNode(removal(worker), None))
    await control.RemoveNode(removal(worker, force=True), None)
    assert store.view().nodes.get(worker.id) is None


async def test_a_manager_is_demoted_before_it_goes(
    control: ControlServicer, manager: api.Node
) -> None:
    sentence = (
        f"node {manager.id} is a cluster manager and is a member of the raft cluster. "
        "It must be demoted to worker before removal"
    )
    told = await refusal(control.RemoveNode(removal(manager, force=True), None))
    assert (PRECONDITION, sentence) == told


async def test_a_removed_nodes_certificate_opens_nothing(
    control: ControlServicer, store: Store, cluster: api.Cluster, clock: FakeClock
) -> None:
    until = START + 3600
    pem = certificate(until=until)
    known = builders.node(state=api.NodeStatus.State.DOWN, certificate={"certificate": pem})
    unknown = builders.node(state=api.NodeStatus.State.DOWN, certificate={"certificate": b"x"})
    await put(store, known, unknown)
    for node in (known, unknown):
        await control.RemoveNode(removal(node), None)
    refused = store.view().clusters.find()[0].blacklisted_certificates
    assert until == refused[known.id].expiry.seconds
    assert not refused[unknown.id].HasField("expiry")


async def test_a_removed_node_is_forgotten_a_week_after_its_certificate(
    control: ControlServicer, store: Store, cluster: api.Cluster, clock: FakeClock
) -> None:
    nodes = [
        builders.node(
            state=api.NodeStatus.State.DOWN,
            certificate={"certificate": certificate(until=START + seconds)},
        )
        for seconds in (1, 3600)
    ]
    await put(store, *nodes)
    await control.RemoveNode(removal(nodes[0]), None)
    clock.advance(seconds=WEEK_SECONDS + 2)
    await control.RemoveNode(removal(nodes[1]), None)
    refused = store.view().clusters.find()[0].blacklisted_certificates
    assert [nodes[1].id] == list(refused)


async def test_a_node_of_very_many_tasks_can_be_removed(
    control: ControlServicer, store: Store, cluster: api.Cluster, down: api.Node
) -> None:
    big = api.TaskSpec(container=api.ContainerSpec(image="host", env=["A=" + 1000 * "x"]))
    running = {"node_id": down.id, "state": State.RUNNING, "spec": big}
    for _ in range(20):
        await put(store, *(builders.task(**running) for _ in range(100)))
    await control.RemoveNode(removal(down), None)
    states = {task.status.state for task in store.view().tasks.find()}
    assert ({State.ORPHANED}, None) == (states, store.view().nodes.get(down.id))


async def test_tasks_of_a_removed_node_are_orphans(
    control: ControlServicer, store: Store, cluster: api.Cluster, down: api.Node
) -> None:
    running = builders.task(node_id=down.id, state=State.RUNNING)
    failed = builders.task(node_id=down.id, state=State.FAILED)
    elsewhere = builders.task(node_id="other", state=State.RUNNING)
    await put(store, running, failed, elsewhere)
    await control.RemoveNode(removal(down), None)
    tasks = store.view().tasks
    orphan = tasks.get(running.id)
    assert orphan is not None
    assert State.ORPHANED == orphan.status.state
    assert "Task belonged to a node that has been deleted" == orphan.status.message
    assert START == orphan.status.timestamp.seconds
    assert (failed, elsewhere) == (tasks.get(failed.id), tasks.get(elsewhere.id))


async def test_a_store_without_its_cluster_is_told(
    control: ControlServicer, down: api.Node, store: Store
) -> None:
    told = await refusal(control.RemoveNode(removal(down), None))
    assert (Status.INTERNAL, "could not fetch cluster object") == told
    assert store.view().nodes.get(down.id) is not None


async def test_another_manager_than_the_last_may_be_demoted(
    store: Store, clock: FakeClock, manager: api.Node
) -> None:
    second = builders.node("m2", role=api.NodeRole.MANAGER)
    await put(store, second)
    await store.update(lambda tx: _reach(tx, manager.id))
    members = OnlyMember(manager.id)
    control = ControlServicer(store, clock, Random(0), members, lambda *_: False)
    request = change(second, desired_role=api.NodeRole.WORKER)
    updated = (await control.UpdateNode(request, None)).node
    assert api.NodeRole.WORKER == updated.spec.desired_role


@pytest.mark.parametrize(
    ("plugins", "why"),
    [
        ([], "it is of another kind, as Docker Engine's are"),
        ([("Volume", "local"), ("Network", "overlay")], "it is of another kind"),
        ([("Engine", "supervisor")], "its host has no etcd of 3.4 or newer on PATH"),
        ([("Engine", "docker"), ("Quorum", "etcd-3.4.23")], ""),
    ],
)
async def test_a_node_is_promoted_only_where_its_host_has_what_a_manager_needs(
    store: Store, clock: FakeClock, plugins: list[tuple[str, str]], why: str
) -> None:
    worker = builders.node("w1")
    worker.description.engine.engine_version = "1"
    for kind, name in plugins:
        worker.description.engine.plugins.add(type=kind, name=name)
    await put(store, worker)
    members = OnlyMember("m", alone="")
    control = ControlServicer(store, clock, Random(0), members, lambda *_: False)
    request = change(worker, desired_role=api.NodeRole.MANAGER)
    if why:
        status, said = await refusal(control.UpdateNode(request, None))
        assert PRECONDITION == status
        assert f"node {worker.id} cannot become a manager: {why}" in said
    else:
        promoted = (await control.UpdateNode(request, None)).node
        assert api.NodeRole.MANAGER == promoted.spec.desired_role


async def test_no_demotion_leaves_managers_without_a_quorum(
    store: Store, clock: FakeClock, manager: api.Node
) -> None:
    second = builders.node("m2", role=api.NodeRole.MANAGER)
    await put(store, second)
    control = ControlServicer(store, clock, Random(0), OnlyMember(manager.id), lambda *_: False)
    request = change(second, desired_role=api.NodeRole.WORKER)
    status, said = await refusal(control.UpdateNode(request, Saying()))
    assert Status.FAILED_PRECONDITION == status
    assert "of the 1 managers that would be left only 0 can be reached" in said

    done = (await control.UpdateNode(request, Saying(FORCE))).node  # though it was told
    assert (api.NodeRole.WORKER, False) == (done.role, done.HasField("manager_status"))
    assert api.IssuanceStatus.State.ROTATE == done.certificate.status.state


async def test_of_managers_that_are_demoted_at_once_the_last_stays_one(
    store: Store, clock: FakeClock, manager: api.Node
) -> None:
    second = builders.node("m2", role=api.NodeRole.MANAGER)
    await put(store, second)
    await store.update(lambda tx: _reach(tx, manager.id))
    control = ControlServicer(store, clock, Random(0), OnlyMember(manager.id), lambda *_: False)
    await control.UpdateNode(change(second, desired_role=api.NodeRole.WORKER), None)
    (last,) = (one for one in store.view().nodes.find() if one.id == manager.id)
    request = change(last, desired_role=api.NodeRole.WORKER)
    sentence = "attempting to demote the last manager of the swarm"
    assert (PRECONDITION, sentence) == await refusal(control.UpdateNode(request, Saying(FORCE)))


class Saying:
    """The context of a call that came with this metadata."""

    def __init__(self, *metadata: tuple[str, str]) -> None:
        self._metadata = metadata

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata


def _reach(tx: WriteTx, node_id: str) -> None:
    node = tx.nodes.copy(node_id)
    node.manager_status.reachability = api.RaftMemberStatus.Reachability.REACHABLE
    tx.nodes.update(node)
