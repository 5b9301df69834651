"""A manager and a worker on hosts of their own, which only a network connects."""

import json
import os
import signal
import time
from collections.abc import Iterator

import pytest

from swarmd import api
from tests.cluster import wait
from tests.networks import Lan, NetNode, lan

READY, DOWN = api.NodeStatus.State.READY, api.NodeStatus.State.DOWN
BEAT_SECONDS = 1.0
GRACE_SECONDS = 3 * BEAT_SECONDS


@pytest.fixture(scope="module")
def net() -> Iterator[Lan]:
    with lan() as made:
        yield made


@pytest.fixture(scope="module")
def manager(net: Lan) -> Iterator[NetNode]:
    with NetNode(net.host()) as node:
        node.run()
        node.beat_every(BEAT_SECONDS)
        yield node


@pytest.fixture(scope="module")
def worker(net: Lan, manager: NetNode) -> Iterator[NetNode]:
    with NetNode(net.host()) as node:
        node.join(manager.address, manager.worker_token)
        yield node


@pytest.fixture
def service(manager: NetNode, worker: NetNode) -> Iterator[str]:
    """Two tasks on each of the two."""
    manager.wait_state(worker.id, READY)
    made = manager.create_service("sleep", "1000", replicas=4)
    even = {manager.id: 2, worker.id: 2}
    wait(lambda: even == manager.counts(made), "two on each")
    yield made
    manager.remove_service(made)
    wait(lambda: not worker.task_processes() and not manager.task_processes(), "their end")


def test_the_worker_knows_its_manager_by_the_address_that_it_reached(manager, worker, service):
    remembered = json.loads((worker.state_dir / "state.json").read_bytes())
    assert [{"node_id": manager.id, "addr": manager.address}] == remembered
    assert worker.host.address == manager.node(worker.id).status.addr


def test_a_drained_worker_gives_its_tasks_to_the_other(manager, worker, service):
    assert 0 == manager.ctl("node", "drain", worker.id).returncode
    wait(lambda: {manager.id: 4} == manager.counts(service), "four on the manager")
    wait(lambda: not worker.task_processes(), "none on the worker")
    assert 0 == manager.ctl("node", "activate", worker.id).returncode


@pytest.fixture
def patient(manager: NetNode) -> Iterator[None]:
    """A grace that a worker's start on a busy machine does not outlast."""
    manager.beat_every(5.0)
    time.sleep(2 * BEAT_SECONDS)
    yield
    manager.beat_every(BEAT_SECONDS)
    time.sleep(5.5)


def test_a_worker_process_that_is_killed_adopts_its_tasks(manager, worker, service, patient):
    before, processes = manager.placed(service), worker.task_processes()
    agent = worker.worker_pid("agent")
    os.kill(agent, signal.SIGKILL)
    worker.wait_ready(without=agent)
    time.sleep(GRACE_SECONDS)
    assert before == manager.placed(service)
    assert processes == worker.task_processes()


def test_a_manager_that_restarts_finds_the_workers_tasks_as_they_were(manager, worker, service):
    before, processes = manager.placed(service), worker.task_processes()
    os.kill(manager.pid, signal.SIGTERM)
    wait(lambda: not manager.is_locked(), "the manager's end")
    time.sleep(GRACE_SECONDS)
    assert processes == worker.task_processes()
    manager.run()
    manager.wait_state(worker.id, READY)
    assert before == manager.placed(service)
    assert processes == worker.task_processes()


def test_a_short_cut_changes_no_task(net, manager, worker, service):
    before, processes = manager.placed(service), worker.task_processes()
    with net.cut(worker.host):
        time.sleep(GRACE_SECONDS / 3)
    manager.wait_state(worker.id, READY)
    time.sleep(GRACE_SECONDS)
    assert READY == manager.node(worker.id).status.state
    assert before == manager.placed(service)
    assert processes == worker.task_processes()


def test_after_a_long_cut_tasks_were_replaced_and_end_where_they_were(
    net, manager, worker, service
):
    lost = manager.placed(service)[worker.id]
    with net.cut(worker.host):
        manager.wait_state(worker.id, DOWN, GRACE_SECONDS * 2)
        wait(lambda: {manager.id: 4} == manager.counts(service), "replacements")
        time.sleep(GRACE_SECONDS * 2)
        assert 2 == len(worker.task_processes())
    manager.wait_state(worker.id, READY)
    wait(lambda: not worker.task_processes(), "the end of the tasks that were replaced")
    assert {manager.id: 4} == manager.counts(service)
    assert not set(lost) & set(manager.placed(service)[manager.id])


def test_a_change_of_root_reaches_the_worker_without_a_dropped_session(manager, worker, service):
    root = worker.state_dir / "certificates/swarm-root-ca.crt"
    before, processes = root.read_bytes(), worker.task_processes()
    complaints = worker.log.count("no session with") + worker.log.count("do not trust")
    rotated = manager.ctl("ca", "rotate")
    assert 0 == rotated.returncode, rotated.stderr
    wait(lambda: root.read_bytes() != before, "the new root")
    assert "renewed the certificate" in worker.log
    assert processes == worker.task_processes()
    assert complaints == worker.log.count("no session with") + worker.log.count("do not trust")
    assert READY == manager.node(worker.id).status.state


def test_a_removed_worker_is_refused_and_may_join_anew(manager, worker, service):
    before = worker.id
    assert 0 == manager.ctl("node", "remove", "--force", before).returncode
    wait(lambda: {manager.id: 4} == manager.counts(service), "four on the manager")
    wait(lambda: "this node was removed from the swarm" in worker.log, "its word")
    assert 0 == worker.swarmd("leave").returncode
    assert {} == worker.task_processes()
    worker.join(manager.address, manager.worker_token)
    assert before != worker.id
    manager.wait_state(worker.id, READY)
