"""A whole node with both engines: containers and host processes side by side."""

import os
import signal
from collections.abc import Iterator

import pytest

from swarmd import api
from swarmd.state_dir import StateDir
from tests import builders
from tests.cluster import RealNode, wait
from tests.docker_engine import IMAGE, Dockerd, config_file, forget_files, secret_file

pytestmark = pytest.mark.timeout(120)

HOST_MODE = api.PortConfig.PublishMode.HOST


@pytest.fixture
def node(dockerd: Dockerd) -> Iterator[RealNode]:
    with RealNode("--engine-addr=supervisor://", f"--engine-addr={dockerd.address}") as running:
        running.run()
        yield running
        forget_files(StateDir(running.state_dir))


def create(node: RealNode, name: str, **fields: object) -> api.Service:
    spec = builders.service(name=name, **fields).spec
    return create_from(node, spec)


def create_from(node: RealNode, spec: api.ServiceSpec) -> api.Service:
    return node.call("CreateService", api.CreateServiceRequest(spec=spec)).service


def busybox(*command: str, **fields: object) -> dict[str, object]:
    grace = {"stop_grace_period": {"seconds": 1}}
    return {
        "container_spec": builders.container(
            **{"image": IMAGE, "command": command, **grace, **fields}
        )
    }


def containers(dockerd: Dockerd, service: api.Service) -> list[dict[str, object]]:
    label = f"com.docker.swarm.service.id={service.id}"
    client = dockerd.client()
    try:
        return client.containers(all=True, filters={"label": [label]})
    finally:
        client.close()


def running(node: RealNode, service: api.Service, count: int) -> list[api.Task]:
    def found() -> list[api.Task]:
        tasks = node.tasks(service.id)
        return [task for task in tasks if task.status.state == api.TaskState.RUNNING]

    wait(lambda: len(found()) == count, f"{count} running")
    return found()


def test_containers_and_host_processes_run_side_by_side(node: RealNode, dockerd: Dockerd) -> None:
    boxed = create(node, "boxed", replicas=2, **busybox("sleep", "1000"))
    host = create(node, "host", replicas=1)
    tasks = running(node, boxed, 2)
    running(node, host, 1)
    found = containers(dockerd, boxed)
    assert {task.status.container.container_id for task in tasks} == {each["Id"] for each in found}
    assert [] == containers(dockerd, host)
    node.remove_service(boxed.id)
    wait(lambda: not containers(dockerd, boxed), "the containers' end")


def test_an_agent_that_is_killed_finds_its_containers_again(
    node: RealNode, dockerd: Dockerd
) -> None:
    service = create(node, "boxed", replicas=2, **busybox("sleep", "1000"))
    before = {task.id: task.status.container.pid for task in running(node, service, 2)}
    agent = node.worker_pid("agent")
    os.kill(agent, signal.SIGKILL)
    node.wait_ready(without=agent)
    after = {task.id: task.status.container.pid for task in running(node, service, 2)}
    assert before == after
    assert 2 == len(containers(dockerd, service))


def test_ports_that_the_engine_chose_are_told(node: RealNode) -> None:
    spec = builders.service(name="web", **busybox("sleep", "1000")).spec
    spec.endpoint.ports.add(target_port=80, publish_mode=HOST_MODE)
    service = create_from(node, spec)
    (task,) = running(node, service, 1)
    (port,) = task.status.port_status.ports
    assert (80, HOST_MODE) == (port.target_port, port.publish_mode)
    assert port.published_port > 1024


def test_secrets_and_configs_reach_containers(node: RealNode, dockerd: Dockerd) -> None:
    secret = node.call(
        "CreateSecret", api.CreateSecretRequest(spec=builders.secret("key", data=b"hush").spec)
    ).secret
    config = node.call(
        "CreateConfig", api.CreateConfigRequest(spec=builders.config("conf", data=b"x").spec)
    ).config
    secret.spec.annotations.name, config.spec.annotations.name = "key", "conf"
    command = "grep -q hush /run/secrets/key && grep -q x /conf && sleep 1000"
    service = create(
        node,
        "web",
        **busybox(
            "sh", "-c", command, secrets=[secret_file(secret)], configs=[config_file(config)]
        ),
    )
    running(node, service, 1)


def test_an_image_that_is_nowhere_is_rejected_with_the_reason(node: RealNode) -> None:
    spec = busybox("true", image="127.0.0.1:1/none")
    service = create(node, "web", **spec)

    def errors() -> set[str]:
        return {task.status.err for task in node.tasks(service.id)}

    wait(lambda: any("127.0.0.1:1/none:latest" in error for error in errors()), "a reason")
