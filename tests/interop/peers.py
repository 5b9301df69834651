"""Docker Engines on hosts of their own, as members of a swarm."""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker_engine import Dockerd, busybox_tar, why_not
from tests.networks import Host, Lan

SWARM_PORT = 2377


class DockerHost(Dockerd):
    """A Docker Engine with the image busybox."""

    def __init__(self, root: Path, net: Lan) -> None:
        super().__init__(root)
        self.host: Host = net.host(str(self._holder.pid))

    def docker(self, *words: str, check: bool = True, given: str = "") -> str:
        """What a docker command prints; it has to end well, unless `check` is off."""
        done = subprocess.run(
            ["docker", f"--host={self.address}", *words],
            input=given,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    @property
    def node_id(self) -> str:
        """Empty where it is of no swarm."""
        return self.docker("info", "--format", "{{.Swarm.NodeID}}").strip()

    def task_ids(self) -> set[str]:
        """Of all tasks whose containers run."""
        form = '{{.Label "com.docker.swarm.task.id"}}'
        marked = ("--filter", "label=com.docker.swarm.task")
        return set(self.docker("ps", *marked, "--format", form).split())

    # As a manager.

    @property
    def manager_address(self) -> str:
        return f"{self.host.address}:{SWARM_PORT}"

    def token(self, role: str = "worker") -> str:
        return self.docker("swarm", "join-token", "-q", role).strip()

    def state_of(self, node_id: str) -> str:
        """Ready, Down …; empty for a node that it does not know."""
        listed = self.docker("node", "ls", "--format", "{{.ID}} {{.Status}}").splitlines()
        return next((line.split()[1] for line in listed if line.split()[0] == node_id), "")

    def running(self, service: str) -> int:
        """How many of its tasks run, and are meant to."""
        form = "{{.DesiredState}} {{.CurrentState}}"
        listed = self.docker("service", "ps", service, "--format", form).splitlines()
        return sum(line.startswith("Running Running") for line in listed)

    def logs(self, service: str) -> str:
        return self.docker("service", "logs", service)

    @property
    def log(self) -> str:
        return (self.root / "dockerd.log").read_text()

    def _flags(self) -> list[str]:
        # Docker's own words: live-restore and swarm mode do not go together.
        return [flag for flag in super()._flags() if flag != "--live-restore"]


@contextlib.contextmanager
def docker_host(net: Lan) -> Iterator[DockerHost]:
    """One that runs until the block ends; skips the test where none can."""
    if reason := why_not():
        pytest.skip(reason)
    if shutil.which("docker") is None:
        pytest.skip("not installed: docker")
    root = Path(tempfile.mkdtemp(prefix="swdk"))
    made = DockerHost(root, net)
    try:
        made.start()
        with contextlib.closing(made.client()) as client:
            client.import_image_from_data(busybox_tar(), repository="busybox", tag="latest")
        yield made
    finally:
        if made.socket.exists():  # else its swarm goes on making containers while they are removed
            made.docker("swarm", "leave", "--force", check=False)
        made.end()
        shutil.rmtree(root, ignore_errors=True)
