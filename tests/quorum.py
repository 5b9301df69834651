"""Managers in a quorum, as users run them, and clients whose every call is recorded.

with formed(3) as managers:
    with managers.load() as load:              # clients at each manager, until the block ends
        os.kill(managers.leader.worker_pid("manager"), signal.SIGKILL)
        load.wait_written()                    # acknowledged, of what began from here on
    load.check()                               # nothing lost, nothing out of order
"""

import contextlib
import itertools
import os
import random
import signal
import threading
import time
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
from tests.history import Call, History, describe, violations

__all__ = ["Load", "Managers", "formed", "why_not"]
_CALL_SECONDS: Final = 15.0
_REGISTERS: Final = 6
_PAUSE_SECONDS: Final = 0.005
_TOLD: Final = {
    grpc.StatusCode.NOT_FOUND: "absent",
    grpc.StatusCode.ALREADY_EXISTS: "exists",
    grpc.StatusCode.UNKNOWN: "stale",  # update out of sequence
}


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
        token = manager_token(first)
        for node in others:
            join(node, address_of(first), token)
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
        self, clients: int = 3, at: Sequence[RealNode] = (), patience: float = _CALL_SECONDS
    ) -> Iterator["Load"]:
        """Clients that create, read, update and remove, each at a manager that answers.

        A call without an answer after that many seconds fails the test: none may hang.
        """
        load = Load(at or self.nodes, clients, patience)
        load.start()
        try:
            load.wait_written()
            yield load
        finally:
            load.stop()


class Load:
    """So many clients, over a few registers that they share: configs, whose label is the value."""

    def __init__(self, nodes: Sequence[RealNode], clients: int, patience: float) -> None:
        self.history = History()
        self._nodes = nodes
        self._patience = patience
        self._prefix = f"r{random.randrange(1 << 40):x}"  # a run before may have left its own
        self._serial = itertools.count()
        self._stopped = threading.Event()
        self._errors: list[Exception] = []
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(clients)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Calls under way end first, and everything is read once more, for the record."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(2 * self._patience)
            assert not thread.is_alive(), "a call hangs"
        if self._errors:
            raise self._errors[0]

    def wait_written(self, count: int = 3, seconds: float = 60.0) -> float:
        """Wait for so many acknowledged writes of those that begin from now on; the seconds."""
        since = time.monotonic()
        return wait(
            lambda: self._errors or len(self.history.acknowledged(since)) >= count,
            f"{count} writes",
            seconds,
        )

    def longest_gap(self) -> float:
        """The longest time in which no write was acknowledged."""
        ends = sorted(one.ended for one in self.history.acknowledged())
        return max((b - a for a, b in itertools.pairwise(ends)), default=0.0)

    def check(self) -> None:
        """Read all registers once more, then hold the whole history against the rules."""
        reading = _Client(self.history, self._nodes, 0, self._patience)
        for number in range(_REGISTERS):
            name = f"{self._prefix}-{number}"
            wait(lambda name=name: reading.read(name) is not None, f"a last read of {name}")
        reading.close()
        found = violations(self.history.calls)
        assert [] == found, f"{found}\n{describe(self.history.calls)}"

    def _run(self, number: int) -> None:
        client = _Client(self.history, self._nodes, number, self._patience)
        chance = random.Random(number)
        try:
            while not self._stopped.wait(_PAUSE_SECONDS):
                name = f"{self._prefix}-{chance.randrange(_REGISTERS)}"
                client.step(name, f"{number}.{next(self._serial)}", chance)
        except Exception as error:  # noqa: BLE001  raised where the test waits
            self._errors.append(error)
        finally:
            client.close()


