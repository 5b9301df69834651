"""Managers that come and go, by way of what an operator has: promote, demote, leave, remove."""

import contextlib
import os
import signal
from collections.abc import Iterator

import grpc
import pytest

from swarmd import api
from tests.cluster import RealNode, wait
from tests.quorum import Managers, formed, join, manager_token, node_id, why_not

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or ""),
    pytest.mark.timeout(600),
]


@pytest.fixture
def two() -> Iterator[Managers]:
    with formed(2) as managers:
        yield managers


@contextlib.contextmanager
def a_worker_of(manager: RealNode) -> Iterator[RealNode]:
    token = manager.call("ListClusters", api.ListClustersRequest()).clusters[0]
    with RealNode() as node:
        join(node, manager.remote, token.root_ca.join_tokens.worker)
        yield node


def listed(at: RealNode, node: str) -> api.Node:
    return at.call("GetNode", api.GetNodeRequest(node_id=node)).node


def is_reached(at: RealNode, node: str) -> bool:
    up = api.RaftMemberStatus.Reachability.REACHABLE
    with contextlib.suppress(grpc.RpcError, OSError):  # there is no quorum at the moment
        return listed(at, node).manager_status.reachability == up
    return False


def is_plain_worker(node: RealNode) -> bool:
    """A worker, ready, with the agent alone and nothing left of a manager's store."""
    processes = {one["name"] for one in node.report.get("processes", ()) if one["pid"]}
    left = (node.state_dir / "etcd").exists()
    return (
        node.is_ready() and node.report["role"] == "worker" and processes == {"agent"} and not left
    )


def writes(node: RealNode) -> bool:
    with contextlib.suppress(grpc.RpcError):
        return bool(node.create_service("true"))
    return False


def ctl(node: RealNode, *words: str) -> str:
    done = node.ctl(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_node_is_promoted_and_demoted_again_and_again_under_load(two: Managers):
    first = two.nodes[0]
    with a_worker_of(first) as third, two.load() as load:
        service = third.ctl  # the worker's own manager answers only while it is one
        service_id = first.create_service("sleep", "1000", replicas=3)
        pids = first.wait_running(service_id, 3)
        name = node_id(third)
        for _ in range(2):
            ctl(first, "node", "promote", name)
            wait(lambda: is_reached(first, name), "promoted", 120)
            wait(lambda: service("node", "ls").returncode == 0, "answers as a manager")
            load.wait_written()
            ctl(first, "node", "demote", name)
            wait(lambda: is_plain_worker(third), "demoted", 120)
            load.wait_written()
        assert pids == first.wait_running(service_id, 3)
    load.check()


def test_a_leader_that_is_demoted_hands_over_first(two: Managers):
    leader, follower = two.leader, two.followers[0]
    with two.load(at=[follower]) as load:
        ctl(leader, "node", "demote", node_id(leader))
        wait(lambda: is_plain_worker(leader), "demoted", 120)
        load.wait_written()
    load.check()
    refused = follower.ctl("node", "demote", node_id(follower))
    assert "last manager" in refused.stderr


def test_a_manager_that_leaves_is_missed_by_no_quorum(two: Managers):
    stays, goes = two.leader, two.followers[0]
    left = goes.swarmd("leave")
    assert "stop it" in left.stderr or left.returncode == 0, left.stderr
    name = node_id(goes) or left.stdout.split()[1]
    wait(lambda: listed(stays, name).role == api.NodeRole.WORKER, "a worker")
    stays.create_service("true")  # writes go on, with one vote of one
    last = stays.swarmd("leave")
    assert (1, True) == (last.returncode, "the cluster is lost" in last.stderr)


def test_a_dead_manager_is_demoted_and_removed_and_stays_out(two: Managers):
    with RealNode() as third:
        first = two.nodes[0]
        join(third, first.remote, manager_token(first))
        name = node_id(third)
        wait(lambda: is_reached(first, name), "the third")
        third.kill_all()
        refused = first.ctl("node", "rm", "--force", name)
        assert "must be demoted" in refused.stderr
        ctl(first, "node", "demote", name)
        wait(lambda: listed(first, name).role == api.NodeRole.WORKER, "demoted")
        ctl(first, "node", "rm", "--force", name)
        two.wait_whole()
        status, said = third.refused()
        assert 78 == status, said
        assert f"node {name}" in said
        assert "swarmd leave --force" in said


def test_where_a_demotion_would_cost_the_quorum_it_is_refused(two: Managers):
    with RealNode() as third:
        first = two.leader
        join(third, first.remote, manager_token(first))
        name = node_id(third)
        wait(lambda: is_reached(first, name), "the third")
        third.kill_all()
        wait(lambda: not is_reached(first, name), "seen as away")
        refused = first.ctl("node", "demote", node_id(two.followers[0]))
        assert "no quorum" in refused.stderr


def test_one_manager_of_three_goes_on_alone_and_the_others_come_back_to_it():
    with formed(3) as managers:
        last, *others = managers.nodes[1], managers.nodes[0], managers.nodes[2]
        service = last.create_service("sleep", "1000", replicas=3)
        last.wait_running(service, 3)
        with managers.load() as load:
            load.wait_written(20)
        for node in others:
            node.kill_all()
        os.kill(last.pid, signal.SIGTERM)
        wait(lambda: not last.report, "stopped")
        last.options += ("--force-new-cluster",)
        last.run()
        wait(lambda: writes(last), "a write")
        load.check()  # by who is left: nothing acknowledged is lost
        assert "others' nodes are workers" in last.log
        back = others[0]
        back.spawn()
        wait(lambda: is_plain_worker(back), "back as a worker", 120)
        ctl(last, "node", "promote", node_id(back))
        wait(lambda: is_reached(last, node_id(back)), "promoted", 120)
        # The option stands there still, and does nothing more.
        os.kill(last.pid, signal.SIGKILL)
        wait(lambda: not last.report and not last.is_locked(), "killed")
        last.run()
        wait(
            lambda: is_reached(back, node_id(last)) and is_reached(last, node_id(back)), "both", 120
        )
