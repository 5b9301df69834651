"""Which engine runs a task."""

import socket
from pathlib import Path
from random import Random

import pytest

from swarmd import api
from swarmd.errors import CannotBootError, UnavailableError
from swarmd.state_dir import StateDir
from tests import builders
from tests.fakes.clock import FakeClock
from tests.fakes.executor import FakeExecutor
from workers.agent.executors import Dependencies
from workers.agent.executors import choose as choose_module
from workers.agent.executors.choose import Engines, choose_engines
from workers.agent.executors.errors import RejectedError


@pytest.fixture
def host() -> FakeExecutor:
    return FakeExecutor(FakeClock())


def routed(engines: Engines, spec: api.TaskSpec) -> object:
    task = builders.task(spec=spec)
    return engines.controller(task, Dependencies(), Path("unused"))


def test_a_task_goes_to_the_engine_that_takes_it(host) -> None:
    other = FakeExecutor(FakeClock(), image="nginx")
    engines = Engines([host, other])
    controller = routed(engines, api.TaskSpec(container=builders.container(image="nginx")))
    assert other is controller.executor


ATTACHMENT = api.NetworkAttachmentSpec(container_id="c")
NO_DOCKER = "this node has no Docker engine"


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (
            api.TaskSpec(container=builders.container(image="nginx")),
            f"{NO_DOCKER}: image nginx cannot run here",
        ),
        (
            api.TaskSpec(attachment=ATTACHMENT),
            f"{NO_DOCKER}: network attachments cannot run here",
        ),
        (
            api.TaskSpec(generic=api.GenericRuntimeSpec(kind="plugin")),
            "this node has no engine for tasks of kind plugin: it cannot run here",
        ),
    ],
)
def test_a_task_that_nobody_takes_is_rejected_with_the_reason(host, spec, reason) -> None:
    with pytest.raises(RejectedError) as refused:
        routed(Engines([host]), spec)
    assert f"{reason}; engines: supervisor" == str(refused.value)


def test_a_node_without_engines_says_so() -> None:
    with pytest.raises(RejectedError, match=r"no supervisor engine.*engines: none"):
        routed(Engines([]), api.TaskSpec(container=builders.container()))


async def test_an_engine_that_does_not_answer_is_left_out(host) -> None:
    broken = FakeExecutor(FakeClock())
    broken.describe_fails = UnavailableError("no answer")
    description = api.NodeDescription(hostname="h")
    await Engines([broken, host]).describe(description)
    assert 1 == len(description.engine.plugins)


def choose(*addresses: str, at: Path = Path("/nowhere")) -> Engines:
    return choose_engines(addresses, StateDir(at), FakeClock(), Random(0))


async def test_host_processes_are_there_unless_told_otherwise() -> None:
    assert ["supervisor"] == choose().names
    assert ["supervisor"] == choose("supervisor://", "supervisor://").names


async def test_a_docker_engine_is_named_by_its_address(tmp_path) -> None:
    engines = choose("unix:///run/docker.sock", "tcp://10.0.0.1:2375", at=tmp_path)
    assert ["docker", "docker"] == engines.names


def test_the_docker_engine_of_this_host_is_found(monkeypatch, tmp_path) -> None:
    path = tmp_path / "docker.sock"
    monkeypatch.setattr(choose_module, "_DOCKER_SOCKET", path)
    assert ["supervisor"] == choose(at=tmp_path).names
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert ["supervisor", "docker"] == choose(at=tmp_path).names


def test_an_engine_that_outlives_our_memory_hears_which_tasks_there_are(host) -> None:
    heard = []
    host.adopt = heard.append
    Engines([host, FakeExecutor(FakeClock())]).adopt(["t1"])
    assert [["t1"]] == heard


@pytest.mark.parametrize("address", ["podman://x", "nonsense", "/var/run/docker.sock"])
def test_an_unknown_engine_is_refused(address) -> None:
    with pytest.raises(CannotBootError, match="no engine is known by"):
        choose(address)
