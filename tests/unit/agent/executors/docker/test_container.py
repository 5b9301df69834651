"""What a spec asks, in the words of the engine's API: a row a field."""

from typing import Any

import pytest

from swarmd import api
from swarmd.api import resources
from tests import builders
from workers.agent.executors.docker import container
from workers.agent.executors.errors import RejectedError

_Privileges = api.Privileges


def config(spec: Any = None, task: Any = None, **fields: Any) -> dict[str, Any]:
    wanted = builders.container(**{"image": "busybox", "command": (), **fields})
    of = builders.service(name="web", task_spec=api.TaskSpec(container=wanted, **(spec or {})))
    built = builders.task(service=of, slot=3, node_id="n1", id="t1", **(task or {}))
    return container.config(built, built.spec.container, "me")


def host(**fields: Any) -> dict[str, Any]:
    return config(**fields)["HostConfig"]


def reason(**fields: Any) -> str:
    with pytest.raises(RejectedError) as refused:
        config(**fields)
    return str(refused.value)


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("busybox", "busybox:latest"),
        ("busybox:1", "busybox:1"),
        ("reg:5000/a/b", "reg:5000/a/b:latest"),
        ("busybox@sha256:" + "a" * 64, "busybox@sha256:" + "a" * 64),
        ("sha256:" + "a" * 64, "sha256:" + "a" * 64),
        ("b" * 64, "b" * 64),
    ],
)
def test_an_image_has_its_full_name(image: str, full: str) -> None:
    assert full == config(image=image)["Image"]


@pytest.mark.parametrize(
    ("fields", "name", "wanted"),
    [
        ({"command": ["a", "b"]}, "Entrypoint", ["a", "b"]),
        ({"args": ["c"]}, "Cmd", ["c"]),
        ({"hostname": "h"}, "Hostname", "h"),
        ({"dir": "/d"}, "WorkingDir", "/d"),
        ({"user": "1:2"}, "User", "1:2"),
        ({"tty": True}, "Tty", True),
        ({"open_stdin": True}, "OpenStdin", True),
        ({"stop_signal": "SIGUSR1"}, "StopSignal", "SIGUSR1"),
        ({"stop_grace_period": {"seconds": 2, "nanos": 1}}, "StopTimeout", 3),
        ({}, "StopTimeout", 10),
        ({"env": ["A=1"]}, "Env", ["A=1"]),
        (
            {
                "env": ["A=1"],
                "task": {"assigned_generic_resources": [resources.discrete("fpga", 2)]},
            },
            "Env",
            ["A=1", "DOCKER_RESOURCE_FPGA=2"],
        ),
        (
            {
                "healthcheck": {
                    "test": ["CMD", "x"],
                    "interval": {"seconds": 1},
                    "timeout": {"nanos": 5},
                    "start_period": {"seconds": 2},
                    "retries": 4,
                }
            },
            "Healthcheck",
            {
                "Test": ["CMD", "x"],
                "Interval": 1_000_000_000,
                "Timeout": 5,
                "StartPeriod": 2_000_000_000,
                "Retries": 4,
            },
        ),
    ],
)
def test_the_container(fields: dict[str, Any], name: str, wanted: Any) -> None:
    assert wanted == config(**fields)[name]


@pytest.mark.parametrize("name", ["Entrypoint", "Cmd", "StopSignal", "Healthcheck"])
def test_the_image_decides_where_the_spec_says_nothing(name: str) -> None:
    assert name not in config()


@pytest.mark.parametrize(
    ("fields", "name", "wanted"),
    [
        ({"groups": ["g", "7"]}, "GroupAdd", ["g", "7"]),
        ({"read_only": True}, "ReadonlyRootfs", True),
        ({"init": {"value": True}}, "Init", True),
        ({"init": {"value": False}}, "Init", False),
        ({"isolation": 1}, "Isolation", "process"),
        ({"isolation": 2}, "Isolation", "hyperv"),
        ({"sysctls": {"a.b": "1"}}, "Sysctls", {"a.b": "1"}),
        ({"capability_add": ["CAP_A"]}, "CapAdd", ["CAP_A"]),
        ({"capability_drop": ["ALL"]}, "CapDrop", ["ALL"]),
        ({"oom_score_adj": -5}, "OomScoreAdj", -5),
        ({"pidsLimit": 9}, "PidsLimit", 9),
        ({"hosts": ["10.0.0.1 a b", "::1 c"]}, "ExtraHosts", ["a:10.0.0.1", "b:10.0.0.1", "c:::1"]),
        ({"dns_config": {"nameservers": ["1.1.1.1"]}}, "Dns", ["1.1.1.1"]),
        ({"dns_config": {"search": ["x"]}}, "DnsSearch", ["x"]),
        ({"dns_config": {"options": ["y"]}}, "DnsOptions", ["y"]),
        (
            {"ulimits": [{"name": "nofile", "soft": 1, "hard": -1}]},
            "Ulimits",
            [{"Name": "nofile", "Soft": 1, "Hard": -1}],
        ),
        (
            {"spec": {"log_driver": {"name": "local", "options": {"a": "b"}}}},
            "LogConfig",
            {"Type": "local", "Config": {"a": "b"}},
        ),
        (
            {"task": {"log_driver": {"name": "of-the-cluster"}}},
            "LogConfig",
            {"Type": "of-the-cluster", "Config": {}},
        ),
    ],
)
def test_the_host_config(fields: dict[str, Any], name: str, wanted: Any) -> None:
    assert wanted == host(**fields)[name]


