"""Real etcd members of the tests' own, which reach each other by unix sockets.

A member's peers are sockets in its own directory, named by their members, as swarmd has them; here
they are links to the other members' own, so that taking one away cuts a member off.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from swarmd.api.protos import etcd_pb2 as etcd
from swarmd.store.etcd import EtcdClient


def why_not() -> str:
    """What this host lacks to run one; empty where nothing."""
    return "" if shutil.which("etcd") else "not installed: etcd-server"


class Member:
    """One etcd process; its directory outlives it."""

    def __init__(self, root: Path, name: str, names: list[str]) -> None:
        self.name = name
        self.directory = root / name
        self.socket = self.directory / "client:0"
        self._cluster = ",".join(f"{one}=unix://{one}:0" for one in names)
        self._process: subprocess.Popen[bytes] | None = None
        self.directory.mkdir()
        for one in names:
            if one != name:
                (self.directory / f"{one}:0").symlink_to(root / one / f"{one}:0")

    @property
    def log(self) -> Path:
        """The directory of its write-ahead log."""
        return self.directory / "data/member/wal"

    def start(self, *options: str) -> None:
        url = f"unix://{self.name}:0"
        for left in (self.socket, self.directory / f"{self.name}:0"):
            left.unlink(missing_ok=True)  # etcd binds it anew, and a killed one leaves it
        with (self.directory / "log").open("ab") as output:
            self._process = subprocess.Popen(
                [
                    *("etcd", "--name", self.name, "--data-dir", "data"),
                    *("--listen-client-urls", "unix://client:0"),
                    *("--advertise-client-urls", "unix://client:0"),
                    *("--listen-peer-urls", url, "--initial-advertise-peer-urls", url),
                    *("--initial-cluster", self._cluster, "--initial-cluster-state", "new"),
                    *("--heartbeat-interval", "100", "--election-timeout", "1000"),
                    *("--max-txn-ops", "1024", "--max-request-bytes", str(8 << 20)),
                    *("--logger", "zap", "--log-level", "error"),
                    *options,
                ],
                cwd=self.directory,
                stdout=output,
                stderr=output,
            )

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Quorum:
    """So many members, started; wait for `ready`."""

    def __init__(self, root: Path, size: int) -> None:
        names = [f"m{number}" for number in range(size)]
        self.members = [Member(root, name, names) for name in names]
        for member in self.members:
            member.start()

    async def ready(self) -> None:
        for member in self.members:
            client = EtcdClient(member.socket)
            await client.call(client.maintenance.Status, etcd.StatusRequest(), seconds=30)
            await client.get(b"any")
            await client.close()

    def kill(self) -> None:
        for member in self.members:
            member.kill()
