"""Our node in a Docker Engine's swarm, with an engine of its own: containers and host processes."""

import contextlib
import re
from collections.abc import Iterator

import pytest

from tests.cluster import wait
from tests.interop.peers import DockerHost, docker_host
from tests.networks import Lan, NetNode, lan

pytestmark = pytest.mark.interop

BOTH = ("boxed", "plain")
"""A service of containers, and one of host processes."""


@pytest.fixture(scope="module")
def net() -> Iterator[Lan]:
    with lan() as made:
        yield made


@pytest.fixture(scope="module")
def docker(net: Lan) -> Iterator[DockerHost]:
    """The manager, which runs no tasks itself."""
    with docker_host(net) as made:
        made.docker("swarm", "init", f"--advertise-addr={made.host.address}")
        made.docker("node", "update", "--availability=drain", made.node_id)
        yield made


@pytest.fixture(scope="module")
def engine(net: Lan) -> Iterator[DockerHost]:
    """On our node's host, and of no swarm."""
    with docker_host(net) as made:
        yield made


@pytest.fixture(scope="module")
def worker(docker: DockerHost, engine: DockerHost) -> Iterator[NetNode]:
    engines = ("--engine-addr=supervisor://", f"--engine-addr={engine.address}")
    with NetNode(engine.host, *engines) as node:
        node.join(docker.manager_address, docker.token())
        yield node


def create(docker: DockerHost, name: str, *words: str) -> None:
    """A service whose last word is a shell's; `plain` ones are of image host."""
    *options, script = words
    image = "host" if name.startswith("plain") else "busybox"
    docker.docker(
        "service", "create", "--detach", "--no-resolve-image", "--stop-grace-period=1s",
        f"--name={name}", *options, image, "sh", "-c", script,
    )  # fmt: skip


@contextlib.contextmanager
def both(docker: DockerHost, worker: NetNode, engine: DockerHost, *words: str) -> Iterator[None]:
    """One service of each kind, until the block ends."""
    for name in BOTH:
        create(docker, name, *words)
    try:
        yield
    finally:
        docker.docker("service", "rm", *BOTH)
        wait(lambda: counts(worker, engine) == (0, 0), "the end of both")


def running_ids(worker: NetNode, engine: DockerHost) -> set[str]:
    """Of all tasks that really run, of either kind."""
    return engine.task_ids() | set(worker.task_processes().values())


def counts(worker: NetNode, engine: DockerHost) -> tuple[int, int]:
    """How many containers run, and how many host tasks."""
    return len(engine.task_ids()), len(set(worker.task_processes().values()))


def wait_both(docker: DockerHost, worker: NetNode, engine: DockerHost, count: int) -> None:
    """That many of each kind run, and the manager knows."""
    wait(lambda: counts(worker, engine) == (count, count), f"{count} of each kind")
    for name in BOTH:
        wait(lambda name=name: docker.running(name) == count, f"{count} of {name} that run")


@pytest.fixture
def services(docker: DockerHost, worker: NetNode, engine: DockerHost) -> Iterator[None]:
    with both(docker, worker, engine, "--replicas=2", "echo hello; exec sleep 1000"):
        wait_both(docker, worker, engine, 2)
        yield


def test_both_kinds_are_shown_on_our_node(docker, worker, engine, services):
    assert "Ready" == docker.state_of(worker.id)
    for name in BOTH:
        listed = docker.docker("service", "ps", name, "--format", "{{.Node}} {{.CurrentState}}")
        lines = listed.splitlines()
        assert 2 == len(lines)
        assert all(line.startswith(f"{worker.host.name} Running") for line in lines)


def test_docker_shows_what_both_kinds_print(docker, worker, engine, services):
    for name in BOTH:
        lines = re.compile(rf"^{name}\.[12]\.\w+@{worker.host.name} +\| hello$", re.MULTILINE)
        wait(lambda n=name, f=lines: 2 == len(f.findall(docker.logs(n))), f"what {name} prints")
    assert "deserializ" not in worker.log


def test_a_container_of_the_service_is_told_by_its_id(docker, worker, engine, services):
    (task, *_) = docker.docker("service", "ps", "-q", "boxed").split()
    form = "{{.Status.ContainerStatus.ContainerID}}"
    told = docker.docker("inspect", "--type=task", "--format", form, task).strip()
    assert told in engine.docker("ps", "-q", "--no-trunc").split()


def test_both_kinds_scale(docker, worker, engine, services):
    for replicas in (3, 1):
        docker.docker("service", "scale", "--detach", *(f"{name}={replicas}" for name in BOTH))
        wait_both(docker, worker, engine, replicas)


def test_both_kinds_are_updated(docker, worker, engine, services):
    before = running_ids(worker, engine)
    for name in BOTH:
        docker.docker("service", "update", "--detach", "--no-resolve-image", "--env-add=A=b", name)
    wait(lambda: not before & running_ids(worker, engine), "other tasks")
    wait_both(docker, worker, engine, 2)


