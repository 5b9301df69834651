"""A cluster of unlike nodes, put together by the words of the README, and what runs in it."""

import contextlib
import re
from collections.abc import Iterator

from swarmd import api
from tests.cluster import wait
from tests.interop.peers import DockerHost, docker_host
from tests.networks import Lan, NetNode

READY, DOWN = api.NodeStatus.State.READY, api.NodeStatus.State.DOWN
HOST_SERVICES = {"web": 4, "watcher": 2}
"""Host processes: how many are wanted while all nodes are there."""
CONTAINER_SERVICES = {"box": 4, "probe": 2}
_SCRIPT = (
    "cd ${CREDENTIALS_DIRECTORY:-/run/secrets}; echo read $(cat colour);"
    " cat ${CREDENTIALS_DIRECTORY:-}/tint; exec sleep 1000"
)


class MixedCluster:
    """A manager with both kinds of engine, a worker for host processes, and a Docker Engine."""

    def __init__(self, net: Lan, manager: NetNode, worker: NetNode, docker: DockerHost) -> None:
        self.net = net
        self.manager = manager
        self.worker = worker
        self.docker = docker
        self.engines = [docker]
        """All Docker engines that run containers of this cluster."""

    def ctl(self, *words: str) -> str:
        done = self.manager.ctl(*words)
        assert 0 == done.returncode, done.stderr
        return done.stdout

    def form(self) -> None:
        """Start, join, join."""
        self.manager.start()
        self.manager.beat_every(2.0)
        token, address = self.shown_token(), self.manager.address
        joined = self.worker.swarmd("start", f"--join-addr={address}", f"--join-token={token}")
        assert 0 == joined.returncode, joined.stderr
        own = f"--advertise-addr={self.docker.host.address}"
        self.docker.docker("swarm", "join", own, "--token", token, address)
        self.wait_ready()

    def shown_token(self) -> str:
        """The workers', as people read it."""
        shown = re.search(r"Worker *: (SWMTKN-1-\S+)", self.ctl("cluster", "inspect"))
        assert shown is not None
        return shown[1]

    def create_services(self) -> None:
        for kind in ("secret", "config"):
            name = {"secret": "colour", "config": "tint"}[kind]
            self._create_payload(kind, name, f"{kind}-{name}")
        for name, image in (("web", "host"), ("box", "busybox")):
            self.create(name, image, "--replicas=4", "--secret=colour", "--config=tint")
        for name, image in (("watcher", "host"), ("probe", "busybox")):
            self.create(name, image, "--mode=global", script="exec sleep 1000")
        self.wait_whole()

    def create(self, name: str, image: str, *options: str, script: str = _SCRIPT) -> None:
        command = ("--command=sh", f"--args=-c,{script}")
        quick = ("--restart-delay=1s", "--stop-grace-period=1s", "--detach")
        self.ctl(
            "service", "create", f"--name={name}", f"--image={image}", *command, *quick, *options
        )

    def _create_payload(self, kind: str, name: str, text: str) -> None:
        file = self.manager.root / name
        file.write_text(f"{text}\n")
        self.ctl(kind, "create", name, f"--file={file}")

    # What is there.

    @property
    def nodes(self) -> tuple[str, str, str]:
        return self.manager.id, self.worker.id, self.docker.node_id

    def wait_ready(self) -> None:
        for node_id in self.nodes:
            self.manager.wait_state(node_id, READY, 90)

    def running(self) -> dict[str, str]:
        """Task id to node id of all that the manager knows to run, and wants to."""
        state = api.TaskState.RUNNING
        return {
            task.id: task.node_id
            for task in self.manager.tasks()
            if task.status.state == task.desired_state == state
        }

    def processes(self) -> set[str]:
        """The ids of the tasks that really run, wherever they do."""
        found = {*self.manager.task_processes().values(), *self.worker.task_processes().values()}
        return found.union(*(engine.task_ids() for engine in self.engines))

    def is_whole(self) -> bool:
        """All that is wanted runs, once, and nothing else does."""
        counts: dict[str, int] = {}
        running = self.running()
        for task in self.manager.tasks():
            if task.id in running:
                name = task.service_annotations.name
                counts[name] = counts.get(name, 0) + 1
        return counts == HOST_SERVICES | CONTAINER_SERVICES and running.keys() == self.processes()

    def wait_whole(self) -> dict[str, str]:
        """`running`, once all is as it should be."""
        self.wait_ready()
        wait(self.is_whole, "every task runs once", 180)
        return self.running()


@contextlib.contextmanager
def mixed_cluster(net: Lan) -> Iterator[MixedCluster]:
    """One with services; the test is skipped where no Docker Engine can run."""
    with docker_host(net) as beside, docker_host(net) as docker:
        both = ("--engine-addr=supervisor://", f"--engine-addr={beside.address}")
        with (
            NetNode(beside.host, *both) as manager,
            NetNode(net.host(), "--engine-addr=supervisor://") as worker,
        ):
            made = MixedCluster(net, manager, worker, docker)
            made.engines.append(beside)
            made.form()
            made.create_services()
            yield made
