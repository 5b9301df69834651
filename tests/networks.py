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
        host = Host(name, f"10.99.0.{number}", f"p{number}")
        switch = ("netns", self._switch)
        _run("ip", "-n", name, "link", "add", "lan0", "type", "veth", "peer", host.port, *switch)
        _run("ip", "-n", name, "addr", "add", f"{host.address}/24", "dev", "lan0")
        for link in ("lo", "lan0"):
            _run("ip", "-n", name, "link", "set", link, "up")
        _run(*self._in_switch("ip", "link", "set", host.port, "master", "lan", "up"))
        return host

    @contextlib.contextmanager
    def cut(self, host: Host) -> Iterator[None]:
        """Nothing goes to it or comes from it; neither side is told."""
        self._set(host, _DISABLED)
        try:
            yield
        finally:
            self._set(host, _FORWARDING)

    def close(self) -> None:
        for name in self._names:
            subprocess.run(["ip", "netns", "delete", name], check=False)

    def _set(self, host: Host, state: str) -> None:
        _run(*self._in_switch("bridge", "link", "set", "dev", host.port, "state", state))

    def _in_switch(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self._switch, *command]

    def _namespace(self, name: str) -> None:
        _run("ip", "netns", "add", name)
        self._names.append(name)


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
