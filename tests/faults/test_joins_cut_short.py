"""One manager becomes several, and each of them is killed on the way: the join completes by itself.

An etcd that waits for a file to go keeps what is under way at the step where it is to be killed.
"""

import contextlib
import itertools
import json
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from swarmd import api
from swarmd.api.protos import etcd_pb2 as etcd
from swarmd.api.protos import etcd_pb2_grpc
from swarmd.quorum_file import EXISTING, MOVING
from tests.cluster import RealNode, wait
from tests.quorum import Managers, etcd_pid, host_pids, manager_token, signal_all, why_not

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or ""),
    pytest.mark.timeout(600),
]


class HeldNode(RealNode):
    """Its etcd begins once `release` is called; as often as it is started before, it waits."""

    def __init__(self, *options: str, state_dir: Path | None = None) -> None:
        super().__init__(*options, state_dir=state_dir)
        self._hold = self.root / "hold"
        self._hold.touch()
        etcd = self.root / "bin" / "etcd"
        etcd.parent.mkdir()
        waits = f'[ "$1" = --version ] || while [ -e {self._hold} ]; do sleep 0.05; done'
        etcd.write_text(f'#!/bin/sh\n{waits}\nexec {shutil.which("etcd")} "$@"\n')
        etcd.chmod(0o755)
        self.environment["PATH"] = f"{etcd.parent}:{self.environment['PATH']}"

    def release(self) -> None:
        self._hold.unlink()

    @property
    def stage(self) -> str:
        """What its quorum.json says of that; empty without one."""
        try:
            return str(json.loads((self.state_dir / "etcd/quorum.json").read_bytes())["start"])
        except FileNotFoundError:
            return ""

    @property
    def moves(self) -> int:
        """How often its store began to."""
        return self.log.count("the store moves into etcd")

    def asks_to_join(self, first: RealNode, token: str) -> None:
        self.environment |= {"SWARMD_JOIN_ADDR": first.remote, "SWARMD_JOIN_TOKEN": token}
        self.spawn()

    def crash(self) -> None:
        """All of it at once, and then it is started again."""
        signal_all(host_pids(self), signal.SIGKILL)
        self.spawn_again()

    def spawn_again(self) -> None:
        wait(lambda: not self.report and not self.is_locked(), "its end")
        self.spawn()


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[HeldNode]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(HeldNode()) for _ in range(4)]


def test_a_move_that_is_killed_is_undone_and_two_that_wait_for_it_join(nodes: list[HeldNode]):
    first, *others, _ = nodes
    first.run()
    service = first.create_service("sleep", "1000", replicas=3)
    tasks = first.wait_running(service, 3)
    token = manager_token(first)
    with writing(first) as acknowledged:
        for node in others:
            node.release()
            node.asks_to_join(first, token)
        wait_moving(first, 1)
        signal_all([etcd_pid(first)], signal.SIGKILL)
        wait_moving(first, 1)
        signal_all([first.worker_pid("manager")], signal.SIGKILL)
        wait_moving(first, 2)
        signal_all([first.pid], signal.SIGKILL)
        first.spawn_again()
        wait_moving(first, 3)
        first.crash()
        wait_moving(first, 4)
        before = len(acknowledged)
        wait(lambda: len(acknowledged) > before, "a write, while it moves")
        first.release()
        wait(lambda: first.stage == EXISTING, "that the store is in etcd")
        first.crash()
        wait(first.is_ready, "ready")
        Managers([first, *others]).wait_whole()
    assert set() == set(acknowledged) - names(others[0])
    assert tasks == first.wait_running(service, 3)


@contextlib.contextmanager
def writing(*nodes: RealNode) -> Iterator[list[str]]:
    """The names of configs that were acknowledged, until the block ends, by whichever answers."""
    stopped = threading.Event()
    acknowledged: list[str] = []

    def write() -> None:
        for number in itertools.count():
            if stopped.wait(0.02):
                return
            node = nodes[number % len(nodes)]
            name = f"n{number}-{id(stopped)}"
            spec = api.ConfigSpec(annotations=api.Annotations(name=name), data=b"x")
            with contextlib.suppress(OSError, grpc.RpcError):
                node.call("CreateConfig", api.CreateConfigRequest(spec=spec))
                acknowledged.append(name)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield acknowledged
    finally:
        stopped.set()
        thread.join(60)
    assert not thread.is_alive(), "a call hangs"


def names(node: RealNode) -> set[str]:
    found = node.call("ListConfigs", api.ListConfigsRequest()).configs
    return {one.spec.annotations.name for one in found}


def wait_moving(node: HeldNode, times: int) -> None:
    """Its store moves for at least the so-manieth time, and etcd is about to begin."""
    before = etcd_pid(node)
    wait(
        lambda: node.moves >= times and node.stage == MOVING and etcd_pid(node) not in (0, before),
        f"move {times}",
        120,
    )


def test_a_joiner_that_is_killed_or_stays_away_is_in_nobody_s_way(nodes: list[HeldNode]):
    *three, joiner = nodes
    managers = Managers(three)
    leader = managers.leader
    with writing(*three) as acknowledged:
        joiner.asks_to_join(three[0], manager_token(leader))
        wait(lambda: joiner.stage == EXISTING and etcd_pid(joiner), "it is taken in")
        signal_all(host_pids(joiner), signal.SIGKILL)

        back = managers.followers[0]  # it lost what it had, and has to be taken in too
        signal_all(host_pids(back), signal.SIGKILL)
        wait(lambda: not back.report and not back.is_locked(), "its end")
        shutil.rmtree(back.state_dir / "etcd")
        back.spawn()
        wait(lambda: votes(back), "its vote", 120)

        joiner.release()
        joiner.spawn()
        wait(lambda: joiner.stage == EXISTING and etcd_pid(joiner), "it is taken in again", 120)
        leader = managers.leader
        leader.crash()  # while it joins
        wait(lambda: etcd_pid(joiner), "its etcd")
        joiner.crash()
        wait(lambda: leader.is_ready() and joiner.is_ready(), "ready", 120)
        Managers(nodes).wait_whole()
    assert set() == set(acknowledged) - names(joiner)


def votes(node: RealNode) -> bool:
    with (
        contextlib.suppress(grpc.RpcError),
        grpc.insecure_channel(f"unix:{node.state_dir}/etcd/client:0") as channel,
    ):
        stub = etcd_pb2_grpc.MaintenanceStub(channel)
        status = stub.Status(etcd.StatusRequest(), timeout=2)
        return bool(status.leader and not status.isLearner)
    return False


def test_without_room_for_etcd_the_store_stays_until_there_is(mount: Callable[[str], Path]):
    place = mount("size=100m")
    with RealNode(state_dir=place / "state") as first, RealNode() as second:
        first.run()
        second.environment |= {"SWARMD_JOIN_ADDR": first.remote}
        second.environment["SWARMD_JOIN_TOKEN"] = manager_token(first)
        second.spawn()
        wait(lambda: "left, and etcd takes" in second.log, "the reason")
        first.create_service("true")
        assert not (first.state_dir / "etcd").exists()
        subprocess.run(["mount", "-o", "remount,size=500m", str(place)], check=True)
        Managers([first, second]).wait_whole()
