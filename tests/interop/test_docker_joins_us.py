"""A Docker Engine as a worker of our manager: what its operator types, and what it then does."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from swarmd import api
from tests import builders
from tests.cluster import wait
from tests.interop.peers import DockerHost, docker_host
from tests.networks import Lan, NetNode, lan

pytestmark = pytest.mark.interop

READY, DOWN = api.NodeStatus.State.READY, api.NodeStatus.State.DOWN
RUNNING = api.TaskState.RUNNING


@pytest.fixture(scope="module")
def net() -> Iterator[Lan]:
    with lan() as made:
        yield made


@pytest.fixture(scope="module")
def manager(net: Lan) -> Iterator[NetNode]:
    with NetNode(net.host()) as node:
        node.run()
        yield node


@pytest.fixture(scope="module")
def engine(net: Lan) -> Iterator[DockerHost]:
    with docker_host(net) as made:
        yield made


@pytest.fixture
def docker(manager: NetNode, engine: DockerHost) -> DockerHost:
    """The engine, as a member."""
    if not engine.node_id:
        join(engine, manager)
    manager.wait_state(engine.node_id, READY)
    return engine


def join(engine: DockerHost, manager: NetNode) -> str:
    token, own = manager.worker_token, engine.host.address
    return engine.docker(
        "swarm", "join", f"--advertise-addr={own}", "--token", token, manager.address
    )


def listed(manager: NetNode) -> set[str]:
    return {node.id for node in manager.call("ListNodes", api.ListNodesRequest()).nodes}


def containers(engine: DockerHost, service: str) -> set[str]:
    """Ids of those that run."""
    return set(engine.docker("ps", "-q", "--filter", f"name=^{service}\\.").split())


def create(manager: NetNode, name: str, *command: str, replicas: int = 1, **container) -> str:
    container.setdefault("stop_grace_period", {"seconds": 1})
    spec = builders.container(command=command or ("sleep", "1000"), image="busybox", **container)
    built = builders.service(name=name, replicas=replicas, task_spec=api.TaskSpec(container=spec))
    request = api.CreateServiceRequest(spec=built.spec)
    return str(manager.call("CreateService", request).service.id)


def update(manager: NetNode, service_id: str, change) -> None:
    found = manager.call("GetService", api.GetServiceRequest(service_id=service_id)).service
    change(found.spec)
    request = api.UpdateServiceRequest(
        service_id=service_id, service_version=found.meta.version, spec=found.spec
    )
    manager.call("UpdateService", request)


@pytest.fixture
def service(manager: NetNode, docker: DockerHost) -> Iterator[str]:
    """Two containers of a service `web`."""
    made = create(manager, "web", replicas=2)
    wait(lambda: manager.counts(made) == {docker.node_id: 2}, "two containers")
    yield made
    manager.remove_service(made)
    wait(lambda: not containers(docker, "web"), "their end")


def test_it_joins_and_is_ready(manager, docker):
    assert docker.docker("info", "--format", "{{.Swarm.LocalNodeState}}").strip() == "active"
    listed = manager.ctl("node", "ls").stdout
    assert [True] == ["Ready" in line for line in listed.splitlines() if docker.node_id in line]
    managers = docker.docker("info", "--format", "{{range .Swarm.RemoteManagers}}{{.Addr}}{{end}}")
    assert manager.address == managers.strip()


def test_it_runs_a_service_as_containers_and_says_so(manager, docker, service):
    assert 2 == len(containers(docker, "web"))
    ids = {task.status.container.container_id[:12] for task in manager.tasks(service)}
    assert containers(docker, "web") == ids


def test_it_scales(manager, docker, service):
    for replicas in (4, 1):
        update(manager, service, lambda spec, n=replicas: setattr(spec.replicated, "replicas", n))
        wait(lambda n=replicas: len(containers(docker, "web")) == n, f"{replicas} containers")


def test_a_container_that_dies_is_replaced(manager, docker, service):
    before = containers(docker, "web")
    docker.docker("kill", min(before))
    wait(lambda: len(containers(docker, "web") - before) == 1, "a replacement")
    wait(lambda: manager.counts(service) == {docker.node_id: 2}, "two that run")


def test_it_obeys_an_update(manager, docker, service):
    before = containers(docker, "web")
    update(manager, service, lambda spec: spec.task.container.env.append("COLOUR=blue"))
    wait(lambda: not before & containers(docker, "web"), "other containers")
    wait(lambda: len(containers(docker, "web")) == 2, "two of them")
    shown = docker.docker("inspect", "--format", "{{.Config.Env}}", *containers(docker, "web"))
    assert 2 == shown.count("COLOUR=blue")


def test_it_obeys_drain(manager, docker, service):
    assert 0 == manager.ctl("node", "drain", docker.node_id).returncode
    wait(lambda: not containers(docker, "web"), "no containers")
    assert 0 == manager.ctl("node", "activate", docker.node_id).returncode
    wait(lambda: len(containers(docker, "web")) == 2, "two again")


def test_an_exit_status_comes_back(manager, docker):
    made = create(manager, "fails", "sh", "-c", "exit 3")
    wait(lambda: any(task.status.container.exit_code == 3 for task in manager.tasks(made)), "a 3")
    manager.remove_service(made)


def test_it_gets_secrets_and_configs(manager, docker):
    data = {"annotations": api.Annotations(name="colour"), "data": b"blue"}
    secret = manager.call("CreateSecret", api.CreateSecretRequest(spec=api.SecretSpec(**data)))
    config = manager.call("CreateConfig", api.CreateConfigRequest(spec=api.ConfigSpec(**data)))
    file = api.FileTarget(name="colour", uid="0", gid="0", mode=0o444)
    at_root = api.FileTarget(name="/colour.conf", uid="0", gid="0", mode=0o444)
    made = create(
        manager,
        "reader",
        secrets=[api.SecretReference(secret_id=secret.secret.id, secret_name="colour", file=file)],
        configs=[
            api.ConfigReference(config_id=config.config.id, config_name="colour", file=at_root)
        ],
    )
    wait(lambda: containers(docker, "reader"), "the container")
    (container,) = containers(docker, "reader")
    assert "blue" == docker.docker("exec", container, "cat", "/run/secrets/colour")
    assert "blue" == docker.docker("exec", container, "cat", "/colour.conf")
    manager.remove_service(made)
    wait(lambda: not containers(docker, "reader"), "its end")


def test_it_survives_our_managers_restart(manager, docker, service):
    before, placed = containers(docker, "web"), manager.placed(service)
    os.kill(manager.pid, signal.SIGTERM)
    wait(lambda: not manager.is_locked(), "the manager's end")
    manager.run()
    manager.wait_state(docker.node_id, READY, 60)
    time.sleep(2)
    assert before == containers(docker, "web")
    assert placed == manager.placed(service)


def test_a_change_of_our_root_renews_its_certificate_and_touches_no_task(manager, docker, service):
    certificates = docker.root / "data/swarm/certificates"
    names = ("swarm-root-ca.crt", "swarm-node.crt")
    before = [(certificates / name).read_bytes() for name in names]
    running, node_id = containers(docker, "web"), docker.node_id
    rotated = manager.ctl("ca", "rotate")
    assert 0 == rotated.returncode, rotated.stderr
    wait(lambda: (certificates / names[0]).read_bytes() != before[0], "the new root")
    assert before[1] != (certificates / names[1]).read_bytes()
    assert (running, node_id) == (containers(docker, "web"), docker.node_id)
    assert READY == manager.node(node_id).status.state


def test_it_is_not_promoted_and_the_reason_is_told(manager, docker):
    refused = manager.ctl("node", "promote", docker.node_id)
    assert 1 == refused.returncode
    assert "it is of another kind, as Docker Engine's are" in refused.stderr
    assert api.NodeRole.WORKER == manager.node(docker.node_id).spec.desired_role


def test_it_leaves_and_may_be_removed(manager, docker):
    node_id = docker.node_id
    assert "left the swarm" in docker.docker("swarm", "leave")
    manager.wait_state(node_id, DOWN)
    assert 0 == manager.ctl("node", "remove", node_id).returncode
    join(docker, manager)
    assert node_id != docker.node_id


def test_a_removed_engine_is_refused(manager, docker):
    node_id = docker.node_id
    assert 0 == manager.ctl("node", "remove", "--force", node_id).returncode
    wait(lambda: "was removed" in docker.log, "the refusal", 60)
    docker.docker("swarm", "leave", "--force")


def test_a_manager_token_is_refused_with_our_sentence(manager, engine):
    engine.docker("swarm", "leave", "--force", check=False)
    token, nodes = manager.cluster.root_ca.join_tokens.manager, listed(manager)
    refused = engine.docker("swarm", "join", "--token", str(token), manager.address, check=False)
    assert "a manager of another kind than swarmd's cannot join" in refused
    assert "Join with the worker token" in refused
    assert nodes == listed(manager), "it is no node of the cluster"
    engine.docker("swarm", "leave", "--force", check=False)


def test_a_rotated_token_is_refused(manager, engine):
    old = manager.worker_token
    rotated = manager.ctl("cluster", "update", "default", "--rotate-join-token=worker")
    assert 0 == rotated.returncode
    refused = engine.docker("swarm", "join", "--token", old, manager.address, check=False)
    assert "A valid join token is necessary" in refused
    engine.docker("swarm", "leave", "--force", check=False)
