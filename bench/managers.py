"""Managers in one quorum, real ones, each in a directory of its own; all on this host."""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import grpc
import psutil

from bench.daemon import Daemon, daemon, wait
from bench.writer import Door
from swarmd import api
from swarmd.api.protos.control_pb2_grpc import ControlStub
from swarmd.rpc.channel import OPTIONS, leaf_shown


class Managers(Protocol):
    """What is measured of managers, ours or others'; each is known by its number."""

    name: str
    settle_seconds: float
    """After one came back, until who leads is as it stays."""

    @property
    def doors(self) -> Sequence[Door]: ...

    def leader(self) -> int: ...

    def kill(self, number: int) -> None:
        """Every process of it that is part of the quorum, at once."""

    def stop(self, number: int) -> None:
        """In good order; does not wait for it."""

    def bring_back(self, number: int) -> None:
        """Once it is gone, so that all of them are there again."""


class Ours:
    """swarmd's."""

    settle_seconds = 4.0  # until the raft's lead is on another host than the swarm's

    def __init__(self, of: Sequence[Daemon]) -> None:
        self.of = list(of)
        self.name = f"{len(of)} manager{'s' if len(of) > 1 else ''}"

    @property
    def doors(self) -> Sequence[Door]:
        return [_door(one.socket) for one in self.of]

    def leader(self) -> int:
        return self.of.index(leader_of(self.of))

    def kill(self, number: int) -> None:
        names = ("manager", "agent", "etcd")  # etcd itself ends with its worker
        one = self.of[number]
        for pid in (one.report()["pid"], *(one.worker(name)["pid"] for name in names)):
            os.kill(pid, signal.SIGKILL)

    def kill_worker(self, number: int) -> None:
        """The manager worker alone: its parent starts it again."""
        os.kill(self.of[number].worker("manager")["pid"], signal.SIGKILL)

    def stop(self, number: int) -> None:
        process = self.of[number].process
        assert process is not None
        process.terminate()

    def bring_back(self, number: int) -> None:
        process = self.of[number].process
        assert process is not None
        if process.poll() is not None or not self._is_ready(number):
            process.wait(60)
            self.of[number].start()
        wait(lambda: all(map(self._is_ready, range(len(self.of)))))

    def beside(self, leader: Daemon) -> dict[str, psutil.Process]:
        """The quorum's processes beside the leader's manager, by what they are."""
        found = {}
        for number, one in enumerate(self.of, 1):
            place = "leader" if one is leader else f"follower {number}"
            workers = {each["name"]: each["pid"] for each in one.report()["processes"]}
            if one is not leader:
                found[f"{place}'s manager"] = psutil.Process(workers["manager"])
            if "etcd" in workers:
                found[f"{place}'s etcd worker"] = psutil.Process(workers["etcd"])
                (etcd,) = found[f"{place}'s etcd worker"].children()
                found[f"{place}'s etcd"] = etcd
        return found

    def _is_ready(self, number: int) -> bool:
        return bool(self.of[number].report().get("ready"))


@contextlib.contextmanager
def managers(count: int) -> Iterator[Ours]:
    """So many in one quorum, ready."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(daemon())]
        found[0].start()
        while len(found) < count:
            found.append(stack.enter_context(daemon(**as_manager(found[0]))))
            found[-1].start()
        yield Ours(found)


def as_manager(first: Daemon) -> dict[str, str]:
    """The environment of one that joins it."""
    with control(first.socket) as stub:
        cluster = stub.ListClusters(api.ListClustersRequest(), timeout=10).clusters[0]
    address = str(first.report()["remote_addr"])
    token = str(cluster.root_ca.join_tokens.manager)
    return {"SWARMD_JOIN_ADDR": address, "SWARMD_JOIN_TOKEN": token}


def leader_of(some: Sequence[Daemon]) -> Daemon:
    """The one that leads, as soon as one does."""

    def found() -> Daemon | None:
        with contextlib.suppress(grpc.RpcError, OSError), control(some[0].socket) as stub:
            nodes = stub.ListNodes(api.ListNodesRequest(), timeout=10).nodes
            ids = [one.id for one in nodes if one.manager_status.leader]
            return next((one for one in some if [one.report().get("node_id")] == ids), None)
        return None

    leader: Daemon = wait(found)
    return leader


@contextlib.contextmanager
def control(path: Path) -> Iterator[Any]:
    """A stub of that manager's control API."""
    with socket.socket(socket.AF_UNIX) as plain:
        plain.settimeout(5)
        plain.connect(str(path))
        credentials = grpc.ssl_channel_credentials(leaf_shown(plain))
    with grpc.secure_channel(f"unix:{path}", credentials, OPTIONS) as channel:
        yield ControlStub(channel)  # type: ignore[no-untyped-call]


def _door(path: Path) -> Door:
    @contextlib.contextmanager
    def door() -> Iterator[Callable[[], object]]:
        with control(path) as stub:
            yield lambda: stub.CreateConfig(_config(), timeout=10)

    return door


def _config() -> api.CreateConfigRequest:
    annotations = api.Annotations(name=config_name())
    return api.CreateConfigRequest(spec=api.ConfigSpec(annotations=annotations, data=b"x" * 100))


def config_name() -> str:
    """One that no other has."""
    return f"c{time.time_ns()}-{threading.get_ident()}"
