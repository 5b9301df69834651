"""Managers in a quorum, as users run them, and clients whose every call is recorded.

with formed(3) as managers:
    with managers.load() as load:              # clients at each manager, until the block ends
        os.kill(managers.leader.worker_pid("manager"), signal.SIGKILL)
        load.wait_written()                    # acknowledged, of what began from here on
    load.check()                               # nothing lost, nothing out of order
"""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import grpc

from swarmd import api
from swarmd.api.protos import etcd_pb2 as etcd
from swarmd.api.protos import etcd_pb2_grpc
from swarmd.store.etcd.keys import LEADER
from tests.cluster import RealNode, wait
from tests.etcd import why_not
from tests.fakes.running_node import lives
from tests.load import Load
from tests.registers import Registers

__all__ = ["Load", "Managers", "formed", "why_not"]
_CALL_SECONDS: Final = 15.0


class Managers:
    """Nodes of one cluster, all of them managers."""

    def __init__(self, nodes: Sequence[RealNode]) -> None:
        self.nodes = list(nodes)
        self.service = ""
        """Of tasks that no test may disturb."""

    def form(self) -> None:
        """Start all of them, one joining after the other."""
        first, *others = self.nodes
        first.run()
        for node in others:
            node.environment |= joining(first)
            node.run()
        self.wait_whole()

    @property
    def leader_id(self) -> str:
        """Of the node that has the election key now; empty where none has."""
        return self.leader_at(self.nodes)

    def leader_at(self, nodes: Sequence[RealNode]) -> str:
        """As the first of these knows it that answers."""
        for node in nodes:
            with contextlib.suppress(grpc.RpcError):
                return leader_known_to(node)
        return ""

    def others(self, one: RealNode) -> list[RealNode]:
        return [node for node in self.nodes if node is not one]

    @property
    def leader(self) -> RealNode:
        """The node that leads, as soon as one does."""
        found: list[RealNode] = []

        def known() -> bool:
            leader = self.leader_id
            found[:] = [node for node in self.nodes if node_id(node) == leader]
            return bool(leader and found)

        wait(known, "a leader")
        return found[0]

    @property
    def followers(self) -> list[RealNode]:
        return self.others(self.leader)

    def wait_whole(self) -> None:
        """Every node is ready, every manager a voter that is reached, and one of them leads."""
        for node in self.nodes:
            if not node.report:
                node.spawn()
        wait(lambda: all(node.is_ready() for node in self.nodes), "every node ready", 120)
        wait(self._is_whole, "a whole quorum", 120)

    def _is_whole(self) -> bool:
        up, ready = api.RaftMemberStatus.Reachability.REACHABLE, api.NodeStatus.State.READY
        try:
            found = self.nodes[-1].call("ListNodes", api.ListNodesRequest()).nodes
        except (grpc.RpcError, OSError):
            return False
        managers = [node for node in found if node.HasField("manager_status")]
        return (
            len(managers) == len(self.nodes)
            and all(one.manager_status.reachability == up for one in managers)
            and all(one.status.state == ready for one in managers)
            and sum(one.manager_status.leader for one in managers) == 1
            and all(self._votes(node) for node in self.nodes)
        )

    def _votes(self, node: RealNode) -> bool:
        with contextlib.suppress(grpc.RpcError), _etcd(node) as channel:
            stub = etcd_pb2_grpc.MaintenanceStub(channel)
            return not stub.Status(etcd.StatusRequest(), timeout=2).isLearner
        return False

    @contextlib.contextmanager
    def load(
        self,
        clients: int = 3,
        at: Sequence[RealNode] = (),
        patience: float = _CALL_SECONDS,
        registers: Registers | None = None,
    ) -> Iterator[Load]:
        """Clients that create, read, update and remove, each at a manager that answers.

        A call without an answer after that many seconds fails the test: none may hang.
        """
        load = Load(at or self.nodes, clients, patience, registers)
        load.start()
        try:
            load.wait_written()
            yield load
        finally:
            load.stop()


def manager_token(node: RealNode) -> str:
    found = node.call("ListClusters", api.ListClustersRequest()).clusters[0]
    return str(found.root_ca.join_tokens.manager)


def joining(manager: RealNode) -> dict[str, str]:
    """The environment of a node that joins that one, as a manager."""
    return {"SWARMD_JOIN_ADDR": address_of(manager), "SWARMD_JOIN_TOKEN": manager_token(manager)}


def is_reached(at: RealNode, node: str) -> bool:
    """Whether the one manager has the other node for a manager that is there."""
    up = api.RaftMemberStatus.Reachability.REACHABLE
    with contextlib.suppress(grpc.RpcError, OSError):  # there is no quorum at the moment
        return listed(at, node).manager_status.reachability == up
    return False


def is_plain_worker(node: RealNode) -> bool:
    """A worker, ready, with the agent alone and nothing left of a manager's store."""
    processes = {one["name"] for one in node.report.get("processes", ()) if one["pid"]}
    left = (node.state_dir / "etcd").exists()
    return (
        node.is_ready() and node.report["role"] == "worker" and processes == {"agent"} and not left
    )


def without_quorum(node: RealNode) -> str:
    """What a call is told, once there is none."""
    told: list[str] = []

    def is_told() -> bool:
        try:
            listed(node, node_id(node))
        except grpc.RpcError as refusal:
            told.append(str(refusal.details()))  # type: ignore[attr-defined]
        return bool(told) and "there is no quorum" in told[-1]

    wait(is_told, "told that there is no quorum", 120)
    return told[-1]


def listed(at: RealNode, node: str) -> api.Node:
    """That node, as the manager knows it."""
    return at.call("GetNode", api.GetNodeRequest(node_id=node)).node


def address_of(node: RealNode) -> str:
    return str(getattr(node, "address", node.remote))


def node_id(node: RealNode) -> str:
    return str(node.report.get("node_id", ""))


@contextlib.contextmanager
def _etcd(node: RealNode) -> Iterator[Any]:
    with grpc.insecure_channel(f"unix:{node.state_dir}/etcd/client:0") as channel:
        yield channel


def leader_known_to(node: RealNode) -> str:
    """As a quorum has it, by that node's etcd; raises grpc.RpcError."""
    with _etcd(node) as channel:
        request = etcd.RangeRequest(key=LEADER)
        kvs = etcd_pb2_grpc.KVStub(channel).Range(request, timeout=2).kvs
        return kvs[0].value.decode() if kvs else ""


def etcd_pid(node: RealNode) -> int:
    """Of the etcd that the etcd worker runs; 0 without one."""
    worker = node.worker_pid("etcd")
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{worker}/task/{worker}/children").read_text()
        return next(map(int, children.split()), 0)
    return 0


def host_pids(node: RealNode) -> list[int]:
    """Of swarmd's own processes on that host: the parent first; its tasks are not among them."""
    workers = [node.worker_pid(name) for name in ("manager", "agent", "etcd")]
    return [pid for pid in (node.pid, *workers, etcd_pid(node)) if pid and lives(pid)]


def signal_all(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


@contextlib.contextmanager
def stopped(pids: Sequence[int]) -> Iterator[None]:
    """SIGSTOP until the block ends."""
    signal_all(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_all(pids, signal.SIGCONT)


@contextlib.contextmanager
def formed(size: int, make: Callable[[int], RealNode] = lambda _: RealNode()) -> Iterator[Managers]:
    """A quorum of that size; nothing of it is left at the end of the block."""
    with contextlib.ExitStack() as stack:
        managers = Managers([stack.enter_context(make(number)) for number in range(size)])
        managers.form()
        yield managers
