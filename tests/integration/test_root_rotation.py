"""A change of root CA with real nodes: all move over, nothing stops, and no kill loses it."""

import os
import signal
import time

import pytest

from swarmd import api
from swarmd.security.certificates import NodeCertificates
from swarmd.security.root_ca import RootCA, digest
from swarmd.state_dir import StateDir
from tests.cluster import RealNode, wait

MINUTE = 90.0


@pytest.fixture
def node():
    with RealNode() as node:
        node.run()
        yield node


def cluster_of(node: RealNode) -> api.Cluster:
    (cluster,) = node.call("ListClusters", api.ListClustersRequest()).clusters
    return cluster


def files_of(node: RealNode) -> NodeCertificates:
    return NodeCertificates.load(StateDir(node.state_dir))


def is_over(node: RealNode) -> bool:
    return not cluster_of(node).root_ca.HasField("root_rotation")


def test_every_node_moves_to_the_new_root_and_no_task_notices(node):
    service = node.create_service("sleep", "1000")
    pids = node.wait_running(service, 1)
    before, was = cluster_of(node), files_of(node)
    tokens = before.root_ca.join_tokens
    with RealNode(f"--join-addr={node.remote}", f"--join-token={tokens.worker}") as worker:
        worker.run()
        workers = {one["name"]: one["pid"] for one in node.report["processes"]}
        done = node.ctl("ca", "rotate")
        assert 0 == done.returncode, done.stderr
        after = cluster_of(node)
        assert before.root_ca.ca_cert != after.root_ca.ca_cert
        assert digest(after.root_ca.ca_cert) in done.stdout
        assert "of 2 nodes have a new certificate" in done.stderr
        for one in (node, worker):
            wait(lambda one=one: files_of(one).root_pem == after.root_ca.ca_cert, "the new root")
        assert was.identity == files_of(node).identity
        assert was.certificate_pem != files_of(node).certificate_pem
        assert pids == node.running(service)
        assert workers == {one["name"]: one["pid"] for one in node.report["processes"]}

    stale = RealNode(f"--join-addr={node.remote}", f"--join-token={tokens.worker}")
    with stale:
        status, line = stale.refused()
        assert 0 != status, line
    fresh = after.root_ca.join_tokens.worker
    with RealNode(f"--join-addr={node.remote}", f"--join-token={fresh}") as late:
        late.run()


def test_a_rotation_whose_manager_is_killed_goes_on(node):
    before = cluster_of(node)
    assert 0 == node.ctl("ca", "rotate", "--detach").returncode
    pid = node.worker_pid("manager")
    os.kill(pid, signal.SIGKILL)
    node.wait_ready(without=pid)
    wait(lambda: is_over(node), "the rotation's end", MINUTE)
    after = cluster_of(node)
    assert before.root_ca.ca_cert != after.root_ca.ca_cert
    wait(lambda: files_of(node).root_pem == after.root_ca.ca_cert, "the new root")
    pid = node.worker_pid("manager")
    os.kill(pid, signal.SIGKILL)
    node.wait_ready(without=pid)


def test_a_given_root_becomes_the_clusters(node, tmp_path):
    given = RootCA.create(time.time())
    (tmp_path / "ca.crt").write_bytes(given.certificate_pem)
    (tmp_path / "ca.key").write_bytes(given.key_pem)
    words = ("ca", "rotate", f"--ca-cert={tmp_path}/ca.crt", f"--ca-key={tmp_path}/ca.key")
    done = node.ctl(*words)
    assert 0 == done.returncode, done.stderr
    assert given.certificate_pem == cluster_of(node).root_ca.ca_cert
    assert given.certificate_pem.decode() == node.ctl("ca", "show").stdout


def test_a_root_without_its_key_needs_somebody_who_signs(node, tmp_path):
    (tmp_path / "ca.crt").write_bytes(RootCA.create(time.time()).certificate_pem)
    done = node.ctl("ca", "rotate", f"--ca-cert={tmp_path}/ca.crt")
    assert 1 == done.returncode
    assert "at least one valid, reachable external CA" in done.stderr


def test_a_cluster_begins_with_the_root_that_it_is_given(tmp_path):
    given = RootCA.create(time.time())
    (tmp_path / "ca.crt").write_bytes(given.certificate_pem)
    (tmp_path / "ca.key").write_bytes(given.key_pem)
    options = (f"--root-ca-cert={tmp_path}/ca.crt", f"--root-ca-key={tmp_path}/ca.key")
    with RealNode(*options) as node:
        node.run()
        assert given.certificate_pem == files_of(node).root_pem


def test_a_root_whose_key_is_anothers_is_refused(tmp_path):
    (tmp_path / "ca.crt").write_bytes(RootCA.create(time.time()).certificate_pem)
    (tmp_path / "ca.key").write_bytes(RootCA.create(time.time()).key_pem)
    options = (f"--root-ca-cert={tmp_path}/ca.crt", f"--root-ca-key={tmp_path}/ca.key")
    with RealNode(*options) as node:
        status, line = node.refused()
        assert 78 == status
        assert "ca.crt" in line
