"""What a manager of several does about files of its own that are not as they were left."""

import os
import re
import signal
from collections.abc import Iterator

import pytest

from swarmd import api
from swarmd.security import data_key
from swarmd.state_dir import StateDir
from tests.cluster import RealNode, wait
from tests.integration.test_autolock import WRONG, unlock, wait_sealed
from tests.quorum import Managers, formed, joining, listed, node_id, why_not, without_quorum

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
    node, leader = three.followers[0], three.leader
    name = node_id(node)
    stop(node)
    (log,) = (node.state_dir / "etcd/data/member/wal").glob("0000*.wal")
    sound = log.read_bytes()
    written = sound.rstrip(b"\0")
    log.write_bytes(written[:100] + bytes(len(written) - 200) + written[-100:])
    status, said = node.refused(120)
    assert 78 == status, said
    assert str(node.state_dir / "etcd/data") in said
    assert "swarmd leave --force" in said

    refused = leader.ctl("node", "rm", "--force", name)
    assert "must be demoted" in refused.stderr
    demoted = leader.ctl("node", "demote", name)
    assert 0 == demoted.returncode, demoted.stderr
    wait(lambda: listed(leader, name).role == api.NodeRole.WORKER, "demoted")
    assert 0 == leader.ctl("node", "rm", "--force", name).returncode
    log.write_bytes(sound)  # who was removed stays out, sound or not
    status, said = node.refused(120)
    assert 78 == status, said
    assert f"node {name}" in said
    assert "swarmd leave --force" in said

    left = node.swarmd("leave", "--force")
    assert 0 == left.returncode, left.stderr
    node.environment |= joining(leader)
    three.wait_whole()


def test_files_that_are_damaged_or_of_another_time_are_named_and_nothing_is_changed(
    three: Managers,
):
    node = three.followers[0]
    stop(node)
    members, key = node.state_dir / "etcd/quorum.json", StateDir(node.state_dir).node_key
    for path, spoil, why in (
        (members, lambda: members.write_bytes(members.read_bytes()[:40]), "which managers keep"),
        (key, lambda: data_key.adopt(key, [b"x" * 32]), "sealed under another data key"),
    ):
        sound = path.read_bytes()
        spoil()
        status, said = node.refused(120)
        assert 78 == status, said
        assert str(path) in said
        assert why in said
        path.write_bytes(sound)
    three.wait_whole()


def test_each_locked_manager_waits_for_the_key_and_the_unlocked_ones_for_a_quorum(three: Managers):
    shown = three.leader.ctl("cluster", "update", "default", "--autolock")
    key = re.search(r"SWMKEY-1-\S+", shown.stdout)
    assert key, shown.stdout + shown.stderr
    for node in three.nodes:
        wait_sealed(node, key[0])
    for node in three.nodes:
        node.kill_all()
    for node in three.nodes:
        node.spawn()
    for node in three.nodes:
        wait(lambda node=node: node.report.get("phase") == "locked", "locked")
    first, *others = three.nodes
    wait(first.socket.exists, "its control socket")
    assert "locked: unlock it with `swarmd unlock`" in first.ctl("node", "ls").stderr
    assert "wrong unlock key" in unlock(first, WRONG).stderr
    assert 0 == unlock(first, key[0]).returncode
    said = without_quorum(first)
    assert "2 of the 3 managers cannot be reached" in said
    assert [True, True] == [f"at {node.remote}" in said for node in others]
    assert "unlock those that are locked" in said
    for node in others:
        assert 0 == unlock(node, key[0]).returncode
    three.wait_whole()
    assert [] == [node for node in three.nodes if key[0] in node.log]
