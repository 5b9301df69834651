"""Unlike nodes in one cluster, from the README's words, through every fault: nothing is lost."""

import os
import re
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from swarmd.cli.logs import log_path
from swarmd.state_dir import StateDir
from tests.cluster import wait
from tests.interop.mixed import (
    CONTAINER_SERVICES,
    DOWN,
    HOST_SERVICES,
    READY,
    MixedCluster,
    mixed_cluster,
)
from tests.networks import Lan, NetNode, lan

pytestmark = [pytest.mark.interop, pytest.mark.faults]

MINUTE_SECONDS = 60.0


@pytest.fixture(scope="module")
def net() -> Iterator[Lan]:
    with lan() as made:
        yield made


@dataclass(frozen=True)
class Cut:
    """A cluster of two with SwarmKit's own periods, and its worker beyond a cut."""

    manager: NetNode
    worker: NetNode
    service: str
    placed: dict[str, list[str]]
    over: threading.Event


@pytest.fixture(scope="module")
def minute(net: Lan) -> Iterator[Cut]:
    """The cut lasts while the other tests run."""
    with NetNode(net.host()) as manager, NetNode(net.host()) as worker:
        manager.run()
        worker.join(manager.address, manager.worker_token)
        service = manager.create_service("sleep", "1000", replicas=4)
        wait(lambda: manager.counts(service) == {manager.id: 2, worker.id: 2}, "two on each")
        cut = Cut(manager, worker, service, manager.placed(service), threading.Event())
        with net.cut(worker.host):
            timer = threading.Timer(MINUTE_SECONDS, cut.over.set)
            timer.start()
            yield cut
            timer.cancel()


@pytest.fixture(scope="module")
def cluster(net: Lan, minute: Cut) -> Iterator[MixedCluster]:
    with mixed_cluster(net) as made:
        yield made


def test_every_node_is_listed_as_ready(cluster):
    listed = cluster.ctl("node", "ls").upper()
    for node_id in cluster.nodes:
        assert re.search(rf"^{node_id.upper()} .*\bREADY\b", listed, re.MULTILINE)


def test_each_kind_runs_on_the_nodes_that_have_its_engine(cluster):
    placed = {name: set() for name in HOST_SERVICES | CONTAINER_SERVICES}
    running = cluster.running()
    for task in cluster.manager.tasks():
        if task.id in running:
            placed[task.service_annotations.name].add(task.node_id)
    manager, worker, docker = cluster.nodes
    assert {manager, worker} == placed["web"] == placed["watcher"]
    assert {manager, docker} == placed["box"] == placed["probe"]


@pytest.mark.parametrize("service", ["web", "box"])
def test_both_kinds_read_their_secret_and_config_and_are_heard(cluster, service):
    shown = cluster.ctl("service", "logs", service)
    for line in ("read secret-colour", "config-tint"):
        assert 4 == len(re.findall(rf"{line}$", shown, re.MULTILINE))


def test_the_managers_worker_process_is_killed(cluster):
    before, pid = cluster.wait_whole(), cluster.manager.worker_pid("manager")
    os.kill(pid, signal.SIGKILL)
    cluster.manager.wait_ready(without=pid)
    assert before == cluster.wait_whole()


def test_an_agents_worker_process_is_killed(cluster):
    before, pid = cluster.wait_whole(), cluster.worker.worker_pid("agent")
    os.kill(pid, signal.SIGKILL)
    cluster.worker.wait_ready(without=pid)
    assert before == cluster.wait_whole()


def test_the_parent_of_a_node_is_killed(cluster):
    before, pid = cluster.wait_whole(), cluster.manager.pid
    os.kill(pid, signal.SIGKILL)
    cluster.manager.wait_ready(without=pid)
    assert before == cluster.wait_whole()


def test_all_of_a_node_is_killed_as_when_its_power_fails(cluster):
    cluster.wait_whole()
    lost = cluster.worker.id
    for pid in cluster.worker.processes():
        os.kill(pid, signal.SIGKILL)
    cluster.manager.wait_state(lost, DOWN)
    cluster.worker.start()
    assert lost == cluster.worker.id
    cluster.wait_whole()


