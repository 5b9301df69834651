"""Backup and restore of a large cluster: python -m bench.backup [--objects 100000] [--json].

A real manager has that many objects: a tenth of them are running tasks, on nodes that it waits for,
the others configs of 400 bytes. While `swarmctl backup` runs, another client asks for the cluster
again and again: what it waits at most is what a backup costs the others.
"""

import asyncio
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import grpc

from bench.daemon import Daemon, daemon
from bench.figures import Figure, show
from bench.store import TASKS_A_SERVICE, create, new_task
from swarmd import api
from swarmd.api import times
from swarmd.api.protos.control_pb2_grpc import ControlStub
from swarmd.clock import SystemClock
from swarmd.ids import new_id
from swarmd.rpc.channel import OPTIONS, leaf_shown
from swarmd.security import data_key
from swarmd.store import SqliteBackend, Store, WriteTx

_CONFIG_BYTES = 400
_random = random.Random(1)
_PERIOD_SECONDS = 3600.0  # of heartbeats: nobody is taken for lost meanwhile


def fill(one: Daemon, count: int, tasks: int) -> None:
    """Give a daemon that does not run so many objects; those that are no tasks are configs."""
    asyncio.run(_filled(one, count, tasks))


async def _filled(one: Daemon, count: int, running: int) -> None:
    keys = data_key.open_data_keys(one.state_dir.node_key)
    backend = SqliteBackend(one.state_dir.store, keys.sealer(one.state_dir.node_key))
    async with Store(backend, SystemClock()) as store:
        await store.update(_slow_heartbeats)
        tasks = [_running(number) for number in range(running)]
        configs = [_config(number) for number in range(count - len(tasks))]
        owners = sorted({task.service_id for task in tasks})
        services = [_service(number, owner) for number, owner in enumerate(owners)]
        nodes = [_node(node_id) for node_id in sorted({task.node_id for task in tasks})]
        await store.batch([lambda tx, new=new: tx.nodes.create(new) for new in nodes])
        await store.batch([lambda tx, new=new: tx.services.create(new) for new in services])
        await store.batch([create(task) for task in tasks])
        await store.batch([lambda tx, new=new: tx.configs.create(new) for new in configs])


def _slow_heartbeats(tx: WriteTx) -> None:
    (found,) = tx.clusters.find()
    cluster = tx.clusters.copy(found.id)
    cluster.spec.dispatcher.heartbeat_period.CopyFrom(times.duration(_PERIOD_SECONDS))
    tx.clusters.update(cluster)


def _running(number: int) -> api.Task:
    task = new_task(number)
    task.status.state = api.TaskState.RUNNING
    return task


def _config(number: int) -> api.Config:
    annotations = api.Annotations(name=f"config-{number}")
    data = _random.randbytes(_CONFIG_BYTES // 2).hex().encode()
    spec = api.ConfigSpec(annotations=annotations, data=data)
    return api.Config(id=new_id(_random), spec=spec)


def _service(number: int, service_id: str) -> api.Service:
    spec = api.ServiceSpec(
        annotations=api.Annotations(name=f"web-{number}", labels={"tier": "front"}),
        task=new_task(number).spec,
        replicated=api.ReplicatedService(replicas=TASKS_A_SERVICE),
    )
    return api.Service(id=service_id, spec=spec, spec_version=api.Version(index=7))


def _node(node_id: str) -> api.Node:
    accepted = api.NodeSpec.Membership.ACCEPTED
    ready = api.NodeStatus(state=api.NodeStatus.State.READY)
    description = api.NodeDescription(hostname=node_id)
    spec = api.NodeSpec(membership=accepted)
    return api.Node(id=node_id, spec=spec, status=ready, description=description)


class _Client(threading.Thread):
    """Asks again and again, and notes how long each answer took."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.waits: list[float] = []
        self._path = path
        self._enough = threading.Event()

    def run(self) -> None:
        with socket.socket(socket.AF_UNIX) as plain:
            plain.connect(str(self._path))
            credentials = grpc.ssl_channel_credentials(leaf_shown(plain))
        with grpc.secure_channel(f"unix:{self._path}", credentials, OPTIONS) as channel:
            stub = ControlStub(channel)  # type: ignore[no-untyped-call]
            while not self._enough.is_set():
                begun = time.monotonic()
                stub.ListClusters(api.ListClustersRequest(), timeout=60)
                self.waits.append(time.monotonic() - begun)
                time.sleep(0.005)

    def stop(self) -> list[float]:
        self._enough.set()
        self.join()
        return self.waits


def _timed(command: Sequence[str]) -> float:
    begun = time.monotonic()
    subprocess.run([sys.executable, "-m", *command], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begun


def _waits(path: Path, during: Callable[[], float]) -> tuple[float, list[float]]:
    client = _Client(path)
    client.start()
    time.sleep(1)
    del client.waits[:]
    return during(), client.stop()


def measure(count: int) -> Iterator[Figure]:
    """A run; nothing is left of it."""
    with daemon() as one, tempfile.TemporaryDirectory(prefix="swb") as directory:
        one.start()
        one.stop()
        fill(one, count, count // 10)
        yield Figure(f"start with {count} objects", one.start(), "s")
        file, secret = Path(directory) / "backup", Path(directory) / "secret"
        secret.write_text("correct horse battery staple\n")
        under = ["--passphrase-file", str(secret)]
        backup = ["swarmd.ctl", "--socket", str(one.socket), "backup", *under, str(file)]
        _, idle = _waits(one.socket, lambda: time.sleep(3) or 0.0)
        seconds, waits = _waits(one.socket, lambda: _timed(backup))
        yield Figure("backup", seconds, "s")
        yield Figure("its size", file.stat().st_size / (1 << 20), "MiB")
        yield Figure("a call meanwhile, p50", statistics.median(waits) * 1000, "ms")
        yield Figure("a call meanwhile, worst", max(waits) * 1000, "ms")
        yield Figure("a call without a backup, worst", max(idle) * 1000, "ms")
        one.stop()
        state = ["--state-dir", str(one.state_dir.root)]
        yield Figure("store check", _timed(["swarmd", "store", "check", *state]), "s")
        state = ["--state-dir", str(Path(directory) / "state")]
        yield Figure("restore", _timed(["swarmd", "restore", *state, *under, str(file)]), "s")
        restored = Daemon(Path(directory))
        try:
            yield Figure("start after it", restored.start(), "s")
        finally:
            restored.stop()
            restored.end_tasks()


@click.command()
@click.option("--objects", default=100_000, show_default=True, help="Objects in the store.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def main(objects: int, as_json: bool) -> None:
    """Measure backup and restore on this machine."""
    show(measure(objects), as_json=as_json)


if __name__ == "__main__":
    main()
