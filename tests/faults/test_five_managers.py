"""Five managers on hosts of their own: any two may be away; without three, all waits but tasks."""

import os
import random
import signal

import grpc
import pytest

from swarmd import api
from tests.cluster import RealNode, wait
from tests.networks import Lan, NetNode, lan
from tests.quorum import Managers, formed, host_pids, signal_all, why_not

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or ""),
    pytest.mark.timeout(600),
]


def test_two_may_be_away_and_without_three_all_waits_but_the_tasks() -> None:
    with lan() as net, formed(5, lambda _: on_a_host(net)) as managers:
        first = managers.nodes[0]
        service = first.create_service("sleep", "10000", replicas=5)
        before = first.wait_running(service, 5)
        with managers.load() as load:
            one_is_killed_and_one_cut_off(managers, net)
            managers.wait_whole()
            load.wait_written(20)
        load.check()
        three = random.sample(managers.nodes, 3)
        for node in three:
            signal_all(host_pids(node), signal.SIGKILL)
        without_a_quorum(managers.nodes, three, before)
        for node in random.sample(three, 3):
            node.spawn()
        managers.wait_whole()
        load.check()
        wait(lambda: first.running(service) == before, "the very same tasks")


def on_a_host(net: Lan) -> NetNode:
    host = net.host()
    return NetNode(host, f"--advertise-remote-api={host.address}")


def one_is_killed_and_one_cut_off(managers: Managers, net: Lan) -> None:
    """The leader and another, at the same time; the other three take writes."""
    leader = managers.leader
    other, *rest = managers.others(leader)
    assert isinstance(other, NetNode)
    with managers.load(at=rest) as load, net.cut(other.host):
        signal_all(host_pids(leader), signal.SIGKILL)
        load.wait_written(30)
    load.check()


def without_a_quorum(nodes: list[RealNode], dead: list[RealNode], tasks: dict[str, int]) -> None:
    """Who is left says so, and refuses calls in so many words; no task ends."""
    for node in nodes:
        if node in dead:
            continue
        wait(lambda node=node: 4 == node.swarmd("status").returncode, "that it is seen")
        assert "no quorum" in node.swarmd("status").stdout
        spec = api.ConfigSpec(annotations=api.Annotations(name="never"), data=b"x")
        with pytest.raises(grpc.RpcError, match="quorum") as refusal:
            node.call("CreateConfig", api.CreateConfigRequest(spec=spec))
        assert grpc.StatusCode.UNAVAILABLE is refusal.value.code()  # type: ignore[attr-defined]
    for pid in tasks.values():
        os.kill(pid, 0)
