"""What a manager of several does about files of its own that are not as they were left."""

import os
import signal
from collections.abc import Iterator

import pytest

from swarmd import api
from tests.cluster import RealNode, free_port, wait
from tests.quorum import Managers, address_of, formed, join, manager_token, node_id, why_not

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or ""),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def three() -> Iterator[Managers]:
    with formed(3) as managers:
        yield managers


def stop(node: RealNode) -> None:
    assert node.pid, "runs"
    os.kill(node.pid, signal.SIGTERM)
    wait(lambda: not node.report, "stopped")


def test_damaged_data_of_etcd_is_refused_with_the_way_out_and_that_way_works(three: Managers):
    node = three.followers[0]
    name = node_id(node)
    stop(node)
    (log,) = (node.state_dir / "etcd/data/member/wal").glob("0000*.wal")
    written = log.read_bytes().rstrip(b"\0")
    log.write_bytes(written[:100] + bytes(len(written) - 200) + written[-100:])
    status, said = node.refused(120)
    assert 78 == status, said
    assert str(node.state_dir / "etcd/data") in said
    assert "swarmd leave --force" in said
    left = node.swarmd("leave", "--force")
    assert 0 == left.returncode, left.stderr
    leader = three.leader
    demoted = leader.ctl("node", "demote", name)
    assert 0 == demoted.returncode, demoted.stderr
    wait(lambda: not leader.ctl("node", "rm", "--force", name).returncode, "removed")
    join(node, address_of(leader), manager_token(leader))
    three.wait_whole()


def test_a_damaged_list_of_managers_is_named_and_nothing_is_changed(three: Managers):
    node = three.followers[0]
    stop(node)
    path = node.state_dir / "etcd/quorum.json"
    sound = path.read_bytes()
    path.write_bytes(sound[: len(sound) // 2])
    status, said = node.refused(120)
    assert 78 == status, said
    assert str(path) in said
    path.write_bytes(sound)
    three.wait_whole()


def test_managers_that_lost_every_address_find_each_other_by_one_name(three: Managers):
    for node in three.nodes:
        node.kill_all()
    for node in three.nodes:
        node.remote = f"127.0.0.1:{free_port()}"
    first, *others = three.nodes
    for node in others:
        node.environment["SWARMD_JOIN_ADDR"] = first.remote
        node.environment["SWARMD_JOIN_TOKEN"] = "SWMTKN-1-" + "0" * 50 + "-" + "0" * 25  # unused
    three.wait_whole()
    found = first.call("ListNodes", api.ListNodesRequest()).nodes
    assert {node.remote for node in three.nodes} == {one.manager_status.addr for one in found}


def test_a_manager_that_comes_back_elsewhere_is_known_there_to_all(three: Managers):
    node = three.followers[0]
    stop(node)
    node.remote = f"127.0.0.1:{free_port()}"
    three.wait_whole()
    known = [(one.state_dir / "etcd/quorum.json").read_text() for one in three.nodes]
    assert [True] * 3 == [node.remote in text for text in known]
