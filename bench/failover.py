"""A quorum of managers that loses its leader: python -m bench.failover [--runs 20] [--json].

On one host, so all of them share its cores and its disk. A client at a follower creates without a
pause; a failover is the longest time from one acknowledged creation to the next, in the seconds
after the signal. With --objects, also what managers of a large store take to join and start.
"""

import contextlib
import itertools
import os
import signal
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click
import grpc

from bench.backup import fill
from bench.daemon import Daemon, daemon, wait
from bench.figures import Figure, show
from swarmd import api
from swarmd.api.protos.control_pb2_grpc import ControlStub
from swarmd.rpc.channel import OPTIONS, leaf_shown

_HOLD_SECONDS: Final = 3.0
_HANDOVER_SECONDS: Final = 0.3
_WRITES: Final = 500
_CLIENTS: Final = 16
_WATCHED_SECONDS: Final = 4.0
_SETTLE_SECONDS: Final = 4.0  # until the raft's lead is on another host than the swarm's


@contextlib.contextmanager
def control(path: Path) -> Iterator[Any]:
    """A stub of that manager's control API."""
    with socket.socket(socket.AF_UNIX) as plain:
        plain.settimeout(5)
        plain.connect(str(path))
        credentials = grpc.ssl_channel_credentials(leaf_shown(plain))
    with grpc.secure_channel(f"unix:{path}", credentials, OPTIONS) as channel:
        yield ControlStub(channel)


class _Writer(threading.Thread):
    """Creates, one after the other, at the first of these that answers; notes the times."""

    def __init__(self, sockets: Sequence[Path]) -> None:
        super().__init__(daemon=True)
        self.done: list[float] = []
        self._sockets = sockets
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.is_set():
            for path in self._sockets:
                with contextlib.suppress(OSError, grpc.RpcError), control(path) as stub:
                    while not self._stopped.is_set():
                        stub.CreateConfig(_config(), timeout=10)
                        self.done.append(time.monotonic())

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def wait_first(self) -> None:
        wait(lambda: self.done)

    def gap_after(self, since: float) -> float:
        """The longest time without an acknowledged write, of those seconds that come then."""
        wait(lambda: self.done and self.done[-1] > since + _WATCHED_SECONDS)
        last = max(end for end in self.done if end < since)
        ends = [end for end in self.done if end >= last]
        return max(later - earlier for earlier, later in itertools.pairwise(ends))


def _config() -> api.CreateConfigRequest:
    annotations = api.Annotations(name=f"c{time.time_ns()}-{threading.get_ident()}")
    return api.CreateConfigRequest(spec=api.ConfigSpec(annotations=annotations, data=b"x" * 100))


@contextlib.contextmanager
def managers(count: int, first: Daemon | None = None) -> Iterator[list[Daemon]]:
    """So many in one quorum, ready; the `first` one may be there already."""
    with contextlib.ExitStack() as stack:
        if first is None:
            first = stack.enter_context(daemon())
            first.start()
        found = [first]
        while len(found) < count:
            found.append(stack.enter_context(daemon(**_as_manager(first))))
            found[-1].start()
        yield found


def _as_manager(first: Daemon) -> dict[str, str]:
    with control(first.socket) as stub:
        cluster = stub.ListClusters(api.ListClustersRequest(), timeout=10).clusters[0]
    address = str(first.report()["remote_addr"])
    token = str(cluster.root_ca.join_tokens.manager)
    return {"SWARMD_JOIN_ADDR": address, "SWARMD_JOIN_TOKEN": token}


def _leader(of: Sequence[Daemon]) -> Daemon:
    def found() -> Daemon | None:
        with contextlib.suppress(grpc.RpcError, OSError), control(of[0].socket) as stub:
            nodes = stub.ListNodes(api.ListNodesRequest(), timeout=10).nodes
            ids = [one.id for one in nodes if one.manager_status.leader]
            return next((one for one in of if [one.report().get("node_id")] == ids), None)
        return None

    leader: Daemon = wait(found)
    return leader


def _whole_host(one: Daemon) -> None:
    """Every process of swarmd there, its etcd with its worker."""
    names = ("manager", "agent", "etcd")
    for pid in (one.report()["pid"], *(one.worker(name)["pid"] for name in names)):
        os.kill(pid, signal.SIGKILL)