class _Client:
    """One user, at one manager until that does not answer, then at the next."""

    def __init__(
        self, history: History, nodes: Sequence[RealNode], number: int, patience: float
    ) -> None:
        self._history = history
        self._patience = patience
        self._nodes = itertools.cycle(
            [*nodes[number % len(nodes) :], *nodes[: number % len(nodes)]]
        )
        self._session: Any = None
        self._control: Any = None
        self._known: dict[str, api.Config] = {}

    def step(self, name: str, value: str, chance: random.Random) -> None:
        known = self._known.get(name)
        if known is None or chance.random() < 0.3:
            if self.read(name) == "absent":
                self.create(name, value)
        elif chance.random() < 0.8:
            self.update(known, value)
        else:
            self.remove(known)

    def read(self, name: str) -> str | None:
        """What was found, ok or absent; None where nobody answered."""
        filters = api.ListConfigsRequest.Filters(names=[name])
        call = self._history.begin(name, "read")
        answer, _ = self._ask("ListConfigs", api.ListConfigsRequest(filters=filters))
        if answer is None:
            return None
        config = next(iter(answer.configs), None)
        self._take(name, config)
        if config is None:
            self._history.end(call, "absent")
        else:
            label = config.spec.annotations.labels["v"]
            version = config.meta.version.index
            self._history.end(call, "ok", value=label, id=config.id, version=version)
        return call.found

    def create(self, name: str, value: str) -> None:
        spec = api.ConfigSpec(
            annotations=api.Annotations(name=name, labels={"v": value}), data=b"x"
        )
        call = self._history.begin(name, "create", value=value)
        answer, error = self._ask("CreateConfig", api.CreateConfigRequest(spec=spec))
        self._note(call, answer, error)

    def update(self, known: api.Config, value: str) -> None:
        name, spec = known.spec.annotations.name, api.ConfigSpec()
        spec.CopyFrom(known.spec)
        spec.annotations.labels["v"] = value
        version = known.meta.version
        about = {"id": known.id, "expected": version.index}
        call = self._history.begin(name, "update", value=value, **about)
        request = api.UpdateConfigRequest(config_id=known.id, config_version=version, spec=spec)
        answer, error = self._ask("UpdateConfig", request)
        self._note(call, answer, error)

    def remove(self, known: api.Config) -> None:
        call = self._history.begin(known.spec.annotations.name, "remove", id=known.id)
        answer, error = self._ask("RemoveConfig", api.RemoveConfigRequest(config_id=known.id))
        self._note(call, answer, error)

    def close(self) -> None:
        session, self._session, self._control = self._session, None, None
        if session is not None:
            session.close()

    def _note(self, call: Call, answer: Any, error: Any) -> None:
        if answer is not None:
            config = getattr(answer, "config", None)
            self._take(call.name, config)
            told = {"id": config.id, "version": config.meta.version.index} if config else {}
            self._history.end(call, "ok", **told)
        elif error is not None and error.code() in _TOLD:
            self._take(call.name, None)
            self._history.end(call, _TOLD[error.code()])

    def _take(self, name: str, config: api.Config | None) -> None:
        self._known.pop(name, None)
        if config is not None:
            self._known[name] = config

    def _ask(self, method: str, request: Any) -> tuple[Any, Any]:
        """The answer, or the error; neither where there is no manager to ask at the moment."""
        try:
            if self._control is None:
                self._session = contextlib.ExitStack()
                self._control = self._session.enter_context(next(self._nodes).control())
            return getattr(self._control, method)(request, timeout=self._patience), None
        except OSError:
            self._away()
            return None, None
        except grpc.RpcError as error:
            code = error.code()  # type: ignore[attr-defined]
            hung = code is grpc.StatusCode.DEADLINE_EXCEEDED
            assert not hung, f"{method} has no answer after {self._patience} s"
            if code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}:
                self._away()
            return None, error

    def _away(self) -> None:
        self.close()
        time.sleep(0.01)


def manager_token(node: RealNode) -> str:
    found = node.call("ListClusters", api.ListClustersRequest()).clusters[0]
    return str(found.root_ca.join_tokens.manager)


def join(node: RealNode, address: str, token: str) -> None:
    """As a manager, ready."""
    node.environment |= {"SWARMD_JOIN_ADDR": address, "SWARMD_JOIN_TOKEN": token}
    node.run()


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