@pytest.mark.parametrize("name", ["Init", "Isolation", "LogConfig", "Memory", "NanoCpus"])
def test_the_engine_decides_where_the_spec_says_nothing(name: str) -> None:
    assert name not in host()


@pytest.mark.parametrize(
    ("privileges", "wanted"),
    [
        ({}, []),
        ({"no_new_privileges": True}, ["no-new-privileges=true"]),
        ({"seccomp": {"mode": _Privileges.SeccompOpts.DEFAULT}}, []),
        ({"seccomp": {"mode": _Privileges.SeccompOpts.UNCONFINED}}, ["seccomp=unconfined"]),
        (
            {"seccomp": {"mode": _Privileges.SeccompOpts.CUSTOM, "profile": b"{}"}},
            ["seccomp={}"],
        ),
        ({"apparmor": {"mode": _Privileges.AppArmorOpts.DISABLED}}, ["apparmor=unconfined"]),
        ({"selinux_context": {"disable": True}}, ["label=disable"]),
        (
            {"selinux_context": {"user": "u", "role": "r", "type": "t", "level": "l"}},
            ["label=user:u", "label=role:r", "label=level:l", "label=type:t"],
        ),
        ({"credential_spec": {"file": "f"}}, ["credentialspec=file://f"]),
        ({"credential_spec": {"registry": "k"}}, ["credentialspec=registry://k"]),
    ],
)
def test_privileges_are_security_options(privileges: dict[str, Any], wanted: list[str]) -> None:
    assert wanted == host(privileges=privileges)["SecurityOpt"]


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({"limits": {"nano_cpus": 5}}, {"NanoCpus": 5}),
        ({"limits": {"memory_bytes": 8 << 20}}, {"Memory": 8 << 20}),
        (
            {"limits": {"memory_bytes": 8 << 20}, "swap_bytes": {"value": 1 << 20}},
            {"Memory": 8 << 20, "MemorySwap": 9 << 20},
        ),
        (
            {"limits": {"memory_bytes": 8 << 20}, "swap_bytes": {"value": -1}},
            {"Memory": 8 << 20, "MemorySwap": -1},
        ),
        ({"memory_swappiness": {"value": 0}}, {"MemorySwappiness": 0}),
        ({"reservations": {"memory_bytes": 7 << 20}}, {"MemoryReservation": 7 << 20}),
        ({"reservations": {"memory_bytes": 1 << 20}}, {}),  # engines take no less than 6 MiB
        (
            {"limits": {"memory_bytes": 8 << 20}, "reservations": {"memory_bytes": 9 << 20}},
            {"Memory": 8 << 20},
        ),
    ],
)
def test_resources_are_limits(asked: dict[str, Any], wanted: dict[str, int]) -> None:
    names = ("NanoCpus", "Memory", "MemorySwap", "MemorySwappiness", "MemoryReservation")
    found = host(spec={"resources": asked})
    assert wanted == {name: found[name] for name in names if name in found}


def test_labels_of_the_system_win() -> None:
    labels = config(labels={"com.docker.swarm.task.id": "other", "mine": "1"})["Labels"]
    assert ("t1", "1", "me") == (
        labels["com.docker.swarm.task.id"],
        labels["mine"],
        labels[container.OWNER_LABEL],
    )


def test_a_global_task_is_named_for_its_node() -> None:
    task = builders.task(service=builders.service(name="web"), slot=0, node_id="n1", id="t1")
    assert "web.n1.t1" == container.name(task)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"hosts": ["alone"]}, "hosts: 'alone' is not an address and its names"),
        (
            {"privileges": {"credential_spec": {"config": "c"}}},
            "privileges.credential_spec: cannot be read from a config here",
        ),
        (
            {"spec": {"resources": {"swap_bytes": {"value": 1}}}},
            "resources.swap_bytes: needs a limit of memory beside it",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(fields: dict[str, Any], wanted: str) -> None:
    assert wanted == reason(**fields)


# Networks


def attachment(name: str, driver: str = "", *, predefined: bool = False) -> Any:
    labels = {"com.docker.swarm.predefined": "true"} if predefined else {}
    found = builders.network(name, labels=labels)
    found.driver_state.name = driver
    return {"network": found}


@pytest.mark.parametrize(
    ("networks", "mode"),
    [
        ([], "default"),
        ([attachment("host", "host", predefined=True)], "host"),
        ([attachment("bridge", "bridge", predefined=True)], "bridge"),
        ([attachment("none", "null", predefined=True)], "none"),
        ([attachment("direct", "host")], "host"),
    ],
)
def test_a_network_of_the_host_is_a_mode(networks: list[Any], mode: str) -> None:
    assert mode == host(task={"networks": networks})["NetworkMode"]


@pytest.mark.parametrize(
    ("networks", "wanted"),
    [
        ([attachment("ingress", "overlay")], r"networks: ingress (overlay): containers here have"),
        ([attachment("br0", "bridge")], "networks: br0 (bridge): containers here have"),
        (
            [attachment("host", "host"), attachment("none", "null", predefined=True)],
            "networks: host and none cannot be had together",
        ),
    ],
)
def test_any_other_network_is_refused(networks: list[Any], wanted: str) -> None:
    assert reason(task={"networks": networks}).startswith(wanted)


def test_a_network_that_never_was_attached_is_refused() -> None:
    said = reason(spec={"networks": [{"target": "back"}]})
    assert "networks: back: not attached to this node" == said
