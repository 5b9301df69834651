"""A service that dies everywhere is held on a real node, through every way a user can look."""

import itertools
import json
import os
import signal

import pytest

from swarmd import api
from tests import builders
from tests.cluster import RealNode, wait

NUMBERS = itertools.count(1)  # a test that is tried again needs a new name
HELD = "tasks in 3 slots on 1 node ended alike (exit code 3)"


@pytest.fixture(scope="module")
def node():
    with RealNode() as running:
        running.run()
        yield running


def create(node: RealNode, name: str, *command: str, **task: object) -> str:
    policy = {"restart": builders.quick_restart(), **task}
    spec = api.TaskSpec(container=builders.container(command=command), **policy)
    built = builders.service(name, replicas=3, task_spec=spec)
    return node.call("CreateService", api.CreateServiceRequest(spec=built.spec)).service.id


def update(node: RealNode, service_id: str, *command: str) -> None:
    service = node.call("GetService", api.GetServiceRequest(service_id=service_id)).service
    service.spec.task.container.command[:] = command
    request = api.UpdateServiceRequest(
        service_id=service_id, service_version=service.meta.version, spec=service.spec
    )
    node.call("UpdateService", request)


def shown(node: RealNode, *words: str) -> str:
    done = node.ctl(*words)
    assert 0 == done.returncode, done.stderr
    return done.stdout + done.stderr


def is_held(node: RealNode, name: str) -> bool:
    return f"{name} is held" in shown(node, "service", "ls")


def test_it_is_held_says_so_survives_the_manager_and_goes_with_an_update(node: RealNode):
    bad = f"bad{next(NUMBERS)}"
    service_id = create(node, bad, "sh", "-c", "exit 3")
    wait(lambda: is_held(node, bad), "held")
    for words in (("service", "ps", bad), ("service", "inspect", bad), ("explain", bad)):
        assert HELD in shown(node, *words), words
    status = json.loads(node.swarmd("status", "--json").stdout)
    assert any(line.startswith(f"{bad} is held") for line in status["node"]["held"])

    manager = node.worker_pid("manager")
    os.kill(manager, signal.SIGKILL)
    node.wait_ready(without=manager)
    assert is_held(node, bad)
    told = [entry["what"] for entry in explained(node, bad)["journal"]["entries"]]
    assert {"created", "placed", "restarted", "held"} <= set(told)

    update(node, service_id, "sleep", "1000")
    assert 3 == len(node.wait_running(service_id, 3))
    assert not is_held(node, bad)
    last = explained(node, bad)["journal"]["entries"]
    assert "the service was updated" in [entry.get("why") for entry in last]
    node.remove_service(service_id)


def test_a_user_can_let_it_go(node: RealNode):
    bad = f"bad{next(NUMBERS)}"
    service_id = create(node, bad, "sh", "-c", "exit 4")
    wait(lambda: is_held(node, bad), "held")
    assert f"{bad}: let go" in shown(node, "service", "resume", bad)
    node.remove_service(service_id)


def test_an_impossible_service_is_explained_by_filter_and_node(node: RealNode):
    placement = api.Placement(constraints=["node.labels.zone==x"])
    resources = api.ResourceRequirements(reservations=api.Resources(nano_cpus=64 * 10**9))
    name = f"impossible{next(NUMBERS)}"
    service_id = create(node, name, "sleep", "9", placement=placement, resources=resources)

    def waits() -> bool:
        return "waiting" in explained(node, name)["explanation"]

    wait(waits, "pending")
    text = shown(node, "explain", f"{name}.1")
    assert "node.labels.zone==x (is not set)" in text
    assert "needs 64 CPU" in text
    (kind,) = explained(node, name)["explanation"]["waiting"]
    (verdict,) = kind["nodes"]
    refusing = {each["filter"] for each in verdict["filters"] if not each.get("passes")}
    assert {"constraint", "resources"} == refusing
    assert 3 == kind["alike"]
    (refused,) = explained(node, "self")["explanation"]["waiting"]
    assert 3 == refused["alike"]
    node.remove_service(service_id)


def test_what_nobody_knows_is_said_in_one_line(node: RealNode):
    done = node.ctl("explain", "nothing")
    assert (1, "Error: task, service or node nothing not found") == (
        done.returncode,
        done.stderr.strip(),
    )


def explained(node: RealNode, name: str) -> dict:
    return json.loads(node.ctl("explain", name, "--format", "json", "--last", "200").stdout)
