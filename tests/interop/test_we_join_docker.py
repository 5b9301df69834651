"""Our node as a worker of a Docker Engine's swarm: host processes by `docker service create`."""

import json
import os
import signal
import time
from collections.abc import Iterator

import pytest

from swarmd.etcd_program import find_etcd
from tests.cluster import wait
from tests.etcd import why_not
from tests.interop.peers import DockerHost, docker_host
from tests.networks import Lan, NetNode, lan

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def net() -> Iterator[Lan]:
    with lan() as made:
        yield made


@pytest.fixture(scope="module")
def docker(net: Lan) -> Iterator[DockerHost]:
    """The manager."""
    with docker_host(net) as made:
        made.docker("swarm", "init", f"--advertise-addr={made.host.address}")
        yield made


@pytest.fixture(scope="module")
def worker(net: Lan, docker: DockerHost) -> Iterator[NetNode]:
    with NetNode(net.host(), "--label=rack=7") as node:
        node.join(docker.manager_address, docker.token())
        yield node


def create(docker: DockerHost, worker: NetNode, name: str, *words: str) -> None:
    *options, command = words
    docker.docker(
        "service", "create", "--detach", "--no-resolve-image", f"--name={name}",
        f"--constraint=node.hostname=={worker.host.name}", *options, "host", "sh", "-c", command,
    )  # fmt: skip


@pytest.fixture
def service(docker: DockerHost, worker: NetNode) -> Iterator[str]:
    """Two host processes of a service `web`."""
    create(docker, worker, "web", "--replicas=2", "exec sleep 1000")
    wait(lambda: docker.running("web") == 2, "two that run")
    yield "web"
    docker.docker("service", "rm", "web")
    wait(lambda: not worker.task_processes(), "their end")


def test_docker_lists_our_node_as_ready(docker, worker):
    assert "Ready" == docker.state_of(worker.id)
    shown = json.loads(docker.docker("node", "inspect", worker.id))[0]
    assert "worker" == shown["Spec"]["Role"]
    assert worker.host.name == shown["Description"]["Hostname"]
    assert {"rack": "7"} == shown["Description"]["Engine"]["Labels"]
    plugins = [{"Type": "Engine", "Name": "supervisor"}]
    if not why_not():  # a type that Docker does not know
        plugins.append({"Type": "Quorum", "Name": f"etcd-{find_etcd().version}"})
    assert plugins == shown["Description"]["Engine"]["Plugins"]
    assert worker.host.address == shown["Status"]["Addr"]


def test_a_service_of_image_host_runs_as_processes_here(docker, worker, service):
    assert 2 == len(worker.task_processes())


def test_it_scales_and_is_removed(docker, worker, service):
    for replicas in (4, 1):
        docker.docker("service", "scale", "--detach", f"web={replicas}")
        wait(lambda n=replicas: len(worker.task_processes()) == n, f"{replicas} processes")
        wait(lambda n=replicas: docker.running("web") == n, f"{replicas} that run")


def test_it_is_updated(docker, worker, service):
    before = worker.task_processes()
    docker.docker("service", "update", "--detach", "--no-resolve-image", "--env-add=A=b", "web")
    wait(lambda: not before.keys() & worker.task_processes().keys(), "other processes")
    wait(lambda: docker.running("web") == 2, "two that run")


def test_a_failure_and_its_exit_status_are_shown(docker, worker):
    create(docker, worker, "fails", "--restart-condition=none", "exit 3")
    form = ("--no-trunc", "--format", "{{.CurrentState}} {{.Error}}")
    wait(lambda: "Failed" in docker.docker("service", "ps", "fails", *form), "the failure")
    assert "3" in docker.docker("service", "ps", "fails", *form)
    docker.docker("service", "rm", "fails")


def test_it_is_drained_and_activated(docker, worker, service):
    docker.docker("node", "update", "--availability=drain", worker.id)
    wait(lambda: not worker.task_processes(), "no processes")
    docker.docker("node", "update", "--availability=active", worker.id)
    wait(lambda: docker.running("web") == 2, "two again")


def test_docker_shows_what_a_task_wrote(docker, worker):
    create(docker, worker, "talks", "echo hello from the host; exec sleep 1000")
    wait(lambda: docker.running("talks") == 1, "it runs")
    wait(lambda: "hello from the host" in docker.docker("service", "logs", "talks"), "its output")
    docker.docker("service", "rm", "talks")


def test_our_worker_process_is_killed_and_tasks_go_on(docker, worker, service):
    before = worker.task_processes()
    agent = worker.worker_pid("agent")
    os.kill(agent, signal.SIGKILL)
    worker.wait_ready(without=agent)
    time.sleep(2)
    assert before == worker.task_processes()
    assert 2 == docker.running("web")


def test_its_manager_restarts_and_tasks_go_on(docker, worker, service):
    before = worker.task_processes()
    docker.stop()
    time.sleep(2)
    assert before == worker.task_processes()
    docker.start()
    wait(lambda: docker.state_of(worker.id) == "Ready", "ready again", 60)
    time.sleep(5)
    assert before == worker.task_processes()
    assert 2 == docker.running("web")


def test_a_change_of_root_reaches_our_node_without_a_dropped_session(docker, worker, service):
    """Docker's `ca --rotate` ends when every node has a certificate of the new root."""
    root = worker.state_dir / "certificates/swarm-root-ca.crt"
    before, processes = root.read_bytes(), worker.task_processes()
    complaints = worker.log.count("no session with") + worker.log.count("do not trust")
    docker.docker("swarm", "ca", "--rotate", "--quiet")
    wait(lambda: root.read_bytes() != before, "the new root")
    assert "renewed the certificate" in worker.log
    assert processes == worker.task_processes()
    assert complaints == worker.log.count("no session with") + worker.log.count("do not trust")
    assert "Ready" == docker.state_of(worker.id)


def test_a_manager_that_lost_http2_with_its_first_certificate_is_reached(docker, worker, service):
    """A fault of its own, for new connections; nodes that join from now on meet it too."""
    processes, agent = worker.task_processes(), worker.worker_pid("agent")
    os.kill(agent, signal.SIGKILL)
    worker.wait_ready(without=agent)
    wait(lambda: docker.state_of(worker.id) == "Ready", "ready with the new root")
    assert "TLS does not offer HTTP/2" in worker.log
    assert processes == worker.task_processes()
    assert "exec sleep" in docker.docker("service", "inspect", "web")
    assert 2 == docker.running("web")


def test_a_promotion_leaves_it_a_worker_and_says_why(docker, net):
    with NetNode(net.host()) as other:
        other.join(docker.manager_address, docker.token())
        docker.docker("node", "promote", other.id)
        wait(lambda: "it was promoted, and stays a worker" in other.log, "the reason")
        assert "worker" == other.report["role"]


def test_a_manager_token_is_refused(docker, net):
    with NetNode(net.host()) as other:
        address = docker.manager_address
        token = docker.token("manager")
        other.environment |= {"SWARMD_JOIN_ADDR": address, "SWARMD_JOIN_TOKEN": token}
        assert "this node cannot be a manager" in other.refused()[1]


def test_a_removed_node_is_told_so_and_leaves(docker, worker):
    node_id = worker.id
    docker.docker("node", "rm", "--force", node_id)
    wait(lambda: "this node was removed from the swarm" in worker.log, "its word")
    assert 0 == worker.swarmd("leave").returncode
    worker.join(docker.manager_address, docker.token())
    assert node_id != worker.id
