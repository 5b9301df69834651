"""The move of a store, killed at its n-th step, for every n: `python -m tests.moving DIR STEP`.

STEP    the number of the step before which the process kills itself, from 1; 0: never
        with `e` before it: there it kills its etcd instead, and goes on

A step is each rename in or of the etcd directory, each time that it is opened to be synced or
locked, the start of etcd, and each of its transactions. Meanwhile it counts on in one object of the
store, and keeps in DIR/acknowledged how far that was acknowledged.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

from swarmd import api
from swarmd.clock import SystemClock
from swarmd.config import NodeConfig
from swarmd.etcd_program import find_etcd
from swarmd.ipc.messages import Quorum, Up
from swarmd.quorum_file import QuorumFile
from swarmd.security import data_key
from swarmd.state_dir import StateDir
from swarmd.store import Store, WriteTx
from swarmd.store.etcd import EtcdBackend, EtcdClient, EtcdLease
from workers.etcd.command import command_line
from workers.manager.quorum.moving import Moving
from workers.manager.sealed_store import open_backend

_STORED = 600  # objects: more than one transaction of the move
_SYNCED = "open"  # a directory is, to be synced


class Steps:
    """Counts them, and does what is to be done before one."""

    def __init__(self, last: str, directory: Path) -> None:
        self._kills_etcd = last.startswith("e")
        self._last = int(last.lstrip("e"))
        self._directory = directory
        self.count = 0
        self.etcd: subprocess.Popen[bytes] | None = None

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        renamed = event == "os.rename" and str(arguments[0]).startswith(str(self._directory))
        if renamed or (event == _SYNCED and str(arguments[0]) == str(self._directory)):
            self.take()

    def take(self) -> None:
        self.count += 1
        if self.count == self._last:
            if self._kills_etcd and self.etcd is not None:
                self.etcd.kill()
                self.etcd.wait()
            else:
                os.kill(os.getpid(), signal.SIGKILL)


async def move(state_dir: StateDir, last: str) -> str:
    """How it ended; `undone` with the reason, where it did not happen."""
    steps = Steps(last, state_dir.etcd)
    clock = SystemClock()

    def report(message: Up) -> None:
        if message == Quorum(shared=True):
            steps.take()
            steps.etcd = run_etcd(state_dir)

    async with Store(await open_backend(state_dir), clock) as store:
        if not len(store.view().configs):
            await store.batch([create(str(number)) for number in range(_STORED)])
        writing = asyncio.create_task(write(store, state_dir.root / "acknowledged"))
        sys.addaudithook(steps.audit)
        count_transactions(steps)
        try:
            await Moving(store, state_dir, report, clock=clock).move("n1", "127.0.0.1:1")
        except Exception as error:  # noqa: BLE001  told to who started this
            await store.update(count_on)  # it takes changes again
            return f"undone: {error!r}"
        finally:
            writing.cancel()
        return f"moved in {steps.count} steps"


def count_transactions(steps: Steps) -> None:
    txn = EtcdClient.txn

    async def seen(self: EtcdClient, *arguments: Any) -> Any:
        steps.take()
        return await txn(self, *arguments)

    EtcdClient.txn = seen  # type: ignore[method-assign]


def create(name: str) -> Any:
    def change(tx: WriteTx) -> api.Config:
        spec = api.ConfigSpec(annotations=api.Annotations(name=name), data=b"x")
        return tx.configs.create(api.Config(id=f"id-{name}", spec=spec))

    return change


def count_on(tx: WriteTx) -> int:
    config = tx.configs.copy("id-0")
    labels = config.spec.annotations.labels
    labels["v"] = str(int(labels["v"] or 0) + 1)
    tx.configs.update(config)
    return int(labels["v"])


def counted(store: Store) -> int:
    """How far that is; fails where something else is missing."""
    assert _STORED == len(store.view().configs)
    config = store.view().configs.get("id-0")
    assert config is not None
    return int(config.spec.annotations.labels["v"] or 0)


async def write(store: Store, acknowledged: Path) -> None:
    """Until a change is refused."""
    with acknowledged.open("w") as file:
        while True:
            number = await store.update(count_on)
            file.seek(0)
            file.write(str(number))
            file.flush()
            await asyncio.sleep(0.001)


def run_etcd(state_dir: StateDir) -> "subprocess.Popen[bytes]":
    """It ends with this process."""
    quorum = QuorumFile.load(state_dir.quorum)
    assert quorum is not None
    for left in state_dir.etcd.glob("*:0"):
        left.unlink()  # etcd binds them anew
    command = command_line(
        find_etcd().path, NodeConfig(state_dir=state_dir.root, hostname="n1"), quorum
    )
    return subprocess.Popen(command, cwd=state_dir.etcd, stderr=subprocess.DEVNULL)


@contextlib.asynccontextmanager
async def opened(state_dir: StateDir) -> AsyncIterator[Store]:
    """The store, wherever it is."""
    clock, chance = SystemClock(), Random(0)
    if QuorumFile.load(state_dir.quorum) is None:
        async with Store(await open_backend(state_dir), clock) as store:
            yield store
        return
    etcd = run_etcd(state_dir)
    try:
        client = EtcdClient(state_dir.etcd / "client:0")
        lease = EtcdLease(client, "n1", 2, clock, chance)
        await client.get(b"any", 30)
        sealer = data_key.open_data_keys(state_dir.node_key).sealer(state_dir.node_key)
        async with Store(EtcdBackend(client, lease, sealer, clock, chance), clock) as store:
            yield store
    finally:
        etcd.kill()
        etcd.wait()


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(move(StateDir(Path(sys.argv[1])), sys.argv[2])))
