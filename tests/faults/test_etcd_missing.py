"""Where etcd is missing or too old, or --store forbids it: one sentence, and nothing is lost."""

import os
import shutil
import signal
from collections.abc import Iterator

import pytest

from swarmd import api
from swarmd.api.nodes import forms_quorum
from tests.cluster import RealNode, wait
from tests.quorum import manager_token, node_id, stopped, why_not

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or ""),
    pytest.mark.timeout(300),
]
_CANNOT_BOOT = 78
_NONE = "there is none on PATH: install it (Debian: apt install etcd-server)"
_OLD = "is etcd 3.3.25: 3.4 or newer is needed"


class HostWithout(RealNode):
    """What swarmd runs is on its PATH, but etcd; until it is installed."""

    def __init__(self, *options: str) -> None:
        super().__init__(*options)
        self._programs = self.root / "bin"
        self._programs.mkdir()
        for name in ("sh", "setpriv", "true"):
            self._install(name)
        self.environment["PATH"] = str(self._programs)

    def _install(self, name: str) -> None:
        (self._programs / name).unlink(missing_ok=True)
        (self._programs / name).symlink_to(shutil.which(name) or "")

    def install_etcd(self) -> None:
        self._install("etcd")

    def install_old_etcd(self) -> None:
        self.remove_etcd()
        etcd = self._programs / "etcd"
        etcd.write_text("#!/bin/sh\necho 'etcd Version: 3.3.25'\n")
        etcd.chmod(0o755)

    def remove_etcd(self) -> None:
        (self._programs / "etcd").unlink(missing_ok=True)

    def run_with(self, *options: str) -> None:
        self.options = options
        self.run()

    def refused_with(self, *options: str) -> str:
        """What it says as it ends by itself, unable to boot."""
        self.options = options
        status, said = self.refused()
        assert _CANNOT_BOOT == status, said
        return said

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        wait(lambda: not self.report and not self.is_locked(), "stopped")

    def services(self) -> set[str]:
        return {one.id for one in self.call("ListServices", api.ListServicesRequest()).services}

    def nodes(self) -> int:
        return len(self.call("ListNodes", api.ListNodesRequest()).nodes)


@pytest.fixture(scope="module")
def first() -> Iterator[HostWithout]:
    with HostWithout() as node:
        yield node


@pytest.fixture
def other() -> Iterator[HostWithout]:
    with HostWithout() as node:
        yield node


def joining(node: RealNode, first: RealNode, token: str) -> None:
    node.environment |= {"SWARMD_JOIN_ADDR": first.remote, "SWARMD_JOIN_TOKEN": token}


def test_a_first_manager_that_can_have_none_beside_it_refuses_the_second(
    first: HostWithout, other: HostWithout
):
    first.run_with()
    other.install_etcd()
    joining(other, first, manager_token(first))
    for install, why in (
        (
            first.remove_etcd,
            f"on the manager's host, a cluster with several managers needs etcd, and {_NONE}",
        ),
        (first.install_old_etcd, f"on the manager's host, {first.root / 'bin/etcd'} {_OLD}"),
    ):
        install()
        assert f"a manager cannot join: {why}" in other.refused_with()
    first.stop()
    first.install_etcd()
    first.run_with("--store=sqlite")
    why = "this cluster's store is one manager's own (--store sqlite)"
    assert f"a manager cannot join: {why}" in other.refused_with()
    assert 1 == first.nodes()
    assert not (first.state_dir / "etcd").exists()


def test_a_node_that_can_be_no_manager_is_refused_as_one_and_may_be_a_worker(
    first: HostWithout, other: HostWithout
):
    if first.pid:
        first.stop()
    first.install_etcd()
    first.run_with()
    nodes = first.nodes()
    cluster = first.call("ListClusters", api.ListClustersRequest()).clusters[0]
    joining(other, first, manager_token(first))
    assert _NONE in other.refused_with()
    other.install_old_etcd()
    assert _OLD in other.refused_with()
    other.install_etcd()
    assert "started with --store sqlite" in other.refused_with("--store=sqlite")
    assert nodes == first.nodes()

    other.remove_etcd()
    joining(other, first, cluster.root_ca.join_tokens.worker)
    other.run_with()
    name = node_id(other)
    refused = first.ctl("node", "promote", name)
    assert (1, True) == (
        refused.returncode,
        "its host has no etcd of 3.4 or newer" in refused.stderr,
    )
    assert api.NodeRole.WORKER == listed(first, name).role
    is_promoted_in_vain(first, other)


def listed(at: RealNode, node: str) -> api.Node:
    return at.call("GetNode", api.GetNodeRequest(node_id=node)).node


def promote(at: RealNode, node: str) -> None:
    found = listed(at, node)
    found.spec.desired_role = api.NodeRole.MANAGER
    version = found.meta.version
    request = api.UpdateNodeRequest(node_id=node, node_version=version, spec=found.spec)
    at.call("UpdateNode", request)


def is_promoted_in_vain(first: HostWithout, other: HostWithout) -> None:
    """As its last word on its etcd came before that was removed: it stays a worker, and says so."""
    name = node_id(other)
    other.install_etcd()
    os.kill(other.worker_pid("agent"), signal.SIGKILL)  # it says what it has as it starts
    wait(lambda: forms_quorum(listed(first, name)), "that it says so")
    with stopped([other.worker_pid("agent")]):
        other.remove_etcd()
        promote(first, name)
    wait(lambda: "it was promoted, and stays a worker" in other.log, "that it stays a worker")
    assert _NONE in other.log
    assert "worker" == other.report["role"]
    assert 0 == first.ctl("node", "demote", name).returncode


def test_a_store_goes_from_a_file_into_etcd_by_option_and_not_back(first: HostWithout):
    if first.pid:
        first.stop()
    first.run_with("--store=sqlite")
    made = first.create_service("true", replicas=0)
    first.stop()
    first.install_old_etcd()
    assert _OLD in first.refused_with("--store=etcd")
    first.install_etcd()
    first.run_with("--store=etcd")
    assert (first.state_dir / "etcd/quorum.json").exists()
    assert made in first.services()
    also = first.create_service("true", replicas=0)
    first.stop()
    assert "--store sqlite: by" in first.refused_with("--store=sqlite")
    first.remove_etcd()
    assert _NONE in first.refused_with()
    first.install_etcd()
    first.run_with()
    assert {made, also} <= first.services()


def test_a_new_cluster_begins_on_etcd_where_it_is_told_to(other: HostWithout):
    assert _NONE in other.refused_with("--store=etcd")
    assert not other.state_dir.joinpath("store/swarm.db").exists()
    other.install_etcd()
    other.run_with("--store=etcd")
    assert (other.state_dir / "etcd/quorum.json").exists()
    other.create_service("true", replicas=0)