def test_every_docker_engine_is_killed(cluster):
    cluster.wait_whole()
    for engine in cluster.engines:
        engine.kill()
    for engine in cluster.engines:
        engine.start()
    cluster.wait_whole()


def test_a_short_cut_changes_nothing(cluster):
    before = cluster.wait_whole()
    beat_seconds = 2.0
    with cluster.net.cut(cluster.worker.host), cluster.net.cut(cluster.docker.host):
        threading.Event().wait(beat_seconds)
    assert before == cluster.wait_whole()


def test_a_long_cut_replaces_tasks_and_ends_them_where_they_were(cluster):
    before = cluster.wait_whole()
    away = {cluster.worker.id, cluster.docker.node_id}
    lost = {task for task, node in before.items() if node in away}
    with cluster.net.cut(cluster.worker.host), cluster.net.cut(cluster.docker.host):
        for node_id in away:
            cluster.manager.wait_state(node_id, DOWN)
        wait(lambda: 10 == list(cluster.running().values()).count(cluster.manager.id), "all here")
        assert lost < cluster.processes()
    after = cluster.wait_whole()
    assert not lost & after.keys()


def test_each_node_is_drained_and_comes_back(cluster):
    for node_id in cluster.nodes:
        cluster.wait_whole()
        cluster.ctl("node", "drain", node_id)
        wait(lambda n=node_id: n not in cluster.running().values(), "no tasks there")
        cluster.ctl("node", "activate", node_id)
    cluster.wait_whole()


def test_a_change_of_root_renews_every_certificate_and_touches_no_task(cluster):
    before = cluster.wait_whole()
    directories = [
        cluster.manager.state_dir / "certificates",
        cluster.worker.state_dir / "certificates",
        cluster.docker.root / "data/swarm/certificates",
    ]
    files = [
        path / name for path in directories for name in ("swarm-root-ca.crt", "swarm-node.crt")
    ]
    had = [file.read_bytes() for file in files]
    cluster.ctl("ca", "rotate")
    wait(
        lambda: all(a != file.read_bytes() for a, file in zip(had, files, strict=True)), "new ones"
    )
    assert before == cluster.wait_whole()


def test_a_cut_of_a_minute_at_swarmkits_own_periods(net, minute):
    manager, worker = minute.manager, minute.worker
    assert minute.over.wait(2 * MINUTE_SECONDS)
    assert DOWN == manager.node(worker.id).status.state
    assert {manager.id: 4} == manager.counts(minute.service)
    net.mend(worker.host)
    manager.wait_state(worker.id, READY)
    wait(lambda: not worker.task_processes(), "the end of what was replaced")
    after = manager.placed(minute.service)
    assert {*minute.placed[manager.id]} < {*after[manager.id]}
    assert 4 == len(set(manager.task_processes().values()))


def test_nothing_of_all_that_was_a_surprise(cluster):
    for node in (cluster.manager, cluster.worker):
        log = log_path(StateDir(node.state_dir)).read_text()
        assert "tasks run in supervisord" in log
        assert [] == [line for line in log.splitlines() if "Traceback" in line or " error " in line]


def test_who_leaves_leaves_nothing_behind(cluster):
    cluster.wait_whole()
    docker_id, worker_id = cluster.docker.node_id, cluster.worker.id
    cluster.docker.docker("swarm", "leave")
    assert 0 == cluster.worker.swarmd("leave").returncode
    wait(lambda: not cluster.worker.processes(), "that nothing of it runs")
    assert set() == cluster.docker.task_ids()
    for node_id in (docker_id, worker_id):
        cluster.manager.wait_state(node_id, DOWN)
        cluster.ctl("node", "remove", node_id)
    left = cluster.manager.swarmd("leave", "--force")
    assert 0 == left.returncode, left.stderr
    wait(lambda: not cluster.manager.processes(), "that nothing of it runs")
    assert set() == cluster.engines[1].task_ids()