def _manager_worker(one: Daemon) -> None:
    os.kill(one.worker("manager")["pid"], signal.SIGKILL)


def _stop(one: Daemon) -> None:
    assert one.process is not None
    one.process.terminate()


def failovers(of: Sequence[Daemon], end: Callable[[Daemon], None], runs: int) -> list[float]:
    """Each run's seconds; whoever was ended is back before the next."""
    spent = []
    for _ in range(runs):
        time.sleep(_SETTLE_SECONDS)
        leader = _leader(of)
        writer = _Writer([one.socket for one in of if one is not leader])
        writer.start()
        writer.wait_first()
        begun = time.monotonic()
        end(leader)
        spent.append(writer.gap_after(begun))
        writer.stop()
        if end is not _manager_worker:
            assert leader.process is not None
            leader.process.wait(60)
            leader.start()
        wait(lambda: all(one.report().get("ready") for one in of))
    return spent


def _both(name: str, spent: list[float], hold: float | None = None) -> Iterator[Figure]:
    yield Figure(f"{name}, p50", statistics.median(spent), "s", hold)
    yield Figure(f"{name}, worst of {len(spent)}", max(spent), "s", hold)


def writes(of: Sequence[Daemon]) -> Iterator[Figure]:
    """By one client at the leader, then by many."""
    path, name = _leader(of).socket, f"{len(of)} managers"
    with control(path) as stub:
        spent = sorted(_timed(stub) for _ in range(_WRITES))
        yield Figure(f"{name}: a create, p50", spent[len(spent) // 2] * 1000, "ms")
        yield Figure(f"{name}: a create, p99", spent[len(spent) * 99 // 100] * 1000, "ms")
    writers = [_Writer([path]) for _ in range(_CLIENTS)]
    for writer in writers:
        writer.start()
    time.sleep(5)
    for writer in writers:
        writer.stop()
    total = sum(len(writer.done) for writer in writers)
    yield Figure(f"{name}: creates by {_CLIENTS} clients", total / 5, "/s")


def _timed(stub: Any) -> float:
    begun = time.monotonic()
    stub.CreateConfig(_config(), timeout=10)
    return time.monotonic() - begun


def large(objects: int) -> Iterator[Figure]:
    """What joins and starts take with so many objects."""
    with daemon() as first:
        first.start()
        first.stop()
        fill(first, objects)
        first.start()
        with daemon(**_as_manager(first)) as second:
            name = f"with {objects} objects"
            yield Figure(f"second manager joins {name}, the store moves", second.start(), "s")
            with daemon(**_as_manager(first)) as third:
                yield Figure(f"third manager joins {name}", third.start(), "s")
                follower = next(one for one in (second, third) if one is not _leader([first]))
                follower.stop()
                yield Figure(f"a manager starts {name}", follower.start(), "s")
                spent = failovers([first, second, third], _whole_host, 3)
                yield Figure(f"leader's host killed {name}, p50 of 3", sorted(spent)[1], "s")


def measure(runs: int, sizes: Sequence[int], objects: int) -> Iterator[Figure]:
    """Failovers of three, writes of each size, and the large store if asked for."""
    with managers(3) as three:
        hold, handover = _HOLD_SECONDS, _HANDOVER_SECONDS
        yield from _both("leader's host killed", failovers(three, _whole_host, runs), hold)
        killed = failovers(three, _manager_worker, runs)
        yield from _both("leader's manager worker killed", killed, hold)
        yield from _both("leader stopped", failovers(three, _stop, runs), handover)
    for size in sizes:
        with managers(size) as some:
            yield from writes(some)
    if objects:
        yield from large(objects)


@click.command()
@click.option("--runs", default=20, show_default=True, help="Failovers of each kind.")
@click.option("--size", "sizes", multiple=True, default=(1, 3, 5), type=int, help="Managers.")
@click.option("--objects", default=0, show_default=True, help="Objects in a large store.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def main(runs: int, sizes: Sequence[int], objects: int, as_json: bool) -> None:
    """Measure failover, and writes through a quorum, on this machine."""
    show(measure(runs, sizes, objects), as_json=as_json)


if __name__ == "__main__":
    main()
