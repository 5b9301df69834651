"""Docker Engine's own managers, each on a host of its own: a network namespace on one switch."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence

from bench.daemon import wait
from bench.managers import config_name
from bench.writer import Door
from tests.interop.peers import DockerHost, docker_host
from tests.networks import lan

_PATIENCE_SECONDS = 120.0


class Dockers:
    """Of one swarm; containerd lives on when one is killed, as it has no part in it."""

    settle_seconds = 4.0

    def __init__(self, hosts: Sequence[DockerHost]) -> None:
        self.name = f"Docker's, {len(hosts)} manager{'s' if len(hosts) > 1 else ''}"
        self._hosts = hosts
        self._ids = [one.node_id for one in hosts]
        self._stops: list[threading.Thread] = []

    @property
    def doors(self) -> Sequence[Door]:
        return [_door(host) for host in self._hosts]

    def leader(self) -> int:
        def found() -> list[str]:
            form = ("--format", "{{.ID}} {{.ManagerStatus}}")
            listed = self._hosts[0].docker("node", "ls", *form, check=False).splitlines()
            return [line.split()[0] for line in listed if line.endswith("Leader")]

        return self._ids.index(wait(found, _PATIENCE_SECONDS)[0])

    def kill(self, number: int) -> None:
        self._hosts[number].kill()

    def stop(self, number: int) -> None:
        self._stops.append(threading.Thread(target=self._hosts[number].stop))
        self._stops[-1].start()

    def bring_back(self, number: int) -> None:
        while self._stops:
            self._stops.pop().join()
        self._hosts[number].start()
        wait(lambda: all(map(_is_whole, self._hosts)), _PATIENCE_SECONDS)


@contextlib.contextmanager
def docker_managers(count: int) -> Iterator[Dockers]:
    """So many in one swarm; nothing of them is left. Raises pytest's Skipped with what lacks."""
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(lan())
        first, *others = hosts = [stack.enter_context(docker_host(net)) for _ in range(count)]
        first.docker("swarm", "init", f"--advertise-addr={first.host.address}")
        for one in others:
            own = f"--advertise-addr={one.host.address}"
            token = first.token("manager")
            one.docker("swarm", "join", own, "--token", token, first.manager_address)
        yield Dockers(hosts)


def _is_whole(host: DockerHost) -> bool:
    said = host.docker("node", "ls", "--format", "{{.ManagerStatus}}", check=False).split()
    return "Leader" in said and "Unreachable" not in said


def _door(host: DockerHost) -> Door:
    @contextlib.contextmanager
    def door() -> Iterator[Callable[[], object]]:
        with contextlib.closing(host.client()) as client:
            yield lambda: client.create_config(config_name(), b"x" * 100)

    return door
