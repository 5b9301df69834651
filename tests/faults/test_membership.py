"""Managers that come, go and are lost, by way of what an operator has: promote, demote, leave …

One cluster of three for all of them, in this order: each test leaves three managers to the next.
"""

import contextlib
import os
import signal
from collections.abc import Iterator

import grpc
import pytest

from swarmd import api
from tests.cluster import RealNode, wait
from tests.quorum import (
    Managers,
    etcd_pid,
    formed,
    host_pids,
    is_plain_worker,
    is_reached,
    joining,
    listed,
    node_id,
    signal_all,
    stopped,
    why_not,
    without_quorum,
)

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or ""),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def three() -> Iterator[Managers]:
    with formed(3) as managers:
        yield managers


def ctl(node: RealNode, *words: str) -> str:
    done = node.ctl(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def promote(at: RealNode, node: RealNode) -> None:
    """And wait until it answers as a manager."""
    ctl(at, "node", "promote", node_id(node))
    wait(lambda: is_reached(at, node_id(node)), "promoted", 120)
    wait(lambda: is_reached(node, node_id(at)), "answers as a manager", 120)


def writes(node: RealNode) -> bool:
    with contextlib.suppress(grpc.RpcError, OSError):
        return bool(node.create_service("true"))
    return False


def test_a_manager_is_demoted_and_promoted_again_and_again_under_load(three: Managers):
    node = three.followers[0]
    others = three.others(node)
    service = others[0].create_service("sleep", "1000", replicas=3)
    pids = others[0].wait_running(service, 3)
    with three.load(at=others) as load:
        for _ in range(2):
            ctl(others[0], "node", "demote", node_id(node))
            wait(lambda: is_plain_worker(node), "demoted", 120)
            load.wait_written()
            promote(others[0], node)
            load.wait_written()
        assert pids == others[0].wait_running(service, 3)
    load.check()


def test_a_leader_that_is_demoted_hands_over_and_one_that_leaves_is_missed_by_no_quorum(
    three: Managers,
):
    first, (second, last) = three.leader, three.followers
    with three.load(at=[second, last]) as load:
        ctl(first, "node", "demote", node_id(first))
        wait(lambda: is_plain_worker(first), "demoted", 120)
        load.wait_written()
    load.check()

    name = node_id(second)
    left = second.swarmd("leave")
    assert left.returncode == 0, left.stderr
    wait(lambda: listed(last, name).role == api.NodeRole.WORKER, "a worker")
    last.create_service("true")  # writes go on, with one vote of one
    alone = last.swarmd("leave")
    assert (1, True) == (alone.returncode, "the cluster is lost" in alone.stderr)
    refused = last.ctl("node", "demote", "--force", node_id(last))
    assert "last manager" in refused.stderr

    second.environment |= joining(last)
    ctl(last, "node", "promote", node_id(first))
    three.wait_whole()


def test_where_a_demotion_would_cost_the_quorum_it_is_refused_or_forced(three: Managers):
    first, (second, away) = three.leader, three.followers
    lost, name = node_id(away), node_id(second)
    away.kill_all()
    wait(lambda: not is_reached(first, lost), "seen as away")
    refused = first.ctl("node", "demote", name)
    assert (1, True) == (refused.returncode, "which is no quorum" in refused.stderr)
    assert listed(first, name).spec.desired_role == api.NodeRole.MANAGER

    forced = first.ctl("node", "demote", "--force", name)
    assert (0, True) == (forced.returncode, "no call answered until it is back" in forced.stderr)
    said = without_quorum(first)
    assert "1 of the 2 managers cannot be reached" in said
    assert f"at {away.remote}), and 2 have to run" in said
    status = first.swarmd("status")
    assert (4, True) == (status.returncode, f"({lost} at {away.remote} cannot be" in status.stdout)
    away.spawn()
    wait(lambda: is_plain_worker(second), "demoted once there is a quorum again", 120)
    promote(first, second)
    three.wait_whole()


@pytest.mark.parametrize("part", ["manager", "etcd"])
def test_a_manager_of_which_a_part_hangs_counts_as_away(three: Managers, part: str):
    first, (second, hung) = three.leader, three.followers
    pids = {
        "manager": [hung.pid, hung.worker_pid("manager")],
        "etcd": [hung.pid, hung.worker_pid("etcd"), etcd_pid(hung)],
    }
    with stopped(pids[part]):
        wait(lambda: not is_reached(first, node_id(hung)), "seen as away")
        refused = first.ctl("node", "demote", node_id(second))
    assert (1, True) == (refused.returncode, "which is no quorum" in refused.stderr)
    three.wait_whole()


def test_one_manager_of_three_goes_on_alone_with_all_that_it_acknowledged(three: Managers):
    first, (survivor, last) = three.leader, three.followers
    lost = node_id(last)
    service = survivor.create_service("sleep", "1000", replicas=3)
    survivor.wait_running(service, 3)
    with three.load(clients=6) as load:
        last.kill_all()  # from here on the two others need each other for every write
        load.wait_written(20)
        signal_all([*host_pids(first), *host_pids(survivor)], signal.SIGKILL)
        first.kill_all()
        wait(lambda: not survivor.is_locked(), "all of it gone")
        survivor.options += ("--force-new-cluster",)
        survivor.run()
        wait(lambda: writes(survivor), "a write")
    load.check()
    assert "others' nodes are workers" in survivor.log
    status = survivor.swarmd("status").stdout
    assert "forced to go on without" in status
    assert f"{lost} at {last.remote}" in status

    last.spawn()
    wait(lambda: is_plain_worker(last), "back as a worker", 120)
    promote(survivor, last)
    # The option stands there still, and does nothing more.
    os.kill(survivor.pid, signal.SIGKILL)
    wait(lambda: not survivor.report and not survivor.is_locked(), "killed")
    survivor.run()
    wait(lambda: is_reached(last, node_id(survivor)), "both", 120)
    wait(lambda: is_reached(survivor, node_id(last)), "both", 120)