def test_both_kinds_are_drained_and_come_back(docker, worker, engine, services):
    docker.docker("node", "update", "--availability=drain", worker.id)
    wait(lambda: counts(worker, engine) == (0, 0), "none")
    docker.docker("node", "update", "--availability=active", worker.id)
    wait_both(docker, worker, engine, 2)


def test_both_kinds_read_secrets_and_configs(docker, worker, engine):
    docker.docker("secret", "create", "colour", "-", given="blue-secret")
    template = ("config", "create", "--template-driver=golang", "tint", "-")
    docker.docker(*template, given="blue-{{.Service.Name}}")
    wanted = ("--secret=colour", "--config=source=tint,target=tint")
    script = (
        'cd "${CREDENTIALS_DIRECTORY:-/run/secrets}"; cat colour; echo;'
        ' cat "${CREDENTIALS_DIRECTORY:-}/tint"; echo; exec sleep 1000'
    )
    with both(docker, worker, engine, *wanted, script):
        for name in BOTH:
            wait(lambda n=name: f"blue-{n}" in docker.logs(n), f"what {name} read")
            assert "blue-secret" in docker.logs(name)
    docker.docker("secret", "rm", "colour")
    docker.docker("config", "rm", "tint")


def test_a_global_service_of_each_kind_runs_here(docker, worker, engine):
    with both(docker, worker, engine, "--mode=global", "exec sleep 1000"):
        wait_both(docker, worker, engine, 1)


def test_a_failure_of_each_kind_is_shown_with_its_status(docker, worker, engine):
    form = ("--no-trunc", "--format", "{{.CurrentState}} {{.Error}}")
    with both(docker, worker, engine, "--restart-condition=none", "exit 3"):
        for name in BOTH:
            wait(lambda n=name: "Failed" in docker.docker("service", "ps", n, *form), "the failure")
            assert "(3)" in docker.docker("service", "ps", name, *form)


def test_a_published_port_is_open_and_shown(docker, worker, engine):
    web = "echo found > /tmp/index.html; exec httpd -f -p 80 -h /tmp"
    create(docker, "boxed-web", "--publish=mode=host,target=80,published=8080", web)
    wait(lambda: docker.running("boxed-web") == 1, "it runs")
    assert "*:8080->80/tcp" in docker.docker("service", "ps", "boxed-web", "--format={{.Ports}}")
    address = f"http://{worker.host.address}:8080/"
    assert "found" in docker.in_network("busybox", "wget", "-q", "-O", "-", address)
    docker.docker("service", "rm", "boxed-web")
    wait(lambda: counts(worker, engine) == (0, 0), "its end")


def test_a_container_that_never_gets_healthy_is_replaced(docker, worker, engine):
    checks = ("--health-cmd=false", "--health-interval=1s", "--health-retries=1")
    create(docker, "boxed-ill", "--restart-delay=1s", *checks, "exec sleep 1000")
    form = ("--no-trunc", "--format", "{{.CurrentState}} {{.Error}}")
    wait(lambda: "unhealthy" in docker.docker("service", "ps", "boxed-ill", *form), "its end")
    assert 0 == docker.running("boxed-ill")
    docker.docker("service", "rm", "boxed-ill")
    wait(lambda: counts(worker, engine) == (0, 0), "its end")


def test_its_engine_is_killed_and_comes_back(docker, worker, engine, services):
    """Host processes do not notice; the containers, which end with it, are replaced."""
    processes = worker.task_processes()
    engine.kill()
    engine.start()
    wait_both(docker, worker, engine, 2)
    assert processes == worker.task_processes()


@pytest.fixture
def quick(docker: DockerHost) -> Iterator[None]:
    """A node is down after three seconds."""
    docker.docker("swarm", "update", "--dispatcher-heartbeat=1s")
    yield
    docker.docker("swarm", "update", "--dispatcher-heartbeat=5s")


@pytest.mark.usefixtures("services", "quick")
def test_after_a_long_cut_what_was_replaced_is_ended(net, docker, worker, engine):
    lost = running_ids(worker, engine)
    with net.cut(worker.host):
        wait(lambda: docker.state_of(worker.id) == "Down", "it is down")
        wait(lambda: docker.running("boxed") == docker.running("plain") == 0, "replacements")
        assert lost == running_ids(worker, engine)
    wait(lambda: docker.state_of(worker.id) == "Ready", "it is back")
    wait(lambda: not lost & running_ids(worker, engine), "the end of what was replaced")
    wait_both(docker, worker, engine, 2)


def test_a_removed_node_leaves_nothing_behind_once_it_left(docker, worker, engine):
    with contextlib.ExitStack() as until:
        for name in BOTH:
            create(docker, name, "--replicas=2", "exec sleep 1000")
            until.callback(docker.docker, "service", "rm", name)
        wait_both(docker, worker, engine, 2)
        docker.docker("node", "rm", "--force", worker.id)
        wait(lambda: "this node was removed from the swarm" in worker.log, "its word")
        left = worker.swarmd("leave")
        assert 0 == left.returncode, left.stderr
        assert (0, 0) == counts(worker, engine)
        assert "" == engine.docker("ps", "-aq").strip()
