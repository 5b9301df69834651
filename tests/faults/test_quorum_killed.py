"""Three managers, and one loses a process: nothing acknowledged is lost, no task is touched."""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import grpc
import pytest

from swarmd import api
from tests.cluster import RealNode, wait
from tests.fakes.running_node import lives
from tests.quorum import (
    Managers,
    etcd_pid,
    formed,
    host_pids,
    node_id,
    signal_all,
    stopped,
    why_not,
)

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

_FAILOVER_SECONDS = 12.0  # a fifth of that, by bench/failover.py, where nobody else works beside
Victim = Callable[[RealNode], Sequence[int]]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Managers]:
    if why_not():
        pytest.skip(why_not())
    with formed(3) as managers:
        managers.service = managers.nodes[0].create_service("sleep", "10000", replicas=6)
        managers.nodes[0].wait_running(managers.service, 6)
        yield managers


@pytest.fixture
def managers(cluster: Managers) -> Iterator[Managers]:
    """All three whole; the tasks that run before the test run after it, the same processes."""
    cluster.wait_whole()
    before = cluster.nodes[0].wait_running(cluster.service, 6)
    yield cluster
    cluster.wait_whole()
    wait(lambda: cluster.nodes[0].running(cluster.service) == before, "the very same tasks")


def manager(node: RealNode) -> Sequence[int]:
    return [node.worker_pid("manager")]


def etcd_worker(node: RealNode) -> Sequence[int]:
    return [node.worker_pid("etcd")]


def etcd(node: RealNode) -> Sequence[int]:
    return [etcd_pid(node)]


def parent(node: RealNode) -> Sequence[int]:
    return [node.pid]


def but_the_agent(node: RealNode) -> Sequence[int]:
    """A node whose agent is silent for so long would be given up, and its tasks with it."""
    return [pid for pid in host_pids(node) if pid != node.worker_pid("agent")]


@pytest.mark.parametrize("victim", [manager, etcd, etcd_worker, parent, host_pids])
def test_a_leader_is_killed(managers: Managers, victim: Victim) -> None:
    with managers.load() as load:
        signal_all(victim(managers.leader), signal.SIGKILL)
        load.wait_written(30)
    load.check()
    assert load.longest_gap() < _FAILOVER_SECONDS


@pytest.mark.parametrize("victim", [manager, etcd, host_pids])
def test_a_follower_is_killed(managers: Managers, victim: Victim) -> None:
    with managers.load() as load:
        signal_all(victim(managers.followers[0]), signal.SIGKILL)
        load.wait_written(30)
    load.check()
    assert load.longest_gap() < _FAILOVER_SECONDS


@pytest.mark.parametrize("victim", [manager, etcd, parent, host_pids])
def test_a_leader_is_stopped_for_two_seconds(managers: Managers, victim: Victim) -> None:
    with managers.load() as load:
        with stopped(victim(managers.leader)):
            time.sleep(2)
        load.wait_written(30)
    load.check()


def test_a_deposed_leader_that_wakes_after_30_seconds_writes_nothing_of_its_own(
    managers: Managers,
) -> None:
    deposed = managers.leader
    # Clients of the stopped one, too: what they asked it meanwhile is the first that it finds.
    with managers.load(clients=6, patience=60) as load:
        with stopped(but_the_agent(deposed)):
            wait(
                lambda: managers.leader_at(managers.others(deposed)) != node_id(deposed), "another"
            )
            time.sleep(30)
            load.wait_written(10)
        load.wait_written(100)
    load.check()
    assert "this manager leads no more" in deposed.log


def test_all_three_are_killed_amid_a_thousand_creates(managers: Managers) -> None:
    acknowledged: list[str] = []
    creating = [
        threading.Thread(target=create_many, args=(node, number, acknowledged))
        for number, node in enumerate(managers.nodes)
    ]
    for thread in creating:
        thread.start()
    wait(lambda: len(acknowledged) > 400, "creates")
    signal_all([pid for node in managers.nodes for pid in host_pids(node)], signal.SIGKILL)
    for thread in creating:
        thread.join(60)
    for node in random.sample(managers.nodes, 3):
        node.spawn()
    managers.wait_whole()
    for node in managers.nodes:
        found = node.call("ListConfigs", api.ListConfigsRequest()).configs
        assert set() == set(acknowledged) - {one.id for one in found}
    remove_all(managers.leader, acknowledged)


def create_many(node: RealNode, number: int, acknowledged: list[str]) -> None:
    """Until it is killed."""
    with contextlib.suppress(grpc.RpcError), node.control() as control:
        for count in range(334):
            labels = {"run": str(number)}
            annotations = api.Annotations(
                name=f"many-{number}-{count}-{time.time()}", labels=labels
            )
            spec = api.ConfigSpec(annotations=annotations, data=b"x")
            reply = control.CreateConfig(api.CreateConfigRequest(spec=spec), timeout=30)
            acknowledged.append(reply.config.id)


def remove_all(node: RealNode, ids: Sequence[str]) -> None:
    with node.control() as control:
        for one in ids:
            control.RemoveConfig(api.RemoveConfigRequest(config_id=one), timeout=30)


def test_a_rolling_restart_under_load(managers: Managers) -> None:
    with managers.load() as load:
        for node in managers.nodes:
            parent_pid = node.pid
            os.kill(parent_pid, signal.SIGTERM)
            wait(lambda pid=parent_pid: not lives(pid), "its end")
            managers.wait_whole()
            load.wait_written(10)
    load.check()
    assert load.longest_gap() < _FAILOVER_SECONDS


def test_a_leader_that_is_stopped_hands_over(managers: Managers) -> None:
    leader, others = managers.leader, managers.followers
    pid = leader.pid
    with managers.load(at=others) as load:
        os.kill(pid, signal.SIGTERM)
        load.wait_written(20)
    load.check()
    wait(lambda: not lives(pid), "its end")  # or it would not be started again
    assert load.longest_gap() < _FAILOVER_SECONDS


def test_any_one_of_them_is_killed_again_and_again(managers: Managers) -> None:
    chance = random.Random(os.getpid())
    with managers.load() as load:
        for _ in range(6):
            victim = chance.choice((manager, etcd, etcd_worker, parent, host_pids))
            signal_all(victim(chance.choice(managers.nodes)), signal.SIGKILL)
            load.wait_written(20)
            managers.wait_whole()
    load.check()
    assert load.longest_gap() < _FAILOVER_SECONDS
