"""Host-mode ports, as the engine takes and reports them."""

from typing import Any

import pytest

from swarmd import api
from tests import builders
from workers.agent.executors.docker import ports
from workers.agent.executors.errors import RejectedError

HOST = api.PortConfig.PublishMode.HOST
UDP = api.PortConfig.Protocol.UDP


def task(*wanted: dict[str, Any]) -> api.Task:
    found = [api.PortConfig(**{"publish_mode": HOST, **port}) for port in wanted]
    return builders.task(endpoint={"ports": found})


def test_a_port_is_bound_to_the_host() -> None:
    wanted = task(
        {"target_port": 80, "published_port": 8080},
        {"target_port": 80, "published_port": 8081},
        {"target_port": 53, "protocol": UDP},
    )
    assert {
        "80/tcp": [{"HostPort": "8080"}, {"HostPort": "8081"}],
        "53/udp": [{"HostPort": ""}],
    } == ports.bindings(wanted, "default")


def test_on_the_hosts_network_nothing_needs_publishing() -> None:
    assert {} == ports.bindings(task({"target_port": 80, "published_port": 80}), "host")


@pytest.mark.parametrize(
    ("port", "network", "reason"),
    [
        (
            {"target_port": 80, "publish_mode": 0},
            "default",
            "ports: 80 is published by the ingress",
        ),
        ({"target_port": 0}, "default", "ports: 0:0 is no port"),
        ({"target_port": 65536}, "default", "ports: 0:65536 is no port"),
        ({"target_port": 80}, "none", "ports: 80: the network none publishes nothing"),
        ({"target_port": 80, "published_port": 81}, "host", "ports: on the host's network 80"),
    ],
)
def test_a_port_that_cannot_be_is_refused(port: Any, network: str, reason: str) -> None:
    with pytest.raises(RejectedError) as refused:
        ports.bindings(task(port), network)
    assert str(refused.value).startswith(reason)


def test_the_engines_ports_are_reported_once_and_by_name() -> None:
    found = {
        "80/tcp": [
            {"HostIp": "0.0.0.0", "HostPort": "32768"},
            {"HostIp": "::", "HostPort": "32768"},
        ],
        "53/udp": None,
        "9/tcp": [{"HostIp": "", "HostPort": "9"}],
    }
    status = ports.reported(task({"target_port": 80, "name": "http"}), found)
    wanted = api.PortConfig(name="http", target_port=80, published_port=32768, publish_mode=HOST)
    assert [wanted] == list(status.ports)
