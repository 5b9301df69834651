"""Hosts that are network namespaces on one switch, with nothing of this machine's network in it.

with lan() as net:
    one, two = net.host(), net.host()      # one.address, one.enter("ip", "addr")
    with net.cut(two): …                   # packets vanish, as when a cable is pulled elsewhere
"""

import contextlib
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from swarmd import api
from swarmd.api import times
from tests.cable import laid
from tests.cluster import RealNode, wait

_PORT = 4242
_TOOLS = ("ip", "bridge", "nsenter")
_FORWARDING, _DISABLED = "3", "0"
_serial = itertools.count()


@dataclass(frozen=True)
class Host:
    """One namespace: its name, and its address on the switch."""

    name: str
    address: str
    port: str

    def enter(self, *command: str) -> list[str]:
        """That command, in this host's network; everything else stays this machine's."""
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *command]


class Lan:
    """The switch, and who is connected to it."""

    def __init__(self) -> None:
        self._prefix = f"swd{os.getpid()}x{next(_serial)}"
        self._switch = f"{self._prefix}s"
        self._names: list[str] = []
        self._namespace(self._switch)
        _run(*self._in_switch("ip", "link", "add", "name", "lan", "type", "bridge"))
        _run(*self._in_switch("ip", "link", "set", "lan", "up"))

    def host(self, namespace: str = "") -> Host:
        """A new host; `namespace` is a process id whose network it shall be, if not a new one."""
        number = len(self._names)
        name = f"{self._prefix}h{number}"
        if namespace:
            _run("ip", "netns", "attach", name, namespace)
            self._names.append(name)
        else:
            self._namespace(name)
        host = Host(name, f"10.0.0.{number}", f"p{number}")
        switch = ("netns", self._switch)
        _run("ip", "-n", name, "link", "add", "lan0", "type", "veth", "peer", host.port, *switch)
        _run("ip", "-n", name, "addr", "add", f"{host.address}/24", "dev", "lan0")
        for link in ("lo", "lan0"):
            _run("ip", "-n", name, "link", "set", link, "up")
        self._plug(host.port, "lan")
        return host

    @contextlib.contextmanager
    def cut(self, host: Host) -> Iterator[None]:
        """Nothing goes to it or comes from it; neither side is told."""
        self._set(host, _DISABLED)
        try:
            yield
        finally:
            self.mend(host)

    def mend(self, host: Host) -> None:
        """The end of a cut, before its block ends."""
        self._set(host, _FORWARDING)

    @contextlib.contextmanager
    def slow(self, host: Host, seconds: float, loss: float) -> Iterator[None]:
        """What it sends arrives that much later, or is lost with that probability."""
        near, far, between = (f"{host.port}{end}" for end in ("n", "f", "b"))
        _run(*self._in_switch("ip", "link", "add", "name", between, "type", "bridge"))
        _run(*self._in_switch("ip", "link", "set", between, "up"))
        with laid(self._switch, near, far, seconds, loss):
            for port, bridge in ((near, between), (far, "lan"), (host.port, between)):
                self._plug(port, bridge)
            try:
                yield
            finally:
                self._plug(host.port, "lan")
        _run(*self._in_switch("ip", "link", "del", between))

    def close(self) -> None:
        for name in self._names:
            subprocess.run(["ip", "netns", "delete", name], check=False)

    def _set(self, host: Host, state: str) -> None:
        _run(*self._in_switch("bridge", "link", "set", "dev", host.port, "state", state))

    def _plug(self, port: str, bridge: str) -> None:
        _run(*self._in_switch("ip", "link", "set", port, "master", bridge, "up"))

    def _in_switch(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self._switch, *command]

    def _namespace(self, name: str) -> None:
        _run("ip", "netns", "add", name)
        self._names.append(name)


class NetNode(RealNode):
    """A real node on a host of its own, listening on every address of it."""

    def __init__(self, host: Host, *options: str) -> None:
        super().__init__(f"--hostname={host.name}", *options)
        self.host = host
        self.remote = f"0.0.0.0:{_PORT}"
        self.address = f"{host.address}:{_PORT}"

    def argv(self, command: str = "run", *options: str) -> list[str]:
        return self.host.enter(*super().argv(command, *options))

    @property
    def id(self) -> str:
        return str(self.report["node_id"])

    def join(self, address: str, token: str) -> None:
        """Join, ready."""
        self.environment |= {"SWARMD_JOIN_ADDR": address, "SWARMD_JOIN_TOKEN": token}
        self.run()

    # As its manager.

    @property
    def cluster(self) -> api.Cluster:
        return self.call("ListClusters", api.ListClustersRequest()).clusters[0]

    @property
    def worker_token(self) -> str:
        return str(self.cluster.root_ca.join_tokens.worker)

    def beat_every(self, seconds: float) -> None:
        """Have nodes say so often that they live; one is down after three times that long."""
        found = self.cluster
        found.spec.dispatcher.heartbeat_period.CopyFrom(times.duration(seconds))
        request = api.UpdateClusterRequest(
            cluster_id=found.id, cluster_version=found.meta.version, spec=found.spec
        )
        self.call("UpdateCluster", request)

    def node(self, node_id: str) -> api.Node:
        found: api.Node = self.call("GetNode", api.GetNodeRequest(node_id=node_id)).node
        return found

    def wait_state(self, node_id: str, state: int, seconds: float = 30) -> float:
        name = api.NodeStatus.State.Name(state)
        return wait(lambda: self.node(node_id).status.state == state, name, seconds)

    def placed(self, service_id: str) -> dict[str, list[str]]:
        """Node id to ids of the tasks that run there, and are meant to."""
        found: dict[str, list[str]] = {}
        running = api.TaskState.RUNNING
        for task in self.tasks(service_id):
            if task.status.state == task.desired_state == running:
                found.setdefault(task.node_id, []).append(task.id)
        return found

    def counts(self, service_id: str) -> dict[str, int]:
        return {node_id: len(tasks) for node_id, tasks in self.placed(service_id).items()}


@contextlib.contextmanager
def lan() -> Iterator[Lan]:
    """A switch until the block ends; skips the test where this user may not make one."""
    if os.getuid() != 0:
        pytest.skip("network namespaces need root")
    if missing := [tool for tool in _TOOLS if shutil.which(tool) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    try:
        made = Lan()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
    try:
        yield made
    finally:
        made.close()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=20)
